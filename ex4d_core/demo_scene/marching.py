"""Triangles of the surface on which a function is zero, by marching tetrahedra.

Every cube of a grid is cut into six tetrahedra around one of its diagonals; in each the surface is one triangle or two. Doi and
Koide, An Efficient Method of Triangulating Equi-Valued Surfaces by Using Tetrahedral Cells, 1991.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

CUBE = np.array([[x, y, z] for z in (0, 1) for y in (0, 1) for x in (0, 1)])
TETRAHEDRA = np.array([[0, 7, 1, 3], [0, 7, 3, 2], [0, 7, 2, 6], [0, 7, 6, 4], [0, 7, 4, 5], [0, 7, 5, 1]])
"""Corners of the cube, all around the diagonal from 0 to 7."""
BLOCK = 4
"""Cells along a block's side: only blocks that the surface may run through are looked at cell by cell."""
RELAXED = 3
"""Times that points are drawn amid their neighbours and back onto the surface: cuts near grid points leave slivers."""


def zero_surface(
    function: Callable[[np.ndarray], np.ndarray],
    low: np.ndarray,
    high: np.ndarray,
    cells: int,
    turn: np.ndarray | None = None,
    shift: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Triangles where ``function`` is zero.

    Args:
        function: of points (N, 3): about their distance from the surface, negative inside.
        low: (3,) the lowest corner of a box around the surface.
        high: (3,) its highest.
        cells: of the grid over the box' longest side.
        turn: (3, 3) rotation of the grid; None = along the axes.
        shift: of the grid, in cells.

    Returns:
        (V, 3) float64 points and (F, 3) int32 faces, counter-clockwise seen from where the function is positive.
    """
    middle, half = (low + high) / 2, (high - low) / 2
    cell = 2 * half.max() / cells
    turn = np.eye(3) if turn is None else turn
    # A turned box has to hold the whole of the upright one.
    reach = np.abs(turn).T @ half + (1 + shift) * cell

    def place(numbers: np.ndarray) -> np.ndarray:
        """Where grid points (N, 3) are."""
        return (numbers * cell - reach - shift * cell / 2) @ turn.T + middle

    counts = np.ceil(2 * reach / cell).astype(int) + BLOCK + 1
    cubes = _cubes_near(lambda numbers: function(place(numbers)), counts, cell)
    corners = (cubes[:, None] + CUBE) @ _strides(counts)
    used, corners = np.unique(corners, return_inverse=True)
    grid = place(np.stack(np.unravel_index(used, counts), axis=1))
    values = function(grid)
    values[values == 0] = 1e-12
    corners = corners.reshape(-1, 8)
    inside = values[corners] < 0
    tetrahedra = corners[inside.any(axis=1) & ~inside.all(axis=1)][:, TETRAHEDRA].reshape(-1, 4)
    edges = _cut(tetrahedra, values[tetrahedra] < 0)
    cuts, faces = np.unique(edges[..., 0] * len(grid) + edges[..., 1], return_inverse=True)
    a, b = cuts // len(grid), cuts % len(grid)
    points = grid[a] + (values[a] / (values[a] - values[b]))[:, None] * (grid[b] - grid[a])
    faces = faces.reshape(-1, 3).astype(np.int32)
    _turn_outwards(points, faces, (grid[edges[..., 1]] - grid[edges[..., 0]]).sum(axis=1))
    for _ in range(RELAXED):
        points = _onto(function, _drawn_together(points, faces), 0.25 * cell)
    return points, faces


def _strides(counts: np.ndarray) -> np.ndarray:
    return np.array([counts[1] * counts[2], counts[2], 1])


def _cubes_near(function: Callable[[np.ndarray], np.ndarray], counts: np.ndarray, cell: float) -> np.ndarray:
    """(N, 3) lowest corners of the grid's cubes in blocks that the surface may run through."""
    axes = [np.arange(0, count - BLOCK, BLOCK) for count in counts]
    blocks = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    near = np.abs(function(blocks + BLOCK / 2)) < BLOCK * cell
    inner = np.stack(np.meshgrid(*3 * [np.arange(BLOCK)], indexing="ij"), axis=-1).reshape(-1, 3)
    return (blocks[near][:, None] + inner).reshape(-1, 3)


def _cut(tetrahedra: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """(F, 3, 2) grid edges whose cuts are the triangles' corners, each from inside to outside."""
    order = np.argsort(~inside, axis=1, kind="stable")  # the corners inside first
    a, b, c, d = np.take_along_axis(tetrahedra, order, axis=1).T
    count = inside.sum(axis=1)
    triangles = []
    for one, rows in (([(a, b), (a, c), (a, d)], count == 1), ([(a, d), (b, d), (c, d)], count == 3)):
        triangles.append(np.stack([np.stack([p[rows], q[rows]], -1) for p, q in one], axis=1))
    rows = count == 2
    p, q, r, s = (np.stack([x[rows], y[rows]], -1) for x, y in ((a, c), (a, d), (b, d), (b, c)))
    triangles += [np.stack([p, q, r], axis=1), np.stack([p, r, s], axis=1)]
    return np.concatenate(triangles)


def _drawn_together(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Every point in the middle of its neighbours."""
    a, b = np.concatenate([faces, faces[:, [1, 2, 0]]]).T[:2]
    count = np.bincount(a, minlength=len(points)) + np.bincount(b, minlength=len(points))
    total = [np.bincount(a, points[b, k], len(points)) + np.bincount(b, points[a, k], len(points)) for k in range(3)]
    return np.stack(total, axis=1) / count[:, None]


def _gradient(function: Callable[[np.ndarray], np.ndarray], points: np.ndarray, step: float) -> np.ndarray:
    here = function(points)
    return np.stack([(function(points + side) - here) / step for side in step * np.eye(3)], axis=1)


def _onto(function: Callable[[np.ndarray], np.ndarray], points: np.ndarray, most: float) -> np.ndarray:
    """Points moved along the gradient until the function is zero there (Newton), by at most ``most`` a step."""
    for _ in range(2):
        slope = _gradient(function, points, 1e-4)
        step = -function(points) / np.maximum((slope**2).sum(axis=1), 1e-12)
        points = points + np.clip(step, -most, most)[:, None] * slope
    return points


def _turn_outwards(points: np.ndarray, faces: np.ndarray, outwards: np.ndarray) -> None:
    """Orders the corners so that each normal goes with its (F, 3) way out."""
    a, b, c = (points[faces[:, k]] for k in range(3))
    wrong = (np.cross(b - a, c - a) * outwards).sum(axis=1) < 0
    faces[wrong] = faces[wrong][:, [0, 2, 1]]
