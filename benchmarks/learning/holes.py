"""Holes: simulated ones for training, by the code that users have, and true ones of other cameras, for judging."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ex4d_core.camera import Intrinsics
from ex4d_core.holes.draft_fill import draft_fill
from ex4d_core.mesh import DWMesh, build_dw_mesh
from ex4d_core.render import render_color_mask
from ex4d_core.training.draws import stream
from ex4d_core.training.masks import MaskSettings, simulate_mask
from ex4d_core.training.masks.blocks import random_mask
from ex4d_core.training.masks.rendering import orbit
from ex4d_core.training.trackers import choose_tracker
from ex4d_core.trajectory import Trajectory

from .clips import relative

SETTINGS = {"grid": (4, 13), "dilation": "off"}
"""A token is 8 pixels here and 16 in Wan: blocks keep their size in tokens. The dilation's 5 pixels are less than one here."""
RANDOM_MASKS = 2


@dataclass(frozen=True)
class View:
    """A held-out clip seen by other cameras; (T, H, W, ...) uint8 and bool.

    Attributes:
        path: (T, 4, 4) of those cameras.
        color, seen: what the mesh shows of the clip there.
        fill: ``color`` with its holes filled for a draft.
    """

    path: np.ndarray
    color: Tensor
    seen: Tensor
    fill: Tensor


def mesh_of(frames: Tensor, depth: Tensor, path: np.ndarray) -> DWMesh:
    """The paper's mesh of a clip and its exact depth."""
    height, width = depth.shape[1:]
    cameras = relative(path)
    moves = np.abs(cameras - np.eye(4)).max() > 1e-6
    source = Trajectory(cameras.astype(np.float32)) if moves else None
    return build_dw_mesh(frames, depth, Intrinsics.default(width, height), style="paper", source_camera=source)


def simulated(job: tuple[int, Tensor, Tensor, np.ndarray]) -> Tensor:
    """Masks of one clip: (2 + RANDOM_MASKS, T, H, W) bool: rendering, tracking, random ones."""
    number, frames, depth, path = job
    mesh, tracker = mesh_of(frames, depth, path), choose_tracker("torch")
    masks = [
        simulate_mask(frames, MaskSettings(kind="rendering", **SETTINGS), seed=0, sample=number, mesh=mesh).seen,
        simulate_mask(frames, MaskSettings(kind="tracking", **SETTINGS), seed=0, sample=number, tracker=tracker).seen,
    ]
    size = (frames.shape[1], frames.shape[2])
    for variant in range(RANDOM_MASKS):
        draws = stream(variant + 1, number, "mask")
        masks.append(random_mask(len(frames), size, MaskSettings(kind="random", **SETTINGS), draws))
    return torch.stack(masks)


def viewed(job: tuple[Tensor, Tensor, np.ndarray, float]) -> View:
    """A clip from cameras that go around it, from the source's view to an angle in degrees."""
    frames, depth, path, angle = job
    mesh = mesh_of(frames, depth, path)
    cameras = orbit(np.linspace(0, angle, mesh.frames), mesh.radius)
    color, mask, found = render_color_mask(mesh, cameras, keep_first_frame=True, out_dtype="uint8")
    seen = mask > 0
    return View(cameras.world_to_camera.astype(np.float64), color, seen, draft_fill(color, seen, found))
