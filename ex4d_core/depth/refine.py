"""Depth mended before a mesh is made of it: edges that a network has blurred, and frames whose scale flickers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from ..machine import extras

Mend = Literal["edges", "flicker"]
MENDS: tuple[Mend, ...] = get_args(Mend)
EDGE = math.log(1.06)
"""Logarithm of the ratio of depths around a pixel from which there is an edge."""
SAME = math.log(1.015)
"""Likewise within which a pixel lies on the nearer or the farther surface and is left as it is."""
RAMP = 0.15
"""Share of the range around by which a pixel must differ from its neighbours to both sides, to hang between two surfaces."""
SLOPE = 1.3
"""By which the range of depths grows where twice as wide a look is taken: less at an edge, more on a slope."""


def mended(depth: Tensor, mends: Sequence[Mend]) -> Tensor:
    """Depth (T, H, W) after `level_frames` for "flicker" and `sharpen_edges` for "edges"; as it is for neither."""
    if "flicker" in mends:
        depth = level_frames(depth)
    return sharpen_edges(depth) if "edges" in mends else depth


def sharpen_edges(depth: Tensor, reach: int = 3) -> Tensor:
    """Depth whose edges are steps: what hangs between two surfaces is put on the one that it is nearer to.

    Args:
        depth: (T, H, W) planar depth, > 0.
        reach: pixels from the middle of a blurred edge to either surface.

    Returns:
        (T, H, W) float32. Slopes, and edges that are steps already, are left as they are; a limb that curves away from the
        camera may become a step over its last pixels.

    Source: the shock filter of Osher and Rudin, 1990, in one step: below the middle of its surroundings' range a value becomes
    their least, above it their largest; of logarithms, so that the unit does not matter.
    """
    result = depth.float().cpu().clone()
    sharpen = _compiled(result, reach) or _sharpen
    for frame in result.numpy():
        sharpen(frame, reach)
    return result.to(depth.device)


def _compiled(depth: Tensor, reach: int) -> Callable[[np.ndarray, int], None] | None:
    """`_sharpen` as machine code for frames of a clip (T, H, W); None where numba is not installed."""
    if not extras.has("numba"):
        return None
    from .refine_kernels import sharpen

    height, width = depth.shape[1:]
    room, near = np.empty((2, height + 2 * reach, width), np.float32), np.empty((height, width), np.uint8)
    return lambda frame, reach: sharpen(frame, room, near, reach, EDGE, SAME, RAMP, SLOPE)


def _sharpen(depth: np.ndarray, reach: int) -> None:
    """One frame (H, W), in place."""
    values = np.log(depth)
    # A step has neighbours of its own depth on one side; what a blur has put there has none.
    beside_low, beside_high = _range(values, 1)
    low, high = _range(values, reach)
    span = high - low
    ramp = (span > EDGE) & (np.minimum(values - beside_low, beside_high - values) > RAMP * span)
    if not ramp.any():
        return
    wide_low, wide_high = _range(low, reach)[0], _range(high, reach)[1]
    edge = (span > EDGE) & (wide_high - wide_low < SLOPE * span)
    near_ramp = _range((ramp & edge).astype(np.float32), reach - 1)[1] > 0
    between = near_ramp & edge & (values - low > SAME) & (high - values > SAME)
    nearer = np.where(values - low < high - values, low, high)
    depth[between] = np.where(nearer == low, _range(depth, reach)[0], _range(depth, reach)[1])[between]


def _range(values: np.ndarray, reach: int) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest within ``reach`` pixels, (H, W) each: along one side and then along the other."""
    from scipy.ndimage import maximum_filter1d, minimum_filter1d

    size = 2 * reach + 1
    low, high = values, values
    for axis in (0, 1):
        low, high = minimum_filter1d(low, size, axis), maximum_filter1d(high, size, axis)
    return low, high


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
