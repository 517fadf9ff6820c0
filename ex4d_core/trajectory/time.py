"""Which moment of the clip each frame of a path shows, where its keys or its preset say so: slow, fast, frozen, backwards."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ..errors import EX4DError
from .curves import Ease, eased
from .document import PathDocument
from .loop import frames_of_preset
from .presets import PRESETS

IN_MOTION = 1e-9
"""Frames by which a time may leave the clip, for rounding's sake."""


class Moment(NamedTuple):
    """A frame of the path, the frame of the clip that is shown there, and the warp of the way to it."""

    frame: float
    time: float
    ease: Ease = "linear"


def source_times(document: PathDocument, clip_frames: int) -> np.ndarray | None:
    """The source time of every frame.

    Where a key says it, it is so; between two such keys time goes by frame, evenly or as the later one's time_ease says.
    Before the first of them the clip's first frame is at the path's first, after the last the clip's last frame at the path's
    last; in a loop time goes on from the last to the first.

    Args:
        document: the path.
        clip_frames: length of the clip, at least 1.

    Returns:
        (T,) frames of the clip, may be fractional; None where nothing sets a time, and frame n shows frame n.

    Raises:
        EX4DError: a time beyond the clip; names the keyframe or the preset.
    """
    if not document.sets_the_time:
        return None
    _check_times(document, clip_frames)
    frames = np.arange(document.frames, dtype=np.float64)
    if document.source is not None:
        return _preset_times(document, frames)
    moments = _moments(document)
    if not document.loop:
        last = document.frames - 1
        if moments[0].frame > 0:
            moments = [Moment(0.0, 0.0), *moments]
        if moments[-1].frame < last:
            moments = [*moments, Moment(last, clip_frames - 1)]
    return _times_at(frames, moments)


def source_frames(document: PathDocument, clip_frames: int) -> np.ndarray | None:
    """The clip's frame that every frame shows: the nearest to its time, halves rounded up; None as in `source_times`.

    Raises:
        EX4DError: a time beyond the clip.
    """
    times = source_times(document, clip_frames)
    return None if times is None else np.floor(times + 0.5).astype(np.int64).clip(0, clip_frames - 1)


def key_times(document: PathDocument, frames: np.ndarray) -> list[float | None]:
    """Times at some frames of the path, as far as it tells them without knowing the clip; for keys put there.

    Args:
        document: the path.
        frames: (N,) may be fractional.
    """
    if not document.sets_the_time:
        return [None] * len(frames)
    if document.source is not None:
        return [float(time) for time in _preset_times(document, frames)]
    moments = _moments(document)
    known = (frames >= moments[0].frame) & (frames <= moments[-1].frame)
    found = _times_at(frames, moments)
    return [float(time) if inside else None for time, inside in zip(found, known, strict=True)]


def _check_times(document: PathDocument, clip_frames: int) -> None:
    last = clip_frames - 1
    if document.source is not None:
        latest = float(_preset_times(document, np.arange(document.frames, dtype=np.float64)).max())
        if latest > last + IN_MOTION:
            raise EX4DError(
                f"The preset {document.source.preset!r} over {document.frames} frames runs to frame {latest:g} of the clip, "
                f"which ends at {last}. Freeze it earlier, or make the path shorter."
            )
        return
    for index, key in enumerate(document.keyframes):
        if key.time is not None and key.time > last + IN_MOTION:
            raise EX4DError(
                f"Keyframe {index} (frame {key.frame}) shows frame {key.time:g} of the clip, which ends at {last}. Move its "
                "time into the clip."
            )


def _preset_times(document: PathDocument, frames: np.ndarray) -> np.ndarray:
    source = document.source
    assert source is not None
    schedule = PRESETS[source.preset].schedule
    assert schedule is not None
    if document.loop:
        frames = frames_of_preset(document, source, frames)
    stops = schedule(dict(source.values), document.frames - 1)
    return _times_at(frames, [Moment(frame, time) for frame, _, time in stops])


def _moments(document: PathDocument) -> list[Moment]:
    """The keys with a time; of a loop a whole round and more, from before its first frame to behind its last."""
    moments = [Moment(key.frame, key.time, key.time_ease) for key in document.keyframes if key.time is not None]
    if not document.loop:
        return moments
    first, last = moments[0], moments[-1]
    before = last._replace(frame=last.frame - document.frames)
    return [before, *moments, first._replace(frame=first.frame + document.frames)]


def _times_at(frames: np.ndarray, moments: list[Moment]) -> np.ndarray:
    """Times at (N,) frames; those before the first moment or after the last hold it."""
    warped = np.asarray(frames, dtype=np.float64).copy()
    for before, after in pairwise(moments):
        if after.ease != "linear":
            within = (frames > before.frame) & (frames < after.frame)
            width = after.frame - before.frame
            warped[within] = before.frame + width * eased((warped[within] - before.frame) / width, after.ease)
    return np.interp(warped, [moment.frame for moment in moments], [moment.time for moment in moments])
