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
from .lens import soft, soft_where

SETTINGS = {"grid": (4, 13), "dilation": "off"}
"""A token is 8 pixels here and 16 in Wan: blocks keep their size in tokens. The dilation's 5 pixels are about one here."""
RENDERING, TRACKING, RANDOM = slice(0, 2), 2, slice(3, 5)
"""Where masks of each kind lie among those of a clip."""


@dataclass(frozen=True)
class View:
    """A held-out clip seen by other cameras; (T, H, W, ...) uint8 and bool, as the network sees them.

    Attributes:
        path: (T, 4, 4) of those cameras.
        color, seen: what the mesh shows of the clip there.
        fill: the mesh's picture with its holes filled for a draft.
    """

    path: np.ndarray
    color: Tensor
    seen: Tensor
    fill: Tensor


def mesh_of(fine: np.ndarray, depth: np.ndarray, path: np.ndarray) -> DWMesh:
    """The paper's mesh of a clip and its exact depth, at the size that both were cast in."""
    height, width = depth.shape[1:]
    cameras = relative(path)
    moves = np.abs(cameras - np.eye(4)).max() > 1e-6
    source = Trajectory(cameras.astype(np.float32)) if moves else None
    lens = Intrinsics.default(width, height)
    return build_dw_mesh(torch.from_numpy(fine), torch.from_numpy(depth), lens, style="paper", source_camera=source)


def simulated(job: tuple[int, np.ndarray, np.ndarray, np.ndarray]) -> np.ndarray:
    """Masks of one clip: (5, T, H, W) bool: two rendering masks, a tracking mask, two random ones.

    Args:
        job: number of the clip, its pictures and depth as cast, its cameras.
    """
    number, fine, depth, path = job
    mesh, tracker = mesh_of(fine, depth, path), choose_tracker("torch")
    rendering, tracking, random = (MaskSettings(kind=kind, **SETTINGS) for kind in ("rendering", "tracking", "random"))
    large = torch.from_numpy(fine)
    frames = soft(large)
    masks = [
        soft_where(large, simulate_mask(large, rendering, seed=variant, sample=number, mesh=mesh).seen)[1]
        for variant in range(2)
    ]
    masks.append(simulate_mask(frames, tracking, seed=0, sample=number, tracker=tracker).seen)
    size = (frames.shape[1], frames.shape[2])
    masks += [random_mask(len(frames), size, random, stream(1 + variant, number, "mask")) for variant in range(2)]
    return torch.stack(masks).numpy()


def viewed(job: tuple[np.ndarray, np.ndarray, np.ndarray, float]) -> View:
    """A clip, as cast, from cameras that go around it, from the source's view to an angle in degrees."""
    fine, depth, path, angle = job
    mesh = mesh_of(fine, depth, path)
    cameras = orbit(np.linspace(0, angle, mesh.frames), mesh.radius)
    color, mask, found = render_color_mask(mesh, cameras, keep_first_frame=True, out_dtype="uint8")
    fill = soft(draft_fill(color, mask > 0, found))
    return View(cameras.world_to_camera.astype(np.float64), *soft_where(color, mask > 0), fill)
