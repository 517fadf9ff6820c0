"""The parts of a picture that a result is judged by: all of it, what was seen, the holes, and the rims between them."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from ..holes.distance import distance_to_holes

Region = Literal["all", "seen", "hole", "rim"]
REGIONS: tuple[Region, ...] = get_args(Region)
RING = 6
"""Pixels to each side of a hole's rim."""


def rim(seen: Tensor, reach: int = RING) -> Tensor:
    """(H, W) bool: pixels within ``reach`` of a rim, on both sides; ``seen`` is (H, W) bool."""
    inside, outside = distance_to_holes(seen, reach + 1), distance_to_holes(~seen, reach + 1)
    return (seen & (inside <= reach)) | (~seen & (outside <= reach))


def regions(seen: Tensor | None, size: tuple[int, int]) -> dict[str, Tensor]:
    """Each region of a frame, (H, W) bool, by its name; without a mask there is only ``all``.

    Args:
        seen: (H, W) bool, or None.
        size: (H, W).
    """
    everything = torch.ones(size, dtype=torch.bool)
    if seen is None:
        return {"all": everything}
    return {"all": everything, "seen": seen, "hole": ~seen, "rim": rim(seen)}
