"""What a frame of the video pulls the vertices of a mesh by: outline, surface, tracks, and a little where they were."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..fit.solid import look
from ..fit.target import sampled
from ..register.follow import Reference
from ..register.pulls import Pulls, no_pulls, pulls_on
from ..surface import vertex_areas, vertex_normals
from .frame import Shown

OUTLINE = 0.4
"""Of the outline, all together and each way, against 1 for the depth."""
TRACKS = 1.0
HELD = 0.01
"""Of where vertices were in the neighbouring frame: what nothing shows stays there."""
HELD_BACK = 0.1
"""Likewise along the camera's rays where no depth tells: there a slip of the outline is many times itself."""
ALIKE = 0.3
"""Least cosine between the normals of an outline's two points that may belong together."""
SOFT = 0.05
"""Share of the object's size by which a track may be off before it counts less."""


@dataclass(frozen=True, eq=False)
class Edge:
    """The outline of the mesh as the frame's camera sees it.

    Attributes:
        spots: (E, 2) on the grid, between pixels.
        vertices: (E,) the vertex that stands for each.
        offsets: (E, 3) from the vertex to the place on the mesh.
        normals: (E, 2) unit, out of the mesh.
    """

    spots: np.ndarray
    vertices: np.ndarray
    offsets: np.ndarray
    normals: np.ndarray


@dataclass(frozen=True, eq=False)
class View:
    """What the frame's camera sees of the mesh: (S, S) bool where it is, (S, S) its depth, its vertices, its outline."""

    there: np.ndarray
    depth: np.ndarray
    vertices: np.ndarray
    edge: Edge


def view_of(shown: Shown, faces: np.ndarray, vertices: np.ndarray) -> View:
    """The mesh with vertices (V, 3) as the frame's camera sees it."""
    lens = shown.target.lens
    seen = look(vertices, faces, lens)
    sample, face, weights = seen.sample.numpy(), seen.face.numpy(), seen.weights.numpy()
    number = np.full(lens.height * lens.width, -1)
    number[sample] = np.arange(len(sample))
    number = number.reshape(lens.height, lens.width)
    depth = np.zeros(number.size)
    depth[sample] = seen.depth.numpy()
    corner = faces[face, weights.argmax(axis=1)] if len(face) else np.zeros(0, np.int64)
    front = seen.front.numpy()
    places = np.einsum("nk,nki->ni", weights, vertices[faces[face]])
    row, column, dx, dy = _beside(number >= 0, shown.target.known)
    owner = number[row, column]
    normals = np.stack([dx, dy], 1).astype(np.float64)
    # The edge lies somewhere between the two centres: on average in the middle.
    spots = np.stack([column + dx / 2, row + dy / 2], 1)
    half = normals / 2 / (lens.fx, lens.fy) * places[owner, 2:]
    edges = places[owner] + np.concatenate([half, np.zeros((len(half), 1))], 1)
    of = corner[owner]
    own = vertex_normals(vertices, faces)[of]
    turned = own[:, :2] - own[:, 2:] * vertices[of, :2] / vertices[of, 2:]
    length = np.linalg.norm(turned, axis=1, keepdims=True)
    normals = np.where(length > 1e-6, turned / np.maximum(length, 1e-6), normals)
    edge = Edge(spots, of, edges - vertices[of], normals)
    return View(number >= 0, depth.reshape(number.shape), np.unique(corner[front]), edge)


def _beside(there: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, ...]:
    """Row, column and way out (dx, dy) of pixels beside one that the mesh leaves free."""
    found = []
    for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        moved = np.roll(there | ~known, (-dy, -dx), (0, 1))
        row, column = np.nonzero(there & known & ~moved)
        inner = (row > 0) & (column > 0) & (row < there.shape[0] - 1) & (column < there.shape[1] - 1)
        row, column = row[inner], column[inner]
        found.append(np.stack([row, column, np.full(len(row), dx), np.full(len(row), dy)]))
    return tuple(np.concatenate(found, axis=1))


