"""Masks of blocks: such as follow tracked points, and such as follow nothing."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .settings import MaskSettings

CLUSTERS = (1, 6)
"""Least and greatest number of groups of hidden points; ours."""


def grid_points(count: int, height: int, width: int) -> np.ndarray:
    """(count * count, 2) float32 pixels (x, y): the middles of a grid of cells over the picture."""
    share = (np.arange(count) + 0.5) / count
    x, y = np.meshgrid(share * width, share * height)
    return np.stack([x.ravel(), y.ravel()], axis=-1).astype(np.float32)


def draw_hidden(points: np.ndarray, settings: MaskSettings, draws: np.random.Generator) -> np.ndarray:
    """Numbers of the points that are hidden: neighbours, in a few groups that together have the drawn share.

    Args:
        points: (N, 2) pixels in the frame where tracking starts.
        settings: the share's range.
        draws: what is random.
    """
    total = max(1, round(draws.uniform(*settings.hidden_share) * len(points)))
    groups = int(draws.integers(CLUSTERS[0], CLUSTERS[1] + 1))
    sizes = np.maximum(1, np.round(draws.dirichlet(np.ones(groups)) * total)).astype(int)
    free = np.ones(len(points), bool)
    for size in sizes:
        middle = points[draws.integers(len(points))]
        distance = np.where(free, np.square(points - middle).sum(-1), np.inf)
        nearest = np.argsort(distance, kind="stable")[: min(size, free.sum())]
        free[nearest] = False
    return np.flatnonzero(~free)


def draw_sides(
    count: int, cells: int, size: tuple[int, int], settings: MaskSettings, draws: np.random.Generator
) -> np.ndarray:
    """(count, 2) float32 widths and heights of blocks in pixels, each drawn in cells of the grid."""
    height, width = size
    sides = draws.uniform(*settings.block, size=(count, 2)) * (width / cells, height / cells)
    return sides.astype(np.float32)


def hide_blocks(path: np.ndarray, visible: np.ndarray, sides: np.ndarray, size: tuple[int, int]) -> Tensor:
    """A mask with a hole around every visible point; a point that is not visible hides nothing.

    Args:
        path: (T, N, 2) pixels (x, y), pixel centres at +0.5.
        visible: (T, N) bool.
        sides: (N, 2) width and height of each block; at least one pixel is hidden.
        size: (height, width).

    Returns:
        (T, H, W) bool, True = seen.
    """
    height, width = size
    seen = np.ones((len(path), height, width), bool)
    first = np.floor(path - sides / 2 + 0.5).astype(int)
    last = np.maximum(first + 1, np.floor(path + sides / 2 + 0.5).astype(int))
    for t, n in np.argwhere(visible):
        (left, top), (right, bottom) = np.maximum(first[t, n], 0), np.maximum(last[t, n], 0)
        seen[t, top:bottom, left:right] = False
    return torch.from_numpy(seen)


def random_mask(frames: int, size: tuple[int, int], settings: MaskSettings, draws: np.random.Generator) -> Tensor:
    """Blocks like those of a tracking mask, in places drawn anew in every frame: (T, H, W) bool, True = seen."""
    height, width = size
    cells = int(draws.integers(settings.grid[0], settings.grid[1] + 1))
    count = max(1, round(draws.uniform(*settings.hidden_share) * cells * cells))
    sides = draw_sides(count, cells, size, settings, draws)
    path = draws.random((frames, count, 2), dtype=np.float32) * np.array([width, height], dtype=np.float32)
    return hide_blocks(path, np.ones((frames, count), bool), sides, size)
