"""The mesh along a camera path: colour, mask and depth; and a fast look at the finished shot."""

from __future__ import annotations

from typing import cast
from weakref import WeakKeyDictionary

import numpy as np
import torch
from comfy_api.latest import io

from ..ex4d_core.animate.film import filmed_in_scene
from ..ex4d_core.animate.meshes import MeshClip
from ..ex4d_core.errors import EX4DError
from ..ex4d_core.holes import masks
from ..ex4d_core.machine.buffers import empty
from ..ex4d_core.mesh import DWMesh
from ..ex4d_core.pixels import HOLE_COLORS, hole_color_of
from ..ex4d_core.preview.film import FilmFrames, side_by_side, small_frames
from ..ex4d_core.render import (
    BACKEND_CHOICES,
    BackendChoice,
    KeepFirstFrame,
    backend_problem,
    choose_backend,
    keeps_first_frame,
    render_color_mask,
)
from ..ex4d_core.scene_memory import (
    DEFAULT_FRAMES,
    MOST_FRAMES,
    MOSTLY_STILL,
    STRICTNESS,
    SceneMemory,
    Strictness,
    remember_scene,
)
from ..ex4d_core.trajectory import Trajectory
from . import previews, types
from .progress import Job
from .schema import advanced, choice_problem, range_problem, schema
from .settings import preview_pixels

RENDER_PREVIEW = 49
"""Frames shown at most of a finished move, which is judged by its motion."""
TOGETHER = 4
"""Frames that are turned into holes and depth pictures at once."""
PICKED = "picked"
"""The hole colour that `picked_color` names."""
OFF = "off"
_memories: WeakKeyDictionary[DWMesh, tuple[tuple[int, str], SceneMemory]] = WeakKeyDictionary()
KEEP: dict[str, KeepFirstFrame] = {"auto": "auto", "yes": True, "no": False}


