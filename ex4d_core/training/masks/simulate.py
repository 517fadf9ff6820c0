"""One mask for one sample of a run: its kind and all its numbers follow from the seed and the sample's number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch
from torch import Tensor

from ...errors import EX4DError
from ...mesh import DWMesh
from ..draws import stream
from ..trackers import Tracker
from .blocks import draw_hidden, draw_sides, grid_points, hide_blocks, random_mask
from .rendering import draw_angles, rendering_mask, visible_mask
from .settings import MaskKind, MaskSettings, PlainKind

MIXED: tuple[PlainKind, ...] = get_args(PlainKind)[:3]
"""Kinds that "mixed" draws from, in the order of the shares."""
RENDERED: tuple[MaskKind, ...] = ("mixed", "rendering", "both", "visible_mesh")
TRACKED: tuple[MaskKind, ...] = ("mixed", "tracking", "both")


@dataclass(frozen=True)
class SimulatedMask:
    """A mask for a clip.

    Attributes:
        seen: (T, H, W) bool, False = hole.
        kind: what was drawn.
        angles: (T,) degrees of the rendering camera; None where there was none.
        grid: points along a side that were tracked; 0 where none were.
    """

    seen: Tensor
    kind: PlainKind
    angles: np.ndarray | None = None
    grid: int = 0

    @property
    def holes(self) -> float:
        """Share of pixels that are holes."""
        return 1 - float(self.seen.float().mean())

    def summary(self) -> str:
        """One line for people."""
        parts = [f"{self.kind} mask, {self.holes:.0%} holes"]
        if self.angles is not None:
            parts.append(f"camera {self.angles[0]:.0f} to {self.angles[-1]:.0f} degrees")
        if self.grid:
            parts.append(f"{self.grid} x {self.grid} points")
        return ", ".join(parts)


def needs_mesh(kind: MaskKind) -> bool:
    """Whether masks of a kind are rendered from the clip's mesh."""
    return kind in RENDERED


def needs_tracker(kind: MaskKind) -> bool:
    """Whether masks of a kind follow tracked points."""
    return kind in TRACKED


def simulate_mask(
    frames: Tensor,
    settings: MaskSettings,
    *,
    seed: int,
    sample: int,
    mesh: DWMesh | None = None,
    tracker: Tracker | None = None,
    cancel: Callable[[], bool] | None = None,
) -> SimulatedMask:
    """The mask of one sample.

    Args:
        frames: (T, H, W, 3) uint8, the clip.
        settings: how masks are made.
        seed: of the run.
        sample: its number in the run; the same number gives the same mask, whatever was made before.
        mesh: of the clip, where `needs_mesh`.
        tracker: follows points, where `needs_tracker`.
        cancel: polled while rendering and tracking.

    Raises:
        EX4DError: a mesh or a tracker that is missing, or a mesh of another clip.
        Cancelled: ``cancel`` returned True.
    """
    size = (frames.shape[1], frames.shape[2])
    if needs_mesh(settings.kind) and mesh is None:
        raise EX4DError(f"Masks of the kind {settings.kind} are rendered from the clip's mesh, and there is none.")
    if (
        needs_mesh(settings.kind)
        and mesh is not None
        and (mesh.frames, mesh.height, mesh.width) != (len(frames), *size)
    ):
        raise EX4DError(
            f"The mesh has {mesh.frames} frames of {mesh.width}x{mesh.height}, the clip {len(frames)} of "
            f"{size[1]}x{size[0]}. Both must come from the same video."
        )
    if needs_tracker(settings.kind) and tracker is None:
        raise EX4DError(f"Masks of the kind {settings.kind} follow tracked points, and no tracker was given.")
    draws = stream(seed, sample, "mask")
    kind = _draw_kind(settings, draws)
    if kind == "random":
        return SimulatedMask(random_mask(len(frames), size, settings, draws), kind)
    seen = torch.ones(len(frames), *size, dtype=torch.bool)
    angles, grid = None, 0
    if mesh is not None and kind in ("rendering", "both", "visible_mesh"):
        angles = draw_angles(len(frames), settings.sweep, settings.angle, draws)
        if kind == "visible_mesh":
            seen = visible_mask(mesh, angles, cancel=cancel)
        else:
            seen = rendering_mask(mesh, angles, dilation=settings.dilation, kernel=settings.kernel, cancel=cancel)
    if tracker is not None and kind in ("tracking", "both"):
        blocks, grid = _tracking_mask(frames, settings, draws, tracker, cancel)
        seen = seen & blocks
    return SimulatedMask(seen, kind, angles, grid)


def _draw_kind(settings: MaskSettings, draws: np.random.Generator) -> PlainKind:
    number = draws.random()  # drawn for every kind, so that the other numbers do not depend on it
    if settings.kind != "mixed":
        return settings.kind
    share = np.cumsum(settings.shares) / sum(settings.shares)
    return MIXED[min(int(np.searchsorted(share, number, side="right")), len(MIXED) - 1)]


def _tracking_mask(
    frames: Tensor,
    settings: MaskSettings,
    draws: np.random.Generator,
    tracker: Tracker,
    cancel: Callable[[], bool] | None,
) -> tuple[Tensor, int]:
    size = (frames.shape[1], frames.shape[2])
    cells = int(draws.integers(settings.grid[0], settings.grid[1] + 1))
    start = int(draws.integers(len(frames)))
    points = grid_points(cells, *size)
    hidden = draw_hidden(points, settings, draws)
    sides = draw_sides(len(hidden), cells, size, settings, draws)
    # Only what will be hidden is tracked.
    tracks = tracker(frames.cpu().numpy(), points[hidden], start, cancel)
    return hide_blocks(tracks.path, tracks.seen, sides, size), cells
