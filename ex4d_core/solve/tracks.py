"""Points of a clip followed from frame to frame: corners, found again by Lucas-Kanade in both directions.

A track lives as long as the patch around its first sight, its anchor, is found again: each step is first guessed from the
frame before and then measured against the anchor itself, so that errors do not add up along the clip.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from ..errors import Cancelled
from ..machine import extras
from ..machine.cores import cores

MOST = 1400
"""Points followed at a time."""
REFILL = 0.75
"""New points are looked for when fewer than this share of them are left,"""
LOST = 0.8
"""and fewer than this share of those that there were after the last search: each search adds an anchor, and time."""
WINDOW = 15
"""Pixels a side of a point's patch."""
RETURNED = 0.35
"""Pixels by which a point that is followed to a frame and back may miss where it started."""
LEAPS = 2.0
"""Pixels by which the measured place may differ from the guess of the frame before."""
QUALITY = 0.003
"""Corner strength, as a share of the strongest, that is still followed."""


@dataclass(frozen=True, eq=False)
class Tracks:
    """Points followed through a clip.

    Attributes:
        position: (N, T, 2) float32, pixels with centres at +0.5; NaN where a point is not seen.
        anchor: (N,) the frame of each one's first sight.
    """

    position: np.ndarray
    anchor: np.ndarray

    def __len__(self) -> int:
        return len(self.anchor)


def follow_points(
    grey: np.ndarray,
    *,
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Tracks:
    """Follow corners through a clip.

    Args:
        grey: (T, H, W) uint8.
        progress: called with (frames done, frames).
        cancel: polled once a frame.

    Raises:
        EX4DError: OpenCV is not installed.
        Cancelled: ``cancel`` returned True.

    Source: Lucas and Kanade (1981) in pyramids, with OpenCV; corners after Shi and Tomasi (1994).
    """
    cv2 = extras.load("cv2", "Following points through a clip")
    frames, height, width = grey.shape
    spacing = max(4.0, np.sqrt(height * width / MOST) * 0.6)
    levels = max(2, int(np.log2(min(height, width) / 40)))
    term = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 0.01)
    options = {"winSize": (WINDOW, WINDOW), "criteria": term, "minEigThreshold": 1e-4}

    def flow(
        start: int, end: int, points: np.ndarray, guess: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        most = {"maxLevel": levels} if guess is None else {"maxLevel": 1, "flags": cv2.OPTFLOW_USE_INITIAL_FLOW}
        initial = None if guess is None else guess.astype(np.float32)
        found, ok, _ = cv2.calcOpticalFlowPyrLK(grey[start], grey[end], points, initial, **options, **most)
        return found.reshape(-1, 2), ok.reshape(-1) > 0

    reach = int(spacing)
    disc = cv2.circle(np.zeros((2 * reach + 1, 2 * reach + 1), np.uint8), (reach, reach), reach, 1, -1)

    def corners(t: int, taken: np.ndarray) -> np.ndarray:
        free = np.full((height, width), 255, np.uint8)
        x, y = np.rint(taken).astype(np.int64).T
        free[y, x] = 0
        free = cv2.erode(free, disc)
        found = cv2.goodFeaturesToTrack(grey[t], MOST - len(taken), QUALITY, spacing, mask=free, blockSize=5)
        return np.zeros((0, 2), np.float32) if found is None else found.reshape(-1, 2).astype(np.float32)

    first, anchors = [], []  # of every track, in OpenCV's pixels (centres at whole numbers)
    rows: list[np.ndarray] = []
    alive, now, most = np.zeros(0, np.int64), np.zeros((0, 2), np.float32), MOST
    with ThreadPoolExecutor(cores()) as pool:
        for t in range(frames):
            if cancel is not None and cancel():
                raise Cancelled("Following points was cancelled.")
            if t and len(alive):
                begun = np.array(first, np.float32), np.array(anchors)
                alive, now = _step(flow, pool, *begun, alive, now, t, (width, height))
            if t < frames - 1 and len(alive) < min(REFILL * MOST, LOST * most):
                new = corners(t, now)
                alive = np.concatenate([alive, len(first) + np.arange(len(new))])
                now = np.concatenate([now, new])
                first += list(new)
                anchors += [t] * len(new)
                most = len(alive)
            row = np.full((len(first), 2), np.nan, np.float32)
            row[alive] = now + 0.5
            rows.append(row)
            if progress is not None:
                progress(t + 1, frames)
    position = np.full((len(first), frames, 2), np.nan, np.float32)
    for t, row in enumerate(rows):
        position[: len(row), t] = row
    return Tracks(position, np.array(anchors, np.int64))


def _step(
    flow: Callable[..., tuple[np.ndarray, np.ndarray]],
    pool: Executor,
    first: np.ndarray,
    anchors: np.ndarray,
    alive: np.ndarray,
    now: np.ndarray,
    t: int,
    size: tuple[int, int],
) -> tuple[np.ndarray, np.ndarray]:
    """The tracks that are found again at frame ``t``, and where."""
    guess, ok = flow(t - 1, t, now)
    found = guess.copy()

    def measure(anchor: int) -> None:
        of = np.flatnonzero(anchors[alive] == anchor)
        start = first[alive[of]]
        place, there = flow(anchor, t, start, guess[of])
        back, home = flow(t, anchor, place, start)
        found[of] = place
        ok[of] &= there & home & (np.abs(back - start).max(axis=1) < RETURNED)
        ok[of] &= np.abs(place - guess[of]).max(axis=1) < LEAPS

    # Each call makes the pyramids of its pictures anew, on one core: the anchors share the cores.
    list(pool.map(measure, np.unique(anchors[alive])))
    inside = (found > WINDOW / 4).all(axis=1) & (found < np.array(size) - 1 - WINDOW / 4).all(axis=1)
    keep = ok & inside
    return alive[keep], found[keep]
