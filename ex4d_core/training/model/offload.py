"""A block whose input waits in the computer's memory for the backward pass."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def run_offloaded(block: nn.Module, tokens: Tensor, *inputs: object) -> Tensor:
    """``block(tokens, *inputs)``, of which nothing but ``tokens``, on the CPU, is kept; the rest is computed again.

    A function of its own and not ``save_on_cpu`` around ``checkpoint``: those hooks are new objects at every call, for which a
    compiled block would be compiled anew until torch gives up, and what is computed again would be another program.

    Args:
        block: called as a whole, so it may be compiled.
        tokens: (B, tokens, width), the one input that a gradient goes back to.
        inputs: what the block needs besides and no gradient goes to.
    """
    anchor = torch.zeros(0, device=tokens.device, requires_grad=True)
    return _Offloaded.apply(anchor, block, tokens, *inputs)


class _Offloaded(torch.autograd.Function):
    """The anchor stands for the block's own weights: without it nothing would go back to a block whose input has no history."""

    @staticmethod
    def forward(ctx: Any, _anchor: Tensor, block: nn.Module, tokens: Tensor, *inputs: object) -> Tensor:
        ctx.block, ctx.inputs, ctx.device = block, inputs, tokens.device
        ctx.wanted = tokens.requires_grad
        ctx.kept = torch.empty(tokens.shape, dtype=tokens.dtype, pin_memory=tokens.is_cuda)
        # On the stream that computes: the copy is done before the memory is used again, and nobody waits for it here.
        ctx.kept.copy_(tokens, non_blocking=True)
        return block(tokens, *inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        tokens = ctx.kept.to(ctx.device, non_blocking=True, copy=True).requires_grad_(ctx.wanted)
        with torch.enable_grad():
            result = ctx.block(tokens, *ctx.inputs)
        torch.autograd.backward(result, gradients[0])
        return None, None, tokens.grad, *(None for _ in ctx.inputs)
