"""Decode exactly the frames asked for, each straight into its place in one uint8 tensor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np
import torch

from ..errors import Cancelled, EX4DError
from ..machine.memory import check_memory
from .clip import VideoClip
from .colour import upright_rgb
from .fit import Fit, PicturePlacement, check_frame_size, place
from .sampling import exact_rate, frames_at_rate, output_length
from .source import TimedFrame, VideoInfo, VideoSource
from .sources import open_source

LARGEST_CLIP_BYTES = 1 << 34


def load_video(
    path: VideoSource,
    *,
    start: int = 0,
    count: int | None = None,
    fps: float | Fraction | None = None,
    size: tuple[int, int] | None = None,
    fit: Fit = "crop",
    with_images: bool = False,
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> VideoClip:
    """Decode part of a clip at the size and rate asked for; memory holds that and nothing more.

    Args:
        path: video file or stream, folder of images, .npz with ``rgb`` (T, H, W, 3), or `PicturesInMemory`.
        start: first frame, counted at the output rate, >= 0.
        count: number of frames; None for all that follow.
        fps: output rate; frames are chosen by their timestamps, never blended. None keeps the source's average rate
            (which makes a variable rate constant). For folders and arrays it is simply their rate (None: as an
            .npz tells, else 15).
        size: (width, height) of the result; None keeps the displayed size.
        fit: ``crop``, ``pad`` (black bars) or ``stretch``, where the aspect ratio differs.
        with_images: `VideoClip.images` will be called, so memory must hold these too.
        progress: called with (frames done, frames in all) where the length is known.
        cancel: polled at every decoded frame.

    Returns:
        The clip, with exactly ``count`` frames if that was given.

    Raises:
        EX4DError: unreadable or damaged source, too few frames, more than memory holds, or a size or rate out of range.
        Cancelled: ``cancel`` returned True.
    """
    if start < 0 or (count is not None and count < 1):
        raise EX4DError(f"The first frame must be 0 or more and the count 1 or more, got {start} and {count}.")
    if fps is not None and not 0.01 <= float(fps) <= 1000:
        raise EX4DError(f"The frame rate must lie between 0.01 and 1000 frames per second, got {fps}.")
    rate = None if fps is None else exact_rate(fps)
    with open_source(path, rate) as (info, timed_frames):
        rate = rate or info.fps
        placement = place(
            (info.width, info.height),
            check_frame_size(info.size if size is None else size, "The clip" if size is None else "The size asked for"),
            fit,
            aspect=info.display_width / info.height,
        )
        total, certain = _expected_frames(info, rate, start, count)
        frames = _FrameBuffer(info, placement, total, certain, 5 if with_images else 1)
        timed = _polled(timed_frames(start / rate), cancel)
        for frame in frames_at_rate(timed, rate, info.fps, start, count):
            frames.append(frame)
            if progress is not None and total is not None:
                progress(min(len(frames), total), total)
        if not len(frames) or (count is not None and len(frames) < count):
            raise EX4DError(_too_few(info, rate, start, count, len(frames)))
        if progress is not None and (total is None or len(frames) < total):
            progress(len(frames), len(frames))
        begin = info.start_time + float(start / rate)
        numbers = tuple(frames.numbers)
        return VideoClip(frames.tensor(), float(rate), info.path, begin, info.has_audio, numbers, info, placement)


def _too_few(info: VideoInfo, rate: Fraction, start: int, count: int | None, found: int) -> str:
    if not found:
        return f"'{info.path}' has no frame {start} at {float(rate):g} fps. Start earlier."
    return (
        f"'{info.path}' has {start + found} frames at {float(rate):g} fps, but frames {start} to "
        f"{start + (count or 1) - 1} were asked for. Ask for {found} frames or start earlier."
    )


def _expected_frames(info: VideoInfo, rate: Fraction, start: int, count: int | None) -> tuple[int | None, int]:
    """(Frames that will be shown, where that is known; frames that memory must be able to hold.)"""
    if info.frames is None:
        return count, count or 0
    available = max(0, output_length(info.frames / info.fps, rate, info.fps) - start)
    # A count beyond the clip's end is refused when the end is found; until then only existing frames take memory.
    return (available, available) if count is None else (count, min(count, available))


def _polled(frames: Iterator[TimedFrame], cancel: Callable[[], bool] | None) -> Iterator[TimedFrame]:
    for frame in frames:
        if cancel is not None and cancel():
            raise Cancelled
        yield frame


class _FrameBuffer:
    """One growing (T, H, W, 3) array; pages not yet written take no memory.

    Args:
        info: the source of the frames.
        placement: how its pictures are fitted.
        expected: number of frames, where known.
        certain: how many of them memory must be able to hold.
        value_bytes: memory that each colour value will take in all, in bytes.
    """

    def __init__(
        self, info: VideoInfo, placement: PicturePlacement, expected: int | None, certain: int, value_bytes: int
    ) -> None:
        from av.video.reformatter import VideoReformatter

        self.info, self.placement = info, placement
        self.value_bytes = value_bytes
        self.numbers: list[int] = []
        self.scaler = VideoReformatter()
        self._reserve(max(1, expected or 64), certain)

    def __len__(self) -> int:
        return len(self.numbers)

    def _reserve(self, frames: int, least: int) -> None:
        """Make room for ``frames``, of which at least ``least`` will be filled."""
        shape = (frames, self.placement.height, self.placement.width, 3)
        check_memory(
            least * int(np.prod(shape[1:])) * self.value_bytes,
            f"A clip of {least} frames of {shape[2]}x{shape[1]} pixels",
            "Ask for fewer frames or a smaller size.",
        )
        if int(np.prod(shape, dtype=np.int64)) > LARGEST_CLIP_BYTES:
            raise EX4DError(
                f"{frames} frames of {shape[2]}x{shape[1]} pixels would take more than "
                f"{LARGEST_CLIP_BYTES >> 30} GiB of memory. Ask for fewer frames or a smaller size."
            )
        # Zeros only where bars stay black; where pictures cover every pixel, clearing the memory first is wasted.
        array = (np.empty if self.placement.covers else np.zeros)(shape, np.uint8)
        if self.numbers:
            array[: len(self)] = self.array[: len(self)]
        self.array = array

    def append(self, frame: TimedFrame) -> None:
        """Fit a frame into its place; one that is shown again is copied."""
        count = len(self)
        if count == len(self.array):
            self._reserve(count * 3 // 2 + 1, count + 1)
        if self.numbers and self.numbers[-1] == frame.number:
            self.array[count] = self.array[count - 1]
        else:
            target, source = self.placement.windows()
            turned = self.info.turned if frame.turned is None else frame.turned
            picture = upright_rgb(frame.picture, turned, self.placement, self.scaler)
            self.array[count][target] = picture[source]
        self.numbers.append(frame.number)

    def tensor(self) -> torch.Tensor:
        return torch.from_numpy(self.array[: len(self)])
