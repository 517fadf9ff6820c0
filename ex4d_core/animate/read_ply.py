"""PLY files with faces, in text or either byte order."""

from __future__ import annotations

import numpy as np

from ..errors import EX4DError
from ..storage.ply import TYPES
from .meshes import TriangleMesh

BROKEN = "this PLY file is damaged or cut off. Export it again."
ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}


def read_ply_mesh(data: bytes) -> TriangleMesh:
    """The vertices and faces of a PLY file; polygons become fans of triangles.

    Args:
        data: the file's bytes.

    Raises:
        EX4DError: no PLY file, one without vertices or faces, or a damaged one.
    """
    if not data.startswith(b"ply"):
        raise EX4DError("this is no PLY file.")
    head, mark, body = data.partition(b"end_header")
    elements, order = _header(head.decode("latin-1"))
    if not mark:
        raise EX4DError(BROKEN)
    body = body[body.find(b"\n") + 1 :]
    try:
        return _mesh(_text(body, elements) if not order else _binary(body, elements, order))
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError, MemoryError) as error:
        raise error if isinstance(error, EX4DError) else EX4DError(BROKEN) from None


Element = tuple[str, int, list[tuple[str, str, str]]]
"""Name, count, and properties: name, type, and type of the list's length or "" where it is no list."""


def _header(text: str) -> tuple[list[Element], str]:
    elements: list[Element] = []
    order = None
    try:
        for line in text.splitlines():
            words = line.split()
            if words[:1] == ["format"]:
                order = ORDERS[words[1]]
            elif words[:1] == ["element"]:
                elements.append((words[1], int(words[2]), []))
            elif words[:1] == ["property"]:
                length = words[2] if words[1] == "list" else ""
                kind, name = words[-2:]
                elements[-1][2].append((name, TYPES[kind].lstrip("<"), length and TYPES[length].lstrip("<")))
    except (LookupError, ValueError):
        raise EX4DError(BROKEN) from None
    if order is None or any(count < 0 for _, count, _ in elements):
        raise EX4DError(BROKEN)
    return elements, order


def _binary(body: bytes, elements: list[Element], order: str) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = {}
    offset = 0
    for name, count, properties in elements:
        if not any(length for _, _, length in properties):
            kind = np.dtype([(each, order + code) for each, code, _ in properties])
            rows = np.frombuffer(body, kind, count, offset)
            offset += count * kind.itemsize
            found[name] = {each: rows[each] for each, _, _ in properties}
        else:
            found[name], offset = _lists(body, count, properties, order, offset)
    return found


def _lists(
    body: bytes, count: int, properties: list[tuple[str, str, str]], order: str, offset: int
) -> tuple[dict[str, object], int]:
    """Rows that hold lists; at once where each list is as long as the first row's."""
    if count > len(body):
        raise EX4DError(BROKEN)
    fields, start = [], offset
    for name, code, length in properties:
        if length:
            size = int(np.frombuffer(body, order + length, 1, start)[0])
            fields += [(f"{name} length", order + length), (name, order + code, (max(size, 0),))]
        else:
            fields.append((name, order + code))
        start = offset + np.dtype(fields).itemsize
    kind = np.dtype(fields)
    if offset + count * kind.itemsize <= len(body):
        rows = np.frombuffer(body, kind, count, offset)
        if all((rows[f"{name} length"] == rows[name].shape[1]).all() for name, _, length in properties if length):
            return {name: list(rows[name]) for name, _, _ in properties}, offset + count * kind.itemsize
    result: dict[str, list] = {name: [] for name, _, _ in properties}
    for _ in range(count):
        for name, code, length in properties:
            size = 1
            if length:
                size = int(np.frombuffer(body, order + length, 1, offset)[0])
                offset += np.dtype(length).itemsize
            values = np.frombuffer(body, order + code, size, offset)
            offset += size * np.dtype(code).itemsize
            result[name].append(values)
    return dict(result), offset


def _text(body: bytes, elements: list[Element]) -> dict[str, dict[str, object]]:
    lines = iter(body.decode("latin-1").splitlines())
    found: dict[str, dict[str, object]] = {}
    for name, count, properties in elements:
        columns: dict[str, list] = {each: [] for each, _, _ in properties}
        for _ in range(count):
            words = next(lines, "").split()
            for each, _, length in properties:
                size = int(words.pop(0)) if length else 1
                values = [float(word) for word in words[:size]]
                if len(values) < size:
                    raise EX4DError(BROKEN)
                del words[:size]
                columns[each].append(values if length else values[0])
        found[name] = dict(columns)
    return found


def _mesh(found: dict[str, dict[str, object]]) -> TriangleMesh:
    rows, table = found.get("vertex", {}), found.get("face", {})
    if not {"x", "y", "z"} <= rows.keys():
        raise EX4DError("this PLY file has no vertices with x, y and z.")
    polygons = table.get("vertex_indices", table.get("vertex_index", []))
    vertices = np.stack([np.asarray(rows[axis], np.float64) for axis in "xyz"], axis=1)
    colors = None
    if {"red", "green", "blue"} <= rows.keys():
        colors = np.stack([np.asarray(rows[name], np.float64) for name in ("red", "green", "blue")], axis=1)
        whole = np.asarray(rows["red"]).dtype.kind in "ui" or colors.max(initial=0) > 1
        colors = colors / 255 if whole else colors
    return TriangleMesh(vertices, _fans(polygons), colors)


def _fans(polygons: object) -> np.ndarray:
    """(F, 3) triangles of lists of vertices."""
    rows = [np.asarray(row).astype(np.int64) for row in polygons]  # type: ignore[attr-defined]
    if rows and all(len(row) == 3 for row in rows):
        return np.stack(rows)
    fans = [(row[0], row[k], row[k + 1]) for row in rows for k in range(1, len(row) - 1)]
    return np.array(fans, np.int64).reshape(-1, 3)
