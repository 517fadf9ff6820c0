"""What of the unseen is taken to be solid: behind each surface as much as the object is wide or high, and free beyond.

A watertight mesh closes everything behind an outline, to the next surface: what another frame saw there would stay hidden.
Without any closing the back of an object, which nobody saw, would show what lies behind the object. Nothing tells how deep an
object is but its picture: it is taken to be as deep as it is wide or high, the greater of both measured through its middle. Where
another frame saw through that, it is not.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..camera import Intrinsics
from .sights import Sights

DEEPER = 0.15
"""Pixels that are farther than another by more than this share are not on its object."""
OUTLINE = 0.08
"""Share of depth from which on a step between cells is an outline."""
CELL = 2
"""Pixels a side of the cells in which solids are kept; each holds the nearest surface in and around it."""


@dataclass(frozen=True, eq=False)
class Solids:
    """Solids of N frames on a coarse grid.

    Attributes:
        front: (N, h, w) float32 planar depth where each begins; a cell is `CELL` pixels wide.
        back: (N, h, w) float32 where it is taken to end; equal to the front where there is none.
    """

    front: Tensor
    back: Tensor

    @classmethod
    def empty(cls, sights: Sights, frames: int) -> Solids:
        """Room for some frames."""
        size = (frames, -(-sights.mesh.height // CELL), -(-sights.mesh.width // CELL))
        front, back = (torch.empty(size, dtype=torch.float32, device=sights.mesh.device) for _ in "fb")
        return cls(front, back)

    def fill(self, index: int, sights: Sights, t: int) -> None:
        """Measure those of frame ``t``."""
        depth = sights.surface(t)
        height, width = depth.shape
        depth = F.pad(depth[None], (0, -width % CELL, 0, -height % CELL), mode="replicate")
        depth = -F.max_pool2d(-depth, CELL)[0]
        back = depth + _thickness(depth, sights.mesh.lens(t))
        self.front[index], self.back[index] = _nearest_around(depth, back)


def _thickness(depth: Tensor, lens: Intrinsics) -> Tensor:
    (left, right), (up, low) = _reach(depth), _reach(depth.T)
    wide = (right - left + 1) * (depth * (CELL / lens.fx))
    high = (low - up + 1).T * (depth * (CELL / lens.fy))
    # A row through a ball's rim is short and so is a column: the other way is measured at the middle of the run.
    height, width = depth.shape
    rows = torch.arange(height, device=depth.device)[:, None]
    columns = torch.arange(width, device=depth.device)
    sideways = torch.minimum(wide, high[rows, torch.div(left + right, 2, rounding_mode="floor")])
    upright = torch.minimum(high, wide[torch.div(up + low, 2, rounding_mode="floor").T, columns])
    return torch.maximum(sideways, upright)


def _nearest_around(front: Tensor, back: Tensor) -> tuple[Tensor, Tensor]:
    """The solid that begins first in the 3x3 cells around each: an outline lies anywhere in its cell."""
    height, width = front.shape
    fronts, backs = (F.pad(plane[None], (1, 1, 1, 1), mode="replicate")[0] for plane in (front, back))
    front, back = front.clone(), back.clone()
    for i in range(3):
        for j in range(3):
            other = fronts[i : i + height, j : j + width]
            nearer = other < front * (1 - OUTLINE)
            front = torch.where(nearer, other, front)
            back = torch.where(nearer, backs[i : i + height, j : j + width], back)
    return front, back


def _reach(depth: Tensor) -> tuple[Tensor, Tensor]:
    """First and last column, (H, W) int64 each, of the run of pixels around each that are not farther than it."""
    last = _reach_right(depth)
    return depth.shape[1] - 1 - _reach_right(depth.flip(1)).flip(1), last


def _reach_right(depth: Tensor) -> Tensor:
    height, width = depth.shape
    limit = depth * (1 + DEEPER)
    farthest = [depth]  # of the 2**level pixels from each on
    while 2 ** len(farthest) < width:
        before, away = farthest[-1], 2 ** (len(farthest) - 1)
        farthest.append(torch.maximum(before, F.pad(before[:, away:], (0, away), value=torch.inf)))
    at = torch.arange(width, device=depth.device).expand(height, width)
    for level in reversed(range(len(farthest))):
        ahead = farthest[level].gather(1, (at + 1).clamp(max=width - 1))
        at = torch.where((ahead <= limit) & (at + 2**level < width), at + 2**level, at)
    return at
