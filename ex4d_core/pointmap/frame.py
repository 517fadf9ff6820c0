"""One frame of a point map as a file has it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import EX4DError


@dataclass(frozen=True, eq=False)
class PointFrame:
    """A point and a colour for every pixel.

    Attributes:
        points: (H, W, 3) float32 in the file's axes and unit; whatever where ``valid`` is False.
        valid: (H, W) bool, whether a pixel has a point.
        colors: (H, W, 3) uint8.
    """

    points: np.ndarray
    valid: np.ndarray
    colors: np.ndarray


def other_size(path: Path, shape: tuple[int, ...], height: int, width: int) -> EX4DError:
    """The error for a file whose pixels are not those that its note states."""
    return EX4DError(f"'{path}' holds {shape[1]}x{shape[0]} pixels, its note says {width}x{height}. Write it anew.")
