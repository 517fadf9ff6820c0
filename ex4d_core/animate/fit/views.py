"""The coarse search: how a mesh looks from all around, against one frame's mask, in closed form over the turn of the picture.

Silhouette and relief are laid on circles around the silhouette's middle, in units of its own radius. A turn of the picture then
is a shift along the circles, and all of them are compared by one Fourier transform.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...camera import Intrinsics, look_at
from .solid import Solid
from .target import Target, sampled

VIEWS = 400
"""Directions all around, about 10 degrees apart."""
CIRCLES, TURNS = 20, 72
OUTERMOST = 2.2
"""Radius of the largest circle in units of the silhouette's (that of a disc of its area)."""
SMALL = 56
"""Pixels of a view's picture, both ways."""
RELIEF = 0.6
"""What agreement of depth counts beside that of the silhouettes."""


@dataclass(frozen=True, eq=False)
class Circles:
    """A silhouette on circles.

    Attributes:
        cover: (CIRCLES, TURNS) 0..1.
        relief: likewise, depth beside its mean in units of the silhouette's radius; 0 outside. None without depth.
        middle: (2,) of the silhouette, as tangents of the camera it was seen with.
        radius: of a disc of its area, as a tangent.
    """

    cover: np.ndarray
    relief: np.ndarray | None
    middle: np.ndarray
    radius: float


@dataclass(frozen=True, eq=False)
class Gallery:
    """A mesh as seen from all around.

    Attributes:
        rotations: (VIEWS, 3, 3) from the mesh's axes to those of the camera.
        distance: of the cameras from the mesh's middle, in units of its own.
        views: what each shows.
    """

    rotations: np.ndarray
    distance: float
    views: list[Circles]


def directions(count: int) -> np.ndarray:
    """(count, 3) unit vectors, evenly over the sphere (a Fibonacci lattice)."""
    n = np.arange(count) + 0.5
    z = 1 - 2 * n / count
    angle = np.pi * (1 + 5**0.5) * n
    ring = np.sqrt(1 - z * z)
    return np.stack([ring * np.cos(angle), ring * np.sin(angle), z], 1)


def facing(target: Target) -> np.ndarray:
    """(3, 3) rotation from the camera's axes to those of one turned to look at the mask's middle."""
    lens = target.lens
    row, column = np.nonzero(target.cover > 0.5)
    ray = np.array([(column.mean() + 0.5 - lens.cx) / lens.fx, (row.mean() + 0.5 - lens.cy) / lens.fy, 1.0])
    return look_at((0.0, 0.0, 0.0), ray.tolist())[:3, :3]


def circles_of_target(target: Target, turned: np.ndarray) -> Circles:
    """The mask, seen by a camera turned to its middle (`facing`)."""
    lens = target.lens
    row, column = np.nonzero(target.cover > 0.5)
    rays = np.stack([(column + 0.5 - lens.cx) / lens.fx, (row + 0.5 - lens.cy) / lens.fy, np.ones(len(row))], 1)
    rays = rays @ turned.T
    tangents = rays[:, :2] / rays[:, 2:]
    # Of a pixel, as the turned camera sees it.
    areas = 1 / (lens.fx * lens.fy * rays[:, 2] ** 3)
    middle = np.average(tangents, axis=0, weights=areas)
    radius = float(np.sqrt(areas.sum() / np.pi))
    around = _around(middle, radius)
    back = np.concatenate([around, np.ones((len(around), 1))], 1) @ turned
    ahead = np.maximum(back[:, 2], 1e-3)
    places = np.stack([lens.fx * back[:, 0] / ahead + lens.cx, lens.fy * back[:, 1] / ahead + lens.cy], 1) - 0.5
    cover = _on_circles(target.cover, places)
    relief = None
    if target.depth is not None and (target.depth > 0).sum() > 20:
        relief = _relief(target.depth, places, cover, radius)
    return Circles(cover, relief, middle, radius)


def gallery(solid: Solid, radius: float, with_depth: bool, count: int = VIEWS) -> Gallery:
    """A mesh from all around, from so far away that it looks as large as the mask.

    Args:
        solid: the mesh, around its middle.
        radius: of the mask, as a tangent.
        with_depth: whether reliefs are wanted.
        count: of directions.
    """
    forward = directions(count)
    rotations = np.stack([look_at((0.0, 0.0, 0.0), direction.tolist())[:3, :3] for direction in forward])
    # The mean silhouette of a body, from all sides, is a quarter of its surface where that is convex (Cauchy).
    distance = max(solid.mean_radius / radius, 1.3 * solid.reach)
    reach = 1.05 * solid.reach / np.sqrt(max(distance**2 - solid.reach**2, 1e-9))
    lens = Intrinsics.from_focal(SMALL / 2 / reach, SMALL, SMALL)
    return Gallery(rotations, distance, [_view(solid, turn, distance, lens, with_depth) for turn in rotations])


def _view(solid: Solid, rotation: np.ndarray, distance: float, lens: Intrinsics, with_depth: bool) -> Circles:
    points = solid.points @ rotation.T
    points[:, 2] += distance
    depth = solid.depth(points, lens)
    row, column = np.nonzero(depth)
    if not len(row):
        return Circles(np.zeros((CIRCLES, TURNS)), None, np.zeros(2), 1e-9)
    middle = np.array([column.mean() + 0.5 - lens.cx, row.mean() + 0.5 - lens.cy]) / lens.fx
    radius = float(np.sqrt(len(row) / np.pi) / lens.fx)
    places = _around(middle, radius) * lens.fx + (lens.cx - 0.5, lens.cy - 0.5)
    cover = _on_circles((depth > 0).astype(np.float32), places)
    return Circles(cover, _relief(depth, places, cover, radius) if with_depth else None, middle, radius)


