"""Documents from documents: presets into keyframes, other frame counts, keyframes from poses."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np

from ..camera import DEFAULT_FPS, MAX_FRAMES, Intrinsics, UnknownLens, invert_pose, is_finite, quaternion_from_matrix
from ..errors import EX4DError
from .document import DEFAULT_RADIUS, MAX_COORDINATE, RADIUS_RANGE, VERSION, Keyframe, PathDocument, Quaternion, Vector
from .evaluate import Evaluated, evaluate_document, preset_shot, stops_of
from .parse import parse_document
from .presets import Shot
from .time import key_times

BAKE_TOLERANCE = 0.02
"""How far a baked path may be from its preset: share of the radius, and radians of orientation."""
BAKED_TIME = 0.25
"""Frames of the clip by which a baked path's moments may be off."""


def bake_document(document: PathDocument, tolerance: float = BAKE_TOLERANCE) -> PathDocument:
    """Turns a preset into a few keyframes that a person can edit.

    Starts from the ends and the sharp turns, and halves every stretch between keys that is off by more than the
    tolerance, or by a quarter of a frame of the clip where the preset bends time. With ``tolerance=0`` every frame gets a
    key and the path is kept exactly.

    Args:
        document: a path; without a source it is returned as it is.
        tolerance: share of the radius for positions, radians for orientations.

    Returns:
        A document without a source.
    """
    if document.source is None:
        return document
    last = document.frames - 1
    exact = evaluate_document(document)
    shot = preset_shot(document, document.source, exact.times)
    moments = key_times(document, exact.times)
    stops = {frame for frame, _ in stops_of(document.source, last)}
    frames = stops | {0, last} if tolerance > 0 else set(range(last + 1))
    while True:
        keys = sorted(frames)
        baked = replace(document, source=None, keyframes=tuple(_target_key(shot, frame, moments) for frame in keys))
        split = _off_stretches(baked, exact, keys, tolerance * document.radius, tolerance) if tolerance > 0 else set()
        split |= _untimely_stretches(baked, moments, keys)
        if not split:
            return baked
        frames |= split


def _target_key(shot: Shot, frame: int, moments: list[float | None]) -> Keyframe:
    return Keyframe(
        frame,
        _vector(shot.position[frame]),
        _vector(shot.target[frame]),
        roll=float(shot.roll[frame]),
        time=moments[frame],
    )


def _vector(values: np.ndarray) -> Vector:
    x, y, z = values.tolist()
    return x, y, z


def _quaternion(values: np.ndarray) -> Quaternion:
    w, x, y, z = values.tolist()
    return w, x, y, z


