"""Draft fill: the holes of a colour video completed in milliseconds, for a look before paying for diffusion.

Push-pull: colours are averaged down a pyramid (pull), and what a level lacks is taken from the next coarser one (push).
Three things make it watchable. Weights favour the background, since holes open behind objects. Below ``ROWS`` rows only
the width is halved, so a hole is filled from its own height in the picture: sky stays above, ground below. And where a
frame knows nothing of a row, the rest of the clip does.

Convention: colour (T, H, W, 3), mask (T, H, W), 1 = seen, 0 = hole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import Cancelled, EX4DError
from ..machine.buffers import empty
from ..machine.cores import cores
from ..machine.torch_threads import side_by_side
from ..pixels import check_picture_type
from .masks import erode

ROWS = 64
"""Height of the level from which on only the width is halved, until one column is left."""

RIM_WEIGHT = 0.02
"""Weight of seen pixels at the rim of a hole, whose colour is mixed with what they hide."""

FOREGROUND_WEIGHT = 1 / 1000
"""Weight of the nearest seen depth; the farthest has 1."""

ENOUGH = 0.25
"""A level of ``FAR_CELL`` and coarser is trusted fully where this share of it is seen background."""

FAR_CELL = 32
"""Cell size in pixels from which on only background is carried into holes; near a rim, any seen colour is."""

ENCLOSED = (0.5, 0.75)
"""Between these shares of seen pixels, a cell counts more and more as enclosing its hole: then its own colour goes in,
background or not."""

TEMPORAL_WIDTH = 16
"""Levels of this width and less are averaged over three frames, which takes the flicker out of large holes."""

CLIP_SAMPLES = 16
"""Frames that stand for the whole clip where a frame knows nothing of a row."""

HELD = 2**30
"""Bytes of pyramids at once, about, however many cores there are; one frame's and its neighbours' are held in any case."""

Made = TypeVar("Made")


@dataclass(frozen=True)
class _ClipRows:
    """What the whole clip knows of each row: colour (1, 3, rows, 1) and its best weight (1, 1, rows, 1)."""

    colour: Tensor
    best_weight: Tensor


def draft_fill(
    color: Tensor,
    mask: Tensor,
    depth: Tensor | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Tensor:
    """Complete the holes of every frame with a smooth continuation of what is seen.

    Args:
        color: (T, H, W, 3) float 0..1 or uint8; what it holds in holes is ignored.
        mask: (T, H, W) float 0..1, uint8 0 | 255 or bool; at least half = seen.
        depth: (T, H, W) planar depth of the same views, 0 in holes; the fill then prefers the background.
        progress: called with (frames done, frames in all).
        cancel: polled before each frame is handed on.

    Returns:
        (T, H, W, 3), dtype and device of ``color``: seen pixels unchanged; a frame without seen pixels takes the
        colours of its neighbours in time, mid grey if they are holes too.

    Raises:
        EX4DError: shapes that do not fit each other, or integers other than uint8.
        Cancelled: ``cancel`` returned True.

    Example:
        >>> color = torch.full((1, 8, 8, 3), 0.25)
        >>> mask = torch.ones(1, 8, 8)
        >>> mask[:, 3:5, 3:5] = 0  # a hole
        >>> draft_fill(color, mask)[0, 3, 3]
        tensor([0.2500, 0.2500, 0.2500])
    """
    _check_inputs(color, mask, depth)
    mask, depth = mask.to(color.device), None if depth is None else depth.to(color.device)
    seen = mask if mask.dtype == torch.bool else mask >= (128 if mask.dtype == torch.uint8 else 0.5)
    inverse_range = None if depth is None else _inverse_range(depth, seen)
    frames, height, width, _ = color.shape

    def pulled(t: int, step: int = 1) -> list[Tensor]:
        rows, columns = slice(None, None, step), slice(None, None, step)
        near = None if depth is None else depth[t, rows, columns]
        return _pull(color[t, rows, columns], seen[t, rows, columns], near, inverse_range)

    step = max(1, min(height, width) // 128)
    each = side_by_side if color.device.type == "cpu" else _in_turn
    clip = _clip_rows(each(partial(pulled, step=step), range(0, frames, -(-frames // CLIP_SAMPLES))))
    result = empty(color.shape, color.dtype, color.device)
    at_once = _frames_at_once(height, width) if color.device.type == "cpu" else 1
    pyramids: dict[int, list[Tensor]] = {}

    def filled(t: int) -> Tensor:
        steadied = _steadied(pyramids.get(t - 1), pyramids[t], pyramids.get(t + 1))
        return _push(steadied, clip, color[t], seen[t])

    for start in range(0, frames, at_once):
        group = range(start, min(start + at_once, frames))
        # The temporal average needs both neighbours.
        held = range(max(0, start - 1), min(group.stop + 1, frames))
        missing = [t for t in held if t not in pyramids]
        pyramids |= zip(missing, each(pulled, missing), strict=True)
        pyramids = {t: pyramids[t] for t in held}
        for t, frame in zip(group, each(filled, group), strict=True):
            if cancel is not None and cancel():
                raise Cancelled("The draft fill was cancelled.")
            result[t] = frame
            if progress is not None:
                progress(t + 1, frames)
    return result


def _frames_at_once(height: int, width: int) -> int:
    """How many frames are filled side by side: one a core, as far as their pyramids and both neighbours' fit into ``HELD``."""
    pyramid = 5 * 4 * height * width * 4 // 3
    return max(1, min(cores(), HELD // pyramid - 2))


def _in_turn(work: Callable[[int], Made], frames: Sequence[int]) -> list[Made]:
    """For a GPU, where threads gain nothing and would not queue on the caller's stream."""
    return [work(t) for t in frames]


def _pull(color: Tensor, seen: Tensor, depth: Tensor | None, inverse_range: tuple[float, float] | None) -> list[Tensor]:
    """The pyramid of one frame, finest level first, one column last.

    A level is (1, 5, h, w): colour times weight, weight, and the share of seen pixels.
    """
    weight = torch.where(erode(seen[None], 5)[0], 1.0, RIM_WEIGHT) * seen
    if depth is not None and inverse_range is not None:
        far, near = inverse_range
        inverse = depth.clamp(min=1e-6).reciprocal_()
        nearness = inverse.sub_(far).mul_(1 / max(near - far, 1e-12)).clamp_(0, 1).nan_to_num_(0)
        farness = nearness.neg_().add_(1).square_().square_().square_()
        weight *= farness.clamp_(min=FOREGROUND_WEIGHT)
    weighted = torch.empty((1, 5, *seen.shape), dtype=torch.float32, device=color.device)
    torch.mul(
        color.permute(2, 0, 1),
        weight * (1 / 255 if color.dtype == torch.uint8 else 1),
        out=weighted[0, :3],
    )
    if color.is_floating_point():
        weighted[0, :3].nan_to_num_(0)  # holes may contain NaN, and 0 * NaN is NaN
    weighted[0, 3], weighted[0, 4] = weight, seen
    levels = [weighted]
    while levels[-1].shape[3] > 1:
        levels.append(_halved(levels[-1], tall=levels[-1].shape[2] > ROWS))
    return levels


def _halved(level: Tensor, tall: bool) -> Tensor:
    """The next coarser level: half the width, and half the height if ``tall``."""
    level = _halved_along(level, 3)
    return _halved_along(level, 2) if tall else level


def _halved_along(level: Tensor, dim: int) -> Tensor:
    """Every second sample of the level smoothed by 1 3 3 1; what is outside the image has no weight.

    The overlap matters: means of two would lock the fill to a grid, which shows as soon as the camera moves. Slices
    are several times faster here than torch's pooling.
    """
    size = level.shape[dim]
    if size == 1:
        return level
    if size % 2:
        level = F.pad(level, (0, 1) if dim == 3 else (0, 0, 0, 1))
        size += 1
    even, odd = (level[..., k::2] if dim == 3 else level[..., k::2, :] for k in (0, 1))
    half = (even + odd).mul_(3 / 8)
    half.narrow(dim, 1, size // 2 - 1).add_(odd.narrow(dim, 0, size // 2 - 1), alpha=1 / 8)
    half.narrow(dim, 0, size // 2 - 1).add_(even.narrow(dim, 1, size // 2 - 1), alpha=1 / 8)
    return half


def _clip_rows(pyramids: list[list[Tensor]]) -> _ClipRows:
    """What the sampled frames know of each row; rows that none sees are filled from above and below."""
    levels = [torch.stack([pyramid[-1] for pyramid in pyramids]).mean(0)]
    while levels[-1].shape[2] > 1:
        levels.append(_halved(levels[-1], tall=True))
    colour = torch.full((1, 3, 1, 1), 0.5, device=levels[0].device)
    for level in reversed(levels):
        colour = _blended(level, colour, levels[0].new_tensor(1e-3))
    best = torch.stack([pyramid[0][:, 3:4].amax(3, keepdim=True) for pyramid in pyramids]).amax(0)
    return _ClipRows(colour, best.clamp_(min=FOREGROUND_WEIGHT))


def _steadied(before: list[Tensor] | None, here: list[Tensor], after: list[Tensor] | None) -> list[Tensor]:
    """The pyramid with its coarse levels averaged 1 : 2 : 1 over time."""
    neighbours = [levels for levels in (before, after) if levels is not None]
    if not neighbours:
        return here
    return [
        level
        if level.shape[3] > TEMPORAL_WIDTH
        else (2 * level + torch.stack([levels[i] for levels in neighbours]).sum(0)) / (2 + len(neighbours))
        for i, level in enumerate(here)
    ]


def _push(levels: list[Tensor], clip: _ClipRows, color: Tensor, seen: Tensor) -> Tensor:
    height, width = seen.shape
    filled = clip.colour
    for level in reversed(levels[1:]):
        cell = max(height / level.shape[2], width / level.shape[3])
        best = _resized(clip.best_weight, (level.shape[2], 1))
        filled = _blended(level, filled, best * (ENOUGH * min(1.0, (cell / FAR_CELL) ** 2)))
    # Torch enlarges bytes with the colour last several times faster than floats.
    filled = filled.contiguous(memory_format=torch.channels_last)
    if color.dtype == torch.uint8:
        filled = (filled * 255).round_().to(torch.uint8)
    filled = _resized(filled, (height, width))[0].permute(1, 2, 0).to(color.dtype)
    if color.is_floating_point():
        return torch.where(seen[..., None], color, filled)
    kept = seen[..., None].to(color.dtype)  # for bytes, twice as fast
    return color * kept + filled * (1 - kept)


def _blended(level: Tensor, coarser: Tensor, enough: Tensor) -> Tensor:
    """The level's own colours where its weight is ``enough`` or it is mostly seen, the coarser level's elsewhere."""
    weight, share = level[:, 3:4], level[:, 4:]
    own = level[:, :3] / weight.clamp(min=1e-8)
    # The square root lets a level fade in early and without a seam.
    trust = (weight / enough).clamp_(max=1).sqrt_()
    enclosing = ((share - ENCLOSED[0]) / (ENCLOSED[1] - ENCLOSED[0])).clamp_(0, 1)
    return torch.lerp(_resized(coarser, level.shape[2:]), own, torch.maximum(trust, enclosing))


def _resized(image: Tensor, size: tuple[int, ...]) -> Tensor:
    return F.interpolate(image, size=size, mode="bilinear", align_corners=False)


def _inverse_range(depth: Tensor, seen: Tensor) -> tuple[float, float] | None:
    """Smallest and largest inverse depth of what is seen in the whole clip, so that weights do not pump over time."""
    least, most = float("inf"), 0.0
    for frame, valid in zip(depth, seen, strict=True):
        held = torch.where(valid & (frame > 0), frame, 0)
        most = max(most, float(held.max()))
        least = min(least, float(torch.where(held > 0, held, float("inf")).min()))
    return (1 / most, 1 / least) if most > 0 else None


def _check_inputs(color: Tensor, mask: Tensor, depth: Tensor | None) -> None:
    if color.ndim != 4 or color.shape[3] != 3 or color.numel() == 0:
        raise EX4DError(f"The colour video must have shape (frames, height, width, 3), got {tuple(color.shape)}.")
    for name, values in (("mask", mask), ("depth", depth)):
        if values is not None and values.shape != color.shape[:3]:
            raise EX4DError(
                f"The {name} must have the colour video's frames and size {tuple(color.shape[:3])}, "
                f"got {tuple(values.shape)}; use the outputs of one render."
            )
    for name, values in (("Colours", color), ("Masks", mask)):
        check_picture_type(values, name)
    if color.dtype == torch.bool:
        raise EX4DError("Colours are uint8 (0..255) or floating point (0..1), got bool. Convert them first.")
