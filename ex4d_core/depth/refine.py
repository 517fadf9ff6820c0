"""Depth mended before a mesh is made of it: edges that a network has blurred, and frames whose scale flickers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from ..machine import extras

Mend = Literal["edges", "flicker"]
MENDS: tuple[Mend, ...] = get_args(Mend)
EDGE = 0.06
"""Difference of two surfaces' depths, as a share of their mean, from which there is an edge between them."""
SOFT = 0.25
"""Share of a ramp's steepest step that the steps beside it make together at the least: less is a step already."""
FOOT = 0.05
"""Share of the steepest step from which on steps are no part of a ramp."""
FLAT = 0.4
"""Share of the steepest step that is too steep beyond a ramp: a slope is none."""
REACH = 6
"""Steps of a ramp to either side of its steepest."""


def mended(depth: Tensor, mends: Sequence[Mend]) -> Tensor:
    """Depth (T, H, W) after `level_frames` for "flicker" and `sharpen_edges` for "edges"; as it is for neither."""
    if "flicker" in mends:
        depth = level_frames(depth)
    return sharpen_edges(depth) if "edges" in mends else depth


def sharpen_edges(depth: Tensor) -> Tensor:
    """Depth whose edges are steps: what hangs between two surfaces is put on the one that it is nearer to.

    A blur makes a ramp of a step. Along rows and then along columns each ramp is sought from its steepest step, and what lies on
    it takes the depth of the surface before or after, carried on from the ramp's end. Shares of depth are compared, so that the
    unit does not matter.

    Args:
        depth: (T, H, W) planar depth, > 0.

    Returns:
        (T, H, W) float32. Slopes, limbs that curve away and edges that are steps already are left as they are.
    """
    source = depth.float().cpu().contiguous()
    result = source.clone()
    sharpen = _compiled(source) or _sharpen
    for given, frame in zip(source.numpy(), result.numpy(), strict=True):
        sharpen(given, frame)
    return result.to(depth.device)


def _compiled(depth: Tensor) -> Callable[[np.ndarray, np.ndarray], None] | None:
    """`_sharpen` as machine code for frames of a clip (T, H, W); None where numba is not installed."""
    if not extras.has("numba"):
        return None
    from .refine_kernels import sharpen

    height, width = depth.shape[1:]
    room = np.empty((2, width, height), np.float32)
    return lambda source, target: sharpen(source, target, room, EDGE, SOFT, FOOT, FLAT, REACH)


def _sharpen(source: np.ndarray, target: np.ndarray) -> None:
    """One frame (H, W) float32, along its rows and then along its columns, into ``target``, which holds the same values."""
    _sharpen_rows(source, target)
    _sharpen_rows(target.T.copy(), target.T)


def _sharpen_rows(source: np.ndarray, target: np.ndarray) -> None:
    """Every row; see `_sharpen`."""
    depth = source.astype(np.float64)
    row, first, last, sign, rise, fall = _ramps(depth)
    one, two = depth[row, first], depth[row, last]
    for offset in range(1, 2 * REACH + 1):
        two = np.where(first + offset < last, two / fall, two)
    for offset in range(1, 2 * REACH + 1):
        one, place = one * rise, first + offset
        on = place < last
        value = depth[row[on], place[on]]
        nearer_one = sign[on] * ((one * two)[on] - value * value) > 0
        target[row[on], place[on]] = np.where(nearer_one, one[on], two[on])
        two = two * fall


def _ramps(depth: np.ndarray) -> tuple[np.ndarray, ...]:
    """The ramps of all rows of a frame (H, W).

    Returns:
        Row, first and last pixel, 1 or -1 where depth rises or falls, and the factors from pixel to pixel of the surfaces
        before and after; (N,) each.
    """
    # Step n leads from pixel n - 2 to the next; beyond the borders nothing changes.
    steps = np.pad(_between(depth[:, :-1], depth[:, 1:]), ((0, 0), (2, 2)))
    row, x = _steepest(depth)
    sign = np.sign(steps[row, x + 2])

    def step(place: np.ndarray) -> np.ndarray:
        return sign * steps[row, place + 2]

    first, last = _foot(step, x, -1), _foot(step, x + 1, 1)
    before, after = step(first - 1), step(last)
    rise, fall = sign * _flatter(before, step(first - 2)), sign * _flatter(after, step(last + 1))
    height = sign * (_between(depth[row, first], depth[row, last]) - 0.5 * (rise + fall) * (last - first))
    ramp = np.maximum(step(x - 1), 0) + np.maximum(step(x + 1), 0) >= SOFT * step(x)
    ramp &= (last - first >= 2) & (np.maximum(before, after) <= FLAT * step(x)) & (height >= EDGE)
    parts = (row, first, last, sign, (2 + rise) / (2 - rise), (2 + fall) / (2 - fall))
    return tuple(part[ramp] for part in parts)


def _between(here: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Steps from depth to depth, as shares of their mean: nearly logarithms of ratios, and of the same bits compiled."""
    return 2 * (there - here) / (there + here)


def _steepest(depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row and pixel (N,) from which the step to the next is large, and steeper than those beside it in its direction."""
    before, here, there, after = (depth[:, k : depth.shape[1] - 3 + k] for k in range(4))
    large = 8 * np.abs(there - here) > EDGE * (there + here)
    up = (there > here) & (there * before >= here * here) & (there * there > here * after)
    down = (there < here) & (there * before <= here * here) & (there * there < here * after)
    row, x = np.nonzero(large & (up | down))
    return row, x + 1


def _foot(step: Callable[[np.ndarray], np.ndarray], start: np.ndarray, way: int) -> np.ndarray:
    """The pixels (N,) at which ramps end to one side: where steps become small, or larger again, or after `REACH` steps."""
    place = start.copy()
    steepest = last = step(start if way < 0 else start - 1)
    going = np.ones(len(start), bool)
    for _ in range(REACH):
        following = step(place - 1 if way < 0 else place)
        going &= (following > FOOT * steepest) & (following <= last)
        place, last = np.where(going, place + way, place), np.where(going, following, last)
    return place


def _flatter(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Of two slopes of one direction; 0 of two that are not."""
    return np.where(one * two <= 0, 0.0, np.where(np.abs(one) < np.abs(two), one, two))


def level_frames(depth: Tensor) -> Tensor:
    """Frames of a camera that stands still, brought to one scale.

    Each frame's scale is the median of its ratio to the first, where what moves is a minority; all take the mean scale.

    Args:
        depth: (T, H, W) planar depth, > 0.

    Returns:
        (T, H, W) float32.
    """
    first = depth[0, ::2, ::2].float().log()
    scales = torch.stack([(frame[::2, ::2].float().log() - first).median() for frame in depth])
    return depth.float() * (scales.mean() - scales).exp()[:, None, None]
