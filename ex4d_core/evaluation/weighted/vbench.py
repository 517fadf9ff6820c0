"""VBench's arithmetic over what networks say of a video's frames; whatever the network.

Source: Huang et al., VBench, 2024, and its published code. Its temporal flickering is `motion.flicker`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

LARGEST_SHARE = 0.05
"""Of the pixels of a flow, those whose mean speed is a frame pair's."""
SPEED, SIDE = 6.0, 256
"""Pixels a step from which a pair of frames moves, where the shorter side is 256."""
PAIRS, FRAMES = 4, 16
"""Of 16 frames, 4 pairs must move for a video to be dynamic."""
SAMPLED = 8.0
"""Frames a second at which motion is looked for."""


def consistency(features: Tensor) -> float:
    """Subject or background consistency: how alike each frame is to the one before and to the first, negative ones as 0.

    Args:
        features: (T, D) of the frames.

    Returns:
        0..1; NaN for one frame.
    """
    unit = F.normalize(features.double(), dim=-1)
    before = (unit[1:] * unit[:-1]).sum(-1).clamp_min(0)
    first = (unit[1:] @ unit[0]).clamp_min(0)
    return float(((before + first) / 2).mean()) if len(unit) > 1 else math.nan


def smoothness(frames: Tensor, between: Tensor) -> float:
    """Motion smoothness: how near every second frame is to what lies amid its neighbours.

    Args:
        frames: (T, H, W, 3) uint8.
        between: (T // 2, H, W, 3) uint8, invented by a network amid frames 0 and 2, 2 and 4, ...; one fewer for even T.

    Returns:
        0..1, (255 - mean absolute difference) / 255.
    """
    skipped = frames[1::2][: len(between)]
    off = [(a.int() - b.int()).abs().double().mean() for a, b in zip(skipped, between, strict=True)]
    return float((255 - torch.stack(off).mean()) / 255) if off else math.nan


def pair_speed(flow: np.ndarray) -> float:
    """Mean length of the fastest 5 % of a flow (H, W, 2), pixels."""
    lengths = np.sort(np.linalg.norm(flow, axis=-1).ravel())
    return float(lengths[len(lengths) - int(len(lengths) * LARGEST_SHARE) :].mean())


def is_dynamic(speeds: Sequence[float], size: tuple[int, int]) -> float:
    """Dynamic degree of one video: 1 where enough pairs of frames move, else 0.

    Args:
        speeds: of every pair of the sampled frames, `pair_speed`.
        size: (H, W).

    Returns:
        1 or 0; NaN where there is no pair.
    """
    if not len(speeds):
        return math.nan
    least = SPEED * min(size) / SIDE
    # Python rounds halves to even, as the published code does by round().
    return float(sum(speed > least for speed in speeds) >= round(PAIRS * (len(speeds) + 1) / FRAMES))


def sampled(frames: Tensor, fps: float) -> Tensor:
    """The frames between which motion is looked for, about 8 a second."""
    return frames[:: max(1, round(fps / SAMPLED))]
