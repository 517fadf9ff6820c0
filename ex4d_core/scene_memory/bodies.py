"""From pixels that moved to the things that they are on."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .surface import joined

REACH = 0.02
"""How far what moved reaches over its surface, in shares of the picture's width."""
CROWD = 3
"""Pixels in the 3x3 around one, at least, that have to be contradicted for it to be more than noise."""
PARTLY = 0.3
"""A body is moved in all of its pixels where this share of those that would have told is contradicted, and"""
OF_ALL = 0.05
"""this share of all of its pixels: of a plain wall few would have told, and what moves before it contradicts it at its edge."""
SAME_BODY = 0.1
"""Depths of a pixel and of its cell on the coarser grid differ by at most this share where they are on one body."""


def over_surface(contradicted: Tensor, depth: Tensor, known: Tensor | None, step: float) -> Tensor:
    """What moves, over the surface that it is on.

    Args:
        contradicted: (H, W) bool.
        depth: (H, W).
        known: (h, w) bool, bodies found on a coarser grid.
        step: of depth, as `joined` takes it.

    Returns:
        (H, W) bool.
    """
    around = F.avg_pool2d(contradicted[None, None].float(), 3, 1, 1)[0, 0] * 9
    core = contradicted & (around > CROWD - 0.5)
    if known is not None:
        rows, columns = (_nearest(fine, coarse, depth) for fine, coarse in zip(depth.shape, known.shape, strict=True))
        cells = known[rows[:, None], columns]
        core |= cells & (contradicted | _same_body(depth, known.shape, rows, columns))
    across, down = joined(depth, step)
    for _ in range(max(1, round(depth.shape[1] * REACH))):
        grown = core.clone()
        grown[:, 1:] |= core[:, :-1] & across
        grown[:, :-1] |= core[:, 1:] & across
        grown[1:] |= core[:-1] & down
        grown[:-1] |= core[1:] & down
        core = grown
    return core | contradicted


def _nearest(fine: int, coarse: int, like: Tensor) -> Tensor:
    index = torch.arange(fine, device=like.device)
    return torch.div(index * coarse, fine, rounding_mode="floor")


def _same_body(depth: Tensor, cells: torch.Size, rows: Tensor, columns: Tensor) -> Tensor:
    height, width = depth.shape
    centre_i = ((torch.arange(cells[0], device=depth.device) + 0.5) * (height / cells[0])).long()
    centre_j = ((torch.arange(cells[1], device=depth.device) + 0.5) * (width / cells[1])).long()
    middle = depth[centre_i[:, None], centre_j][rows[:, None], columns]
    return (depth - middle).abs() <= SAME_BODY * middle


def whole_bodies(contradicted: Tensor, telling: Tensor, depth: Tensor, step: float) -> Tensor:
    """Bodies, pieces of unbroken surface, that move.

    The inside of a plain thing that moves contradicts nobody, and says nothing either: only what stands out from its
    surroundings, and still was confirmed, speaks for a body's rest.

    Args:
        contradicted: (T, H, W) bool.
        telling: (T, H, W) bool, what stands still and would have told, had it moved.
        depth: (T, H, W).
        step: of depth, as `joined` takes it.

    Returns:
        (T, H, W) bool.
    """
    label = torch.arange(depth.numel(), device=depth.device).reshape(depth.shape)
    edges = [joined(frame, step) for frame in depth]
    across, down = (torch.stack(part) for part in zip(*edges, strict=True))
    while True:
        lowest = label.clone()
        for one, other, link in (
            (lowest[:, :, 1:], label[:, :, :-1], across),
            (lowest[:, :, :-1], label[:, :, 1:], across),
            (lowest[:, 1:], label[:, :-1], down),
            (lowest[:, :-1], label[:, 1:], down),
        ):
            one.copy_(torch.where(link, torch.minimum(one, other), one))
        lowest = lowest.view(-1)[lowest]  # straight to the label of the label
        lowest = lowest.view(-1)[lowest]
        if torch.equal(lowest, label):
            break
        label = lowest
    label = label.reshape(-1)
    against, speaking = (
        torch.bincount(label, marks.reshape(-1).double(), label.numel())
        for marks in (contradicted, contradicted | telling)
    )
    size = torch.bincount(label, minlength=label.numel())
    moves = (against >= PARTLY * speaking) & (against >= OF_ALL * size)
    return moves[label].reshape(depth.shape)
