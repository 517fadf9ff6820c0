"""When a file's pictures are shown, read off its packets without decoding: for files whose headers cannot be believed."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.packet import Packet

USUAL_RATES = tuple(Fraction(rate) for rate in (12, 15, 16, 24, 25, 30, 48, 50, 60, 90, 100, 120, 240)) + tuple(
    Fraction(rate * 1000, 1001) for rate in (15, 24, 30, 48, 60, 120)
)
PAUSE = 5
"""Times the usual interval between two pictures, above which a picture counts as held through a pause."""
FEW = Fraction(1, 8)
"""Share of the intervals up to which long ones are pauses; with more of them the rate itself varies."""
JUMP = 1
"""Seconds and more between two pictures of a format whose clock may jump are no pause but a jump, where ten are usual."""
JITTER = Fraction(1, 2)
"""Share of an interval by which intervals may differ from the usual one and still be those of one rate."""
FARTHEST_DRIFT = 3
"""Intervals by which the times of a film of one rate may lie beside those of the rate."""
SHOWN_BIT = 0x10
"""In the first byte of a VP8 frame: one without it is only decoded for others (RFC 6386, 9.1)."""


@dataclass(frozen=True)
class Timeline:
    """The times of all pictures of a film.

    Attributes:
        stamps: seconds in the container's clock, sorted, at least one.
        last_duration: seconds for which the last picture is shown; None where the file does not say.
        tick: seconds to which times are rounded.
        jumps: of the container's clock; after one the stamps are those of a clock without it.
    """

    stamps: Sequence[Fraction]
    last_duration: Fraction | None
    tick: Fraction
    jumps: int = 0

    def __len__(self) -> int:
        return len(self.stamps)

    def number(self, stamp: Fraction) -> int:
        """Which picture is shown at a time, from 0 on; the first one for times before it."""
        return max(0, bisect_right(self.stamps, stamp) - 1)

    def is_steady(self, rate: Fraction) -> bool:
        """Whether the pictures come at one rate whose times only jitter, as those of recorders without a clock of their own."""
        return all(
            abs(after - before - 1 / rate) <= JITTER / rate for before, after in zip(self.stamps, self.stamps[1:])
        ) and all(
            abs(stamp - self.stamps[0] - index / rate) <= FARTHEST_DRIFT / rate
            for index, stamp in enumerate(self.stamps)
        )

    def pace(self) -> Pace:
        """The rate of the pictures, and what they stand still for."""
        steps = [after - before for before, after in zip(self.stamps, self.stamps[1:]) if after > before]
        if not steps:
            return Pace(None, (), (self.last_duration or Fraction(0)))
        usual = sorted(steps)[len(steps) // 2]
        pauses = [step for step in steps if step > PAUSE * usual]
        if len(pauses) > FEW * len(steps):
            pauses = []
        moving, time = len(steps) - len(pauses), sum(steps, Fraction(0)) - sum(pauses, Fraction(0))
        rate = _usual_rate(Fraction(moving) / time, self.tick / time)
        last = usual if self.last_duration is None else self.last_duration
        return Pace(rate, tuple(pauses), self.stamps[-1] - self.stamps[0] + last)


@dataclass(frozen=True)
class Pace:
    """What the times of a film's pictures tell.

    Attributes:
        rate: pictures a second while they move; None of a single picture.
        pauses: seconds of each interval that is many times as long as is usual.
        length: seconds in all.
    """

    rate: Fraction | None
    pauses: tuple[Fraction, ...]
    length: Fraction


def _usual_rate(rate: Fraction, uncertainty: Fraction) -> Fraction:
    """The usual rate that is meant, where rounded times cannot tell it from ``rate``; ``uncertainty`` is a share."""
    near = [usual for usual in USUAL_RATES if abs(usual / rate - 1) <= uncertainty]
    return min(near, key=lambda usual: abs(usual - rate)) if near else rate.limit_denominator(100_000) or rate


def timeline_of(
    packets: Iterable[Packet], time_base: Fraction, codec: str, *, may_jump: bool = False
) -> Timeline | None:
    """The timeline of a stream's packets.

    Args:
        packets: all of them, in the order of the file.
        time_base: seconds of a tick.
        codec: its name, by which packets without a picture of their own are told.
        may_jump: the clock may jump where pieces were joined; what follows is moved to follow on.

    Returns:
        None where packets carry no times.
    """
    found: list[tuple[int, int]] = []
    clock = _Clock(time_base)
    for packet in packets:
        moved = clock.offset(packet) if may_jump else 0
        if packet.pts is None or packet.is_discard or not packet.size:
            continue
        if codec == "vp8" and not memoryview(packet)[0] & SHOWN_BIT:
            continue
        found.append((packet.pts + moved, packet.duration or 0))
    if not found:
        return None
    found.sort()
    last = found[-1][1] * time_base
    # A duration of a tick or two beside rounded times is a writer's stand-in for one it did not know.
    stamps = [pts * time_base for pts, _ in found]
    return Timeline(stamps, last if last > 2 * time_base else None, time_base, clock.jumps)


class _Clock:
    """Finds jumps of a clock by the times at which packets are decoded, which otherwise grow by steps alike."""

    def __init__(self, time_base: Fraction) -> None:
        self.jumps = 0
        self._largest = int(JUMP / time_base)
        self._offset = 0
        self._last: int | None = None
        self._step = 1

    def offset(self, packet: Packet) -> int:
        """Ticks to add to this packet's times."""
        if packet.dts is None:
            return self._offset
        time = packet.dts + self._offset
        if self._last is not None:
            expected = self._last + self._step
            if not self._last <= time <= expected + max(self._largest, 10 * self._step):
                self.jumps += 1
                self._offset += expected - time
                time = expected
            self._step = packet.duration or max(time - self._last, 1)
        self._last = time
        return self._offset
