"""A DW-Mesh filmed along a camera path: colour, mask and depth video, by whichever backend."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal, get_args, overload

import numpy as np
import torch
from torch import Tensor

from ..camera import same_aspect
from ..errors import EX4DError
from ..mesh import DWMesh
from ..pixels import hole_color_of, lay_into_holes
from ..published import RENDER_FAR, RENDER_NEAR
from ..scene_memory import CELL, SceneMemory
from ..trajectory import Trajectory, relative_to_source
from .choose import BackendChoice, backend_of, choose_backend, compute_device
from .frames import watched
from .recall import recall
from .view import Picture, Settings, View

log = logging.getLogger(__name__)

OutDtype = Literal["float32", "uint8"]
OUT_DTYPES: tuple[OutDtype, ...] = get_args(OutDtype)
KeepFirstFrame = bool | Literal["auto"]

IDENTITY_TOLERANCE = 1e-4
"""Largest difference of a pose, or of a lens in shares of its focal length, that is still the source camera's."""
LARGEST_SIDE = 16384
"""Pixels; a mistyped size is refused before it takes the machine's memory."""


@overload
def render_color_mask(
    mesh: DWMesh,
    trajectory: Trajectory,
    *,
    size: tuple[int, int] | None = ...,
    backend: BackendChoice = ...,
    device: torch.device | str | None = ...,
    keep_first_frame: KeepFirstFrame = ...,
    supersample: int = ...,
    antialias: bool | None = ...,
    hole_color: str = ...,
    memory: None = ...,
    near: float | None = ...,
    far: float | None = ...,
    out_dtype: OutDtype = ...,
    progress: Callable[[int, int], None] | None = ...,
    cancel: Callable[[], bool] | None = ...,
) -> tuple[Tensor, Tensor, Tensor]: ...


@overload
def render_color_mask(
    mesh: DWMesh,
    trajectory: Trajectory,
    *,
    size: tuple[int, int] | None = ...,
    backend: BackendChoice = ...,
    device: torch.device | str | None = ...,
    keep_first_frame: KeepFirstFrame = ...,
    supersample: int = ...,
    antialias: bool | None = ...,
    hole_color: str = ...,
    memory: SceneMemory,
    near: float | None = ...,
    far: float | None = ...,
    out_dtype: OutDtype = ...,
    progress: Callable[[int, int], None] | None = ...,
    cancel: Callable[[], bool] | None = ...,
) -> tuple[Tensor, Tensor, Tensor, Tensor]: ...


