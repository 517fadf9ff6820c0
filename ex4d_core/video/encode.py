"""Write H.264 files beside their name and rename them when they are whole."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, cast

import numpy as np
import torch

from ..errors import Cancelled, EX4DError
from ..pixels import uint8_array
from ..storage.staging import StagedFile, write_failure
from .audio import AudioCarrier, SoundCarrier
from .clip import VideoClip
from .colour import BT709, JPEG_RANGE, MPEG_RANGE, SCALING
from .fit import check_frame_size
from .sampling import exact_rate
from .sound import Sound
from .spherical import Spherical, write_spherical

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

VISUALLY_LOSSLESS_CRF = 12.0
"""The videos feed a diffusion model, so the default keeps more than a viewer would notice."""
ENCODER_THREADS = 4
"""x264's bytes depend on its number of threads, so that it is no matter of the machine's cores."""


def save_video(
    path: str | Path,
    frames: torch.Tensor | np.ndarray | Iterable[torch.Tensor | np.ndarray],
    fps: float | Fraction,
    *,
    audio_from: VideoClip | Sound | str | Path | None = None,
    crf: float = VISUALLY_LOSSLESS_CRF,
    lossless: bool = False,
    spherical: Spherical | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> None:
    """Encode frames to an H.264 MP4; the file appears under its name only when it is whole.

    Args:
        path: target, ``.mp4``, ``.mov`` or ``.mkv``; its folder is made.
        frames: (T, H, W, 3) colours or (T, H, W) greys, float 0..1, uint8 or bool; or any iterable of such frames.
        fps: frames per second; 29.97 and the like mean the exact NTSC fractions.
        audio_from: a clip or file whose sound is carried over, cut to the video's length (a clip's from its start); or sound
            in memory.
        crf: x264 quality, 0 (best) to 51.
        lossless: keep every value: RGB H.264, which fewer players show.
        spherical: mark an .mp4 or .mov as a panorama, or as two eyes in one frame; None = an ordinary video.
        progress: called with (frames done, frames in all) where the number is known.
        cancel: polled at every frame.

    Raises:
        EX4DError: nothing to write, sizes that differ, values that are not finite, or a disk that refuses.
        Cancelled: ``cancel`` returned True; nothing is left behind.

    Example:
        >>> from ex4d_core import load_video
        >>> save_video("clip.mp4", torch.rand(9, 32, 48, 3), fps=15)
        >>> load_video("clip.mp4", count=5).frames.shape
        torch.Size([5, 32, 48, 3])
    """
    total = len(frames) if hasattr(frames, "__len__") else None  # type: ignore[arg-type]
    with VideoWriter(path, fps, audio_from=audio_from, crf=crf, lossless=lossless, spherical=spherical) as writer:
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

    Args:
        path, fps, audio_from, crf, lossless, spherical: see `save_video`.
    """

    def __init__(
        self,
        path: str | Path,
        fps: float | Fraction,
        *,
        audio_from: VideoClip | Sound | str | Path | None = None,
        crf: float = VISUALLY_LOSSLESS_CRF,
        lossless: bool = False,
        spherical: Spherical | None = None,
    ) -> None:
        self.path = Path(path)
        if spherical is not None and self.path.suffix.lower() == ".mkv":
            raise EX4DError(
                f"'{path}' is marked as a panorama or as stereo, which .mp4 and .mov hold. End it in one of them."
            )
        if self.path.suffix.lower() not in CONTAINERS:
            raise EX4DError(f"'{path}' must end in .mp4, .mov or .mkv.")
        if not 0.01 <= float(fps) <= 1000:
            raise EX4DError(f"The frame rate must lie between 0.01 and 1000 frames per second, got {fps}.")
        if not 0 <= crf <= 51:
            raise EX4DError(f"The x264 quality (crf) lies between 0 and 51, got {crf}.")
        self.rate = exact_rate(fps)
        self.frames = 0
        self._crf, self._lossless = crf, lossless
        self._audio_from, self._spherical = audio_from, spherical
        self._staged: StagedFile | None = None
        self._encoder: _Encoder | None = None
        self._opened = contextlib.ExitStack()

    def __enter__(self) -> VideoWriter:
        self._staged = StagedFile.begin(self.path, make_folder=True)
        return self

    def write(self, frame: torch.Tensor | np.ndarray) -> None:
        """Encode one frame, (H, W, 3) colours or (H, W) greys.

        Raises:
            EX4DError: another size than the first frame's, values that are not finite, or a disk that refuses.
        """
        picture = uint8_array(frame)
        if picture.ndim == 2:
            picture = np.repeat(picture[..., None], 3, axis=2)
        if picture.ndim != 3 or picture.shape[2] != 3:
            raise EX4DError(f"A video frame has shape (height, width, 3) or (height, width), got {picture.shape}.")
        height, width = picture.shape[:2]
        with encoding_errors(self.path):
            encoder = self._encoder = self._encoder or self._open((width, height))
            if (width, height) != encoder.size:
                raise EX4DError(
                    f"All frames of '{self.path}' must have one size: frame {self.frames} is {width}x{height}, the first "
                    f"{encoder.size[0]}x{encoder.size[1]}."
                )
            encoder.write(picture, self.frames, self.rate)
            self.frames += 1
            encoder.write_sound(self.frames / self.rate)

    def _open(self, size: tuple[int, int]) -> _Encoder:
        import av

        check_frame_size(size, f"'{self.path.name}'")
        if self._spherical is not None:
            self._spherical.check_size(size)
        assert self._staged is not None, "frames are written inside the context"
        # Quietly, since an unfinished container writes its trailer on closing, which may fail again on a full disk.
        file = open(self._staged.part, "w+b")  # noqa: SIM115
        self._opened.callback(_close_quietly, file)
        container = av.open(file, mode="w", format=CONTAINERS[self.path.suffix.lower()])
        self._opened.callback(_close_quietly, container)
        stream = _video_stream(container, size, self.rate, self._crf, self._lossless)
        audio = None if self._audio_from is None else AudioCarrier.open(self._audio_from, container)
        if audio is not None:
            self._opened.callback(_close_quietly, audio)
        return _Encoder(file, container, stream, audio, size, self._lossless)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._opened.close()
            if self._staged is not None:
                self._staged.drop()

    def _finish(self) -> None:
        if self._encoder is None or self._staged is None:
            raise EX4DError(f"There are no frames to write to '{self.path}'.")
        with encoding_errors(self.path):
            self._encoder.finish(self.frames / self.rate)
            if self._spherical is not None:
                write_spherical(self._staged.part, self._spherical)
        self._staged.keep()


