"""V2M4's benchmark (Chen et al., 2025): animations of single objects, one film each and no second camera.

A set is a folder, the published ``simple`` or ``complex`` one or the examples beside the code::

    <animation>.mp4            a film; or
    <animation>/<frame>.png    its pictures

What V2M4 compares is the film itself with one of the animated mesh from the same camera. So each clip is its own target, by the
range ``same``; neither its camera nor its depth is known. The 4D files of ``complex`` (.fbx, .blend) are not read: they have no
camera of the film.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...camera import Intrinsics
from ...errors import EX4DError
from ...storage.names import natural_order
from ...video import probe_video
from ...video.sources import IMAGE_SUFFIXES
from .views import PublicCase, View


def cases(folder: Path) -> Iterator[PublicCase]:
    """Every animation in a folder.

    Raises:
        EX4DError: none there, or one that cannot be read.
    """
    if not folder.is_dir():
        raise EX4DError(f"There is no folder '{folder}'.")
    clips = sorted(
        (path for path in folder.iterdir() if path.name[0] != "." and _is_clip(path)),
        key=lambda path: natural_order(path.name),
    )
    if not clips:
        raise EX4DError(f"'{folder}' holds no animation of V2M4: neither <name>.mp4 nor folders of pictures.")
    for clip in clips:
        info = probe_video(clip, thorough=True)
        frames = info.frames or 1
        lens = Intrinsics.default(info.width, info.height)
        view = View("same", clip, np.tile(np.eye(4), (frames, 1, 1)), [lens] * frames)
        yield PublicCase(clip.stem.replace(" ", "_"), view, (view,), float(info.fps))


def _is_clip(path: Path) -> bool:
    if path.is_file():
        return path.suffix.lower() == ".mp4"
    return any(file.suffix.lower() in IMAGE_SUFFIXES for file in path.iterdir())
