"""Where a video is cut, and which stretches of it are long enough to train on."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor
from torch.nn import functional

SMALL = 32
"""Side of the pictures that are compared."""
LEAST_CHANGE = 0.08
"""Mean difference of two frames, 0..1, below which nothing is a cut."""
TIMES = 4.0
"""A cut differs so many times as much as the frames around it do; fast motion goes on for longer than one frame."""
AROUND = 6
"""Frames before and after that are looked at."""


def cuts(frames: Tensor) -> list[int]:
    """Frames (T, H, W, 3) uint8 with which something else begins.

    Returns:
        Rising numbers between 1 and T - 1.
    """
    if len(frames) < 2:
        return []
    small = torch.stack(
        [functional.adaptive_avg_pool2d(frame.permute(2, 0, 1).float() / 255, SMALL) for frame in frames]
    )
    change = (small[1:] - small[:-1]).abs().mean((1, 2, 3))
    found = []
    for t, value in enumerate(change.tolist()):
        near = torch.cat([change[max(0, t - AROUND) : t], change[t + 1 : t + 1 + AROUND]])
        usual = float(near.median()) if len(near) else 0.0
        if value > LEAST_CHANGE and value > TIMES * usual:
            found.append(t + 1)
    return found


def windows(count: int, cut: list[int], length: int, most: int) -> list[int]:
    """First frames of stretches without a cut.

    Args:
        count: frames of the video.
        cut: of `cuts`.
        length: frames of a stretch.
        most: how many, one after the other from the start on.
    """
    edges = [0, *cut, count]
    starts = [start for first, last in itertools.pairwise(edges) for start in range(first, last - length + 1, length)]
    return starts[:most]
