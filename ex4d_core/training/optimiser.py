"""AdamW as the published trainer has it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

LEARNING_RATE = 3e-5
"""Paper, appendix A.2; constant."""
BETAS = (0.9, 0.999)
EPS = 1e-8
WEIGHT_DECAY = 0.01
"""On everything that is trained, biases too. This, betas and eps are torch's defaults, which the base trainer takes."""


def make_optimiser(
    parameters: Mapping[str, nn.Parameter],
    *,
    learning_rate: float = LEARNING_RATE,
    weight_decay: float = WEIGHT_DECAY,
) -> torch.optim.AdamW:
    """The optimiser of everything that is trained, in one group.

    Args:
        parameters: of `model.trained`; their order is the order of its state.
        learning_rate: constant.
        weight_decay: of AdamW, decoupled from the gradient.
    """
    return torch.optim.AdamW(
        list(parameters.values()), lr=learning_rate, betas=BETAS, eps=EPS, weight_decay=weight_decay
    )
