"""Write H.264 files beside their name and rename them when they are whole."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
import torch

from ..errors import Cancelled, EX4DError
from ..pixels import uint8_array
from ..storage.staging import StagedFile, write_failure
from .audio import AudioCarrier
from .clip import VideoClip
from .colour import BT709, JPEG_RANGE, MPEG_RANGE, SCALING
from .fit import check_size
from .sampling import exact_rate

VISUALLY_LOSSLESS_CRF = 12.0
"""The videos feed a diffusion model, so the default keeps more than a viewer would notice."""


def save_video(
    path: str | Path,
    frames: torch.Tensor | np.ndarray | Iterable[torch.Tensor | np.ndarray],
    fps: float | Fraction,
    *,
    audio_from: VideoClip | str | Path | None = None,
    crf: float = VISUALLY_LOSSLESS_CRF,
    lossless: bool = False,
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> None:
    """Encode frames to an H.264 MP4; the file appears under its name only when it is whole.

    Args:
        path: target, ``.mp4``, ``.mov`` or ``.mkv``; its folder is made.
        frames: (T, H, W, 3) colours or (T, H, W) greys, float 0..1, uint8 or bool; or any iterable of such frames.
        fps: frames per second; 29.97 and the like mean the exact NTSC fractions.
        audio_from: a clip or file whose sound is carried over, cut to the video's length (a clip's from its start).
        crf: x264 quality, 0 (best) to 51.
        lossless: keep every value: RGB H.264, which fewer players show.
        progress: called with (frames done, frames in all) where the number is known.
        cancel: polled at every frame.

    Raises:
        EX4DError: nothing to write, sizes that differ, values that are not finite, or a disk that refuses.
        Cancelled: ``cancel`` returned True; nothing is left behind.
    """
    total = len(frames) if hasattr(frames, "__len__") else None  # type: ignore[arg-type]
    with VideoWriter(path, fps, audio_from=audio_from, crf=crf, lossless=lossless) as writer:
        for frame in frames:
            if cancel is not None and cancel():
                raise Cancelled
            writer.write(frame)
            if progress is not None and total is not None:
                progress(writer.frames, total)


class VideoWriter:
    """A context manager that takes frames one by one; leaving it by an error removes what was written.

    The size is the first frame's. Even sizes are yuv420p, which every player shows. H.264 cannot halve the chroma of
    an odd size, so those are yuv444p: exact, but not for every player. Colours are BT.709 in limited range and tagged
    so.

    Args: see `save_video`.
    """

    def __init__(
        self,
        path: str | Path,
        fps: float | Fraction,
        *,
        audio_from: VideoClip | str | Path | None = None,
        crf: float = VISUALLY_LOSSLESS_CRF,
        lossless: bool = False,
    ) -> None:
        self.path = Path(path)
        if self.path.suffix.lower() not in CONTAINERS:
            raise EX4DError(f"'{path}' must end in .mp4, .mov or .mkv.")
        if not 0.01 <= float(fps) <= 1000:
            raise EX4DError(f"The frame rate must lie between 0.01 and 1000 frames per second, got {fps}.")
        if not 0 <= crf <= 51:
            raise EX4DError(f"The x264 quality (crf) lies between 0 and 51, got {crf}.")
        self.rate = exact_rate(fps)
        self.frames = 0
        self._crf, self._lossless = crf, lossless
        self._audio_from = audio_from
        self._staged: StagedFile | None = None
        self._file: BinaryIO | None = None
        self._container: Any = None
        self._audio: AudioCarrier | None = None
        self._size: tuple[int, int] | None = None

    def __enter__(self) -> VideoWriter:
        self._staged = StagedFile.begin(self.path, make_folder=True)
        try:
            with encoding_errors(self.path):
                self._file = open(self._staged.part, "w+b")
        except EX4DError:
            self._clean()
            raise
        return self

    def write(self, frame: torch.Tensor | np.ndarray) -> None:
        """Encode one frame, (H, W, 3) colours or (H, W) greys.

        Raises:
            EX4DError: another size than the first frame's, values that are not finite, or a disk that refuses.
        """
        import av

        picture = uint8_array(frame)
        if picture.ndim == 2:
            picture = np.repeat(picture[..., None], 3, axis=2)
        if picture.ndim != 3 or picture.shape[2] != 3:
            raise EX4DError(f"A video frame has shape (height, width, 3) or (height, width), got {picture.shape}.")
        with encoding_errors(self.path):
            container = self._container or self._open((picture.shape[1], picture.shape[0]))
            if picture.shape[1::-1] != self._size:
                raise EX4DError(
                    f"All frames of '{self.path}' must have one size: frame {self.frames} is "
                    f"{picture.shape[1]}x{picture.shape[0]}, the first {self._size[0]}x{self._size[1]}."  # type: ignore[index]
                )
            video_frame = self._coded(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24"))
            video_frame.pts = self.frames
            video_frame.time_base = 1 / self.rate
            container.mux(self._stream.encode(video_frame))
            self.frames += 1
            if self._audio is not None:
                self._audio.mux_until(self.frames / self.rate)

    def _open(self, size: tuple[int, int]) -> Any:
        import av
        from av.video.reformatter import VideoReformatter

        self._size = check_size(size, f"'{self.path.name}'")
        self._container = av.open(self._file, mode="w", format=CONTAINERS[self.path.suffix.lower()])
        self._scaler = VideoReformatter()
        stream = self._container.add_stream("libx264rgb" if self._lossless else "libx264", rate=self.rate)
        stream.width, stream.height = size
        odd = size[0] % 2 or size[1] % 2
        stream.pix_fmt = "rgb24" if self._lossless else "yuv444p" if odd else "yuv420p"
        stream.options = {"crf": "0" if self._lossless else f"{self._crf:g}", "preset": "medium"}
        context = stream.codec_context
        context.color_primaries = context.color_trc = BT709
        context.colorspace = 0 if self._lossless else BT709
        context.color_range = JPEG_RANGE if self._lossless else MPEG_RANGE
        self._stream = stream
        if self._audio_from is not None:
            self._audio = AudioCarrier.open(self._audio_from, self._container)
        return self._container

    def _coded(self, frame: Any) -> Any:
        if self._lossless:
            return frame
        coded = self._scaler.reformat(
            frame,
            format=self._stream.pix_fmt,
            dst_colorspace=BT709,
            interpolation=SCALING,
            src_color_range=JPEG_RANGE,
            dst_color_range=MPEG_RANGE,
        )
        coded.colorspace, coded.color_range = BT709, MPEG_RANGE
        return coded

    def _finish(self) -> None:
        if self._container is None:
            raise EX4DError(f"There are no frames to write to '{self.path}'.")
        with encoding_errors(self.path):
            self._container.mux(self._stream.encode(None))
            if self._audio is not None:
                self._audio.mux_until(self.frames / self.rate)
                self._audio.finish()
            self._container.close()
            self._file.close()
        self._staged.keep()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._clean()

    def _clean(self) -> None:
        # Closing an unfinished container writes its trailer, which may fail again on a full disk.
        for resource in (self._audio, self._container, self._file):
            if resource is not None:
                with contextlib.suppress(Exception):
                    resource.close()
        if self._staged is not None:
            self._staged.drop()


CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}


@contextlib.contextmanager
def encoding_errors(path: Path) -> Iterator[None]:
    """Turn the system's and the encoder's refusals into one sentence.

    Raises:
        EX4DError: the disk is full, the folder cannot be written, or the encoder failed.
    """
    from av.error import FFmpegError

    try:
        yield
    except EX4DError:
        raise
    except OSError as error:
        raise EX4DError(write_failure(path, error)) from error
    except FFmpegError as error:
        raise EX4DError(f"'{path}' cannot be encoded: {error.strerror or error}.") from error
