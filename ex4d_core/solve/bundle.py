"""Poses from tracks and depth: a robust pose for one frame, and all frames with all points at once.

A point ``X`` of the world is seen by a camera at ``pi(R X + t)``. Residuals are in pixels, and for depth in logarithms.
Small rotations are rotation vectors added on the left of ``R``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..camera import Intrinsics, rotation_from_vector

NEAREST = 1e-6
"""Scene units before a camera at which a point is taken to be that lies nearer or behind: it keeps divisions finite."""


@dataclass(frozen=True, eq=False)
class Sights:
    """What was seen of points that stand still.

    Attributes:
        point: (M,) which point.
        frame: (M,) in which frame.
        pixel: (M, 2) where, pixels with centres at +0.5.
        depth: (M,) the clip's depth there; NaN where it tells nothing.
    """

    point: np.ndarray
    frame: np.ndarray
    pixel: np.ndarray
    depth: np.ndarray


def projected(points: np.ndarray, pose: np.ndarray, lens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points in pixels and their depth.

    Args:
        points: (..., M, 3) world.
        pose: (..., 4, 4) world_to_camera.
        lens: (4,) fx, fy, cx, cy, or (..., 4).

    Returns:
        (..., M, 2) and (..., M).
    """
    seen = points @ np.swapaxes(pose[..., :3, :3], -1, -2) + pose[..., None, :3, 3]
    z = seen[..., 2]
    safe = np.where(np.abs(z) < 1e-12, 1e-12, z)
    return lens[..., :2] * seen[..., :2] / safe[..., None] + lens[..., 2:], z


def lens_array(lens: Intrinsics) -> np.ndarray:
    """fx, fy, cx, cy."""
    return np.array([lens.fx, lens.fy, lens.cx, lens.cy])


