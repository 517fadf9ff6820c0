"""A reader for what depth passes in OpenEXR files are: one scanline part, plain or ZIP, one channel of numbers.

FFmpeg reads only colour channels and OpenCV only with a switch set before it is loaded, so this is the project's own.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np

from ..errors import EX4DError

MAGIC = 20000630
TILED, MULTIPART = 0x200, 0x1000
PIXEL_TYPES = {0: np.dtype("<u4"), 1: np.dtype("<f2"), 2: np.dtype("<f4")}
COMPRESSIONS = {0: ("none", 1), 2: ("ZIPS", 1), 3: ("ZIP", 16)}
"""Number in the file -> name, scanlines in a block."""
WANTED = ("Z", "depth", "Depth", "Y", "R", "V", "G", "B")


def read_exr(path: Path) -> np.ndarray:
    """The depth channel (Z, depth, Y or R, in this order; of any layer) as float32 (H, W).

    Raises:
        EX4DError: not an EXR, cut off, or of a kind that is not read (tiles, several parts, lossy compression).
    """
    try:
        return _decode(path.read_bytes(), path)
    except OSError as error:
        raise EX4DError(f"'{path}' cannot be read: {error.strerror or error}.") from error
    except (struct.error, zlib.error, ValueError, IndexError, KeyError) as error:
        if isinstance(error, EX4DError):
            raise
        raise EX4DError(f"'{path}' is not an OpenEXR picture, or it is cut off.") from error


def _decode(data: bytes, path: Path) -> np.ndarray:
    magic, version = struct.unpack_from("<iI", data)
    if magic != MAGIC:
        raise EX4DError(f"'{path}' is not an OpenEXR picture.")
    attributes, position = _header(data)
    compression = attributes["compression"][0]
    if version & (TILED | MULTIPART) or compression not in COMPRESSIONS:
        raise EX4DError(f"'{path}' is tiled, multi-part or of a compression not read here. Save scanlines with ZIP.")
    left, top, right, bottom = struct.unpack("<4i", attributes["dataWindow"])
    width, height = right - left + 1, bottom - top + 1
    if not (0 < width <= 16384 and 0 < height <= 16384):
        raise EX4DError(f"'{path}' claims {width}x{height} pixels; it is damaged.")
    channels = _channels(attributes["channels"])
    wanted = _depth_channel([name for name, _ in channels], path)
    lines = COMPRESSIONS[compression][1]
    blocks = -(-height // lines)
    offsets = struct.unpack_from(f"<{blocks}Q", data, position)
    picture = np.empty((height, width), np.float32)
    for offset in offsets:
        y, size = struct.unpack_from("<ii", data, offset)
        rows = min(lines, bottom + 1 - y)
        block = _unpacked(data[offset + 8 : offset + 8 + size], rows, width, channels, compression)
        for row in range(rows):
            picture[y - top + row] = _row_of(block, row, width, channels, wanted)
    return picture


def _header(data: bytes) -> tuple[dict[str, bytes], int]:
    attributes, position = {}, 8
    while data[position]:
        end = data.index(0, position)
        name = data[position:end].decode("latin-1")
        position = data.index(0, end + 1) + 1
        size = struct.unpack_from("<i", data, position)[0]
        attributes[name] = data[position + 4 : position + 4 + size]
        position += 4 + size
    return attributes, position + 1


def _channels(data: bytes) -> list[tuple[str, np.dtype]]:
    channels, position = [], 0
    while data[position]:
        end = data.index(0, position)
        kind, _, x_step, y_step = struct.unpack_from("<iIii", data, end + 1)
        if (x_step, y_step) != (1, 1):
            raise ValueError("subsampled channel")
        channels.append((data[position:end].decode("latin-1"), PIXEL_TYPES[kind]))
        position = end + 17
    return channels


def _depth_channel(names: list[str], path: Path) -> int:
    for wanted in WANTED:
        for index, name in enumerate(names):
            if name.rsplit(".", 1)[-1] == wanted:
                return index
    raise EX4DError(f"'{path}' has no depth channel; it holds {', '.join(names)}. Name the channel Z.")


def _unpacked(block: bytes, rows: int, width: int, channels: list[tuple[str, np.dtype]], compression: int) -> bytes:
    full = rows * width * sum(kind.itemsize for _, kind in channels)
    if compression == 0 or len(block) == full:
        return block
    # ZIP stores differences of bytes, the even ones first.
    difference = np.frombuffer(zlib.decompress(block), np.uint8).astype(np.int64)
    difference[1:] -= 128
    values = np.cumsum(difference).astype(np.uint8)
    half = (len(values) + 1) // 2
    result = np.empty(len(values), np.uint8)
    result[0::2], result[1::2] = values[:half], values[half:]
    return result.tobytes()


def _row_of(block: bytes, row: int, width: int, channels: list[tuple[str, np.dtype]], wanted: int) -> np.ndarray:
    line = width * sum(kind.itemsize for _, kind in channels)
    before = width * sum(kind.itemsize for _, kind in channels[:wanted])
    return np.frombuffer(block, channels[wanted][1], width, row * line + before).astype(np.float32)
