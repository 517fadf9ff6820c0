"""From one frame to the next and back: what trackers that look at two frames at a time have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from ...errors import Cancelled
from .tracks import Tracks

BACK_WITHIN = 1.0
"""Pixels: a point is lost where the way there and back ends farther from where it began."""

Frame = TypeVar("Frame")
Move = Callable[[Frame, Frame, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""(frame, next frame, (N, 2) points) to the points in the next frame, and which were found there."""


def follow(
    frames: Sequence[Frame],
    points: np.ndarray,
    size: tuple[int, int],
    move: Move[Frame],
    cancel: Callable[[], bool] | None,
) -> Tracks:
    """Points through a clip, frame by frame; one that is lost, or leaves the picture, stays lost.

    Args:
        frames: as ``move`` takes them.
        points: (N, 2) in the first frame.
        size: (height, width).
        move: goes one frame on.
        cancel: polled each frame.
    """
    height, width = size
    path = np.repeat(points.astype(np.float32)[None], len(frames), axis=0)
    seen = np.zeros(path.shape[:2], bool)
    seen[0] = inside(path[0], height, width)
    for t in range(1, len(frames)):
        if cancel is not None and cancel():
            raise Cancelled
        path[t] = path[t - 1]
        alive = np.flatnonzero(seen[t - 1])
        if not len(alive):
            continue
        begun = path[t - 1, alive]
        there, found = move(frames[t - 1], frames[t], begun)
        back, found_back = move(frames[t], frames[t - 1], there)
        near = np.square(back - begun).sum(-1) <= BACK_WITHIN**2
        good = found & found_back & near & inside(there, height, width)
        path[t, alive[good]] = there[good]
        seen[t, alive[good]] = True
    return Tracks(path, seen)


def inside(points: np.ndarray, height: int, width: int) -> np.ndarray:
    """(N,) bool: which points lie in the picture; NaN lies nowhere."""
    x, y = points[:, 0], points[:, 1]
    return (x >= 0) & (y >= 0) & (x <= width) & (y <= height)


def grey(frames: np.ndarray) -> np.ndarray:
    """(T, H, W, 3) uint8 to (T, H, W) uint8 by the weights of BT.601."""
    return (frames @ np.array([0.299, 0.587, 0.114], dtype=np.float32) + 0.5).astype(np.uint8)
