"""DepthCrafter's noise levels, Euler step and windows over time.

Karras noise levels from 700 down to 0.002, v-prediction, plain Euler; long clips are denoised in overlapping windows
that share one draw of noise and start from the finished frames of the window before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ...errors import EX4DError
from ...published import DEPTH_OVERLAP, DEPTH_STEPS, DEPTH_WINDOW

SIGMA_MAX = 700.0
SIGMA_MIN = 0.002
KARRAS_RHO = 7.0

TIME_IDS = (7.0, 127.0, 0.02)
"""Frame rate, motion bucket and noise augmentation that the network was trained with, as it receives them."""

NOISE_AUGMENTATION = 0.02
"""Standard deviation of the noise added to the frames before they are encoded."""


def noise_levels(steps: int) -> Tensor:
    """(steps + 1,) float32 sigmas from 700 to 0.002, then 0. One step is 700, 0.

    Raises:
        EX4DError: ``steps`` below 1.
    """
    if steps < 1:
        raise EX4DError(f"DepthCrafter needs at least 1 step, got {steps}; {DEPTH_STEPS} is the published number.")
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    high, low = SIGMA_MAX ** (1 / KARRAS_RHO), SIGMA_MIN ** (1 / KARRAS_RHO)
    sigmas = (high + ramp * (low - high)) ** KARRAS_RHO
    return torch.cat([sigmas, sigmas.new_zeros(1)]).float()


def initial_scale() -> float:
    """Standard deviation of the latents that denoising starts from."""
    return math.sqrt(SIGMA_MAX**2 + 1)


def timestep(sigma: float) -> float:
    """What the network is told about a noise level: ln(sigma) / 4."""
    return 0.25 * math.log(sigma)


def scale_input(latents: Tensor, sigma: float) -> Tensor:
    """Latents of unit variance, as the network expects them."""
    return latents / math.sqrt(sigma * sigma + 1)


def denoised_estimate(latents: Tensor, prediction: Tensor, sigma: float) -> Tensor:
    """The noise-free latents that a v-prediction stands for."""
    square = sigma * sigma + 1
    return prediction * (-sigma / math.sqrt(square)) + latents / square


def euler_step(latents: Tensor, denoised: Tensor, sigma: float, next_sigma: float) -> Tensor:
    """Latents at ``next_sigma``, in float32."""
    return latents + (latents - denoised) / sigma * (next_sigma - sigma)


@dataclass(frozen=True)
class Window:
    """Frames ``start:stop`` that are denoised together; the first ``overlap`` of them are already known."""

    index: int
    start: int
    stop: int
    overlap: int

    def __len__(self) -> int:
        return self.stop - self.start


def windows(frames: int, window: int, overlap: int) -> list[Window]:
    """The windows that cover a clip.

    Args:
        frames: length of the clip, >= 1. A clip that fits one window ignores ``overlap``.
        window: frames denoised together, >= 1.
        overlap: frames that neighbours share, 1 <= overlap < window.

    Raises:
        EX4DError: values outside these ranges.
    """
    if frames < 1:
        raise EX4DError("DepthCrafter got an empty clip; load at least one frame.")
    if window < 1:
        raise EX4DError(f"The window must hold at least 1 frame, got {window}; {DEPTH_WINDOW} is the published length.")
    if frames <= window:
        return [Window(0, 0, frames, 0)]
    if not 1 <= overlap < window:
        raise EX4DError(
            f"The clip has {frames} frames and needs several windows, so the overlap must lie between 1 and "
            f"{window - 1} (window {window}), got {overlap}; {DEPTH_OVERLAP} is the published value for a window of "
            f"{DEPTH_WINDOW}."
        )
    stride = window - overlap
    starts = range(0, frames - overlap, stride)
    return [
        Window(index, start, min(start + window, frames), overlap if index else 0) for index, start in enumerate(starts)
    ]


def window_noise(noise: Tensor, window: Window, overlap: int) -> Tensor:
    """The noise of one window: every window uses the same draw, moved on by one overlap each.

    Args:
        noise: (W, C, h, w), one draw for the longest window.
        window: which window.
        overlap: the clip's overlap (also for the first window, which has none of its own).
    """
    return torch.roll(noise, window.index * overlap, dims=0)[: len(window)]


def start_from_finished(latents: Tensor, finished: Tensor, window: Window) -> Tensor:
    """Start a later window's first frames from the finished latents of the window before, with noise on top.

    Args:
        latents: (n, C, h, w) noise of the window times ``initial_scale()``.
        finished: (window.start + window.overlap, C, h, w) everything denoised so far.
        window: which one.
    """
    if window.overlap == 0:
        return latents
    shared = latents[: window.overlap] / initial_scale() * SIGMA_MAX + finished[-window.overlap :]
    return torch.cat([shared, latents[window.overlap :]])


def stitch(finished: Tensor | None, latents: Tensor, window: Window) -> Tensor:
    """Append a window, blending linearly over the overlap: 0 = all old at its first frame, 1 = all new at its last."""
    if finished is None:
        return latents
    weight = torch.linspace(0, 1, window.overlap, dtype=latents.dtype, device=latents.device)[:, None, None, None]
    blended = latents[: window.overlap] * weight + finished[-window.overlap :] * (1 - weight)
    return torch.cat([finished[: -window.overlap], blended, latents[window.overlap :]])
