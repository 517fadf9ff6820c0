"""Decoded sound at one rate and in one layout, each piece at its own time; what is missing in between is silence."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np

from ..errors import Cancelled
from .source import FileSource, source_name
from .video_file import open_container, packets_of

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.resampler import AudioResampler
    from av.container import InputContainer

log = logging.getLogger(__name__)

TOLERANCE = 0.01
"""Seconds by which a piece may lie off the end of the one before: many formats round times, and to follow each would
click."""
PREROLL = 1.0
"""Seconds before the part wanted from which on is decoded, since decoders need a packet or two to find their feet."""
UNKNOWN_CODEC = "The sound of '%s' is coded in a way that is not known here; it is left out."


class SoundLine:
    """Brings a track's frames to one layout and rate and says where each piece belongs.

    A track may change its layout and rate on the way (a broadcast, between programmes), begin after the pictures, and
    have gaps.

    Args:
        layout: "mono" or "stereo"; mono is heard on both sides at its own level, surround is mixed.
        rate: samples per second of the result.
        start: seconds of the track's clock at which positions count from 0.
    """

    def __init__(self, layout: str, rate: int, start: float) -> None:
        self.layout, self.rate, self.start = layout, rate, start
        self.channels = 1 if layout == "mono" else 2
        self._resampler: AudioResampler | None = None
        self._kind: tuple[str, str, int] | None = None
        self._position = 0
        self._until: float | None = None

    def put(self, frame: AudioFrame) -> Iterator[tuple[int, np.ndarray]]:
        """What is finished with this av.AudioFrame: (position in samples, which may be negative; (channels, n) float32).

        Raises:
            FFmpegError, ValueError: sound that cannot be brought to the layout.
        """
        time = self._until if frame.time is None else float(frame.time)
        if time is None:
            return  # neither this frame nor one before it has a time
        moved = self._until is None or abs(time - self._until) > TOLERANCE
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._resampler is None or moved or kind != self._kind:
            yield from self.flush()
            self._resampler, self._kind = self._resampler_for(frame), kind
        if moved or self._until is None:
            self._position, self._until = round((time - self.start) * self.rate), time
        yield from self._resampled(self._resampler, frame)
        self._until += frame.samples / frame.sample_rate

    def flush(self) -> Iterator[tuple[int, np.ndarray]]:
        """The end of the sound so far, which a resampler holds back."""
        if self._resampler is not None:
            yield from self._resampled(self._resampler, None)
            self._resampler = self._kind = None

    def _resampler_for(self, frame: AudioFrame) -> AudioResampler:
        import av

        # FFmpeg would spread mono over two channels 3 dB softer.
        return av.AudioResampler("fltp", "mono" if frame.layout.nb_channels == 1 else self.layout, self.rate)

    def _resampled(self, resampler: AudioResampler, frame: AudioFrame | None) -> Iterator[tuple[int, np.ndarray]]:
        for part in resampler.resample(frame):
            if part is None:
                continue
            samples = part.to_ndarray()
            yield self._position, np.repeat(samples, self.channels // len(samples), axis=0)
            self._position += samples.shape[1]


class _WantedPart:
    """The part of a track that is wanted: silent until pieces are laid into it.

    Args:
        frame: the first av.AudioFrame of the part; its layout and rate become the part's.
        start: seconds of the track's clock at which the part begins.
        seconds: its length.
    """

    def __init__(self, frame: AudioFrame, start: float, seconds: float) -> None:
        self.line = SoundLine("mono" if frame.layout.nb_channels == 1 else "stereo", frame.sample_rate, start)
        self.samples = np.zeros((self.line.channels, round(seconds * self.line.rate)), np.float32)
        self.heard = False

    def lay(self, pieces: Iterator[tuple[int, np.ndarray]]) -> None:
        """Put each piece at its position, as far as it lies inside."""
        for position, piece in pieces:
            begin, end = max(position, 0), min(position + piece.shape[1], self.samples.shape[1])
            if begin < end:
                self.samples[:, begin:end] = piece[:, begin - position : end - position]
                self.heard = True


@dataclass(frozen=True, eq=False)
class Sound:
    """Sound in memory.

    Attributes:
        samples: (1 or 2, N) float32.
        rate: samples a second.
    """

    samples: np.ndarray
    rate: int


def clip_sound(
    source: FileSource, start: float, seconds: float, cancel: Callable[[], bool] | None = None
) -> tuple[np.ndarray, int] | None:
    """The sound of a part of a file.

    Args:
        source: video file or stream.
        start: where the part begins, in the file's own clock (`VideoClip.start_seconds`).
        seconds: its length.
        cancel: polled at every packet.

    Returns:
        (samples, rate): float32 (1 or 2, round(seconds * rate)), silent where the file has no sound or a damaged one;
        None where nothing of it can be heard. Damage is logged.

    Raises:
        EX4DError: not a media file.
        Cancelled: ``cancel`` returned True.
    """
    from av.error import FFmpegError

    if not isinstance(source, (str, PathLike)):
        source.seek(0)
    part: _WantedPart | None = None
    damage: Exception | None = None
    with open_container(source) as container:
        if not container.streams.audio:
            return None
        if container.streams.audio[0].codec_context is None:
            log.warning(UNKNOWN_CODEC, source_name(source))
            return None
        for frame in _decoded(container, start, cancel):
            if isinstance(frame, Exception):
                damage = frame
                continue
            time, length = frame.time, frame.samples / frame.sample_rate
            if time is not None and time >= start + seconds:
                break
            if time is not None and time + length <= start:
                continue
            part = part or _WantedPart(frame, start, seconds)
            try:
                part.lay(part.line.put(frame))
            except (FFmpegError, ValueError) as error:
                damage = error
        if part is not None:
            with contextlib.suppress(FFmpegError, ValueError):
                part.lay(part.line.flush())
    heard = part is not None and part.heard
    if damage is not None:
        rest = "silence stands in for the damaged parts" if heard else "it is left out"
        log.warning("The sound of '%s' is damaged (%s); %s.", source_name(source), damage, rest)
    return (part.samples, part.line.rate) if part is not None and heard else None


def _decoded(
    container: InputContainer, start: float, cancel: Callable[[], bool] | None
) -> Iterator[AudioFrame | Exception]:
    """The first track's frames from before ``start`` on, and in place of what is damaged the error."""
    import av
    from av.error import FFmpegError

    stream = container.streams.audio[0]
    if start > PREROLL:
        with contextlib.suppress(FFmpegError):  # a file that cannot seek is read from its beginning
            container.seek(int((start - PREROLL) * av.time_base))
    try:
        for packet in packets_of(container, stream):
            if cancel is not None and cancel():
                raise Cancelled
            if packet.is_corrupt:
                yield ValueError("incomplete data")
                continue
            try:
                frames = packet.decode()
            except (FFmpegError, ValueError) as error:
                yield error
                continue
            yield from frames
    except FFmpegError as error:
        yield error
