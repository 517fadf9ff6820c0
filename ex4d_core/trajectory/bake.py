"""Documents from documents: presets into keyframes, other frame counts, keyframes from poses."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np

from ..camera import DEFAULT_FPS, MAX_FRAMES, Intrinsics, UnknownLens, invert_pose, quaternion_from_matrix
from ..errors import EX4DError
from .document import DEFAULT_RADIUS, VERSION, parse_document
from .evaluate import evaluate_document, preset_shot, turn_frames
from .presets import PRESETS

BAKE_TOLERANCE = 0.02
"""How far a baked path may be from its preset: share of the radius, and radians of orientation."""


def bake_document(document: str | dict[str, Any], tolerance: float = BAKE_TOLERANCE) -> dict[str, Any]:
    """Turns a preset into a few keyframes that a person can edit.

    Starts from the ends and the sharp turns, and halves every stretch between keys that is off by more than the
    tolerance. With ``tolerance=0`` every frame gets a key and the path is kept exactly.

    Args:
        document: a path; without a source it is returned as it is.
        tolerance: share of the radius for positions, radians for orientations.

    Returns:
        A document with ``source`` null.
    """
    document = parse_document(document)
    if document["source"] is None:
        return document
    last = document["frames"] - 1
    exact = evaluate_document(document)
    shot = preset_shot(document, exact.times)
    turns = PRESETS[document["source"]["preset"]].turns
    frames = {0, last, *turn_frames(turns, last)} if tolerance > 0 else set(range(last + 1))
    while True:
        keys = sorted(frames)
        baked = {**document, "source": None, "keyframes": [_target_key(shot, frame) for frame in keys]}
        split = _off_stretches(baked, exact, keys, tolerance * document["radius"], tolerance) if tolerance > 0 else []
        if not split:
            return baked
        frames.update(split)


def _target_key(shot: Any, frame: int) -> dict[str, Any]:
    return {
        "frame": frame,
        "position": shot.position[frame].tolist(),
        "target": shot.target[frame].tolist(),
        "roll": float(shot.roll[frame]),
        "fov": None,
        "lens_shift": [0.0, 0.0],
        "ease": "linear",
    }


def _off_stretches(baked: dict[str, Any], exact: Any, keys: list[int], distance: float, angle: float) -> list[int]:
    """Middle frames of the stretches between keys where the baked path leaves the exact one."""
    try:
        tried = evaluate_document(baked)
    except EX4DError:  # too few keys can lead the camera through its target
        return [(a + b) // 2 for a, b in pairwise(keys) if b - a > 1]
    off = np.linalg.norm(tried.position - exact.position, axis=-1) > distance
    # The Frobenius norm of the difference of two rotations is 2 sqrt(2) sin(angle / 2).
    off |= np.linalg.norm(tried.rotation - exact.rotation, axis=(1, 2)) > 2 * math.sqrt(2) * math.sin(angle / 2)
    return [(a + b) // 2 for a, b in pairwise(keys) if b - a > 1 and off[a : b + 1].any()]


def scale_document(document: str | dict[str, Any], scale: float) -> dict[str, Any]:
    """The same path in a scene that is ``scale`` times as large: radius, pivot, positions and targets."""
    document = parse_document(document)
    keys = [
        {**key, **{name: [scale * v for v in key[name]] for name in ("position", "target") if name in key}}
        for key in document["keyframes"]
    ]
    pivot = [scale * v for v in document["pivot"]]
    return parse_document({**document, "radius": scale * document["radius"], "pivot": pivot, "keyframes": keys})


def resample_document(
    document: str | dict[str, Any], frames: int, intrinsics: Intrinsics | None = None
) -> dict[str, Any]:
    """The same path over another number of frames, in the same time if ``fps`` is scaled too (it is not).

    A preset is asked for at the new length. Keyframes move to the nearest frame; where two would fall together, the
    path gets a key on every frame instead.

    Args:
        frames: the new length.
        intrinsics: the scene's lens; needed only where keys fall together, some of which inherit it and some do not.

    Raises:
        EX4DError: ``frames`` below 1 or above the limit, or the scene's lens is needed and missing.
    """
    document = parse_document(document)
    if isinstance(frames, bool) or frames != int(frames) or not 1 <= frames <= MAX_FRAMES:
        raise EX4DError(f"A camera path has 1 to {MAX_FRAMES} frames, got {frames}.")
    frames = int(frames)
    old, new = document["frames"] - 1, frames - 1
    document = {**document, "frames": frames}
    if old == new or not document["keyframes"]:
        return document
    scale = new / old if old else 0.0
    moved = [math.floor(key["frame"] * scale + 0.5) for key in document["keyframes"]]
    if len(set(moved)) == len(moved):
        keys = [{**key, "frame": frame} for key, frame in zip(document["keyframes"], moved, strict=True)]
        return {**document, "keyframes": keys}
    if document["source"] is not None:
        return {**document, "keyframes": []}
    whole = evaluate_document({**document, "frames": old + 1}, intrinsics=intrinsics, times=np.linspace(0, old, frames))
    if whole.fov is None and any(key["fov"] is not None for key in document["keyframes"]):
        raise UnknownLens(
            "Some keyframes set a field of view and some inherit the scene's, which is not known here. "
            "Give the scene's lens, or set the field of view on every keyframe."
        )
    return {**document, "keyframes": _quaternion_keys(whole.position, whole.rotation, whole.fov, whole.lens_shift)}


def document_from_poses(
    world_to_camera: np.ndarray,
    intrinsics: tuple[Intrinsics, ...] | None = None,
    *,
    fps: float = DEFAULT_FPS,
    radius: float | None = None,
) -> dict[str, Any]:
    """A document with one quaternion keyframe a frame, for paths that came as matrices.

    Args:
        world_to_camera: (T, 4, 4).
        intrinsics: T lenses of one size with square pixels, or None = the scene's.
        fps: frames a second.
        radius: scene scale for the editor; None = half the path's extent (the default if it stands still).

    Raises:
        EX4DError: lenses that a document cannot hold (pixels that are not square, several sizes).
    """
    if intrinsics is None:
        return document_from_lenses(world_to_camera, None, None, fps=fps, radius=radius)
    width, height = intrinsics[0].width, intrinsics[0].height
    if any((k.width, k.height) != (width, height) for k in intrinsics):
        raise EX4DError("A camera path has one image size, this one changes it between frames. Resize it first.")
    if any(abs(k.fx - k.fy) > 1e-3 * k.fy for k in intrinsics):
        raise EX4DError("A JSON camera path has square pixels, but fx and fy differ. Save it as .npz instead.")
    fov = np.array([k.vertical_fov for k in intrinsics])
    shift = np.array([[k.cx / width - 0.5, k.cy / height - 0.5] for k in intrinsics])
    return document_from_lenses(world_to_camera, fov, shift, fps=fps, width=width, height=height, radius=radius)


def document_from_lenses(
    world_to_camera: np.ndarray,
    fov: np.ndarray | None,
    lens_shift: np.ndarray | None,
    *,
    fps: float = DEFAULT_FPS,
    width: int | None = None,
    height: int | None = None,
    radius: float | None = None,
) -> dict[str, Any]:
    """Like :func:`document_from_poses`, with lenses as (T,) vertical degrees and (T, 2) shifts in shares of the image."""
    pose = invert_pose(world_to_camera)
    if radius is None:
        extent = float(np.ptp(pose[:, :3, 3], axis=0).max())
        radius = extent / 2 if extent > 1e-6 else DEFAULT_RADIUS
    shift = np.zeros((len(pose), 2)) if lens_shift is None else lens_shift
    return parse_document(
        {
            "version": VERSION,
            "frames": len(pose),
            "fps": fps,
            "width": width,
            "height": height,
            "interpolation": "linear",
            "pivot": [0.0, 0.0, radius],
            "radius": radius,
            "source": None,
            "keyframes": _quaternion_keys(pose[:, :3, 3], pose[:, :3, :3], fov, shift),
        }
    )


def _quaternion_keys(
    position: np.ndarray, rotation: np.ndarray, fov: np.ndarray | None, shift: np.ndarray
) -> list[dict[str, Any]]:
    quaternions = quaternion_from_matrix(rotation)
    return [
        {
            "frame": frame,
            "position": position[frame].tolist(),
            "quaternion": quaternions[frame].tolist(),
            "roll": 0.0,
            "fov": None if fov is None else float(fov[frame]),
            "lens_shift": shift[frame].tolist(),
            "ease": "linear",
        }
        for frame in range(len(position))
    ]
