"""Every vertex for itself, as rigid as possible against the shape at rest: what nodes are too coarse for.

Sorkine and Alexa, As-Rigid-As-Possible Surface Modeling, 2007: turns from the vertices (local), vertices from the turns (global).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ..surface import area, edges_of
from .pulls import Pulls

FLATTEST = 0.05
"""Least cotangent weight: slivers of generated meshes would else pull their edges apart."""


@dataclass(frozen=True, eq=False)
class Springs:
    """Edges at rest, both ways.

    Attributes:
        one, other: (E,) vertices.
        weights: (E,) cotangent weights over the surface's area, so that they do not depend on the unit.
        ways: (E, 3) from one to the other, at rest.
        laplacian: sparse (V, V).
    """

    one: np.ndarray
    other: np.ndarray
    weights: np.ndarray
    ways: np.ndarray
    laplacian: object

    def stretched(self, stretches: np.ndarray) -> Springs:
        """The same with edges at rest as symmetric maps (V, 3, 3) of the vertices have them."""
        both = (stretches[self.one] + stretches[self.other]) / 2
        return replace(self, ways=np.einsum("eij,ej->ei", both, self.ways))


def springs_of(vertices: np.ndarray, faces: np.ndarray) -> Springs:
    """The edges of a mesh at rest (V, 3), (F, 3)."""
    from scipy.sparse import coo_matrix, diags

    edges, _ = edges_of(faces)
    cotangents = np.zeros(len(edges))
    keys = edges[:, 0] * len(vertices) + edges[:, 1]
    for k in range(3):
        tip, a, b = (
            faces[:, k].astype(np.int64),
            faces[:, (k + 1) % 3].astype(np.int64),
            faces[:, (k + 2) % 3].astype(np.int64),
        )
        u, v = vertices[a] - vertices[tip], vertices[b] - vertices[tip]
        cotangent = (u * v).sum(axis=1) / np.maximum(np.linalg.norm(np.cross(u, v), axis=1), 1e-12)
        found = np.searchsorted(keys, np.minimum(a, b) * len(vertices) + np.maximum(a, b))
        np.add.at(cotangents, found, cotangent / 2)
    weights = np.clip(cotangents, FLATTEST, 1 / FLATTEST) / area(vertices, faces)
    one, other = np.concatenate([edges, edges[:, ::-1]]).T
    both = np.concatenate([weights, weights])
    matrix = coo_matrix((both, (one, other)), (len(vertices), len(vertices))).tocsr()
    laplacian = diags(np.asarray(matrix.sum(axis=1)).reshape(-1)) - matrix
    return Springs(one, other, both, vertices[other] - vertices[one], laplacian.tocsr())


def vertex_turns(springs: Springs, vertices: np.ndarray) -> np.ndarray:
    """(V, 3, 3) the rotation that best takes each vertex' edges at rest to where they are."""
    outer = (springs.weights[:, None] * springs.ways)[:, :, None] * (vertices[springs.other] - vertices[springs.one])[
        :, None
    ]
    sums = np.stack(
        [np.bincount(springs.one, outer[:, i, j], len(vertices)) for i in range(3) for j in range(3)], axis=1
    )
    u, _, v = np.linalg.svd(sums.reshape(-1, 3, 3))
    sign = np.sign(np.linalg.det(u @ v))
    u[:, :, 2] *= sign[:, None]
    return (u @ v).swapaxes(1, 2)


def refined(
    springs: Springs,
    start: np.ndarray,
    pulls: Callable[[np.ndarray, float], Pulls],
    stages: tuple[tuple[float, float, int], ...],
) -> np.ndarray:
    """Vertices (V, 3) as close to a frame as their edges' rest shape allows.

    Args:
        springs: edges at rest.
        start: (V, 3) where to begin.
        pulls: of vertices (V, 3), and the reach within which they search.
        stages: stiffness, reach and number of steps. The square root of the stiffness is about the length over which pulls are
            averaged, in the unit of the vertices.
    """
    vertices = start
    for stiffness, reach, steps in stages:
        for _ in range(steps):
            vertices = _step(springs, vertices, pulls(vertices, reach), stiffness)
    return vertices


def _step(springs: Springs, vertices: np.ndarray, pulls: Pulls, stiffness: float) -> np.ndarray:
    from scipy.sparse import bsr_matrix, eye, kron
    from scipy.sparse.linalg import splu

    turns = vertex_turns(springs, vertices)
    wanted = (
        0.5
        * np.einsum("eij,ej->ei", turns[springs.one] + turns[springs.other], springs.ways)
        * springs.weights[:, None]
    )
    sums = np.stack([np.bincount(springs.one, -wanted[:, k], len(vertices)) for k in range(3)], axis=1)
    count = len(vertices)
    data = bsr_matrix((pulls.matrix, np.arange(count), np.arange(count + 1)), shape=(3 * count, 3 * count))
    matrix = (stiffness * kron(springs.laplacian, eye(3)) + data + 1e-9 * eye(3 * count)).tocsc()
    solved = splu(matrix, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}, diag_pivot_thresh=0.0)
    return solved.solve((stiffness * sums + pulls.vector + 1e-9 * vertices).reshape(-1)).reshape(-1, 3)
