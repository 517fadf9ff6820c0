"""A block that is computed again in the backward pass: its input may wait in the computer's memory, and so may its weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ...machine.pinned import Lent, Pinned

Run = Callable[..., Tensor]
"""(tokens, *inputs, backwards) to tokens: a block as a whole, which may be compiled; it is told in which pass it runs."""
KEPT = "Keep blocks' inputs on the GPU (model.checkpointing full), or raise the limit (ulimit -l)."


def run_again(run: Run, tokens: Tensor, *inputs: object, offload: Offload | None = None) -> Tensor:
    """``run(tokens, *inputs)``, of which nothing but ``tokens`` is kept; the rest is computed again.

    A function of its own and not torch's ``checkpoint``: ``save_on_cpu`` around that has hooks that are new objects at every
    call, for which a compiled block would be compiled anew until torch gives up. And here the backward pass of a block ends
    before the next one's begins, so weights that are fetched for it may be let go.

    Args:
        run: the block.
        tokens: (B, tokens, width), the one input that a gradient goes back to.
        inputs: what the block needs besides and no gradient goes to.
        offload: where ``tokens`` wait in the computer's memory; None keeps them where they are.
    """
    anchor = torch.zeros(0, device=tokens.device, requires_grad=True)
    return _Again.apply(anchor, run, offload, tokens, *inputs)


class Offload:
    """Inputs of blocks in the computer's memory, the same memory at every step.

    A piece is used again without waiting: what was copied out of it, and what is copied into it, are on the one stream that
    computes, in this order.

    Args:
        device: where the tokens come from.
    """

    def __init__(self, device: torch.device) -> None:
        self._pinned = Pinned(device, KEPT)

    def put(self, tokens: Tensor) -> Waiting:
        """Begin to copy tokens out; they stay as long as the result does."""
        waiting = Waiting(self._pinned.lend(tokens.numel() * tokens.element_size()), tokens)
        waiting.tokens.copy_(tokens, non_blocking=True)
        return waiting


class Waiting:
    """Tokens in the computer's memory; the memory goes back to the others' when this is let go."""

    def __init__(self, lent: Lent, tokens: Tensor) -> None:
        self.tokens = lent.memory.view(tokens.dtype).view(tokens.shape)
        self._lent = lent


class _Again(torch.autograd.Function):
    """The anchor stands for the block's own weights: without it nothing would go back to a block whose input has no history."""

    @staticmethod
    def forward(
        ctx: Any, _anchor: Tensor, run: Run, offload: Offload | None, tokens: Tensor, *inputs: object
    ) -> Tensor:
        ctx.run, ctx.inputs, ctx.device = run, inputs, tokens.device
        ctx.wanted = tokens.requires_grad
        # Contiguous, or its gradient would be laid out otherwise than without all this, and summed in another order.
        ctx.kept = tokens.detach().contiguous() if offload is None else offload.put(tokens)
        return run(tokens, *inputs, backwards=False)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        tokens = ctx.kept
        if isinstance(tokens, Waiting):
            tokens = tokens.tokens.to(ctx.device, non_blocking=True, copy=True)
        tokens = tokens.detach().requires_grad_(ctx.wanted)
        ctx.kept = None
        with torch.enable_grad():
            result = ctx.run(tokens, *ctx.inputs, backwards=True)
        torch.autograd.backward(result, gradients[0])
        return None, None, None, tokens.grad, *(None for _ in ctx.inputs)
