"""Which frames are chosen, and how pictures are placed: properties over all rates, sizes and fits."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ex4d_core.errors import EX4DError
from ex4d_core.video.fit import FITS, place
from ex4d_core.video.sampling import exact_rate, frames_at_rate, output_length
from ex4d_core.video.source import TimedFrame

rates = st.sampled_from(
    [Fraction(n, d) for n in (1, 5, 10, 12, 15, 24, 25, 30, 48, 50, 60, 120) for d in (1, 1001)]
).map(lambda rate: rate * 1000 if rate.denominator == 1001 else rate)
lengths = st.integers(1, 40)


def constant(count: int, rate: Fraction, rounding: int | None = None):
    """The frames of a constant-rate clip, optionally with times rounded to 1/rounding seconds."""
    for index in range(count):
        time = index / rate
        if rounding:
            time = Fraction(round(time * rounding), rounding)
        yield TimedFrame(time, 1 / rate, index, None)


def shown_numbers(*arguments):
    """The numbers of the frames that `frames_at_rate` yields."""
    return [frame.number for frame in frames_at_rate(*arguments)]


@given(lengths, rates, st.sampled_from([None, 1000, 90000]))
@settings(max_examples=60, deadline=None)
def test_own_rate_gives_every_frame_once(count, rate, rounding):
    assert shown_numbers(constant(count, rate, rounding), rate, rate) == list(range(count))


@given(lengths, rates, rates, st.integers(0, 5), st.none() | st.integers(1, 20))
@settings(max_examples=150, deadline=None)
def test_resampling_shows_what_a_viewer_sees(count, source, rate, start, wanted):
    every = shown_numbers(constant(count, source), rate, source)
    assert len(every) == output_length(count / source, rate, source)
    assert every == sorted(every)
    if every:
        assert every[0] == 0
    for index, number in enumerate(every):
        # The frame on screen at that moment, within half of the shorter interval.
        moment = index / rate
        assert number / source <= moment + min(1 / rate, 1 / source) / 2
        assert number == count - 1 or (number + 1) / source > moment
    part = shown_numbers(constant(count, source), rate, source, start, wanted)
    assert part == every[start : None if wanted is None else start + wanted]


@given(st.lists(st.integers(1, 400), min_size=1, max_size=30), rates)
@settings(max_examples=80, deadline=None)
def test_variable_rate_holds_each_frame_until_the_next(gaps, rate):
    times = [Fraction(sum(gaps[:i]), 1000) for i in range(len(gaps))]
    timed = [TimedFrame(time, Fraction(gap, 1000), i, None) for i, (time, gap) in enumerate(zip(times, gaps))]
    source = len(gaps) / Fraction(sum(gaps), 1000)

    def reached(number, index):
        interval = times[number] - times[number - 1] if number else 1 / rate
        return times[number] <= index / rate + min(1 / rate, 1 / source, interval) / 2

    for index, number in enumerate(shown_numbers(timed, rate, source)):
        assert reached(number, index)
        assert number + 1 == len(times) or not reached(number + 1, index)


@pytest.mark.parametrize(
    ("given_rate", "meant"),
    [
        (29.97, Fraction(30000, 1001)),
        (23.976, Fraction(24000, 1001)),
        (59.94, Fraction(60000, 1001)),
        (30000 / 1001, Fraction(30000, 1001)),
        (15, Fraction(15)),
        (30.0, Fraction(30)),
        (12.5, Fraction(25, 2)),
        (0.5, Fraction(1, 2)),
        (1, Fraction(1)),
    ],
)
def test_rates_are_the_fractions_that_were_meant(given_rate, meant):
    assert exact_rate(given_rate) == meant


sides = st.integers(1, 3000)


@given(sides, sides, st.integers(16, 1024), st.integers(16, 1024), st.sampled_from(FITS))
@settings(max_examples=200, deadline=None)
def test_placement_covers_or_contains_and_keeps_the_shape(width, height, out_width, out_height, fit):
    try:
        placed = place((width, height), (out_width, out_height), fit)
    except EX4DError:
        assert fit == "crop" and max(width / height, height / width) > 100
        return
    (rows, columns), (from_rows, from_columns) = placed.windows()
    assert rows.stop - rows.start == from_rows.stop - from_rows.start > 0
    assert columns.stop - columns.start == from_columns.stop - from_columns.start > 0
    assert from_rows.start >= 0 and from_rows.stop <= placed.scaled_height
    assert from_columns.start >= 0 and from_columns.stop <= placed.scaled_width
    covers = (rows, columns) == (slice(0, out_height), slice(0, out_width))
    if fit == "stretch":
        assert (placed.scaled_width, placed.scaled_height) == (out_width, out_height)
        return
    assert covers if fit == "crop" else (placed.scaled_width <= out_width and placed.scaled_height <= out_height)
    assert placed.scaled_width == out_width or placed.scaled_height == out_height
    # The same shape, within the half pixel that whole sizes cost (and one pixel at least).
    shape = width / height
    assert abs(placed.scaled_width - placed.scaled_height * shape) <= max(1.0, shape) * 0.5 + 1e-6 or 1 in (
        placed.scaled_width,
        placed.scaled_height,
    )


def test_square_pixels_decide_the_shape():
    # 720x576 stored, shown as 1024x576 (16:9 PAL).
    placed = place((720, 576), (512, 512), "pad", aspect=1024 / 576)
    assert (placed.scaled_width, placed.scaled_height) == (512, 288)


def test_an_unknown_fit_is_refused():
    with pytest.raises(EX4DError, match="crop, pad or stretch"):
        place((10, 10), (16, 16), "squash")
