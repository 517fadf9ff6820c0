"""Fewer triangles of the same shape: by fast-simplification where it is installed, else by ``decimate``."""

from __future__ import annotations

import numpy as np

from ..machine import extras
from .decimate import decimated
from .surface import closest

TOO_MANY = 1.02
"""Times the faces asked for at which what fast-simplification leaves is collapsed further."""


def with_fewer_faces(
    vertices: np.ndarray, faces: np.ndarray, most: int, values: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """A mesh of at most about ``most`` faces.

    Args:
        vertices: (V, 3) float64.
        faces: (F, 3).
        most: faces wanted.
        values: (V, C) numbers that go with the vertices, such as colours.

    Returns:
        (V', 3) vertices, (F', 3) int32 faces and (V', C) values.
    """
    if extras.has("fast_simplification"):
        moved, fewer = _quickly(vertices, faces, most)
        if len(fewer):
            carried = None if values is None else _carried(moved, vertices, faces, values)
            if len(fewer) <= TOO_MANY * most:
                return moved, fewer, carried
            vertices, faces, values = moved, fewer, carried
    return decimated(vertices, faces, most, values)


def _quickly(vertices: np.ndarray, faces: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """What the package makes of it, without faces that have lost a corner and vertices that have lost their faces."""
    simplify = extras.load("fast_simplification", "Simplifying").simplify
    # Numbers near 1, whatever the file's unit: the package compares areas with constants.
    middle, unit = vertices.mean(axis=0), float(np.ptp(vertices, axis=0).max())
    points, left = simplify((vertices - middle) / unit, np.asarray(faces, np.int32), target_count=most)[:2]
    left = left[(left[:, 0] != left[:, 1]) & (left[:, 1] != left[:, 2]) & (left[:, 2] != left[:, 0])]
    used, left = np.unique(left, return_inverse=True)
    return np.asarray(points, np.float64)[used] * unit + middle, left.reshape(-1, 3).astype(np.int32)


def _carried(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(N, C) values of a surface where it is closest to points (N, 3)."""
    face, shares = closest(points, vertices, np.asarray(faces, np.int64))
    return np.einsum("nk,nkc->nc", shares, np.asarray(values, np.float64)[faces[face]])
