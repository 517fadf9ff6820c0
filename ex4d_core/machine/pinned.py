"""Memory of the computer that a GPU copies from and to by itself while it computes."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import Tensor

from ..errors import EX4DError
from .buffers import empty

PAGE = 1 << 12
"""Bytes: the system pins whole pages, and none twice."""


class Pinned:
    """Pieces of pinned memory, which the system gets back when this is let go, or by `free`.

    torch's own pinned memory would be rounded up to a power of two, and kept for the rest of the process.

    Args:
        device: what copies; for the CPU nothing is pinned.
        remedy: the sentence that says what to do where the system pins no more.

    Attributes:
        free: give the memory back to the system's paging. Whatever was begun to be copied is waited for.
    """

    def __init__(self, device: torch.device, remedy: str) -> None:
        self._device, self._remedy = device, remedy
        self._pieces: list[Tensor] = []
        self._unused: list[Tensor] = []
        self.free = weakref.finalize(self, _unpin, self._pieces, device)
        self.free.atexit = False  # the system takes all of it back then, and CUDA may be gone

    def lend(self, size: int) -> Lent:
        """The first bytes of a piece that nobody has any more, where one is large enough, else of a new one.

        What was begun to be copied out of it before is not waited for: all that copies to and from pieces that are lent should be
        on one stream.

        Raises:
            EX4DError: the system pins no more.
        """
        fitting = [place for place, piece in enumerate(self._unused) if len(piece) >= size]
        place = min(fitting, key=lambda place: len(self._unused[place]), default=None)
        piece = self.take(size) if place is None else self._unused.pop(place)
        return Lent(self._unused, piece, size)

    def take(self, size: int) -> Tensor:
        """(size,) uint8 that begins at a page, and stays until all is given back.

        Raises:
            EX4DError: the system pins no more.
        """
        if self._device.type != "cuda":
            return torch.empty(size, dtype=torch.uint8)
        whole = -(-size // PAGE) * PAGE
        memory = empty((whole + PAGE,), torch.uint8).numpy()
        first = -memory.ctypes.data % PAGE
        # No slice of torch's: whether a tensor is pinned, torch asks of the first byte of its storage, wherever it begins there.
        piece = torch.from_numpy(memory[first : first + whole])
        piece[::PAGE] = 0  # pages that were never touched take long to pin
        if int(_runtime().cudaHostRegister(piece.data_ptr(), whole, 0)):
            raise EX4DError(
                f"The system does not let {size / 2**30:.1f} GiB more of the computer's memory be pinned, which the GPU would "
                f"copy by itself. {self._remedy}"
            )
        self._pieces.append(piece)
        return piece[:size]


class Lent:
    """A piece of pinned memory that can be lent again once this is let go.

    Attributes:
        memory: (size,) uint8.
    """

    def __init__(self, unused: list[Tensor], piece: Tensor, size: int) -> None:
        self.memory = piece[:size]
        self._unused, self._piece = unused, piece

    def __del__(self) -> None:
        self._unused.append(self._piece)


def _unpin(pieces: list[Tensor], device: torch.device) -> None:
    if pieces:
        torch.cuda.synchronize(device)
    while pieces:
        piece = pieces.pop()  # held until it is unpinned
        _runtime().cudaHostUnregister(piece.data_ptr())


def _runtime() -> Any:
    runtime = torch.cuda.cudart()
    assert runtime is not None  # there is a GPU
    return runtime
