"""Pyramidal Lucas-Kanade in torch, for where OpenCV is not installed.

Source: Bouguet, "Pyramidal implementation of the Lucas Kanade feature tracker" (2000): from the smallest picture of the
pyramid to the largest, the shift of a window that makes it look like its own in the frame before, by Newton's steps.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .steps import follow, grey
from .tracks import Tracks

SIDE, LEVELS, STEPS = 21, 3, 20
"""Of the window in pixels; halvings of the picture; Newton steps at most."""
STILL = 0.01
"""Pixels: a point that a step moves no farther has arrived."""
LEAST_TEXTURE = 1e-3
"""Smallest eigenvalue, per pixel of the window and for values 0..255, of a window that can be followed."""


def track(frames: np.ndarray, points: np.ndarray, cancel: Callable[[], bool] | None) -> Tracks:
    """Points of the first frame through the clip; see `tracks.Forwards`."""
    pictures = torch.from_numpy(grey(frames)).float()
    kept: dict[int, list[Tensor]] = {}

    def pyramid(t: int) -> list[Tensor]:
        if t not in kept:
            for old in [key for key in kept if abs(key - t) > 1]:
                del kept[old]
            kept[t] = _pyramid(pictures[t])
        return kept[t]

    def move(frame: int, following: int, begun: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        there, found = _move(pyramid(frame), pyramid(following), torch.from_numpy(np.ascontiguousarray(begun)))
        return there.numpy(), found.numpy()

    return follow(range(len(frames)), points, frames.shape[1:3], move, cancel)


def _pyramid(picture: Tensor) -> list[Tensor]:
    """The picture and its halvings, each (1, 1, h, w), as long as a window fits into them."""
    levels = [picture[None, None]]
    while len(levels) <= LEVELS and min(levels[-1].shape[-2:]) >= 2 * SIDE:
        levels.append(functional.avg_pool2d(levels[-1], 2))
    return levels


def _move(before: list[Tensor], after: list[Tensor], points: Tensor) -> tuple[Tensor, Tensor]:
    shift = torch.zeros_like(points)
    found = torch.ones(len(points), dtype=torch.bool)
    reach = torch.arange(SIDE, dtype=torch.float32) - SIDE // 2
    window = torch.stack(torch.meshgrid(reach, reach, indexing="xy"), dim=-1).view(1, -1, 2)
    for level in reversed(range(len(before))):
        # Pixel centres at +0.5 at every level: halving a picture halves its coordinates.
        places = points[:, None] / 2**level + window
        own = _sample(before[level], places)
        unit = torch.eye(2)
        dx, dy = ((_sample(before[level], places + e) - _sample(before[level], places - e)) / 2 for e in unit)
        xx, xy, yy = (dx * dx).sum(-1), (dx * dy).sum(-1), (dy * dy).sum(-1)
        determinant = xx * yy - xy * xy
        least = (xx + yy - ((xx - yy).square() + 4 * xy * xy).sqrt()) / (2 * SIDE * SIDE)
        textured = least > LEAST_TEXTURE
        determinant = torch.where(textured, determinant, torch.ones_like(determinant))
        local = shift / 2**level
        moving = textured.nonzero()[:, 0]
        for _ in range(STEPS):
            error = own[moving] - _sample(after[level], places[moving] + local[moving][:, None])
            bx, by = (dx[moving] * error).sum(-1), (dy[moving] * error).sum(-1)
            a, b, c = xx[moving], xy[moving], yy[moving]
            step = torch.stack([c * bx - b * by, a * by - b * bx], dim=-1) / determinant[moving][:, None]
            local[moving] += step
            moving = moving[step.abs().amax(-1) >= STILL]
            if not len(moving):
                break
        shift = local * 2**level
        if level == 0:
            found = textured
    return points + shift, found & torch.isfinite(shift).all(-1)


def _sample(picture: Tensor, places: Tensor) -> Tensor:
    """(N, K) values of a (1, 1, h, w) picture at (N, K, 2) places, pixel centres at +0.5."""
    height, width = picture.shape[-2:]
    grid = places / torch.tensor([width, height]) * 2 - 1
    return functional.grid_sample(picture, grid[None], padding_mode="border", align_corners=False)[0, 0]
