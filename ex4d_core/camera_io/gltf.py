"""glTF 2.0 camera animation (.gltf with its data inside, or binary .glb): what Blender, Unreal and Houdini exchange.

y up, cameras look along -z, seconds. A camera may hang below other animated nodes; linear, step and cubic curves are
sampled. A changing field of view travels as KHR_animation_pointer on ``/cameras/0/perspective/yfov``.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import struct
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import numpy as np

from ..camera import (
    DEFAULT_FPS,
    MAX_FRAMES,
    invert_pose,
    matrix_from_quaternion,
    quaternion_from_matrix,
    slerp,
    y_up_from_opencv,
)
from ..errors import EX4DError
from .cameras import Cameras, Hints, check_plain_lens, lenses_of

GLB_MAGIC, JSON_CHUNK, BIN_CHUNK = 0x46546C67, 0x4E4F534A, 0x004E4942
COMPONENTS = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


@dataclass(frozen=True)
class Track:
    """One animated value: key times in seconds, values (K, C), and how to go between them."""

    times: np.ndarray
    values: np.ndarray
    interpolation: str


def read(data: bytes, hints: Hints) -> Cameras:
    """Samples the first animated camera (or the first camera) at ``hints.fps``, else at the rate of its keys."""
    try:
        return _read(data, hints)
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RecursionError, struct.error) as error:
        if isinstance(error, EX4DError):
            raise
        raise EX4DError("this is not a complete glTF 2.0 file. Export the camera again as .gltf or .glb.") from None


def _read(data: bytes, hints: Hints) -> Cameras:
    document, binary = _parsed(data)
    nodes = document.get("nodes", [])
    parents = {child: i for i, node in enumerate(nodes) for child in node.get("children", [])}
    with_camera = [i for i, node in enumerate(nodes) if "camera" in node]
    if not with_camera:
        raise EX4DError("this glTF file has no camera. Tick cameras in the exporter.")
    chains = [_chain(i, parents) for i in with_camera]
    tracks = _tracks(document, _Buffers(document, binary, hints))
    moving = {node for node, _ in tracks if isinstance(node, int)}
    chain = next((c for c in chains if moving & set(c)), chains[0])
    camera = nodes[chain[-1]]["camera"]
    if "perspective" not in document["cameras"][camera]:
        raise EX4DError("the camera of this glTF file is orthographic; a perspective camera is needed.")
    used = {key: track for key, track in tracks.items() if key[0] in chain or key == ("yfov", str(camera))}
    times, fps = _sample_times(list(used.values()), hints.fps)
    pose = np.tile(np.eye(4), (len(times), 1, 1))
    for index in chain:
        pose = pose @ _local(nodes[index], index, used, times)
    # A camera has no scale, whatever its parents have.
    pose[:, :3, :3] /= np.maximum(np.linalg.norm(pose[:, :3, :3], axis=1, keepdims=True), 1e-12)
    yfov = float(document["cameras"][camera]["perspective"]["yfov"])
    track = used.get(("yfov", str(camera)))
    angles = np.full(len(times), yfov) if track is None else _sampled(track, times, False)[:, 0]
    return Cameras(y_up_from_opencv(invert_pose(pose)), fov=np.degrees(angles), fps=fps)


def _parsed(data: bytes) -> tuple[dict[str, Any], bytes | None]:
    """The JSON part and, for .glb, the binary chunk."""
    binary = None
    if data[:4] == b"glTF":
        _, version, length = struct.unpack_from("<III", data)
        if version != 2 or length > len(data):
            raise EX4DError("this .glb is cut off or of another version than 2. Export it again.")
        text, offset = b"", 12
        while offset + 8 <= length:
            size, kind = struct.unpack_from("<II", data, offset)
            chunk = data[offset + 8 : offset + 8 + size]
            if kind == JSON_CHUNK:
                text = chunk
            elif kind == BIN_CHUNK:
                binary = chunk
            offset += 8 + size
    else:
        text = data
    document = json.loads(text)
    if not isinstance(document, dict) or not str(document.get("asset", {}).get("version", "")).startswith("2"):
        raise EX4DError("this is not a glTF 2.0 file.")
    return document, binary


class _Buffers:
    """Accessors of a document as float64 arrays, buffers loaded once."""

    def __init__(self, document: dict[str, Any], binary: bytes | None, hints: Hints) -> None:
        self.document, self.binary, self.hints = document, binary, hints
        self.loaded: dict[int, bytes] = {}

    def accessor(self, index: int) -> np.ndarray:
        """(count, width) values; normalised integers become -1..1 or 0..1."""
        accessor = self.document["accessors"][index]
        if "sparse" in accessor or "bufferView" not in accessor:
            raise EX4DError("this glTF file uses sparse accessors. Export the animation without compression.")
        view = self.document["bufferViews"][accessor["bufferView"]]
        dtype, width = np.dtype(COMPONENTS[accessor["componentType"]]), WIDTHS[accessor["type"]]
        stride = view.get("byteStride", dtype.itemsize * width)
        start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
        data, count = self.buffer(view["buffer"]), accessor["count"]
        if stride < dtype.itemsize * width:
            raise EX4DError("this glTF file's values overlap (byteStride). Export it again.")
        if count < 1 or start < 0 or start + stride * (count - 1) + dtype.itemsize * width > len(data):
            raise EX4DError("this glTF file's data is cut off. Export it again.")
        rows = np.ndarray((count, width), dtype, data, start, (stride, dtype.itemsize)).astype(np.float64)
        if dtype.kind in "iu" and accessor.get("normalized"):
            rows = np.maximum(rows / np.iinfo(dtype).max, -1.0)
        return rows

    def buffer(self, index: int) -> bytes:
        if index not in self.loaded:
            self.loaded[index] = self._load(self.document["buffers"][index].get("uri"))
        return self.loaded[index]

    def _load(self, uri: str | None) -> bytes:
        if uri is None:
            if self.binary is None:
                raise EX4DError("this glTF file's data is missing.")
            return self.binary
        if uri.startswith("data:"):
            try:
                return base64.b64decode(uri.split(",", 1)[1], validate=True)
            except binascii.Error:
                raise EX4DError("this glTF file's embedded data is damaged. Export it again.") from None
        name = unquote(uri)
        if "/" in name or "\\" in name or ":" in name or name.startswith("."):
            raise EX4DError(f"this glTF file points to {uri[:60]!r} outside its folder. Export it as .glb instead.")
        try:
            return (self.hints.folder / name).read_bytes()
        except OSError:
            raise EX4DError(f"this glTF file needs {uri[:60]!r} beside it. Export it as .glb instead.") from None


def _chain(node: int, parents: dict[int, int]) -> list[int]:
    """Node numbers from the root to ``node``."""
    chain = [node]
    while chain[0] in parents:
        if parents[chain[0]] in chain:
            raise EX4DError("this glTF file's nodes form a circle.")
        chain.insert(0, parents[chain[0]])
    return chain


def _tracks(document: dict[str, Any], buffers: _Buffers) -> dict[tuple[int | str, str], Track]:
    """Tracks by (node, path); a camera's field of view by ("yfov", camera)."""
    tracks: dict[tuple[int | str, str], Track] = {}
    for animation in document.get("animations", []):
        for channel in animation["channels"]:
            key = _track_key(channel["target"])
            if key is None or key in tracks:
                continue
            sampler = animation["samplers"][channel["sampler"]]
            times, values = buffers.accessor(sampler["input"])[:, 0], buffers.accessor(sampler["output"])
            mode = sampler.get("interpolation", "LINEAR")
            if len(values) != len(times) * (3 if mode == "CUBICSPLINE" else 1) or (np.diff(times) <= 0).any():
                raise EX4DError("this glTF file's animation has keys that do not match their times.")
            if not (np.isfinite(times).all() and np.isfinite(values).all()):
                raise EX4DError("this glTF file's animation holds NaN or infinity.")
            tracks[key] = Track(times, values, mode)
    return tracks


