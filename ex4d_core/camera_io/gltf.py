"""glTF 2.0 camera animation (.gltf with its data inside, or binary .glb): what Blender, Unreal and Houdini exchange.

y up, cameras look along -z, seconds. A camera may hang below other animated nodes; linear, step and cubic curves are
sampled. A changing field of view travels as KHR_animation_pointer on ``/cameras/0/perspective/yfov``. glTF has no frames:
the rate of the scene is told by the keys, which lie on them, and ours writes it into ``asset.extras.fps``.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..camera import (
    DEFAULT_FPS,
    MAX_FRAMES,
    invert_pose,
    is_finite,
    matrix_from_quaternion,
    quaternion_from_matrix,
    slerp,
    y_up_from_opencv,
)
from ..errors import EX4DError
from ..storage.gltf import Buffers, Packer, complete_file, glb_bytes, gltf_bytes, parse
from .cameras import Cameras, Format, Hints, check_plain_lens, lenses_of

log = logging.getLogger(__name__)

SCENE_RATES = (24, 25, 30, 50, 60, 48, 24000 / 1001, 30000 / 1001, 60000 / 1001, 120)
"""Frames a second of scenes, the usual ones first."""
OTHER_RATES = (15, 16)
"""Of scenes too, but taken only where keys lie on every frame: thirty a second, keyed every second frame, looks alike."""
SLOWEST_RATE = 13
"""Frames a second, below which keys are not on every frame of a scene."""
ON_FRAME = 0.02
"""Share of a frame by which a key may lie beside one; exporters round times to float32."""


@dataclass(frozen=True)
class Track:
    """One animated value: key times in seconds, values (K, C), and how to go between them."""

    times: np.ndarray
    values: np.ndarray
    interpolation: str


def read(data: bytes, hints: Hints) -> Cameras:
    """Samples the first animated camera (or the first camera) at ``hints.fps``, else at the rate that its keys tell."""
    with complete_file():
        return _read(data, hints)


def _read(data: bytes, hints: Hints) -> Cameras:
    document, binary = parse(data)
    nodes = document.get("nodes", [])
    parents = {child: i for i, node in enumerate(nodes) for child in node.get("children", [])}
    with_camera = [i for i, node in enumerate(nodes) if "camera" in node]
    if not with_camera:
        raise EX4DError("this glTF file has no camera. Tick cameras in the exporter.")
    chains = [_chain(i, parents) for i in with_camera]
    clips = _clips(document, Buffers(document, binary, hints.folder))
    moving = {node for clip in clips for node, _ in clip.tracks if isinstance(node, int)}
    chain = next((c for c in chains if moving & set(c)), chains[0])
    camera = nodes[chain[-1]]["camera"]
    if "perspective" not in document["cameras"][camera]:
        raise EX4DError("the camera of this glTF file is orthographic; a perspective camera is needed.")
    used = _one_take(clips, [*chain, _lens_of(camera)], hints.name)
    times, fps = _sample_times(list(used.values()), hints.fps or _stated_rate(document))
    pose = np.tile(np.eye(4), (len(times), 1, 1))
    for index in chain:
        pose = pose @ _local(nodes[index], index, used, times)
    # A camera has no scale, whatever its parents have.
    pose[:, :3, :3] /= np.maximum(np.linalg.norm(pose[:, :3, :3], axis=1, keepdims=True), 1e-12)
    yfov = float(document["cameras"][camera]["perspective"]["yfov"])
    track = used.get((_lens_of(camera), "yfov"))
    angles = np.full(len(times), yfov) if track is None else _sampled(track, times, False)[:, 0]
    return Cameras(y_up_from_opencv(invert_pose(pose)), fov=np.degrees(angles), fps=fps)


def _chain(node: int, parents: dict[int, int]) -> list[int]:
    """Node numbers from the root to ``node``."""
    chain = [node]
    while chain[0] in parents:
        if parents[chain[0]] in chain:
            raise EX4DError("this glTF file's nodes form a circle.")
        chain.insert(0, parents[chain[0]])
    return chain


@dataclass(frozen=True)
class Clip:
    """One animation of a file: tracks by (node, path); a camera's field of view by (its `_lens_of`, "yfov")."""

    name: str
    tracks: dict[tuple[int | str, str], Track]


