"""Where a surface ends before something nearer: half a pixel beyond the centres of its outermost pixels, not at them.

What lies behind goes on behind the nearer thing, so there it is safe. Where a surface ends before something farther, the outline
lies anywhere between the two centres: half a pixel more would be wrong as often as right.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .surface import joined

FARTHER = 0.05
"""A neighbour that is farther by this share of depth lies behind the surface, not before it."""
STEEPEST = 1.5
"""How many times as far, or as near, as its pixel a rim ends at most."""


@dataclass(frozen=True, eq=False)
class Rims:
    """N quarters of pixels.

    Attributes:
        pixel: (N,) int64 index of the pixel that each is a quarter of.
        row, column: (N, 4) float64, corners upper left, upper right, lower left, lower right; pixels' centres are whole numbers.
        depth: (N, 4) float64 planar depth.
    """

    pixel: Tensor
    row: Tensor
    column: Tensor
    depth: Tensor


def rims(depth: Tensor, quads: Tensor, pixels: Tensor, step: float) -> Rims:
    """The quarters of pixels in quads that are not whole.

    Args:
        depth: (H, W).
        quads: (H-1, W-1) bool, those that are whole.
        pixels: (H, W) bool, those that may be taken.
        step: of depth, as `joined` takes it.
    """
    inverse, links = depth.double().reciprocal(), joined(depth, step)
    parts = [_towards(dims, inverse, links, quads, pixels, max(FARTHER, step)) for dims in ([], [0], [1], [0, 1])]
    return Rims(*(torch.cat([getattr(part, name) for part in parts]) for name in Rims.__dataclass_fields__))


def _towards(
    dims: list[int], inverse: Tensor, links: tuple[Tensor, Tensor], quads: Tensor, pixels: Tensor, farther: float
) -> Rims:
    """The quarters to the lower right of their pixels, once the picture is flipped along ``dims``."""
    inverse, across, down, quads, pixels = (part.flip(dims) for part in (inverse, *links, quads, pixels))
    farthest = torch.minimum(inverse[1:], inverse[:-1])
    farthest = torch.minimum(farthest[:, 1:], farthest[:, :-1])
    behind = farthest >= inverse[:-1, :-1] * (1 - farther)
    row, column = (pixels[:-1, :-1] & ~quads & behind).nonzero(as_tuple=True)
    here = inverse[row, column]
    right = _half_a_pixel_on(inverse, across)[row, column]
    below = _half_a_pixel_on(inverse.T, down.T)[column, row]
    corners = torch.stack([here, right, below, right + below - here], -1)
    corners = corners.clamp(here[:, None] / STEEPEST, here[:, None] * STEEPEST).reciprocal()
    half = torch.tensor([0.0, 0.5], dtype=torch.float64, device=inverse.device)
    rows = (row[:, None, None] + half[:, None]).expand(-1, 2, 2)
    columns = (column[:, None, None] + half).expand(-1, 2, 2)
    height, width = inverse.shape
    if 0 in dims:
        row, rows = height - 1 - row, height - 1 - rows
    if 1 in dims:
        column, columns = width - 1 - column, width - 1 - columns
    ordered = (
        part.reshape(-1, 2, 2).flip([1 + dim for dim in dims]).reshape(-1, 4) for part in (rows, columns, corners)
    )
    return Rims(row * width + column, *ordered)


def _half_a_pixel_on(inverse: Tensor, across: Tensor) -> Tensor:
    """Inverse depth half a pixel to the right of each pixel: halfway to its neighbour, or on as the surface came."""
    half = torch.where(across, inverse[:, 1:] - inverse[:, :-1], 0) / 2
    ahead, before = torch.zeros_like(inverse), torch.zeros_like(inverse)
    ahead[:, :-1], before[:, 1:] = half, half
    alone = torch.ones_like(inverse, dtype=torch.bool)
    alone[:, :-1] = ~across
    return inverse + torch.where(alone, before, ahead)
