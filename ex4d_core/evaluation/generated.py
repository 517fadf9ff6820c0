"""A generated video with known faults, and how much of them is left: for grading what is done to generated videos."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .regions import rim

DRIFT = (10.0, -6.0, 8.0)
"""Levels of 255 that red, green and blue have gained by the last frame, quadratically for blue."""
CONTRAST = 0.04
"""By which contrast has grown by the last frame."""
FLICKER = (3.0, -2.0, 4.0, -4.0, 1.0, -3.0, 2.0, -1.0)
"""Levels of 255 by which frames 0, 1, ... are brighter; again and again."""
FLICKER_TINT = (1.0, 0.8, 1.2)
"""Share of that which red, green and blue take."""
BLOCK = 16
"""Side of the blocks over which seams are measured: what an eye takes for a step of colour, not for lost detail."""
LEAST_SHARE = 0.1
"""Of a block that must be ring, and of a frame that must be hole, to be measured."""


@dataclass(frozen=True, eq=False)
class Simulated:
    """A simulated generated video.

    Attributes:
        images: (T, H, W, 3) float 0..1.
        clipped: (T, H, W) bool, where the faults went beyond black or white, and no correction can bring the colour back.
    """

    images: Tensor
    clipped: Tensor


@dataclass(frozen=True)
class ColourFaults:
    """What is wrong with a video, in levels of 255; colours that were clipped are left out.

    Attributes:
        drift: mean over frames and channels of how far the mean colour of the holes is off.
        largest: the same, the worst frame and channel.
        flicker: root mean square of the second difference of that over time.
        seam: mean over blocks along the rims of holes of how far the ring's mean colour is off.
        detail: mean absolute error of the seen pixels.
    """

    drift: float
    largest: float
    flicker: float
    seam: float
    detail: float


def simulate_generated(truth: Tensor, seen: Tensor, blur: int = 5) -> Simulated:
    """The truth with what diffusion does to it: less detail where it was given pixels, slow drift, and flicker.

    Args:
        truth: (T, H, W, 3) float 0..1.
        seen: (T, H, W) bool.
        blur: side of the box, odd, over which seen pixels are averaged with seen pixels.
    """
    frames = len(truth)
    known = seen[..., None].float()
    blurred = _boxed(truth * known, blur) / _boxed(known, blur).clamp_min(1e-6)
    images = torch.where(seen[..., None], blurred, truth)
    way = torch.linspace(0, 1, frames)
    drift = torch.tensor(DRIFT) * torch.stack([way, way, way**2], -1)
    flicker = torch.tensor(FLICKER)[torch.arange(frames) % len(FLICKER)]
    flicker[0] = 0  # the first frame is given to the model as it is
    shift = (drift + flicker[:, None] * torch.tensor(FLICKER_TINT)) / 255
    images = (images - 0.5) * (1 + CONTRAST * way[:, None, None, None]) + 0.5 + shift[:, None, None]
    return Simulated(images.clamp(0, 1), ((images < 0) | (images > 1)).any(-1))


def colour_faults(images: Tensor, truth: Tensor, seen: Tensor, clipped: Tensor) -> ColourFaults:
    """Compare a video with the truth.

    Args:
        images: (T, H, W, 3) float 0..1, what is graded.
        truth: (T, H, W, 3) float 0..1.
        seen: (T, H, W) bool.
        clipped: (T, H, W) bool, pixels of holes that are left out.
    """
    error = 255 * (images - truth)
    hole = ~seen & ~clipped
    means = torch.stack([e[h].mean(0) for e, h in zip(error, hole) if h.float().mean() >= LEAST_SHARE])
    ring = torch.stack([rim(frame) for frame in seen]) & (seen | ~clipped)
    weight = F.avg_pool2d(ring[:, None].float(), BLOCK)
    blocks = F.avg_pool2d((error * ring[..., None]).permute(0, 3, 1, 2), BLOCK) / weight.clamp_min(1e-9)
    measured = (weight >= LEAST_SHARE).expand_as(blocks)
    return ColourFaults(
        drift=float(means.abs().mean()),
        largest=float(means.abs().max()),
        flicker=float(means.diff(dim=0).diff(dim=0).square().mean().sqrt()),
        seam=float(blocks[measured].abs().mean()),
        detail=float(error.abs()[seen].mean()),
    )


def _boxed(images: Tensor, side: int) -> Tensor:
    planes = images.permute(0, 3, 1, 2)
    return F.avg_pool2d(planes, side, stride=1, padding=side // 2, count_include_pad=False).permute(0, 2, 3, 1)
