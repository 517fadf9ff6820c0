"""Rendering a DW-Mesh along a camera path: colour, mask and depth video.

One function, `render_color_mask`, over three backends of one meaning:

* ``numba``: every CPU core, one frame each; no GPU.
* ``torch``: any device, nothing beyond torch; the reference of the other two.
* ``nvdiffrast``: CUDA; optional, never required; its licence is non-commercial. The published code's renderer. It snaps
  vertices to 1/16 pixel and, in released style, blends silhouettes over one pixel (``antialias``).
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..camera import same_aspect
from ..errors import Cancelled, EX4DError
from ..mesh import DWMesh
from .view import Picture, Settings, View

if TYPE_CHECKING:
    from ..trajectory import Trajectory

log = logging.getLogger(__name__)

BACKENDS = ("nvdiffrast", "numba", "torch")
IDENTITY_TOLERANCE = 1e-4
NEAR, FAR = 1e-3, 1e3
"""The published depth range."""

LARGEST_SIDE = 16384
"""Pixels; a slip of the keyboard is refused before it takes the machine's memory."""


def render_color_mask(
    mesh: DWMesh,
    trajectory: Trajectory,
    *,
    size: tuple[int, int] | None = None,
    backend: str = "auto",
    device: torch.device | str | None = None,
    keep_first_frame: bool | str = "auto",
    supersample: int = 1,
    antialias: bool | None = None,
    near: float | None = None,
    far: float | None = None,
    out_dtype: str = "float32",
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Render the colour video, the mask of what was seen, and the depth along a camera path.

    Frame t of the path shows frame t of the mesh; a mesh of one frame serves a path of any length.

    Args:
        mesh: the watertight mesh.
        trajectory: T poses `world_to_camera` in the source camera's frame; the mesh's intrinsics where it has none.
        size: (width, height) of the output; None = the mesh's. Lenses are fitted to it: scaled where the aspect ratio
            is theirs, else their vertical field of view is kept (`Intrinsics.fitted`).
        backend: "auto", "nvdiffrast", "numba" or "torch". Auto takes nvdiffrast where CUDA and it are present; else
            torch for a mesh or ``device`` on a GPU, and numba for one on the CPU.
        device: where to compute and to leave the result; None = compute where the backend runs best, result beside
            the mesh.
        keep_first_frame: True passes the first source frame through as frame 0, with a full mask; "auto" does so where
            pose 0 is the identity within 1e-4 and looks through the source's lens. An output of another aspect ratio
            than the mesh's cannot keep it.
        supersample: samples per pixel and axis, 1..4; a pixel is seen when half of its samples are.
        antialias: blend silhouettes as the published renderer does, nvdiffrast only; None = in released style. The
            other backends draw hard silhouettes: up to 0.2 % of the mask's pixels differ along them. In paper style
            nvdiffrast's 1/16 pixel vertices move up to 0.4 % of them at steep angles.
        near: planar depth closer than this is cut off, > 0; None = 1e-3, as published, or a fifth of the scene's
            nearest depth where that is closer.
        far: planar depth beyond this is cut off; None = 1e3, as published. A scene in other units is not cut: where
            ten times the back plate is farther than 1e3, that is far's default, and near's grows in proportion.
        out_dtype: "float32" (colour 0..1, mask 0 or 1) or "uint8" (colour 0..255, mask 0 or 255).
        progress: called with (frames done, frames).
        cancel: polled at least every second; True raises Cancelled.

    Returns:
        color (T, H, W, 3), black in holes; mask (T, H, W), 1 = seen, 0 = hole; depth (T, H, W) float32, planar depth of
        the viewing camera, 0 in holes.

    Raises:
        EX4DError: frame counts that do not fit, bad parameters, a backend or device that is not there.
        Cancelled: ``cancel`` returned True.

    Memory: the result (20 bytes a pixel and frame in float32, 8 in uint8) and what is in flight: numba 10 bytes a
    sample and vertex on every core (60 when supersampling), at most 1.4 GB together or one frame; torch 250 bytes a
    vertex and 60 a sample of one frame, and at most 0.7 GB for its pieces; nvdiffrast 150 bytes a sample and vertex of
    up to 16 frames, at most 0.6 GB or one frame.

    Source: the published renderer; paper section 3.2.
    """
    width, height = _check_size(size, mesh)
    default_near, default_far = default_range(mesh)
    near, far = default_near if near is None else near, default_far if far is None else far
    _check_options(supersample, near, far, out_dtype, keep_first_frame)
    views = _views(mesh, trajectory, width, height, supersample)
    name = choose_backend(backend, mesh, device)
    compute, result = _devices(name, mesh, device)
    render = importlib.import_module(f".{name}_backend", __package__).render

    frames = len(views)
    kept = _keeps_first_frame(keep_first_frame, mesh, views[0])
    dtype = torch.uint8 if out_dtype == "uint8" else torch.float32
    picture = Picture.empty(frames, height, width, dtype, compute)
    done = 0

    def poll() -> None:
        if cancel is not None and cancel():
            raise Cancelled("Rendering was cancelled.")

    def frame_done() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, frames)
        poll()

    poll()
    if kept:
        _keep_source(mesh, picture)
        frame_done()
        views = views[1:]
    antialias = mesh.style == "released" if antialias is None else antialias
    if views:
        render(mesh, views, picture, Settings(near, far, supersample, antialias, compute, frame_done, poll))
    return picture.color.to(result), picture.mask.to(result), picture.depth.to(result)


def default_range(mesh: DWMesh) -> tuple[float, float]:
    """(near, far) of a mesh where none are given; whoever renders a clip in parts passes those of the whole to each.

    The published ones, or both larger by one factor where the scene is, so that its units do not matter; near stays in
    front of a tiny scene.
    """
    grown = max(1.0, 10.0 * mesh.border_depth / FAR)
    return min(NEAR * grown, 0.2 * float(mesh.depth.min())), FAR * grown


def available_backends() -> tuple[str, ...]:
    """The backends that can run on this machine."""
    return tuple(name for name in BACKENDS if backend_problem(name) is None)


def backend_problem(name: str) -> str | None:
    """Why a backend cannot run on this machine, as the end of a sentence; None where it can."""
    if name == "nvdiffrast" and not torch.cuda.is_available():
        return "there is no NVIDIA GPU that torch can use"
    module = {"numba": "numba", "nvdiffrast": "nvdiffrast.torch"}.get(name)
    return None if module is None else _load_problem(module)


@cache
def _load_problem(module: str) -> str | None:
    """Why an optional package is of no use here (nvdiffrast has to be built for this torch); None where it loads."""
    package = module.split(".")[0]
    if importlib.util.find_spec(package) is None:
        return f"{package} is not installed"
    try:
        importlib.import_module(module)
    except Exception as error:
        log.warning("%s is installed but cannot be loaded, so it is left out: %s", package, error)
        return f"{package} is installed but cannot be loaded ({error})"
    return None


def choose_backend(backend: str, mesh: DWMesh, device: torch.device | str | None) -> str:
    """The backend that `render_color_mask` takes for these arguments.

    Raises:
        EX4DError: a backend that is unknown or cannot run here.
    """
    if backend not in ("auto", *BACKENDS):
        raise EX4DError(f"Unknown backend {backend!r}; choose one of: auto, {', '.join(BACKENDS)}.")
    available = available_backends()
    wanted = torch.device(device) if device is not None else mesh.device
    if backend == "auto":
        if wanted.type == "cpu":
            # A mesh on the CPU is rendered on the GPU only by the fast path, and only if nobody asked for the CPU.
            order = ("numba", "torch") if device is not None else ("nvdiffrast", "numba", "torch")
        else:
            order = ("nvdiffrast", "torch") if wanted.type == "cuda" else ("torch",)
        return next(name for name in order if name in available and (name != "nvdiffrast" or _nvdiffrast_takes(mesh)))
    if backend not in available:
        needs = {"numba": "pip install numba", "nvdiffrast": "an NVIDIA GPU and nvdiffrast built from its repository"}
        raise EX4DError(
            f"The {backend} backend cannot run here: {backend_problem(backend)}. It needs {needs[backend]}; here there "
            f"are: {', '.join(available)}."
        )
    return backend


def _nvdiffrast_takes(mesh: DWMesh) -> bool:
    from .nvdiffrast_backend import takes

    return takes(mesh)


def _devices(name: str, mesh: DWMesh, device: torch.device | str | None) -> tuple[torch.device, torch.device]:
    """Where to compute and where to leave the result."""
    asked = torch.device(device) if device is not None else None
    if asked is not None and asked.type == "cuda" and not torch.cuda.is_available():
        raise EX4DError(f"Device {device} was asked for, but torch sees no CUDA device here. Use --device cpu.")
    if name == "numba":
        return torch.device("cpu"), asked or mesh.device
    if name == "nvdiffrast":
        if asked is not None and asked.type != "cuda":
            raise EX4DError(f"The nvdiffrast backend computes on CUDA, not on {device}; use numba or torch there.")
        on_gpu = mesh.device if mesh.device.type == "cuda" else torch.device("cuda")
        return asked or on_gpu, asked or mesh.device
    return asked or mesh.device, asked or mesh.device


def _views(mesh: DWMesh, trajectory: Trajectory, width: int, height: int, supersample: int) -> list[View]:
    trajectory = trajectory.for_scene(mesh.intrinsics)
    poses = trajectory.world_to_camera.astype(np.float64)
    if mesh.frames not in (1, len(poses)):
        raise EX4DError(
            f"The mesh has {mesh.frames} frames, the camera path {len(poses)}. Make them equal "
            "(a mesh of one frame serves a path of any length)."
        )
    cameras = trajectory.intrinsics or (mesh.intrinsics,) * len(poses)
    lenses = [camera.fitted(width, height).resized(width * supersample, height * supersample) for camera in cameras]
    return [View(t, t if mesh.frames > 1 else 0, poses[t], lenses[t]) for t in range(len(poses))]


def _keeps_first_frame(keep: bool | str, mesh: DWMesh, first: View) -> bool:
    if keep != "auto":
        if keep and not same_aspect(mesh.width, mesh.height, first.intrinsics.width, first.intrinsics.height):
            raise EX4DError(
                f"The first frame of a {mesh.width}x{mesh.height} clip cannot be kept in a picture of another shape. "
                "Render at the clip's aspect ratio, or have the first frame rendered."
            )
        return bool(keep)
    at_source = np.abs(first.world_to_camera - np.eye(4)).max() <= IDENTITY_TOLERANCE
    lens, source = first.intrinsics, mesh.intrinsics.resized(first.intrinsics.width, first.intrinsics.height)
    if at_source and np.abs(lens.matrix() - source.matrix()).max() <= IDENTITY_TOLERANCE * source.fx:
        return True
    log.warning(
        "The path does not start at the source camera: frame 0 is rendered, but the sampler expects the source view."
    )
    return False


def _keep_source(mesh: DWMesh, picture: Picture) -> None:
    """Frame 0 of the source clip, unrendered, resized where the output has another size."""
    color, depth = mesh.rgb[0].to(picture.color.device), mesh.depth[0].to(picture.color.device)
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
    try:
        width, height = size
        whole = width >= 1 and height >= 1 and width % 1 == 0 and height % 1 == 0  # false for NaN and infinity
    except (TypeError, ValueError):
        whole = False
    if not whole:
        raise EX4DError(f"The output size must be two positive whole numbers (width, height), got {size}.")
    if max(width, height) > LARGEST_SIDE:
        raise EX4DError(
            f"The output size {width:g}x{height:g} is too large: at most {LARGEST_SIDE} pixels a side can be rendered."
        )
    return int(width), int(height)


def _check_options(supersample: int, near: float, far: float, out_dtype: str, keep_first_frame: bool | str) -> None:
    if not isinstance(supersample, (int, np.integer)) or supersample not in (1, 2, 3, 4):
        raise EX4DError(f"supersample must be 1, 2, 3 or 4, got {supersample}.")
    if not 0 < near < far:
        raise EX4DError(f"near and far must satisfy 0 < near < far, got {near} and {far}.")
    if out_dtype not in ("float32", "uint8"):
        raise EX4DError(f"out_dtype must be 'float32' or 'uint8', got {out_dtype!r}.")
    if keep_first_frame not in (True, False, "auto"):
        raise EX4DError(f"keep_first_frame must be True, False or 'auto', got {keep_first_frame!r}.")
