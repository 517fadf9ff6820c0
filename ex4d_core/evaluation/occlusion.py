"""Whether what a camera must not see stays hidden in a picture, told by colours alone: for videos that come without depth."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

DIFFERENT = 24.0
"""Levels of 255 by which what is in front and what it hides must differ, so that a pixel can tell which of the two it shows."""
CHANNELS = 3


@dataclass(frozen=True, eq=False)
class Hidden:
    """What the source sees, and the cameras of a path do not, since a surface is in front of it.

    Attributes:
        color: (T, H, W, 3) uint8 where it would be shown.
        there: (T, H, W) bool.
    """

    color: Tensor
    there: Tensor


def kept_hidden(picture: Tensor, truth: Tensor, hidden: Tensor, where: Tensor) -> float:
    """Share of the pixels that could show something hidden, and are nearer to the truth's colour.

    The truth's colour is the nearest one within a pixel, so that a picture that is off by one is not blamed.

    Args:
        picture: (H, W, 3) uint8.
        truth: likewise.
        hidden: likewise, colour of what is behind.
        where: (H, W) bool, pixels to be judged.

    Returns:
        0..1; NaN where no pixel can tell.
    """
    shown, right, behind = (one.permute(2, 0, 1).float() for one in (picture, truth, hidden))
    judged = where & ((right - behind).abs().mean(0) > DIFFERENT)
    count = int(judged.sum())
    if not count:
        return math.nan
    around = F.unfold(F.pad(right[None], (1, 1, 1, 1), mode="replicate"), 3).view(CHANNELS, 9, *where.shape)
    to_truth = (around - shown[:, None]).abs().mean(0).amin(0)
    to_behind = (behind - shown).abs().mean(0)
    return int((to_truth <= to_behind)[judged].sum()) / count
