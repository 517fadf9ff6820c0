"""Depth maps in OpenEXR files, read by the Academy's own OpenEXR package (an optional dependency).

FFmpeg reads only colour channels, and OpenCV only with a switch set before it is loaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import EX4DError
from ..machine import extras

WANTED = ("Z", "depth", "Depth", "Y", "R", "V", "G", "B")
"""Names of a depth channel, in order of preference; a layer's prefix ("view.Z") does not matter."""


def read_exr(path: Path) -> np.ndarray:
    """The depth channel as float32 (H, W): of any part and layer, of any compression.

    Raises:
        EX4DError: not an EXR, cut off, without a depth channel, or the OpenEXR package is missing.
    """
    openexr: Any = extras.load("OpenEXR", f"'{path}'")
    if not path.is_file():
        raise EX4DError(f"'{path}' cannot be read: there is no such file.")
    try:
        with openexr.File(str(path), separate_channels=True) as file:
            planes = {name: channel.pixels for part in file.parts for name, channel in part.channels.items()}
    except (RuntimeError, ValueError, TypeError, KeyError) as error:
        raise EX4DError(f"'{path}' is not an OpenEXR picture, or it is cut off.") from error
    if not planes or any(pixels is None for pixels in planes.values()):
        raise EX4DError(f"'{path}' is not an OpenEXR picture that can be read (deep data, or it is cut off).")
    return np.asarray(planes[_depth_channel(list(planes), path)], dtype=np.float32)


def _depth_channel(names: list[str], path: Path) -> str:
    for wanted in WANTED:
        for name in names:
            if name.rsplit(".", 1)[-1] == wanted:
                return name
    raise EX4DError(f"'{path}' has no depth channel; it holds {', '.join(names)}. Name the channel Z.")
