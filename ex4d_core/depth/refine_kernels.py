"""`refine`'s ramps turned into steps, compiled: the same arithmetic. What is no ramp costs a comparison or two."""

from __future__ import annotations

import numpy as np

from ..machine.numba_cache import njit

BLOCK = 16
"""Rows that are turned at once: as many values as a line of the processor's cache holds."""


@njit(nogil=True)
def sharpen(source, target, room, edge, soft, foot, flat, reach):
    """A frame (H, W) float32 along its rows, then along its columns; numbers as `refine` has them.

    ``source`` is read, ``target`` holds the same values and has those of ramps replaced, ``room`` (2, W, H) is to write on.
    """
    _sharpen_rows(source, target, edge, soft, foot, flat, reach)
    _turn(target, room[0])
    room[1] = room[0]
    _sharpen_rows(room[0], room[1], edge, soft, foot, flat, reach)
    _turn(room[1], target)


@njit(nogil=True)
def _turn(source, target):
    """Rows become columns."""
    height, width = source.shape
    for top in range(0, height, BLOCK):
        for x in range(width):
            for y in range(top, min(top + BLOCK, height)):
                target[x, y] = source[y, x]


@njit(nogil=True)
def _sharpen_rows(source, target, edge, soft, foot, flat, reach):
    """Every row of a frame."""
    height, width = source.shape
    for y in range(height):
        row = source[y]
        for x in range(1, width - 2):
            here, there = np.float64(row[x]), np.float64(row[x + 1])
            if 8 * abs(there - here) > edge * (there + here) and _is_steepest(row, x):
                _sharpen(row, target[y], x, edge, soft, foot, flat, reach)


@njit(nogil=True)
def _is_steepest(row, x):
    """Whether no step beside the one from x to x + 1 is steeper in the same direction; of equal ones the last."""
    before, here = np.float64(row[x - 1]), np.float64(row[x])
    there, after = np.float64(row[x + 1]), np.float64(row[x + 2])
    if there > here:
        return there * before >= here * here and there * there > here * after
    return there * before <= here * here and there * there < here * after


@njit(nogil=True)
def _sharpen(row, target, x, edge, soft, foot, flat, reach):
    """The ramp around the steepest step, from x to x + 1, where it is a ramp between two surfaces."""
    width = len(row)
    sign = 1.0 if row[x + 1] > row[x] else -1.0
    steepest = sign * _step(row, x)
    if max(0.0, sign * _step(row, x - 1)) + max(0.0, sign * _step(row, x + 1)) < soft * steepest:
        return
    first, last = _foot(row, x, -1, sign, foot, reach), _foot(row, x, 1, sign, foot, reach)
    if last - first < 2:
        return
    before = sign * _step(row, first - 1) if first > 0 else 0.0
    after = sign * _step(row, last) if last < width - 1 else 0.0
    if before > flat * steepest or after > flat * steepest:
        return
    rise = sign * _flatter(before, sign * _step(row, first - 2) if first > 1 else 0.0)
    fall = sign * _flatter(after, sign * _step(row, last + 1) if last < width - 2 else 0.0)
    one, two = np.float64(row[first]), np.float64(row[last])
    if sign * (_between(one, two) - 0.5 * (rise + fall) * (last - first)) < edge:
        return
    rise, fall = (2 + rise) / (2 - rise), (2 + fall) / (2 - fall)
    for _ in range(last - first - 1):
        two /= fall
    for place in range(first + 1, last):
        one *= rise
        value = np.float64(row[place])
        target[place] = one if sign * (one * two - value * value) > 0 else two
        two *= fall


@njit(nogil=True)
def _step(row, x):
    """From pixel x to the next, as a share of their mean."""
    return _between(np.float64(row[x]), np.float64(row[x + 1]))


@njit(nogil=True)
def _between(here, there):
    """The step from depth to depth, likewise."""
    return 2 * (there - here) / (there + here)


@njit(nogil=True)
def _foot(row, x, way, sign, foot, reach):
    """The pixel at which a ramp ends to one side: where steps become small, or larger again, or after ``reach`` steps."""
    place = x if way < 0 else x + 1
    steepest = step = sign * _step(row, x)
    for _ in range(reach):
        if not 0 < place < len(row) - 1:
            break
        following = sign * _step(row, place - 1 if way < 0 else place)
        if following <= foot * steepest or following > step:
            break
        place, step = place + way, following
    return place


@njit(nogil=True)
def _flatter(one, two):
    """Of two slopes of one direction; 0 of two that are not."""
    if one * two <= 0:
        return 0.0
    return one if abs(one) < abs(two) else two
