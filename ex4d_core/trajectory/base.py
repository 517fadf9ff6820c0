"""What a camera path is laid on where the source camera moves: where that began, its path without the shake, or itself."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal, get_args

import numpy as np

from ..camera import (
    Intrinsics,
    check_poses,
    invert_pose,
    is_finite,
    matrix_from_quaternion,
    pose_from,
    quaternion_from_matrix,
)
from ..errors import EX4DError
from .path import Trajectory

Base = Literal["locked", "stabilised", "follow"]
BASES: tuple[Base, ...] = get_args(Base)
BaseChoice = Literal["auto"] | Base
BASE_CHOICES: tuple[BaseChoice, ...] = ("auto", *BASES)
"""``auto`` is locked where a source camera is known, else follow, which is then the same."""

SHAKE_SECONDS = 1.5
"""Shake that is faster than this is taken out, unless told otherwise."""
LONGEST_SHAKE = 3600.0


def laid_on(
    path: Trajectory,
    base: BaseChoice,
    source: Trajectory | None,
    *,
    seconds: float = SHAKE_SECONDS,
    shown: tuple[int, ...] | None = None,
) -> Trajectory:
    """A path on its base, where it says nothing of that itself.

    Args:
        path: poses relative to its base. A document that says "world" keeps it.
        base: "locked": the path stands where the source camera began. "stabilised": it rides on the source camera's own
            path without the shake. "follow": it rides on the source camera. "auto": locked where there is a source
            camera, else follow.
        source: the source camera, as many frames; None where it does not move, and every base is the same.
        seconds: for "stabilised": what moves faster is shake.
        shown: frames of the clip that the path shows, kept with a path that loses its document; None = its own numbers.

    Returns:
        With "stabilised" a path of poses and lenses without a document, else the same path with its frame of reference.

    Raises:
        EX4DError: an unknown base, a strength out of range, or another number of frames than the source camera has.
    """
    if base not in BASE_CHOICES:
        raise EX4DError(f"A path is laid on one of {', '.join(BASE_CHOICES)}, got {base!r}.")
    if source is None or path.frame_of_reference == "world":
        return path
    if base == "auto":
        base = "locked"
    if base == "follow":
        return path
    if base == "locked":
        return in_frame_of_world(path)
    if len(source) != len(path):
        raise EX4DError(
            f"The camera path has {len(path)} frames and the source camera that it is laid on {len(source)}. "
            "Make them equal."
        )
    steady = smoothed(replace(source, fps=path.fps), seconds)
    poses = path.world_to_camera.astype(np.float64) @ steady.world_to_camera
    lenses = steady.intrinsics if path.takes_the_scenes_lens and steady.intrinsics is not None else path.intrinsics
    if lenses is None and path.path is not None and path.path.sets_the_lens:
        raise EX4DError("This camera path sets the lens, which is worked out with the scene's. Give that first.")
    return Trajectory(
        poses,
        lenses,
        path.fps,
        radius=path.radius,
        pivot=path.pivot,
        frame_of_reference="world",
        shown=shown,
    )


def in_frame_of_world(path: Trajectory) -> Trajectory:
    """The same path, standing in the world; its document says so."""
    if path.path is None:
        return replace(path, frame_of_reference="world")
    return replace(path, path=replace(path.path, frame_of_reference="world"))


def smoothed(source: Trajectory, seconds: float) -> Trajectory:
    """A camera's path without what is faster than ``seconds``, as near to it as that allows; the first frame stays.

    Positions, orientations and focal lengths each minimise the squared distance to the source plus the squared second
    differences, weighted so that a sway of period ``seconds`` is halved. Nearness keeps what the source saw in view.

    Args:
        source: T poses, and T lenses or None.
        seconds: 0 changes nothing; much more than the clip's length leaves a straight, even move.

    Raises:
        EX4DError: seconds that are negative or too many.

    Source: Whittaker, "On a new method of graduation" (1923), with the second difference; quaternions are smoothed by
    components and brought back to length one.
    """
    if not is_finite(seconds) or not 0 <= seconds <= LONGEST_SHAKE:
        raise EX4DError(f"Shake is told in seconds, 0 to {LONGEST_SHAKE:g}, got {seconds}.")
    weight = (seconds * source.fps / (2 * math.pi)) ** 4
    pose = invert_pose(check_poses(source.world_to_camera))
    quaternions = quaternion_from_matrix(pose[:, :3, :3])
    for t in range(1, len(quaternions)):
        if quaternions[t] @ quaternions[t - 1] < 0:
            quaternions[t] *= -1
    rotation = matrix_from_quaternion(_graduated(quaternions, weight))
    poses = pose_from(rotation, _graduated(pose[:, :3, 3], weight))
    return replace(source, world_to_camera=poses, intrinsics=_smooth_lenses(source.intrinsics, weight), path=None)


def _smooth_lenses(lenses: tuple[Intrinsics, ...] | None, weight: float) -> tuple[Intrinsics, ...] | None:
    if lenses is None or len(set(lenses)) == 1:
        return lenses
    values = np.array([[math.log(k.fx), math.log(k.fy), k.cx, k.cy] for k in lenses])
    return tuple(
        replace(k, fx=math.exp(fx), fy=math.exp(fy), cx=cx, cy=cy)
        for k, (fx, fy, cx, cy) in zip(lenses, _graduated(values, weight).tolist(), strict=True)
    )


def _graduated(values: np.ndarray, weight: float) -> np.ndarray:
    """(T, n) smoothed along T, the first row kept: (I + weight D'D) x = values without the row and column of x_0."""
    count = len(values) - 1
    if count < 2 or weight == 0:
        return values.copy()
    diagonal, first, second = np.ones(count + 1), np.zeros(count + 1), np.zeros(count + 1)
    for t in range(count - 1):  # the second difference of t, t+1, t+2
        diagonal[t : t + 3] += weight * np.array([1.0, 4.0, 1.0])
        first[t : t + 2] -= 2 * weight
        second[t] += weight
    right = values[1:].copy()
    right[0] -= first[0] * values[0]
    right[1] -= second[0] * values[0]
    return np.vstack([values[:1], _banded_solve(diagonal[1:], first[1:-1], second[1:-2], right)])


def _banded_solve(diagonal: np.ndarray, first: np.ndarray, second: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solves a symmetric, positive matrix of five bands by its factors L D L'."""
    n = len(diagonal)
    d, below, beyond, x = diagonal.tolist(), first.tolist(), second.tolist(), right.copy()
    for i in range(n - 1):
        near, far = below[i] / d[i], (beyond[i] / d[i] if i + 2 < n else 0.0)
        d[i + 1] -= near * below[i]
        x[i + 1] -= near * x[i]
        if i + 2 < n:
            below[i + 1] -= far * below[i]
            d[i + 2] -= far * beyond[i]
            x[i + 2] -= far * x[i]
            beyond[i] = far
        below[i] = near
    x /= np.array(d)[:, None]
    for i in range(n - 2, -1, -1):
        x[i] -= below[i] * x[i + 1]
        if i + 2 < n:
            x[i] -= beyond[i] * x[i + 2]
    return x
