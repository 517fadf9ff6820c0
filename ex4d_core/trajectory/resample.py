"""A path at other moments than its own frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..camera import (
    Intrinsics,
    UnknownLens,
    invert_pose,
    matrix_from_quaternion,
    pose_from,
    quaternion_from_matrix,
    slerp,
)
from ..errors import EX4DError
from .path import Trajectory


def resampled(path: Trajectory, times: Sequence[float], fps: float, shown: tuple[int, ...] | None = None) -> Trajectory:
    """The cameras at some moments: between two frames the camera goes straight, turns evenly, and its lens changes evenly.

    Args:
        path: T cameras.
        times: frames of the path, 0..T-1, may be fractional; at whole ones the camera is that frame's to the bit.
        fps: frames a second of the result.
        shown: frames of the clip that the result shows; None = frame n shows frame n.

    Returns:
        As many cameras as times; without a document.

    Raises:
        UnknownLens: the path sets its lens by a field of view, which only `Trajectory.for_scene` turns into one.
        EX4DError: a time outside the path.
    """
    if path.intrinsics is None and path.path is not None and path.path.sets_the_lens:
        raise UnknownLens("This camera path sets the lens, which is worked out with the scene's. Give that first.")
    at = np.asarray(times, dtype=np.float64)
    if at.size == 0 or not np.isfinite(at).all() or at.min() < 0 or at.max() > len(path) - 1:
        raise EX4DError(f"The camera path has frames 0 to {len(path) - 1}; asked for were {at.min()} to {at.max()}.")
    first = np.minimum(at.astype(np.int64), len(path) - 1)
    second = np.minimum(first + 1, len(path) - 1)
    share = at - first
    cameras = invert_pose(path.world_to_camera)
    turns = quaternion_from_matrix(cameras[:, :3, :3])
    between = matrix_from_quaternion(slerp(turns[first], turns[second], share))
    places = cameras[first, :3, 3] * (1 - share[:, None]) + cameras[second, :3, 3] * share[:, None]
    poses = pose_from(between, places).astype(np.float32)
    poses[share == 0] = path.world_to_camera[first[share == 0]]
    lenses = path.intrinsics
    if lenses is not None:
        lenses = tuple(_mixed(lenses[a], lenses[b], float(s)) for a, b, s in zip(first, second, share, strict=True))
    return Trajectory(
        poses,
        lenses,
        fps,
        radius=path.radius,
        pivot=path.pivot,
        frame_of_reference=path.frame_of_reference,
        shown=shown,
    )


def _mixed(first: Intrinsics, second: Intrinsics, share: float) -> Intrinsics:
    if share == 0 or first == second:
        return first
    second = second.fitted(first.width, first.height)
    values = ((getattr(lens, name) for name in ("fx", "fy", "cx", "cy")) for lens in (first, second))
    fx, fy, cx, cy = (a * (1 - share) + b * share for a, b in zip(*values, strict=True))
    return Intrinsics(fx, fy, cx, cy, first.width, first.height)
