"""What pulls the vertices of a mesh onto the mesh of a frame: closest points both ways, and tracks.

For every vertex x all pulls are one quadratic form, x' W x - 2 b' x, so that whatever solves for the vertices needs no more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..surface import Samples, vertex_areas, vertex_normals

NORMAL_REACH = 0.05
"""How far from each other, as a share of the object, opposite normals make two points in the search for the closest."""
SLIDE = 0.1
"""Share of a pull that goes straight to the closest point; the rest leaves a vertex free to slide over the surface."""
ALIKE = 0.4
"""Least cosine between normals of two points that may belong together: 66 degrees."""


@dataclass(frozen=True, eq=False)
class Target:
    """The mesh of one frame, ready to be searched.

    Attributes:
        samples: points of it.
        tree: of points and normals.
        size: of the object.
    """

    samples: Samples
    tree: object
    size: float


def target_of(samples: Samples, size: float) -> Target:
    """A frame's samples with their search tree."""
    from scipy.spatial import KDTree

    return Target(samples, KDTree(with_normals(samples.points, samples.normals, size)), size)


def with_normals(points: np.ndarray, normals: np.ndarray, size: float) -> np.ndarray:
    """(N, 6) what is searched: points, and normals at a length that keeps two sides of a thin part apart."""
    return np.concatenate([points, NORMAL_REACH / 2 * size * normals], axis=1)


@dataclass(eq=False)
class Pulls:
    """(V, 3, 3) and (V, 3): W and b of every vertex."""

    matrix: np.ndarray
    vector: np.ndarray

    def add(
        self, vertices: np.ndarray, points: np.ndarray, normals: np.ndarray, weights: np.ndarray, slide: float
    ) -> None:
        """Pull vertices to planes, and a share ``slide`` of it to the points themselves."""
        self.add_forms(
            vertices, points, (1 - slide) * normals[:, :, None] * normals[:, None] + slide * np.eye(3), weights
        )

    def add_forms(self, vertices: np.ndarray, points: np.ndarray, forms: np.ndarray, weights: np.ndarray) -> None:
        """Pull vertices to points (N, 3) as quadratic forms (N, 3, 3) measure the way there."""
        forms = forms * weights[:, None, None]
        np.add.at(self.matrix, vertices, forms)
        np.add.at(self.vector, vertices, np.einsum("nij,nj->ni", forms, points))


def no_pulls(count: int) -> Pulls:
    """Nothing pulls at so many vertices yet."""
    return Pulls(np.zeros((count, 3, 3)), np.zeros((count, 3)))


def pulls_on(
    vertices: np.ndarray,
    faces: np.ndarray,
    border: np.ndarray,
    target: Target,
    reach: float,
    slide: float = SLIDE,
    shown: np.ndarray | None = None,
) -> Pulls:
    """Closest points from the mesh to the frame's and back, both with a sum of weights of at most 1.

    Args:
        vertices: (V, 3) of the deforming mesh.
        faces: (F, 3).
        border: (V,) vertices at the edge of a hole.
        target: the frame's mesh.
        reach: farther points, in the same unit, do not pull; weights fall towards it (Tukey's biweight).
        slide: share of a pull that goes to the very point.
        shown: numbers of the vertices that the frame could show at all; None = all.
    """
    from scipy.spatial import KDTree

    normals = vertex_normals(vertices, faces)
    areas = vertex_areas(vertices, faces)
    result, goal = no_pulls(len(vertices)), target.samples
    shown = np.arange(len(vertices)) if shown is None else shown
    if not len(shown) or not len(goal.points):
        return result
    own = with_normals(vertices[shown], normals[shown], target.size)
    _, to = target.tree.query(own)  # type: ignore[attr-defined]
    weights = areas[shown] / areas[shown].sum()
    weights *= trust(vertices[shown] - goal.points[to], normals[shown], goal.normals[to], reach) * goal.inside[to]
    result.add(shown, goal.points[to], goal.normals[to], weights, slide)
    by = shown[np.asarray(KDTree(own).query(with_normals(goal.points, goal.normals, target.size))[1])]
    weights = trust(goal.points - vertices[by], goal.normals, normals[by], reach) / len(by)
    weights *= ~border[by]
    result.add(by, goal.points, goal.normals, weights, slide)
    return result


def trust(ways: np.ndarray, normals: np.ndarray, others: np.ndarray, reach: float) -> np.ndarray:
    """(N,) 0..1 how much a closest point counts, by the way there and both normals."""
    near = np.maximum(1 - (ways**2).sum(axis=1) / reach**2, 0) ** 2
    return near * ((normals * others).sum(axis=1) > ALIKE)
