"""A move from the source view to where another program's camera stands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..camera import DEFAULT_FPS, look_at
from ..errors import EX4DError
from .curves import Ease, eased
from .path import Trajectory


def move_to_viewpoint(
    camera: dict[str, Any] | Sequence[dict[str, Any]],
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
            viewer), and from newer hosts a "quaternion" {"x", "y", "z", "w"} of the camera's rotation, which counts
            where there is no target. Nothing else of it is read. Of a list of cameras, the first.
        radius: from the source camera to the pivot (0, 0, radius), scene units.
        distance: from the pivot at the end, in radii.
        frames: length of the path; a path of one frame stands at the viewpoint.
        fps: frames a second.
        ease: time warp of the move.

    Returns:
        A path whose first pose is the source camera.

    Raises:
        EX4DError: an empty list, no position and target, or both at one place.
    """
    x, y, z = _backward(first_camera(camera))
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


def first_camera(camera: Any) -> Any:
    """The camera itself, or the first of a list, as newer hosts make it of a camera's whole way."""
    if not isinstance(camera, (list, tuple)):
        return camera
    if not camera:
        raise EX4DError("The connected list of cameras is empty. Connect camera_info of a Load 3D node.")
    return camera[0]


def _backward(camera: Any) -> np.ndarray:
    """(3,) from what the camera looks at to where it stands; a three.js camera looks down its own -z."""
    position = numbers_of(camera, "position")
    if camera.get("target") is None and camera.get("quaternion") is not None:
        x, y, z, w = numbers_of(camera, "quaternion", "xyzw")
        return np.array([2 * (x * z + w * y), 2 * (y * z - w * x), w * w + z * z - x * x - y * y])
    return position - numbers_of(camera, "target")


def numbers_of(camera: Any, name: str, axes: str = "xyz") -> np.ndarray:
    """What a viewer's camera says under a name, one number for each of the axes.

    Raises:
        EX4DError: it says nothing of it.
    """
    try:
        return np.array([float(camera[name][axis]) for axis in axes])
    except (TypeError, KeyError, ValueError) as error:
        raise EX4DError(
            f"The connected camera has no {name} with {', '.join(axes[:-1])} and {axes[-1]}. Connect camera_info of a Load "
            "3D node, and turn its view once before running."
        ) from error
