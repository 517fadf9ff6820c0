"""transforms.json of NeRF, instant-ngp and nerfstudio: camera-to-world matrices, OpenGL cameras, y-up world (ours).

Frames go by the numbers in their ``file_path``, since tools that match pictures list them in any order; without paths they
keep the file's order. nerfstudio's viewer exports its camera paths as another list of the same matrices. The lens is
``camera_angle_x``, ``camera_angle_y`` or ``fl_x, fl_y, cx, cy, w, h``, for all or per frame.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from ..camera import (
    DEFAULT_FPS,
    Intrinsics,
    UnknownLens,
    check_poses,
    invert_pose,
    is_finite,
    y_up_from_opencv,
)
from ..errors import EX4DError
from ..storage.names import natural_order
from .cameras import Cameras, Format, Hints, text_of

PINHOLES = ("PINHOLE", "SIMPLE_PINHOLE", "OPENCV", "FULL_OPENCV", "SIMPLE_RADIAL", "RADIAL", "PERSPECTIVE")
"""Camera models (COLMAP's and nerfstudio's names) that are pinholes where their distortion is 0."""
VIEWER_PATH = "camera_path"
DISTORTION = ("k1", "k2", "k3", "k4", "k5", "k6", "p1", "p2")


def looks_like(data: bytes, _hints: Hints) -> bool:
    """Tells this JSON from a path of ours by its list of frames."""
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError):
        return False
    return isinstance(raw, dict) and any(isinstance(raw.get(name), list) for name in ("frames", VIEWER_PATH))


def read(data: bytes, hints: Hints) -> Cameras:
    """Reads all frames; lens distortion is refused, since a pinhole cannot show it."""
    raw = json.loads(text_of(data))
    if not isinstance(raw.get("frames"), list):
        raw = _from_viewer(raw)
    frames = raw["frames"]
    if not frames:
        raise EX4DError("this transforms.json has no frames.")
    frames = in_order_of_paths(frames)
    poses = np.stack([_pose(frame, i) for i, frame in enumerate(frames)])
    poses = check_poses(poses, "This transforms.json")
    lenses = [_lens({**raw, **frame}, i, hints) for i, frame in enumerate(frames)]
    known = [lens for lens in lenses if lens is not None]
    fps = hints.fps if raw.get("fps") is None else raw["fps"]
    if fps is not None and not (is_finite(fps) and fps > 0):
        raise EX4DError(f"fps of this transforms.json must be a number above 0, got {repr(fps)[:40]}.")
    return Cameras(
        invert_pose(y_up_from_opencv(poses)),
        tuple(known) if len(known) == len(lenses) else None,
        fps=None if fps is None else float(fps),
    )


def _from_viewer(raw: dict[str, Any]) -> dict[str, Any]:
    """A camera path that nerfstudio's viewer exported, as transforms: matrices of 16 numbers, vertical degrees."""
    width, height = raw.get("render_width"), raw.get("render_height")
    frames = []
    for index, camera in enumerate(raw[VIEWER_PATH]):
        matrix = np.array(camera["camera_to_world"], dtype=np.float64)
        if matrix.size != 16:
            raise EX4DError(f"camera_to_world of frame {index} must be 16 numbers, got {matrix.size}.")
        angle = {} if camera.get("fov") is None else {"camera_angle_y": math.radians(camera["fov"])}
        frames.append({"transform_matrix": matrix.reshape(4, 4), **angle})
    size = {} if width is None or height is None else {"w": width, "h": height}
    kind = raw.get("camera_type", "perspective")
    return {"frames": frames, "fps": raw.get("fps"), "camera_model": kind, **size}


def in_order_of_paths(frames: list[Any]) -> list[Any]:
    """Frames as their pictures follow each other: frame_2 before frame_10; as they are where one has no path."""
    paths = [frame.get("file_path") if isinstance(frame, dict) else None for frame in frames]
    named = [(natural_order(path), index) for index, path in enumerate(paths) if isinstance(path, str)]
    return [frames[index] for _, index in sorted(named)] if len(named) == len(frames) else frames


