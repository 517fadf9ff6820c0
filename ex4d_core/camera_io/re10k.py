"""RealEstate10K text, also CameraCtrl's: a title line, then one line a frame.

``timestamp fx fy cx cy 0 0  r11 r12 r13 t1  r21 ... t3``: microseconds, lens in shares of width and height, OpenCV
world-to-camera in three rows of four. The picture's size is not in it, but pixels are square, so fy / fx is its shape; ours
writes the size into the title line, for lenses whose pixels are not.
"""

from __future__ import annotations

import re

import numpy as np

from ..camera import DEFAULT_FPS, Intrinsics
from ..errors import EX4DError
from .cameras import Cameras, Format, Hints, lenses_of, row_of_numbers, text_of

TITLE = re.compile(rb"EX-4D (\d{1,5})x(\d{1,5})")
LARGEST_SIDE = 65536
LARGEST_STEP = 2.5
"""Times the usual step between two frames, above which frames are missing."""


def read(data: bytes, hints: Hints) -> Cameras:
    """Reads every pose line; the title line may be missing."""
    lines = [(n, line.split()) for n, line in enumerate(text_of(data).splitlines(), 1) if line.strip()]
    if lines and len(lines[0][1]) != 19:
        lines = lines[1:]
    if not lines:
        raise EX4DError("this is not a RealEstate10K camera file: it has no line of 19 numbers.")
    for number, words in lines:
        if len(words) != 19:
            raise EX4DError(
                f"line {number} has {len(words)} values; RealEstate10K cameras have 19 a frame, and other trajectories in text "
                "(TUM, KITTI) are not read. Export the camera as glTF, .chan or transforms.json."
            )
    rows = np.array([row_of_numbers(words, number) for number, words in lines])
    if (rows[:, 1:3] <= 0).any():
        raise EX4DError(
            f"line {lines[int(np.argmax((rows[:, 1:3] <= 0).any(axis=1)))][0]} has a focal length of 0 or less."
        )
    _check_every_frame_is_there(rows[:, 0], [number for number, _ in lines])
    poses = np.tile(np.eye(4), (len(rows), 1, 1))
    poses[:, :3] = rows[:, 7:].reshape(-1, 3, 4)
    fps = _fps(rows[:, 0]) or hints.fps
    if (size := hints.image_size()) is None:
        fov = np.degrees(2 * np.arctan(0.5 / rows[:, 2]))
        return Cameras(poses, fov=fov, lens_shift=rows[:, 3:5] - 0.5, fps=fps)
    own = TITLE.match(data)
    own_size = None if own is None else (int(own[1]), int(own[2]))
    lenses = tuple(_lens(row, own_size or _size_of_shape(row, size[1])).fitted(*size) for row in rows[:, 1:5].tolist())
    return Cameras(poses, lenses, fps=fps)


def _lens(shares: list[float], size: tuple[int, int]) -> Intrinsics:
    fx, fy, cx, cy = shares
    width, height = size
    return Intrinsics(fx * width, fy * height, cx * width, cy * height, width, height)


def _size_of_shape(shares: list[float], height: int) -> tuple[int, int]:
    """The size of the picture whose pixels are square under a lens in shares of it, as far as whole pixels tell."""
    fx, fy, _, _ = shares
    times = max(1, round(2048 / height))  # of large sizes, so that rounding does not matter
    return max(1, min(LARGEST_SIDE, round(height * times * fy / fx))), height * times


def _check_every_frame_is_there(microseconds: np.ndarray, lines: list[int]) -> None:
    """Refuses times that go back or leave a gap; a file whose times are all the same has none.

    Published files take every n-th frame of a video, rounded, so their steps differ by a frame.
    """
    step = np.diff(microseconds)
    if not step.any():
        return
    if (step <= 0).any():
        line = lines[int(np.argmax(step <= 0)) + 1]
        raise EX4DError(f"the time on line {line} is not after the one before. Sort the lines.")
    usual = float(np.median(step))
    if step.max() > LARGEST_STEP * usual:
        at = int(np.argmax(step))
        raise EX4DError(
            f"line {lines[at + 1]} is {step[at] / 1e6:g} s after the line before, while {usual / 1e6:g} s are usual in this "
            "file. Export every frame, since the file does not tell how the camera goes between them."
        )


def _fps(microseconds: np.ndarray) -> float | None:
    step = float(np.median(np.diff(microseconds))) if len(microseconds) > 1 else 0.0
    return round(1e6 / step, 3) if step >= 1000 else None


def write(cameras: Cameras) -> bytes:
    """Writes a file that RealEstate10K readers and CameraCtrl take; seven decimals."""
    lenses, fps = lenses_of(cameras, "RealEstate10K"), cameras.fps or DEFAULT_FPS
    lines = [f"EX-4D {lenses[0].width}x{lenses[0].height}"]
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
