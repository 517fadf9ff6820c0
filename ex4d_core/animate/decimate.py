"""Fewer triangles of the same shape: edges collapsed where that changes it least.

Garland and Heckbert, Surface Simplification Using Quadric Error Metrics, 1997. In place of a queue, each round collapses all
edges that cost less than every other edge around them: they do not touch each other, so a round is a few operations on arrays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .surface import edges_of, face_normals

BORDER_WEIGHT = 10.0
"""How much a border counts, against the surface beside it."""
FLIP = 0.2
"""Least cosine between a face's normals before and after a collapse."""
PATIENCE = 20
"""Rounds without a collapse after which no more are tried."""
CROWDED = 60
"""Meshes of this many times the faces asked for are first reduced on a grid to a third of that."""


@dataclass(eq=False)
class _Mesh:
    vertices: np.ndarray
    faces: np.ndarray
    values: np.ndarray
    quadrics: np.ndarray
    trouble: np.ndarray
    """(V,) times that a collapse here would have folded the surface: it is tried elsewhere first."""


def decimated(
    vertices: np.ndarray, faces: np.ndarray, most: int, values: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """A mesh of at most about ``most`` faces; fewer collapses where they would fold the surface or change its holes.

    Args:
        vertices: (V, 3).
        faces: (F, 3).
        most: faces wanted.
        values: (V, C) numbers that go with the vertices, such as colours.

    Returns:
        (V', 3) vertices, (F', 3) int32 faces and (V', C) values.
    """
    own = np.zeros((len(vertices), 0)) if values is None else np.array(values, np.float64)
    vertices, faces = np.asarray(vertices, np.float64), np.asarray(faces, np.int64)
    if len(faces) > CROWDED * most:
        vertices, faces, own = _on_a_grid(vertices, faces, own, CROWDED * most // 3)
    # Numbers near 1, whatever the file's unit.
    middle, unit = vertices.mean(axis=0), float(np.ptp(vertices, axis=0).max())
    vertices = (vertices - middle) / unit
    mesh = _Mesh(vertices, faces, own, _quadrics(vertices, faces), np.zeros(len(vertices)))
    stalled = 0
    while len(mesh.faces) > most and stalled < PATIENCE:
        stalled = 0 if _round(mesh, (len(mesh.faces) - most + 1) // 2) else stalled + 1
    used, faces = np.unique(mesh.faces, return_inverse=True)
    faces = faces.reshape(-1, 3).astype(np.int32)
    return mesh.vertices[used] * unit + middle, faces, None if values is None else mesh.values[used]


def _quadrics(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 4, 4) squared distances, by area, from the planes of a vertex' faces, and from walls along borders."""
    normals = face_normals(vertices, faces)
    areas = np.linalg.norm(normals, axis=1)
    normals = normals / np.maximum(areas, 1e-30)[:, None]
    result = np.zeros((len(vertices), 4, 4))
    _add_planes(result, faces, normals, vertices[faces[:, 0]], areas)
    edges, counts = edges_of(faces)
    border = edges[counts == 1]
    if len(border):
        key = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1) @ np.array([len(vertices), 1])
        order = np.argsort(key)
        face = order[np.searchsorted(key[order], border @ np.array([len(vertices), 1]))] // 3
        way = vertices[border[:, 1]] - vertices[border[:, 0]]
        walls = np.cross(way, normals[face])
        long = np.linalg.norm(walls, axis=1)
        walls /= np.maximum(long, 1e-30)[:, None]
        _add_planes(result, border, walls, vertices[border[:, 0]], BORDER_WEIGHT * long**2)
    return result


def _add_planes(
    result: np.ndarray, corners: np.ndarray, normals: np.ndarray, points: np.ndarray, weights: np.ndarray
) -> None:
    planes = np.concatenate([normals, -(normals * points).sum(axis=1, keepdims=True)], axis=1)
    forms = weights[:, None, None] * planes[:, :, None] * planes[:, None]
    for column in corners.T:
        np.add.at(result, column, forms)


def _costs(mesh: _Mesh, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(E,) cost and (E, 3) place of the vertex that each edge would become."""
    forms = mesh.quadrics[edges[:, 0]] + mesh.quadrics[edges[:, 1]]
    middle = (mesh.vertices[edges[:, 0]] + mesh.vertices[edges[:, 1]]) / 2
    inner = forms[:, :3, :3]
    # Where the planes leave the place open, along flat ground, the middle of the edge decides.
    hold = 1e-3 * np.trace(inner, axis1=1, axis2=2) + 1e-20
    matrix = inner + hold[:, None, None] * np.eye(3)
    places = np.linalg.solve(matrix, (hold[:, None] * middle - forms[:, :3, 3])[..., None])[..., 0]
    ends = np.concatenate([places, np.ones((len(places), 1))], axis=1)
    length = ((mesh.vertices[edges[:, 0]] - mesh.vertices[edges[:, 1]]) ** 2).sum(axis=1)
    return np.einsum("ei,eij,ej->e", ends, forms, ends) + 1e-6 * length * hold, places


def _round(mesh: _Mesh, most: int) -> bool:
    """Collapse edges that are cheapest among all around them, ``most`` at most; False where none could be."""
    edges, faces_of = edges_of(mesh.faces)
    costs, places = _costs(mesh, edges)
    costs *= 10 ** mesh.trouble[edges].max(axis=1)
    able = _keeps_topology(mesh, edges, faces_of)
    edges, costs, places = edges[able], costs[able], places[able]
    if not len(edges):
        return False
    rank = np.empty(len(edges), np.int64)
    rank[np.argsort(costs, kind="stable")] = np.arange(len(edges))
    chosen = _cheapest_around(edges, rank, len(mesh.vertices))
    chosen = chosen[np.argsort(rank[chosen])][:most]
    goes = np.arange(len(mesh.vertices))
    for _ in range(4):  # what folds a face is left out, which may unfold or fold another
        moved = mesh.vertices.copy()
        goes[:] = np.arange(len(goes))
        goes[edges[chosen, 1]] = edges[chosen, 0]
        moved[edges[chosen, 0]] = places[chosen]
        folded = _folded(mesh, goes, moved)
        if not folded.any():
            break
        bad = np.zeros(len(goes), bool)
        bad[goes[mesh.faces[folded]]] = True
        worse = bad[edges[chosen, 0]]
        mesh.trouble[edges[chosen[worse]]] += 1
        chosen = chosen[~worse]
    if not len(chosen):
        return False
    a, b = edges[chosen].T
    mesh.quadrics[a] += mesh.quadrics[b]
    mesh.values[a] = (mesh.values[a] + mesh.values[b]) / 2
    mesh.vertices[a] = places[chosen]
    goes[:] = np.arange(len(goes))
    goes[b] = a
    faces = goes[mesh.faces]
    mesh.faces = faces[(faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])]
    return True


def _cheapest_around(edges: np.ndarray, rank: np.ndarray, vertices: int) -> np.ndarray:
    """Edges whose rank is the lowest of all edges at their ends' neighbours."""
    lowest = np.full(vertices, len(edges))
    for _ in range(2):
        of_edges = rank if lowest.max() == len(edges) else np.minimum(rank, lowest[edges].min(axis=1))
        wider = lowest.copy()
        np.minimum.at(wider, edges.reshape(-1), np.repeat(of_edges, 2))
        lowest = wider
    return np.flatnonzero((lowest[edges] == rank[:, None]).all(axis=1))


def _keeps_topology(mesh: _Mesh, edges: np.ndarray, faces_of: np.ndarray) -> np.ndarray:
    """(E,) whether an edge's ends share no neighbour but the tips of its faces, and no border is bridged."""
    from scipy.sparse import coo_matrix

    count = len(mesh.vertices)
    one = np.ones(2 * len(edges), np.int32)
    near = coo_matrix((one, (edges.reshape(-1), edges[:, ::-1].reshape(-1))), (count, count)).tocsr()
    shared = np.asarray((near @ near)[edges[:, 0], edges[:, 1]]).reshape(-1)
    border = np.zeros(count, bool)
    border[edges[faces_of == 1]] = True
    bridge = border[edges].all(axis=1) & (faces_of != 1)
    return (shared == faces_of) & ~bridge


def _folded(mesh: _Mesh, goes: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """(F,) faces that stay and would turn over or become needles."""
    faces = goes[mesh.faces]
    stays = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    before, after = face_normals(mesh.vertices, mesh.faces), face_normals(moved, faces)
    lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    touched = (moved[faces] != mesh.vertices[mesh.faces]).any(axis=(1, 2))
    return stays & touched & ((before * after).sum(axis=1) < FLIP * lengths)


def _on_a_grid(
    vertices: np.ndarray, faces: np.ndarray, values: np.ndarray, most: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All vertices of a box of space become one, in boxes as large as leave about ``most`` faces."""
    surface = np.linalg.norm(face_normals(vertices, faces), axis=1).sum() / 2
    side = float(np.sqrt(2 * surface / most))
    _, box = np.unique(np.floor((vertices - vertices.min(axis=0)) / side).astype(np.int64), axis=0, return_inverse=True)
    box = box.reshape(-1)
    count = np.bincount(box).astype(np.float64)
    columns = np.concatenate([vertices, values], axis=1)
    merged = np.stack([np.bincount(box, column) for column in columns.T], axis=1) / count[:, None]
    faces = box[faces]
    faces = faces[(faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])]
    _, first = np.unique(np.sort(faces, axis=1), axis=0, return_index=True)
    return merged[:, :3], faces[np.sort(first)], merged[:, 3:]