def _around(middle: np.ndarray, radius: float) -> np.ndarray:
    """(CIRCLES * TURNS, 2) tangents."""
    r = (np.arange(CIRCLES) + 0.5) / CIRCLES * OUTERMOST * radius
    angle = 2 * np.pi * np.arange(TURNS) / TURNS
    ring = np.stack([np.cos(angle), np.sin(angle)], 1)
    return (middle + r[:, None, None] * ring).reshape(-1, 2)


def _on_circles(plane: np.ndarray, places: np.ndarray) -> np.ndarray:
    limit = np.array(plane.shape[::-1]) - 1
    inside = ((places >= 0) & (places <= limit)).all(1)
    return np.where(inside, sampled(plane, places)[0], 0.0).reshape(CIRCLES, TURNS)


def _relief(depth: np.ndarray, places: np.ndarray, cover: np.ndarray, radius: float) -> np.ndarray:
    i, j = np.clip(np.rint(places[:, ::-1]), 0, np.array(depth.shape) - 1).astype(np.int64).T
    z = depth[i, j].reshape(CIRCLES, TURNS)
    there = (z > 0) & (cover > 0.5)
    if not there.any():
        return np.zeros_like(z)
    middle = np.median(z[there])
    return np.where(there, (z - middle) / (middle * radius), 0.0)


def agreement(seen: Circles, views: list[Circles]) -> np.ndarray:
    """(V, TURNS) how well each view, turned by so many steps, agrees with what is seen; 1 = the same."""
    weight = (np.arange(CIRCLES) + 0.5)[:, None]
    cover = np.stack([view.cover for view in views])
    both = _turned(seen.cover * weight, cover)
    whole = (seen.cover * weight).sum()
    score = both / np.maximum(whole + (cover * weight).sum((1, 2))[:, None] - both, 1e-9)
    if seen.relief is None or views[0].relief is None:
        return score
    relief = np.stack([np.zeros_like(view.cover) if view.relief is None else view.relief for view in views])
    own, other = (seen.relief != 0) * weight, (relief != 0) * 1.0
    count = np.maximum(_turned(own, other), 1e-6)
    a, b = _turned(seen.relief * weight, other) / count, _turned(own, relief) / count
    product = _turned(seen.relief * weight, relief) / count - a * b
    spread_a = _turned(seen.relief**2 * weight, other) / count - a * a
    spread_b = _turned(own, relief**2) / count - b * b
    alike = product / np.sqrt(np.maximum(spread_a, 1e-4) * np.maximum(spread_b, 1e-4))
    return score + RELIEF * (np.clip(alike, -1, 1) - 1)


def _turned(seen: np.ndarray, views: np.ndarray) -> np.ndarray:
    """(V, TURNS) sums of products of what is seen (CIRCLES, TURNS) with views (V, ...) turned by n steps."""
    spectrum = (np.fft.rfft(seen)[None] * np.conj(np.fft.rfft(views))).sum(1)
    return np.fft.irfft(spectrum, n=TURNS)


def coarse_poses(target: Target, solid: Solid, keep: int, apart: float) -> list[np.ndarray]:
    """The best views of a mesh for a frame, as poses.

    Args:
        target: the frame.
        solid: the mesh, around its middle.
        keep: at most so many.
        apart: radians by which they differ from each other at least.

    Returns:
        (4, 4) similarities from the solid's axes to the camera, the best first.
    """
    turned = facing(target)
    seen = circles_of_target(target, turned)
    shown = gallery(solid, seen.radius, seen.relief is not None)
    score = agreement(seen, shown.views)
    order = np.argsort(-score, axis=None)[: 60 * keep]
    poses: list[np.ndarray] = []
    for view, turn in zip(*np.unravel_index(order, score.shape), strict=True):
        pose = _pose(shown, int(view), 2 * np.pi * turn / TURNS, seen, turned)
        if all(_angle(pose, other) > apart for other in poses):
            poses.append(pose)
        if len(poses) == keep:
            break
    return poses


def _pose(shown: Gallery, view: int, angle: float, seen: Circles, turned: np.ndarray) -> np.ndarray:
    circles = shown.views[view]
    cos, sin = np.cos(angle), np.sin(angle)
    roll = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    scale = seen.radius / circles.radius
    pose = np.eye(4)
    pose[:3, :3] = scale * turned.T @ roll @ shown.rotations[view]
    # The silhouette's middle, not the mesh's, goes where the mask's is.
    shift = np.append(seen.middle - scale * (roll[:2, :2] @ circles.middle), 1.0)
    pose[:3, 3] = shown.distance * (turned.T @ shift)
    return pose


def _angle(first: np.ndarray, second: np.ndarray) -> float:
    """Radians between the turns of two similarities."""
    a, b = (pose[:3, :3] / np.cbrt(np.linalg.det(pose[:3, :3])) for pose in (first, second))
    return float(np.arccos(np.clip((np.trace(a.T @ b) - 1) / 2, -1, 1)))