def _track_key(target: dict[str, Any]) -> tuple[int | str, str] | None:
    if target["path"] in ("translation", "rotation", "scale") and "node" in target:
        return int(target["node"]), target["path"]
    pointer = target.get("extensions", {}).get("KHR_animation_pointer", {}).get("pointer", "")
    parts = pointer.strip("/").split("/")
    if len(parts) == 4 and (parts[0], parts[2], parts[3]) == ("cameras", "perspective", "yfov"):
        return "yfov", parts[1]
    return None


def _sample_times(tracks: list[Track], fps: float | None) -> tuple[np.ndarray, float | None]:
    """Seconds of each frame, and frames a second."""
    if not tracks:
        return np.zeros(1), fps
    keys = np.unique(np.concatenate([track.times for track in tracks]).round(6))
    if fps is None:
        step = float(np.median(np.diff(keys))) if len(keys) > 1 else 1 / 24
        fps = round(1 / step, 2) if step > 1e-3 else 24.0
        if fps < 5:  # sparse keys, drawn by hand: no rate to be read from them
            fps = 24.0
    count = math.floor((keys[-1] - keys[0]) * fps + 1e-3) + 1
    if count > MAX_FRAMES:
        raise EX4DError(f"this glTF animation has {count} frames at {fps:g} a second, more than {MAX_FRAMES}.")
    return keys[0] + np.arange(count) / fps, fps


def _local(node: dict[str, Any], index: int, tracks: dict[Any, Track], times: np.ndarray) -> np.ndarray:
    """A node's (N, 4, 4) transform within its parent."""
    if "matrix" in node and not any((index, path) in tracks for path in ("translation", "rotation", "scale")):
        return np.tile(np.array(node["matrix"], dtype=np.float64).reshape(4, 4).T, (len(times), 1, 1))

    def value(path: str, default: list[float]) -> np.ndarray:
        if (index, path) in tracks:
            return _sampled(tracks[index, path], times, path == "rotation")
        return np.tile(np.array(node.get(path, default), dtype=np.float64), (len(times), 1))

    local = np.tile(np.eye(4), (len(times), 1, 1))
    x, y, z, w = value("rotation", [0, 0, 0, 1]).T
    scale = value("scale", [1, 1, 1])
    local[:, :3, :3] = matrix_from_quaternion(np.stack([w, x, y, z], axis=-1)) * scale[:, None, :]
    local[:, :3, 3] = value("translation", [0, 0, 0])
    return local


