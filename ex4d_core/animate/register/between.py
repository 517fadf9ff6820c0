"""Frames between key frames: the object's own turn and place, and its shape, each along a cubic curve.

Straight lines between turned vertices would shrink the object on its way; so its turn is taken out first and put back after.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..surface import vertex_normals


def rigid_motion(rest: np.ndarray, vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(3, 3) turn and (3,) shift that take points (V, 3) closest to others (Kabsch, 1976)."""
    middle, other = rest.mean(axis=0), vertices.mean(axis=0)
    u, _, v = np.linalg.svd((rest - middle).T @ (vertices - other))
    u[:, 2] *= np.sign(np.linalg.det(u @ v))
    turn = (u @ v).T
    return turn, other - turn @ middle


def at_times(times: Sequence[float], vertices: np.ndarray, wanted: Sequence[float]) -> np.ndarray:
    """Vertices at times between those known; held before the first and after the last.

    Args:
        times: (N) increasing.
        vertices: (N, V, 3) at those.
        wanted: (T) times.

    Returns:
        (T, V, 3); at a known time exactly what is known.
    """
    from scipy.interpolate import Akima1DInterpolator, CubicSpline
    from scipy.spatial.transform import Rotation, RotationSpline

    known, asked = np.asarray(times, float), np.clip(np.asarray(wanted, float), times[0], times[-1])
    if len(known) == 1:
        return np.repeat(vertices, len(asked), axis=0)
    motions = [rigid_motion(vertices[0], frame) for frame in vertices]
    turns = np.array([turn for turn, _ in motions])
    shapes = np.array([(frame - shift) @ turn for frame, (turn, shift) in zip(vertices, motions, strict=True)])
    middles = vertices.mean(axis=1)
    if len(known) == 2:
        share = ((asked - known[0]) / (known[1] - known[0]))[:, None]
        place, shape = (
            middles[0] + share * (middles[1] - middles[0]),
            shapes[0] + share[..., None] * (shapes[1] - shapes[0]),
        )
    else:
        place, shape = CubicSpline(known, middles)(asked), Akima1DInterpolator(known, shapes)(asked)
    turned = np.einsum("tij,tvj->tvi", RotationSpline(known, Rotation.from_matrix(turns))(asked).as_matrix(), shape)
    result = turned + (place - turned.mean(axis=1))[:, None]
    exact = np.searchsorted(known, asked)
    hit = known[np.minimum(exact, len(known) - 1)] == asked
    result[hit] = vertices[exact[hit]]
    return result


def smoothed(times: Sequence[float], vertices: np.ndarray, faces: np.ndarray, share: float) -> np.ndarray:
    """Vertices (N, V, 3) drawn by a share to where two frames before and two after have them, within the surface alone.

    Where a vertex lies across the surface, its frame's mesh tells; where along it, only all frames together.
    """
    if share == 0:
        return vertices
    result = vertices.copy()
    for n in range(1, len(times) - 1):
        around = [k for k in range(n - 2, n + 3) if k != n and 0 <= k < len(times)]
        expected = at_times([times[k] for k in around], vertices[around], [times[n]])[0]
        normals = vertex_normals(vertices[n], faces)
        way = expected - vertices[n]
        result[n] += share * (way - (way * normals).sum(axis=1, keepdims=True) * normals)
    return result
