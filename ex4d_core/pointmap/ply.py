"""Points of a frame as PLY: pixels without a point are left out, so each vertex says by its row and column where it belongs.

A pixel without a point comes back black.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import EX4DError
from ..storage.ply import COLORED, colored_vertices, read_header, read_ply, write_ply
from .frame import PointFrame
from .note import BEGINNING, Note, parse_note

VERTEX = np.dtype([*((name, COLORED[name]) for name in COLORED.names or ()), ("row", "<u2"), ("column", "<u2")])
AXES = "y up, the camera looks along -z"


def write_frame(path: Path, frame: PointFrame, note: Note) -> None:
    """Write a frame under the very name given."""
    rows, columns = np.nonzero(frame.valid)
    vertices = colored_vertices(frame.points[frame.valid], frame.colors[frame.valid], VERTEX)
    vertices["row"], vertices["column"] = rows, columns
    write_ply(path, vertices, comments=[f"EX-4D; {AXES}", note.line()])


def read_note(path: Path) -> Note | None:
    """What a file says of itself; None where it is of another program."""
    lines = [line for line in read_header(path)[0] if line.startswith(BEGINNING)]
    return parse_note(lines[0], path) if lines else None


def read_frame(path: Path, note: Note) -> PointFrame:
    """Read a frame.

    Raises:
        EX4DError: vertices without a place, or one beyond the frame.
    """
    _, vertices = read_ply(path)
    if any(name not in (vertices.dtype.names or ()) for name in VERTEX.names or ()):
        raise EX4DError(f"'{path}' does not say which pixel each point belongs to: it lacks row and column.")
    row, column = (vertices[name] for name in ("row", "column"))
    if not (
        (row >= 0) & (row < note.height) & (column >= 0) & (column < note.width)
    ).all():  # nor where one is no number
        raise EX4DError(f"'{path}' has a point beyond its {note.width}x{note.height} pixels. Write it anew.")
    row, column = row.astype(np.int64), column.astype(np.int64)
    valid = np.zeros((note.height, note.width), bool)
    points, colors = np.zeros((*valid.shape, 3), np.float32), np.zeros((*valid.shape, 3), np.uint8)
    valid[row, column] = True
    with np.errstate(over="ignore", invalid="ignore"):
        points[row, column] = np.stack([vertices[axis] for axis in "xyz"], -1)
        colors[row, column] = np.stack([vertices[color] for color in ("red", "green", "blue")], -1)
    return PointFrame(points, valid, colors)
