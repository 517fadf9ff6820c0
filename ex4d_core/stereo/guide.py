"""What was generated for the left eye, carried over to the right: two eyes that were filled one by one would fight."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..camera import Intrinsics
from ..errors import Cancelled, EX4DError
from ..pixels import lay_into_holes
from .pair import StereoPair

SAME_PLACE = 1.0
"""Pixels of disparity by which two depths may differ and still be one surface."""
SMOOTHED_ROWS = 9
"""Rows over which the depth assumed in holes is evened out, so that generated things do not fray."""


@dataclass(frozen=True, eq=False)
class Guided:
    """The right eye, with what the left eye's result knows.

    Attributes:
        color: (T, H, W, 3) like the pair's; the hole colour in what is left to generate.
        mask: (T, H, W) like the pair's, 1 = known now, 0 = still to be generated.
        holes_before, holes_after: share of the right eye's pixels, 0..1.
    """

    color: Tensor
    mask: Tensor
    holes_before: float
    holes_after: float


def carry_over(
    pair: StereoPair,
    left_result: Tensor,
    *,
    hole_color: tuple[float, float, float] = (0.0, 0.0, 0.0),
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Guided:
    """Lay the finished left eye into the right one.

    A pixel of the right eye is looked up in the left one through its depth, and taken where the left one shows the same
    surface. A hole has no depth; it is assumed to go on at that of the farther of the seen pixels to its left and right, in
    both eyes. Pixels that only the right eye sees keep the rendered colour, and what only it has a hole for stays one.

    Args:
        pair: as `render_stereo` made it.
        left_result: (T, H, W, 3), the left eye after generation, of the pair's type.
        hole_color: of what is left, RGB 0..1.
        progress: called with (frames done, frames).
        cancel: polled before each frame.

    Raises:
        EX4DError: a result of another length, size or type.
        Cancelled: ``cancel`` returned True.
    """
    left, right = pair.left, pair.right
    check_result(left_result, len(left.color), (left.color.shape[2], left.color.shape[1]))
    if left_result.dtype != left.color.dtype:
        raise EX4DError(f"left_result holds {left_result.dtype}, the left eye {left.color.dtype}. Make them alike.")
    color, mask = right.color.clone(), right.mask.clone()
    full = 255 if mask.dtype == torch.uint8 else 1
    before = 1 - float((mask > 0).double().mean())
    for t in range(len(color)):
        if cancel is not None and cancel():
            raise Cancelled("Carrying over to the right eye was cancelled.")
        own, other = (_filled(eye.depth[t]) for eye in (right, left))
        column, weight, same = _lookup(own, other, (right.lenses[t], left.lenses[t]), pair.rig.distance)
        row = torch.arange(color.shape[1], device=color.device)[:, None]
        first, second = (left_result[t][row, column + step] for step in (0, 1))
        mixed = first + (second.float() - first.float()) * weight[..., None]
        taken = mixed.round().to(color.dtype) if color.dtype == torch.uint8 else mixed.to(color.dtype)
        color[t] = torch.where(same[..., None], taken, color[t])
        mask[t] = torch.where(same, full, mask[t])
        if progress is not None:
            progress(t + 1, len(color))
    lay_into_holes(color, mask, hole_color)
    return Guided(color, mask, before, 1 - float((mask > 0).double().mean()))


def check_result(left_result: Tensor, frames: int, size: tuple[int, int]) -> None:
    """Refuse what cannot be a result of the left eye, before both are filmed.

    Args:
        left_result: (T, H, W, 3).
        frames: of the left eye.
        size: (width, height) of it.

    Raises:
        EX4DError: another length or size.
    """
    if left_result.shape == (frames, size[1], size[0], 3):
        return
    given = f"shape {tuple(left_result.shape)}"
    if left_result.ndim == 4:
        given = f"{len(left_result)} frames of {left_result.shape[2]}x{left_result.shape[1]}"
    shorter = left_result.ndim == 4 and len(left_result) < frames
    remedy = f" Make the path {len(left_result)} frames long, or hold the result's last frame." if shorter else ""
    raise EX4DError(
        f"left_result has {given} and the left eye {frames} frames of {size[0]}x{size[1]}. It must be the video made of this "
        f"very left eye.{remedy}"
    )


def _lookup(
    own: Tensor, other: Tensor, lenses: tuple[Intrinsics, Intrinsics], distance: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Where the left eye shows what the right one does: both look the same way, so it is on the same row.

    Args:
        own: (H, W) inverse depth of the right eye.
        other: of the left eye.
        lenses: of the right and the left eye.
        distance: between them, scene units.

    Returns:
        The column to the left of the place, the share of the next one, and where both columns show the same surface.
    """
    right, left = lenses
    width = own.shape[1]
    centres = torch.arange(width, device=own.device) + 0.5
    place = left.fx * ((centres - right.cx) / right.fx + distance * own) + left.cx - 0.5
    column = place.floor().clamp_(0, width - 2)
    weight = (place - column).clamp(0, 1)
    column = column.long()
    limit = SAME_PLACE / (left.fx * distance)
    near = [(other.gather(1, column + step) - own).abs() <= limit for step in (0, 1)]
    same = (near[0] | (weight > 0.999)) & (near[1] | (weight < 0.001))
    return column, weight, same & (place >= -0.5) & (place <= width - 0.5)


def _filled(depth: Tensor) -> Tensor:
    """(H, W) inverse depth with holes at the farther of their seen neighbours along the row, evened out over rows."""
    seen = depth > 0
    inverse = torch.where(seen, depth, 1.0).reciprocal()
    if not seen.any():
        return torch.zeros_like(inverse)
    width = depth.shape[1]
    numbers = torch.arange(width, device=depth.device).expand_as(depth)
    before = torch.where(seen, numbers, -1).cummax(1).values
    after = torch.where(seen, numbers, width).flip(1).cummin(1).values.flip(1)
    sides = [
        torch.where(known, inverse.gather(1, at.clamp(0, width - 1)), torch.inf)
        for at, known in ((before, before >= 0), (after, after < width))
    ]
    farther = torch.minimum(*sides)
    farther = torch.where(farther.isinf(), inverse[seen].min(), farther)
    hole = (~seen).float()
    box = {"kernel_size": (SMOOTHED_ROWS, 1), "stride": 1, "padding": (SMOOTHED_ROWS // 2, 0)}
    total = torch.nn.functional.avg_pool2d((farther * hole)[None, None], **box)[0, 0]
    count = torch.nn.functional.avg_pool2d(hole[None, None], **box)[0, 0]
    return torch.where(seen, inverse, total / count.clamp(min=1e-12))
