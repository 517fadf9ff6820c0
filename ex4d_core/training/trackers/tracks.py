"""What a tracker is given and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ...errors import EX4DError


@dataclass(frozen=True)
class Tracks:
    """Points followed through a clip.

    Attributes:
        path: (T, N, 2) float32 pixels (x, y), pixel centres at +0.5; where a point is not seen, its last known place.
        seen: (T, N) bool.
    """

    path: np.ndarray
    seen: np.ndarray

    def __post_init__(self) -> None:
        if self.path.ndim != 3 or self.path.shape[2] != 2 or self.seen.shape != self.path.shape[:2]:
            raise EX4DError(
                f"Tracks are a path of shape (frames, points, 2) and a visibility of (frames, points), got "
                f"{self.path.shape} and {self.seen.shape}."
            )


class TrackerFailed(EX4DError):
    """A tracker that cannot follow points at all: no fault of the clip, so all others would fare the same."""


class Tracker(Protocol):
    """Follows points of one frame to both ends of the clip."""

    def __call__(
        self, frames: np.ndarray, points: np.ndarray, start: int, cancel: Callable[[], bool] | None = None
    ) -> Tracks:
        """The tracks of (N, 2) float32 points of frame ``start`` through (T, H, W, 3) uint8 frames.

        Raises:
            Cancelled: ``cancel``, polled each frame, returned True.
        """
        ...


Forwards = Callable[[np.ndarray, np.ndarray, Callable[[], bool] | None], Tracks]
"""(frames, points of the first of them, cancel) to their tracks."""


def both_ways(
    forwards: Forwards,
    frames: np.ndarray,
    points: np.ndarray,
    start: int,
    cancel: Callable[[], bool] | None = None,
) -> Tracks:
    """A `Tracker` of what follows points forwards only: to the end, and through the clip turned round to its beginning."""
    later = forwards(frames[start:], points, cancel)
    if start == 0:
        return later
    earlier = forwards(np.ascontiguousarray(frames[: start + 1][::-1]), points, cancel)
    path = np.concatenate([earlier.path[:0:-1], later.path])
    return Tracks(path, np.concatenate([earlier.seen[:0:-1], later.seen]))
