"""Memory that a CUDA card copies from by itself; skipped where there is none."""

from __future__ import annotations

import pytest
import torch

from ex4d_core.depth.depthcrafter.lane import Lane
from ex4d_core.machine.pinned import Pinned

if not torch.cuda.is_available():
    pytest.skip("no CUDA card", allow_module_level=True)
CUDA = torch.device("cuda", 0)
SIZE = 2**26


def test_memory_is_pinned_while_it_is_held_and_no_longer():
    pinned = Pinned(CUDA, "")
    pieces = [pinned.take(size) for size in (5, 4096, 100_001)]
    assert [len(piece) for piece in pieces] == [5, 4096, 100_001]
    assert [piece.is_pinned() for piece in pieces] == [True] * 3
    pinned.free()
    assert [piece.is_pinned() for piece in pieces] == [False] * 3


def waits_for(target: torch.Tensor) -> bool:
    """Whether the thread that asks for a copy from the card is held up until the work before it and the copy are done."""
    source = torch.arange(SIZE, device=CUDA, dtype=torch.uint8)
    target.copy_(source)
    target.zero_()
    torch.cuda.synchronize()
    torch.cuda._sleep(2**30)  # half a second and more
    target.copy_(source, non_blocking=True)
    done = torch.cuda.Event()
    done.record()
    waited = done.query()
    torch.cuda.synchronize()
    assert torch.equal(target, source.cpu())
    return waited


def test_nobody_waits_for_copies_to_pinned_memory():
    pinned = Pinned(CUDA, "")
    assert not waits_for(pinned.take(SIZE))
    assert waits_for(torch.empty(SIZE, dtype=torch.uint8))  # or this test says nothing


def test_what_is_shelved_comes_back_to_the_bit_and_its_memory_is_used_again():
    lane = Lane(CUDA)
    for count in (9, 9, 5):
        x = torch.randn(count, 6, 32, 40, device=CUDA, dtype=torch.float16).to(memory_format=torch.channels_last)
        wanted = x.clone()
        read = lane.shelve(x)
        del x
        assert torch.equal(torch.cat([read(first, min(first + 2, count)) for first in range(0, count, 2)]), wanted)
        assert torch.equal(read(1, 4), wanted[1:4])
    assert len(lane._pinned._pieces) == 2  # the second was asked for while the first was still held
