"""RealEstate10K text, also CameraCtrl's: a title line, then one line a frame.

``timestamp fx fy cx cy 0 0  r11 r12 r13 t1  r21 ... t3``: microseconds, lens in shares of width and height, OpenCV
world-to-camera in three rows of four.
"""

from __future__ import annotations

import numpy as np

from ..camera import DEFAULT_FPS, Intrinsics
from ..errors import EX4DError
from .cameras import Cameras, Format, Hints, lenses_of, row_of_numbers, text_of


def read(data: bytes, hints: Hints) -> Cameras:
    """Reads every pose line; the title line may be missing."""
    lines = [(n, line.split()) for n, line in enumerate(text_of(data).splitlines(), 1) if line.strip()]
    if lines and len(lines[0][1]) != 19:
        lines = lines[1:]
    if not lines:
        raise EX4DError("this is not a RealEstate10K camera file: it has no line of 19 numbers.")
    for number, words in lines:
        if len(words) != 19:
            raise EX4DError(f"line {number} has {len(words)} values; RealEstate10K cameras have 19 a frame.")
    rows = np.array([row_of_numbers(words, number) for number, words in lines])
    if (rows[:, 1:3] <= 0).any():
        raise EX4DError(
            f"line {lines[int(np.argmax((rows[:, 1:3] <= 0).any(axis=1)))][0]} has a focal length of 0 or less."
        )
    poses = np.tile(np.eye(4), (len(rows), 1, 1))
    poses[:, :3] = rows[:, 7:].reshape(-1, 3, 4)
    fps = _fps(rows[:, 0]) or hints.fps
    if (size := hints.image_size()) is None:
        fov = np.degrees(2 * np.arctan(0.5 / rows[:, 2]))
        return Cameras(poses, fov=fov, lens_shift=rows[:, 3:5] - 0.5, fps=fps)
    width, height = size
    lenses = (
        Intrinsics(r[1] * width, r[2] * height, r[3] * width, r[4] * height, width, height) for r in rows.tolist()
    )
    return Cameras(poses, tuple(lenses), fps=fps)


def _fps(microseconds: np.ndarray) -> float | None:
    step = float(np.median(np.diff(microseconds))) if len(microseconds) > 1 else 0.0
    return round(1e6 / step, 3) if step >= 1000 else None


def write(cameras: Cameras) -> bytes:
    """Writes a file that RealEstate10K readers and CameraCtrl take; seven decimals."""
    lines = ["EX-4D"]
    lenses, fps = lenses_of(cameras, "RealEstate10K"), cameras.fps or DEFAULT_FPS
    for i, (pose, k) in enumerate(zip(cameras.world_to_camera, lenses, strict=True)):
        lens = (k.fx / k.width, k.fy / k.height, k.cx / k.width, k.cy / k.height)
        numbers = " ".join(f"{v:.9g}" for v in (*lens, 0, 0, *pose[:3].ravel()))
        lines.append(f"{round(i * 1e6 / fps)} {numbers}")
    return ("\n".join(lines) + "\n").encode()


FORMAT = Format(
    name="re10k",
    title="RealEstate10K",
    suffixes=(".txt",),
    used_by="RealEstate10K, CameraCtrl",
    keeps="poses, lens with shift",
    read=read,
    write=write,
)
