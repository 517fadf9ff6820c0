"""One mesh, generated or modelled, that is moved by a video."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from comfy_api.latest import io

from ..ex4d_core.animate.drive import DriveOptions, drive
from ..ex4d_core.animate.fit import overlay
from ..ex4d_core.animate.meshes import MeshClip, MeshFrames
from ..ex4d_core.camera import Intrinsics
from ..ex4d_core.depth import DepthClip
from ..ex4d_core.errors import EX4DError
from ..ex4d_core.preview.film import small_frames
from . import previews, types
from .animate_fit import PREVIEW_FRAMES, depth_of, lens_inputs, lens_of
from .animate_tracks import smooth_input, tracks_input, tracks_of
from .progress import Job
from .schema import range_problem, schema
from .settings import preview_pixels


class EX4DDriveMesh(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="EX4DDriveMesh",
            display_name="Drive Mesh with Video (EX-4D)",
            description="Moves one mesh with the object of a video: frame after frame its outline is drawn to the mask's, its "
            "surface to the depth, and points that are followed through the video stay where they are on it.",
            search_aliases=[
                "animate mesh",
                "mesh tracking",
                "4d mesh",
                "motion transfer",
                "one mesh",
                "non-rigid tracking",
            ],
            has_intermediate_output=True,
            inputs=[
                types.Meshes.Input(
                    "mesh",
                    tooltip="One mesh, placed in its frame by Fit Meshes to Video. Its frame is best one in which the object "
                    "shows most of itself, and its parts do not touch.",
                ),
                io.Mask.Input("masks", tooltip="The object in every frame of the video: 1 = the object."),
                types.Depth.Input(
                    "depth",
                    optional=True,
                    tooltip="The video's depth, the same as Fit Meshes had. Without it nothing tells limbs that come nearer.",
                ),
                io.Image.Input(
                    "images",
                    optional=True,
                    tooltip="The video's frames: points of them are followed where no tracks are connected (needs OpenCV), and "
                    "they are shown under the preview.",
                ),
                tracks_input(),
                smooth_input(),
                *lens_inputs(),
            ],
            outputs=[
                types.MeshClip.Output(
                    display_name="mesh_clip",
                    tooltip="The mesh that moves, for Bake Texture from Video and Save Animated Mesh.",
                ),
                io.Image.Output(
                    display_name="overlay",
                    tooltip="Every frame with the mesh over it, and the mask's outline in yellow.",
                ),
                io.String.Output(display_name="report", tooltip="How well each frame was met."),
            ],
        )

    @classmethod
    def validate_inputs(cls, smooth: float | None = None, fov: float | None = None) -> bool | str:
        return range_problem(cls, smooth=smooth, fov=fov) or True

    @classmethod
    def execute(
        cls,
        mesh: MeshFrames,
        masks: torch.Tensor,
        smooth: float,
        fov: float,
        depth: DepthClip | None = None,
        images: torch.Tensor | None = None,
        tracks: Any = None,
    ) -> io.NodeOutput:
        if problem := range_problem(cls, smooth=smooth, fov=fov):
            raise EX4DError(problem)
        given = masks.cpu().numpy()
        frames, height, width = given.shape
        if images is not None and tuple(images.shape[:3]) != (frames, height, width):
            raise EX4DError(
                f"masks and images must be of the same video: {frames} masks of {width}x{height}, {images.shape[0]} images of "
                f"{images.shape[2]}x{images.shape[1]}."
            )
        lens, lenses = lens_of(depth, fov, frames, width, height)
        with Job() as job:
            driven = drive(
                mesh,
                given,
                lens,
                lenses=lenses,
                depth=None if depth is None else depth_of(depth, frames, height, width),
                tracks=tracks_of(tracks, images, job),
                options=DriveOptions(smooth=smooth),
                progress=job.progress,
                cancel=job.cancel,
            )
            job.restart()
            pictures = None if images is None else images[..., :3].float().cpu().numpy()
            moved = each_frame(driven.clip, lenses)
            drawn = torch.from_numpy(overlay(moved, given, lens, pictures, progress=job.progress, cancel=job.cancel))
        film = partial(small_frames, drawn, PREVIEW_FRAMES, 2 * preview_pixels())
        shown = previews.save_video(film, driven.clip.fps, total=len(drawn))
        lines = driven.lines()
        report = [
            f"frame {frame}: IoU {sight.overlap:.3f}, area x{sight.area:.2f}, volume x{sight.volume:.2f}"
            for frame, sight in sorted(driven.sights.items())
        ]
        return io.NodeOutput(driven.clip, drawn, "\n".join([*lines, *report]), ui=previews.ui_video(shown, *lines))


def each_frame(clip: MeshClip, lenses: tuple[Intrinsics, ...] | None) -> MeshFrames:
    """A moving mesh as the mesh of every frame, where it stands."""
    frames = tuple(range(clip.start, clip.start + len(clip)))
    poses = np.tile(np.eye(4), (len(clip), 1, 1))
    own = None if lenses is None else tuple(lenses[frame] for frame in frames)
    return MeshFrames(frames, tuple(clip.mesh(t) for t in range(len(clip))), poses, clip.fps, own)


NODES = [EX4DDriveMesh]
