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
import struct
import weakref
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..camera import Intrinsics
from ..errors import Cancelled, EX4DError
from ..machine.cores import cores
from ..mesh import DWMesh, reduced_size, sample_nearest, set_border
from ..storage.staging import staged_file, write_errors
from ..trajectory import Trajectory
from .pictures import from_jpeg, jpeg, shrink

MAGIC = b"EX4DPRV1"
PREVIEW_PIXELS = 256 * 256
"""Samples per frame: enough to place a camera by, few enough for 60 drawn frames a second."""
MAX_FRAMES = 160
"""Longer clips are thinned out evenly; the header's "frame_numbers" says which frames are there."""
QUALITIES = (88, 70, 50, 30)
DEPTH_BITS = (16, 15, 14, 13, 12)
"""What is tried until a clip fits into its bytes."""
BYTES_PER_FRAME = 4 * 1024 * 1024 // 49
THREADS = min(4, cores())

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

    def mesh(self) -> DWMesh:
        """The mesh that the editor draws."""
        header, depth = self.header, torch.from_numpy(self.depth.copy())
        for frame in depth:
            set_border(frame, header["border_depth"])
        lens = Intrinsics(**header["intrinsics"], width=header["width"], height=header["height"])
        return DWMesh(
            torch.from_numpy(self.rgb.copy()),
            depth,
            lens,
            header["style"],
            header["border_depth"],
            header["min_angle"],
            math.inf if header["max_jump"] is None else header["max_jump"],
            header["radius"],
            self._source_camera(lens),
        )

    def _source_camera(self, lens: Intrinsics) -> Trajectory | None:
        if "source_poses" not in self.header:
            return None
        lenses = self.header.get("source_lenses")
        each = (
            None
            if lenses is None
            else tuple(Intrinsics(fx, fy, cx, cy, lens.width, lens.height) for fx, fy, cx, cy in lenses)
        )
        poses = np.array(self.header["source_poses"]).reshape(-1, 3, 4)
        return Trajectory(poses, each, frame_of_reference="world")


def pack_depth(depth: np.ndarray, near: float, far: float, levels: int) -> bytes:
    """(h, w) planar z -> deflated bytes; see the module's text."""
    return _deflate(depth_planes(depth, near, far, levels))


def depth_planes(depth: np.ndarray, near: float, far: float, levels: int) -> np.ndarray:
    """(h, w) float32 planar z -> (2, h, w) uint8: high and low bytes of the differences of inverse depth."""
    scale = levels / (1 / near - 1 / far)
    steps = np.reciprocal(depth, dtype=np.float32)  # of whose 24 bits 16 levels leave 8 for rounding
    steps *= np.float32(scale)
    steps += np.float32(0.5 - scale / far)
    quantised = np.clip(steps, 0, levels, out=steps).astype(np.uint16)
    change = quantised.copy()
    change[:, 1:] -= quantised[:, :-1]
    change[1:, 0] -= quantised[:-1, 0]
    signed = change.view(np.int16)
    zigzag = ((signed << 1) ^ (signed >> 15)).view(np.uint16)
    planes = np.empty((2, *zigzag.shape), np.uint8)
    np.right_shift(zigzag, 8, out=planes[0], casting="unsafe")
    np.bitwise_and(zigzag, 255, out=planes[1], casting="unsafe")
    return planes


