# pyright: reportArgumentType=false, reportCallIssue=false
# Of launches: Triton turns plain numbers into constants.
"""GPU backend without a licence of its own: kernels that Triton compiles, which comes with torch on Linux.

Several frames a launch, so that a clip is some dozens of launches. On Windows the package triton-windows brings Triton; with
``TRITON_INTERPRET=1`` the same kernels run on the processor, slowly, for tests.
"""

from __future__ import annotations

import logging
import os
from functools import cache

import numpy as np
import torch
from torch import Tensor

from ..errors import EX4DError
from ..mesh import DWMesh
from ..published import VISIBLE_ALPHA
from .backend import Backend, load_problem
from .view import Picture, Settings, View, reduce_samples, store

log = logging.getLogger(__name__)

ELEMENTS = 2**22
"""Vertices or samples in flight: about 60 bytes each. A clip of 512x512 goes 16 frames at a time."""
LARGEST_FRAME = 2**30
"""Vertices or samples of a frame that 32-bit numbers can count."""
BLOCK = 128
VALUES = 32
"""Of the trial kernel."""
PROGRAMS, PARTS, LANES = 1024, 2, 32
"""Of `draw_faces`: programs a frame times those that share a face, and lanes along a row, those of one warp."""


def interpreted() -> bool:
    """Whether Triton runs kernels on the processor, one operation at a time."""
    return os.environ.get("TRITON_INTERPRET", "0") == "1"


@cache
def _problem() -> str | None:
    problem = load_problem("triton")
    if problem is not None or interpreted():
        return problem
    if not torch.cuda.is_available():
        return "there is no GPU that Triton can use"
    try:  # the compiler itself may be missing: Triton builds a small C module on first use
        from . import triton_kernels

        value = torch.zeros(VALUES, device="cuda")
        triton_kernels.check[(1,)](value, VALUES)
        if not bool((value == 1).all()):
            raise RuntimeError("its kernels compute something else")
    except Exception as error:
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        log.warning("Triton cannot build kernels here, so torch renders on the GPU: %s", reason)
        return f"Triton cannot build kernels here ({reason})"
    return None


def _takes(mesh: DWMesh, asked: torch.device | None) -> bool:
    """What is on a GPU, and what is not where the processor has only torch."""
    if asked is None and mesh.device.type == "cpu":
        return load_problem("numba") is not None
    return (asked or mesh.device).type == "cuda"


def _device(mesh: DWMesh, asked: torch.device | None) -> torch.device:
    device = asked or mesh.device
    if interpreted():
        return torch.device("cpu")
    if device.type != "cuda":
        if asked is not None:
            raise EX4DError(f"The triton backend computes on a GPU, not on {asked}; use numba or torch there.")
        device = torch.device("cuda")
    return device


