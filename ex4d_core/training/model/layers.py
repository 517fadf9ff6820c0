"""The layers that a block is made of: linear layers that can carry a low-rank adapter, and norms in float32."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

ADAPTER = "default"
"""The name that the published file gives its only adapter: q.lora_A.default.weight."""


class Linear(nn.Linear):
    """A frozen linear layer; with `adapt`, W x + b + B A x.

    The product is computed in the weight's type. A and B keep their own, usually float32, and are cast for each product,
    which is what autocast does. The published scale alpha / rank is 1, so there is none.

    Attributes:
        adapting: whether the adapter takes part.
        scale: of each row of a weight that is kept in eight bits (``float8``); None for a plain one.
    """

    scale: Tensor | None

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.register_buffer("scale", None, persistent=False)
        # Modules without tensors while there is no adapter: the names are the published ones with and without.
        self.lora_A = nn.ModuleDict()
        self.lora_B = nn.ModuleDict()
        self.adapting = True

    def adapt(self, rank: int) -> None:
        """Add an adapter that changes nothing yet: A kaiming-uniform, B zero.

        Source: peft's initialisation, which the published trainer's base uses.
        """
        down, up = (nn.Linear(a, b, bias=False) for a, b in ((self.in_features, rank), (rank, self.out_features)))
        nn.init.kaiming_uniform_(down.weight, a=math.sqrt(5))
        nn.init.zeros_(up.weight)
        self.lora_A[ADAPTER], self.lora_B[ADAPTER] = down, up

    def forward(self, input: Tensor) -> Tensor:
        """(..., inputs) to (..., outputs) in the weight's type."""
        weight = self.weight if self.scale is None else (self.weight.to(torch.float32) * self.scale).to(torch.bfloat16)
        x = input.to(weight.dtype)
        y = functional.linear(x, weight, self.bias)
        if self.adapting and ADAPTER in self.lora_A:
            (down,), (up,) = self.lora_A[ADAPTER].parameters(), self.lora_B[ADAPTER].parameters()
            y = y + functional.linear(functional.linear(x, down.to(x.dtype)), up.to(x.dtype))
        return y


class RMSNorm(nn.Module):
    """x / rms(x) * weight over all channels; the rms in float32, the product in the weight's type."""

    def __init__(self, width: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Any shape whose last axis is the width."""
        wide = x.float()
        return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)).to(x.dtype) * self.weight


class LayerNorm(nn.LayerNorm):
    """torch's, computed and left in float32 whatever the input and the weights are."""

    def forward(self, input: Tensor) -> Tensor:
        """Any shape whose last axis is the width."""
        weight, bias = (None if part is None else part.float() for part in (self.weight, self.bias))
        return functional.layer_norm(input.float(), self.normalized_shape, weight, bias, self.eps)
