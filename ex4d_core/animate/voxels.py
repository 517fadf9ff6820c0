"""The surface of a grid of numbers, as generators give it before it is a mesh: surface nets.

Gibson, Constrained Elastic Surface Nets, 1998, without its relaxation: one vertex in each cell that the surface runs through, in
the middle of where it cuts the cell's edges, and a square for each such edge, between the four cells around it.
"""

from __future__ import annotations

import numpy as np

from ..errors import EX4DError
from .meshes import TriangleMesh

SOLID = 0.6
"""What is more is solid, as in ComfyUI's own node for voxels."""
AROUND = np.array([[-1, -1], [0, -1], [0, 0], [-1, 0]])
"""The four cells around an edge, counter-clockwise as seen from where it leads."""


def surface_of_voxels(grid: np.ndarray, level: float = SOLID) -> TriangleMesh:
    """The surface between what is solid and what is not.

    Args:
        grid: (D, H, W) numbers, of z, y and x.
        level: what is more is solid. Beyond the grid nothing is.

    Returns:
        Its mesh, in a cube from -1 to 1.

    Raises:
        EX4DError: another shape, or numbers of which none or all are solid.
    """
    if grid.ndim != 3:
        raise EX4DError(f"Voxels are a grid (depth, height, width), got {grid.shape}.")
    solid = grid > level
    if not solid.any() or solid.all():
        raise EX4DError(
            f"{'All' if solid.any() else 'None'} of the voxels is solid (more than {level:g}): there is no surface. Check what "
            "made them."
        )
    padded = np.pad(np.asarray(grid, np.float32), 1, constant_values=min(0.0, level - 1.0))
    places, cells, outwards = (
        np.concatenate(part) for part in zip(*(_cuts(padded, level, k) for k in range(3)), strict=True)
    )
    strides = np.array([padded.shape[1] * padded.shape[2], padded.shape[2], 1])
    numbers, corner = np.unique(cells @ strides, return_inverse=True)
    corner = corner.reshape(-1, 4)
    count = np.bincount(corner.ravel(), minlength=len(numbers))
    spread = np.repeat(places, 4, axis=0)
    vertices = np.stack([np.bincount(corner.ravel(), spread[:, k]) / count for k in range(3)], axis=1) - 1.0
    # From z, y, x to x, y, z the surface is mirrored, and so are its faces.
    corner = np.where(outwards[:, None], corner[:, ::-1], corner)
    faces = np.concatenate([corner[:, [0, 1, 2]], corner[:, [0, 2, 3]]]).astype(np.int32)
    half = max(grid.shape) / 2
    return TriangleMesh(((vertices + 0.5 - half) / half)[:, ::-1], faces)


def _cuts(padded: np.ndarray, level: float, axis: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Edges along an axis that the surface cuts: where (E, 3), the four cells around (E, 4, 3), whether it leads out (E,)."""
    ahead = np.moveaxis(padded, axis, 0)
    rows = np.argwhere((ahead[1:] > level) != (ahead[:-1] > level))
    before, after = ahead[tuple(rows.T)], ahead[tuple((rows + np.array([1, 0, 0])).T)]
    lower = np.empty_like(rows)
    others = [k for k in range(3) if k != axis]
    lower[:, axis], lower[:, others] = rows[:, 0], rows[:, 1:]
    places = lower.astype(np.float64)
    places[:, axis] += (level - before) / (after - before)
    cells = np.repeat(lower[:, None], 4, axis=1)
    cells[:, :, [(axis + 1) % 3, (axis + 2) % 3]] += AROUND
    return places, cells, before > level
