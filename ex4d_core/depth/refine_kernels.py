"""The sharpening of `refine`, compiled: ranges row by row, and all else only where there is an edge.

What `refine` says of logarithms is said here of ratios, and a logarithm is taken only where ratios cannot tell.
"""

from __future__ import annotations

import math

import numpy as np

from ..machine.numba_cache import njit


@njit(nogil=True)
def sharpen(depth, room, near, reach, edge, same, ramp, slope):
    """One frame (H, W) float32, in place; numbers as `refine` has them. A window that leaves the picture ends at its border.

    ``room`` (2, H + 2 reach, W) float32 and ``near`` (H, W) uint8 are for it to write on: new memory costs more than all else.
    """
    height, width = depth.shape
    low, high = room[0], room[1]
    _range(depth, low, high, reach)
    near[:] = 0
    least, aside, apart = np.float32(math.exp(edge)), math.exp(ramp * edge), math.exp(same)
    found = False
    for y in range(height):
        for x in range(width):
            if high[y, x] > least * low[y, x] and _hangs(depth, low, high, y, x, reach, ramp, slope, aside):
                near[max(0, y - reach + 1) : y + reach, max(0, x - reach + 1) : x + reach] = 1
                found = True
    if not found:
        return
    for y in range(height):
        for x in range(width):
            if near[y, x]:
                value, bottom, top = float(depth[y, x]), float(low[y, x]), float(high[y, x])
                hangs = value > apart * bottom and top > apart * value and top > least * bottom
                if hangs and _is_edge(low, high, y, x, reach, slope):
                    depth[y, x] = low[y, x] if value * value < bottom * top else high[y, x]


@njit(nogil=True)
def _range(depth, low, high, reach):
    """Least and largest within ``reach`` pixels, of windows of 1, 2, 4 ... pixels: the largest that fits, laid twice.

    The first H rows of ``low`` and ``high`` (H + 2 reach, W) are the result.
    """
    height, width = depth.shape
    size, length = 2 * reach + 1, 1
    # Rows first, with ``reach`` of the first and the last beyond the border, which change no window's range.
    for y in range(height + 2 * reach):
        low[y] = depth[min(max(y - reach, 0), height - 1)]
        high[y] = low[y]
    while 2 * length <= size:
        for y in range(len(low) - length):
            _fold(low[y + length], high[y + length], low[y], high[y])
        length *= 2
    for y in range(height):
        _fold(low[y + size - length], high[y + size - length], low[y], high[y])
    lows, highs = np.empty((2, width + 2 * reach), np.float32), np.empty((2, width + 2 * reach), np.float32)
    for y in range(height):
        _along(low[y], high[y], lows, highs, reach)


@njit(nogil=True)
def _along(low, high, lows, highs, reach):
    """Likewise of one row, in place; ``lows`` and ``highs`` are two rows of room each, ``reach`` wider on both sides."""
    width, size, length, here = len(low), 2 * reach + 1, 1, 0
    lows[0, :reach], lows[0, reach : reach + width], lows[0, reach + width :] = low[0], low, low[width - 1]
    highs[0, :reach], highs[0, reach : reach + width], highs[0, reach + width :] = high[0], high, high[width - 1]
    whole = width + 2 * reach
    while 2 * length <= size:
        count = whole - length
        lows[1 - here, :count], highs[1 - here, :count] = lows[here, :count], highs[here, :count]
        _fold(lows[here, length:], highs[here, length:], lows[1 - here, :count], highs[1 - here, :count])
        here, length, whole = 1 - here, 2 * length, count
    low[:], high[:] = lows[here, :width], highs[here, :width]
    _fold(
        lows[here, size - length : size - length + width], highs[here, size - length : size - length + width], low, high
    )


@njit(nogil=True)
def _fold(lower, upper, least, most):
    """The lesser and the larger of two rows, place by place. Slices that begin at 0 become vectors."""
    for x in range(len(least)):
        one, two = lower[x], upper[x]
        least[x] = one if one < least[x] else least[x]
        most[x] = two if two > most[x] else most[x]


@njit(nogil=True)
def _is_edge(low, high, y, x, reach, slope):
    """Whether depth differs hardly more further around than around, as it would on a slope."""
    height, width = low.shape[0] - 2 * reach, low.shape[1]
    wide_low, wide_high = low[y, x], high[y, x]
    # Three windows a side cover twice the reach.
    for row in (max(0, y - reach), y, min(height - 1, y + reach)):
        for column in (max(0, x - reach), x, min(width - 1, x + reach)):
            wide_low = min(wide_low, low[row, column])
            wide_high = max(wide_high, high[row, column])
    wide, own = float(wide_high) / float(wide_low), float(high[y, x]) / float(low[y, x])
    return wide == own or math.log(wide) < slope * math.log(own)


@njit(nogil=True)
def _hangs(depth, low, high, y, x, reach, ramp, slope, aside):
    """Whether a pixel of an edge differs from its neighbours to both sides, by a factor of ``aside`` at the least."""
    height, width = depth.shape
    own = beside_low = beside_high = depth[y, x]
    left, right = max(0, x - 1), min(width - 1, x + 1)
    for row in (max(0, y - 1), y, min(height - 1, y + 1)):
        for value in (depth[row, left], depth[row, x], depth[row, right]):
            beside_low = value if value < beside_low else beside_low
            beside_high = value if value > beside_high else beside_high
    if not (own > aside * beside_low and beside_high > aside * own):
        return False
    lesser = min(float(own) / float(beside_low), float(beside_high) / float(own))
    span = math.log(float(high[y, x]) / float(low[y, x]))
    return math.log(lesser) > ramp * span and _is_edge(low, high, y, x, reach, slope)
