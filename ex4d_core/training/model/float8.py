"""Frozen weights of the blocks' linear layers kept in eight bits, with a scale for each row of outputs.

Storage only: the arithmetic is bfloat16, on weights that are made from the eight bits when a layer needs them. Results differ
from those of the bfloat16 weights by what the rounding takes away; they carry the name "float8".
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .layers import Linear

KIND = torch.float8_e4m3fn
LARGEST = torch.finfo(KIND).max


@torch.no_grad()
def to_float8(blocks: nn.ModuleList, device: torch.device) -> None:
    """Round the weights of all linear layers of a network in bfloat16, one at a time on a device; they stay where they are."""
    for layer in blocks.modules():
        if isinstance(layer, Linear):
            home = layer.weight.device
            rounded, scale = round_rows(layer.weight.to(device))
            layer.weight = nn.Parameter(rounded.to(home), requires_grad=False)
            layer.scale = scale.to(home)


def round_rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """(outputs, inputs) to the same in eight bits and (outputs, 1) float32, whose product is near it.

    The largest value of a row becomes the largest of the type.
    """
    wide = weight.float()
    largest = wide.new_tensor(LARGEST)  # CUDA divides by a number as a product with its inverse, by a tensor exactly
    scale = wide.abs().amax(1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny) / largest
    return (wide / scale).clamp(-LARGEST, LARGEST).to(KIND), scale