def pulls_of(reference: Reference, shown: Shown, before: np.ndarray, vertices: np.ndarray, reach: float) -> Pulls:
    """All that pulls at the vertices.

    Args:
        reference: the mesh at rest.
        shown: the frame.
        before: (V, 3) where the vertices were.
        vertices: (V, 3) where they are.
        reach: what is farther, in the object's size, does not pull.
    """
    view = view_of(shown, reference.faces, vertices)
    if shown.surface is None:
        result = no_pulls(len(vertices))
    else:
        result = pulls_on(vertices, reference.faces, reference.border, shown.surface, reach, shown=view.vertices)
    _outlines(result, shown, view.edge, vertices, reach)
    if len(shown.anchors):
        _tracks(result, shown, reference.faces, vertices, reach)
    held = vertex_areas(vertices, reference.faces)
    held *= HELD / held.sum()
    forms = np.broadcast_to(np.eye(3), (len(before), 3, 3))
    if shown.surface is None:
        rays = before / np.linalg.norm(before, axis=1, keepdims=True)
        forms = forms + HELD_BACK / HELD * rays[:, :, None] * rays[:, None]
    result.add_forms(np.arange(len(before)), before, forms, held)
    return result


def _outlines(result: Pulls, shown: Shown, edge: Edge, vertices: np.ndarray, reach: float) -> None:
    """The mesh's outline onto the mask's and the mask's onto the mesh's, each as planes through the camera."""
    from scipy.spatial import KDTree

    if not len(edge.spots) or not len(shown.around):
        return
    lens = shown.target.lens
    # Pixels in which the reach is seen at the mesh's distance.
    pixels = reach * np.sqrt(lens.fx * lens.fy) / max(float(np.median(vertices[edge.vertices, 2])), 1e-6)
    mine = np.concatenate([edge.spots, pixels / 2 * edge.normals], 1)
    theirs = np.concatenate([shown.target.outline, pixels / 2 * shown.target.normal], 1)
    to, by = np.asarray(KDTree(theirs).query(mine)[1]), np.asarray(KDTree(mine).query(theirs)[1])
    first = np.concatenate([np.arange(len(mine)), by])
    second = np.concatenate([to, np.arange(len(theirs))])
    way = shown.target.outline[second] - edge.spots[first]
    alike = (edge.normals[first] * shown.target.normal[second]).sum(1) > ALIKE
    near = np.maximum(1 - (way**2).sum(1) / pixels**2, 0) ** 2
    each = np.concatenate([np.full(len(mine), 1 / len(mine)), np.full(len(theirs), 1 / len(theirs))])
    planes = shown.around[second]
    forms = planes[:, :, None] * planes[:, None]
    result.add_forms(edge.vertices[first], -edge.offsets[first], forms, OUTLINE * each * near * alike)


def _tracks(result: Pulls, shown: Shown, faces: np.ndarray, vertices: np.ndarray, reach: float) -> None:
    """Places of the mesh onto the rays of their tracks, and to the very points where depth tells them."""
    corners, shares = faces[shown.anchors.face], shown.anchors.shares
    places = np.einsum("mk,mki->mi", shares, vertices[corners])
    owner = np.take_along_axis(corners, shares.argmax(axis=1)[:, None], axis=1)[:, 0]
    offsets = places - vertices[owner]
    flat = np.eye(3) - shown.rays[:, :, None] * shown.rays[:, None]
    off = (np.einsum("mij,mj->mi", flat, places) ** 2).sum(1)
    weights = TRACKS / len(owner) / (1 + off / SOFT**2) * (off < (3 * reach) ** 2)
    result.add_forms(owner, -offsets, flat, weights)
    known = np.isfinite(shown.spots).all(axis=1)
    deep = ((shown.spots[known] - places[known]) ** 2).sum(1)
    along = shown.rays[known, :, None] * shown.rays[known, None]
    there = weights[known] * np.maximum(1 - deep / (3 * reach) ** 2, 0) ** 2
    result.add_forms(owner[known], (shown.spots - offsets)[known], along, there)


def overlap(shown: Shown, view: View) -> float:
    """IoU 0..1 of the mesh and the mask."""
    mask = (shown.target.cover > 0.5) & shown.target.known
    there = view.there & shown.target.known
    return float((mask & there).sum() / max((mask | there).sum(), 1))


def depth_off(shown: Shown, view: View) -> float:
    """Median way in depth from the mesh to the frame's surface where both are, as a share of the size; NaN without depth."""
    if shown.depth is None:
        return float("nan")
    both = (view.depth > 0) & (shown.depth > 0)
    return float(np.median(np.abs(view.depth[both] - shown.depth[both]))) if both.any() else float("nan")


def outline_off(shown: Shown, view: View) -> float:
    """Mean distance of the mesh's outline from the mask's, in pixels of the grid."""
    if not len(view.edge.spots):
        return float("inf")
    return float(np.abs(sampled(shown.target.distance, view.edge.spots)[0]).mean())