def render(mesh: DWMesh, views: list[View], picture: Picture, settings: Settings) -> None:
    """Fill the picture's frames of ``views``; see `render_color_mask`."""
    rows, columns = picture.height * settings.supersample, picture.width * settings.supersample
    largest = max(mesh.height * mesh.width, rows * columns)
    if largest > LARGEST_FRAME:
        raise EX4DError(f"A frame of {columns}x{rows} samples is too large for the triton backend; use torch.")
    batch = max(1, ELEMENTS // largest)
    for start in range(0, len(views), batch):
        settings.poll()
        some = views[start : start + batch]
        color, mask, depth = reduce_samples(*_draw(mesh, some, rows, columns, settings), settings.supersample)
        outputs = slice(some[0].output, some[-1].output + 1)
        store(picture, outputs, color, mask, depth, released=mesh.style == "released")
        for _ in some:
            settings.frame_done()


def _draw(
    mesh: DWMesh, views: list[View], rows: int, columns: int, settings: Settings
) -> tuple[Tensor, Tensor, Tensor]:
    """Samples of some frames: colour 0..255 (F, rows, columns, 3) float32, mask bool, depth float32."""
    from . import triton_kernels as kernels

    device, paper = settings.device, mesh.style == "paper"
    frames, height, width = len(views), mesh.height, mesh.width
    used = [view.source for view in views]
    shown = sorted(set(used))
    depth, rgb = (value[shown].to(device).contiguous() for value in (mesh.depth, mesh.rgb))
    source = torch.tensor([shown.index(frame) for frame in used], device=device)
    numbers = torch.from_numpy(np.stack([_numbers(mesh, view, settings) for view in views])).to(device)
    valid = _valid(mesh, used).to(device).contiguous()
    count, samples = height * width, rows * columns
    grid = torch.empty((frames, 3, count), dtype=torch.float64, device=device)
    keys = torch.zeros((frames, samples), dtype=torch.int64, device=device)
    left_over = torch.empty((frames, count), dtype=torch.int32, device=device)
    count_over = torch.zeros(frames, dtype=torch.int32, device=device)
    color = torch.empty((frames, samples, 3), dtype=torch.float32, device=device)
    mask = torch.empty((frames, samples), dtype=torch.uint8, device=device)
    out_depth = torch.empty((frames, samples), dtype=torch.float32, device=device)
    size = {"VIEW": kernels.VIEW, "BLOCK": BLOCK}
    over_vertices, over_samples = (-(-count // BLOCK), frames), (-(-samples // BLOCK), frames)
    with torch.cuda.device(device) if device.type == "cuda" else torch.no_grad():
        kernels.project[over_vertices](depth, source, numbers, grid, height, width, **size)
        kernels.draw_quads[over_vertices](
            grid, valid, numbers, keys, left_over, count_over, height, width, rows, columns, PAPER=paper, **size
        )
        programs, parts = (4, 1) if interpreted() else (PROGRAMS, PARTS)
        kernels.draw_faces[(programs, parts, frames)](
            depth, source, valid, numbers, keys, left_over, count_over, height, width, rows, columns,
            PAPER=paper, VIEW=kernels.VIEW, PROGRAMS=programs, PARTS=parts, BLOCK=LANES, num_warps=1,
        )  # fmt: skip
        kernels.shade[over_samples](
            depth, rgb, source, valid, numbers, keys, color, mask, out_depth, height, width, rows, columns,
            float(VISIBLE_ALPHA), PAPER=paper, FADE=settings.fade, **size,
        )  # fmt: skip
    shape = (frames, rows, columns)
    return color.view(*shape, 3), mask.view(shape).bool(), out_depth.view(shape)


def _numbers(mesh: DWMesh, view: View, settings: Settings) -> np.ndarray:
    """A row of the kernels' ``views``."""
    source, camera = mesh.lens(view.source), view.intrinsics
    # Both grids: sample (i, j) lies at j * 1 + offset, so the offset moves into the principal point.
    rays = (1.0 / source.fx, 1.0 / source.fy, source.cx - mesh.pixel_offset, source.cy - mesh.pixel_offset)
    lens = (camera.fx, camera.fy, camera.cx - 0.5, camera.cy - 0.5)
    pose = view.source_to_camera[:3].reshape(-1)
    return np.array([*rays, *lens, *pose, settings.near, 1.0 / settings.far], dtype=np.float64)


def _valid(mesh: DWMesh, frames: list[int]) -> Tensor:
    """(F, H*W) uint8: of vertices in released style; in paper style of the quads to their lower right."""
    if mesh.style == "released":
        return mesh.vertex_valid(frames).reshape(len(frames), -1).to(torch.uint8)
    quads = mesh.quad_face_valid(frames)[..., 0]
    return torch.nn.functional.pad(quads.to(torch.uint8), (0, 1, 0, 1)).reshape(len(frames), -1)


BACKEND = Backend(
    name="triton",
    needs="a GPU and Triton, which comes with torch on Linux (on Windows: pip install triton-windows)",
    problem=_problem,
    takes=_takes,
    device=_device,
    render=render,
)
