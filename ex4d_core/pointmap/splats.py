"""Points drawn as squares of a stated size, the nearest in front: slow, plain, and without any surface between them.

For comparison with the mesh, whose faces close what splats leave open and never lie before what is nearer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..camera import Intrinsics, look_at
from ..errors import EX4DError
from .clip import PointMap

LARGEST_SPLAT = 64
NEAR = 1e-3
"""Points nearer to the camera are not drawn; scene units."""


@dataclass(frozen=True, eq=False)
class SplatPicture:
    """What a camera sees of points.

    Attributes:
        color: (H, W, 3) uint8, black where nothing is.
        mask: (H, W) bool, True where a point is.
        depth: (H, W) float32 planar depth, infinite where nothing is.
    """

    color: np.ndarray
    mask: np.ndarray
    depth: np.ndarray


def draw_splats(
    points: np.ndarray, colors: np.ndarray, lens: Intrinsics, world_to_camera: np.ndarray, *, size: int = 2
) -> SplatPicture:
    """Draw points as squares that face the camera, all equally large in the picture.

    Args:
        points: (N, 3) in the world.
        colors: (N, 3) uint8.
        lens: of the picture.
        world_to_camera: (4, 4), OpenCV.
        size: side of a square in pixels, 1 to 64: it covers the ``size`` by ``size`` pixels around its point.

    Raises:
        EX4DError: a size that there is not.
    """
    if not 1 <= size <= LARGEST_SPLAT:
        raise EX4DError(f"Splats are 1 to {LARGEST_SPLAT} pixels large, got {size}.")
    pose = np.asarray(world_to_camera, np.float64)
    seen = points.astype(np.float64) @ pose[:3, :3].T + pose[:3, 3]
    before = seen[:, 2] > NEAR
    x, y, z = seen[before].T
    limit = 4.0 * max(lens.width, lens.height)
    across = (lens.fx * x / z + lens.cx).clip(-limit, 2 * limit)
    down = (lens.fy * y / z + lens.cy).clip(-limit, 2 * limit)
    left, top = (np.floor(at - size / 2 + 0.5).astype(np.int64) for at in (across, down))
    order = np.argsort(-z, kind="stable")  # the far ones first: what is written later lies in front
    left, top, z, colors = left[order], top[order], z[order], colors[before][order]
    nearest = np.full(lens.width * lens.height, -1, np.int64)
    for row in range(size):
        for column in range(size):
            u, v = left + column, top + row
            inside = np.flatnonzero((u >= 0) & (u < lens.width) & (v >= 0) & (v < lens.height))
            np.maximum.at(nearest, v[inside] * lens.width + u[inside], inside)
    mask = (nearest >= 0).reshape(lens.height, lens.width)
    color, depth = np.zeros((*mask.shape, 3), np.uint8), np.full(mask.shape, np.inf, np.float32)
    color[mask], depth[mask] = colors[nearest[nearest >= 0]], z[nearest[nearest >= 0]]
    return SplatPicture(color, mask, depth)


def draw_frame(
    pointmap: PointMap, frame: int, lens: Intrinsics, world_to_camera: np.ndarray, *, size: int = 2
) -> SplatPicture:
    """`draw_splats` of one frame of a point map, in the map's own space."""
    valid = pointmap.valid[frame].cpu().numpy()
    points, colors = (part[frame].cpu().numpy()[valid] for part in (pointmap.points, pointmap.colors))
    return draw_splats(points, colors, lens, world_to_camera, size=size)


def draw_aside(pointmap: PointMap, frame: int, width: int, height: int, *, degrees: float = 25.0) -> np.ndarray:
    """A frame's points from the side, for people to look at.

    Args:
        pointmap: in any space.
        frame: of the map.
        width: of the picture, pixels.
        height: of it.
        degrees: how far to the right the camera goes around the points' middle.

    Returns:
        (height, width, 3) uint8.
    """
    valid = pointmap.valid[frame].cpu().numpy()
    points, colors = (part[frame].cpu().numpy()[valid] for part in (pointmap.points, pointmap.colors))
    middle = np.median(points, axis=0).astype(np.float64)
    nearby = np.abs(points - middle)
    away = max(float(np.median(nearby)) * 4, float(middle[2]) * 0.9, 1e-6)
    turn = np.radians(degrees)
    eye = middle + away * np.array([np.sin(turn), -0.15, -np.cos(turn)])
    unit = look_at((eye - middle) / away, (0, 0, 0))
    lens = Intrinsics.default(width, height)
    size = max(1, round(1.5 * width / pointmap.width + 0.5))
    return draw_splats((points - middle) / away, colors, lens, unit, size=size).color
