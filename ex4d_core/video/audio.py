"""Carry a source's sound into a new file: packets are copied where the container takes them, else encoded to AAC."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable
from fractions import Fraction
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .clip import VideoClip
from .pyav import time_base
from .sound import UNKNOWN_CODEC, Sound, SoundLine
from .video_file import best_track, films, open_container, opened_container, packets_of

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.packet import Packet

log = logging.getLogger(__name__)

COPIED_CODECS = {
    "mp4": ("aac", "mp3", "ac3", "eac3", "opus", "alac"),
    "mov": ("aac", "mp3", "ac3", "eac3", "alac"),
    "matroska": ("aac", "mp3", "ac3", "eac3", "opus", "alac"),
}
"""By the name of FFmpeg's muxer."""
USUAL_RATE = 48000


class AudioCarrier:
    """Feeds the sound of ``source`` into ``output``, cut to begin at ``start`` seconds of the source's clock."""

    def __init__(self, source: str, start: Fraction, output: OutputContainer) -> None:
        import av
        from av.error import FFmpegError

        self._input = opened_container(source)
        stream = self._input.streams.audio[0]
        self._start = start
        self._target = (_Copy if _can_be_copied(stream, output) else _Encoding)(stream, start, output)
        if start > 1:
            with contextlib.suppress(FFmpegError):  # a file that cannot seek is read from its beginning
                self._input.seek(int((start - 1) * av.time_base))
        self._packets = packets_of(self._input, stream)
        self._waiting: Packet[AudioStream] | None = None

    @classmethod
    def open(
        cls, source: VideoClip | Sound | str | PathLike[str], output: OutputContainer
    ) -> AudioCarrier | SoundCarrier | None:
        """A carrier, or None where the source has no sound."""
        if isinstance(source, Sound):
            return SoundCarrier(source, output)
        start = Fraction(source.start_seconds if isinstance(source, VideoClip) else 0)
        path = source.path if isinstance(source, VideoClip) else source
        if not Path(path).is_file() or Path(path).suffix.lower() == ".npz":
            return None
        with open_container(path) as container:
            if not container.streams.audio:
                return None
            if container.streams.audio[0].codec_context is None:
                log.warning(UNKNOWN_CODEC, path)
                return None
            if not isinstance(source, VideoClip) and films(container):
                video = best_track(container, fspath(path))
                start = (video.start_time or 0) * time_base(video)
        return cls(fspath(path), start, output)

    def mux_until(self, seconds: Fraction) -> None:
        """Write the sound up to this time of the new video."""
        while True:
            packet = self._waiting or self._next_packet()
            self._waiting = None
            if packet is None:
                return
            time = (packet.pts or 0) * time_base(packet) - self._start
            if time >= seconds:
                self._waiting = packet
                return
            if time >= 0 or self._target.wants_early_packets:
                self._write(packet)

    def _next_packet(self) -> Packet[AudioStream] | None:
        from av.error import FFmpegError

        with contextlib.suppress(FFmpegError):
            for packet in self._packets:
                if packet.pts is not None and packet.dts is not None and not packet.is_corrupt:
                    return packet
        return None

    def _write(self, packet: Packet[AudioStream]) -> None:
        self._target.write(packet)

    def finish(self) -> None:
        """Flush what the encoder still holds."""
        self._target.finish()

    def close(self) -> None:
        """Close the source."""
        self._input.close()


