"""Holes of a finished picture filled from the scene's memory: one way for every renderer, compiled or in plain torch.

A sample is filled by the nearest remembered surface on its ray, unless that shows its back, or the ray passes through
something solid on its way (`ex4d_core.scene_memory.solids`). What the frame itself saw is never touched.
"""

from __future__ import annotations

from queue import SimpleQueue

import numpy as np
import torch
from torch import Tensor

from ..mesh import DWMesh
from ..scene_memory import SceneMemory
from .backend import load_problem
from .frames import affordable_threads, draw_on_threads
from .recollection import SPACING, STEPS, recollection
from .torch_triangles import recall_frame
from .view import Picture, Settings, View, rounding


def recall(memory: SceneMemory, mesh: DWMesh, views: list[View], picture: Picture, settings: Settings) -> Tensor:
    """Fill the holes of the picture's frames of ``views``.

    Returns:
        (T, H, W) in the mask's type: what came from memory, as the mask tells what was seen; 0 in frames without a view.
    """
    remembered = torch.zeros_like(picture.mask)
    released = mesh.style == "released"
    if not len(memory.layer.faces):
        for _ in views:
            settings.frame_done()
    elif picture.mask.device.type == "cpu" and load_problem("numba") is None:
        _recall_compiled(memory, mesh, views, picture, remembered, settings, released)
    else:
        memory = memory.to(picture.mask.device)
        for view in views:
            settings.poll()
            recall_frame(memory, recollection(memory, mesh, view, picture), picture, remembered, settings, released)
            settings.frame_done()
    return remembered


class _Workspace:
    """One thread's buffers."""

    def __init__(self, memory: SceneMemory, picture: Picture) -> None:
        self.placed = np.empty((len(memory.layer.points), 3))
        self.keys = np.empty((picture.height, picture.width), np.uint64)
        self.found = np.empty((picture.height, picture.width), np.float32)


def _recall_compiled(
    memory: SceneMemory,
    mesh: DWMesh,
    views: list[View],
    picture: Picture,
    remembered: Tensor,
    settings: Settings,
    released: bool,
) -> None:
    from . import numba_triangles as kernels

    layer = memory.layer
    points, colors, faces = (part.cpu().contiguous().numpy() for part in (layer.points, layer.colors, layer.faces))
    front, back, moving = (
        part.cpu().contiguous().numpy() for part in (memory.solids.front, memory.solids.back, memory.moving.byte())
    )
    fronts, backs = (part.cpu().contiguous().numpy() for part in (memory.witnesses.front, memory.witnesses.back))
    threads = affordable_threads(len(views), 24 * len(points) + 12 * picture.height * picture.width)
    workspaces: SimpleQueue[_Workspace] = SimpleQueue()
    for _ in range(threads):
        workspaces.put(_Workspace(memory, picture))
    stop = np.zeros(1, np.uint8)
    scale, guard, full = (1.0, rounding(released), 255) if picture.is_uint8 else (1.0 / 255.0, 0.0, 1)

    def draw(view: View) -> None:
        work = workspaces.get()
        try:
            one = recollection(memory, mesh, view, picture)
            target = [part[view.output].numpy() for part in (picture.color, picture.mask, picture.depth, remembered)]
            kernels.place(points, one.world_to_camera, one.lens, settings.near, work.placed)
            kernels.draw(work.placed, faces, 1.0 / settings.far, target[1], work.keys, stop)
            kernels.resolve(work.placed, faces, work.keys, work.found)
            kernels.clear(
                front[view.source], back[view.source], moving[view.source], fronts, backs, one.cells,
                one.to_witness, memory.tolerance, one.lens, settings.near, STEPS, SPACING, work.found, stop,
            )  # fmt: skip
            kernels.paint(work.placed, faces, colors, work.keys, work.found, scale, guard, full, *target)
        finally:
            workspaces.put(work)

    draw_on_threads(draw, views, threads, settings, lambda: stop.fill(1))
