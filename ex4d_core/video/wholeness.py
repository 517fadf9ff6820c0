"""Whether a file ends where its container says: what tells a film that is cut off from one whose length is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

EBML, SEGMENT, RIFF = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67", b"RIFF"
UNKNOWN_SIZES = tuple((1 << 7 * length) - 1 for length in range(1, 9))
"""What Matroska writes for elements whose length is not known yet, by the bytes of it."""


def is_whole(source: str) -> bool:
    """Whether a Matroska or AVI file holds all bytes that its outermost element announces; False where it does not say."""
    path = Path(source)
    if not path.is_file():  # what a stream is called
        return False
    with path.open("rb") as file:
        end = _matroska_end(file) or _riff_end(file)
    return end is not None and path.stat().st_size >= end


def _riff_end(file: BinaryIO) -> int | None:
    file.seek(0)
    head = file.read(8)
    size = int.from_bytes(head[4:], "little")
    return 8 + size if head[:4] == RIFF and size else None


def _matroska_end(file: BinaryIO) -> int | None:
    """Where the segment ends, by its size (RFC 8794); None where it has none, as live recordings have not."""
    file.seek(0)
    if file.read(4) != EBML:
        return None
    file.seek(_size(file) or 0, 1)
    if file.read(4) != SEGMENT:
        return None
    size = _size(file)
    return None if size is None else file.tell() + size


def _size(file: BinaryIO) -> int | None:
    """A number of one to eight bytes, whose length is told by the first bit that is set; None where it means unknown."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    length = 9 - first[0].bit_length()
    value = int.from_bytes(bytes([first[0] & (0xFF >> length)]) + file.read(length - 1), "big")
    return None if value == UNKNOWN_SIZES[length - 1] else value
