"""A network put where it computes, on a card that may be too small for all of it, and its blocks compiled."""

from __future__ import annotations

import logging

import torch

from .streaming import Streaming, frozen_of
from .wan import Wan


def place(wan: Wan, device: torch.device, streamed: int) -> None:
    """Put a network with its adapter on a device, except the frozen weights of its first blocks.

    Args:
        wan: on the CPU; its checkpointing must be full or offloaded when it is trained.
        device: where it computes.
        streamed: how many blocks are streamed; more than there are is all.
    """
    count = min(streamed, len(wan.blocks))
    apart = {id(value) for block in wan.blocks[:count] for value in frozen_of(block)}
    for value in [*wan.parameters(), *wan.buffers()]:
        if id(value) not in apart:
            value.data = value.data.to(device)
    if count:
        wan.streaming = Streaming(list(wan.blocks[:count]), device)


def compile_blocks(wan: Wan) -> None:
    """Have every block compiled at its first run.

    Their ``forward`` and not the modules: hooks around it, as those by which spread weights are gathered, stay outside.
    """
    logging.getLogger("torch._higher_order_ops.wrap").setLevel(
        logging.ERROR
    )  # warns of in-place steps; a block has none
    for block in wan.blocks:
        block.forward = torch.compile(block.forward)
