"""What tells a player that an MP4 is a panorama, or two eyes in one frame: boxes st3d and sv3d in the video's sample entry.

Source: Google, "Spherical Video V2 RFC" (github.com/google/spatial-media), and ISO/IEC 14496-12 for the boxes around them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, get_args

from ..errors import EX4DError

View = Literal["360", "180", "flat"]
VIEWS: tuple[View, ...] = get_args(View)
"""Equirectangular, the whole turn or what lies ahead; or an ordinary picture."""
Eyes = Literal["mono", "side by side", "over under"]
EYES: tuple[Eyes, ...] = get_args(Eyes)
STEREO_MODES: dict[Eyes, int] = {"mono": 0, "over under": 1, "side by side": 2}
SOURCE = b"ComfyUI-EX4D"
"""What made the file, as the header of its projection says."""
QUARTER = 2**30
"""Of a picture's side, as a fraction of 32 bits: what 180 leaves out on the left and on the right."""
PIECE = 2**22
"""Bytes moved at a time."""
VISUAL_ENTRY = 78
"""Bytes of a visual sample entry between its header and its boxes."""
HOLDERS = (b"mdia", b"minf", b"stbl")


@dataclass(frozen=True)
class Spherical:
    """What a video's frames are.

    Attributes:
        view: "360", "180" or "flat".
        eyes: how two eyes lie in a frame, the left one first; "mono" = one.

    Raises:
        EX4DError: an unknown choice.
    """

    view: View = "360"
    eyes: Eyes = "mono"

    def __post_init__(self) -> None:
        for name, value, choices in (("view", self.view, VIEWS), ("eyes", self.eyes, EYES)):
            if value not in choices:
                raise EX4DError(f"{name} is one of {', '.join(choices)}; got {value!r}.")

    def check_size(self, size: tuple[int, int]) -> None:
        """Refuse frames of another shape than players unroll.

        Raises:
            EX4DError: naming the shape.
        """
        across, down = {"360": (2, 1), "180": (1, 1), "flat": (0, 0)}[self.view]
        across, down = (
            across * (2 if self.eyes == "side by side" else 1),
            down * (2 if self.eyes == "over under" else 1),
        )
        width, height = size
        if width * down != height * across:
            eyes = "one eye" if self.eyes == "mono" else f"two eyes {self.eyes}"
            raise EX4DError(
                f"A {self.view} video of {eyes} has frames of {across}:{down}, got {width}x{height}. Render the panorama for it, "
                "or choose what the frames are."
            )

    def boxes(self) -> bytes:
        """What goes into the sample entry; nothing for a flat video of one eye."""
        if self.view == "flat" and self.eyes == "mono":
            return b""
        told = _box(b"st3d", struct.pack(">IB", 0, STEREO_MODES[self.eyes]))
        if self.view == "flat":
            return told
        side = QUARTER if self.view == "180" else 0
        projection = _box(b"prhd", struct.pack(">Iiii", 0, 0, 0, 0)) + _box(
            b"equi", struct.pack(">IIIII", 0, 0, 0, side, side)
        )
        header = _box(b"svhd", struct.pack(">I", 0) + SOURCE + b"\0")
        return told + _box(b"sv3d", header + _box(b"proj", projection))


def write_spherical(path: str | Path, spherical: Spherical) -> None:
    """Put the boxes into a finished MP4 or MOV, in place; sizes and chunk offsets are put right.

    Args:
        path: the file, which nobody else reads yet.
        spherical: what its video is.

    Raises:
        EX4DError: no video track where there should be one, or offsets beyond 4 GB behind an index that stands first.
    """
    added = spherical.boxes()
    if not added:
        return
    with open(path, "r+b") as file:
        boxes = list(_top_level(file))
        place = next(((start, end) for kind, start, end in boxes if kind == b"moov"), None)
        if place is None:
            raise EX4DError(f"'{Path(path).name}' is no finished MP4: it has no index (moov).")
        start, end = place
        file.seek(start)
        index = bytearray(file.read(end - start))
        if not _add_to_videos(index, added):
            raise EX4DError(f"'{Path(path).name}' has no video track to mark as a panorama.")
        grown = len(index) - (end - start)
        _move_chunks(index, end, grown, Path(path).name)
        _shift(file, end, boxes[-1][2], grown)
        file.seek(start)
        file.write(index)