def moved(pose: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Poses (..., 4, 4) after small steps (..., 6): a rotation vector on the left, then a translation."""
    result = pose.copy()
    turn = rotation_from_vector(step[..., :3])
    result[..., :3, :3] = turn @ pose[..., :3, :3]
    result[..., :3, 3] = (turn @ pose[..., :3, 3:])[..., 0] + step[..., 3:]
    return result


def pose_jacobian(seen: np.ndarray, lens: np.ndarray) -> np.ndarray:
    """How pixels move with a step of the pose: (..., 2, 6), for points ``seen`` (..., 3) in the camera's frame."""
    x, y, z = np.moveaxis(seen, -1, 0)
    inverse = 1.0 / z
    u, v = x * inverse, y * inverse
    fx, fy = lens[..., 0], lens[..., 1]
    zero = np.zeros_like(x)
    rows_u = [-fx * u * v, fx * (1 + u * u), -fx * v, fx * inverse, zero, -fx * u * inverse]
    rows_v = [-fy * (1 + v * v), fy * u * v, fy * u, zero, fy * inverse, -fy * v * inverse]
    return np.stack([np.stack(rows_u, -1), np.stack(rows_v, -1)], -2)


def pose_of_frame(
    points: np.ndarray, pixels: np.ndarray, lens: np.ndarray, start: np.ndarray, *, tolerance: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """One frame's pose from points whose place in the world is known, some of them wrong.

    Minimal sets of four points each give a pose, by Gauss-Newton steps from where the camera was before; the one that most
    points agree with is refined on those that do, with a tolerance that narrows.

    Args:
        points: (M, 3) world, M at least 6.
        pixels: (M, 2).
        lens: (4,).
        start: (4, 4) the frame before, or a guess.
        tolerance: pixels within which a point agrees.
        seed: of the choice of sets.

    Returns:
        (4, 4) pose, and (M,) distance in pixels from where it puts each point.
    """
    count, sets = len(points), 96
    chosen = np.random.default_rng(seed).integers(0, count, (sets, 5))
    poses = np.broadcast_to(start, (sets, 4, 4)).copy()
    for _ in range(4):
        poses = moved(poses, _newton(points[chosen], pixels[chosen], lens, poses, np.ones(chosen.shape)))
    poses = np.concatenate([start[None], poses[np.isfinite(poses).all(axis=(1, 2))]])
    pose = poses[int(np.argmin(np.minimum(_away(points, pixels, lens, poses), 3 * tolerance).sum(axis=1)))]
    for width in (3.0, 2.0, 1.0, 1.0, 1.0, 1.0):
        away = _away(points, pixels, lens, pose)
        weight = 1.0 / (1.0 + (away / (width * tolerance)) ** 2) ** 2
        pose = moved(pose, _newton(points[None], pixels[None], lens, pose[None], weight[None])[0])
    return pose, _away(points, pixels, lens, pose)


def _away(points: np.ndarray, pixels: np.ndarray, lens: np.ndarray, pose: np.ndarray) -> np.ndarray:
    found, z = projected(points, pose, lens)
    return np.where(z > 0, np.linalg.norm(found - pixels, axis=-1), 1e6)


def _newton(
    points: np.ndarray, pixels: np.ndarray, lens: np.ndarray, poses: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """One Gauss-Newton step of each pose (S, 6) on its own points (S, M, 3)."""
    seen = points @ np.swapaxes(poses[:, :3, :3], 1, 2) + poses[:, None, :3, 3]
    seen[..., 2] = np.maximum(seen[..., 2], 1e-3)
    residual = lens[:2] * seen[..., :2] / seen[..., 2:] + lens[2:] - pixels
    slope = pose_jacobian(seen, lens)
    sets = len(points)
    rows = slope.reshape(sets, -1, 6)
    weighted = (slope * weight[..., None, None]).reshape(sets, -1, 6).swapaxes(1, 2)
    heavy, right = weighted @ rows, (weighted @ residual.reshape(sets, -1, 1))[..., 0]
    heavy += np.eye(6) * (1e-9 + 1e-6 * np.trace(heavy, axis1=1, axis2=2))[:, None, None] / 6
    step = -np.linalg.solve(heavy, right[..., None])[..., 0]
    # A set of points that says little must not throw the camera out of the scene.
    return np.clip(step, -0.5, 0.5) if len(poses) > 1 else step


@dataclass(frozen=True, eq=False)
class Adjusted:
    """All cameras and points after the joint refinement.

    Attributes:
        poses: (T, 4, 4) float64.
        points: (N, 3) world.
        depth_scale: (T,) by which each frame's depth is multiplied to agree; 1 at frame 0.
        focal: factor of the focal length.
    """

    poses: np.ndarray
    points: np.ndarray
    depth_scale: np.ndarray
    focal: float


def adjust(
    sights: Sights,
    poses: np.ndarray,
    points: np.ndarray,
    lenses: np.ndarray,
    *,
    pixel_sigma: float,
    depth_sigma: float,
    refine_focal: bool = False,
    steps: int = 12,
    poll: Callable[[], None] | None = None,
) -> Adjusted:
    """Refine every pose, point and frame's depth scale together; with Huber's weights.

    Gauss-Newton with Levenberg's damping. Points are eliminated first (three unknowns each, in closed form), which leaves
    seven unknowns a frame.

    Args:
        sights: what was seen; every point at least twice.
        poses: (T, 4, 4) to begin with; frame 0 stays.
        points: (N, 3) to begin with.
        lenses: (T, 4).
        pixel_sigma: error of a track, pixels.
        depth_sigma: relative error of the depth.
        refine_focal: one factor for all focal lengths is unknown too.
        steps: at most.
        poll: called once a step; may raise.

    Source: Triggs et al., "Bundle adjustment - a modern synthesis" (1999), section 6.1.
    """
    state = Adjusted(poses.copy(), points.copy(), np.ones(len(poses)), 1.0)
    cost, damping = _cost(sights, state, lenses, pixel_sigma, depth_sigma), 1e-4
    for _ in range(steps):
        if poll is not None:
            poll()
        system = _normal_equations(sights, state, lenses, pixel_sigma, depth_sigma, refine_focal)
        for _ in range(6):
            tried = _stepped(state, *_solved(*system, sights, damping))
            new = _cost(sights, tried, lenses, pixel_sigma, depth_sigma)
            if new < cost:
                break
            damping *= 10
        else:
            return state
        gained = 1 - new / cost
        state, cost, damping = tried, new, max(damping / 10, 1e-9)
        if gained < 1e-5:
            return state
    return state


def _residuals(
    sights: Sights, state: Adjusted, lenses: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(M, 2) pixels, (M,) log depth (0 where the clip's tells nothing), points in the camera's frame, and its lens."""
    pose = state.poses[sights.frame]
    seen = (pose[:, :3, :3] @ state.points[sights.point][..., None])[..., 0] + pose[:, :3, 3]
    seen[:, 2] = np.maximum(seen[:, 2], NEAREST)
    lens = lenses[sights.frame].copy()
    lens[:, :2] *= state.focal
    pixels = lens[:, :2] * seen[:, :2] / seen[:, 2:] + lens[:, 2:] - sights.pixel
    depth = np.log(seen[:, 2] / (state.depth_scale[sights.frame] * sights.depth))
    return pixels, np.nan_to_num(depth), seen, lens


def _huber(size: np.ndarray) -> np.ndarray:
    return np.where(size <= 1.5, 1.0, 1.5 / np.maximum(size, 1e-12))


def _huber_cost(size: np.ndarray) -> float:
    return float(np.where(size <= 1.5, size**2, 3.0 * size - 2.25).sum())


def _cost(sights: Sights, state: Adjusted, lenses: np.ndarray, pixel_sigma: float, depth_sigma: float) -> float:
    pixels, depth, _, _ = _residuals(sights, state, lenses)
    return _huber_cost(np.linalg.norm(pixels, axis=1) / pixel_sigma) + _huber_cost(np.abs(depth) / depth_sigma)


def _normal_equations(
    sights: Sights, state: Adjusted, lenses: np.ndarray, pixel_sigma: float, depth_sigma: float, refine_focal: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Cameras' matrix and right side, points' (N, 3, 3) and (N, 3), and what couples each sight's (M, 8, 3).

    A frame's unknowns are its pose's step (6) and the logarithm of its depth scale; the last unknown is that of the focal
    length.
    """
    frames, count = len(state.poses), len(state.points)
    pixels, depth, seen, lens = _residuals(sights, state, lenses)
    heavy = _huber(np.linalg.norm(pixels, axis=1) / pixel_sigma) / pixel_sigma**2
    deep = _huber(np.abs(depth) / depth_sigma) / depth_sigma**2 * np.isfinite(sights.depth)
    slope = np.zeros((len(seen), 3, 8))  # rows: u, v, log z; columns: pose, depth scale, focal
    slope[:, :2, :6] = pose_jacobian(seen, lens)
    inverse = 1.0 / seen[:, 2]
    slope[:, 2, 0], slope[:, 2, 1], slope[:, 2, 5] = seen[:, 1] * inverse, -seen[:, 0] * inverse, inverse
    slope[:, 2, 6] = -1.0
    if refine_focal:
        slope[:, :2, 7] = lens[:, :2] * seen[:, :2] * inverse[:, None]
    shift = np.concatenate([slope[:, :2, 3:6], np.zeros((len(seen), 1, 3))], axis=1)
    shift[:, 2, 2] = inverse
    place = shift @ state.poses[sights.frame][:, :3, :3]  # how the three rows move with the point
    weight = np.stack([heavy, heavy, deep], -1)
    residual = np.concatenate([pixels, depth[:, None]], axis=1)
    weighted = slope * weight[..., None]
    own = np.einsum("mri,mrj->mij", weighted, slope)
    right = np.einsum("mri,mr->mi", weighted, residual)
    coupling = np.einsum("mri,mrj->mij", weighted, place)
    pulled = place * weight[..., None]
    point_matrix = _summed(np.einsum("mri,mrj->mij", pulled, place), sights.point, count)
    point_right = _summed(np.einsum("mri,mr->mi", pulled, residual), sights.point, count)
    total = 7 * frames + 1
    matrix, side = np.zeros((total, total)), np.zeros(total)
    blocks, sides = _summed(own, sights.frame, frames), _summed(right, sights.frame, frames)
    for t in range(frames):
        index = [*range(7 * t, 7 * t + 7), total - 1]
        matrix[np.ix_(index, index)] += blocks[t]
        side[index] += sides[t]
    return matrix, side, point_matrix, point_right, coupling


def _summed(values: np.ndarray, of: np.ndarray, count: int) -> np.ndarray:
    """Sums of (M, ...) values that belong together, (count, ...); several times faster than ``np.add.at``."""
    columns = values.reshape(len(values), -1).T
    sums = np.stack([np.bincount(of, column, count) for column in columns], axis=-1)
    return sums.reshape(count, *values.shape[1:])


def _solved(
    matrix: np.ndarray,
    side: np.ndarray,
    point_matrix: np.ndarray,
    point_right: np.ndarray,
    coupling: np.ndarray,
    sights: Sights,
    damping: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Steps of the cameras (7 T + 1,) and of the points (N, 3)."""
    count, total = len(point_matrix), len(side)
    damped = point_matrix * (1 + damping * np.eye(3)) + 1e-12 * np.eye(3)
    inverse = np.linalg.inv(damped)
    dense = np.zeros((count, total, 3))
    rows = 7 * sights.frame[:, None] + np.arange(7)
    dense[sights.point[:, None], rows] += coupling[:, :7]
    dense[:, -1] += _summed(coupling[:, 7], sights.point, count)
    tall = (dense @ inverse).transpose(1, 0, 2).reshape(total, -1)
    wide = dense.transpose(1, 0, 2).reshape(total, -1)
    reduced = matrix - tall @ wide.T
    right = side - tall @ point_right.reshape(-1)
    # Frame 0 is the world, and its depth the unit. What no sight moves (the focal length, unless asked for) stays.
    free = np.arange(7, total)
    free = free[np.diagonal(matrix)[free] > 0]
    small = reduced[np.ix_(free, free)]
    small[np.diag_indices(len(free))] += damping * np.diagonal(matrix)[free] + 1e-12
    step = np.zeros(total)
    step[free] = -np.linalg.solve(small, right[free])
    points = -(inverse @ (point_right + np.einsum("ntk,t->nk", dense, step))[..., None])[..., 0]
    return step, points


def _stepped(state: Adjusted, step: np.ndarray, points: np.ndarray) -> Adjusted:
    frames = step[:-1].reshape(-1, 7)
    return Adjusted(
        moved(state.poses, frames[:, :6]),
        state.points + points,
        state.depth_scale * np.exp(np.clip(frames[:, 6], -1, 1)),
        state.focal * float(np.exp(np.clip(step[-1], -0.3, 0.3))),
    )
