"""The files of one camera path, written frame by frame."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np

from ..storage.npz import NpzWriter
from ..video import Sound, VideoClip, VideoWriter


class ShotWriter:
    """Takes a path's frames one by one; `shot_writer` makes it.

    Attributes:
        seen: (T,) share of each frame's pixels that are seen; 0 for frames not yet written.
    """

    def __init__(
        self,
        color: VideoWriter,
        mask: VideoWriter,
        memory: VideoWriter | None,
        lossless: tuple[NpzWriter, list[bytes]] | None,
        frames: int,
    ) -> None:
        self.seen = np.zeros(frames)
        self._color, self._mask, self._memory, self._lossless = color, mask, memory, lossless
        self._written = 0

    def write(self, color: np.ndarray, mask: np.ndarray, remembered: np.ndarray | None = None) -> None:
        """The next frame: (H, W, 3) colours, the (H, W) mask of 0 and 255, and another of what came from memory, all uint8.

        Raises:
            EX4DError: a disk that refuses.
        """
        self._color.write(color)
        self._mask.write(mask)
        if self._memory is not None and remembered is not None:
            self._memory.write(remembered)
        if self._lossless is not None:
            archive, masks = self._lossless
            archive.write(color)
            masks.append(zlib.compress(np.ascontiguousarray(mask).data, 1))
        self.seen[self._written] = np.count_nonzero(mask) / mask.size
        self._written += 1


@contextmanager
def shot_writer(
    folder: Path,
    name: str,
    shape: tuple[int, int, int],
    fps: float | Fraction,
    *,
    sound: VideoClip | Sound | None = None,
    crf: float,
    lossless: bool = False,
    memory: bool = False,
) -> Iterator[ShotWriter]:
    """A writer of color_<name>.mp4, mask_<name>.mp4 and, where asked, memory_<name>.mp4 and frames_<name>.npz.

    Args:
        folder: where they go.
        name: of the camera path.
        shape: (frames, height, width).
        fps: of the videos.
        sound: what the colour video carries, the clip's or its own; None = silent.
        crf: x264 quality, 0 (best) to 51.
        lossless: write frames_<name>.npz too.
        memory: write memory_<name>.mp4 too.
    """
    with ExitStack() as files:
        color = files.enter_context(VideoWriter(folder / f"color_{name}.mp4", fps, audio_from=sound, crf=crf))
        mask = files.enter_context(VideoWriter(folder / f"mask_{name}.mp4", fps, crf=crf))
        recall = files.enter_context(VideoWriter(folder / f"memory_{name}.mp4", fps, crf=crf)) if memory else None
        archive = files.enter_context(_lossless(folder / f"frames_{name}.npz", shape)) if lossless else None
        yield ShotWriter(color, mask, recall, archive, shape[0])


@contextmanager
def _lossless(path: Path, shape: tuple[int, int, int]) -> Iterator[tuple[NpzWriter, list[bytes]]]:
    """An archive that takes colours, and a list that takes each frame's mask in zlib's form.

    One array can be open at a time, so that of the masks follows; packed, they hardly take memory.
    """
    with NpzWriter(path) as archive:
        archive.begin("color", (*shape, 3), np.uint8)
        masks: list[bytes] = []
        yield archive, masks
        archive.begin("mask", shape, np.uint8)
        for mask in masks:
            archive.write(np.frombuffer(zlib.decompress(mask), np.uint8))
