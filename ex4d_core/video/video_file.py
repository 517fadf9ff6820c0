"""A video file: what it holds, and its frames, decoded as they are asked for."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from itertools import chain
from os import PathLike
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np

from ..errors import EX4DError
from .deinterlace import deinterlaced
from .sampling import output_length
from .source import FileSource, TimedFrame, TimedFrames, VideoInfo, check_picture_size, source_name

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

log = logging.getLogger(__name__)

MediaStream = TypeVar("MediaStream", "VideoStream", "AudioStream")

ATTACHED_PICTURE = 0x400
"""FFmpeg's disposition flag."""

HDR_CURVES = (16, 18)
"""Transfer characteristics PQ and HLG, ITU-T H.273."""

TRANSPORT_PACKETS = (188, 192, 204)
"""Bytes, of MPEG transport streams: plain, with a time (.m2ts), with error correction."""

SEEK_FROM = Fraction(2)
"""Seconds into the clip from which seeking beats decoding up to the first frame wanted."""


@contextmanager
def open_container(source: FileSource) -> Iterator[InputContainer]:
    """Open a media file for reading with PyAV, for the length of a block; see `opened_container`."""
    container = opened_container(source)
    try:
        yield container
    finally:
        container.close()


def opened_container(source: FileSource) -> InputContainer:
    """A media file, opened for reading with PyAV; the caller closes it.

    Raises:
        EX4DError: missing, unreadable, or not a media file.
    """
    import av
    from av.error import FFmpegError

    path = source_name(source)
    # The scheme keeps FFmpeg from reading one into a name such as "take 12:30.mp4".
    file = f"file:{path}" if isinstance(source, (str, PathLike)) else source
    try:
        # Titles and the like may be in any encoding, and nothing here depends on them.
        return av.open(file, mode="r", metadata_errors="replace")
    except FFmpegError as error:
        raise EX4DError(
            f"'{path}' is not a video that can be read ({error.strerror or error}). "
            "It may be cut off or of another kind; re-export it as MP4."
        ) from error
    except OSError as error:
        raise EX4DError(f"'{path}' cannot be read: {error.strerror or error}.") from error


def packets_of(container: InputContainer, stream: MediaStream) -> Iterator[Packet[MediaStream]]:
    """One stream's packets in the order of the file.

    Raises:
        FFmpegError: damage.
    """
    from av.error import InvalidDataError

    try:
        yield from cast("Iterator[Packet[MediaStream]]", container.demux(stream))
    except IndexError as error:  # PyAV has no other word for a packet of a track that was never announced
        raise InvalidDataError(0, "a track appears in the middle") from error


@contextmanager
def open_video_file(source: FileSource) -> Iterator[tuple[VideoInfo, TimedFrames]]:
    """A video file's facts and its frames, decoded as they are asked for."""
    path = source_name(source)
    with open_container(source) as container:
        # A picture attached to a sound file (its cover) is not a film.
        streams = [s for s in container.streams.video if not s.disposition.value & ATTACHED_PICTURE]
        if not streams:
            kind = "holds sound only" if container.streams.audio else "holds no pictures"
            raise EX4DError(f"'{path}' {kind}, no video. Choose a file with a video track.")
        stream = streams[0]
        context = stream.codec_context
        if context is None:
            raise EX4DError(f"'{path}' is coded in a way that cannot be decoded here. Re-export it as H.264 in MP4.")
        # Frame threads hold one picture each, so large pictures are decoded by slices.
        context.thread_type = "AUTO" if context.width * context.height <= 2048 * 2048 else "SLICE"
        frames = _decode(container, stream, path)
        first = next(frames, None)
        if first is None:
            raise EX4DError(f"'{path}' holds no video frame that can be decoded. It is empty or cut off.")
        info = _describe(container, stream, first, path)
        check_picture_size(info.width, info.height, path)
        yield info, lambda begin: _timed(container, stream, info, first, chain([first], frames), begin)


def _describe(container: InputContainer, stream: VideoStream, first: VideoFrame, path: str) -> VideoInfo:
    rate = stream.average_rate or stream.guessed_rate or Fraction(25)
    rate = Fraction(rate)
    transposed, flip_x, flip_y = orientation(first, path)
    width, height = first.width, first.height
    aspect = stream.sample_aspect_ratio
    aspect = Fraction(aspect) if aspect else Fraction(1)
    if transposed:
        width, height, aspect = height, width, 1 / aspect
    origin = _frame_time(first, stream) or Fraction(0)
    duration = _track_duration(container, stream)
    frames = None
    if duration is not None:
        frames = output_length(duration, rate, rate)
    elif stream.frames:
        frames = stream.frames
    elif container.duration:
        frames = output_length(Fraction(container.duration, 1_000_000), rate, rate)
    return VideoInfo(
        width=width,
        height=height,
        display_width=max(1, round(width * aspect)),
        fps=rate,
        frames=frames or None,
        counted=bool(frames) and frames == stream.frames,
        start_time=float(origin),
        has_audio=bool(container.streams.audio),
        transposed=transposed,
        flip_x=flip_x,
        flip_y=flip_y,
        path=path,
    )


def _track_duration(container: InputContainer, stream: VideoStream) -> Fraction | None:
    """Seconds of the video; None where only the whole file's length is known, which may be that of the sound."""
    if stream.duration:
        return stream.duration * time_base(stream)
    # Matroska has no field for a track's length, but nearly every program that writes it adds one as a tag.
    match = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    if match is None:
        return None
    seconds = 3600 * int(match[1]) + 60 * int(match[2]) + Fraction(match[3])
    # Programs that cut a file may copy the tag of the longer one, which is wrong then.
    return seconds if 0 < seconds <= Fraction(container.duration or 0, 1_000_000) + 1 else None