def _off_stretches(baked: PathDocument, exact: Evaluated, keys: list[int], distance: float, angle: float) -> set[int]:
    """Middle frames of the stretches between keys where the baked path leaves the exact one."""
    try:
        tried = evaluate_document(baked)
    except EX4DError:  # too few keys can lead the camera through its target
        return {(a + b) // 2 for a, b in pairwise(keys) if b - a > 1}
    off = np.linalg.norm(tried.position - exact.position, axis=-1) > distance
    # The Frobenius norm of the difference of two rotations is 2 sqrt(2) sin(angle / 2).
    off |= np.linalg.norm(tried.rotation - exact.rotation, axis=(1, 2)) > 2 * math.sqrt(2) * math.sin(angle / 2)
    return {(a + b) // 2 for a, b in pairwise(keys) if b - a > 1 and off[a : b + 1].any()}


def _untimely_stretches(baked: PathDocument, moments: list[float | None], keys: list[int]) -> set[int]:
    """Middle frames of the stretches between keys where the baked path shows another moment of the clip."""
    if not baked.sets_the_time:
        return set()
    tried = key_times(baked, np.arange(baked.frames, dtype=np.float64))
    off = np.abs(np.array(moments, dtype=np.float64) - np.array(tried, dtype=np.float64)) > BAKED_TIME
    return {(a + b) // 2 for a, b in pairwise(keys) if b - a > 1 and off[a : b + 1].any()}


def scale_document(document: PathDocument, scale: float) -> PathDocument:
    """The same path in a scene that is ``scale`` times as large: radius, pivot, positions and targets.

    Args:
        document: the path.
        scale: > 0.

    Raises:
        EX4DError: the path would leave the sizes that a document may have.
    """

    def scaled(point: Vector) -> Vector:
        return scale * point[0], scale * point[1], scale * point[2]

    keys = tuple(
        replace(key, position=scaled(key.position), target=None if key.target is None else scaled(key.target))
        for key in document.keyframes
    )
    radius, pivot = scale * document.radius, scaled(document.pivot)
    points = [pivot, *(key.position for key in keys), *(key.target for key in keys if key.target is not None)]
    farthest = max(abs(v) for point in points for v in point)
    # "Not within" instead of "beyond", so that a scale of NaN is refused as well.
    if not (RADIUS_RANGE[0] <= radius <= RADIUS_RANGE[1] and farthest <= MAX_COORDINATE):
        raise EX4DError(
            f"Scaled by {scale:g} the camera path has a radius of {radius:g} and reaches {farthest:g} from the source; "
            f"expected a radius of {RADIUS_RANGE[0]:g} to {RADIUS_RANGE[1]:g}, and {MAX_COORDINATE:g} at most."
        )
    return replace(document, radius=radius, pivot=pivot, keyframes=keys)


def resample_document(document: PathDocument, frames: int, intrinsics: Intrinsics | None = None) -> PathDocument:
    """The same path over another number of frames, in the same time if ``fps`` is scaled too (it is not).

    A preset is asked for at the new length. Keyframes move to the nearest frame; where two would fall together, the
    path gets a key on every frame instead. Of a loop it is the round that keeps its shape.

    Args:
        document: the path.
        frames: the new length.
        intrinsics: the scene's lens; needed only where keys fall together, some of which inherit it and some do not.

    Raises:
        EX4DError: ``frames`` below 1 or above the limit, or the scene's lens is needed and missing.
    """
    if not is_finite(frames) or frames != int(frames) or not 1 <= frames <= MAX_FRAMES:
        raise EX4DError(f"A camera path has 1 to {MAX_FRAMES} frames, got {frames}.")
    frames = int(frames)
    old, new = document.frames - 1, frames - 1
    if old == new or not document.keyframes:
        return replace(document, frames=frames)
    scale = frames / document.frames if document.loop else new / old if old else 0.0
    moved = [math.floor(key.frame * scale + 0.5) for key in document.keyframes]
    if len(set(moved)) == len(moved) and moved[-1] <= new:
        keys = tuple(replace(key, frame=frame) for key, frame in zip(document.keyframes, moved, strict=True))
        return replace(document, frames=frames, keyframes=keys)
    if document.source is not None:
        return replace(document, frames=frames, keyframes=())
    times = np.arange(frames) / scale if document.loop else np.linspace(0, old, frames)
    whole = evaluate_document(document, intrinsics=intrinsics, times=times)
    if whole.fov is None and any(key.fov is not None for key in document.keyframes):
        raise UnknownLens(
            "Some keyframes set a field of view and some inherit the scene's, which is not known here. "
            "Give the scene's lens, or set the field of view on every keyframe."
        )
    keys = _quaternion_keys(whole.position, whole.rotation, whole.fov, whole.lens_shift)
    timed = key_times(document, whole.times)
    keys = tuple(replace(key, time=time) for key, time in zip(keys, timed, strict=True))
    return replace(document, frames=frames, keyframes=keys)


def document_from_poses(
    world_to_camera: np.ndarray,
    intrinsics: tuple[Intrinsics, ...] | None = None,
    *,
    fps: float = DEFAULT_FPS,
    radius: float | None = None,
    pivot: Vector | None = None,
) -> PathDocument:
    """A document with one quaternion keyframe a frame, for paths that came as matrices.

    Args:
        world_to_camera: (T, 4, 4).
        intrinsics: T lenses of one size with square pixels, or None = the scene's.
        fps: frames a second.
        radius: scene scale for the editor; None = half the path's extent (the default if it stands still).
        pivot: (x, y, z) that the editor turns around; None = (0, 0, radius).

    Raises:
        EX4DError: lenses that a document cannot hold (pixels that are not square, several sizes).
    """
    if intrinsics is None:
        return document_from_lenses(world_to_camera, None, None, fps=fps, radius=radius, pivot=pivot)
    width, height = intrinsics[0].width, intrinsics[0].height
    if any((k.width, k.height) != (width, height) for k in intrinsics):
        raise EX4DError("A camera path has one image size, this one changes it between frames. Resize it first.")
    if any(abs(k.fx - k.fy) > 1e-3 * k.fy for k in intrinsics):
        raise EX4DError("A JSON camera path has square pixels, but fx and fy differ. Save it as .npz instead.")
    fov = np.array([k.vertical_fov for k in intrinsics])
    shift = np.array([[k.cx / width - 0.5, k.cy / height - 0.5] for k in intrinsics])
    return document_from_lenses(
        world_to_camera, fov, shift, fps=fps, width=width, height=height, radius=radius, pivot=pivot
    )


def document_from_lenses(
    world_to_camera: np.ndarray,
    fov: np.ndarray | None,
    lens_shift: np.ndarray | None,
    *,
    fps: float = DEFAULT_FPS,
    width: int | None = None,
    height: int | None = None,
    radius: float | None = None,
    pivot: Vector | None = None,
) -> PathDocument:
    """Like :func:`document_from_poses`, with lenses told without an image size.

    Args:
        world_to_camera: (T, 4, 4).
        fov: (T,) vertical degrees, or None = the scene's.
        lens_shift: (T, 2) shares of the image, or None = not shifted.
        fps: frames a second.
        width: image width in pixels, or None = the scene's.
        height: image height in pixels, or None = the scene's.
        radius: scene scale for the editor; None = half the path's extent (the default if it stands still).
        pivot: (x, y, z) that the editor turns around; None = (0, 0, radius).

    Raises:
        EX4DError: values that no document may hold.
    """
    pose = invert_pose(world_to_camera)
    if radius is None:
        extent = float(np.ptp(pose[:, :3, 3], axis=0).max())
        radius = extent / 2 if extent > 1e-6 else DEFAULT_RADIUS
    shift = np.zeros((len(pose), 2)) if lens_shift is None else lens_shift
    keys = _quaternion_keys(pose[:, :3, 3], pose[:, :3, :3], fov, shift)
    return parse_document(
        {
            "version": VERSION,
            "frames": len(pose),
            "fps": fps,
            "width": width,
            "height": height,
            "interpolation": "linear",
            "pivot": [0.0, 0.0, radius] if pivot is None else list(pivot),
            "radius": radius,
            "source": None,
            "keyframes": [key.to_dict() for key in keys],
        }
    )


def _quaternion_keys(
    position: np.ndarray, rotation: np.ndarray, fov: np.ndarray | None, shift: np.ndarray
) -> tuple[Keyframe, ...]:
    quaternions = quaternion_from_matrix(rotation)
    return tuple(
        Keyframe(
            frame,
            _vector(position[frame]),
            quaternion=_quaternion(quaternions[frame]),
            fov=None if fov is None else float(fov[frame]),
            lens_shift=(float(shift[frame, 0]), float(shift[frame, 1])),
        )
        for frame in range(len(position))
    )
