"""Nuke's .chan: ``frame tx ty tz rx ry rz [vertical_fov]`` a line, y up, looking along -z, degrees.

The rotation order is Nuke's default ZXY: the camera turns about z first, then x, then y (R = Ry Rx Rz). The file does not say
it; Blender's dialog asks. Houdini writes no frame numbers: ``tx ty tz rx ry rz [focal]``, a line a frame, in its default order
XYZ (R = Rz Ry Rx); its focal length in millimetres tells no field of view without the film's width.
"""

from __future__ import annotations

import logging

import numpy as np

from ..camera import invert_pose, pose_from, y_up_from_opencv
from ..errors import EX4DError
from .cameras import Cameras, Format, Hints, check_plain_lens, lenses_of, row_of_numbers, text_of

log = logging.getLogger(__name__)


def read(data: bytes, hints: Hints) -> Cameras:
    """Reads 6 to 8 columns; lines that start with # are skipped. The fps is not in the file."""
    lines = [(n, line.split()) for n, line in enumerate(text_of(data).splitlines(), 1)]
    lines = [(n, words) for n, words in lines if words and not words[0].startswith("#")]
    if not lines:
        raise EX4DError("this .chan file has no line of numbers.")
    columns = len(lines[0][1])
    for number, words in lines:
        if len(words) not in (6, 7, 8) or len(words) != columns:
            raise EX4DError(
                f"line {number} has {len(words)} values; a .chan camera has frame, three positions, three rotations "
                "and the vertical field of view on every line, or no frame."
            )
    rows = np.array([row_of_numbers(words, number) for number, words in lines])
    if columns == 6 or (columns == 7 and not _counts_frames(rows[:, 0])):
        if columns == 7:
            log.warning("%s has focal lengths without the film's width, so the scene's lens is used.", hints.name)
        poses = y_up_from_opencv(pose_from(_rotation(rows[:, 3:6], xyz=True), rows[:, :3]))
        return Cameras(poses, fps=hints.fps)
    _check_every_frame_is_there(rows[:, 0], [number for number, _ in lines])
    poses = y_up_from_opencv(pose_from(_rotation(rows[:, 4:7]), rows[:, 1:4]))
    return Cameras(poses, fov=rows[:, 7] if columns == 8 else None, fps=hints.fps)


def _counts_frames(column: np.ndarray) -> bool:
    """Whether a line's first number is a frame's: whole, and larger from line to line."""
    return bool((column == np.round(column)).all() and (np.diff(column) > 0).all())


def _check_every_frame_is_there(frames: np.ndarray, lines: list[int]) -> None:
    """Refuses frame numbers that do not go up by one: what happens between them, the file does not tell."""
    step = np.diff(frames)
    if (step <= 0).any():
        line = lines[int(np.argmax(step <= 0)) + 1]
        raise EX4DError(f"the frame number on line {line} is not above the one before. Sort the lines.")
    apart = np.abs(step - 1) > 1e-3
    if apart.any():
        at = int(np.argmax(apart))
        raise EX4DError(
            f"line {lines[at + 1]} is frame {frames[at + 1]:g}, after frame {frames[at]:g}. Export every frame, since "
            "the file does not tell how the camera goes between them."
        )


def _rotation(degrees: np.ndarray, *, xyz: bool = False) -> np.ndarray:
    """(T, 3, 3) from (T, 3) angles about x, y, z in the order ZXY, or XYZ."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(np.radians(degrees)).T, np.sin(np.radians(degrees)).T
    if xyz:
        rows = [
            [cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx],
            [sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx],
            [-sy, cy * sx, cy * cx],
        ]
        return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
    rows = [
        [cy * cz + sy * sx * sz, sy * sx * cz - cy * sz, sy * cx],
        [cx * sz, cx * cz, -sx],
        [cy * sx * sz - sy * cz, sy * sz + cy * sx * cz, cy * cx],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def euler_zxy(rotation: np.ndarray) -> np.ndarray:
    """(T, 3) degrees about x, y, z in the order ZXY of rotations (T, 3, 3), unwrapped so that curves do not jump."""
    r = rotation
    x = np.arcsin(np.clip(-r[:, 1, 2], -1, 1))
    locked = np.abs(r[:, 1, 2]) > 1 - 1e-9  # straight up or down: y and z turn about one axis, give it all to y
    y = np.where(locked, np.arctan2(-r[:, 2, 0], r[:, 0, 0]), np.arctan2(r[:, 0, 2], r[:, 2, 2]))
    z = np.where(locked, 0.0, np.arctan2(r[:, 1, 0], r[:, 1, 1]))
    return np.degrees(np.unwrap(np.stack([x, y, z], axis=-1), axis=0))


def write(cameras: Cameras) -> bytes:
    """Writes frames from 1 on, as Nuke counts. The format has no principal point and square pixels only."""
    lenses = lenses_of(cameras, ".chan", vertical_only=True)
    check_plain_lens(lenses, ".chan")
    pose = invert_pose(y_up_from_opencv(cameras.world_to_camera))
    angles = euler_zxy(pose[:, :3, :3])
    rows = np.concatenate([pose[:, :3, 3], angles, [[k.vertical_fov] for k in lenses]], axis=1)
    return "".join(f"{i} " + " ".join(f"{v:.9g}" for v in row) + "\n" for i, row in enumerate(rows, 1)).encode()


FORMAT = Format(
    name="chan",
    title="Nuke",
    suffixes=(".chan",),
    used_by="Nuke (rotation order ZXY), Houdini, Blender (choose ZXY in its dialog)",
    keeps="poses, field of view",
    read=read,
    write=write,
)
