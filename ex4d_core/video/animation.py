"""Animated WebP, which FFmpeg does not decode: read by Pillow, picture by picture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np

from ..errors import EX4DError
from .sampling import output_length
from .source import FileSource, TimedFrame, TimedFrames, VideoInfo, check_picture_size, source_name
from .timeline import Timeline

if TYPE_CHECKING:
    from PIL.Image import Image

HEADER = 21
ANIMATED_BIT = 0x02
"""In the flags of the extended header, the byte after its length (WebP container specification)."""
TICK = Fraction(1, 1000)
UNTIMED = 100
"""Milliseconds for which browsers show a picture that says 10 or less."""


def is_animated_webp(source: FileSource) -> bool:
    """Whether a file or stream holds an animated WebP, by its first bytes."""
    try:
        if isinstance(source, (str, PathLike)):
            with open(source, "rb") as file:
                head = file.read(HEADER)
        else:
            head = source.read(HEADER)
            source.seek(0)
    except OSError:
        return False  # told by whoever opens it next
    return head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and len(head) == HEADER and bool(head[20] & ANIMATED_BIT)


@contextmanager
def open_animation(source: FileSource) -> Iterator[tuple[VideoInfo, TimedFrames]]:
    """An animation's facts and its pictures, decoded as they are asked for; transparency is left out, as everywhere.

    Raises:
        EX4DError: damaged or cut off.
    """
    from PIL import Image

    path = source_name(source)
    try:
        picture: Image = Image.open(source)
    except Exception as error:  # Pillow has no class of its own for damage
        raise EX4DError(f"'{path}' is damaged or cut off ({error}). Use an intact file.") from error
    with picture:
        # The times are those of the decoder, so every picture is decoded once before the first is given.
        stamps, last = _times(picture, path)
        timeline = Timeline(stamps, last, TICK)
        pace = timeline.pace()
        rate = pace.rate or 1 / max(pace.length, TICK)
        width, height = picture.size
        check_picture_size(width, height, path)
        info = VideoInfo(
            width,
            height,
            display_width=width,
            fps=rate,
            frames=output_length(pace.length, rate, rate),
            pictures=len(stamps),
            path=path,
        )

        def frames(begin: Fraction) -> Iterator[TimedFrame]:
            first = timeline.number(begin)
            for number in range(first, len(stamps)):
                end = stamps[number + 1] if number + 1 < len(stamps) else stamps[number] + last
                yield TimedFrame(stamps[number], end - stamps[number], number, _pixels(picture, number, path))

        yield info, frames


def _times(picture: Image, path: str) -> tuple[list[Fraction], Fraction]:
    """When each picture begins, and for how long the last is shown, in seconds."""
    stamps, time = [], 0
    shown = UNTIMED
    for number in range(getattr(picture, "n_frames", 1)):
        _pixels(picture, number, path)
        stamps.append(time * TICK)
        shown = int(picture.info.get("duration") or 0)
        shown = shown if shown > 10 else UNTIMED
        time += shown
    return stamps, shown * TICK


def _pixels(picture: Image, number: int, path: str) -> np.ndarray:
    """(H, W, 3) uint8."""
    try:
        picture.seek(number)
        return np.asarray(picture.convert("RGB"))
    except Exception as error:
        raise EX4DError(
            f"'{path}' is damaged or cut off: only {number} frames before the damage could be decoded. "
            "Ask for fewer frames or use an intact file."
        ) from error