def render_color_mask(
    mesh: DWMesh,
    trajectory: Trajectory,
    *,
    size: tuple[int, int] | None = None,
    backend: BackendChoice = "auto",
    device: torch.device | str | None = None,
    keep_first_frame: KeepFirstFrame = "auto",
    supersample: int = 1,
    antialias: bool | None = None,
    hole_color: str = "black",
    memory: SceneMemory | None = None,
    near: float | None = None,
    far: float | None = None,
    out_dtype: OutDtype = "float32",
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> tuple[Tensor, Tensor, Tensor] | tuple[Tensor, Tensor, Tensor, Tensor]:
    """Render the colour video, the mask of what was seen, and the depth along a camera path.

    Frame t of the path shows frame t of the mesh, or the one that the path's times name; a mesh of one frame serves a path of
    any length.

    Args:
        mesh: the watertight mesh.
        trajectory: T poses `world_to_camera`, which ride on the mesh's source camera or stand in the world, as the
            trajectory says (`frame_of_reference`); the mesh's intrinsics where it has none.
        size: (width, height) of the output; None = the mesh's. Lenses are fitted to it: scaled where the aspect ratio
            is theirs, else their vertical field of view is kept (`Intrinsics.fitted`).
        backend: "auto", "nvdiffrast", "triton", "numba" or "torch". Auto takes nvdiffrast where CUDA and it are present.
            Else, for a mesh or ``device`` on a GPU, triton or torch; for one on the CPU or on Apple's GPU numba, or where
            that is missing triton if there is a GPU for it, or torch.
        device: where to compute and to leave the result; None = compute where the backend runs best, result beside
            the mesh. Apple's GPU ("mps") lacks float64: the processor computes, the result lies there.
        keep_first_frame: True passes the first source frame through as frame 0, with a full mask; "auto" does so where
            pose 0 is the source camera's within 1e-4 and looks through its lens. An output of another aspect ratio
            than the mesh's cannot keep it.
        supersample: samples per pixel and axis, 1..4; a pixel is seen when half of its samples are.
        antialias: blend silhouettes as the published renderer does, nvdiffrast only; None = in released style. The
            other backends draw hard silhouettes: up to 0.2 % of the mask's pixels differ along them. In paper style
            nvdiffrast's 1/16 pixel vertices move up to 0.4 % of them at steep angles.
        hole_color: what holes are filled with: "black", as EX-4D takes it, "grey", "magenta", "white" (`HOLE_COLORS`) or
            "#rrggbb". It is laid in last, on whole pixels. With another than black, seen colours do not fade to black at
            the rims of holes either, as they do in released style.
        memory: what other frames of the clip saw (`ex4d_core.scene_memory.remember_scene` of this mesh), laid into holes,
            behind what the frame itself saw; one point a pixel whatever ``supersample`` is. Seen colours then do not fade to
            black at the rims of holes. None = as published.
        near: planar depth closer than this is cut off, > 0; None = 1e-3, as published, or a fifth of the scene's
            nearest depth where that is closer.
        far: planar depth beyond this is cut off; None = 1e3, as published. A scene in other units is not cut: where
            ten times the back plate is farther than 1e3, that is far's default, and near's grows in proportion.
        out_dtype: "float32" (colour 0..1, mask 0 or 1) or "uint8" (colour 0..255, mask 0 or 255).
        progress: called with (frames done, frames); with a memory each frame counts twice.
        cancel: polled at least every second; True raises Cancelled.

    Returns:
        color (T, H, W, 3), ``hole_color`` in holes; mask (T, H, W), 1 = seen, 0 = hole; depth (T, H, W) float32, planar depth of
        the viewing camera, 0 in holes. With a memory a fourth: (T, H, W) like the mask, 1 = came from memory, 0 = seen in the
        frame itself, or a hole.

    Raises:
        EX4DError: frame counts that do not fit, a memory of another mesh, bad parameters, a backend or device that is not there.
        Cancelled: ``cancel`` returned True.

    Memory: the result (20 bytes a pixel and frame in float32, 8 in uint8) and what is in flight: numba 10 bytes a
    sample and vertex on every core (60 when supersampling), torch 60, both at most 1.4 GB together or one frame; torch on
    a GPU one frame and 0.5 GB for its pieces; triton 60 bytes a sample and vertex of up to 16 frames, at most 0.25 GB or
    one frame; nvdiffrast 150 bytes a sample and vertex of up to 16 frames, at most 0.6 GB
    or one frame.

    Source: the published renderer; paper section 3.2.

    Example:
        >>> from ex4d_core import Trajectory, build_dw_mesh
        >>> mesh = build_dw_mesh(torch.rand(3, 32, 32, 3), torch.full((3, 32, 32), 4.0))
        >>> color, mask, depth = render_color_mask(mesh, Trajectory.preset("static", frames=3))
        >>> color.shape, float(mask[0].min())  # the source view is seen everywhere
        (torch.Size([3, 32, 32, 3]), 1.0)
    """
    width, height = _check_size(size, mesh)
    default_near, default_far = default_range(mesh)
    near, far = default_near if near is None else near, default_far if far is None else far
    _check_options(supersample, near, far, out_dtype, keep_first_frame)
    filling = hole_color_of(hole_color)
    black = not any(filling)
    if memory is not None:
        check_memory_of(memory, mesh)
    views = _views(mesh, trajectory, width, height, supersample)
    name = choose_backend(backend, mesh, device)
    compute = compute_device(name, mesh, device)
    result = mesh.device if device is None else torch.device(device)

    frames = len(views)
    steps = frames if memory is None else 2 * frames
    kept = _keeps_first_frame(keep_first_frame, mesh, views[0])
    dtype = torch.uint8 if out_dtype == "uint8" else torch.float32
    picture = Picture.empty(frames, height, width, dtype, compute)
    counted, poll = watched(steps, progress, cancel)

    def frame_done() -> None:
        counted()
        poll()

    poll()
    if kept:
        _keep_source(mesh, views[0].source, picture)
        for _ in range(steps // frames):
            frame_done()
        views = views[1:]
    antialias = mesh.style == "released" if antialias is None else antialias
    fade = black and memory is None
    settings = Settings(near, far, supersample, antialias, fade, compute, frame_done, poll)
    if views:
        backend_of(name).render(mesh, views, picture, settings)
    remembered = None if memory is None else recall(memory, mesh, views, picture, settings)
    if not black:
        lay_into_holes(picture.color, picture.mask, filling)
    parts = picture.color.to(result), picture.mask.to(result), picture.depth.to(result)
    return parts if remembered is None else (*parts, remembered.to(result))


def check_memory_of(memory: SceneMemory, mesh: DWMesh) -> None:
    """Refuse a memory that was made of another mesh.

    Raises:
        EX4DError: another number of frames, or another size.
    """
    frames, rows, columns = memory.solids.front.shape
    if (frames, rows, columns) != (mesh.frames, -(-mesh.height // CELL), -(-mesh.width // CELL)):
        raise EX4DError(
            f"The scene's memory is of {frames} frames of about {columns * CELL}x{rows * CELL} and the mesh has {mesh.frames} of "
            f"{mesh.width}x{mesh.height}. Make it of this mesh, and take the same frames of both."
        )


def default_range(mesh: DWMesh) -> tuple[float, float]:
    """(near, far) of a mesh where none are given; whoever renders a clip in parts passes those of the whole to each.

    The published ones, or both larger by one factor where the scene is, so that its units do not matter; near stays in
    front of a tiny scene.
    """
    grown = max(1.0, 10.0 * mesh.border_depth / RENDER_FAR)
    return min(RENDER_NEAR * grown, 0.2 * float(mesh.depth.min())), RENDER_FAR * grown


def _views(mesh: DWMesh, trajectory: Trajectory, width: int, height: int, supersample: int) -> list[View]:
    shown = shown_frames(trajectory, mesh)
    trajectory = with_lenses(trajectory, mesh)
    poses = relative_to_source(trajectory, source_along(trajectory, mesh))
    cameras = trajectory.intrinsics or (mesh.intrinsics,) * len(shown)
    lenses = [camera.fitted(width, height).resized(width * supersample, height * supersample) for camera in cameras]
    return [View(t, frame, poses[t], lenses[t]) for t, frame in enumerate(shown)]


def shown_frames(trajectory: Trajectory, mesh: DWMesh) -> list[int]:
    """The frame of the mesh that each frame of the path shows.

    Raises:
        EX4DError: frame counts that do not fit.
    """
    return trajectory.shown_frames(mesh.frames)


def with_lenses(trajectory: Trajectory, mesh: DWMesh) -> Trajectory:
    """The path with a lens for every frame, as `render_color_mask` takes it; whoever renders in parts needs it before.

    Raises:
        EX4DError: frame counts that do not fit.
    """
    return trajectory.for_scene(mesh.intrinsics, source_along(trajectory, mesh))


def source_along(trajectory: Trajectory, mesh: DWMesh) -> Trajectory | None:
    """The source camera when it saw what each frame of the path shows; None where it does not move.

    Raises:
        EX4DError: frame counts that do not fit.
    """
    shown = shown_frames(trajectory, mesh)
    return None if mesh.source_camera is None else mesh.source_camera.part(shown)


def keeps_first_frame(mesh: DWMesh, trajectory: Trajectory, size: tuple[int, int] | None = None) -> bool:
    """Whether `render_color_mask` with ``keep_first_frame="auto"`` passes the first source frame through.

    Raises:
        EX4DError: frame counts that do not fit.
    """
    width, height = _check_size(size, mesh)
    return _is_source_view(mesh, _views(mesh, trajectory, width, height, 1)[0])


def _is_source_view(mesh: DWMesh, first: View) -> bool:
    lens = first.intrinsics
    same_shape = same_aspect(mesh.width, mesh.height, lens.width, lens.height)
    at_source = np.abs(first.source_to_camera - np.eye(4)).max() <= IDENTITY_TOLERANCE
    source = mesh.lens(first.source).fitted(lens.width, lens.height)
    same_lens = np.abs(lens.matrix() - source.matrix()).max() <= IDENTITY_TOLERANCE * source.fx
    return bool(same_shape and at_source and same_lens)


def _keeps_first_frame(keep: KeepFirstFrame, mesh: DWMesh, first: View) -> bool:
    lens = first.intrinsics
    if keep != "auto":
        if keep and not same_aspect(mesh.width, mesh.height, lens.width, lens.height):
            raise EX4DError(
                f"The first frame of a {mesh.width}x{mesh.height} clip cannot be kept in a picture of another shape. "
                "Render at the clip's aspect ratio, or have the first frame rendered."
            )
        return bool(keep)
    if _is_source_view(mesh, first):
        return True
    log.warning(
        "The path does not start at the source camera: frame 0 is rendered, but the sampler expects the source view."
    )
    return False


def _keep_source(mesh: DWMesh, frame: int, picture: Picture) -> None:
    """A frame of the source clip as the first of the output, unrendered, resized where that has another size."""
    color, depth = mesh.rgb[frame].to(picture.color.device), mesh.depth[frame].to(picture.color.device)
    if tuple(depth.shape) != (picture.height, picture.width):
        shape = (picture.height, picture.width)
        planes = color.permute(2, 0, 1)[None].float()
        planes = torch.nn.functional.interpolate(planes, shape, mode="bilinear", antialias=True)
        color = planes[0].permute(1, 2, 0).round_().clamp_(0, 255)
        depth = torch.nn.functional.interpolate(depth[None, None], shape, mode="nearest-exact")[0, 0]
    picture.color[0] = color if picture.is_uint8 else color.float() / 255.0
    picture.mask[0] = 255 if picture.is_uint8 else 1
    picture.depth[0] = depth


def _check_size(size: tuple[int, int] | None, mesh: DWMesh) -> tuple[int, int]:
    if size is None:
        return mesh.width, mesh.height
    wrong = EX4DError(f"The output size must be two positive whole numbers (width, height), got {size}.")
    try:
        width, height = size
        whole = width >= 1 and height >= 1 and width % 1 == 0 and height % 1 == 0  # false for NaN and infinity
    except (TypeError, ValueError):
        raise wrong from None
    if not whole:
        raise wrong
    if max(width, height) > LARGEST_SIDE:
        raise EX4DError(
            f"The output size {width:g}x{height:g} is too large: at most {LARGEST_SIDE} pixels a side can be rendered."
        )
    return int(width), int(height)


def _check_options(
    supersample: int, near: float, far: float, out_dtype: OutDtype, keep_first_frame: KeepFirstFrame
) -> None:
    if not isinstance(supersample, (int, np.integer)) or supersample not in (1, 2, 3, 4):
        raise EX4DError(f"supersample must be 1, 2, 3 or 4, got {supersample}.")
    if not 0 < near < far:
        raise EX4DError(f"near and far must satisfy 0 < near < far, got {near} and {far}.")
    if out_dtype not in OUT_DTYPES:
        raise EX4DError(f"out_dtype must be {' or '.join(map(repr, OUT_DTYPES))}, got {out_dtype!r}.")
    if keep_first_frame not in (True, False, "auto"):
        raise EX4DError(f"keep_first_frame must be True, False or 'auto', got {keep_first_frame!r}.")
