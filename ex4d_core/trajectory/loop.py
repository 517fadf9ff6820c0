"""Paths that are closed: the frame after the last would be the first, in place, direction, lens and time.

Keyframes are repeated before and after the round, so that the curve through the seam is the curve through any other key. A
preset that ends where it began goes round; any other goes there and back, at rest where it turns. ``web/editor/loop.js``
repeats this arithmetic.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from .document import Keyframe, PathDocument
from .presets import PRESETS, PresetSource

CLOSED = 1e-6
"""Share of the radius, and degrees of roll, by which a preset's end may miss its beginning and still be closed."""


def round_of_keys(document: PathDocument) -> tuple[int, tuple[Keyframe, ...]]:
    """The keys of one round, and one more on either side for the slopes at its ends.

    The round begins at the first key, or, where some keys have targets and some quaternions, at the first whose neighbour
    before it is of the other kind.

    Args:
        document: a loop with keyframes.

    Returns:
        The frame at which the round begins; its K + 1 keys between those around them, their frames counted on
        (negative before, from ``frames`` on after) and their roll turned on by the shortest way.
    """
    keys, length = document.keyframes, document.frames
    aims = [key.target is not None for key in keys]
    first = next((i for i in range(len(keys)) if aims[i] != aims[i - 1]), 0)
    spin = 360.0 * math.floor((keys[-1].roll - keys[0].roll) / 360 + 0.5)

    def counted(index: int) -> Keyframe:
        rounds, at = divmod(index, len(keys))
        key = keys[at]
        return replace(key, frame=key.frame + rounds * length, roll=key.roll + rounds * spin)

    return keys[first].frame, tuple(counted(i) for i in range(first - 1, first + len(keys) + 2))


def frames_of_preset(document: PathDocument, source: PresetSource, times: np.ndarray) -> np.ndarray:
    """At which frame of its plain path, 0 .. frames - 1, a looping preset is.

    Args:
        document: gives length, radius and pivot.
        source: the preset.
        times: (N,) frames of the loop, 0 .. frames.
    """
    last = document.frames - 1
    if goes_round(document, source):
        return times * (last / document.frames)
    return last * (0.5 - 0.5 * np.cos(2 * np.pi * times / document.frames))


def goes_round(document: PathDocument, source: PresetSource) -> bool:
    """Whether a preset ends where it began, and does not bend time."""
    preset = PRESETS[source.preset]
    if preset.schedule is not None:
        return False
    ends = preset.formula(np.array([0.0, 1.0]), dict(source.values), document.radius, np.array(document.pivot))
    moved = max(np.abs(np.diff(ends.position, axis=0)).max(), np.abs(np.diff(ends.target, axis=0)).max())
    turned = math.remainder(float(ends.roll[1] - ends.roll[0]), 360.0)
    return bool(moved <= CLOSED * document.radius and abs(turned) <= CLOSED)
