"""Which moment of the clip each frame of a path shows, where its keys say so: slow, fast, frozen, backwards."""

from __future__ import annotations

import numpy as np

from ..errors import EX4DError
from .document import PathDocument

IN_MOTION = 1e-9
"""Frames by which a time may leave the clip, for rounding's sake."""


def source_times(document: PathDocument, clip_frames: int) -> np.ndarray | None:
    """The source time of every frame.

    Where a key says it, it is so; between two such keys time goes evenly by frame. Before the first of them the clip's first
    frame is at the path's first, after the last the clip's last frame at the path's last.

    Args:
        document: the path.
        clip_frames: length of the clip, at least 1.

    Returns:
        (T,) frames of the clip, may be fractional; None where no key sets a time, and frame n shows frame n.

    Raises:
        EX4DError: a time beyond the clip; names the keyframe.
    """
    if not document.sets_the_time:
        return None
    timed = [(index, key.frame, key.time) for index, key in enumerate(document.keyframes) if key.time is not None]
    for index, frame, time in timed:
        if time > clip_frames - 1 + IN_MOTION:
            raise EX4DError(
                f"Keyframe {index} (frame {frame}) shows frame {time:g} of the clip, which ends at {clip_frames - 1}. Move its "
                "time into the clip."
            )
    frames, times = [float(frame) for _, frame, _ in timed], [time for *_, time in timed]
    last = document.frames - 1
    if frames[0] > 0:
        frames, times = [0.0, *frames], [0.0, *times]
    if frames[-1] < last:
        frames, times = [*frames, float(last)], [*times, float(clip_frames - 1)]
    return np.interp(np.arange(document.frames), frames, times)


def source_frames(document: PathDocument, clip_frames: int) -> np.ndarray | None:
    """The clip's frame that every frame shows: the nearest to its time, halves rounded up; None as in `source_times`.

    Raises:
        EX4DError: a time beyond the clip.
    """
    times = source_times(document, clip_frames)
    return None if times is None else np.floor(times + 0.5).astype(np.int64).clip(0, clip_frames - 1)


def key_times(document: PathDocument, frames: np.ndarray) -> list[float | None]:
    """Times at some frames of the path, as far as its keys tell them without knowing the clip; for keys put there.

    Args:
        document: the path.
        frames: (N,) may be fractional.
    """
    timed = [(key.frame, key.time) for key in document.keyframes if key.time is not None]
    if not timed or document.source is not None:
        return [None] * len(frames)
    at, times = zip(*timed, strict=True)
    known = (frames >= at[0]) & (frames <= at[-1])
    found = np.interp(frames, at, times)
    return [float(time) if inside else None for time, inside in zip(found, known, strict=True)]
