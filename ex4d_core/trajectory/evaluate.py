"""A trajectory document's poses and lenses at each frame."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..camera import (
    Intrinsics,
    matrix_from_quaternion,
    pose_from,
    quaternion_from_matrix,
    rolled,
    rotation_from_axes,
    slerp,
)
from ..errors import EX4DError
from .curves import Ease, Interpolation, curve, eased, segments_of
from .document import Keyframe, PathDocument
from .horizon import carry_right, closed
from .loop import frames_of_preset, round_of_keys
from .presets import PRESETS, PresetSource, Shot

SHORTEST = 1e-9
"""Position and target closer than this leave no direction to look in."""


@dataclass(frozen=True)
class Evaluated:
    """What a document says at N times.

    Attributes:
        times: (N,) frames.
        world_to_camera: (N, 4, 4) float64.
        position: (N, 3) camera centres, world.
        rotation: (N, 3, 3) camera-to-world, roll included.
        fov: (N,) vertical degrees, or None where the path says nothing of it.
        lens_shift: (N, 2) shares of width and height.
        intrinsics: N cameras, or None where the path leaves the lens to the scene and no scene was given.
    """

    times: np.ndarray
    world_to_camera: np.ndarray
    position: np.ndarray
    rotation: np.ndarray
    fov: np.ndarray | None
    lens_shift: np.ndarray
    intrinsics: tuple[Intrinsics, ...] | None


def evaluate_document(
    document: PathDocument,
    *,
    intrinsics: Intrinsics | None = None,
    times: Sequence[float] | np.ndarray | None = None,
) -> Evaluated:
    """Evaluates a path.

    Args:
        document: what the path says; checked when it was read.
        intrinsics: the scene's lens, which null fields of view inherit.
        times: frames to evaluate, in 0..frames-1 (of a loop to ``frames``, which is frame 0 again), increasing, may be
            fractional; None = every frame.

    Raises:
        EX4DError: times outside the path, or a frame where the camera stands on its target (names it).
    """
    last = document.frames if document.loop else document.frames - 1
    wanted = np.arange(document.frames, dtype=np.float64) if times is None else np.asarray(times, dtype=np.float64)
    inside = wanted.ndim == 1 and len(wanted) and wanted.min() >= 0 and wanted.max() <= last
    if not inside or (np.diff(wanted) < 0).any():
        raise EX4DError(
            f"A path of {document.frames} frames is evaluated at increasing times in 0..{last}, got {times!r}."
        )
    # The horizon is carried along the path (carry_right), so it is walked in small steps whatever is asked for.
    keys, begin = document.keyframes, 0
    if document.loop and document.source is None:
        begin, keys = round_of_keys(document)
    reached = np.where(wanted < begin, wanted + document.frames, wanted)
    walk = np.union1d(begin + _steps(last), reached)
    position, rotation, roll, fov, shift = _walk(document, keys, walk, intrinsics)
    chosen = np.searchsorted(walk, reached)
    position, rotation, shift = position[chosen], rolled(rotation[chosen], roll[chosen]), shift[chosen]
    fov = None if fov is None else fov[chosen]
    lenses = _lenses(document, fov, shift, intrinsics)
    return Evaluated(wanted, pose_from(rotation, position), position, rotation, fov, shift, lenses)


def _steps(last: int) -> np.ndarray:
    """Every frame and evenly many times between: at least 128 steps, at least 2 a frame."""
    if last == 0:
        return np.zeros(1)
    within = max(2, math.ceil(128 / last))
    return np.arange(last * within + 1) / within


def _walk(
    document: PathDocument, keys: Sequence[Keyframe], times: np.ndarray, intrinsics: Intrinsics | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None, np.ndarray]:
    """Position, unrolled rotation, roll, fov and lens shift along the whole path."""
    if document.source is not None:
        shot = preset_shot(document, document.source, times)
        rotation = _level(shot.position, shot.target, times, document)
        return shot.position, rotation, shot.roll, None, np.zeros((len(times), 2))
    key_times = np.array([key.frame for key in keys], dtype=np.float64)
    segment, share = segments_of(times, key_times, [key.ease for key in keys])

    def along(values: Sequence[Sequence[float]], mode: Interpolation = document.interpolation) -> np.ndarray:
        return curve(segment, share, key_times, np.array(values, dtype=np.float64), mode)

    position = along([key.position for key in keys])
    rotation = _keyed_rotation(document, keys, times, segment, share, position)
    fovs = _key_fovs(keys, _scene_lens(document, intrinsics))
    # A curve that overshoots could leave the range of possible lenses.
    fov_mode = "smooth" if document.interpolation == "catmull-rom" else document.interpolation
    fov = None if fovs is None else along([[fov] for fov in fovs], fov_mode)[:, 0]
    roll = along([[key.roll] for key in keys])[:, 0]
    return position, rotation, roll, fov, along([key.lens_shift for key in keys])


def preset_shot(document: PathDocument, source: PresetSource, times: np.ndarray) -> Shot:
    """Positions and targets of a document's preset.

    Args:
        document: gives length, radius and pivot.
        source: the preset and its parameters.
        times: (N,) frames.
    """
    preset = PRESETS[source.preset]
    if document.loop:
        times = frames_of_preset(document, source, times)
    progress = _progress(times, stops_of(source, document.frames - 1), source.ease)
    return preset.formula(progress, dict(source.values), document.radius, np.array(document.pivot))


def stops_of(source: PresetSource, last: int) -> list[tuple[int, float]]:
    """Frames, by increasing number from 0 to the last, and a preset's progress there; its sharp turns are on whole ones."""
    preset = PRESETS[source.preset]
    if preset.schedule is not None:
        return [(frame, progress) for frame, progress, _ in preset.schedule(dict(source.values), last)]
    if last == 0:
        return [(0, 0.0)]
    turns = preset.turns if last > 1 else ()
    between = [(max(1, min(math.floor(turn * last + 0.5), last - 1)), turn) for turn in turns]
    return [(0, 0.0), *between, (last, 1.0)]


