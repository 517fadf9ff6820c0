"""A video file: what it holds, and its frames, decoded as they are asked for."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from itertools import chain
from os import PathLike
from typing import TYPE_CHECKING, BinaryIO, TypeVar, cast

import numpy as np

from ..errors import EX4DError
from .deinterlace import deinterlaced
from .pyav import fraction, open_for_reading, time_base
from .sampling import output_length
from .source import (
    FileSource,
    Orientation,
    TimedFrame,
    TimedFrames,
    VideoInfo,
    check_picture_size,
    source_name,
)
from .timeline import FARTHEST_DRIFT, JUMP, PAUSE, Timeline, timeline_of
from .wholeness import is_whole

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

log = logging.getLogger(__name__)

MediaStream = TypeVar("MediaStream", "VideoStream", "AudioStream")

DEFAULT_TRACK, ATTACHED_PICTURE, TIMED_THUMBNAILS = 0x1, 0x400, 0x800
"""FFmpeg's disposition flags."""

COUNTED, STATED, JOINED = {"mov"}, {"mov", "matroska", "avi"}, {"mpegts", "mpeg", "flv"}
"""Formats (FFmpeg's names) whose header holds the time of every picture; whose header states the length, where others are
estimated from what was read; and whose clock may jump, since pieces are joined as they are."""

BARE = {"h264", "hevc", "m4v", "mpegvideo", "h263", "vc1", "obu"}
"""Formats that are a codec's bare data, as drones and security cameras write it: the only rate is the codec's own."""

HDR_CURVES = (16, 18)
"""Transfer characteristics PQ and HLG, ITU-T H.273."""

TRANSPORT_PACKETS = (188, 192, 204)
"""Bytes, of MPEG transport streams: plain, with a time (.m2ts), with error correction."""

SHORTEST_PAUSE = 1
"""Seconds for which a film must stand still for it to be said."""

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
    from av.error import FFmpegError

    path = source_name(source)
    # The scheme keeps FFmpeg from reading one into a name such as "take 12:30.mp4".
    file = f"file:{path}" if isinstance(source, (str, PathLike)) else source
    try:
        return open_for_reading(file)
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
def open_video_file(source: FileSource, *, thorough: bool = False) -> Iterator[tuple[VideoInfo, TimedFrames]]:
    """A video file's facts and its frames, decoded as they are asked for.

    Args:
        source: the file.
        thorough: count the pictures whatever the header says, which reads the whole file.
    """
    path = source_name(source)
    # Of a stream only one container can be open, so whatever may be needed is read now.
    only_now = not isinstance(source, (str, PathLike))
    with ExitStack() as opened:
        container = opened.enter_context(open_container(source))
        stream = best_track(container, path)
        unsure = not _header_is_sure(container, stream)
        timeline = None
        if thorough or (unsure and (only_now or _header_is_wrong(container, stream))):
            timeline = _timeline(container, stream)
            opened.close()
            if only_now:
                cast("BinaryIO", source).seek(0)
            container = opened.enter_context(open_container(source))
            stream = best_track(container, path)
        context = stream.codec_context
        if context is None:
            raise EX4DError(f"'{path}' is coded in a way that cannot be decoded here. Re-export it as H.264 in MP4.")
        # Frame threads hold one picture each, so large pictures are decoded by slices.
        context.thread_type = "AUTO" if context.width * context.height <= 2048 * 2048 else "SLICE"
        frames = _decode(container, stream, path)
        first = next(frames, None)
        if first is None:
            raise EX4DError(f"'{path}' holds no video frame that can be decoded. It is empty or cut off.")
        info = _describe(container, stream, first, timeline, path)
        check_picture_size(info.width, info.height, path)

        def timed(begin: Fraction) -> Iterator[TimedFrame]:
            known, steady = timeline, timeline is not None and timeline.is_steady(info.fps)
            if known is None and unsure and not only_now and begin > SEEK_FROM:
                with open_container(source) as other:
                    known = _timeline(other, best_track(other, path))
            elif known is not None and max(known.pace().pauses, default=0) >= SHORTEST_PAUSE:
                _tell_pause(max(known.pace().pauses), info)
            return _timed(container, stream, info, first, chain([first], frames), begin, known, steady=steady)

        yield info, timed


