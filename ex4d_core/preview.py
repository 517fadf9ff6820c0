"""The compact copy of a DW-Mesh that the camera editor draws in the browser.

One file holds the whole clip at about 256x256 pixels, ordered so that a browser can show frame 0 while the rest still
arrives::

    8 bytes   magic "EX4DPRV1"
    4 bytes   length of the header, little endian
    header    JSON (see `encode_preview`)
    per frame the JPEG colour, then the packed depth; their lengths are in the header's "sizes"

Packed depth: inverse depth as integers 0..levels between 1/far and 1/near, each the difference to its left neighbour
(column 0: to the row above) in zigzag form, all high bytes before all low bytes, then deflated. A 16-bit PNG would lose
its low bytes in a browser.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
import tempfile
import weakref
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import Cancelled, EX4DError

if TYPE_CHECKING:
    from .mesh import DWMesh

MAGIC = b"EX4DPRV1"
PREVIEW_PIXELS = 256 * 256
"""Samples per frame: enough to place a camera by, few enough for 60 drawn frames a second."""
MAX_FRAMES = 160
"""Longer clips are thinned out evenly; the header's "frame_numbers" says which frames are there."""
BYTES_PER_FRAME = 4 * 1024 * 1024 // 49
SUBFOLDER = "ex4d_preview"
THREADS = min(4, os.cpu_count() or 1)

Progress = Callable[[int, int], None]
Cancel = Callable[[], bool]


@dataclass(frozen=True)
class Preview:
    """A decoded preview file.

    Attributes:
        header: the file's JSON header.
        rgb: uint8 (T, h, w, 3).
        depth: float32 (T, h, w), planar z without the border ring.
    """

    header: dict[str, Any]
    rgb: np.ndarray
    depth: np.ndarray


def preview_size(width: int, height: int, pixels: int = PREVIEW_PIXELS) -> tuple[int, int]:
    """The preview's (width, height): the clip's aspect with at most ``pixels`` samples, never enlarged."""
    scale = min(1.0, math.sqrt(pixels / (width * height)))
    return max(8, round(width * scale)), max(8, round(height * scale))


def sample_nearest(depth: np.ndarray, width: int, height: int) -> np.ndarray:
    """Point samples of (H, W) at the centres of a (height, width) grid; averaging would invent depth at edges.

    The outermost ring of the depth is the mesh's rim, not scene: its neighbours inside are taken instead.
    """
    rows = ((np.arange(height) + 0.5) * depth.shape[0] / height).astype(np.int64)
    columns = ((np.arange(width) + 0.5) * depth.shape[1] / width).astype(np.int64)
    if min(depth.shape) > 2:
        rows, columns = rows.clip(1, depth.shape[0] - 2), columns.clip(1, depth.shape[1] - 2)
    return depth.take(rows, axis=0).take(columns, axis=1)


def pack_depth(depth: np.ndarray, near: float, far: float, levels: int) -> bytes:
    """(h, w) planar z -> deflated bytes; see the module's text."""
    span = 1 / near - 1 / far
    steps = np.rint((1 / depth.astype(np.float64) - 1 / far) * (levels / span))
    quantised = np.clip(steps, 0, levels).astype(np.uint16)
    change = quantised.copy()
    change[:, 1:] -= quantised[:, :-1]
    change[1:, 0] -= quantised[:-1, 0]
    signed = change.view(np.int16)
    zigzag = ((signed << 1) ^ (signed >> 15)).view(np.uint16)
    planes = np.stack([zigzag >> 8, zigzag & 255]).astype(np.uint8)
    return zlib.compress(planes.tobytes(), 1)


def unpack_depth(data: bytes, width: int, height: int, near: float, far: float, levels: int) -> np.ndarray:
    """The inverse of `pack_depth`, as the editor decodes it: float32 (height, width)."""
    high, low = np.frombuffer(zlib.decompress(data), dtype=np.uint8).reshape(2, height, width).astype(np.uint16)
    zigzag = (high << 8) | low
    change = (zigzag >> 1) ^ (0 - (zigzag & 1)).astype(np.uint16)
    change[:, 0] = np.cumsum(change[:, 0], dtype=np.uint16)
    quantised = np.cumsum(change, axis=1, dtype=np.uint16)
    inverse = quantised.astype(np.float32) * np.float32((1 / near - 1 / far) / levels) + np.float32(1 / far)
    return np.float32(1) / inverse