def _progress(times: np.ndarray, stops: list[tuple[int, float]], ease: Ease) -> np.ndarray:
    """Progress 0..1 of a preset, eased on each leg between its stops."""
    progress = np.zeros(len(times))
    for (start, before), (end, after) in pairwise(stops):
        if end > start:
            leg = (times >= start) & (times <= end)
            share = eased((times[leg] - start) / (end - start), ease)
            progress[leg] = before + (after - before) * share
    return progress


def _level(position: np.ndarray, target: np.ndarray, times: np.ndarray, document: PathDocument) -> np.ndarray:
    """Camera-to-world rotations that look at the target, level, without flips at the poles.

    Times that are a whole round of a loop end as they begin.
    """
    forward = target - position
    distance = np.linalg.norm(forward, axis=-1)
    if (distance < SHORTEST).any():
        frame = float(times[int(np.argmax(distance < SHORTEST))]) % document.frames
        raise EX4DError(
            f"At frame {frame:g} the camera is exactly at its target, so it has no direction to look in. "
            "Move the keyframes around it so that the path passes beside the target."
        )
    forward = forward / distance[:, None]
    rights = carry_right(forward)
    if document.loop and times[-1] - times[0] == document.frames:
        rights = closed(rights, forward, (times - times[0]) / document.frames)
    return rotation_from_axes(rights, forward)


