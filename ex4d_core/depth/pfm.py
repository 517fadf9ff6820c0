"""Portable float maps, which MiDaS and stereo networks write: a few words of text, then floats, the lowest row first."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ..errors import EX4DError

HEADER = re.compile(rb"(Pf|PF)\s+(\d{1,5})\s+(\d{1,5})\s+([-+]?[0-9.eE+-]{1,20})\s")
"""Grey or colour, width, height, and a scale whose sign tells the order of bytes: below 0 the lowest first."""


def read_pfm(path: Path) -> np.ndarray:
    """The map, (H, W) float32; of colour the first channel. The scale has no agreed meaning and is left out.

    Raises:
        EX4DError: not a PFM, or cut off.
    """
    data = path.read_bytes()
    header = HEADER.match(data)
    if header is None:
        raise EX4DError(f"'{path}' is not a PFM. Export it again.")
    channels, width, height = 3 if header[1] == b"PF" else 1, int(header[2]), int(header[3])
    values = data[header.end() : header.end() + 4 * channels * width * height]
    if not values or len(values) != 4 * channels * width * height:
        raise EX4DError(f"'{path}' is cut off: it announces {width}x{height} pixels. Export it again.")
    order = "<f4" if header[4].startswith(b"-") else ">f4"
    return np.frombuffer(values, order).reshape(height, width, channels)[::-1, :, 0].astype(np.float32)
