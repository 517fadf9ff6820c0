"""A move from the source view to where another program's camera stands."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..camera import DEFAULT_FPS, look_at
from ..errors import EX4DError
from .curves import Ease, eased
from .path import Trajectory


def move_to_viewpoint(
    camera: dict[str, Any],
    *,
    radius: float,
    distance: float = 1.0,
    frames: int,
    fps: float = DEFAULT_FPS,
    ease: Ease = "linear",
) -> Trajectory:
    """Swing around the pivot from the source view to the direction from which a three.js camera looks.

    A 3D viewer fits whatever it shows into its own units, so only the direction is taken: its front (+z) is the source
    view, its up (+y) is ours (-y). Azimuth and elevation grow together, so that the horizon stays level.

    Args:
        camera: ComfyUI's LOAD3D_CAMERA: "position" and "target" as {"x", "y", "z"}, three.js world (y up, z to the
            viewer); "zoom" and "cameraType" are not read.
        radius: from the source camera to the pivot (0, 0, radius), scene units.
        distance: from the pivot at the end, in radii.
        frames: length of the path; a path of one frame stands at the viewpoint.
        fps: frames a second.
        ease: time warp of the move.

    Returns:
        A path whose first pose is the source camera.

    Raises:
        EX4DError: no position and target, or both at one place.
    """
    x, y, z = _point(camera, "position") - _point(camera, "target")
    length = math.hypot(x, y, z)
    if not math.isfinite(length) or length < 1e-9:
        raise EX4DError(
            "The 3D viewer's camera stands where it looks. Turn the view in the Load 3D node and run again."
        )
    azimuth, elevation = math.atan2(x, z), math.atan2(y, math.hypot(x, z))
    pivot = np.array([0.0, 0.0, radius])
    poses = []
    for share in eased(np.linspace(0, 1, frames) if frames > 1 else np.ones(1), ease):
        turn, climb = azimuth * share, elevation * share
        away = np.array([math.cos(climb) * math.sin(turn), -math.sin(climb), -math.cos(climb) * math.cos(turn)])
        poses.append(look_at(pivot + radius * (1 + (distance - 1) * share) * away, pivot))
    return Trajectory(np.stack(poses), fps=fps)


def _point(camera: Any, name: str) -> np.ndarray:
    try:
        return np.array([float(camera[name][axis]) for axis in "xyz"])
    except (TypeError, KeyError, ValueError) as error:
        raise EX4DError(
            f"The connected camera has no {name} with x, y and z. Connect camera_info of a Load 3D node, and turn its "
            "view once before running."
        ) from error
