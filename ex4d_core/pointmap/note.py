"""What a file of points says of itself beside its numbers, so that it can be read back: one line of JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

import numpy as np

from ..camera import MAX_FRAMES, Y_UP, is_finite
from ..errors import EX4DError
from .clip import ASPECTS, FPS_LIMITS, SPACES, PointMap, Space

BEGINNING = "EX-4D points "
"""Of the line; the JSON follows."""
SCALES = (1e-6, 1e6)
LARGEST_SIDE = 16384


@dataclass(frozen=True)
class Note:
    """Facts about a file of points.

    Attributes:
        space: where the points stand; see :data:`ex4d_core.pointmap.Space`.
        width, height: pixels of a frame.
        frames: of the clip.
        fps: frames a second.
        pixel_aspect: see `PointMap`.
        scale: units of the file per unit of the point map.
        low, high: of whole numbers, the coordinates in the file's unit that 1 and 65535 stand for.
    """

    space: Space
    width: int
    height: int
    frames: int
    fps: float
    pixel_aspect: float
    scale: float
    low: tuple[float, float, float] | None = None
    high: tuple[float, float, float] | None = None

    @classmethod
    def of(cls, pointmap: PointMap, scale: float) -> Note:
        """Of a point map that is to be written.

        Raises:
            EX4DError: a scale that no file holds.
        """
        check_scale(scale)
        size = pointmap.width, pointmap.height
        return cls(
            pointmap.space, *size, len(pointmap), float(pointmap.fps), float(pointmap.pixel_aspect), float(scale)
        )

    def line(self) -> str:
        """The note as one line of ASCII."""
        return BEGINNING + json.dumps({name: value for name, value in asdict(self).items() if value is not None})

    def in_file(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 3) as the file has them: y up, in its unit; float32."""
        return (points.astype(np.float64) * (Y_UP * self.scale)).astype(np.float32)

    def from_file(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 3) of the file in the point map's axes and unit; float32."""
        with np.errstate(over="ignore", invalid="ignore"):  # becomes infinite: no point
            return (points.astype(np.float64) / (Y_UP * self.scale)).astype(np.float32)

    def with_range(self, low: np.ndarray, high: np.ndarray) -> Note:
        """The note of a file of whole numbers."""
        return replace(self, low=tuple(map(float, low)), high=tuple(map(float, high)))


def check_scale(scale: float) -> None:
    """Refuse a scale that no file holds.

    Raises:
        EX4DError: it lies outside 1e-6 to 1e6.
    """
    if not is_finite(scale) or not SCALES[0] <= scale <= SCALES[1]:
        raise EX4DError(f"scale must lie between {SCALES[0]:g} and {SCALES[1]:g}, got {scale}.")


def parse_note(text: str, name: object) -> Note:
    """The note of a file.

    Args:
        text: the line, its beginning included.
        name: the file's, for the error.

    Raises:
        EX4DError: damaged, or values that no file has.
    """
    try:
        values = json.loads(text.removeprefix(BEGINNING))
        width, height, frames = (_whole(values[key]) for key in ("width", "height", "frames"))
        fps, aspect, scale = (_number(values[key]) for key in ("fps", "pixel_aspect", "scale"))
        low, high = (None if values.get(end) is None else _corner(values[end]) for end in ("low", "high"))
        note = Note(values["space"], width, height, frames, fps, aspect, scale, low, high)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise EX4DError(f"'{name}' has a damaged note of what its points are. Write it anew.") from error
    whole = (2 <= note.width <= LARGEST_SIDE, 2 <= note.height <= LARGEST_SIDE, 1 <= note.frames <= MAX_FRAMES)
    numbers = ((note.fps, FPS_LIMITS), (note.pixel_aspect, ASPECTS), (note.scale, SCALES))
    fine = all(low <= value <= high for value, (low, high) in numbers)
    if not all(whole) or not fine or note.space not in SPACES:
        raise EX4DError(f"'{name}' has a damaged note of what its points are. Write it anew.")
    return note


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError
    return value


def _number(value: object) -> float:
    if not is_finite(value):
        raise TypeError
    return float(value)


def _corner(value: list[object]) -> tuple[float, float, float]:
    x, y, z = (_number(each) for each in value)
    return x, y, z
