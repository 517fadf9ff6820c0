"""Points of a frame as OpenEXR: the picture (R, G, B in linear light, A 1 where there is a point) and a position pass (P.X, P.Y,
P.Z), as compositors read it. Needs the Academy's OpenEXR package, an optional dependency.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import EX4DError
from ..machine import extras
from .frame import PointFrame, other_size
from .note import BEGINNING, Note, parse_note

ATTRIBUTE = "ex4dPoints"
COLORS, AXES = ("R", "G", "B"), ("P.X", "P.Y", "P.Z")


def linear_of(colors: np.ndarray) -> np.ndarray:
    """Linear light 0..1 of sRGB bytes; float32. Source: IEC 61966-2-1."""
    shares = np.arange(256) / 255
    table = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    return table.astype(np.float32)[colors]


def srgb_of(linear: np.ndarray) -> np.ndarray:
    """sRGB bytes of linear light; what is no number becomes 0."""
    light = np.clip(np.nan_to_num(linear.astype(np.float32)), 0, 1)
    shares = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return (shares * 255 + 0.5).astype(np.uint8)


def write_frame(path: Path, frame: PointFrame, note: Note) -> None:
    """Write a frame under the very name given."""
    openexr: Any = extras.load("OpenEXR", "Writing points as exr")
    light = linear_of(frame.colors).astype(np.float16)
    channels = {name: np.ascontiguousarray(light[..., n]) for n, name in enumerate(COLORS)}
    channels["A"] = frame.valid.astype(np.float16)
    points = np.where(frame.valid[..., None], frame.points, np.float32(0))
    channels |= {name: np.ascontiguousarray(points[..., n]) for n, name in enumerate(AXES)}
    header = {"compression": openexr.ZIP_COMPRESSION, "type": openexr.scanlineimage, ATTRIBUTE: note.line()}
    with openexr.File(header, channels) as file:
        file.write(str(path))


def read_note(path: Path) -> Note | None:
    """What a file says of itself; None where it is of another program.

    Raises:
        EX4DError: no OpenEXR picture.
    """
    openexr: Any = extras.load("OpenEXR", f"'{path}'")
    try:
        with openexr.File(str(path), header_only=True) as file:
            line = file.header().get(ATTRIBUTE)
    except Exception as error:  # the package raises RuntimeError and whatever else damage leads it to
        raise EX4DError(f"'{path}' is not an OpenEXR picture, or it is cut off.") from error
    return parse_note(line, path) if isinstance(line, str) and line.startswith(BEGINNING) else None


def read_frame(path: Path, note: Note) -> PointFrame:
    """Read a frame.

    Raises:
        EX4DError: cut off, without one of the channels, or of another size than its note says.
    """
    openexr: Any = extras.load("OpenEXR", f"'{path}'")
    try:
        with openexr.File(str(path), separate_channels=True) as file:
            planes = [np.array(file.channels()[name].pixels) for name in (*COLORS, "A", *AXES)]
    except KeyError as error:
        raise EX4DError(f"'{path}' has no channel {error}; points need {', '.join((*COLORS, 'A', *AXES))}.") from error
    except Exception as error:
        raise EX4DError(f"'{path}' is not an OpenEXR picture, or it is cut off.") from error
    for plane in planes:
        if plane.shape != (note.height, note.width) or plane.dtype.kind not in "fu":
            raise other_size(path, (*plane.shape, 0, 0), note.height, note.width)
    red, green, blue, alpha, *points = planes
    with np.errstate(over="ignore", invalid="ignore"):
        return PointFrame(
            np.stack(points, -1).astype(np.float32), alpha > 0.5, srgb_of(np.stack([red, green, blue], -1))
        )
