"""Depth maps in OpenEXR files, read by the Academy's own OpenEXR package (an optional dependency).

FFmpeg reads only colour channels, and OpenCV only with a switch set before it is loaded.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import EX4DError
from ..machine import extras

DEPTH_LAYER = re.compile(r"depth|(^|[._ -])z($|[._ -])", re.IGNORECASE)
"""What a layer of depth is called ("Depth.V", "ViewLayer.Depth.Z", "zdepth.R"), whatever its channels are."""
DEPTH_CHANNELS = ("Z", "depth", "V", "X", "Y", "R", "G", "B")
"""Names of a depth channel, in order of preference. In a layer of another name they are a normal or a position where two of
X, Y and Z stand together; and V to B count only in files without a Z: grey pictures."""


def read_exr(path: Path, nothing: float = np.inf) -> np.ndarray:
    """The depth channel as float32 (H, W) of the display window: of any part and layer, of any compression.

    Args:
        path: the file.
        nothing: the value where the display window holds no pixel (a cropped or partial render).

    Raises:
        EX4DError: not an EXR, cut off, without a depth channel, or the OpenEXR package is missing.
    """
    openexr: Any = extras.load("OpenEXR", f"'{path}'")
    if not path.is_file():
        raise EX4DError(f"'{path}' cannot be read: there is no such file.")
    try:
        with openexr.File(str(path), separate_channels=True) as file:
            # Of several parts each is a layer, whose name the channels may leave out.
            planes = {
                name if len(file.parts) == 1 or "." in name else f"{part.name()}.{name}": (
                    channel.pixels,
                    _windows(part),
                )
                for part in file.parts
                for name, channel in part.channels.items()
            }
    except Exception as error:  # the package raises RuntimeError and whatever else damage leads it to
        raise EX4DError(f"'{path}' is not an OpenEXR picture, or it is cut off.") from error
    if not planes or any(pixels is None for pixels, _ in planes.values()):
        raise EX4DError(f"'{path}' is not an OpenEXR picture that can be read (deep data, or it is cut off).")
    pixels, windows = planes[_depth_channel(list(planes), path)]
    return _in_display_window(np.asarray(pixels, dtype=np.float32), windows, nothing, path)


def _windows(part: Any) -> list[int]:
    """Left, top, right and bottom of the display window, ends included, then of the data window; header values die with it."""
    return [int(v) for name in ("displayWindow", "dataWindow") for corner in part.header[name] for v in corner]


def _depth_channel(names: list[str], path: Path) -> str:
    def rank(name: str) -> tuple[int, int, int]:
        layer, _, channel = name.rpartition(".")
        order = [known.casefold() for known in DEPTH_CHANNELS]
        place = order.index(channel.casefold()) if channel.casefold() in order else len(order)
        axes = {f"{layer}.{axis}".lstrip(".") for axis in ("X", "Y", "Z")}
        if place < len(order) and DEPTH_LAYER.search(layer):
            kind = 0
        elif place == len(order) or (name in axes and len(axes & set(names)) > 1):
            kind = 3
        else:
            kind = 1 if place < 2 else 2
        # Of two layers the one with the plainer name: "Depth" before "Denoising Depth".
        return kind, place if kind else 0, len(name) if kind == 0 else 0

    chosen = min(names, key=rank)
    if rank(chosen)[0] == 3:
        raise EX4DError(f"'{path}' has no depth channel; it holds {', '.join(names)}. Name the channel Z.")
    return chosen


def _in_display_window(pixels: np.ndarray, windows: list[int], nothing: float, path: Path) -> np.ndarray:
    """What the display window, the frame, shows of the pixels stored, which are those of the data window."""
    left, top, right, bottom, x, y = windows[:6]
    height, width = bottom - top + 1, right - left + 1
    if (x, y) == (left, top) and pixels.shape == (height, width):
        return pixels
    if not (0 < width <= 1 << 16 and 0 < height <= 1 << 16):
        raise EX4DError(f"'{path}' has a display window of {width}x{height} pixels. Render it again.")
    frame = np.full((height, width), nothing, np.float32)
    x, y = x - left, y - top
    target = frame[max(y, 0) : max(y + pixels.shape[0], 0), max(x, 0) : max(x + pixels.shape[1], 0)]
    rows, columns = max(-y, 0), max(-x, 0)
    target[...] = pixels[rows : rows + target.shape[0], columns : columns + target.shape[1]]
    return frame
