"""Tracks in a file: made by any tracker, of the whole clip."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ...errors import EX4DError
from ...storage.npz import NpzWriter, arrays_in
from ...storage.staging import staged_file
from .tracks import Tracks

PATH, VISIBLE = "track_path", "track_visibility"
"""Names in the file, those of ComfyUI's TRACKS."""


class TracksFile:
    """A `Tracker` that looks up what a file holds: each point follows the stored track that is nearest to it.

    Args:
        tracks: of the whole clip.
    """

    def __init__(self, tracks: Tracks) -> None:
        self.tracks = tracks

    def __call__(
        self,
        frames: np.ndarray,
        points: np.ndarray,
        start: int,
        cancel: Callable[[], bool] | None = None,  # noqa: ARG002, nothing here takes long
    ) -> Tracks:
        """The tracks nearest to (N, 2) points in frame ``start``; each keeps its distance to the point.

        A track that is not seen in that frame is nobody's; where none is, the points are not seen at all.
        """
        path, seen = self.tracks.path, self.tracks.seen
        if len(frames) != len(path):
            raise EX4DError(f"The tracks are of {len(path)} frames, but the clip has {len(frames)}.")
        known = np.flatnonzero(seen[start])
        if not len(known):
            return Tracks(np.repeat(points[None], len(path), 0), np.zeros((len(path), len(points)), bool))
        distance = np.square(points[:, None] - path[start, known][None]).sum(-1)
        nearest = known[distance.argmin(1)]
        moved = path[:, nearest] + (points - path[start, nearest])[None]
        return Tracks(moved.astype(np.float32), seen[:, nearest])


def load_tracks(path: str | Path) -> Tracks:
    """Tracks from an .npz of ``track_path`` (T, N, 2) in pixels and ``track_visibility`` (T, N).

    Raises:
        EX4DError: no file, or another content.
    """
    try:
        arrays = arrays_in(path, PATH, VISIBLE)
    except EX4DError as error:
        raise EX4DError(f"'{path}' cannot be read as tracks: an .npz with {PATH} and {VISIBLE} is wanted.") from error
    return Tracks(arrays[PATH].astype(np.float32), arrays[VISIBLE].astype(bool))


def save_tracks(path: str | Path, tracks: Tracks) -> None:
    """Write an .npz that `load_tracks` reads."""
    with staged_file(path) as part, NpzWriter(part) as archive:
        archive.array(PATH, tracks.path)
        archive.array(VISIBLE, tracks.seen)