def encode_preview(
    mesh: DWMesh,
    *,
    pixels: int = PREVIEW_PIXELS,
    quality: int = 88,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> bytes:
    """A mesh as one preview file.

    Args:
        mesh: the clip's mesh; its rgb (T, H, W, 3) and border-padded depth (T, H, W) are sampled, not its faces.
        pixels: samples per frame, at most.
        quality: JPEG quality, 1..100.
        progress: called (done, total) per frame.
        cancel: polled per frame.

    Returns:
        The file's bytes. Its header holds: version, width, height, frames (in this file), clip_frames,
        frame_numbers, near, far, levels, style, min_angle (degrees), max_jump (depth units; null in released style),
        border_depth, radius, pivot [x, y, z], intrinsics {fx, fy, cx, cy} for the preview's size,
        source [width, height] and sizes [[colour bytes, depth bytes], ...].

    Raises:
        EX4DError: a mesh whose depth is not finite and positive.
        Cancelled: ``cancel()`` returned True.
    """
    count = int(mesh.frames)
    numbers = sorted({round(i) for i in np.linspace(0, count - 1, min(count, MAX_FRAMES))})
    width, height = preview_size(mesh.width, mesh.height, pixels)
    depths = []
    for number in numbers:
        if cancel is not None and cancel():
            raise Cancelled
        depths.append(sample_nearest(mesh.depth[number].detach().cpu().float().numpy(), width, height))
    stack = np.stack(depths)
    near, far = float(stack.min()), float(stack.max())
    if not (math.isfinite(near) and math.isfinite(far) and near > 0):
        raise EX4DError("The mesh's depth holds values that are not finite and positive; build the mesh again.")
    if far < near * 1.001:
        far = near * 1.001

    def within(budget: int, encode: Callable[[int], bytes], offset: int) -> list[bytes] | None:
        """Every frame encoded, or None as soon as they are larger than the budget."""
        parts, size = [], 0
        pool = ThreadPoolExecutor(THREADS)  # encoding releases the interpreter's lock
        try:
            for done, part in enumerate(pool.map(encode, range(len(numbers)))):
                if cancel is not None and cancel():
                    raise Cancelled
                parts.append(part)
                size += len(part)
                if size > budget:
                    return None
                if progress is not None:
                    progress(offset + done + 1, 2 * len(numbers))
        finally:
            pool.shutdown(cancel_futures=True)
        return parts

    # Noise does not compress: picture quality gives way first, then levels of depth, then pixels.
    budget = len(numbers) * BYTES_PER_FRAME
    colours: list[bytes] | None = None
    for tried in (quality, 70, 50, 30):
        rgb = lambda i, q=tried: _encode_colour(mesh.rgb[numbers[i]].detach().cpu().numpy(), width, height, q)  # noqa: E731
        if (colours := within(budget // 2, rgb, 0)) is not None:
            break
    packed: list[bytes] | None = None
    levels = 0
    if colours is not None:
        left = budget - sum(map(len, colours))
        for bits in (16, 15, 14, 13, 12):
            levels = 2**bits - 1
            deep = lambda i, n=levels: pack_depth(depths[i], near, far, n)  # noqa: E731
            if (packed := within(left, deep, len(numbers))) is not None:
                break
    if colours is None or packed is None:
        return encode_preview(mesh, pixels=pixels // 2, quality=quality, progress=progress, cancel=cancel)

    intrinsics = mesh.intrinsics.resized(width, height)
    header = {
        "version": 1,
        "width": width,
        "height": height,
        "frames": len(numbers),
        "clip_frames": count,
        "frame_numbers": numbers,
        "near": near,
        "far": far,
        "levels": levels,
        "style": mesh.style,
        "min_angle": float(mesh.min_angle),
        "max_jump": float(mesh.max_jump) if math.isfinite(mesh.max_jump) else None,
        "border_depth": float(mesh.border_depth),
        "radius": float(mesh.radius),
        "pivot": [float(v) for v in mesh.pivot],
        "intrinsics": {name: float(getattr(intrinsics, name)) for name in ("fx", "fy", "cx", "cy")},
        "source": [int(mesh.width), int(mesh.height)],
        "sizes": [[len(colour), len(depth)] for colour, depth in zip(colours, packed, strict=True)],
    }
    text = json.dumps(header, separators=(",", ":")).encode()
    body = b"".join(part for pair in zip(colours, packed, strict=True) for part in pair)
    return MAGIC + struct.pack("<I", len(text)) + text + body


def _encode_colour(rgb: np.ndarray, width: int, height: int, quality: int) -> bytes:
    """uint8 (H, W, 3) -> JPEG bytes at the preview's size."""
    import cv2

    return jpeg(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA), quality)


def jpeg(rgb: np.ndarray, quality: int) -> bytes:
    """A picture (H, W, 3) uint8 as JPEG without chroma subsampling; quality 1..100."""
    import cv2

    settings = [
        cv2.IMWRITE_JPEG_QUALITY,
        quality,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ]
    done, data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), settings)
    if not done:
        raise EX4DError(f"OpenCV could not encode a {rgb.shape[1]}x{rgb.shape[0]} preview image as JPEG.")
    return data.tobytes()


def decode_preview(data: bytes) -> Preview:
    """Read a preview file back; what the editor sees, for comparisons with the renderer.

    Raises:
        EX4DError: the bytes are no preview file or end too early.
    """
    import cv2

    if data[:8] != MAGIC:
        raise EX4DError("This is no EX-4D preview file.")
    (length,) = struct.unpack("<I", data[8:12])
    header = json.loads(data[12 : 12 + length])
    at = 12 + length
    if len(data) < at + sum(map(sum, header["sizes"])):
        raise EX4DError("The EX-4D preview file ends too early.")
    rgb, depth = [], []
    for colour_bytes, depth_bytes in header["sizes"]:
        picture = cv2.imdecode(np.frombuffer(data[at : at + colour_bytes], np.uint8), cv2.IMREAD_COLOR)
        if picture is None:
            raise EX4DError("A picture of the EX-4D preview file cannot be read.")
        rgb.append(picture[..., ::-1])
        at += colour_bytes
        grid = (header["width"], header["height"], header["near"], header["far"], header["levels"])
        depth.append(unpack_depth(data[at : at + depth_bytes], *grid))
        at += depth_bytes
    return Preview(header, np.stack(rgb), np.stack(depth))


_published: dict[int, tuple[weakref.ref[Any], str]] = {}


def publish_preview(
    mesh: DWMesh,
    temp_directory: str | os.PathLike[str],
    *,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> dict[str, str]:
    """Write the mesh's preview where ComfyUI's ``/view`` finds it, once per mesh.

    Args:
        mesh: the mesh that the camera node received.
        temp_directory: ComfyUI's temp folder.
        progress, cancel: as in `encode_preview`.

    Returns:
        ``{"filename", "subfolder", "type": "temp"}``. The name is a hash of the content, so that an unchanged mesh
        keeps its file and a browser may cache it.
    """
    folder = Path(temp_directory) / SUBFOLDER
    known = _published.get(id(mesh))
    if known is not None and known[0]() is mesh and (folder / known[1]).is_file():
        return {"filename": known[1], "subfolder": SUBFOLDER, "type": "temp"}
    data = encode_preview(mesh, progress=progress, cancel=cancel)
    name = f"{hashlib.sha256(data).hexdigest()[:24]}.ex4d"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / name).is_file():
        handle, partial = tempfile.mkstemp(dir=folder, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.replace(partial, folder / name)
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise
    key = id(mesh)
    _published[key] = (weakref.ref(mesh, lambda _: _published.pop(key, None)), name)
    return {"filename": name, "subfolder": SUBFOLDER, "type": "temp"}
