"""Which neighbouring pixels lie on one surface: not the mesh's rule, which also drops what is only seen at a slant."""

from __future__ import annotations

import torch
from torch import Tensor

STEP = 0.02
"""A depth step of this share between neighbours is never a break, nor is one that goes on as it came."""
AS_BEFORE = 3.0
"""How many times as long as its neighbours' a step of inverse depth may be; on a plane they are equal."""


def joined(depth: Tensor, step: float = STEP) -> tuple[Tensor, Tensor]:
    """Neighbours on one surface.

    Args:
        depth: (H, W) planar depth.
        step: share of depth up to which a step is never a break; more where the depth is noisy.

    Returns:
        (H, W-1) bool, each pixel and the one to its right; (H-1, W) bool, each and the one below.
    """
    return _joined_across(depth, step), _joined_across(depth.T, step).T


def whole_quads(depth: Tensor, step: float = STEP) -> Tensor:
    """(H-1, W-1) bool, quads of four neighbouring pixels on one surface."""
    across, down = joined(depth, step)
    return across[:-1] & across[1:] & down[:, :-1] & down[:, 1:]


def _joined_across(depth: Tensor, least: float) -> Tensor:
    inverse = depth.reciprocal()
    step = (inverse[:, 1:] - inverse[:, :-1]).abs()
    before, after = torch.full_like(step, torch.inf), torch.full_like(step, torch.inf)
    before[:, 2:], after[:, :-2] = step[:, 1:-1], step[:, 1:-1]  # the steps to the outermost ring tell nothing
    usual = AS_BEFORE * torch.minimum(before, after)
    usual[usual.isinf()] = 0
    return step <= torch.maximum(usual, least * torch.maximum(inverse[:, 1:], inverse[:, :-1]))
