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
from ..trajectory import Trajectory

GUESSED_HEIGHT = 512


@dataclass(frozen=True)
class Cameras:
    """A file's content.

    Attributes:
        world_to_camera: (T, 4, 4), OpenCV, in the file's own world.
        intrinsics: T lenses, or None where the file has none.
        fps: frames a second, or None.
        document: the path document for our own JSON, which then decides alone.
    """

    world_to_camera: np.ndarray
    intrinsics: tuple[Intrinsics, ...] | None = None
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

    def image_size(self, aspect: float | None = None) -> tuple[int, int]:
        """(width, height) in pixels: given, the scene's, or a guess from the aspect ratio width / height."""
        if self.size is not None:
            return self.size
        if self.intrinsics is not None:
            return self.intrinsics.width, self.intrinsics.height
        usable = aspect is not None and math.isfinite(aspect) and 0.05 < aspect < 20
        return (round(GUESSED_HEIGHT * aspect) if usable and aspect else GUESSED_HEIGHT), GUESSED_HEIGHT


@dataclass(frozen=True)
class Format:
    """A row of the table of formats."""

    title: str
    suffix: str
    read: Callable[[bytes, Hints], Cameras]
    write: Callable[[Trajectory], bytes]


def lenses_of(trajectory: Trajectory, format_title: str) -> tuple[Intrinsics, ...]:
    """The path's lenses, refused where it has none: a file with a made-up lens would show another picture."""
    if trajectory.intrinsics is None:
        raise EX4DError(
            f"{format_title} files hold the lens, but this path leaves it to the scene. "
            "Connect the mesh (or give the path a width, height and field of view), or save it as .json."
        )
    return trajectory.intrinsics


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
