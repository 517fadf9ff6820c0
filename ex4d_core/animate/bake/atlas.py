"""Where each face lies in a texture: two faces share a square cell, half each, with a margin in which linear filtering stays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...errors import EX4DError

SMALLEST_CELL = 6
"""Texels; a cell of fewer leaves a face no inside."""


@dataclass(frozen=True, eq=False)
class Places:
    """Places on a mesh's surface.

    Attributes:
        face: (N,) int64.
        shares: (N, 3) float64 of the face's corners, >= 0, adding up to 1.
    """

    face: np.ndarray
    shares: np.ndarray


@dataclass(frozen=True, eq=False)
class Atlas:
    """A texture's layout.

    Attributes:
        size: texels, both ways.
        uv: (F, 3, 2) float32 places of the faces' corners, 0..1 from the upper left corner.
        texel: (N,) int64 row * size + column of the texels that a face owns.
        places: (N) of the surface which these texels show.
    """

    size: int
    uv: np.ndarray
    texel: np.ndarray
    places: Places


def make_atlas(faces: int, size: int) -> Atlas:
    """A layout for so many faces.

    Args:
        faces: their number.
        size: texels, both ways.

    Raises:
        EX4DError: a texture too small for the faces.
    """
    across = int(np.ceil(np.sqrt((faces + 1) // 2)))
    cell = size // across
    if cell < SMALLEST_CELL:
        raise EX4DError(
            f"A texture of {size}x{size} is too small for {faces} faces: each needs {SMALLEST_CELL} texels. Take a texture of "
            f"{across * SMALLEST_CELL} or more, simplify the mesh, or bake vertex colours."
        )
    number = np.arange(faces)
    row, column = np.divmod(number // 2, across)
    corner = np.stack([column, row], 1) * cell
    lower, upper = _corners(cell)
    local = np.where((number % 2 == 0)[:, None, None], lower, upper)
    uv = (corner[:, None] + local + 0.5) / size
    v, u = (grid.ravel() for grid in np.mgrid[:cell, :cell])
    texels, owners, shares = [], [], []
    for half, corners in enumerate((lower, upper)):
        own = (u + v <= cell - 2) == (half == 0)
        texel = np.stack([u[own], v[own]], 1)
        share = _shares(texel, corners)
        face = number[half::2]
        place = corner[face][:, None] + texel[None]
        texels.append((place[..., 1] * size + place[..., 0]).ravel())
        owners.append(np.repeat(face, len(texel)))
        shares.append(np.tile(share, (len(face), 1)))
    places = Places(np.concatenate(owners), np.concatenate(shares))
    return Atlas(size, uv.astype(np.float32), np.concatenate(texels), places)


def _corners(cell: int) -> tuple[np.ndarray, np.ndarray]:
    """(3, 2) each, the texels at the corners of a cell's two faces. Between them one texel is left to either."""
    lower = np.array([[0, 0], [0, cell - 3], [cell - 3, 0]], np.float64)
    return lower, cell - 1 - lower


def _shares(texel: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """(N, 3) of the nearest place in the triangle, about: texels in the margin show its edge."""
    sides = np.stack([corners[1] - corners[0], corners[2] - corners[0]], 1)
    along = (texel - corners[0]) @ np.linalg.inv(sides).T
    share = np.clip(np.concatenate([1 - along.sum(1, keepdims=True), along], 1), 0, None)
    return share / share.sum(1, keepdims=True)


def vertex_places(faces: np.ndarray) -> tuple[np.ndarray, Places]:
    """The vertices that a face uses, (N,) their numbers, as places on the surface."""
    number, first = np.unique(faces.ravel(), return_index=True)
    face, corner = np.divmod(first, 3)
    shares = np.zeros((len(number), 3))
    shares[np.arange(len(number)), corner] = 1.0
    return number, Places(face, shares)