def films(container: InputContainer) -> list[VideoStream]:
    """The video tracks that are no cover of a sound file and no thumbnails."""
    return [s for s in container.streams.video if not s.disposition.value & (ATTACHED_PICTURE | TIMED_THUMBNAILS)]


def best_track(container: InputContainer, path: str) -> VideoStream:
    """The film among a file's video tracks: what the container calls its default, else the largest.

    Raises:
        EX4DError: there is none.
    """
    streams = films(container)
    if not streams:
        kind = "holds sound only" if container.streams.audio else "holds no pictures"
        raise EX4DError(f"'{path}' {kind}, no video. Choose a file with a video track.")

    def rank(stream: VideoStream) -> tuple[bool, bool, bool, int]:
        context = stream.codec_context
        area = 0 if context is None else context.width * context.height
        # A film beside a single picture is the film, and a track that nothing here can decode is the last choice.
        return context is not None, stream.frames != 1, bool(stream.disposition.value & DEFAULT_TRACK), area

    return max(streams, key=rank)


def _format_of(container: InputContainer) -> str:
    return container.format.name.split(",")[0]


def _header_is_sure(container: InputContainer, stream: VideoStream) -> bool:
    """Whether the header tells the time and the number of every picture: one rate throughout, and a length that fits."""
    rate, average = fraction(stream.base_rate), fraction(stream.average_rate)
    if _format_of(container) not in COUNTED or not rate or not average or not stream.frames:
        return False
    seconds = stream.frames / average if stream.duration is None else stream.duration * time_base(stream)
    return max(abs(length * rate - stream.frames) for length in (seconds, stream.frames / average)) <= 1


def _header_is_wrong(container: InputContainer, stream: VideoStream) -> bool:
    """Whether the packets must be looked at to know the rate: there is none, or an average over unequal times."""
    kind = _format_of(container)
    # Of live WebM the guess is its clock, a thousand a second.
    average = fraction(stream.average_rate)
    no_rate = not average or average * time_base(stream) == 1
    return no_rate or kind in COUNTED or kind in ("gif", "apng", "webp")


def _timeline(container: InputContainer, stream: VideoStream) -> Timeline | None:
    from av.error import FFmpegError

    def readable() -> Iterator[Packet[VideoStream]]:
        # What cannot be read is told when it is decoded.
        with suppress(FFmpegError):
            yield from packets_of(container, stream)

    context = stream.codec_context
    codec = "" if context is None else context.name
    return timeline_of(readable(), time_base(stream), codec, may_jump=_format_of(container) in JOINED)


def _describe(
    container: InputContainer, stream: VideoStream, first: VideoFrame, timeline: Timeline | None, path: str
) -> VideoInfo:
    turned = orientation(first, path)
    width, height = first.width, first.height
    aspect = fraction(stream.sample_aspect_ratio) or Fraction(1)
    if turned.transposed:
        width, height, aspect = height, width, 1 / aspect
    origin = _frame_time(first, stream) or Fraction(0)
    rate, frames, pictures = _rate_and_length(container, stream, timeline)
    return VideoInfo(
        width=width,
        height=height,
        display_width=max(1, round(width * aspect)),
        fps=rate,
        frames=frames or None,
        pictures=pictures or None,
        start_time=float(origin),
        has_audio=bool(container.streams.audio),
        turned=turned,
        path=path,
    )