def _pose(frame: Any, index: int) -> np.ndarray:
    try:
        pose = np.array(frame["transform_matrix"], dtype=np.float64)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise EX4DError(f"frame {index} of this transforms.json has no transform_matrix of numbers.") from None
    if pose.shape == (3, 4):
        pose = np.concatenate([pose, [[0.0, 0.0, 0.0, 1.0]]])
    if pose.shape != (4, 4):
        raise EX4DError(f"transform_matrix of frame {index} must be 4x4, got shape {pose.shape}.")
    return pose


def _lens(fields: dict[str, Any], index: int, hints: Hints) -> Intrinsics | None:
    model = fields.get("camera_model", "PINHOLE")
    if str(model).upper() not in PINHOLES or fields.get("is_fisheye") is True:
        raise EX4DError(
            f"the camera model of this transforms.json is {'fisheye' if fields.get('is_fisheye') is True else repr(model)[:40]}, "
            "and only pinholes can be shown. Undistort the images and export the cameras again."
        )
    if any(is_finite(fields.get(name)) and abs(fields[name]) > 1e-9 for name in DISTORTION):
        raise EX4DError("this transforms.json has lens distortion. Undistort the images and export the cameras again.")
    names = ("w", "h", "fl_x", "fl_y", "cx", "cy", "camera_angle_x", "camera_angle_y")
    given = {name: fields[name] for name in names if fields.get(name) is not None}
    for name, value in given.items():
        if not is_finite(value) or (value <= 0 and name not in ("cx", "cy")):
            raise EX4DError(f"{name} of frame {index} must be a positive number, got {repr(value)[:40]}.")
    size = (int(given["w"]), int(given["h"])) if "w" in given and "h" in given else hints.image_size()
    told = [name for name in ("fl_x", "fl_y", "camera_angle_x", "camera_angle_y") if name in given]
    if not told:
        return None
    if size is None:
        raise UnknownLens("this transforms.json has no image size (w, h). Give the size, or the scene's lens.")
    width, height = size
    fx = float(given["fl_x"]) if "fl_x" in given else _focal(given.get("camera_angle_x"), width)
    fy = float(given["fl_y"]) if "fl_y" in given else _focal(given.get("camera_angle_y"), height)
    # A focal length that is not told is that of square pixels.
    fx, fy = (fy if fx is None else fx), (fx if fy is None else fy)
    assert fx is not None and fy is not None
    return Intrinsics(fx, fy, float(given.get("cx", width / 2)), float(given.get("cy", height / 2)), width, height)


def _focal(angle: float | None, side: int) -> float | None:
    """Pixels, from a field of view in radians over a side of the picture."""
    return None if angle is None else side / 2 / math.tan(min(angle, math.pi - 1e-3) / 2)


def write(cameras: Cameras) -> bytes:
    """Writes the fields that instant-ngp and nerfstudio read; the lens per frame where it changes."""
    matrices = invert_pose(y_up_from_opencv(cameras.world_to_camera))
    lenses = cameras.intrinsics
    document: dict[str, Any] = {"camera_model": "PINHOLE", "fps": cameras.fps or DEFAULT_FPS}
    same = lenses is not None and all(lens == lenses[0] for lens in lenses)
    if lenses is not None and same:
        document |= _fields(lenses[0])
    frames = []
    for i, matrix in enumerate(matrices):
        frame: dict[str, Any] = {"file_path": f"images/{i:05d}.png", "transform_matrix": matrix.tolist()}
        if lenses is not None and not same:
            frame |= _fields(lenses[i])
        frames.append(frame)
    document["frames"] = frames
    return (json.dumps(document, indent=1, allow_nan=False) + "\n").encode()


def _fields(k: Intrinsics) -> dict[str, Any]:
    angle = 2 * math.atan(k.width / (2 * k.fx))
    return {
        "camera_angle_x": angle, "fl_x": k.fx, "fl_y": k.fy, "cx": k.cx, "cy": k.cy, "w": k.width, "h": k.height
    }  # fmt: skip


FORMAT = Format(
    name="transforms",
    title="transforms.json",
    suffixes=(".json",),
    used_by="instant-ngp, nerfstudio and other NeRF tools",
    keeps="poses, lens with shift",
    read=read,
    write=write,
    looks_like=looks_like,
)
