"""Points as pictures of 16 bits, with the ranges of their axes in a JSON beside them.

Red is x, green y, blue z: 0 where a pixel has no point, else 1 to 65535 from the clip's least coordinate to its largest. A
coordinate is off by at most half a step, 1/131068 of its range.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import EX4DError
from ..video.sources import read_picture
from .frame import PointFrame, other_size
from .note import BEGINNING, Note, parse_note

if TYPE_CHECKING:
    from av.video.stream import VideoStream

STEPS = 65534
SUFFIX = ".points.json"
LARGEST_INDEX = 1 << 16


def write_frame(path: Path, frame: PointFrame, note: Note) -> None:
    """Write a frame's points under the very name given, and its colours beside it."""
    assert note.low is not None and note.high is not None
    low, high = np.array(note.low), np.array(note.high)
    span = np.where(high > low, high - low, 1)
    levels = np.rint((frame.points.astype(np.float64) - low) / span * STEPS).clip(0, STEPS) + 1
    _write_picture(path, np.where(frame.valid[..., None], levels, 0).astype(np.uint16), "rgb48")
    _write_picture(colors_beside(path), frame.colors, "rgb24")


def colors_beside(path: Path) -> Path:
    """Where the colours of a frame are: shot.0007.png has them in shot.color.0007.png."""
    stem, number = path.stem.rsplit(".", 1)
    return path.with_name(f"{stem}.color.{number}{path.suffix}")


def _write_picture(path: Path, values: np.ndarray, kind: str) -> None:
    """(H, W, 3) as PNG, of 16 bits or of 8."""
    import av

    native, stored = ("rgb48le", "rgb48be") if kind == "rgb48" else (kind, kind)
    with open(path, "wb") as file, av.open(file, "w", format="image2pipe") as container:
        stream: VideoStream = container.add_stream("png", rate=1)
        stream.height, stream.width = values.shape[:2]
        stream.pix_fmt = stored
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(values), format=native).reformat(format=stored)
        container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def write_index(path: Path, note: Note) -> None:
    """Write what the pictures mean."""
    facts = json.loads(note.line().removeprefix(BEGINNING))
    meaning = "red x, green y, blue z: 0 no point, 1 = low, 65535 = high; y up, the camera looks along -z"
    path.write_text(json.dumps({"ex4d": "points", **facts, "pictures": meaning}, indent=1) + "\n", "utf-8")


def read_note(path: Path) -> Note | None:
    """What an index says; None where the file is another JSON.

    Raises:
        EX4DError: it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            text = file.read(LARGEST_INDEX).decode("utf-8")
        told = json.loads(text)
    except OSError as error:
        raise EX4DError(f"'{path}' cannot be read ({error.strerror}).") from error
    except (ValueError, RecursionError) as error:
        raise EX4DError(f"'{path}' is no JSON, or it is cut off.") from error
    if not isinstance(told, dict) or told.get("ex4d") != "points":
        return None
    note = parse_note(text, path)
    if note.low is None or note.high is None:
        raise EX4DError(f"'{path}' does not tell the ranges of its pictures (low, high). Write it anew.")
    return note


def read_frame(path: Path, note: Note) -> PointFrame:
    """Read a frame.

    Raises:
        EX4DError: a picture is missing, is none, or has other pixels.
    """
    levels, colors = _read_picture(path, note, "rgb48le"), _read_picture(colors_beside(path), note, "rgb24")
    low, high = np.array(note.low), np.array(note.high)
    valid = levels.min(-1) > 0
    points = (levels.astype(np.float64) - 1) / STEPS * (high - low) + low
    with np.errstate(over="ignore", invalid="ignore"):
        return PointFrame(points.astype(np.float32), valid, colors)


def _read_picture(path: Path, note: Note, kind: str) -> np.ndarray:
    if not path.is_file():
        raise EX4DError(f"There is no '{path}', a frame of the points asked for. Keep all their files in one folder.")
    frame, _ = read_picture(path)
    if (frame.height, frame.width) != (note.height, note.width):
        raise other_size(path, (frame.height, frame.width), note.height, note.width)
    if kind == "rgb48le" and not frame.format.name.startswith("rgb48"):
        raise EX4DError(f"'{path}' has {frame.format.name} pixels; points need 16 bits of red, green and blue.")
    return frame.to_ndarray(format=kind)
