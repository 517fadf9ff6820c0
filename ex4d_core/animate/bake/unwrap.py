"""A texture in large pieces, as a person would cut the mesh open: by xatlas, where it is installed."""

from __future__ import annotations

import numpy as np

from ...camera import Intrinsics
from ...errors import EX4DError
from ...machine import extras
from ..fit.solid import look
from .atlas import Atlas, Places, make_atlas

MARGIN = 3
"""Texels around a piece that show its edge, so that linear filtering stays within."""
SMALLEST = 0.3
"""Share of the faces that may be too thin for the texels: of more, each face gets its own half square."""


def layout(vertices: np.ndarray, faces: np.ndarray, size: int) -> Atlas:
    """Where each face of a mesh lies in a texture: in large pieces where xatlas is installed, else each by itself.

    Args:
        vertices: (V, 3).
        faces: (F, 3).
        size: texels, both ways.

    Raises:
        EX4DError: a texture too small for the faces.
    """
    if extras.has("xatlas"):
        found = _unwrapped(vertices, faces, size)
        if found is not None:
            return found
    return make_atlas(len(faces), size)


def _unwrapped(vertices: np.ndarray, faces: np.ndarray, size: int) -> Atlas | None:
    """Large pieces; None where they leave too many faces without a texel."""
    try:
        xatlas = extras.load("xatlas", "Unwrapping")
    except EX4DError:
        return None
    atlas = xatlas.Atlas()
    atlas.add_mesh(np.ascontiguousarray(vertices, np.float32), np.ascontiguousarray(faces, np.uint32))
    pack = xatlas.PackOptions()
    pack.resolution, pack.padding, pack.bilinear = size, 2 * MARGIN, True
    atlas.generate(pack_options=pack)
    _, corners, uv = atlas.get_mesh(0)
    if atlas.atlas_count != 1 or len(corners) != len(faces):
        return None
    # The sheet is about as large as was asked for, and not quite square.
    spots = uv[corners].astype(np.float64) * (atlas.width, atlas.height) * (size / max(atlas.width, atlas.height, 1))
    texel, places = _owned(spots, size)
    without = _bare(spots, texel, size)
    if len(without) > SMALLEST * len(faces):
        return None
    spots[without] = _nearest(vertices, faces, without, texel, places, size)[:, None]
    return Atlas(size, (spots / size).astype(np.float32), texel, places)


def _bare(spots: np.ndarray, texel: np.ndarray, size: int) -> np.ndarray:
    """Faces with a corner or a middle in a texel that shows nothing: slivers between the middles of texels."""
    owned = np.zeros(size * size, bool)
    owned[texel] = True
    corners = spots[:, [0, 1, 2, 0]]
    at = np.concatenate([corners[:, :3], (corners[:, 1:] + corners[:, :3]) / 2, spots.mean(1, keepdims=True)], axis=1)
    column, row = np.moveaxis(np.clip(np.floor(at), 0, size - 1).astype(np.int64), -1, 0)
    return np.flatnonzero(~owned[row * size + column].all(axis=1))


def _nearest(
    vertices: np.ndarray, faces: np.ndarray, without: np.ndarray, texel: np.ndarray, places: Places, size: int
) -> np.ndarray:
    """(N, 2) middles of the texels that show what lies closest, in space, to faces which are too thin for their own."""
    from scipy.spatial import KDTree

    shown = np.einsum("nk,nki->ni", places.shares, vertices[faces[places.face]])
    nearest = texel[KDTree(shown).query(vertices[faces[without]].mean(axis=1))[1]]
    return np.stack([nearest % size, nearest // size], axis=1) + 0.5


def _owned(spots: np.ndarray, size: int) -> tuple[np.ndarray, Places]:
    """(N,) texels that faces with corners at (F, 3, 2) lie on, those of the margin too, and the places that they show."""
    from scipy.ndimage import distance_transform_edt

    # A camera one unit before a flat sheet: a texel is a pixel.
    sheet = np.concatenate([spots.reshape(-1, 2), np.ones((3 * len(spots), 1))], axis=1)
    lens = Intrinsics(1.0, 1.0, 0.0, 0.0, size, size)
    seen = look(sheet, np.arange(len(sheet), dtype=np.int32).reshape(-1, 3), lens)
    number = np.full(size * size, -1)
    number[seen.sample.numpy()] = np.arange(len(seen.sample))
    away, nearest = distance_transform_edt((number < 0).reshape(size, size), return_indices=True)  # type: ignore[misc]
    texel = np.flatnonzero((away <= MARGIN).ravel())
    row, column = (plane.ravel()[texel] for plane in nearest)
    shown = number[row * size + column]
    return texel, Places(seen.face.numpy()[shown], seen.weights.numpy()[shown])
