"""The lens: everything is cast at twice the size, and the network sees it through a filter of four taps a side.

At 64x64 a picture of single rays is nothing but edges; a camera's is soft to about a pixel, and so is this.
"""

from __future__ import annotations

import torch
from torch import Tensor

FINER = 2
"""How much finer scenes are cast, and meshes built and rendered."""
TAPS = (1 / 8, 3 / 8, 3 / 8, 1 / 8)
WHOLE = 1 - 1e-4


def soft(fine: Tensor) -> Tensor:
    """(..., 2H, 2W, 3) uint8 to (..., H, W, 3) uint8."""
    return _bytes(_halved(fine.float()))


def soft_where(fine: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """The same where only a part is seen, (..., 2H, 2W) bool.

    Returns:
        Colour (..., H, W, 3) uint8, black in holes; and (..., H, W) bool, where all that the lens takes in is seen.
    """
    whole = _halved(seen[..., None].float())[..., 0] > WHOLE
    return soft(fine) * whole[..., None], whole


def _halved(values: Tensor) -> Tensor:
    """(..., 2H, 2W, C) float to (..., H, W, C)."""
    for axis in (-3, -2):
        size = values.shape[axis]
        ends = values.narrow(axis, 0, 1), values, values.narrow(axis, size - 1, 1)
        wide = torch.cat(ends, dim=axis).unfold(axis, len(TAPS), 2)
        values = (wide * torch.tensor(TAPS, device=wide.device)).sum(-1)
    return values


def _bytes(values: Tensor) -> Tensor:
    return values.round().clamp(0, 255).to(torch.uint8)
