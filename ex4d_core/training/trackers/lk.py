"""OpenCV's pyramidal Lucas-Kanade: fast, no weights, one frame to the next."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...machine import extras
from .steps import follow, grey
from .tracks import Tracks

WINDOW, LEVELS = (21, 21), 3
"""OpenCV's own defaults: side of the window in pixels, halvings of the picture."""


def track(frames: np.ndarray, points: np.ndarray, cancel: Callable[[], bool] | None) -> Tracks:
    """Points of the first frame through the clip; see `tracks.Forwards`.

    Raises:
        EX4DError: OpenCV is not installed.
    """
    cv2 = extras.load("cv2", "The tracker lk")

    def move(frame: np.ndarray, following: np.ndarray, begun: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        # OpenCV has pixel centres at whole numbers.
        there, found, _ = cv2.calcOpticalFlowPyrLK(
            frame, following, np.ascontiguousarray(begun - 0.5)[:, None], None, winSize=WINDOW, maxLevel=LEVELS
        )
        return there[:, 0] + np.float32(0.5), found[:, 0].astype(bool)

    return follow(list(grey(frames)), points, frames.shape[1:3], move, cancel)
