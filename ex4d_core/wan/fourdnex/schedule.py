"""The exact noise levels of 4DNeX's published run, and the whole numbers by which the network is told of them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ...published import FOURDNEX_SHIFT, FOURDNEX_STEPS
from ..backbone import WAN21_I2V
from ..schedule import check_shift, check_steps


def sigmas(steps: int = FOURDNEX_STEPS, shift: float = FOURDNEX_SHIFT) -> Tensor:
    """Noise levels of a run, one more than steps.

    Args:
        steps: >= 1.
        shift: > 0; larger values spend more steps at high noise.

    Returns:
        (steps + 1,) float32, falling from just below 1 (0.99967 at shift 3) to 0.

    Raises:
        EX4DError: no step, or a shift that is not positive.

    Source: shift * s / (1 + (shift - 1) * s) over s from 0.999 to 0, UniPC's flow sigmas in the diffusers release that the
    published code pins. Later releases begin elsewhere.
    """
    return torch.from_numpy(np.append(_levels(steps, shift), 0.0)).to(torch.float32)


def timesteps(steps: int = FOURDNEX_STEPS, shift: float = FOURDNEX_SHIFT) -> Tensor:
    """What the network is told at each step: (steps,) int64, the noise level times 1000 without its fraction."""
    return torch.from_numpy((_levels(steps, shift) * WAN21_I2V.timesteps).astype(np.int64))


def truncated(timestep: Tensor) -> Tensor:
    """Timesteps (any shape, 0..1000) without their fractions, as the network was trained on them."""
    return timestep.floor()


def corrections(run: Tensor, shift: float = FOURDNEX_SHIFT) -> dict[float, int]:
    """Where the float32 levels of a published run, times 1000 and truncated, are not its timesteps: one of 60 step counts.

    A level just below a whole number becomes that number in float32.

    Args:
        run: noise levels, falling; of another schedule there is nothing to correct.
        shift: of the published run.

    Returns:
        timestep as the host computes it, in float32 -> the published one.
    """
    steps, run = len(run) - 1, run.cpu().float()
    if steps < 1 or not torch.equal(run, sigmas(steps, shift)):
        return {}
    told, right = run[:-1] * WAN21_I2V.timesteps, timesteps(steps, shift)
    wrong = truncated(told) != right
    return dict(zip(told[wrong].tolist(), right[wrong].tolist(), strict=True))


def _levels(steps: int, shift: float) -> np.ndarray:
    """(steps,) float64, the last one above 0."""
    check_steps(steps)
    check_shift(shift)
    s = 1 - np.linspace(1, 1 / WAN21_I2V.timesteps, steps + 1)
    return np.flip(shift * s / (1 + (shift - 1) * s))[:-1]
