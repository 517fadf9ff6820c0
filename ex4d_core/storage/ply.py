"""PLY files, binary little-endian: vertices with any numbers, and triangles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import EX4DError

COLORED = np.dtype([(name, "<f4") for name in ("x", "y", "z")] + [(name, "u1") for name in ("red", "green", "blue")])
"""What every program reads of a vertex."""
FACE = np.dtype([("count", "u1"), ("index", "<i4", 3)])
TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "<i2", "int16": "<i2", "ushort": "<u2",
    "uint16": "<u2", "int": "<i4", "int32": "<i4", "uint": "<u4", "uint32": "<u4", "float": "<f4", "float32": "<f4",
    "double": "<f8", "float64": "<f8",
}  # fmt: skip
"""Of numbers, by all their names; the first of each type is written."""
LONGEST_HEADER = 1 << 16


def colored_vertices(positions: np.ndarray, colors: np.ndarray, dtype: np.dtype = COLORED) -> np.ndarray:
    """Rows of a vertex table.

    Args:
        positions: (N, 3).
        colors: (N, 3) uint8.
        dtype: `COLORED`, or one with more fields, which are left to the caller.
    """
    rows = np.zeros(len(positions), dtype)
    for n, (axis, color) in enumerate(zip("xyz", ("red", "green", "blue"), strict=True)):
        rows[axis], rows[color] = positions[:, n], colors[:, n]
    return rows


def write_ply(path: Path, vertices: np.ndarray, faces: np.ndarray | None = None, *, comments: Sequence[str]) -> None:
    """Write a file under the very name given.

    Args:
        path: target.
        vertices: (N,) with named fields of numbers.
        faces: (F, 3) indices; None for points alone.
        comments: lines of ASCII, told in the header.
    """
    names = {np.dtype(code): name for name, code in reversed(TYPES.items())}
    fields = vertices.dtype.fields or {}
    lines = ["ply", "format binary_little_endian 1.0", *(f"comment {text}" for text in comments)]
    lines.append(f"element vertex {len(vertices)}")
    lines += [f"property {names[dtype]} {name}" for name, (dtype, *_) in fields.items()]
    if faces is not None:
        lines += [f"element face {len(faces)}", "property list uchar int vertex_indices"]
    with open(path, "wb") as file:
        file.write(("\n".join([*lines, "end_header"]) + "\n").encode("ascii"))
        file.write(np.ascontiguousarray(vertices).data)
        if faces is not None:
            rows = np.empty(len(faces), FACE)
            rows["count"], rows["index"] = 3, faces
            file.write(rows.data)


def read_header(path: Path) -> tuple[list[str], np.dtype, int, int]:
    """Comments, a vertex' fields, how many there are, and the byte at which they begin.

    Raises:
        EX4DError: no PLY file, another encoding than binary little-endian, vertices that do not come first or hold lists, or
            fewer of them than the header says.
    """
    try:
        with open(path, "rb") as file:
            head, end, _ = file.read(LONGEST_HEADER).partition(b"end_header\n")
        size = path.stat().st_size
    except OSError as error:
        raise EX4DError(f"'{path}' cannot be read ({error.strerror}).") from error
    lines = [line.strip() for line in head.decode("latin-1").split("\n")]
    if not end or lines[0] != "ply":
        raise EX4DError(f"'{path}' is no PLY file, or it is cut off.")
    if "format binary_little_endian 1.0" not in lines:
        raise EX4DError(f"'{path}' is a PLY file in another encoding; expected binary, little-endian. Save it as that.")
    dtype, count = _vertices(path, lines)
    start = len(head) + len(end)
    if start + count * dtype.itemsize > size:
        raise EX4DError(f"'{path}' is cut off: it holds fewer than {count} vertices.")
    return [line[8:] for line in lines if line.startswith("comment ")], dtype, count, start


def _vertices(path: Path, lines: list[str]) -> tuple[np.dtype, int]:
    """The fields of a vertex and their count, from a header's lines."""
    elements = [n for n, line in enumerate(lines) if line.startswith("element ")]
    first = lines[elements[0]].split() if elements else []
    if len(first) != 3 or first[1] != "vertex" or not first[2].isdecimal() or len(first[2]) > 12:
        raise EX4DError(f"'{path}' is a PLY file that does not begin with its vertices.")
    part = lines[elements[0] + 1 : elements[1] if len(elements) > 1 else None]
    words = [line.split() for line in part if line.startswith("property ")]
    if any(len(word) != 3 or word[1] not in TYPES for word in words):
        raise EX4DError(f"'{path}' is a PLY file whose vertices hold something other than numbers.")
    fields = [(word[2], TYPES[word[1]]) for word in words]
    if not fields or len({name for name, _ in fields}) < len(fields):
        raise EX4DError(f"'{path}' is a PLY file whose vertices have no fields, or two of one name.")
    return np.dtype(fields), int(first[2])


def read_ply(path: Path) -> tuple[list[str], np.ndarray]:
    """Comments and vertices (N,) with named fields; what follows them is left alone.

    Raises:
        EX4DError: see `read_header`.
    """
    comments, dtype, count, start = read_header(path)
    return comments, np.fromfile(path, dtype, count, offset=start)
