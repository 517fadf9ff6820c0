"""What differs between PyAV's releases, 14.2 to 19: numbers as fractions, and how a file is opened for reading."""

from __future__ import annotations

from fractions import Fraction
from numbers import Rational
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream


def fraction(value: Rational | None) -> Fraction | None:
    """A rate, a tick or an aspect of PyAV's; None where it is unset.

    Args:
        value: unset is None up to PyAV 18, and from 19 on 0/1 or whatever has a denominator of 0.
    """
    if value is None or not value.numerator or not value.denominator:
        return None
    return Fraction(int(value.numerator), int(value.denominator))


def time_base(timed: Stream | Packet) -> Fraction:
    """Seconds of one tick of a stream's or a packet's clock; 1 where it is unset, which no demuxer leaves."""
    return fraction(timed.time_base) or Fraction(1)


def open_for_reading(file: str | BinaryIO) -> InputContainer:
    """A media file whose titles and the like may be in any encoding, since nothing here depends on them.

    Raises:
        FFmpegError, OSError: it cannot be opened.
    """
    import av
    from av.container import InputContainer

    # Up to PyAV 18 bytes that are no UTF-8 are an error unless it is told otherwise; PyAV 19 always keeps them.
    if hasattr(InputContainer, "metadata_errors"):
        return av.open(file, mode="r", metadata_errors="replace")
    return av.open(file, mode="r")
