"""What the modules of camera formats read and write, and what they are told."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..camera import Intrinsics, UnknownLens
from ..errors import EX4DError


@dataclass(frozen=True)
class Cameras:
    """A file's content: one camera a frame.

    Attributes:
        world_to_camera: (T, 4, 4) float64, OpenCV, in the file's own world.
        intrinsics: T lenses, or None where there are none in pixels.
        fov, lens_shift: (T,) vertical degrees and (T, 2) shares of the image, where the lens is told without an image
            size; the scene's size is used then.
        fps: frames a second; None where the file does not tell it.
        document: the text of a path document, for the one format that holds it. What is read from there decides alone.
    """

    world_to_camera: np.ndarray
    intrinsics: tuple[Intrinsics, ...] | None = None
    fov: np.ndarray | None = None
    lens_shift: np.ndarray | None = None
    fps: float | None = None
    document: str | None = None


@dataclass(frozen=True)
class Hints:
    """What the caller knows beside the file's bytes.

    Attributes:
        name: the file's (or folder's) name.
        folder: where it lies; for a folder, itself.
        intrinsics, size, fps: see :meth:`ex4d_core.trajectory.Trajectory.load`.
    """

    name: str
    folder: Path
    intrinsics: Intrinsics | None = None
    size: tuple[int, int] | None = None
    fps: float | None = None

    def image_size(self) -> tuple[int, int] | None:
        """(width, height) in pixels: given, or the scene's; None where neither is known."""
        if self.size is not None:
            return self.size
        return None if self.intrinsics is None else (self.intrinsics.width, self.intrinsics.height)


@dataclass(frozen=True)
class Format:
    """A row of the table of formats (:mod:`ex4d_core.camera_io.formats`).

    Attributes:
        name: what nodes and callers call it.
        title: what people call it.
        suffixes: endings of its files' names, lower case with the dot; the first is the one to write.
        used_by: the programs that it is exchanged with.
        keeps: what of a path it holds.
        read: (the file's bytes, hints) -> cameras; None = it cannot be read.
        write: cameras -> the file's bytes; None = it cannot be written.
        write_folder: cameras -> the bytes of a folder's files, by name, in place of ``write``.
        looks_like: (the file's bytes, hints) -> whether it is this format, where several share an ending.
        is_folder: a folder of files, read whatever its name: ``read`` gets no bytes, and ``hints.folder`` is it.
        holds_document: the file is a path document, so what is written needs ``Cameras.document``.
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    used_by: str
    keeps: str
    read: Callable[[bytes, Hints], Cameras] | None = None
    write: Callable[[Cameras], bytes] | None = None
    write_folder: Callable[[Cameras], dict[str, bytes]] | None = None
    looks_like: Callable[[bytes, Hints], bool] | None = None
    is_folder: bool = False
    holds_document: bool = False


def lenses_of(cameras: Cameras, format_title: str, *, vertical_only: bool = False) -> tuple[Intrinsics, ...]:
    """The lenses to write, refused where there are none: a file with a made-up lens would show another picture.

    Args:
        cameras: what is written.
        format_title: names the format in the error.
        vertical_only: the format holds just the vertical field of view, so cameras that state it need no image size.

    Raises:
        UnknownLens: the lens is the scene's, which is not known here.
    """
    if cameras.intrinsics is not None:
        return cameras.intrinsics
    if vertical_only and cameras.fov is not None:
        shift = np.zeros((len(cameras.fov), 2)) if cameras.lens_shift is None else cameras.lens_shift
        return tuple(_square_lens(float(fov), off) for fov, off in zip(cameras.fov, shift, strict=True))
    raise UnknownLens(
        f"{format_title} files hold the lens, but this path leaves it to the scene. "
        "Give the scene's lens (or a width, height and field of view to the path), or save it as .json."
    )


def _square_lens(fov: float, shift: np.ndarray) -> Intrinsics:
    """A lens on a square image, for formats in which the image's size does not matter."""
    side = 512
    k = Intrinsics.from_fov(fov, side, side)
    return Intrinsics(k.fx, k.fy, k.cx + float(shift[0]) * side, k.cy + float(shift[1]) * side, side, side)


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
