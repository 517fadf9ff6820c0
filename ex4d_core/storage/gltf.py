"""The container of glTF 2.0: JSON with its data inside or beside it (.gltf), or both in one binary file (.glb).

Taken apart by :func:`parse` and :class:`Buffers`, put together by :class:`Packer`, :func:`gltf_bytes`, :func:`glb_bytes`
and :func:`write_glb`. What the JSON says of cameras and meshes is the business of whoever reads or writes those.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote

import numpy as np

from ..errors import EX4DError

GLB_MAGIC, JSON_CHUNK, BIN_CHUNK = 0x46546C67, 0x4E4F534A, 0x004E4942
COMPONENTS = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
"""Data types of accessors by the numbers that glTF (and OpenGL) give them."""
NUMBERS = {np.dtype(name): number for number, name in COMPONENTS.items()}
VERTICES, INDICES = 34962, 34963
"""What a buffer view is used as, where it is drawn."""
LARGEST_GLB = 2**32 - 2**24
"""Bytes of data in a .glb, whose lengths have 32 bits; the rest is left to the JSON."""
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
"""Numbers in one element of an accessor."""


@contextmanager
def complete_file() -> Iterator[None]:
    """Turns whatever goes wrong while foreign JSON is followed into one sentence about the file.

    Raises:
        EX4DError: an index that leads nowhere, a value of another kind, a missing field.
    """
    try:
        yield
    except EX4DError:
        raise
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RecursionError, struct.error):
        raise EX4DError("this is not a complete glTF 2.0 file. Export it again as .gltf or .glb.") from None


def parse(data: bytes) -> tuple[dict[str, Any], bytes | None]:
    """A file's JSON and, for .glb, its binary chunk.

    Args:
        data: the file's bytes; the first four tell the kind.

    Raises:
        EX4DError: another version, a file that is cut off, or no glTF at all.
    """
    with complete_file():
        text, binary = _chunks(data) if data[:4] == b"glTF" else (data, None)
        document = json.loads(text)
        if not isinstance(document, dict) or not str(document.get("asset", {}).get("version", "")).startswith("2"):
            raise EX4DError("this is not a glTF 2.0 file.")
    return document, binary


def _chunks(data: bytes) -> tuple[bytes, bytes | None]:
    _, version, length = struct.unpack_from("<III", data)
    if version != 2 or length > len(data):
        raise EX4DError("this .glb is cut off or of another version than 2. Export it again.")
    text, binary, offset = b"", None, 12
    while offset + 8 <= length:
        size, kind = struct.unpack_from("<II", data, offset)
        chunk = data[offset + 8 : offset + 8 + size]
        if kind == JSON_CHUNK:
            text = chunk
        elif kind == BIN_CHUNK:
            binary = chunk
        offset += 8 + size
    return text, binary


class Buffers:
    """A document's accessors as arrays; every buffer is loaded once, when it is first needed.

    Args:
        document: the JSON.
        binary: the chunk of a .glb, None for a .gltf.
        folder: where data beside a .gltf lies; nothing outside it is read.
    """

    def __init__(self, document: dict[str, Any], binary: bytes | None, folder: Path) -> None:
        self._document, self._binary, self._folder = document, binary, folder
        self._loaded: dict[int, bytes] = {}

    def accessor(self, index: int) -> np.ndarray:
        """(count, width) float64 values; normalised integers become -1..1 or 0..1.

        Raises:
            EX4DError: sparse, missing or cut-off data.
        """
        accessor = self._document["accessors"][index]
        if "sparse" in accessor or "bufferView" not in accessor:
            raise EX4DError("this glTF file uses sparse accessors. Export the animation without compression.")
        view = self._document["bufferViews"][accessor["bufferView"]]
        dtype, width = np.dtype(COMPONENTS[accessor["componentType"]]), WIDTHS[accessor["type"]]
        stride = view.get("byteStride", dtype.itemsize * width)
        start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
        data, count = self._buffer(view["buffer"]), accessor["count"]
        if stride < dtype.itemsize * width:
            raise EX4DError("this glTF file's values overlap (byteStride). Export it again.")
        if count < 1 or start < 0 or start + stride * (count - 1) + dtype.itemsize * width > len(data):
            raise EX4DError("this glTF file's data is cut off. Export it again.")
        rows = np.ndarray((count, width), dtype, data, start, (stride, dtype.itemsize)).astype(np.float64)
        if dtype.kind in "iu" and accessor.get("normalized"):
            rows = np.maximum(rows / np.iinfo(dtype).max, -1.0)
        return rows

    def view(self, index: int) -> bytes:
        """A buffer view's bytes, such as a picture's file.

        Raises:
            EX4DError: missing or cut-off data.
        """
        view = self._document["bufferViews"][index]
        start, length = view.get("byteOffset", 0), view["byteLength"]
        data = self._buffer(view["buffer"])
        if start < 0 or length < 0 or start + length > len(data):
            raise EX4DError("this glTF file's data is cut off. Export it again.")
        return data[start : start + length]

    def _buffer(self, index: int) -> bytes:
        if index not in self._loaded:
            self._loaded[index] = self._load(self._document["buffers"][index].get("uri"))
        return self._loaded[index]

    def _load(self, uri: str | None) -> bytes:
        if uri is None:
            if self._binary is None:
                raise EX4DError("this glTF file's data is missing.")
            return self._binary
        if uri.startswith("data:"):
            try:
                return base64.b64decode(uri.split(",", 1)[1], validate=True)
            except binascii.Error:
                raise EX4DError("this glTF file's embedded data is damaged. Export it again.") from None
        name = unquote(uri)
        if "/" in name or "\\" in name or ":" in name or name.startswith("."):
            raise EX4DError(f"this glTF file points to {uri[:60]!r} outside its folder. Export it as .glb instead.")
        try:
            return (self._folder / name).read_bytes()
        except OSError:
            raise EX4DError(f"this glTF file needs {uri[:60]!r} beside it. Export it as .glb instead.") from None


class Packer:
    """Lays arrays and files into one buffer and describes them, for :func:`gltf_bytes`, :func:`glb_bytes` and :func:`write_glb`.

    Attributes:
        views, accessors: what the document says of the data.
        pieces: the buffer, in order; kept apart so that a large one is never in memory twice.
        length: bytes of all pieces.
    """

    def __init__(self) -> None:
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []
        self.pieces: list[bytes | memoryview] = []
        self.length = 0

    @property
    def binary(self) -> bytes:
        """All that was added."""
        return b"".join(self.pieces)

    def add(self, values: np.ndarray, kind: str, target: int | None = None) -> int:
        """Appends an array, with its bounds. It is not copied: nothing may change it before it is written.

        Args:
            values: (count, width), count >= 1, of a type in :data:`COMPONENTS`.
            kind: "SCALAR", "VEC3" and so on, see :data:`WIDTHS`.
            target: :data:`VERTICES` or :data:`INDICES` for what is drawn.

        Returns:
            The number of its accessor.
        """
        values = np.ascontiguousarray(values)
        accessor = {"bufferView": self._view(values.data.cast("B"), target), "componentType": NUMBERS[values.dtype]}
        accessor |= {"count": len(values), "type": kind}
        accessor |= {"min": values.min(axis=0).tolist(), "max": values.max(axis=0).tolist()}
        self.accessors.append(accessor)
        return len(self.accessors) - 1

    def add_file(self, data: bytes) -> int:
        """Appends a file, such as a picture.

        Returns:
            The number of its buffer view.
        """
        return self._view(data)

    def _view(self, data: bytes | memoryview, target: int | None = None) -> int:
        padding = -self.length % 4  # accessors begin at whole multiples of their numbers' size
        view = {"buffer": 0, "byteOffset": self.length + padding, "byteLength": len(data)}
        if target is not None:
            view["target"] = target
        self.views.append(view)
        self.pieces += [bytes(padding), data]
        self.length += padding + len(data)
        return len(self.views) - 1

    def described(self) -> dict[str, Any]:
        """The document's fields that describe what was added."""
        fields = {"accessors": self.accessors, "bufferViews": self.views, "buffers": [{"byteLength": self.length}]}
        return {name: value for name, value in fields.items() if self.length}


