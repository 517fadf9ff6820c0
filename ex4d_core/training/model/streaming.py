"""Frozen weights of blocks that wait in the computer's memory, for cards that cannot hold them all.

Two places on the device take turns: while one block computes, the next one's weights are copied into the other. Frozen weights
never change, so nothing is copied back.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...errors import EX4DError
from ...machine.pinned import Pinned

ALIGNED = 256
"""Bytes: every tensor of a place begins at a multiple."""
FEWER = "Stream fewer blocks (model.streamed), or raise the limit (ulimit -l)."


class Streaming:
    """The streamed blocks of a network, the first ones; the others stay on the device.

    Args:
        blocks: what is streamed, in the order of the forward pass; equal in the shapes and types of their frozen weights.
        device: where they compute. Their frozen weights may lie anywhere, and afterwards are in the computer's memory.
    """

    def __init__(self, blocks: list[nn.Module], device: torch.device) -> None:
        self.blocks, self.device = blocks, device
        self.numbers = {block: number for number, block in enumerate(blocks)}
        self.parts = [frozen_of(block) for block in blocks]
        self.layout, size = _layout(self.parts[0])
        self.pinned = Pinned(device, FEWER)
        self.waiting = [self._put_away(number, size) for number in range(len(blocks))]
        self.places = [torch.empty(size, dtype=torch.uint8, device=device) for _ in range(2)]
        self.held: list[int | None] = [None, None]
        self.copying = torch.cuda.Stream(device) if device.type == "cuda" else None
        self.ready: list[torch.cuda.Event | None] = [None, None]

    def fetch(self, block: nn.Module, *, backwards: bool) -> None:
        """Have a block's weights on the device for what is computed next, and begin with those of the block after it.

        What was computed before is the work of the block before, whose place is therefore free for the next one once it is done.
        """
        number = self.numbers.get(block)
        if number is None:
            return
        if number not in self.held:
            self._copy(number, self._free())
        place = self.held.index(number)
        event = self.ready[place]
        if event is not None:
            torch.cuda.current_stream(self.device).wait_event(event)
        self._show(number, place)
        following = number + (-1 if backwards else 1)
        if 0 <= following < len(self.blocks) and following not in self.held:
            self._copy(following, 1 - place)

    def _free(self) -> int:
        return 0 if self.held[0] is None else 1

    def _copy(self, number: int, place: int) -> None:
        """Begin to copy a block's weights into a place; whose it was has its weights in the computer's memory again."""
        self._show(self.held[place], None)
        self.held[place] = number
        target, source = self.places[place], self.waiting[number]
        if self.copying is None:
            target.copy_(source)
            return
        self.copying.wait_stream(torch.cuda.current_stream(self.device))  # what computed with the place before
        with torch.cuda.stream(self.copying):
            target.copy_(source, non_blocking=True)
            event = torch.cuda.Event()
            self.copying.record_event(event)
            self.ready[place] = event

    def _show(self, number: int | None, place: int | None) -> None:
        """Let a block's parameters be what lies in a place, or in the computer's memory."""
        if number is not None:
            memory = self.waiting[number] if place is None else self.places[place]
            for value, view in zip(self.parts[number], _views(memory, self.layout), strict=True):
                value.data = view

    def _put_away(self, number: int, size: int) -> Tensor:
        memory = self.pinned.take(size)
        views = _views(memory, self.layout)
        if [(part.shape, part.dtype) for part in self.parts[number]] != [(view.shape, view.dtype) for view in views]:
            raise EX4DError("Blocks of different sizes cannot be streamed.")
        for value, view in zip(self.parts[number], views, strict=True):
            view.copy_(value.data)
            value.data = view
        return memory


def frozen_of(block: nn.Module) -> list[Tensor]:
    """Parameters and buffers that are not trained."""
    return [*(value for value in block.parameters() if not value.requires_grad), *block.buffers()]


def _layout(parts: list[Tensor]) -> tuple[list[tuple[int, torch.Size, torch.dtype]], int]:
    """First byte, shape and type of each tensor, and bytes of them all."""
    layout, size = [], 0
    for part in parts:
        layout.append((size, part.shape, part.dtype))
        size += -(-part.numel() * part.element_size() // ALIGNED) * ALIGNED
    return layout, size


def _views(memory: Tensor, layout: list[tuple[int, torch.Size, torch.dtype]]) -> list[Tensor]:
    return [
        memory[first : first + shape.numel() * dtype.itemsize].view(dtype).view(shape) for first, shape, dtype in layout
    ]