def _rate_and_length(
    container: InputContainer, stream: VideoStream, timeline: Timeline | None
) -> tuple[Fraction, int | None, int | None]:
    """(Frames a second, frames at that rate, pictures); the latter two where they are known."""
    average, guessed = fraction(stream.average_rate), fraction(stream.guessed_rate)
    told = guessed if _format_of(container) in BARE else average
    rate = told or average or guessed or Fraction(25)
    if timeline is not None:
        pace = timeline.pace()
        if pace.rate is not None and (pace.pauses or _header_is_wrong(container, stream)):
            rate = pace.rate if pace.pauses or _format_of(container) not in COUNTED else _plausible(rate, pace.rate)
        return rate, output_length(pace.length, rate, rate), len(timeline)
    if _header_is_sure(container, stream):
        return rate, stream.frames, stream.frames
    duration = _track_duration(container, stream)
    if duration is not None:
        return rate, output_length(duration, rate, rate), None
    if stream.frames:
        return rate, stream.frames, None
    if container.duration:
        return rate, output_length(Fraction(container.duration, 1_000_000), rate, rate), None
    return rate, None, None


def _tell_pause(longest: Fraction, info: VideoInfo) -> None:
    log.warning(
        "'%s' stands still, for %.3g s at least once. Its rate without that is %.6g frames a second, and a picture is "
        "repeated for as long as it stands.",
        info.path,
        float(longest),
        float(info.fps),
    )


def _plausible(stated: Fraction, measured: Fraction) -> Fraction:
    """The header's average rate, unless the times of the pictures say something else."""
    return stated if abs(stated / measured - 1) < 0.02 else measured


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


def orientation(frame: VideoFrame, path: str) -> Orientation:
    """How the stored picture becomes upright, from the display matrix.

    Raises:
        EX4DError: a rotation by anything but quarter turns.
    """
    try:
        data = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # beside data that this PyAV has no name for, it gives the turn alone
        a, b = {0: (1, 0), 90: (0, -1), 180: (-1, 0), 270: (0, 1)}.get(frame.rotation % 360, (1, 1))
        c, d = -b, a
    else:
        if data is None:
            return Orientation()
        a, b, c, d = (float(v) for v in np.frombuffer(bytes(data), np.int32)[[0, 1, 3, 4]])
    size = math.hypot(a, b)
    if size == 0 or min(abs(a), abs(b)) > 0.01 * size:
        raise EX4DError(f"'{path}' is rotated by other than quarter turns; export it upright.")
    # Stored (x, y) is shown at (a x + c y, b x + d y).
    return Orientation(False, a < 0, d < 0) if abs(a) > abs(b) else Orientation(True, c < 0, b < 0)


def _frame_time(frame: VideoFrame, stream: VideoStream) -> Fraction | None:
    return None if frame.pts is None else frame.pts * (fraction(frame.time_base) or time_base(stream))


def _shown_for(frame: VideoFrame, usual: Fraction) -> Fraction:
    """Seconds; the usual interval where the file does not say."""
    duration, tick = getattr(frame, "duration", None), fraction(frame.time_base)  # PyAV 14 has no durations
    return duration * tick if duration and tick else usual


