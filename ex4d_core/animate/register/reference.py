"""Which frame's mesh becomes the one that moves: found by trying, not assumed to be the first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..surface import edges_of, parts_of
from .follow import Goal, checked, follow, reference_of, unmoved

CANDIDATES = 3
NEIGHBOURS = 2
"""Frames on either side that a candidate is tried on."""
TRIAL_NODES = 40


def looks_whole(vertices: np.ndarray, faces: np.ndarray) -> float:
    """How much speaks against a mesh by itself, from 0: edges of holes, and loose parts, by their share of all vertices.

    Args:
        vertices: (V, 3).
        faces: (F, 3).
    """
    edges, counts = edges_of(faces)
    open_edges = np.linalg.norm(vertices[edges[counts == 1, 0]] - vertices[edges[counts == 1, 1]], axis=1).sum()
    sizes = np.bincount(parts_of(faces, len(vertices)))
    return float(open_edges / np.linalg.norm(np.ptp(vertices, axis=0)) + (1 - sizes.max() / sizes.sum()))


def best_reference(vertices: Sequence[np.ndarray], goals: Sequence[Goal], cancel_check: object = None) -> int:
    """The mesh that can be carried onto its neighbours best.

    Of the three that look most whole, one near the middle first where they are alike, each is bent onto the two frames before it
    and after it. Parts that touch in one frame are grown together in its mesh: such a mesh cannot open, and what it misses tells.

    Args:
        vertices: (N) of (V, 3), all in one unit.
        goals: the same frames as goals.
        cancel_check: called before every trial; raises to end it.
    """
    count = len(goals)
    middle = (count - 1) / 2
    worth = [
        looks_whole(points, goal.faces) + 0.05 * abs(n - middle) / max(middle, 1)
        for n, (points, goal) in enumerate(zip(vertices, goals, strict=True))
    ]
    order = np.argsort(worth, kind="stable")[:CANDIDATES]
    if count < 3:
        return int(order[0])
    return int(min(order, key=lambda n: _trial(int(n), vertices, goals, cancel_check)))


def _trial(n: int, vertices: Sequence[np.ndarray], goals: Sequence[Goal], cancel_check: object) -> float:
    """Mean distance both ways over a candidate's neighbours."""
    reference = reference_of(vertices[n], goals[n].faces, TRIAL_NODES)
    found = []
    for side in (-1, 1):
        state = unmoved(reference)
        for k in range(n + side, n + side * (NEIGHBOURS + 1), side):
            if not 0 <= k < len(goals):
                break
            if callable(cancel_check):
                cancel_check()
            state = follow(reference, goals[k], state, fine=False)
            check = checked(reference, goals[k], state.vertices)
            found.append(check.there + check.back)
    return float(np.mean(found))