def _clips(document: dict[str, Any], buffers: Buffers) -> list[Clip]:
    clips = []
    for number, animation in enumerate(document.get("animations", [])):
        tracks: dict[tuple[int | str, str], Track] = {}
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
        clips.append(Clip(str(animation.get("name", number)), tracks))
    return clips


def _one_take(clips: list[Clip], targets: list[int | str], file: str) -> dict[tuple[int | str, str], Track]:
    """The tracks of what is looked for, out of clips that go together.

    Exporters write one clip for each object, or one for each take. So a further clip joins the first where it moves other
    objects, and is another take where it moves one that moves already.
    """
    used: dict[tuple[int | str, str], Track] = {}
    others = []
    for clip in clips:
        found = {key: track for key, track in clip.tracks.items() if key[0] in targets}
        if {node for node, _ in found} & {node for node, _ in used}:
            others.append(clip.name)
        else:
            used |= found
    if others:
        log.warning("%s holds several takes of its camera; the first is read, and not: %s.", file, ", ".join(others))
    return used


def _lens_of(camera: Any) -> str:
    """How tracks call a camera's lens, which is no node."""
    return f"lens {camera}"


def _track_key(target: dict[str, Any]) -> tuple[int | str, str] | None:
    if target["path"] in ("translation", "rotation", "scale") and "node" in target:
        return int(target["node"]), target["path"]
    pointer = target.get("extensions", {}).get("KHR_animation_pointer", {}).get("pointer", "")
    parts = pointer.strip("/").split("/")
    if len(parts) == 4 and (parts[0], parts[2], parts[3]) == ("cameras", "perspective", "yfov"):
        return _lens_of(parts[1]), "yfov"
    return None


def _stated_rate(document: dict[str, Any]) -> float | None:
    """What ours writes, and what programs may add in the same place."""
    extras = document["asset"].get("extras")
    rate = extras.get("fps") if isinstance(extras, dict) else None
    return float(rate) if is_finite(rate) and 0.1 <= rate <= 1000 else None


def _sample_times(tracks: list[Track], fps: float | None) -> tuple[np.ndarray, float | None]:
    """Seconds of each frame, and frames a second."""
    if not tracks:
        return np.zeros(1), fps
    keys = np.unique(np.concatenate([track.times for track in tracks]).round(6))
    if fps is None:
        fps = _rate_of_keys(keys)
    count = math.floor((keys[-1] - keys[0]) * fps + ON_FRAME) + 1
    if count > MAX_FRAMES:
        raise EX4DError(f"this glTF animation has {count} frames at {fps:g} a second, more than {MAX_FRAMES}.")
    return keys[0] + np.arange(count) / fps, fps


def _rate_of_keys(keys: np.ndarray) -> float:
    """Frames a second of the scene that keys were set in: the first usual rate at which each lies on a frame, else 24.

    Args:
        keys: seconds, sorted.
    """
    steps = np.diff(keys)
    if not len(steps):
        return SCENE_RATES[0]
    from_first = keys - keys[0]
    closest = round(float(1 / max(steps.min(), 1e-3)), 2)
    every_frame = [rate for rate in (*SCENE_RATES, *OTHER_RATES) if abs(rate - closest) < 0.01]
    for rate in (*every_frame, *SCENE_RATES, *([closest] if closest >= SLOWEST_RATE else [])):
        frames = from_first * rate
        if np.abs(frames - np.round(frames)).max() <= ON_FRAME * max(1.0, rate / 24):
            return rate
    return SCENE_RATES[0]


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
    return gltf_bytes(*_document(cameras))


def write_glb(cameras: Cameras) -> bytes:
    """Writes binary glTF."""
    return glb_bytes(*_document(cameras))


def _document(cameras: Cameras) -> tuple[dict[str, Any], bytes]:
    """The JSON of a scene with one animated camera, and its data."""
    check_plain_lens(lenses_of(cameras, "glTF", vertical_only=True), "glTF")
    document = empty_document("camera path", cameras.fps or DEFAULT_FPS)
    packer = Packer()
    add_camera(document, packer, cameras, "EX-4D camera")
    return {**finished(document), **packer.described()}, packer.binary


