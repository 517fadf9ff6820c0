"""Two clips of one size for the eye: beside each other, wiped over each other, and where they differ, in colours."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from torch import Tensor

from ..pixels import uint8_array
from .film import LONGEST_FILM, FilmFrames, film_size, thinned
from .pictures import shrink
from .scene_file import PREVIEW_PIXELS

View = Literal["side by side", "error map", "wipe"]
VIEWS: tuple[View, ...] = get_args(View)
FULL_SCALE = 64.0
"""Levels of 255 by which two pixels differ where the error map is brightest."""
# Dark blue, violet, red, yellow, white: rising in lightness, so that it reads in grey too. Our own stops.
ERROR_STOPS = np.array(
    [
        [0.02, 0.02, 0.06],
        [0.20, 0.10, 0.42],
        [0.58, 0.15, 0.42],
        [0.91, 0.33, 0.22],
        [0.99, 0.74, 0.25],
        [1.00, 1.00, 0.92],
    ]
)
LINE = (255, 214, 92)
"""Of a wipe."""


def error_palette() -> np.ndarray:
    """(256, 3) uint8, from no difference to `FULL_SCALE` and more."""
    at = np.linspace(0, len(ERROR_STOPS) - 1, 256)
    channels = [np.interp(at, np.arange(len(ERROR_STOPS)), ERROR_STOPS[:, channel]) for channel in range(3)]
    return np.round(np.stack(channels, axis=1) * 255).astype(np.uint8)


def error_map(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Where two pictures (H, W, 3) uint8 differ: (H, W, 3) uint8, by the mean difference of the channels."""
    difference = np.abs(a.astype(np.int16) - b).mean(-1, dtype=np.float32)
    levels = np.minimum(difference * np.float32(255 / FULL_SCALE) + np.float32(0.5), 255).astype(np.uint8)
    return error_palette()[levels]


def wiped(a: np.ndarray, b: np.ndarray, share: float) -> np.ndarray:
    """``a`` left of a line at that share of the width, ``b`` right of it: (H, W, 3) uint8."""
    column = round(share * a.shape[1])
    picture = np.concatenate([a[:, :column], b[:, column:]], axis=1)
    picture[:, max(0, column - 1) : column + 1] = LINE
    return picture


def compare_film(view: View, a: Tensor, b: Tensor, pixels: int = PREVIEW_PIXELS) -> FilmFrames:
    """A film of two clips, both (T, H, W, 3), float 0..1 or uint8, of one length and size.

    Args:
        view: "side by side", "error map" (of the full pictures, beside the second) or "wipe", whose line goes there and back.
        a: the first clip.
        b: the second.
        pixels: of one picture, about.
    """
    count, rows, columns = a.shape[:3]
    width, height = film_size(columns, rows, pixels)

    def shown(number: int) -> list[np.ndarray]:
        pair = [uint8_array(clip[number]) for clip in (a, b)]
        first, second = (shrink(picture, width, height) for picture in pair)
        if view == "wipe":
            return [wiped(first, second, 0.5 - 0.4 * float(np.cos(2 * np.pi * number / max(1, count - 1))))]
        if view == "error map":
            return [shrink(error_map(*pair), width, height), second]
        return [first, second]

    return FilmFrames(shown, thinned(count, LONGEST_FILM))