def orientation(frame: VideoFrame, path: str) -> tuple[bool, bool, bool]:
    """How the stored picture becomes upright: (transposed, flip_x, flip_y), from the display matrix.

    Raises:
        EX4DError: a rotation by anything but quarter turns.
    """
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return False, False, False
    a, b, c, d = (float(v) for v in np.frombuffer(bytes(data), np.int32)[[0, 1, 3, 4]])
    size = math.hypot(a, b)
    if size == 0 or min(abs(a), abs(b)) > 0.01 * size:
        raise EX4DError(f"'{path}' is rotated by other than quarter turns; export it upright.")
    # Stored (x, y) is shown at (a x + c y, b x + d y).
    return (False, a < 0, d < 0) if abs(a) > abs(b) else (True, c < 0, b < 0)


def _frame_time(frame: VideoFrame, stream: VideoStream) -> Fraction | None:
    return None if frame.pts is None else frame.pts * (frame.time_base or time_base(stream))


def time_base(stream: VideoStream | AudioStream) -> Fraction:
    """Seconds of one tick of the stream's clock."""
    return stream.time_base or Fraction(1)  # PyAV writes None for 0/1, which no demuxer leaves


def _decode(container: InputContainer, stream: VideoStream, path: str) -> Iterator[VideoFrame]:
    """Frames until the end; whole ones only. Damage ends the stream with an error once the good frames are out."""
    from av.error import FFmpegError, InvalidDataError

    count = 0
    try:
        for packet in packets_of(container, stream):
            if packet.is_corrupt:
                raise InvalidDataError(0, "incomplete data")
            for frame in packet.decode():
                if frame.is_corrupt:
                    raise InvalidDataError(0, "incomplete data")
                count += 1
                yield frame
        return
    except FFmpegError as error:
        damage = error
    with suppress(FFmpegError):
        for frame in stream.codec_context.decode(None):
            if not frame.is_corrupt:
                count += 1
                yield frame
    raise EX4DError(
        f"'{path}' is damaged or cut off: only {count} frames before the damage could be decoded "
        f"({damage.strerror or damage}). Ask for fewer frames or use an intact file."
    ) from damage


def _timed(
    container: InputContainer,
    stream: VideoStream,
    info: VideoInfo,
    first: VideoFrame,
    frames: Iterator[VideoFrame],
    begin: Fraction,
) -> Iterator[TimedFrame]:
    """The frames from one at or before ``begin``; times count from the clip's first frame."""
    if int(stream.codec_context.color_trc) in HDR_CURVES:
        log.warning("'%s' is HDR video and is read without tone mapping; export it as SDR for true colours.", info.path)
    interval = 1 / info.fps
    origin = _frame_time(first, stream)
    if begin > SEEK_FROM and origin is not None:
        frames = _seek(container, stream, info, origin, begin - interval)
    time, end, number = -interval, Fraction(0), None
    for frame in deinterlaced(frames, info.path):
        stamp = _frame_time(frame, stream)
        time = time + interval if stamp is None or origin is None else stamp - origin
        duration = getattr(frame, "duration", None)
        end = time + (Fraction(duration) * Fraction(frame.time_base) if duration and frame.time_base else interval)
        # After a seek nobody has counted the frames before, so the first number is worked out from the time.
        number = round(time * info.fps) if number is None else number + 1
        yield TimedFrame(time, end - time, number, frame)
    _check_end(container, stream, info, origin or Fraction(0), end)


def _check_end(
    container: InputContainer, stream: VideoStream, info: VideoInfo, origin: Fraction, end: Fraction
) -> None:
    """Refuse a clip whose last frame ended at ``end``, seconds from its first, well before the file says it does.

    A transport stream (.ts) says nothing of its length, and a recording may well stop anywhere, so that one only warns.
    """
    if container.format.name == "mpegts" and all(container.size % packet for packet in TRANSPORT_PACKETS):
        log.warning("'%s' ends in the middle of a packet: it is cut off after %d frames.", info.path, end * info.fps)
    if stream.duration:
        until = ((stream.start_time or 0) + stream.duration) * time_base(stream)
    else:  # counted from the beginning of the file
        until = _track_duration(container, stream)
        if until is None and not info.has_audio:
            until = Fraction(container.duration or 0, 1_000_000)
    if until is None:
        return
    announced = round((until - origin) * info.fps)
    if announced - end * info.fps > max(3, 0.02 * announced):
        raise EX4DError(
            f"'{info.path}' is cut off: it announces {announced} frames and ends after "
            f"{max(0, round(end * info.fps))}. Ask for fewer frames or use an intact file."
        )


def _seek(
    container: InputContainer, stream: VideoStream, info: VideoInfo, origin: Fraction, time: Fraction
) -> Iterator[VideoFrame]:
    """Frames from the last keyframe before ``time``; from the start where the index is wrong."""
    from av.error import FFmpegError

    try:
        container.seek(int((origin + time) / time_base(stream)), stream=stream)
        frames = _decode(container, stream, info.path)
        landed = next(frames, None)
        stamp = None if landed is None else _frame_time(landed, stream)
        if landed is not None and stamp is not None and stamp - origin <= time:
            return chain([landed], frames)
    except (FFmpegError, EX4DError):
        pass
    try:
        container.seek(0)
    except FFmpegError as error:
        raise EX4DError(
            f"'{info.path}' is damaged: its index is wrong, and it cannot be read again from its beginning "
            f"({error.strerror or error}). Re-export it as MP4."
        ) from error
    return _decode(container, stream, info.path)