def _deflate(planes: np.ndarray) -> bytes:
    """Bytes packed for the browser's DecompressionStream."""
    # What repeats in differences is runs of zeros: looking for those alone is faster and even packs more.
    deflater = zlib.compressobj(1, strategy=zlib.Z_RLE)
    return deflater.compress(planes.data) + deflater.flush()


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
    quality: int = QUALITIES[0],
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> bytes:
    """A mesh as one preview file.

    Args:
        mesh: the clip's mesh; its rgb (T, H, W, 3) and border-padded depth (T, H, W) are sampled, not its faces.
        pixels: samples per frame, at most.
        quality: JPEG quality, 1..100; less where the pictures would be too large.
        progress: called (done, total) per encoded picture or depth.
        cancel: polled as often.

    Returns:
        The file's bytes. Its header holds: version, width, height, frames (in this file), clip_frames,
        frame_numbers, near, far, levels, style, min_angle (degrees), max_jump (depth units; null in released style),
        border_depth, radius, pivot [x, y, z], intrinsics {fx, fy, cx, cy} for the preview's size,
        source [width, height] and sizes [[colour bytes, depth bytes], ...]. Where the source camera moves also source_poses
        [[12 numbers, the rows of world to camera], ...] of the frames in this file, and source_lenses [[fx, fy, cx, cy],
        ...] where they change.

    Raises:
        EX4DError: a mesh whose depth is not finite and positive.
        Cancelled: ``cancel()`` returned True.
    """
    numbers = sorted({round(i) for i in np.linspace(0, mesh.frames - 1, min(int(mesh.frames), MAX_FRAMES))})
    width, height = reduced_size(mesh.width, mesh.height, pixels)
    depths = [sample_nearest(mesh.depth[i], width, height).cpu().numpy() for i in numbers]
    near, far = _depth_range(depths)
    pool = ThreadPoolExecutor(THREADS)

    def colours_of(quality: int) -> list[Future[bytes]]:
        pictures = (mesh.rgb[number].detach().cpu().numpy() for number in numbers)
        return [pool.submit(_encode_colour, picture, width, height, quality) for picture in pictures]

    def depths_of(bits: int) -> list[Future[bytes]]:
        # The planes are made here: many short steps on several threads would only wait for the interpreter's lock.
        return [pool.submit(_deflate, depth_planes(depth, near, far, 2**bits - 1)) for depth in depths]

    try:
        # Both are begun before either is waited for. Noise does not compress: picture quality gives way first, then
        # levels of depth, then pixels.
        budget, report = len(numbers) * BYTES_PER_FRAME, _Report(2 * len(numbers), progress, cancel)
        colours, deep = colours_of(quality), depths_of(DEPTH_BITS[0])
        lower = [each for each in QUALITIES if each < quality]
        _, pictures = _first_within(budget // 2, [quality, *lower], colours, colours_of, report)
        left = budget - sum(map(len, pictures or []))
        bits, packed = _first_within(left, DEPTH_BITS, deep, depths_of, report)
    finally:
        pool.shutdown(cancel_futures=True)
    if pictures is None or packed is None:
        return encode_preview(mesh, pixels=pixels // 2, quality=quality, progress=progress, cancel=cancel)

    intrinsics = mesh.intrinsics.resized(width, height)
    header = {
        "version": 1,
        "width": width,
        "height": height,
        "frames": len(numbers),
        "clip_frames": int(mesh.frames),
        "frame_numbers": numbers,
        "near": near,
        "far": far,
        "levels": 2**bits - 1,
        "style": mesh.style,
        "min_angle": float(mesh.min_angle),
        "max_jump": float(mesh.max_jump) if math.isfinite(mesh.max_jump) else None,
        "border_depth": float(mesh.border_depth),
        "radius": float(mesh.radius),
        "pivot": [float(v) for v in mesh.pivot],
        "intrinsics": {name: float(getattr(intrinsics, name)) for name in ("fx", "fy", "cx", "cy")},
        "source": [int(mesh.width), int(mesh.height)],
        **_source_camera(mesh, numbers, (width, height)),
        "sizes": [[len(picture), len(depth)] for picture, depth in zip(pictures, packed, strict=True)],
    }
    text = json.dumps(header, separators=(",", ":")).encode()
    body = b"".join(part for pair in zip(pictures, packed, strict=True) for part in pair)
    return MAGIC + struct.pack("<I", len(text)) + text + body


def _source_camera(mesh: DWMesh, numbers: list[int], size: tuple[int, int]) -> dict[str, Any]:
    """What the header says of a source camera that moves: poses of the stored frames, and lenses where they change."""
    if mesh.source_camera is None:
        return {}
    source = mesh.source_camera.part(numbers).resized(*size)
    told: dict[str, Any] = {"source_poses": source.world_to_camera[:, :3].reshape(-1, 12).tolist()}
    if source.intrinsics is not None and len(set(source.intrinsics)) > 1:
        told["source_lenses"] = [[k.fx, k.fy, k.cx, k.cy] for k in source.intrinsics]
    return told


def _depth_range(depths: list[np.ndarray]) -> tuple[float, float]:
    """The least and the greatest of all depths, never the same."""
    near, far = float(min(depth.min() for depth in depths)), float(max(depth.max() for depth in depths))
    if not (math.isfinite(near) and math.isfinite(far) and near > 0):
        raise EX4DError("The mesh's depth holds values that are not finite and positive; build the mesh again.")
    return near, max(far, near * 1.001)


@dataclass
class _Report:
    """Collects what is being encoded, reports each part, and stops when asked to."""

    total: int
    progress: Progress | None
    cancel: Cancel | None
    done: int = 0

    def collect(self, parts: list[Future[bytes]]) -> list[bytes]:
        encoded = []
        for part in parts:
            if self.cancel is not None and self.cancel():
                raise Cancelled
            encoded.append(part.result())
            self.done = min(self.done + 1, self.total)
            if self.progress is not None:
                self.progress(self.done, self.total)
        return encoded


def _first_within(
    budget: int,
    choices: Sequence[int],
    begun: list[Future[bytes]],
    begin: Callable[[int], list[Future[bytes]]],
    report: _Report,
) -> tuple[int, list[bytes] | None]:
    """The first choice whose parts are no larger together than the budget, and the parts; None where none fits.

    Args:
        budget: bytes.
        choices: from the best to the smallest.
        begun: the parts of the first choice, which are being encoded already.
        begin: starts encoding by a choice.
        report: collects the parts and tells of them.
    """
    for choice in choices:
        parts = report.collect(begun if choice == choices[0] else begin(choice))
        if sum(map(len, parts)) <= budget:
            return choice, parts
    return choices[-1], None


def _encode_colour(rgb: np.ndarray, width: int, height: int, quality: int) -> bytes:
    """uint8 (H, W, 3) -> JPEG bytes at the preview's size."""
    return jpeg(shrink(rgb, width, height), quality)


def decode_preview(data: bytes) -> Preview:
    """Read a preview file back; what the editor sees, for comparisons with the renderer.

    Raises:
        EX4DError: the bytes are no preview file or end too early.
    """
    if data[:8] != MAGIC:
        raise EX4DError("This is no EX-4D preview file.")
    (length,) = struct.unpack("<I", data[8:12])
    header = json.loads(data[12 : 12 + length])
    at = 12 + length
    if len(data) < at + sum(map(sum, header["sizes"])):
        raise EX4DError("The EX-4D preview file ends too early.")
    rgb, depth = [], []
    for colour_bytes, depth_bytes in header["sizes"]:
        rgb.append(from_jpeg(data[at : at + colour_bytes]))
        at += colour_bytes
        grid = (header["width"], header["height"], header["near"], header["far"], header["levels"])
        depth.append(unpack_depth(data[at : at + depth_bytes], *grid))
        at += depth_bytes
    return Preview(header, np.stack(rgb), np.stack(depth))


_saved: dict[int, tuple[weakref.ref[DWMesh], str]] = {}
"""By a mesh's id: the mesh, as long as somebody holds it, and the name of its file."""


def save_preview(
    mesh: DWMesh, folder: str | Path, *, progress: Progress | None = None, cancel: Cancel | None = None
) -> str:
    """Write the mesh's preview into a folder, once per mesh.

    Args:
        mesh: the clip's mesh.
        folder: made if missing.
        progress: as in `encode_preview`; not called where the file is there already.
        cancel: as in `encode_preview`.

    Returns:
        The file's name, a hash of its content: an unchanged mesh keeps its file and a browser may cache it.

    Raises:
        EX4DError: see `encode_preview`; or the folder cannot be written.
        Cancelled: ``cancel()`` returned True.
    """
    folder, key = Path(folder), id(mesh)
    known = _saved.get(key)
    if known is not None and known[0]() is mesh and (folder / known[1]).is_file():
        return known[1]
    data = encode_preview(mesh, progress=progress, cancel=cancel)
    name = f"{hashlib.sha256(data).hexdigest()[:24]}.ex4d"
    if not (folder / name).is_file():
        with write_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        with staged_file(folder / name) as part:
            part.write_bytes(data)
    _saved[key] = (weakref.ref(mesh, lambda _: _saved.pop(key, None)), name)
    return name
