"""Sound of films whose time is bent: pitch follows speed, frozen is silent, and nothing is bent without being asked."""

from __future__ import annotations

import numpy as np
import pytest

from ex4d_core.errors import EX4DError
from ex4d_core.video import bent_sound

RATE, FPS = 8000, 10


def tone(hertz, seconds=4.0):
    return np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)[None].astype(np.float32)


def loudest(samples):
    """Frequency of most energy, Hz."""
    spectrum = np.abs(np.fft.rfft(samples[0] * np.hanning(samples.shape[1])))
    return spectrum.argmax() * RATE / samples.shape[1]


def test_time_as_filmed_leaves_the_sound_as_it_is():
    sound = np.random.default_rng(1).normal(0, 0.2, (2, 2 * RATE)).astype(np.float32)
    bent = bent_sound(sound, RATE, np.arange(20), FPS)
    assert bent.shape == (2, 2 * RATE) and bent.dtype == np.float32
    # The last frame has no next one to run to.
    inside = slice(0, round(1.85 * RATE))
    np.testing.assert_allclose(bent[:, inside], sound[:, inside], atol=1e-6)


@pytest.mark.parametrize(("speed", "hertz"), [(0.5, 200), (2, 800), (-1, 400)])
def test_pitch_follows_speed(speed, hertz):
    times = 20 + speed * np.arange(11) if speed < 0 else speed * np.arange(11)
    bent = bent_sound(tone(400), RATE, times, FPS)[:, : round(0.9 * RATE)]
    assert abs(loudest(bent) - hertz) < 5


def test_backwards_is_the_sound_turned_round():
    sound = np.random.default_rng(2).normal(0, 0.2, (1, 2 * RATE)).astype(np.float32)
    bent = bent_sound(sound, RATE, np.arange(20.0, -1, -1), FPS)
    there = slice(round(0.1 * RATE), round(1.9 * RATE))
    np.testing.assert_allclose(bent[:, there], sound[:, ::-1][:, there], atol=1e-5)


def test_frozen_is_silent_without_a_click():
    times = [*range(10), *[9] * 10, *range(9, 19)]
    bent = np.abs(bent_sound(np.ones((1, 2 * RATE), np.float32), RATE, times, FPS))[0]
    assert bent[round(0.95 * RATE) : round(1.85 * RATE)].max() == 0
    assert bent[round(0.5 * RATE)] == pytest.approx(1)
    assert np.abs(np.diff(bent)).max() < 0.1


def test_what_is_played_fast_is_softened_where_it_would_fold_back():
    bent = bent_sound(tone(3500), RATE, 4 * np.arange(10), FPS)[:, : round(0.85 * RATE)]
    assert np.sqrt((bent**2).mean()) < 0.2 * np.sqrt(0.5)


def test_beyond_the_clip_is_silence():
    assert np.abs(bent_sound(tone(300, 0.5), RATE, np.arange(30), FPS)[:, RATE:]).max() == 0


def test_other_shapes_are_refused():
    with pytest.raises(EX4DError, match="channels, samples"):
        bent_sound(np.zeros(9), RATE, np.arange(3), FPS)
