"""The training objective: which noise is mixed in, what the network shall say, and how much a noise level counts.

EX-4D published no trainer. Its scheduler, unchanged, is that of DiffSynth-Studio v1.1.2, whose trainer therefore is what
``published`` follows: an inference, recorded in tensors that the tests compare with to the bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from ..published import SAMPLER_SHIFT
from ..wan.backbone import WAN21_I2V

Objective = Literal["published", "unweighted", "logit_normal"]
"""``published``: every noise level equally often, weighted by a bell over the timestep. ``unweighted``: the same draws,
each counts the same. ``logit_normal``: levels drawn from a logistic normal, shifted, each counts the same."""
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
LEVELS = WAN21_I2V.timesteps
SHIFT = SAMPLER_SHIFT
"""The published scheduler trains and samples with the same shift."""


@dataclass(frozen=True)
class Tables:
    """The published schedule: three (1000,) float32 tensors over the index of a noise level.

    Attributes:
        sigma: share of noise, 1 .. 0.00498.
        timestep: what the network is told, 1000 .. 4.98.
        weight: of the loss, mean 1, largest at timestep 500.6, 0 at index 0 only.
    """

    sigma: Tensor
    timestep: Tensor
    weight: Tensor


@dataclass(frozen=True)
class Level:
    """The noise level of one sample.

    Attributes:
        sigma: share of noise.
        timestep: what the network is told.
        weight: of the loss.
    """

    sigma: float
    timestep: float
    weight: float


@cache
def tables() -> Tables:
    """The published schedule, in float32 and in its order of operations: another order changes the last bits.

    Source: EX-4D's scheduler (shift 5, sigma_min 0, one extra step, 1000 steps); recorded in reference/training.
    """
    s = torch.linspace(1, 0, LEVELS + 1)[:LEVELS]
    sigma = SHIFT * s / (1 + (SHIFT - 1) * s)
    timestep = sigma * LEVELS
    bell = torch.exp(-2 * ((timestep - LEVELS / 2) / LEVELS) ** 2)
    bell = bell - bell.min()
    return Tables(sigma, timestep, bell * (LEVELS / bell.sum()))


def level_of(index: int, objective: Objective = "published", *, round_timestep: bool = False) -> Level:
    """The level of an index 0..999.

    Args:
        index: into the tables.
        objective: "logit_normal" has no indices and counts as "unweighted" here.
        round_timestep: round the timestep to bfloat16 and take sigma and weight of the entry nearest to it, as
            DiffSynth does since 13 March 2025.
    """
    table = tables()
    timestep = table.timestep[index]
    if round_timestep:
        timestep = timestep.to(torch.bfloat16).float()
        index = int((table.timestep - timestep).abs().argmin())
    weight = float(table.weight[index]) if objective == "published" else 1.0
    return Level(float(table.sigma[index]), float(timestep), weight)


def draw_level(draws: np.random.Generator, objective: Objective, *, round_timestep: bool = False) -> Level:
    """One level, drawn as the objective has it; see `level_of`."""
    if objective != "logit_normal":
        return level_of(int(draws.integers(LEVELS)), objective, round_timestep=round_timestep)
    s = 1 / (1 + math.exp(-draws.standard_normal()))
    timestep = torch.tensor(LEVELS * SHIFT * s / (1 + (SHIFT - 1) * s))
    if round_timestep:
        timestep = timestep.to(torch.bfloat16).float()
    return Level(float(timestep) / LEVELS, float(timestep), 1.0)


def noisy(latent: Tensor, noise: Tensor, sigma: float) -> Tensor:
    """(1 - sigma) latent + sigma noise, in float32."""
    level = torch.tensor(sigma, dtype=torch.float32, device=latent.device)
    return (1 - level) * latent + level * noise


def velocity(latent: Tensor, noise: Tensor) -> Tensor:
    """What the network shall say: noise - latent, at every level."""
    return noise - latent


def squared_error(predicted: Tensor, latent: Tensor, noise: Tensor) -> Tensor:
    """Mean over all elements of all latent frames, the first one included, in float32."""
    return torch.nn.functional.mse_loss(predicted.float(), velocity(latent, noise).float())
