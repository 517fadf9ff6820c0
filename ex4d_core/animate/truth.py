"""How far a moving mesh, or the poses of single ones, are from exact truth: what benchmarks and tests measure by.

The pictures of a painted mesh are compared with its video as any two videos are, by `evaluation`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .surface import closest, distances

FLIP = 30.0
"""Degrees between turns from which on a pose counts as flipped."""


@dataclass(frozen=True)
class MeshErrors:
    """Means over the surface, each (T,), as shares of the object's size.

    Attributes:
        same_point: from each vertex to where the truth's own point has gone, which lay beneath it in the reference frame.
        surface: between the two surfaces, the worse of the two ways.
        chamfer: between the two surfaces, the mean of both.
    """

    same_point: np.ndarray
    surface: np.ndarray
    chamfer: np.ndarray


def mesh_errors(
    vertices: np.ndarray,
    faces: np.ndarray,
    truth: Callable[[int], np.ndarray],
    truth_faces: np.ndarray,
    reference: int,
    size: float,
) -> MeshErrors:
    """Errors of a moving mesh against one whose every point is known.

    Args:
        vertices: (T, V, 3) of the mesh.
        faces: (F, 3) of the mesh.
        truth: of a frame, the true mesh's vertices (W, 3) there.
        truth_faces: (G, 3) of the true mesh.
        reference: the frame in which the mesh counts as exact: its points are those of the truth beneath them there.
        size: of the object.
    """
    face, corners = closest(vertices[reference], truth(reference), truth_faces)
    same, ways = [], []
    for t, points in enumerate(vertices):
        true = truth(t)
        goal = np.einsum("nk,nki->ni", corners, true[truth_faces[face]])
        same.append(np.linalg.norm(points - goal, axis=1).mean())
        ways.append((distances(points, true, truth_faces).mean(), distances(true, points, faces).mean()))
    both = np.array(ways) / size
    return MeshErrors(np.array(same) / size, both.max(axis=1), both.mean(axis=1))


def slope(values: np.ndarray) -> float:
    """By how much an error (T,) grows over the clip: a straight line through all frames."""
    return float(np.polyfit(np.linspace(0, 1, len(values)), values, 1)[0]) if len(values) > 1 else 0.0


def degrees_between(poses: np.ndarray, true: np.ndarray) -> np.ndarray:
    """(N,) degrees between the turns of similarities (N, 4, 4), 0..180; from `FLIP` on it is a flip."""
    turns = [each[:, :3, :3] / np.cbrt(np.linalg.det(each[:, :3, :3]))[:, None, None] for each in (poses, true)]
    trace = np.einsum("nij,nij->n", *turns)
    return np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))
