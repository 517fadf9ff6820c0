"""The cameras in a script that this pack wrote: JSON behind a mark, read back without running anything."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from ..errors import EX4DError
from .cameras import text_of


def shot_in(data: bytes, mark: str, program: str) -> dict[str, Any]:
    """The object of a script.

    Args:
        data: the script.
        mark: what stands right before the JSON.
        program: names it in the error.

    Raises:
        EX4DError: the script was not written by this pack, or was changed.
    """
    text = text_of(data)
    try:
        shot, _ = json.JSONDecoder().raw_decode(text, text.index(mark) + len(mark))
    except (ValueError, RecursionError):
        shot = None
    if not isinstance(shot, dict):
        raise EX4DError(
            f"this is no {program} script of EX-4D, or its camera was changed: only those are read, without being run. Export "
            "the camera as .chan, .nk, .usda, .gltf or .glb."
        )
    return shot


def columns(shot: dict[str, Any], name: str, count: int, frames: int | None = None) -> np.ndarray:
    """(T, count) numbers of a field; one number a frame where count is 1.

    Raises:
        EX4DError: they are missing, of another shape or not finite.
    """
    try:
        values = np.array(shot.get(name), np.float64).reshape(-1, count)
    except (TypeError, ValueError, OverflowError):
        values = np.empty((0, count))
    if not len(values) or not np.isfinite(values).all() or (frames is not None and len(values) != frames):
        raise EX4DError(
            f"{name} of this script does not hold {count} finite numbers for each frame. Write the file again."
        )
    return values


def picture(shot: dict[str, Any]) -> tuple[int, int]:
    """(width, height) in pixels.

    Raises:
        EX4DError: there is none.
    """
    width, height = shot.get("width"), shot.get("height")
    if not all(isinstance(side, int) and 0 < side <= 1 << 20 for side in (width, height)):
        raise EX4DError(f"the picture of this script is {width!r} x {height!r} pixels. Write the file again.")
    assert isinstance(width, int) and isinstance(height, int)
    return width, height
