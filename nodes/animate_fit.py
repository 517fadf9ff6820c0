"""Meshes of single frames placed in front of the camera that filmed them, and a moving mesh painted from its video."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from comfy_api.latest import io

from ..ex4d_core.animate.bake import PAINTS, Baked, Paint, bake_texture
from ..ex4d_core.animate.film import triangles_of
from ..ex4d_core.animate.fit import Placed, fit_meshes, overlay
from ..ex4d_core.animate.meshes import MeshClip, MeshFrames
from ..ex4d_core.camera import Intrinsics
from ..ex4d_core.depth import DepthClip
from ..ex4d_core.errors import EX4DError
from ..ex4d_core.pixels import to_uint8
from ..ex4d_core.preview.film import small_frames
from ..ex4d_core.render import render_triangles
from ..ex4d_core.trajectory import Trajectory
from . import previews, types
from .progress import Job
from .schema import choice_problem, range_problem, schema
from .settings import preview_pixels

PREVIEW_FRAMES = 49
"""Frames shown at most of the film in a node."""
POOR = 0.8
"""IoU of mesh and mask below which a frame is named."""


def lens_inputs() -> list[io.Input]:
    """The lens of a video that no depth tells."""
    return [
        io.Float.Input(
            "fov",
            default=0.0,
            min=0.0,
            max=170.0,
            step=0.1,
            round=0.001,
            tooltip="Vertical field of view of the video in degrees. 0 = the depth's, or where that knows none, EX-4D's usual "
            "one (54 degrees for a square picture).",
        )
    ]


class EX4DFitMeshes(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="EX4DFitMeshes",
            display_name="Fit Meshes to Video (EX-4D)",
            description="Places the mesh of every key frame in front of the camera that filmed it: turned, moved and scaled so "
            "that it fills the object's mask, lies on its depth and shows its colours. Views are chosen over the whole sequence, "
            "so that no single frame is turned back to front.",
            search_aliases=[
                "pose estimation",
                "camera search",
                "silhouette",
                "v2m4",
                "align mesh",
                "4d",
                "image to 3d",
            ],
            has_intermediate_output=True,
            inputs=[
                types.Meshes.Input("meshes", tooltip="The meshes of key frames, from Mesh Frames."),
                io.Mask.Input("masks", tooltip="The object in every frame of the video: 1 = the object. One object."),
                types.Depth.Input(
                    "depth",
                    optional=True,
                    tooltip="The video's depth: tells how far away the object is, and helps to tell front from back.",
                ),
                io.Image.Input(
                    "images",
                    optional=True,
                    tooltip="The video's frames: shown under the preview, and compared with meshes that have colours.",
                ),
                *lens_inputs(),
            ],
            outputs=[
                types.Meshes.Output(
                    display_name="meshes", tooltip="The same meshes, each placed in front of its frame's camera."
                ),
                io.Image.Output(
                    display_name="overlay",
                    tooltip="Every key frame with its mesh over it, and the mask's outline in yellow.",
                ),
                io.String.Output(display_name="report", tooltip="How well each key frame fits."),
            ],
        )

    @classmethod
    def validate_inputs(cls, fov: float | None = None) -> bool | str:
        return range_problem(cls, fov=fov) or True

    @classmethod
    def execute(
        cls,
        meshes: MeshFrames,
        masks: torch.Tensor,
        fov: float,
        depth: DepthClip | None = None,
        images: torch.Tensor | None = None,
    ) -> io.NodeOutput:
        if problem := range_problem(cls, fov=fov):
            raise EX4DError(problem)
        given = masks.cpu().numpy()
        frames, height, width = given.shape
        lens, lenses = lens_of(depth, fov, frames, width, height)
        planes = None if depth is None else depth_of(depth, frames, height, width)
        pictures = None if images is None else images[..., :3].float().cpu().numpy()
        with Job() as job:
            placed = fit_meshes(
                meshes,
                given,
                lens,
                lenses=lenses,
                depth=planes,
                images=pictures,
                progress=job.progress,
                cancel=job.cancel,
            )
        drawn = torch.from_numpy(overlay(placed.meshes, given, lens, pictures))
        lines = fit_lines(placed, depth is not None)
        film = partial(small_frames, drawn, PREVIEW_FRAMES, 2 * preview_pixels())
        shown = previews.save_video(film, 4.0, total=len(drawn))
        return io.NodeOutput(placed.meshes, drawn, "\n".join(lines), ui=previews.ui_video(shown, *lines[:3]))


def lens_of(
    depth: DepthClip | None, fov: float, frames: int, width: int, height: int
) -> tuple[Intrinsics, tuple[Intrinsics, ...] | None]:
    """The video's lens, and one for each frame where it changes."""
    if fov:
        return Intrinsics.from_fov(fov, width, height), None
    if depth is None or depth.intrinsics is None:
        return Intrinsics.default(width, height), None
    lens = depth.intrinsics.fitted(width, height)
    path = depth.source_camera
    if path is None or path.intrinsics is None or len(path) < frames:
        return lens, None
    return lens, tuple(own.fitted(width, height) for own in path.intrinsics[:frames])


def depth_of(depth: DepthClip, frames: int, height: int, width: int) -> np.ndarray:
    """(T, H, W) depth of every frame, for masks of that size."""
    if len(depth) < frames:
        raise EX4DError(
            f"There are masks for {frames} frames and depth for {len(depth)}. Give both for the same frames."
        )
    return depth.resized(height, width).depth[:frames].float().cpu().numpy()