def _decode(container: InputContainer, stream: VideoStream, path: str) -> Iterator[VideoFrame]:
    """Frames until the end; whole ones only. Damage ends the stream with an error once the good frames are out.

    In a format whose pieces may be joined, a break is no end: what follows can be decoded from its next key frame on.
    """
    from av.error import FFmpegError, InvalidDataError

    joined = _format_of(container) in JOINED
    count = left_out = 0
    breaks = 0
    damage: FFmpegError | None = None
    try:
        for packet in packets_of(container, stream):
            breaks += packet.is_corrupt
            if packet.is_corrupt and not joined:
                raise InvalidDataError(0, "incomplete data")
            try:
                frames = packet.decode()
            except (FFmpegError, ValueError):  # the latter is PyAV 19's where a decoder could not be opened before
                if not joined:
                    raise
                breaks += 1
                continue
            for frame in frames:
                if frame.is_corrupt and not joined:
                    raise InvalidDataError(0, "incomplete data")
                if frame.is_corrupt:
                    left_out += 1
                    continue
                count += 1
                yield frame
    except FFmpegError as error:
        damage = error
    if damage is None:
        if breaks or left_out:
            log.warning(
                "'%s' has breaks (%d), as where pieces are joined or the reception failed; %d pictures beside them cannot be "
                "decoded and are left out. Sound after a break may be early or late.",
                path,
                breaks,
                left_out,
            )
        return
    with suppress(FFmpegError, ValueError):
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
    timeline: Timeline | None,
    *,
    steady: bool,
) -> Iterator[TimedFrame]:
    """The frames from one at or before ``begin``; times count from the clip's first frame.

    Of a ``steady`` film they are those of its rate, so that at that rate every picture is shown once.
    """
    if int(stream.codec_context.color_trc) in HDR_CURVES:
        log.warning("'%s' is HDR video and is read without tone mapping; export it as SDR for true colours.", info.path)
    interval = 1 / info.fps
    origin = _frame_time(first, stream)
    may_jump = _format_of(container) in JOINED
    # Where the clock jumps a time leads nowhere.
    runs_on = not may_jump or (timeline is not None and not timeline.jumps)
    if begin > SEEK_FROM and origin is not None and runs_on:
        frames = _seek(container, stream, info, origin, begin - interval * (FARTHEST_DRIFT + 1 if steady else 1))
    time, end, number, jumps = -interval, Fraction(0), None, 0
    pause_told = timeline is not None
    offset = origin or Fraction(0)
    for frame in deinterlaced(frames, info.path):
        stamp = _frame_time(frame, stream)
        expected = time + interval
        time = expected if stamp is None or origin is None else stamp - offset
        if may_jump and number is not None and not expected - interval < time < expected + max(JUMP, 10 * interval):
            # The clock jumped where pieces were joined; the pictures follow each other all the same.
            jumps += 1
            offset += time - expected
            time = expected
        if not pause_told and number is not None and time - expected > max(SHORTEST_PAUSE, PAUSE * interval):
            pause_told = True
            _tell_pause(time - expected + interval, info)
        end = time + _shown_for(frame, interval)
        if number is not None:
            number += 1
        # After a seek nobody has counted the frames before, so the first number is looked up by its time.
        elif timeline is not None and stamp is not None and origin is not None:
            number = timeline.number(stamp) - timeline.number(origin)
        else:
            number = round(time * info.fps)
        yield (
            TimedFrame(number * interval, interval, number, frame)
            if steady
            else TimedFrame(time, end - time, number, frame)
        )
    if jumps:
        log.warning(
            "The clock of '%s' jumps (%d), as where pieces are joined; the pictures are shown without a gap.",
            info.path,
            jumps,
        )
    _check_end(container, stream, info, origin or Fraction(0), end, 0 if number is None else number + 1)


def _check_end(
    container: InputContainer, stream: VideoStream, info: VideoInfo, origin: Fraction, end: Fraction, count: int
) -> None:
    """Refuse a clip whose last frame ended at ``end``, seconds from its first, well before the file says it does.

    A transport stream (.ts) says nothing of its length, and a recording may well stop anywhere, so that one only warns.
    So do lengths that are estimates, and wrong ones of files that are whole; and where a header has two lengths, both must
    lie beyond the end.
    """
    if container.format.name == "mpegts" and all((container.size or 0) % packet for packet in TRANSPORT_PACKETS):
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
    missing = announced - end * info.fps
    if _format_of(container) in COUNTED and stream.frames:
        missing = min(missing, Fraction(stream.frames - count))
    if missing <= max(3, 0.02 * announced):
        return
    if _format_of(container) in STATED and not is_whole(info.path):
        raise EX4DError(
            f"'{info.path}' is cut off: it announces {announced} frames and ends after "
            f"{max(0, round(end * info.fps))}. Ask for fewer frames or use an intact file."
        )
    log.warning(
        "'%s' ends after %d frames, while its length is told or estimated as %d; it may be cut off.",
        info.path,
        max(0, round(end * info.fps)),
        announced,
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
