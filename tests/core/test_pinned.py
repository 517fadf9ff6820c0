"""Memory that a GPU copies from by itself, with CUDA's own functions played."""

from __future__ import annotations

import pytest
import torch

from ex4d_core.errors import EX4DError
from ex4d_core.machine.pinned import PAGE, Pinned

CUDA, CPU = torch.device("cuda"), torch.device("cpu")
REMEDY = "Do with less."


class Runtime:
    """Stands for CUDA's own functions: what was pinned, and how much may be."""

    def __init__(self, most):
        self.most, self.pinned = most, {}

    def cudaHostRegister(self, pointer, size, flags):
        if sum(self.pinned.values()) + size > self.most:
            return 2
        self.pinned[pointer] = size
        return 0

    def cudaHostUnregister(self, pointer):
        del self.pinned[pointer]
        return 0


@pytest.fixture()
def runtime(monkeypatch):
    runtime = Runtime(5 * PAGE)
    monkeypatch.setattr(torch.cuda, "cudart", lambda: runtime)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: runtime.pinned["waited for"])
    runtime.pinned["waited for"] = 0
    return runtime


def test_whole_pages_are_pinned_each_once_and_given_back(runtime):
    pinned = Pinned(CUDA, REMEDY)
    pieces = [pinned.take(size) for size in (1, PAGE + 1)]
    del runtime.pinned["waited for"]
    assert runtime.pinned == {pieces[0].data_ptr(): PAGE, pieces[1].data_ptr(): 2 * PAGE}
    assert all(pointer % PAGE == 0 for pointer in runtime.pinned)
    assert [len(piece) for piece in pieces] == [1, PAGE + 1]
    # torch's is_pinned asks about the storage's first byte
    assert [piece.untyped_storage().data_ptr() for piece in pieces] == list(runtime.pinned)
    with pytest.raises(KeyError, match="waited for"):  # copies that are under way come first
        pinned.free()
    assert len(runtime.pinned) == 2


def test_it_is_given_back_when_nobody_holds_it_and_when_there_is_not_enough(runtime):
    pinned = Pinned(CUDA, REMEDY)
    pinned.take(PAGE)
    with pytest.raises(
        EX4DError, match=r"does not let .* GiB more of the computer's memory be pinned.* Do with less\."
    ):
        pinned.take(5 * PAGE)
    assert len(runtime.pinned) == 2
    del pinned
    assert list(runtime.pinned) == ["waited for"]


def test_for_the_processor_nothing_is_pinned(runtime):
    pinned = Pinned(CPU, REMEDY)
    assert len(pinned.take(7)) == len(pinned.lend(7).memory) == 7 and len(runtime.pinned) == 1


@pytest.mark.parametrize("device", [CUDA, CPU])
def test_what_is_lent_comes_back_and_the_smallest_that_is_large_enough_is_lent_next(runtime, device):
    pinned = Pinned(device, REMEDY)
    large, small = pinned.lend(2 * PAGE), pinned.lend(10)
    first, second = (each.memory.data_ptr() for each in (large, small))
    assert first != second and [len(each.memory) for each in (large, small)] == [2 * PAGE, 10]
    del large, small
    again, other = pinned.lend(9), pinned.lend(11)
    assert [each.memory.data_ptr() for each in (again, other)] == [second, first]
    assert [len(each.memory) for each in (again, other)] == [9, 11]
    assert pinned.lend(9).memory.data_ptr() not in (first, second)