def empty_document(animation: str, fps: float) -> dict[str, Any]:
    """A scene that :func:`add_camera` and others add to.

    Args:
        animation: the name of its one animation.
        fps: frames a second, told in ``asset.extras``.
    """
    return {
        "asset": {"version": "2.0", "generator": "EX-4D", "extras": {"fps": fps}},
        "scene": 0,
        "scenes": [{"nodes": []}],
        "nodes": [],
        "cameras": [],
        "animations": [{"name": animation, "channels": [], "samplers": []}],
    }


def finished(document: dict[str, Any]) -> dict[str, Any]:
    """The document without what stayed empty, which glTF does not allow."""
    kept = {key: value for key, value in document.items() if value != []}
    if not document["animations"][0]["channels"]:
        del kept["animations"]
    return kept


def add_camera(document: dict[str, Any], packer: Packer, cameras: Cameras, name: str) -> None:
    """Adds a camera to a document, with a key on every frame; one pose stands still.

    A lens shift is left out, since glTF has none.

    Args:
        document: as :func:`empty_document` makes it; changed in place.
        packer: takes its data.
        cameras: one pose a frame, OpenCV.
        name: of its node.

    Raises:
        UnknownLens: the cameras leave the lens to the scene.
    """
    lenses = lenses_of(cameras, "glTF", vertical_only=True)
    pose = invert_pose(y_up_from_opencv(cameras.world_to_camera))
    position, turn = pose[:, :3, 3], _short_turns(quaternion_from_matrix(pose[:, :3, :3]))[:, [1, 2, 3, 0]]
    angles = np.radians([[k.vertical_fov] for k in lenses])
    number, node = len(document["cameras"]), len(document["nodes"])
    tracks = [("translation", position, "VEC3"), ("rotation", turn, "VEC4")]
    if np.ptp(angles) > 1e-9:
        tracks.append(("yfov", angles, "SCALAR"))
        document["extensionsUsed"] = sorted({*document.get("extensionsUsed", ()), "KHR_animation_pointer"})
    if len(pose) > 1:
        seconds = packer.add((np.arange(len(pose))[:, None] / (cameras.fps or DEFAULT_FPS)).astype("<f4"), "SCALAR")
        animation = document["animations"][0]
        for path, values, kind in tracks:
            output = packer.add(values.astype("<f4"), kind)
            animation["channels"].append({"sampler": len(animation["samplers"]), "target": _target(path, node, number)})
            animation["samplers"].append({"input": seconds, "output": output, "interpolation": "LINEAR"})
    perspective = {"yfov": float(angles[0, 0]), "znear": 0.001, "zfar": 1000}
    if cameras.intrinsics is not None:
        perspective["aspectRatio"] = lenses[0].width / lenses[0].height * (lenses[0].fy / lenses[0].fx)
    document["scenes"][0]["nodes"].append(node)
    document["nodes"].append(
        {"name": name, "camera": number, "translation": position[0].tolist(), "rotation": turn[0].tolist()}
    )
    document["cameras"].append({"type": "perspective", "perspective": perspective})


def _short_turns(quaternions: np.ndarray) -> np.ndarray:
    """(T, 4) with neighbours on one side, so that programs that interpolate the numbers take the short way."""
    turns = quaternions.copy()
    for i in range(1, len(turns)):
        if turns[i] @ turns[i - 1] < 0:
            turns[i] = -turns[i]
    return turns


def _target(path: str, node: int, camera: int) -> dict[str, Any]:
    if path != "yfov":
        return {"node": node, "path": path}
    pointer = f"/cameras/{camera}/perspective/yfov"
    return {"path": "pointer", "extensions": {"KHR_animation_pointer": {"pointer": pointer}}}


GLTF = Format(
    name="gltf",
    title="glTF",
    suffixes=(".gltf",),
    used_by="Blender, Unreal, three.js",
    keeps="poses, field of view",
    read=read,
    write=write_gltf,
)
GLB = replace(GLTF, name="glb", title="binary glTF", suffixes=(".glb",), write=write_glb)
