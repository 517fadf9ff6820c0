"""Frames of moving vertices as shapes that are added to a first one: one for each frame, or fewer where those do."""

from __future__ import annotations

import numpy as np

ALLOWED = 1e-4
"""By how much a vertex may be off, as a share of the scene's radius, where frames are mixed from fewer shapes."""
FEWEST_SAVED = 0.2
"""Share of the shapes that must be saved for it."""


def as_shapes(moved: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first frame, shapes, and how much of each is added at every frame.

    Where fewer shapes give every vertex of every frame to within 1e-4 of the radius, they are the strongest singular
    vectors of the motion; else the frames themselves, each with a weight of 1 at its time. Overwrites ``moved``.

    Weights are 0 to 1 and 0 at the first frame: Blender's shape keys cut off what is negative.

    Args:
        moved: (T, N, 3) float32 positions.
        radius: of the scene, in the same unit.

    Returns:
        (N, 3) positions, (K, N, 3) float32 shapes and (T, K) float32 weights; K = 0 where nothing moves.
    """
    base = moved[0].copy()
    moved -= base
    # Frames that are like the first need no shape, and equal ones share theirs.
    differs = np.array([bool(frame.any()) for frame in moved])
    if not differs.any():
        return base, moved[:0], np.zeros((len(moved), 0), np.float32)
    few = _singular(moved, ALLOWED * radius)
    if few is not None:
        return base, *few
    weights = np.zeros((len(moved), int(differs.sum())), np.float32)
    weights[differs] = np.eye(weights.shape[1], dtype=np.float32)
    return base, moved[differs] if not differs[1:].all() else moved[1:], weights


def _singular(moved: np.ndarray, allowed: float) -> tuple[np.ndarray, np.ndarray] | None:
    """(K, N, 3) shapes and (T, K) weights; None where K would save too little."""
    flat = moved.reshape(len(moved), -1)
    most = int((1 - FEWEST_SAVED) * (len(moved) - 1)) - 1  # one more may be needed, against negative weights
    if most < 1:
        return None
    values, vectors = np.linalg.eigh(_gram(flat))
    order = np.argsort(values)[::-1]
    values, vectors = values[order], vectors[:, order]
    # What is left out is at least this far off somewhere: the root mean square over all coordinates and frames.
    rest = np.sqrt(np.maximum(np.cumsum(values[::-1])[::-1], 0) / flat.size)
    low, high = int(np.argmax(rest <= allowed)) if (rest <= allowed).any() else len(values), most
    if low > high or _miss(flat, vectors[:, :high]) > allowed:
        return None
    while low < high:
        middle = (low + high) // 2
        if _miss(flat, vectors[:, :middle]) <= allowed:
            high = middle
        else:
            low = middle + 1
    weights = vectors[:, :high].astype(np.float32)
    shapes = (weights.T @ flat).reshape(high, *moved.shape[1:])
    return _from_zero(shapes, weights - weights[:1])


def _from_zero(shapes: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same motion with weights of 0 to 1.

    One more shape, against all others, makes up for raising all weights of a frame until none is negative.
    """
    turned = np.where(weights.sum(axis=0) < 0, np.float32(-1), np.float32(1))
    weights, shapes = weights * turned, shapes * turned[:, None, None]
    raised = -weights.min(axis=1, keepdims=True, initial=0)  # motion that nobody sees has no shapes at all
    if raised.max() > 1e-6 * weights.max(initial=0):
        weights = np.concatenate([weights + raised, raised], axis=1)
        shapes = np.concatenate([shapes, -shapes.sum(axis=0, keepdims=True)])
    strongest = weights.max(axis=0)
    return shapes * strongest[:, None, None], np.clip(weights / strongest, 0, 1)


PIECE = 1 << 16
"""Coordinates looked at together."""


def _gram(flat: np.ndarray) -> np.ndarray:
    gram = np.zeros((len(flat), len(flat)))
    for begin in range(0, flat.shape[1], PIECE):
        piece = flat[:, begin : begin + PIECE].astype(np.float64)
        gram += piece @ piece.T
    return gram


def _miss(flat: np.ndarray, vectors: np.ndarray) -> float:
    """The largest difference of a coordinate where the frames are mixed from these shapes, the first from none."""
    weights = vectors.astype(np.float32)
    added = weights - weights[:1]
    worst = 0.0
    for begin in range(0, flat.shape[1], PIECE):
        piece = flat[:, begin : begin + PIECE]
        worst = max(worst, float(np.abs(added @ (weights.T @ piece) - piece).max(initial=0.0)))
    return worst
