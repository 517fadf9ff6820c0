"""How well tracks agree with exact ones, by the measures of TAP-Vid.

Source: Doersch et al., "TAP-Vid: A Benchmark for Tracking Any Point in a Video" (2022), section 3: thresholds of 1, 2, 4, 8
and 16 pixels in a picture of 256 x 256.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .tracks import Tracks

THRESHOLDS = (1, 2, 4, 8, 16)
SIDE = 256
"""Pictures are thought of at this size."""


@dataclass(frozen=True)
class Grade:
    """Shares, 0..1.

    Attributes:
        delta_avg: of truly visible points within a threshold, averaged over the thresholds; whether they were found visible
            does not matter.
        occlusion_accuracy: of points whose visibility was said rightly.
        average_jaccard: visible points found within a threshold, over all visible ones and those that were claimed to be
            seen where they are not; averaged over the thresholds.
    """

    delta_avg: float
    occlusion_accuracy: float
    average_jaccard: float


def grade(found: Tracks, truth: Tracks, size: tuple[int, int], start: int) -> Grade:
    """Compare over all frames but the one in which the points were given.

    Args:
        found: by a tracker.
        truth: of the same points.
        size: (height, width) of the pictures.
        start: the frame in which the points were given.
    """
    height, width = size
    frames = np.arange(len(truth.path)) != start
    scale = np.array([SIDE / width, SIDE / height], dtype=np.float64)
    distance = np.linalg.norm((found.path[frames] - truth.path[frames]) * scale, axis=-1)
    visible, said = truth.seen[frames], found.seen[frames]
    within, jaccard = [], []
    for threshold in THRESHOLDS:
        close = distance < threshold
        hit = close & visible & said
        within.append((close & visible).sum() / max(1, visible.sum()))
        claimed = said & ~(close & visible)  # where nothing is to be seen, or in the wrong place
        jaccard.append(hit.sum() / max(1, visible.sum() + claimed.sum()))
    return Grade(float(np.mean(within)), float((visible == said).mean()), float(np.mean(jaccard)))
