"""Sound that follows a film whose time is bent: faster is higher, backwards is backwards, frozen is silent, as on a tape."""

from __future__ import annotations

import numpy as np

from ..errors import EX4DError

STILL = 1e-3
"""Share of the clip's own speed below which nothing is heard."""
FADE = 0.005
"""Seconds in which sound goes and comes where time stops and runs on, so that nothing clicks."""


def bent_sound(samples: np.ndarray, rate: int, times: np.ndarray, fps: float) -> np.ndarray:
    """The sound of a film that shows other moments of its clip than one after the other.

    Args:
        samples: (C, N) of the clip, from its first frame on.
        rate: samples a second.
        times: (T,) frame of the clip that each frame shows, may be fractional.
        fps: of clip and film.

    Returns:
        (C, round(T / fps * rate)) float32. Between two frames time goes evenly; the last one is still.

    Raises:
        EX4DError: samples of another shape, or no frames.
    """
    times = np.asarray(times, dtype=np.float64)
    if samples.ndim != 2 or times.ndim != 1 or not len(times):
        raise EX4DError(f"Sound is (channels, samples) and times are a list, got {samples.shape} and {times.shape}.")
    count = round(len(times) / fps * rate)
    edges = np.interp(np.arange(count + 1) * (fps / rate), np.arange(len(times)), times) / fps * rate
    heard = np.abs(np.diff(edges)) >= STILL
    return (_between(samples, edges) * _faded(heard, max(1, round(FADE * rate)))).astype(np.float32)


def _between(samples: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The mean of the sound between places of the clip, (C, len(edges) - 1): what is played fast is not aliased.

    Of a stretch shorter than a sample it is the mean of the sample around its middle.
    """
    low, high = np.minimum(edges[:-1], edges[1:]), np.maximum(edges[:-1], edges[1:])
    middle, half = (low + high) / 2, np.maximum((high - low) / 2, 0.5)
    # Places beyond the clip are silent.
    area = np.pad(np.cumsum(samples, axis=1, dtype=np.float64), ((0, 0), (1, 0)))
    at = np.arange(area.shape[1])
    sums = [np.stack([np.interp(place, at, channel) for channel in area]) for place in (middle + half, middle - half)]
    return (sums[0] - sums[1]) / (2 * half)


def _faded(heard: np.ndarray, width: int) -> np.ndarray:
    """1 where sound is heard, 0 where it is not, with slopes of that many samples inside of what is heard."""
    padded = np.pad(heard.astype(np.float64), (width, width), mode="edge")
    total = np.pad(np.cumsum(padded), (1, 0))
    mean = (total[2 * width + 1 :] - total[: -2 * width - 1]) / (2 * width + 1)
    return np.clip(2 * mean - 1, 0, 1) * heard
