"""Curves through keyframes: time warps, and one cubic whose tangents make the interpolation mode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

Ease = Literal["linear", "in", "out", "in-out"]
"""Time warp of a keyframe's segment, or of a preset's way."""
EASES: tuple[Ease, ...] = get_args(Ease)

Interpolation = Literal["linear", "smooth", "catmull-rom"]
"""How a path goes from key to key."""
INTERPOLATIONS: tuple[Interpolation, ...] = get_args(Interpolation)


def eased(share: np.ndarray, ease: Ease) -> np.ndarray:
    """Warps the time of a segment.

    Args:
        share: 0 at the segment's start, 1 at its end.
        ease: "linear"; "in" starts from rest; "out" comes to rest; "in-out" does both.
    """
    if ease == "in":
        return share * share
    if ease == "out":
        return share * (2 - share)
    if ease == "in-out":
        return share * share * (3 - 2 * share)
    return share


def segments_of(times: np.ndarray, key_times: np.ndarray, eases: Sequence[Ease]) -> tuple[np.ndarray, np.ndarray]:
    """Which segment each time falls into, and the warped share of it.

    Args:
        times: (N,) frames; those before the first or after the last key hold it.
        key_times: (K,) increasing frames.
        eases: K time warps; each belongs to the segment that ends at its key.

    Returns:
        (N,) int segment (between key i and i + 1), (N,) share in 0..1. With one key: segment 0, share 0.
    """
    if len(key_times) == 1:
        return np.zeros(len(times), dtype=np.int64), np.zeros(len(times))
    segment = np.clip(np.searchsorted(key_times, times, side="right") - 1, 0, len(key_times) - 2)
    start, end = key_times[segment], key_times[segment + 1]
    share = np.clip((times - start) / (end - start), 0.0, 1.0)
    for i, ease in enumerate(eases[1:]):
        chosen = segment == i
        share[chosen] = eased(share[chosen], ease)
    return segment, share


def tangents(key_times: np.ndarray, values: np.ndarray, interpolation: Interpolation) -> np.ndarray:
    """Slopes at the keys, per frame.

    "catmull-rom" takes the slope of the parabola through three neighbours (uneven spacing allowed), so the curve is
    round and may overshoot. "smooth" limits that slope (zero where a coordinate turns, else at most three times the
    smaller neighbouring secant), so no coordinate leaves the range of its two keys.

    Args:
        key_times: (K,) increasing, K >= 2.
        values: (K, C).
        interpolation: "smooth" or "catmull-rom".
    """
    step = np.diff(key_times)[:, None]
    secant = np.diff(values, axis=0) / step
    slope = np.empty_like(values)
    if len(values) == 2:
        slope[:] = secant[0]
        return slope
    slope[1:-1] = (step[1:] * secant[:-1] + step[:-1] * secant[1:]) / (step[1:] + step[:-1])
    slope[0] = 2 * secant[0] - slope[1]
    slope[-1] = 2 * secant[-1] - slope[-2]
    if interpolation == "smooth":
        before = np.concatenate([secant[:1], secant])
        after = np.concatenate([secant, secant[-1:]])
        bound = 3 * np.minimum(np.abs(before), np.abs(after))
        turning = (before * after <= 0) | (slope * before < 0)
        slope = np.where(turning, 0.0, np.clip(slope, -bound, bound))
    return slope


def curve(
    segment: np.ndarray, share: np.ndarray, key_times: np.ndarray, values: np.ndarray, interpolation: Interpolation
) -> np.ndarray:
    """Values between keys; passes through every key exactly.

    Args:
        segment: (N,) of :func:`segments_of`.
        share: (N,) of :func:`segments_of`.
        key_times: (K,).
        values: (K, C).
        interpolation: "linear", "smooth" or "catmull-rom".

    Returns:
        (N, C) float64.
    """
    if len(values) == 1:
        return np.repeat(values, len(segment), axis=0)
    start, end, u = values[segment], values[segment + 1], share[:, None]
    if interpolation == "linear":
        return start + (end - start) * u
    slope = tangents(key_times, values, interpolation)
    width = (key_times[segment + 1] - key_times[segment])[:, None]
    u2, u3 = u * u, u * u * u
    return (
        start
        + (end - start) * (3 * u2 - 2 * u3)
        + width * (slope[segment] * (u3 - 2 * u2 + u) + slope[segment + 1] * (u3 - u2))
    )
