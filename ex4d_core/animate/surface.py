"""Arithmetic on triangles: normals, areas, edges, points on a surface and their distance from another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NEAREST_VERTICES = 2
"""Vertices whose faces are looked at for the closest point of a surface."""


def face_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(F, 3) normals whose length is twice the face's area."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return np.cross(b - a, c - a)


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) unit normals, the faces' by area; 0 at vertices without a face."""
    normals = face_normals(vertices, faces)
    total = np.stack(
        [np.bincount(faces.reshape(-1), np.repeat(normals[:, k], 3), len(vertices)) for k in range(3)], axis=1
    )
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-30)


def area(vertices: np.ndarray, faces: np.ndarray) -> float:
    """Of all faces."""
    return float(np.linalg.norm(face_normals(vertices, faces), axis=1).sum() / 2)


def vertex_areas(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V,) a third of the area of each vertex' faces."""
    areas = np.linalg.norm(face_normals(vertices, faces), axis=1) / 6
    return np.bincount(faces.reshape(-1), np.repeat(areas, 3), len(vertices))


def signed_volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    """Inside a closed surface, negative where it is inside out; holes are closed towards the middle."""
    a, b, c = (vertices[faces[:, k]] - vertices.mean(axis=0) for k in range(3))
    return float((a * np.cross(b, c)).sum() / 6)


def edges_of(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(E, 2) edges, the lower vertex first, and (E,) how many faces each has."""
    pairs = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1).astype(np.int64)
    most = int(faces.max()) + 1
    keys, counts = np.unique(pairs[:, 0] * most + pairs[:, 1], return_counts=True)
    return np.stack([keys // most, keys % most], axis=1), counts


def on_border(faces: np.ndarray, vertices: int) -> np.ndarray:
    """(V,) whether a vertex lies at the edge of a hole."""
    edges, counts = edges_of(faces)
    border = np.zeros(vertices, bool)
    border[edges[counts == 1]] = True
    return border


def parts_of(faces: np.ndarray, vertices: int) -> np.ndarray:
    """(V,) the number of the connected part that each vertex belongs to; one without a face is a part of its own."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    edges, _ = edges_of(faces)
    graph = coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), (vertices, vertices))
    return connected_components(graph, directed=False)[1]


@dataclass(frozen=True, eq=False)
class Samples:
    """Points spread over a surface by area.

    Attributes:
        points: (S, 3).
        normals: (S, 3) unit, smooth over the faces.
        inside: (S,) False at the edge of a hole, where what is closest says nothing.
    """

    points: np.ndarray
    normals: np.ndarray
    inside: np.ndarray


def samples(vertices: np.ndarray, faces: np.ndarray, count: int) -> Samples:
    """Points spread evenly over a surface, the same every time.

    Args:
        vertices: (V, 3).
        faces: (F, 3).
        count: how many.
    """
    faces_of, corners = spread(vertices, faces, count)
    chosen = faces[faces_of]
    normals = np.einsum("sk,ski->si", corners, vertex_normals(vertices, faces)[chosen])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
    points = np.einsum("sk,ski->si", corners, vertices[chosen])
    inside = np.asarray(~on_border(faces, len(vertices))[chosen].any(axis=1))
    return Samples(points, normals, inside)


def spread(vertices: np.ndarray, faces: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(S,) faces and (S, 3) barycentric coordinates of points spread evenly over a surface."""
    areas = np.linalg.norm(face_normals(vertices, faces), axis=1)
    # One point in each of as many equal shares of the area: fewer clumps than by chance.
    places = (np.arange(count) + 0.5) / count * areas.sum()
    chosen = np.minimum(np.searchsorted(np.cumsum(areas), places), len(faces) - 1)
    u, v = np.random.default_rng(0).random((2, count))
    u = np.sqrt(u)
    return chosen, np.stack([1 - u, u * (1 - v), u * v], axis=1)


def closest(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where a surface is closest to points, among the faces around the closest two vertices.

    Args:
        points: (N, 3).
        vertices: (V, 3).
        faces: (F, 3).

    Returns:
        (N,) faces and (N, 3) barycentric coordinates in them.
    """
    from scipy.spatial import KDTree

    used = np.unique(faces)
    around = _faces_around(faces, len(vertices))
    near = used[KDTree(vertices[used]).query(points, NEAREST_VERTICES)[1]]
    candidates = around[near].reshape(len(points), -1)
    best, face, corners = np.full(len(points), np.inf), np.zeros(len(points), np.int64), np.zeros((len(points), 3))
    for column in candidates.T:
        there = column >= 0
        coordinates = _on_triangles(points[there], vertices[faces[column[there]]])
        found = np.einsum("nk,nki->ni", coordinates, vertices[faces[column[there]]])
        distance = np.linalg.norm(points[there] - found, axis=1)
        better = distance < best[there]
        rows = np.flatnonzero(there)[better]
        best[rows], face[rows], corners[rows] = distance[better], column[rows], coordinates[better]
    return face, corners


def _faces_around(faces: np.ndarray, vertices: int) -> np.ndarray:
    """(V, K) the faces at each vertex, -1 where it has fewer."""
    order = np.argsort(faces.reshape(-1), kind="stable")
    counts = np.bincount(faces.reshape(-1), minlength=vertices)
    table = np.full((vertices, int(counts.max())), -1, np.int64)
    column = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    table[np.repeat(np.arange(vertices), counts), column] = order // 3
    return table


def _on_triangles(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """(N, 3) barycentric coordinates of the point of each triangle (N, 3, 3) that is closest to each point (N, 3)."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    ab, ac, ap = b - a, c - a, points - a
    d1, d2, d11, d12, d22 = ((x * y).sum(axis=1) for x, y in ((ab, ap), (ac, ap), (ab, ab), (ab, ac), (ac, ac)))
    across = np.maximum(d11 * d22 - d12 * d12, 1e-30)
    v, w = (d22 * d1 - d12 * d2) / across, (d11 * d2 - d12 * d1) / across
    flat = np.stack([1 - v - w, v, w], axis=1)
    outside = (flat < 0).any(axis=1)
    best = np.full(len(points), np.inf)
    for k in range(3):
        start, end = corners[:, k], corners[:, (k + 1) % 3]
        way = end - start
        share = np.clip(((points - start) * way).sum(axis=1) / np.maximum((way**2).sum(axis=1), 1e-30), 0, 1)
        distance = np.linalg.norm(start + share[:, None] * way - points, axis=1)
        better = outside & (distance < best)
        best[better] = distance[better]
        edge = np.zeros((int(better.sum()), 3))
        edge[:, k], edge[:, (k + 1) % 3] = 1 - share[better], share[better]
        flat[better] = edge
    return flat


def distances(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(N,) how far points (N, 3) are from a surface."""
    face, corners = closest(points, vertices, faces)
    return np.linalg.norm(points - np.einsum("nk,nki->ni", corners, vertices[faces[face]]), axis=1)
