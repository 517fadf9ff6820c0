"""A generator's mesh made ready: seams welded, floating crumbs dropped, turned right side out, with fewer faces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import EX4DError
from .fewer import with_fewer_faces
from .meshes import TriangleMesh
from .surface import edges_of, face_normals, parts_of, signed_volume

DEFAULT_FACES = 5000
FACES_RANGE = (100, 200_000)
WELD = 1e-5
"""Vertices closer than this share of the object's size are one: formats with textures double them along seams."""
FLOATER = 0.02
"""Parts with less than this share of the surface are dropped."""
SECOND_OBJECT, APART = 0.25, 0.1
"""A part with this share of the surface, this share of the size away from the largest, is another object."""


@dataclass(frozen=True)
class Cleaned:
    """A mesh that was made ready.

    Attributes:
        mesh: the mesh.
        dropped: parts that were left out.
        turned: whether it was inside out.
        before: faces it had.
    """

    mesh: TriangleMesh
    dropped: int
    turned: bool
    before: int


def cleaned(mesh: TriangleMesh, faces: int = DEFAULT_FACES) -> Cleaned:
    """Weld a mesh, drop what floats around it, turn it right side out and reduce its faces.

    Args:
        mesh: as a generator gives it.
        faces: at most about this many are left; 0 = all.

    Raises:
        EX4DError: nothing is left of it, it holds two objects that lie apart, or a number of faces outside 100 to 200000.
    """
    if faces != 0 and not FACES_RANGE[0] <= faces <= FACES_RANGE[1]:
        raise EX4DError(f"faces must be 0 (all) or lie between {FACES_RANGE[0]} and {FACES_RANGE[1]}, got {faces}.")
    vertices, triangles, colors = _welded(mesh)
    triangles, dropped = _without_floaters(vertices, triangles, mesh.size)
    used, triangles = np.unique(triangles, return_inverse=True)
    vertices, triangles = vertices[used], triangles.reshape(-1, 3)
    colors = None if colors is None else colors[used]
    turned = _inside_out(vertices, triangles)
    if turned:
        triangles = triangles[:, [0, 2, 1]]
    if faces and len(triangles) > faces:
        vertices, triangles, colors = with_fewer_faces(vertices, triangles, faces, colors)
    return Cleaned(TriangleMesh(vertices, triangles.astype(np.int32), colors), dropped, turned, len(mesh.faces))


def _welded(mesh: TriangleMesh) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Vertices in one place as one, without faces that have no area or are there twice."""
    places = np.round(mesh.vertices.astype(np.float64) / (WELD * mesh.size)).astype(np.int64)
    _, first, number = np.unique(places, axis=0, return_index=True, return_inverse=True)
    vertices = mesh.vertices[first].astype(np.float64)
    faces = number.reshape(-1)[mesh.faces]
    faces = faces[np.linalg.norm(face_normals(vertices, faces), axis=1) > (1e-7 * mesh.size) ** 2]
    _, once = np.unique(np.sort(faces, axis=1), axis=0, return_index=True)
    if not len(once):
        raise EX4DError("None of the mesh's faces has an area. Export it again.")
    return vertices, faces[np.sort(once)], None if mesh.colors is None else mesh.colors[first]


def _without_floaters(vertices: np.ndarray, faces: np.ndarray, size: float) -> tuple[np.ndarray, int]:
    """Faces of the parts that belong to the object, and how many parts do not."""
    part = parts_of(faces, len(vertices))
    areas = np.bincount(part[faces[:, 0]], np.linalg.norm(face_normals(vertices, faces), axis=1), int(part.max()) + 1)
    share = areas / areas.sum()
    order = np.argsort(share)[::-1]
    if len(order) > 1 and share[order[1]] > SECOND_OBJECT:
        gap = _gap(vertices[part == order[0]], vertices[part == order[1]])
        if gap > APART * size:
            raise EX4DError(
                f"The mesh holds two objects, {gap / size:.0%} of its size apart, each with a large part of the surface. Cut the "
                "picture down to one object before it is turned into a mesh."
            )
    kept = share >= FLOATER
    kept[order[0]] = True
    return faces[kept[part[faces[:, 0]]]], int((~kept & (share > 0)).sum())


def _gap(one: np.ndarray, other: np.ndarray) -> float:
    from scipy.spatial import KDTree

    return float(KDTree(one).query(other)[0].min())


def _inside_out(vertices: np.ndarray, faces: np.ndarray) -> bool:
    """Whether the normals of a surface that is nearly closed point inwards."""
    _, counts = edges_of(faces)
    return signed_volume(vertices, faces) < 0 and float((counts == 1).mean()) < 0.1
