"""Colours of vertices that no frame sees, spread over the surface from those that are seen (Laplace's equation)."""

from __future__ import annotations

import numpy as np

STEPS = 400
"""Of conjugate gradients, at most."""
EXACT = 1e-4


def spread(colors: np.ndarray, seen: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Vertex colours everywhere.

    Args:
        colors: (V, 3) float.
        seen: (V,) bool, which of them are known.
        faces: (F, 3).

    Returns:
        (V, 3): the known ones as they are, the others the smoothest between them; pieces of the mesh that are not seen at
        all take the mean of what is.
    """
    if not seen.any():
        return np.full_like(colors, 0.5)
    result = np.where(seen[:, None], colors, colors[seen].mean(0))
    if seen.all():
        return result
    pairs = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    first, second = np.unique(pairs, axis=0).T
    free = ~seen
    count = len(colors)
    degree = np.bincount(first, minlength=count) + np.bincount(second, minlength=count)

    def laplacian(values: np.ndarray) -> np.ndarray:
        around = np.bincount(first, values[second], count) + np.bincount(second, values[first], count)
        return np.where(free, degree * values - around, 0.0)

    for channel in range(colors.shape[1]):
        result[:, channel] = _solved(laplacian, result[:, channel].astype(np.float64), free, np.maximum(degree, 1))
    return result


def _solved(laplacian, values: np.ndarray, free: np.ndarray, degree: np.ndarray) -> np.ndarray:
    """Conjugate gradients with the degrees as preconditioner, begun at the values given."""
    rest = -laplacian(values)
    along = rest / degree
    product = rest @ along
    for _ in range(STEPS):
        if np.abs(rest).max() < EXACT:
            break
        changed = laplacian(along)
        step = product / max(along @ changed, 1e-30)
        values = values + step * along
        rest = rest - step * changed
        new = rest @ (rest / degree)
        along = np.where(free, rest / degree + new / max(product, 1e-30) * along, 0.0)
        product = new
    return values
