"""The views of all frames chosen at once: those that fit and agree with their neighbours, by dynamic programming.

The meshes of two frames have nothing in common but the object, so that their poses cannot be compared; what can is where they put
its surface. A front taken for a back fits one frame's mask as well as the truth, but not the frames before and after.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from .refine import Fit
from .solid import Solid

COST_SCALE = 0.35
"""Pixels of error that weigh as much as `APART_SCALE` of disagreement."""
APART_SCALE = 0.03
MOST_APART = 0.25
"""Disagreement, in the object's size, beyond which two surfaces are simply different."""
KEPT = 0.85
"""Share of points that agree best: what one mesh lacks is not held against the other."""
ALIGNMENTS = 3


def chosen(fits: list[list[Fit]], solids: list[Solid]) -> tuple[list[int], np.ndarray]:
    """One fit for every frame.

    Args:
        fits: for each frame some, the poses of its solid.
        solids: the frames' meshes.

    Returns:
        The number of the fit for each frame, and (N - 1,) how far apart the surfaces of chosen neighbours are, in their size.
    """
    placed = [[_in_size(solid.samples, fit.pose) for fit in own] for own, solid in zip(fits, solids, strict=True)]
    costs = [np.array([fit.cost for fit in own]) for own in fits]
    best = [np.minimum((cost - cost.min()) / COST_SCALE, 20.0) for cost in costs]
    apart = [
        np.array([[surfaces_apart(first, second) for second in later] for first in earlier])
        for earlier, later in pairwise(placed)
    ]
    total, came = best[0], []
    for steps, cost in zip(apart, best[1:], strict=True):
        way = total[:, None] + steps / APART_SCALE
        came.append(way.argmin(0))
        total = way.min(0) + cost
    picked = [int(total.argmin())]
    for before in reversed(came):
        picked.append(int(before[picked[-1]]))
    picked.reverse()
    return picked, np.array([steps[a, b] for steps, a, b in zip(apart, picked[:-1], picked[1:], strict=True)])


def _in_size(samples: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Points turned as the camera sees them, around their middle, in their own size."""
    turn = pose[:3, :3] / np.cbrt(np.linalg.det(pose[:3, :3]))
    return samples @ turn.T


def surfaces_apart(first: np.ndarray, second: np.ndarray) -> float:
    """Mean distance of two surfaces' points (N, 3) in their own size, 0 to `MOST_APART`, after a small shift between them."""
    shift = np.zeros(3)
    square = (second**2).sum(1)
    distance = np.zeros(2)
    for _ in range(ALIGNMENTS):
        moved = first + shift
        all_pairs = (moved**2).sum(1)[:, None] + square - 2 * moved @ second.T
        forth, back = all_pairs.argmin(1), all_pairs.argmin(0)
        there, here = second[forth] - moved, second - moved[back]
        near = [np.argsort((gap**2).sum(1))[: int(KEPT * len(gap))] for gap in (there, here)]
        distance = np.array([np.linalg.norm(gap[n], axis=1).mean() for gap, n in zip((there, here), near, strict=True)])
        shift = shift + (there[near[0]].mean(0) + here[near[1]].mean(0)) / 2
    return float(min(distance.mean(), MOST_APART))
