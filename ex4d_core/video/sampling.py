"""Which decoded frame is shown at which output frame, decided by timestamps alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from numbers import Rational

from ..errors import EX4DError
from .source import TimedFrame


def exact_rate(fps: float | Rational) -> Fraction:
    """The frame rate as the fraction that was meant: 29.97 -> 30000/1001, 23.976 -> 24000/1001, 12.5 -> 25/2."""
    if isinstance(fps, Rational):  # PyAV's own rates too
        return Fraction(int(fps.numerator), int(fps.denominator))
    ntsc = Fraction(round(fps * 1.001) * 1000, 1001)
    if ntsc and abs(float(ntsc) - fps) < 1e-3 * min(1.0, fps / 24) and abs(fps - round(fps)) > 1e-6:
        return ntsc
    return Fraction(fps).limit_denominator(10000)


def frames_at_rate(
    frames: Iterable[TimedFrame],
    rate: Fraction,
    source_rate: Fraction,
    start: int = 0,
    count: int | None = None,
) -> Iterator[TimedFrame]:
    """Resample a stream of timed frames to a constant rate, as a viewer would see it.

    Output frame k is the latest frame whose time is at most k / rate, plus a tolerance for rounded timestamps: half of the
    shortest of the two rates' intervals and the frame's own. So a constant-rate clip at its own rate comes through frame by
    frame, a held frame is repeated for as long as it is held, and a faster source is thinned without blending.

    Args:
        frames: in display order.
        rate: output frames per second, > 0.
        source_rate: the source's average frames per second, > 0.
        start: first output frame wanted, >= 0.
        count: number of output frames wanted; None for all until the source ends.

    Yields:
        The chosen frames; a frame is yielded again for each further output frame that shows it.

    Raises:
        EX4DError: as ``frames`` does, unless every frame wanted came before.
    """
    tolerance = min(1 / rate, 1 / source_rate) / 2
    end = None if count is None else start + count
    index = start
    held: TimedFrame | None = None
    damage: EX4DError | None = None
    try:
        for frame in frames:
            while held is not None and frame.time - Fraction(index) / rate > min(
                tolerance, (frame.time - held.time) / 2
            ):
                if end is not None and index >= end:
                    return
                yield held
                index += 1
            if end is not None and index >= end:
                return
            held = frame
    except EX4DError as error:  # the frames before the damage are good
        damage = error
    if held is not None:
        until = held.time + held.duration
        while (end is None or index < end) and Fraction(index) / rate + tolerance < until:
            yield held
            index += 1
    if damage is not None and (end is None or index < end):
        raise damage


def output_length(duration: Fraction, rate: Fraction, source_rate: Fraction) -> int:
    """How many frames `frames_at_rate` yields from a clip of this duration (seconds) that starts at 0."""
    tolerance = min(1 / rate, 1 / source_rate) / 2
    slots = (duration - tolerance) * rate
    return max(0, -(-slots.numerator // slots.denominator))