def _box(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", 8 + len(payload)) + kind + payload


def _top_level(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start, end) of the boxes of a file."""
    length, at = file.seek(0, 2), 0
    while at + 8 <= length:
        file.seek(at)
        head = file.read(16)
        size = struct.unpack(">I", head[:4])[0]
        size = struct.unpack(">Q", head[8:16])[0] if size == 1 else length - at if size == 0 else size
        if size < 8:
            return
        yield head[4:8], at, at + size
        at += size


def _children(data: bytearray, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start, end) of the boxes between two places; those of an index never need 64 bits."""
    at = start
    while at + 8 <= end:
        size = struct.unpack_from(">I", data, at)[0]
        if size < 8 or at + size > end:
            return
        yield bytes(data[at + 4 : at + 8]), at, at + size
        at += size


def _find(data: bytearray, start: int, end: int, kind: bytes) -> tuple[int, int] | None:
    return next(((first, last) for found, first, last in _children(data, start, end) if found == kind), None)


def _way_to_entry(data: bytearray, track: tuple[int, int]) -> list[int]:
    """Starts of the boxes from a track down to its sample entry; empty where it is no video."""
    way, (start, end) = [0, track[0]], track
    for kind in HOLDERS:
        found = _find(data, start + 8, end, kind)
        if found is None:
            return []
        if kind == b"mdia":
            handler = _find(data, found[0] + 8, found[1], b"hdlr")
            if handler is None or data[handler[0] + 16 : handler[0] + 20] != b"vide":
                return []
        start, end = found
        way.append(start)
    table = _find(data, start + 8, end, b"stsd")
    if table is None:
        return []
    entry = next(_children(data, table[0] + 16, table[1]), None)
    return [] if entry is None or entry[2] - entry[1] < 8 + VISUAL_ENTRY else [*way, table[0], entry[1]]


def _add_to_videos(data: bytearray, added: bytes) -> int:
    """Append boxes to the sample entry of every video track of an index (moov); returns how many there are."""
    tracks = [(start, end) for kind, start, end in _children(data, 8, len(data)) if kind == b"trak"]
    count = 0
    for track in reversed(tracks):  # so that the places of those before stay
        way = _way_to_entry(data, track)
        if way:
            entry = way[-1]
            end = entry + struct.unpack_from(">I", data, entry)[0]
            data[end:end] = added
            for start in way:
                struct.pack_into(">I", data, start, struct.unpack_from(">I", data, start)[0] + len(added))
            count += 1
    return count


def _move_chunks(data: bytearray, end: int, grown: int, name: str) -> None:
    """Move the chunk offsets of an index that lie behind the index, which ended at ``end`` and has grown."""
    for kind, start, stop in _children(data, 8, len(data)):
        if kind != b"trak":
            continue
        for holder in HOLDERS:
            found = _find(data, start + 8, stop, holder)
            if found is None:
                break
            start, stop = found
        else:
            for table, letter, most in ((b"stco", "I", 2**32 - 1), (b"co64", "Q", 2**64 - 1)):
                found = _find(data, start + 8, stop, table)
                if found is not None:
                    count = struct.unpack_from(">I", data, found[0] + 12)[0]
                    offsets = struct.unpack_from(f">{count}{letter}", data, found[0] + 16)
                    moved = [offset + grown if offset >= end else offset for offset in offsets]
                    if max(moved, default=0) > most:
                        raise EX4DError(
                            f"'{name}' is too long for its own index; write it anew with the index at its end."
                        )
                    struct.pack_into(f">{count}{letter}", data, found[0] + 16, *moved)


def _shift(file: BinaryIO, start: int, end: int, by: int) -> None:
    """Move what lies between two places of a file back by some bytes, its last part first."""
    while end > start:
        first = max(start, end - PIECE)
        file.seek(first)
        part = file.read(end - first)
        file.seek(first + by)
        file.write(part)
        end = first