def _keyed_rotation(
    document: PathDocument,
    keys: Sequence[Keyframe],
    times: np.ndarray,
    segment: np.ndarray,
    share: np.ndarray,
    position: np.ndarray,
) -> np.ndarray:
    """Camera-to-world rotations from keys with targets, with quaternions, or both.

    Neighbouring keys of one kind form a run with its own curve; between a target key and a quaternion key the
    orientation turns by the shortest way.
    """
    mode = document.interpolation
    key_times = np.array([key.frame for key in keys], dtype=np.float64)
    aims = [key.target is not None for key in keys]
    rotation = np.empty((len(times), 3, 3))
    starts = [0, *(i for i in range(1, len(keys)) if aims[i] != aims[i - 1])]
    ends = [*(i - 1 for i in starts[1:]), len(keys) - 1]
    for first, final in zip(starts, ends, strict=True):
        inside = np.ones(len(times), dtype=bool)
        inside &= (times >= key_times[first]) | (first == 0)
        inside &= (times <= key_times[final]) | (final == len(keys) - 1)
        if not inside.any():  # the neighbours of a loop's round
            continue
        run = slice(first, final + 1)
        at = np.clip(segment[inside] - first, 0, max(final - first - 1, 0))
        # Clipping moves a time that sits on the run's last key into the segment before it, where its share is 1.
        u = np.where(segment[inside] - first > at, 1.0, share[inside])
        if aims[first]:
            targets = np.array([key.target for key in keys[run]])
            rotation[inside] = _level(
                position[inside], curve(at, u, key_times[run], targets, mode), times[inside], document
            )
        else:
            quaternions = np.array([key.quaternion for key in keys[run]])
            rotation[inside] = matrix_from_quaternion(_turned(at, u, key_times[run], quaternions, mode))
    for final in ends[:-1]:
        between = (times > key_times[final]) & (times < key_times[final + 1])
        if not between.any():
            continue
        edges = np.searchsorted(times, key_times[final : final + 2])
        start, end = quaternion_from_matrix(rotation[edges])
        count = int(between.sum())
        turned = slerp(np.tile(start, (count, 1)), np.tile(end, (count, 1)), share[between])
        rotation[between] = matrix_from_quaternion(turned)
    return rotation


def _turned(
    at: np.ndarray, u: np.ndarray, key_times: np.ndarray, quaternions: np.ndarray, mode: Interpolation
) -> np.ndarray:
    """Orientations between quaternion keys: the shortest turn (linear), or the positions' cubic on the components."""
    if len(quaternions) == 1:
        return np.repeat(quaternions, len(at), axis=0)
    aligned = quaternions.copy()
    for i in range(1, len(aligned)):
        if aligned[i] @ aligned[i - 1] < 0:
            aligned[i] = -aligned[i]
    if mode == "linear":
        return slerp(aligned[at], aligned[at + 1], u)
    return curve(at, u, key_times, aligned, mode)


def _key_fovs(keys: Sequence[Keyframe], scene: Intrinsics | None) -> list[float] | None:
    """The keys' fields of view with the scene's in place of null; None where all are null or the scene is missing."""
    fovs = [key.fov for key in keys]
    if all(fov is None for fov in fovs) or (scene is None and None in fovs):
        return None
    inherited = 0.0 if scene is None else scene.vertical_fov
    return [inherited if fov is None else fov for fov in fovs]


def _scene_lens(document: PathDocument, scene: Intrinsics | None) -> Intrinsics | None:
    """The scene's lens at the document's size."""
    if document.width is None or document.height is None or scene is None:
        return scene
    return scene.fitted(document.width, document.height)


def _lenses(
    document: PathDocument, fov: np.ndarray | None, shift: np.ndarray, scene: Intrinsics | None
) -> tuple[Intrinsics, ...] | None:
    base = _scene_lens(document, scene)
    if base is None:
        if fov is None or document.width is None or document.height is None:
            return None
        base = Intrinsics.default(document.width, document.height)
    lenses = []
    for i in range(len(shift)):
        fx, fy = base.fx, base.fy
        if fov is not None:
            fy = base.height / 2 / math.tan(math.radians(fov[i]) / 2)
            fx = fy * base.fx / base.fy
        cx, cy = base.cx + shift[i, 0] * base.width, base.cy + shift[i, 1] * base.height
        lenses.append(Intrinsics(float(fx), float(fy), float(cx), float(cy), base.width, base.height))
    return tuple(lenses)
