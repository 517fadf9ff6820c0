"""A block that is computed again in the backward pass: its input may wait in the computer's memory, and so may its weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Run = Callable[..., Tensor]
"""(tokens, *inputs, backwards) to tokens: a block as a whole, which may be compiled; it is told in which pass it runs."""


def run_again(run: Run, tokens: Tensor, *inputs: object, offloaded: bool) -> Tensor:
    """``run(tokens, *inputs)``, of which nothing but ``tokens`` is kept; the rest is computed again.

    A function of its own and not torch's ``checkpoint``: ``save_on_cpu`` around that has hooks that are new objects at every
    call, for which a compiled block would be compiled anew until torch gives up. And here the backward pass of a block ends
    before the next one's begins, so weights that are fetched for it may be let go.

    Args:
        run: the block.
        tokens: (B, tokens, width), the one input that a gradient goes back to.
        inputs: what the block needs besides and no gradient goes to.
        offloaded: keep ``tokens`` on the CPU.
    """
    anchor = torch.zeros(0, device=tokens.device, requires_grad=True)
    return _Again.apply(anchor, run, offloaded, tokens, *inputs)


class _Again(torch.autograd.Function):
    """The anchor stands for the block's own weights: without it nothing would go back to a block whose input has no history."""

    @staticmethod
    def forward(ctx: Any, _anchor: Tensor, run: Run, offloaded: bool, tokens: Tensor, *inputs: object) -> Tensor:
        ctx.run, ctx.inputs, ctx.device = run, inputs, tokens.device
        ctx.wanted = tokens.requires_grad
        # Contiguous, or its gradient would be laid out otherwise than without all this, and summed in another order.
        ctx.kept = tokens.detach().contiguous()
        if offloaded:
            ctx.kept = torch.empty(tokens.shape, dtype=tokens.dtype, pin_memory=tokens.is_cuda)
            # On the stream that computes: the copy is done before the memory is used again, and nobody waits for it here.
            ctx.kept.copy_(tokens, non_blocking=True)
        return run(tokens, *inputs, backwards=False)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        moved = ctx.kept.device != ctx.device
        tokens = ctx.kept.to(ctx.device, non_blocking=True, copy=True) if moved else ctx.kept
        tokens = tokens.detach().requires_grad_(ctx.wanted)
        ctx.kept = None
        with torch.enable_grad():
            result = ctx.run(tokens, *ctx.inputs, backwards=True)
        torch.autograd.backward(result, gradients[0])
        return None, None, None, tokens.grad, *(None for _ in ctx.inputs)