class EX4DRenderColorMask(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="EX4DRenderColorMask",
            display_name="Render Color + Mask",
            description="Films the mesh along the camera path: what was seen, in colour, and where nothing is known "
            "and has to be generated.",
            search_aliases=["render mesh", "novel view", "reproject", "occlusion mask", "control video", "vace mask"],
            is_output_node=True,
            inputs=[
                types.Mesh.Input("mesh", tooltip="The DW-Mesh of the clip."),
                types.Trajectory.Input("trajectory", tooltip="The camera path, one pose per frame."),
                io.Combo.Input(
                    "backend",
                    options=list(BACKEND_CHOICES),
                    default="auto",
                    tooltip="Which renderer. auto takes the fastest that is here: nvdiffrast on an NVIDIA GPU if it is "
                    "installed, else numba on the processor, else triton on a GPU, else torch, which runs everywhere.",
                ),
                io.Int.Input("width", default=0, min=0, max=4096, step=16, tooltip="Width in pixels; 0 = the mesh's."),
                io.Int.Input(
                    "height", default=0, min=0, max=4096, step=16, tooltip="Height in pixels; 0 = the mesh's."
                ),
                io.Combo.Input(
                    "first_frame",
                    options=list(KEEP),
                    default="auto",
                    tooltip="Keep the first frame of the clip untouched? EX-4D expects it. auto: yes, if the path starts "
                    "at the original camera.",
                ),
                io.Int.Input(
                    "supersample",
                    default=1,
                    min=1,
                    max=4,
                    tooltip="Rays per pixel side. 2 or 3 give smoother edges and take longer; EX-4D was trained with 1.",
                ),
                io.Combo.Input(
                    "hole_color",
                    options=[*HOLE_COLORS, PICKED],
                    default="black",
                    optional=True,
                    tooltip="What marks a hole in the colour video. black: EX-4D. grey: VACE, which takes it for nothing "
                    "given. magenta: LoRAs that know holes by their colour (CrossView). picked: the colour below. Never mixed "
                    "with what was seen.",
                ),
                advanced(
                    io.String.Input(
                        "picked_color",
                        default="#00b140",
                        optional=True,
                        tooltip="Colour of holes as #rrggbb, where hole_color is picked.",
                    )
                ),
                advanced(
                    io.Int.Input(
                        "grow_holes",
                        default=0,
                        min=0,
                        max=masks.MOST_PIXELS,
                        optional=True,
                        tooltip="Pixels taken away around every hole, in colour and masks. For models other than EX-4D, whose "
                        "nodes widen holes by themselves.",
                    )
                ),
                advanced(
                    io.Int.Input(
                        "feather",
                        default=0,
                        min=0,
                        max=masks.MOST_PIXELS,
                        optional=True,
                        tooltip="Pixels over which the masks blend from seen to hole, on the seen side. Colour stays as it is.",
                    )
                ),
                io.Combo.Input(
                    "scene_memory",
                    options=[OFF, *STRICTNESS],
                    default=OFF,
                    optional=True,
                    tooltip="Fills holes with what other frames of the clip really saw, before anything is invented: of what "
                    "stands still. strict: only what every frame agrees about. loose: for noisy depth. A camera that moved "
                    "needs Source Camera.",
                ),
                io.Int.Input(
                    "memory_frames",
                    default=DEFAULT_FRAMES,
                    min=1,
                    max=MOST_FRAMES,
                    optional=True,
                    tooltip="Frames of the clip that the memory is made of, at most. It takes those that together show most.",
                ),
                types.MeshClip.Input(
                    "mesh_clip",
                    optional=True,
                    tooltip="A mesh that moves in this scene, from Register Meshes, Drive Mesh or Bake Texture: filmed with it, "
                    "whole from all sides, where it lies nearer than what the clip showed.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="color", tooltip="What the new camera sees; holes have the hole colour."),
                io.Mask.Output(display_name="seen", tooltip="1 = seen in the clip, 0 = hole. For EX-4D nodes."),
                io.Mask.Output(
                    display_name="holes",
                    tooltip="1 = to be generated, 0 = keep. What VACE and inpainting nodes take as a mask.",
                ),
                io.Image.Output(
                    display_name="depth_images", tooltip="Depth from the new camera, bright = near, holes black."
                ),
                io.Mask.Output(
                    display_name="from_memory",
                    tooltip="1 = came from another frame of the clip, 0 = the frame's own, or a hole.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(
        cls,
        width: int | None = None,
        height: int | None = None,
        backend: str | None = None,
        first_frame: str | None = None,
        hole_color: str | None = None,
        picked_color: str | None = None,
        scene_memory: str | None = None,
    ) -> bool | str:
        problem = range_problem(cls, width=width, height=height)
        problem = problem or choice_problem(
            cls, backend=backend, first_frame=first_frame, hole_color=hole_color, scene_memory=scene_memory
        )
        if problem := problem or picked_problem(hole_color, picked_color):
            return problem
        if None not in (width, height) and (width == 0) != (height == 0):
            return "Give both width and height, or 0 for both to take the mesh's size."
        return True

    @classmethod
    def execute(
        cls,
        mesh: DWMesh,
        trajectory: Trajectory,
        backend: BackendChoice,
        width: int,
        height: int,
        first_frame: str,
        supersample: int,
        hole_color: str = "black",
        picked_color: str = "#00b140",
        grow_holes: int = 0,
        feather: int = 0,
        scene_memory: str = OFF,
        memory_frames: int = DEFAULT_FRAMES,
        mesh_clip: MeshClip | None = None,
    ) -> io.NodeOutput:
        if (width == 0) != (height == 0):
            raise EX4DError("Give both width and height, or 0 for both to take the mesh's size.")
        problem = choice_problem(cls, first_frame=first_frame, hole_color=hole_color, scene_memory=scene_memory)
        if problem := problem or picked_problem(hole_color, picked_color):
            raise EX4DError(problem)
        marker = picked_color if hole_color == PICKED else hole_color
        with Job() as job:
            strictness = cast("Strictness", scene_memory)
            kept = None if scene_memory == OFF else memory_of(mesh, memory_frames, strictness, job)
            parts = render_color_mask(
                mesh,
                trajectory,
                size=(width, height) if width else None,
                backend=backend,
                keep_first_frame=KEEP[first_frame],
                supersample=supersample,
                hole_color=marker,
                memory=kept,
                progress=job.progress,
                cancel=job.cancel,
            )
            in_editor = None if kept is None else memory_in_editor(mesh, memory_frames, strictness, job)
            if mesh_clip is not None:
                job.restart()
                parts = with_moving_mesh(parts, mesh_clip, mesh, trajectory, first_frame, supersample, job)
        color, seen, depth, *rest = (part.cpu() for part in parts)
        remembered = rest[0] if rest else torch.zeros_like(seen)
        if grow_holes:
            seen = masks.grow_holes(color, seen, grow_holes, marker)
            depth *= seen
            remembered *= seen
        blended = masks.feather(seen, feather)

        def film() -> FilmFrames:
            pixels = preview_pixels()
            return side_by_side(*(small_frames(clip, RENDER_PREVIEW, pixels) for clip in (color, blended)))

        with previews.background_video(film, trajectory.fps, total=len(color)) as video:
            holes, pictures, shares = holes_and_depth(seen, depth)
            if feather:
                torch.sub(1, blended, out=holes)
            lines = [render_text(color, shares)]
            if kept is not None:
                lines.append(memory_text(mesh, kept, remembered))
            slow = backend_problem("numba") if backend == "auto" and mesh.device.type == "cpu" else None
            if slow and choose_backend("auto", mesh, None) == "torch":
                lines.append(f"rendered by torch, several times slower: {slow}")
            if isinstance(in_editor, previews.NoPreview):
                lines.append(in_editor.line)
            ui = previews.ui_video(video.result(), *lines)
            if in_editor is not None and not isinstance(in_editor, previews.NoPreview):
                ui["ex4d_memory"] = [in_editor]
            return io.NodeOutput(color, blended, holes, pictures, remembered, ui=ui)


def with_moving_mesh(
    parts: tuple[torch.Tensor, ...],
    clip: MeshClip,
    scene: DWMesh,
    trajectory: Trajectory,
    first_frame: str,
    supersample: int,
    job: Job,
) -> tuple[torch.Tensor, ...]:
    """What `render_color_mask` gave, with a moving mesh in it; a first frame that was kept stays as it is."""
    height, width = parts[0].shape[1:3]
    kept = KEEP[first_frame]
    if kept == "auto":
        kept = keeps_first_frame(scene, trajectory, (width, height))
    drawn, over = filmed_in_scene(
        clip,
        scene,
        trajectory,
        (parts[0], parts[1], parts[2]),
        supersample=supersample,
        first_frame=not kept,
        progress=job.progress,
        cancel=job.cancel,
    )
    return (*drawn, *(part.masked_fill(over, 0.0) for part in parts[3:]))


def picked_problem(hole_color: str | None, picked_color: str | None) -> str | None:
    """The sentence for a picked colour that is none; None where it is one, or not asked for."""
    if hole_color != PICKED or picked_color is None:
        return None
    try:
        hole_color_of(picked_color)
    except EX4DError as error:
        return f"picked_color: {error}"
    return None


def memory_of(mesh: DWMesh, frames: int, strictness: Strictness, job: Job) -> SceneMemory:
    """A mesh's memory, kept as long as the mesh is: another path needs no other."""
    wanted, memory = _memories.get(mesh, (None, None))
    if memory is None or wanted != (frames, strictness):
        memory = remember_scene(mesh, frames=frames, strictness=strictness, progress=job.progress, cancel=job.cancel)
        _memories[mesh] = ((frames, strictness), memory)
        job.restart()
    return memory


def memory_in_editor(mesh: DWMesh, frames: int, strictness: Strictness, job: Job) -> previews.Shown:
    """The same memory as the camera editor's shot view draws it, at the size of its scene."""
    job.restart()
    return previews.save_editor_memory(mesh, frames, strictness, progress=job.progress, cancel=job.cancel)


def memory_text(mesh: DWMesh, memory: SceneMemory, remembered: torch.Tensor) -> str:
    """How much came from memory, and of which frames."""
    share = float(remembered.mean(dtype=torch.float64))
    text = f"from memory {share:.1%} on average, {len(memory.frames)} frames, {memory.still_share:.0%} of the clip stands still"
    if mesh.source_camera is None and mesh.frames > 1 and memory.still_share < MOSTLY_STILL:
        text += "\nThe camera is taken as fixed. If it moved, connect Source Camera before Build DW-Mesh."
    return text


def render_text(color: torch.Tensor, holes: list[float]) -> str:
    """Frames, size, and how much is left to generate, from each frame's share of holes."""
    frames, height, width = color.shape[:3]
    most = max(holes)
    return (
        f"{frames} frames, {width}x{height}\n"
        f"holes {sum(holes) / frames:.1%} on average, {most:.1%} at most (frame {holes.index(most)})"
    )


def holes_and_depth(seen: torch.Tensor, depth: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, list[float]]:
    """The mask turned round, and depth as pictures: inverse depth over the clip's range, near = 1, hole = 0.

    Overwrites the depth, a few frames at a time: touching new memory of a clip's size takes longer than the arithmetic.
    On one core, since the preview is being encoded on the others.

    Args:
        seen: (T, H, W), 1 = seen, 0 = hole.
        depth: (T, H, W) planar depth, 0 in holes.

    Returns:
        (T, H, W), 1 = hole; (T, H, W, 3); and the share of holes of each frame, 0..1.
    """
    holes = np.empty(seen.shape, np.float32)
    shares = []
    nearest = 0.0
    for first in range(0, len(holes), TOGETHER):
        part = slice(first, first + TOGETHER)
        known, inverse, hole = seen[part].numpy(), depth[part].numpy(), holes[part]
        np.subtract(1, known, out=hole)
        shares += [np.count_nonzero(each) / each.size for each in hole]
        # In a hole 0 / (0 + 1) = 0; elsewhere nothing is added to the depth.
        inverse += hole
        np.divide(known, inverse, out=inverse)
        nearest = max(nearest, float(inverse.max()))
    pictures = empty((*depth.shape, 3))
    for first in range(0, len(holes), TOGETHER):
        part = slice(first, first + TOGETHER)
        known, shown = depth[part].numpy(), pictures[part].numpy()
        known /= np.float32(nearest or 1)
        for channel in range(3):  # faster than spreading the last axis
            shown[..., channel] = known
    return torch.from_numpy(holes), pictures, shares


class EX4DDraftFill(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="EX4DDraftFill",
            display_name="Draft Fill",
            description="Closes the holes smoothly within a second or two, to judge a shot before spending time on "
            "sampling. A look, not a result.",
            search_aliases=["inpaint preview", "fill holes", "push pull", "quick look"],
            is_output_node=True,
            inputs=[
                io.Image.Input("color", tooltip="Colour from Render Color + Mask."),
                io.Mask.Input("seen", tooltip="Mask from Render Color + Mask: 1 = seen, 0 = hole."),
                io.Float.Input(
                    "fps", default=15.0, min=1.0, max=240.0, step=0.01, tooltip="Frame rate of the preview only."
                ),
                io.Image.Input(
                    "depth_images",
                    optional=True,
                    tooltip="Depth from Render Color + Mask. With it the holes take what lies behind; without it, objects "
                    "in front smear into them.",
                ),
            ],
            outputs=[io.Image.Output(display_name="images", tooltip="The frames with their holes closed.")],
        )

    @classmethod
    def execute(
        cls, color: torch.Tensor, seen: torch.Tensor, fps: float, depth_images: torch.Tensor | None = None
    ) -> io.NodeOutput:
        from ..ex4d_core.holes.draft_fill import draft_fill

        if color.shape[:3] != seen.shape:
            raise EX4DError(
                f"The colour has {color.shape[0]} frames of {color.shape[2]}x{color.shape[1]}, the mask {seen.shape[0]} of "
                f"{seen.shape[-1]}x{seen.shape[-2]}. Take both from the same Render Color + Mask node."
            )
        depth = None
        if depth_images is not None:
            if depth_images.shape[:3] != seen.shape:
                raise EX4DError(
                    f"The depth has {depth_images.shape[0]} frames of {depth_images.shape[2]}x{depth_images.shape[1]}, the "
                    f"mask {seen.shape[0]} of {seen.shape[2]}x{seen.shape[1]}. Take both from the same Render Color + Mask "
                    "node."
                )
            # Only the order of depths matters, so the pictures' unknown scale does not.
            nearness = depth_images[..., 0]
            depth = torch.where(nearness > 0, 1 / nearness.clamp_min(1e-6), torch.zeros_like(nearness))
        with Job() as job:
            filled = draft_fill(color[..., :3], seen, depth, progress=job.progress, cancel=job.cancel)
        text = f"{filled.shape[0]} frames, {filled.shape[2]}x{filled.shape[1]}, draft"
        video = previews.save_video(
            lambda: small_frames(filled, RENDER_PREVIEW, preview_pixels()), fps, total=len(filled)
        )
        return io.NodeOutput(filled, ui=previews.ui_video(video, text))


NODES = [EX4DRenderColorMask, EX4DDraftFill]
