"""A list of 3D viewers' cameras, one a frame, as a path, and back: what newer ComfyUI makes of a camera's whole way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..camera import (
    DEFAULT_FPS,
    MAX_FRAMES,
    Intrinsics,
    invert_pose,
    is_finite,
    look_at,
    matrix_from_quaternion,
    quaternion_from_matrix,
    y_up_from_opencv,
)
from ..errors import EX4DError
from .path import Trajectory
from .viewpoint import numbers_of


def path_of_viewer_cameras(
    cameras: dict[str, Any] | Sequence[dict[str, Any]], size: tuple[int, int], *, fps: float = DEFAULT_FPS
) -> Trajectory:
    """The path of a list of cameras of ComfyUI's LOAD3D_CAMERA, in the viewer's own world and unit.

    Args:
        cameras: one a frame (a single one is a path of one frame), each "position" {"x", "y", "z"} in a right-handed world
            with y up, and "quaternion" {"x", "y", "z", "w"}, the camera's rotation in the world (it looks along its own -z),
            or else "target", the point that it looks at. "fov", vertical degrees, with "zoom", the factor of the focal
            length, gives the lens where every camera has it.
        size: (width, height) in pixels of what the cameras filmed.
        fps: frames a second.

    Returns:
        A path without a document, its first frame where the first camera is.

    Raises:
        EX4DError: an empty list, more frames than a path may have, or a camera that is orthographic, has no place or looks
            nowhere; names its number.

    Source: ComfyUI's description of the type (``comfy_api``, ``Load3DCamera.CameraInfo``).
    """
    each: list[Any] = list(cameras) if isinstance(cameras, (list, tuple)) else [cameras]
    if not 1 <= len(each) <= MAX_FRAMES:
        raise EX4DError(f"A camera path has 1 to {MAX_FRAMES} frames; the list of cameras has {len(each)}.")
    poses, lenses = np.empty((len(each), 4, 4)), []
    for number, camera in enumerate(each):
        try:
            poses[number] = _pose(camera)
            lens = _lens(camera, size)
        except EX4DError as error:
            raise EX4DError(f"Camera {number} of {len(each)}: {error}") from error
        if lens is not None:
            lenses.append(lens)
    return Trajectory(poses, tuple(lenses) if len(lenses) == len(each) else None, fps)


def viewer_cameras_of(path: Trajectory, lens: Intrinsics, *, away: float = 1.0) -> list[dict[str, Any]]:
    """A path as cameras of ComfyUI's LOAD3D_CAMERA, one a frame, in the world of the pack's 3D files (y up, scale 1).

    The type has no lens shift and square pixels; what a path has of them is left out.

    Args:
        path: with its lenses, or without.
        lens: of a path that has none.
        away: how far ahead of each camera its target lies, scene units.

    Returns:
        Of each frame "position", "target", "quaternion" (the camera's rotation; it looks along its own -z), "fov" (vertical
        degrees), "aspect", "zoom" and "cameraType".

    Source: ComfyUI's description of the type (``comfy_api``, ``Load3DCamera.CameraInfo``).
    """
    poses = invert_pose(y_up_from_opencv(path.world_to_camera.astype(np.float64)))
    turns = quaternion_from_matrix(poses[:, :3, :3])
    lenses = (lens,) * len(path) if path.intrinsics is None else path.intrinsics
    return [
        {
            "position": _named(pose[:3, 3]),
            "target": _named(pose[:3, 3] - away * pose[:3, 2]),
            "quaternion": _named(np.roll(turn, -1), "xyzw"),
            "fov": k.vertical_fov,
            "aspect": k.width / k.height,
            "zoom": 1.0,
            "cameraType": "perspective",
        }
        for pose, turn, k in zip(poses, turns, lenses, strict=True)
    ]


def _named(values: np.ndarray, names: str = "xyz") -> dict[str, float]:
    return {name: float(value) for name, value in zip(names, values, strict=True)}


def _pose(camera: Any) -> np.ndarray:
    """(4, 4) world_to_camera, OpenCV."""
    position = numbers_of(camera, "position")
    if camera.get("quaternion") is None:
        target = numbers_of(camera, "target")
        # y down and z forward, as look_at wants them
        return look_at(position * [1, -1, -1], target * [1, -1, -1])
    x, y, z, w = numbers_of(camera, "quaternion", "xyzw")
    if not 1e-6 < math.hypot(x, y, z, w) < math.inf:
        raise EX4DError(f"its rotation is none: the quaternion is ({x:g}, {y:g}, {z:g}, {w:g}).")
    to_world = np.eye(4)
    to_world[:3, :3] = matrix_from_quaternion(np.array([w, x, y, z]))
    to_world[:3, 3] = position
    return y_up_from_opencv(invert_pose(to_world))


def _lens(camera: dict[str, Any], size: tuple[int, int]) -> Intrinsics | None:
    if str(camera.get("cameraType", "perspective")).lower() == "orthographic":
        raise EX4DError("it is orthographic, and only perspective cameras film. Switch the viewer to perspective.")
    fov, zoom = camera.get("fov"), camera.get("zoom", 1.0)
    if fov is None:
        return None
    if not is_finite(zoom) or zoom <= 0:
        raise EX4DError(f"its zoom must be a number above 0, got {zoom!r:.40}.")
    if not is_finite(fov) or not 0 < fov < 180:
        raise EX4DError(f"its field of view must lie between 0 and 180 degrees, got {fov!r:.40}.")
    wide = 2 * math.degrees(math.atan(math.tan(math.radians(fov) / 2) / zoom))
    return Intrinsics.from_fov(wide, *size)