def fit_lines(placed: Placed, with_depth: bool) -> list[str]:
    """Numbers of the whole, what to look at, and a line for each key frame."""
    frames = placed.meshes.frames
    lines = [
        f"{len(frames)} key frames: IoU {np.median(placed.iou):.3f}, outlines {np.median(placed.outline):.2f} px apart"
    ]
    poor = [frame for frame, iou in zip(frames, placed.iou, strict=True) if iou < POOR]
    if poor:
        lines.append(f"look at frame {', '.join(map(str, poor))}: less than {POOR:.0%} of mesh and mask overlap")
    if not with_depth:
        lines.append("without depth the object is taken to be equally large in every frame")
    for n, frame in enumerate(frames):
        line = f"frame {frame}: IoU {placed.iou[n]:.3f}, outline {placed.outline[n]:.2f} px"
        lines.append(line if np.isnan(placed.depth[n]) else f"{line}, depth {placed.depth[n]:.2%}")
    return lines


class EX4DBakeTexture(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="EX4DBakeTexture",
            display_name="Bake Texture from Video (EX-4D)",
            description="Paints a moving mesh with the pixels of the video that it was made from: one texture for the whole "
            "clip, from all frames, the sharpest and squarest first. What no frame shows takes the colours around it.",
            search_aliases=["texture projection", "vertex color", "uv", "unwrap", "v2m4", "project video on mesh"],
            has_intermediate_output=True,
            inputs=[
                types.MeshClip.Input(
                    "mesh_clip",
                    tooltip="The moving mesh, from Register Meshes, of meshes that were fitted to the video.",
                ),
                io.Image.Input("images", tooltip="The frames of the video."),
                io.Mask.Input(
                    "masks",
                    optional=True,
                    tooltip="The object in every frame: pixels of other things that stand before it are left out.",
                ),
                types.Depth.Input("depth", optional=True, tooltip="The video's depth, for its lens."),
                io.Combo.Input(
                    "paint",
                    options=list(PAINTS),
                    default=PAINTS[0],
                    tooltip="texture: a picture, as sharp as the video. vertex colors: one colour for each vertex, no picture.",
                ),
                io.Int.Input(
                    "texture_size",
                    default=1024,
                    min=64,
                    max=8192,
                    step=64,
                    tooltip="Width and height of the texture; 1024 suits 10,000 faces.",
                ),
                *lens_inputs(),
            ],
            outputs=[
                types.MeshClip.Output(display_name="mesh_clip", tooltip="The moving mesh, painted."),
                io.Image.Output(
                    display_name="render",
                    tooltip="The painted mesh as the video's camera sees it, to be compared with the video.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(
        cls, paint: str | None = None, texture_size: int | None = None, fov: float | None = None
    ) -> bool | str:
        return choice_problem(cls, paint=paint) or range_problem(cls, texture_size=texture_size, fov=fov) or True

    @classmethod
    def execute(
        cls,
        mesh_clip: MeshClip,
        images: torch.Tensor,
        paint: Paint,
        texture_size: int,
        fov: float,
        masks: torch.Tensor | None = None,
        depth: DepthClip | None = None,
    ) -> io.NodeOutput:
        problem = choice_problem(cls, paint=paint) or range_problem(cls, texture_size=texture_size, fov=fov)
        if problem:
            raise EX4DError(problem)
        frames, height, width = images.shape[:3]
        lens, lenses = lens_of(depth, fov, frames, width, height)
        options: dict[str, Any] = {"lenses": lenses, "paint": paint, "size": texture_size}
        with Job() as job:
            baked = bake_texture(
                mesh_clip,
                to_uint8(images[..., :3]).cpu().numpy(),
                lens,
                masks=None if masks is None else masks.cpu().numpy(),
                progress=job.progress,
                cancel=job.cancel,
                **options,
            )
            job.restart()
            shown = seen_by_video(baked.clip, lens, lenses, job)
        lines = bake_lines(baked)
        film = partial(small_frames, shown, PREVIEW_FRAMES, 2 * preview_pixels())
        video = previews.save_video(film, baked.clip.fps, total=len(shown))
        return io.NodeOutput(baked.clip, shown, ui=previews.ui_video(video, *lines))


def seen_by_video(clip: MeshClip, lens: Intrinsics, lenses: tuple[Intrinsics, ...] | None, job: Job) -> torch.Tensor:
    """(T, H, W, 3) float 0..1, a mesh in the source camera's frame as that camera sees it."""
    own = [lens if lenses is None else lenses[clip.start + t] for t in range(len(clip))]
    path = Trajectory(np.tile(np.eye(4, dtype=np.float32), (len(clip), 1, 1)), intrinsics=tuple(own), fps=clip.fps)
    color, _, _ = render_triangles(triangles_of(clip), path, lens, progress=job.progress, cancel=job.cancel)
    return color


def bake_lines(baked: Baked) -> list[str]:
    """What was painted, and how much of it some frame shows."""
    clip = baked.clip
    what = "vertex colours" if clip.texture is None else f"a texture of {clip.texture.shape[1]}x{clip.texture.shape[0]}"
    return [f"{len(clip)} frames, {len(clip.faces)} faces, {what}", f"the video shows {baked.seen:.0%} of the surface"]


NODES = [EX4DFitMeshes, EX4DBakeTexture]
