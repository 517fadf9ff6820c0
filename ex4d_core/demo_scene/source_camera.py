"""How the camera that films the demo scene moves: exact poses and lenses at any time, frame 0 always the identity."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal, get_args

import numpy as np

from ..camera import DEFAULT_FPS, Intrinsics, pose_from

CameraMove = Literal["locked-off", "handheld", "dolly", "zoom"]
CAMERA_MOVES: tuple[CameraMove, ...] = get_args(CameraMove)
"""locked-off stands still; handheld sways and drifts; dolly glides forward and to the right while it turns; zoom stands
still and changes its focal length."""

SWAYS = (
    # For each of x, y, z, yaw, pitch, roll: (amplitude, Hz, phase) of its waves; scene units and degrees.
    ((0.11, 0.23, 0.4), (0.022, 0.9, 1.0), (0.004, 2.9, 0.2)),
    ((0.05, 0.31, 2.0), (0.018, 1.1, 0.3), (0.005, 3.3, 1.4)),
    ((0.06, 0.19, 1.2), (0.015, 0.7, 2.2)),
    ((1.3, 0.27, 0.9), (0.35, 1.2, 0.0), (0.06, 3.1, 0.7)),
    ((0.9, 0.35, 2.6), (0.30, 1.4, 1.9), (0.05, 3.7, 2.8)),
    ((0.7, 0.22, 1.7), (0.20, 0.8, 0.5)),
)
DOLLY = ((0.75, 0.05, 0.6), -9.0)
"""Where a dolly ends, scene units, and how far it has turned by then, degrees to the right."""
ZOOM = 1.6
"""Focal length at a zoom's end, in those of its start."""


def pose_at(move: CameraMove, time: float, frames: int) -> np.ndarray:
    """Where the camera is.

    Args:
        move: which kind of camera.
        time: frame, may be fractional. A handheld camera's hands know seconds only, at 15 frames each.
        frames: length of the clip, which a dolly takes for its way.

    Returns:
        (4, 4) float64 world_to_camera, the identity at frame 0.
    """
    if move == "handheld":
        *position, yaw, pitch, roll = (_sway(waves, time / DEFAULT_FPS) for waves in SWAYS)
        return pose_from(_turned(yaw, pitch, roll), np.array(position))
    if move == "dolly":
        way, (end, turn) = _way(time, frames), DOLLY
        return pose_from(_turned(way * turn, 0.0, 0.0), way * np.array(end))
    return np.eye(4)


def lens_at(move: CameraMove, time: float, frames: int, first: Intrinsics) -> Intrinsics:
    """The lens at a frame, which may be fractional; ``first`` is that of frame 0."""
    if move != "zoom":
        return first
    factor = ZOOM ** _way(time, frames)
    return replace(first, fx=first.fx * factor, fy=first.fy * factor)


def _way(time: float, frames: int) -> float:
    """Share of the way that is covered: starts and stops gently."""
    u = min(max(time / max(1, frames - 1), 0.0), 1.0)
    return u * u * (3 - 2 * u)


def _sway(waves: tuple[tuple[float, float, float], ...], seconds: float) -> float:
    return sum(a * (math.sin(2 * math.pi * hertz * seconds + phase) - math.sin(phase)) for a, hertz, phase in waves)


def _turned(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Camera-to-world: degrees to the right, up, and clockwise for the operator."""
    (cy, sy), (cp, sp), (cr, sr) = ((math.cos(math.radians(v)), math.sin(math.radians(v))) for v in (yaw, pitch, roll))
    right = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    up = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    over = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return right @ up @ over