def _sampled(track: Track, times: np.ndarray, rotation: bool) -> np.ndarray:
    """A track's (N, C) values at times in seconds; held before its first and after its last key."""
    cubic = track.interpolation == "CUBICSPLINE"
    keyed = track.values[1::3] if cubic else track.values
    if len(track.times) == 1:
        return np.repeat(keyed, len(times), axis=0)
    segment = np.clip(np.searchsorted(track.times, times + 1e-6, side="right") - 1, 0, len(track.times) - 2)
    width = (track.times[segment + 1] - track.times[segment])[:, None]
    u = np.clip((times - track.times[segment])[:, None] / width, 0, 1)
    start, end = keyed[segment], keyed[segment + 1]
    if track.interpolation == "STEP":
        return np.where(u >= 1 - 1e-6, end, start)
    if cubic:
        leave, arrive = track.values[2::3][segment], track.values[0::3][segment + 1]
        u2, u3 = u * u, u * u * u
        return (
            (2 * u3 - 3 * u2 + 1) * start
            + width * (u3 - 2 * u2 + u) * leave
            + (3 * u2 - 2 * u3) * end
            + width * (u3 - u2) * arrive
        )
    return slerp(start, end, u[:, 0]) if rotation else start + (end - start) * u


def write_gltf(cameras: Cameras) -> bytes:
    """Writes JSON text with the animation inside as base64."""
    document, binary = _document(cameras)
    document["buffers"][0]["uri"] = "data:application/octet-stream;base64," + base64.b64encode(binary).decode()
    return (json.dumps(document, indent=1) + "\n").encode()


def write_glb(cameras: Cameras) -> bytes:
    """Writes binary glTF."""
    document, binary = _document(cameras)
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    binary += b"\0" * (-len(binary) % 4)
    chunks = struct.pack("<II", len(text), JSON_CHUNK) + text + struct.pack("<II", len(binary), BIN_CHUNK) + binary
    return struct.pack("<III", GLB_MAGIC, 2, 12 + len(chunks)) + chunks


def _document(cameras: Cameras) -> tuple[dict[str, Any], bytes]:
    lenses = lenses_of(cameras, "glTF", vertical_only=True)
    check_plain_lens(lenses, "glTF")
    pose = invert_pose(y_up_from_opencv(cameras.world_to_camera))
    turn = quaternion_from_matrix(pose[:, :3, :3])[:, [1, 2, 3, 0]]
    for i in range(1, len(turn)):  # neighbours on one side, so that naive interpolation takes the short way
        if turn[i] @ turn[i - 1] < 0:
            turn[i] = -turn[i]
    angles = np.radians([[k.vertical_fov] for k in lenses])
    tracks = [("translation", pose[:, :3, 3], "VEC3"), ("rotation", turn, "VEC4")]
    if np.ptp(angles) > 1e-9:
        tracks.append(("yfov", angles, "SCALAR"))
    seconds = np.arange(len(pose))[:, None] / (cameras.fps or DEFAULT_FPS)
    arrays = [("SCALAR", seconds), *((kind, values) for _, values, kind in tracks)]
    views, accessors, binary = [], [], b""
    for kind, values in arrays:
        data = values.astype("<f4")
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": data.nbytes})
        accessors.append({"bufferView": len(views) - 1, "componentType": 5126, "count": len(data), "type": kind})
        accessors[-1] |= {"min": data.min(axis=0).tolist(), "max": data.max(axis=0).tolist()}
        binary += data.tobytes()
    channels = [{"sampler": i, "target": _target(path)} for i, (path, _, _) in enumerate(tracks)]
    samplers = [{"input": 0, "output": i + 1, "interpolation": "LINEAR"} for i in range(len(tracks))]
    first = lenses[0]
    perspective = {"yfov": float(angles[0, 0]), "znear": 0.001, "zfar": 1000}
    if cameras.intrinsics is not None:
        perspective["aspectRatio"] = first.width / first.height
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "EX-4D"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [
            {
                "name": "EX-4D camera",
                "camera": 0,
                "translation": pose[0, :3, 3].tolist(),
                "rotation": turn[0].tolist(),
            }
        ],
        "cameras": [{"type": "perspective", "perspective": perspective}],
        "animations": [{"name": "camera path", "channels": channels, "samplers": samplers}],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": len(binary)}],
    }
    if len(tracks) == 3:
        document["extensionsUsed"] = ["KHR_animation_pointer"]
    return document, binary


def _target(path: str) -> dict[str, Any]:
    if path != "yfov":
        return {"node": 0, "path": path}
    return {"path": "pointer", "extensions": {"KHR_animation_pointer": {"pointer": "/cameras/0/perspective/yfov"}}}
