"""What a block keeps for the backward pass. All else is computed again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

Kept = Literal["off", "full", "attention", "projection"]
"""What a block keeps by itself: everything; its input; also the result of the tokens' attention to one another, which costs most
to compute again; also what that is projected to."""
Checkpointing = Literal[Kept, "offloaded"]
"""These, or its input in the computer's memory."""
CHECKPOINTING: tuple[Checkpointing, ...] = get_args(Checkpointing)
ATTENTION_OPS = (
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_cudnn_attention",
    "_scaled_dot_product_flash_attention_for_cpu",
)
"""What torch calls the kernels of attention."""
PRODUCTS = ("addmm", "mm")
"""What torch calls those of a linear layer."""


def checkpointed(compute: Callable[..., Tensor], kept: Kept, *inputs: object) -> Tensor:
    """``compute(*inputs)``, of which the backward pass finds what ``kept`` says.

    In a compiled block this is compiled, too: then only what is wanted is computed again, and the last layer is not. The same
    bits whatever is kept, in float32 and where nothing is compiled.

    Args:
        compute: a block, without randomness.
        kept: beside the inputs.
        inputs: of it.
    """
    if kept == "off" or not torch.is_grad_enabled():
        return compute(*inputs)
    # Left out where there is nothing to say: the compiler warns of it.
    contexts: dict[str, Any] = {} if kept == "full" else {"context_fn": partial(_contexts, kept == "projection")}
    result = checkpoint(compute, *inputs, use_reentrant=False, preserve_rng_state=False, **contexts)
    assert isinstance(result, Tensor)
    return result


def _contexts(projection: bool) -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
    from torch.utils.checkpoint import CheckpointPolicy, create_selective_checkpoint_contexts  # torch 2.4

    attention, products = _ops(ATTENTION_OPS), _ops(PRODUCTS)
    projected = {False: False, True: False}  # forwards and again: whether the next product is the projection

    def policy(context: Any, op: object, *args: Any, **_keywords: object) -> CheckpointPolicy:
        again = context.is_recompute
        # Text and start image have so few tokens that attention to them costs little, and its result is as large.
        if op in attention and args[0].shape[2] == args[1].shape[2]:
            projected[again] = projection
            return CheckpointPolicy.MUST_SAVE
        if op in products and projected[again]:
            projected[again] = False
            return CheckpointPolicy.MUST_SAVE
        return CheckpointPolicy.PREFER_RECOMPUTE

    return create_selective_checkpoint_contexts(policy)


def _ops(names: tuple[str, ...]) -> set[object]:
    return {getattr(torch.ops.aten, name).default for name in names if hasattr(torch.ops.aten, name)}
