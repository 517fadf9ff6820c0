"""CPU backend: one frame per core, drawn by the machine code of `numba_kernels`.

Kernels run without the GIL on plain threads: numba's own parallel loops abort the process when two Python threads enter
them on its workqueue layer.
"""

from __future__ import annotations

import math
from queue import SimpleQueue

import numpy as np
import torch

from ..machine import extras
from ..mesh import DWMesh
from .backend import Backend, load_problem
from .frames import affordable_threads, draw_on_threads
from .view import Picture, Settings, View, reduce_samples, rounding, store

BYTES, SUPERSAMPLED_BYTES = 10, 60
"""Of one sample or vertex: its key; supersampled also the sample's colour, mask and depth while they are reduced."""


def render(mesh: DWMesh, views: list[View], picture: Picture, settings: Settings) -> None:
    """Fill the picture's frames of ``views``; see `render_color_mask`."""
    depth, rgb = mesh.depth.cpu().contiguous().numpy(), mesh.rgb.cpu().contiguous().numpy()
    threads = affordable_threads(len(views), _held(mesh, picture, settings.supersample))
    workspaces: SimpleQueue[_Workspace] = SimpleQueue()
    for _ in range(threads):
        workspaces.put(_Workspace(mesh, picture, settings.supersample))

    stop = np.zeros(1, np.uint8)

    def draw(view: View) -> None:
        workspace = workspaces.get()
        try:
            _draw(mesh, depth[view.source], rgb[view.source], view, picture, settings, workspace, stop)
        finally:
            workspaces.put(workspace)

    draw_on_threads(draw, views, threads, settings, lambda: stop.fill(1))


def _held(mesh: DWMesh, picture: Picture, supersample: int) -> int:
    samples = picture.height * picture.width * supersample**2
    return samples * (BYTES if supersample == 1 else SUPERSAMPLED_BYTES) + mesh.height * mesh.width * BYTES


class _Workspace:
    """One thread's buffers."""

    def __init__(self, mesh: DWMesh, picture: Picture, supersample: int) -> None:
        rows, columns = picture.height * supersample, picture.width * supersample
        self.keys = np.empty((rows, columns), np.uint64)
        self.valid = np.empty((mesh.height, mesh.width), np.uint8)
        self.row = np.empty((2, mesh.width, 3), np.float64)
        self.across = np.empty((2, mesh.width), np.float64)
        self.samples = Picture.empty(1, rows, columns, torch.float32, "cpu") if supersample > 1 else None


def _draw(
    mesh: DWMesh,
    depth: np.ndarray,
    rgb: np.ndarray,
    view: View,
    picture: Picture,
    settings: Settings,
    work: _Workspace,
    stop: np.ndarray,
) -> None:
    from . import numba_kernels

    paper = mesh.style == "paper"
    source = mesh.lens(view.source)
    # Both grids: sample (i, j) lies at j * 1 + offset, so the offset moves into the principal point.
    rays = (1.0 / source.fx, 1.0 / source.fy, source.cx - mesh.pixel_offset, source.cy - mesh.pixel_offset)
    camera = view.intrinsics
    lens = (float(camera.fx), float(camera.fy), camera.cx - 0.5, camera.cy - 0.5)
    pose = np.ascontiguousarray(view.source_to_camera[:3])
    limit = 4.0 * math.cos(math.radians(mesh.min_angle)) ** 2
    numba_kernels.rasterise(
        depth, rays, pose, lens, settings.near, settings.far, limit, mesh.max_jump, paper,
        work.keys, work.valid, work.row, work.across, stop,
    )  # fmt: skip
    if work.samples is None:
        target, index = picture, view.output
    else:
        target, index = work.samples, 0
    color, mask, z = target.color[index].numpy(), target.mask[index].numpy(), target.depth[index].numpy()
    scale, guard, full = (1.0, rounding(not paper), 255) if target.is_uint8 else (1.0 / 255.0, 0.0, 1)
    numba_kernels.shade(
        depth, rgb, rays, pose, lens, paper, settings.fade, work.keys, work.valid, scale, guard, full, color, mask, z
    )
    if work.samples is not None:
        fine = work.samples
        pixels = reduce_samples(fine.color * 255.0, fine.mask > 0, fine.depth, settings.supersample)
        store(picture, slice(view.output, view.output + 1), *pixels, released=not paper)


def _takes(mesh: DWMesh, asked: torch.device | None) -> bool:
    """For the processor, and for Apple's GPU, on which no renderer computes; other GPUs draw what lies on them."""
    return (asked or mesh.device).type in ("cpu", "mps")


BACKEND = Backend(
    name="numba",
    needs=extras.command("numba"),
    problem=lambda: load_problem("numba"),
    takes=_takes,
    device=lambda *_: torch.device("cpu"),
    render=render,
)
