"""What the readers of camera files hand over, and what they are told."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..camera import Intrinsics
from ..errors import EX4DError
from ..trajectory import Trajectory, evaluate_document


@dataclass(frozen=True)
class Cameras:
    """A file's content.

    Attributes:
        world_to_camera: (T, 4, 4), OpenCV, in the file's own world.
        intrinsics: T lenses, or None where the file has none in pixels.
        fov, lens_shift: (T,) vertical degrees and (T, 2) shares of the image, for formats that tell the lens without
            an image size; the scene's size is used then.
        fps: frames a second, or None.
        document: the path document for our own JSON, which then decides alone.
    """

    world_to_camera: np.ndarray
    intrinsics: tuple[Intrinsics, ...] | None = None
    fov: np.ndarray | None = None
    lens_shift: np.ndarray | None = None
    fps: float | None = None
    document: dict[str, Any] | None = None


@dataclass(frozen=True)
class Hints:
    """What the caller knows beside the file's bytes; see :func:`ex4d_core.camera_io.load_camera`."""

    name: str
    folder: Path
    intrinsics: Intrinsics | None = None
    size: tuple[int, int] | None = None
    fps: float | None = None
    radius: float | None = None

    def image_size(self) -> tuple[int, int] | None:
        """(width, height) in pixels: given, or the scene's; None where neither is known."""
        if self.size is not None:
            return self.size
        return None if self.intrinsics is None else (self.intrinsics.width, self.intrinsics.height)


@dataclass(frozen=True)
class Format:
    """A row of the table of formats."""

    title: str
    suffix: str
    read: Callable[[bytes, Hints], Cameras]
    write: Callable[[Trajectory], bytes]


def lenses_of(trajectory: Trajectory, format_title: str, *, vertical_only: bool = False) -> tuple[Intrinsics, ...]:
    """The path's lenses, refused where it has none: a file with a made-up lens would show another picture.

    Args:
        vertical_only: the format holds just the vertical field of view, so a path that states it needs no image size.
    """
    if trajectory.intrinsics is not None:
        return trajectory.intrinsics
    if vertical_only and trajectory.path is not None and evaluate_document(trajectory.path).fov is not None:
        lenses = trajectory.for_scene(Intrinsics.default(512, 512)).intrinsics
        if lenses is not None:
            return lenses
    raise EX4DError(
        f"{format_title} files hold the lens, but this path leaves it to the scene. "
        "Connect the mesh (or give the path a width, height and field of view), or save it as .json."
    )


def check_plain_lens(lenses: tuple[Intrinsics, ...], format_title: str) -> None:
    """Refuses lens shift and pixels that are not square, for formats that know neither."""
    for i, k in enumerate(lenses):
        centred = abs(k.cx - k.width / 2) <= 0.01 and abs(k.cy - k.height / 2) <= 0.01
        if not centred or abs(k.fx - k.fy) > 1e-3 * k.fy:
            raise EX4DError(
                f"{format_title} files cannot hold the lens of frame {i}: they know no lens shift and only square "
                "pixels. Save the path as .json, .npz or .txt instead."
            )


def text_of(data: bytes) -> str:
    """Decodes a text file, refusing binary ones."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise EX4DError("this is not a text file.")
    return text


def row_of_numbers(words: list[str], line: int) -> list[float]:
    """A line of finite numbers."""
    try:
        values = [float(word) for word in words]
    except ValueError:
        raise EX4DError(f"line {line} holds something that is not a number: {' '.join(words)[:60]!r}.") from None
    if not all(math.isfinite(v) for v in values):
        raise EX4DError(f"line {line} holds NaN or infinity.")
    return values
