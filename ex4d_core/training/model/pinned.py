"""Memory of the computer that a GPU copies from by itself while it computes."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import Tensor

from ...errors import EX4DError

PAGE = 1 << 12
"""Bytes: the system pins whole pages, and none twice."""


class Pinned:
    """Pieces of pinned memory, which the system gets back when this is let go, or by `free`.

    torch's own pinned memory would be rounded up to a power of two.

    Args:
        device: what copies from it; for the CPU nothing is pinned.

    Attributes:
        free: give the memory back to the system's paging. Whatever was begun to be copied from it is waited for.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pieces: list[Tensor] = []
        self.free = weakref.finalize(self, _unpin, self._pieces, device)
        self.free.atexit = False  # the system takes all of it back then, and CUDA may be gone

    def take(self, size: int) -> Tensor:
        """(size,) uint8 that begins at a page.

        Raises:
            EX4DError: the system pins no more.
        """
        if self._device.type != "cuda":
            return torch.empty(size, dtype=torch.uint8)
        whole = -(-size // PAGE) * PAGE
        memory = torch.empty(whole + PAGE, dtype=torch.uint8)
        first = -memory.data_ptr() % PAGE
        memory = memory[first : first + whole]
        memory[::PAGE] = 0  # pages that were never touched take long to pin
        if int(_runtime().cudaHostRegister(memory.data_ptr(), whole, 0)):
            raise EX4DError(
                f"The system does not let {size / 2**30:.1f} GiB more of the computer's memory be pinned for streaming. "
                "Stream fewer blocks (model.streamed), or raise the limit (ulimit -l)."
            )
        self._pieces.append(memory)
        return memory[:size]


def _unpin(pieces: list[Tensor], device: torch.device) -> None:
    if pieces:
        torch.cuda.synchronize(device)
    while pieces:
        memory = pieces.pop()  # held until it is unpinned
        _runtime().cudaHostUnregister(memory.data_ptr())


def _runtime() -> Any:
    runtime = torch.cuda.cudart()
    assert runtime is not None  # there is a GPU
    return runtime