def gltf_bytes(document: dict[str, Any], binary: bytes) -> bytes:
    """A .gltf file: JSON text, its one buffer inside as base64."""
    uri = "data:application/octet-stream;base64," + base64.b64encode(binary).decode()
    document = {**document, "buffers": [{**document["buffers"][0], "uri": uri}]}
    return (json.dumps(document, indent=1) + "\n").encode()


def glb_bytes(document: dict[str, Any], binary: bytes) -> bytes:
    """A .glb file: the JSON and its one buffer as two chunks."""
    return b"".join(_glb_pieces(document, [binary], len(binary)))


def write_glb(file: BinaryIO, document: dict[str, Any], packer: Packer) -> None:
    """Writes a .glb file piece by piece.

    Args:
        file: open for writing.
        document: the JSON, without what the packer describes.
        packer: its data.

    Raises:
        EX4DError: more than the 4 GiB that the format holds.
    """
    if packer.length > LARGEST_GLB:
        raise EX4DError(
            f"A .glb holds at most 4 GiB, and this one would take {packer.length / 2**30:.1f}. Ask for fewer faces or frames."
        )
    for piece in _glb_pieces({**document, **packer.described()}, packer.pieces, packer.length):
        file.write(piece)


def _glb_pieces(
    document: dict[str, Any], pieces: Sequence[bytes | memoryview], length: int
) -> Iterator[bytes | memoryview]:
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    padded = length + -length % 4
    size = 12 + 8 + len(text) + (8 + padded if length else 0)
    yield struct.pack("<IIIII", GLB_MAGIC, 2, size, len(text), JSON_CHUNK) + text
    if length:
        yield struct.pack("<II", padded, BIN_CHUNK)
        yield from pieces
        yield bytes(padded - length)
