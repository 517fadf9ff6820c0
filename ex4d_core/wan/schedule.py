"""The exact sigmas of the published schedule."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import EX4DError
from ..published import SAMPLER_SHIFT, SAMPLER_STEPS


def sigmas(steps: int = SAMPLER_STEPS, shift: float = SAMPLER_SHIFT) -> Tensor:
    """Noise levels of a flow-matching run, one more than steps.

    Args:
        steps: number of Euler steps, >= 1.
        shift: > 0; larger values spend more steps at high noise.

    Returns:
        (steps + 1,) float32, falling from 1 to 0.

    Raises:
        EX4DError: no step, or a shift that is not positive.

    Source: shift * s / (1 + (shift - 1) * s) over s = linspace(1, 0, steps + 1), as the published scheduler has it.
    ComfyUI's "simple" schedule takes the nearest of 1000 stored values, so it agrees only where steps divides 1000.
    """
    check_steps(steps)
    check_shift(shift)
    s = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    return (shift * s / (1 + (shift - 1) * s)).to(torch.float32)


def check_steps(steps: int) -> None:
    """Refuse a run without steps."""
    if steps < 1:
        raise EX4DError(f"A run needs at least one step, got {steps}.")


def check_shift(shift: float) -> None:
    """Refuse a shift that is not positive."""
    if not (math.isfinite(shift) and shift > 0):
        raise EX4DError(
            f"The schedule's shift must be a positive number, got {shift}; the published value is {SAMPLER_SHIFT}."
        )
