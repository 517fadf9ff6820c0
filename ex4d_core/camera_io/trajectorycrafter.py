"""TrajectoryCrafter's --traj_txt: three lines of theta, phi (degrees) and r (radii), a value a waypoint.

Its camera always looks at a point of its axis from one distance R, which it reads off its own depth in the picture's middle: a
point of the source camera's frame is seen at Ry(phi) Rx(theta) (p - (0, 0, R + r R)) + (0, 0, R). So a path is written only where
one R makes it such a path. Up to three waypoints are joined by straight lines, more by a spline that also smooths: where the
values go evenly, two are written. There is no lens; theirs is 500 pixels at 1024 x 576.

Source: demo.py and models/utils.py of TrajectoryCrafter/TrajectoryCrafter, as facts about them.
"""

from __future__ import annotations

import numpy as np

from ..camera import invert_pose
from ..errors import EX4DError
from .cameras import Cameras, Format

TOLERANCE = 1e-3
"""Of a turn in radians, and of a place in radii, by which a path may miss being theirs."""
EVEN = 1e-4
"""Degrees and radii by which values may miss a straight line that two waypoints stand for."""


def write(cameras: Cameras) -> bytes:
    """Writes the three lines, relative to the first frame."""
    poses = cameras.world_to_camera @ invert_pose(cameras.world_to_camera[0])
    theta, phi = _angles(poses[:, :3, :3])
    values = np.stack([np.degrees(theta), np.degrees(phi), _radii(poses)])
    even = np.linspace(values[:, 0], values[:, -1], values.shape[1]).T
    if values.shape[1] > 1 and np.abs(values - even).max() < EVEN:
        values = values[:, [0, -1]]
    return "".join(" ".join(f"{v + 0:.9g}" for v in np.round(line, 9)) + "\n" for line in values).encode()


def _angles(rotation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """theta and phi with R = Ry(phi) Rx(theta), radians, of world-to-camera rotations (T, 3, 3)."""
    theta = np.arctan2(-rotation[:, 1, 2], rotation[:, 1, 1])
    phi = np.arctan2(-rotation[:, 2, 0], rotation[:, 0, 0])
    roll = np.abs(rotation[:, 1, 0])
    if (roll > TOLERANCE).any():
        raise _refused(int(np.argmax(roll > TOLERANCE)), "it is rolled against their order of turns")
    return np.unwrap(theta), np.unwrap(phi)


def _radii(poses: np.ndarray) -> np.ndarray:
    """(T,) r in radii: the one R for which every camera looks at the axis from that distance."""
    axis, place = poses[:, 2, :3], invert_pose(poses)[:, :3, 3]
    away = float((axis[:, :2] ** 2).sum())
    if away < 1e-9:
        raise EX4DError(
            "TrajectoryCrafter files hold turns around a point, and this path does not turn: how far away that point is, it does "
            "not tell. Use its own --camera target, or an orbit."
        )
    radius = -float((axis[:, :2] * place[:, :2]).sum()) / away
    if radius <= 1e-6:
        raise _refused(len(poses) - 1, "it turns away from the scene, not around it")
    off = np.linalg.norm(place[:, :2] + radius * axis[:, :2], axis=1) / radius
    if (off > TOLERANCE).any():
        raise _refused(int(np.argmax(off)), "it does not look at one axis from one distance")
    return (place[:, 2] + radius * axis[:, 2]) / radius - 1


def _refused(frame: int, why: str) -> EX4DError:
    return EX4DError(
        f"TrajectoryCrafter files cannot hold the camera of frame {frame}: {why}. Give a level turn around the scene's "
        "middle (orbit with rise 0), or another format."
    )


FORMAT = Format(
    name="trajectorycrafter",
    title="TrajectoryCrafter",
    suffixes=(".txt",),
    used_by="TrajectoryCrafter (--camera traj --traj_txt)",
    keeps="level turns around the scene and the distance",
    write=write,
)