class _Encoder:
    """An open file of one size: its H.264 stream and the sound beside it."""

    def __init__(
        self,
        file: BinaryIO,
        container: OutputContainer,
        stream: VideoStream,
        audio: AudioCarrier | SoundCarrier | None,
        size: tuple[int, int],
        lossless: bool,
    ) -> None:
        from av.video.reformatter import VideoReformatter

        self.size = size
        self._file, self._container, self._stream = file, container, stream
        self._audio, self._lossless = audio, lossless
        self._scaler = VideoReformatter()

    def write(self, picture: np.ndarray, number: int, rate: Fraction) -> None:
        """One RGB picture (H, W, 3) uint8 of this size as frame ``number``."""
        import av

        frame = self._coded(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24"))
        frame.pts, frame.time_base = number, 1 / rate
        self._container.mux(self._stream.encode(frame))

    def write_sound(self, seconds: Fraction) -> None:
        """The sound up to this time of the new video."""
        if self._audio is not None:
            self._audio.mux_until(seconds)

    def _coded(self, frame: VideoFrame) -> VideoFrame:
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

    def finish(self, seconds: Fraction) -> None:
        """Write what the encoders still hold, the sound up to the video's length, and the trailer; then close the file."""
        self._container.mux(self._stream.encode(None))
        if self._audio is not None:
            self._audio.mux_until(seconds)
            self._audio.finish()
        self._container.close()
        self._file.close()


def _video_stream(
    container: OutputContainer, size: tuple[int, int], rate: Fraction, crf: float, lossless: bool
) -> VideoStream:
    stream = cast("VideoStream", container.add_stream("libx264rgb" if lossless else "libx264", rate=rate))
    stream.width, stream.height = size
    odd = size[0] % 2 or size[1] % 2
    stream.pix_fmt = "rgb24" if lossless else "yuv444p" if odd else "yuv420p"
    stream.options = {"crf": "0" if lossless else f"{crf:g}", "preset": "medium"}
    context = stream.codec_context
    context.thread_count = ENCODER_THREADS
    context.color_primaries = context.color_trc = BT709
    context.colorspace = 0 if lossless else BT709
    context.color_range = JPEG_RANGE if lossless else MPEG_RANGE
    return stream


def _close_quietly(opened: BinaryIO | OutputContainer | AudioCarrier | SoundCarrier) -> None:
    with contextlib.suppress(Exception):
        opened.close()


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