class SoundCarrier:
    """Feeds sound that lies in memory into ``output``."""

    def __init__(self, sound: Sound, output: OutputContainer) -> None:
        self._samples, self._rate = sound.samples, sound.rate
        if _aac_rate(sound.rate) != sound.rate:
            self._rate = USUAL_RATE
            places = np.arange(round(sound.samples.shape[1] / sound.rate * USUAL_RATE)) * (sound.rate / USUAL_RATE)
            self._samples = np.stack(
                [np.interp(places, np.arange(len(channel)), channel) for channel in sound.samples]
            ).astype(np.float32)
        self._aac = _Aac(output, self._rate, "mono" if len(sound.samples) == 1 else "stereo")

    def mux_until(self, seconds: Fraction) -> None:
        """Write the sound up to this time of the new video."""
        part = self._samples[:, self._aac.written : round(seconds * self._rate)]
        if part.shape[1]:
            self._aac.append(np.ascontiguousarray(part))

    def finish(self) -> None:
        """Flush what the encoder still holds."""
        self._aac.finish()

    def close(self) -> None:
        """Nothing is open."""


def _aac_rate(rate: int) -> int:
    """The rate itself, or the usual one where AAC does not know it."""
    from av.codec import Codec

    return rate if rate in (Codec("aac", "w").audio_rates or ()) else USUAL_RATE


class _Aac:
    """A track of AAC that is written piece by piece."""

    def __init__(self, output: OutputContainer, rate: int, layout: str) -> None:
        self._output, self._rate, self._layout = output, rate, layout
        self._stream = output.add_stream("aac", rate=rate)
        self._stream.layout = layout
        self.written = 0
        """Samples."""

    def append(self, samples: np.ndarray) -> None:
        """(channels, N) float32."""
        import av

        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=self._layout)
        frame.sample_rate = self._rate
        frame.pts = self.written
        frame.time_base = Fraction(1, self._rate)
        self.written += frame.samples
        self._output.mux(self._stream.encode(frame))

    def finish(self) -> None:
        self._output.mux(self._stream.encode(None))


def _can_be_copied(stream: AudioStream, output: OutputContainer) -> bool:
    codec = stream.codec_context
    # Raw AAC (from .ts) lacks the header that MP4 needs, so it is encoded anew.
    complete = codec.name != "aac" or bool(codec.extradata)
    return complete and codec.name in COPIED_CODECS.get(output.format.name, ())


class _Copy:
    """The packets as they are, moved in time."""

    wants_early_packets = False

    def __init__(self, source: AudioStream, start: Fraction, output: OutputContainer) -> None:
        self._output, self._start = output, start
        self._stream = output.add_stream_from_template(source)

    def write(self, packet: Packet[AudioStream]) -> None:
        shift = round(self._start / time_base(packet))
        packet.pts = (packet.pts or 0) - shift
        packet.dts = (packet.dts or 0) - shift
        packet.stream = self._stream
        self._output.mux(packet)

    def finish(self) -> None:
        pass


class _Encoding:
    """Decoded, brought to one layout and rate, and encoded to AAC; gaps become silence."""

    wants_early_packets = True  # decoders need a packet or two to find their feet

    def __init__(self, source: AudioStream, start: Fraction, output: OutputContainer) -> None:
        self._rate = _aac_rate(source.codec_context.sample_rate)
        self._line = SoundLine("stereo", self._rate, float(start))
        self._aac = _Aac(output, self._rate, self._line.layout)

    def write(self, packet: Packet[AudioStream]) -> None:
        from av.error import FFmpegError

        pieces: list[tuple[int, np.ndarray]] = []
        # A damaged packet is skipped; silence fills the gap up to the next one's time.
        with contextlib.suppress(FFmpegError, ValueError):
            for frame in packet.decode():
                pieces += self._line.put(frame)
        self._encode(pieces)

    def _encode(self, pieces: Iterable[tuple[int, np.ndarray]]) -> None:
        """Append each piece at its place, after silence if it is late and without what was written already."""
        for position, samples in pieces:
            while position > self._aac.written:
                gap = min(position - self._aac.written, self._rate)
                self._aac.append(np.zeros((self._line.channels, gap), np.float32))
            samples = samples[:, max(0, self._aac.written - position) :]
            if samples.shape[1]:
                self._aac.append(np.ascontiguousarray(samples))

    def finish(self) -> None:
        self._encode(self._line.flush())
        self._aac.finish()
