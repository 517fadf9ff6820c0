"""OpenCV's dense inverse search: the flow of every pixel, followed from frame to frame."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...machine import extras
from .steps import follow, grey
from .tracks import Tracks

SIDE, DIFFERENCE = 9, 12.0
"""Pixels of a window, and levels 0..255 by which it may differ on average in the next frame. The flow is smoothed: where
something new covers a point, it goes there and back by the same way."""


def track(frames: np.ndarray, points: np.ndarray, cancel: Callable[[], bool] | None) -> Tracks:
    """Points of the first frame through the clip; see `tracks.Forwards`.

    Raises:
        EX4DError: OpenCV is not installed.
    """
    cv2 = extras.load("cv2", "The tracker dis")
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def move(frame: np.ndarray, following: np.ndarray, begun: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        flow = search.calc(frame, following, None)
        at = np.ascontiguousarray(begun - 0.5, dtype=np.float32)[None]
        moved = cv2.remap(flow, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0]
        there = begun + moved
        return there, alike(cv2, frame, begun, following, there)

    return follow(list(grey(frames)), points, frames.shape[1:3], move, cancel)


def alike(cv2: Any, frame: np.ndarray, points: np.ndarray, following: np.ndarray, there: np.ndarray) -> np.ndarray:
    """(N,) bool: whether the windows around the points look the same in both frames."""
    reach = np.arange(SIDE, dtype=np.float32) - SIDE // 2
    window = np.stack(np.meshgrid(reach, reach), axis=-1).reshape(1, -1, 2) - np.float32(0.5)
    before, after = (
        cv2.remap(
            picture, (at[:, None] + window).astype(np.float32), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        for picture, at in ((frame, points), (following, np.nan_to_num(there)))
    )
    return np.abs(before.astype(np.float32) - after).mean(-1) <= DIFFERENCE
