"""Frames on their way to the device, and results on their way back, beside the work that is queued there."""

from __future__ import annotations

import torch
from torch import Tensor


class Feed:
    """Pieces of a clip on the device. On CUDA the next one can come while the work on the one before is done.

    Args:
        frames: (T, ...), on any device.
        device: where they are wanted.
    """

    def __init__(self, frames: Tensor, device: torch.device):
        self.frames, self.device = frames, device
        beside = device.type == "cuda" and frames.device.type == "cpu"
        self._stream = torch.cuda.Stream(device) if beside else None
        self._coming: tuple[tuple[int, int], Tensor] | None = None

    def ahead(self, first: int, last: int) -> None:
        """Begin to bring frames ``first:last``, which are read next; call it once the work on those before is queued.

        A copy from ordinary memory holds up this thread, but not the device.
        """
        if self._stream is not None and first < last:
            with torch.cuda.stream(self._stream):
                self._coming = ((first, last), self.frames[first:last].to(self.device, non_blocking=True))

    def read(self, first: int, last: int) -> Tensor:
        """Frames ``first:last``, to be used by the current stream."""
        coming, self._coming = self._coming, None
        if self._stream is None or coming is None or coming[0] != (first, last):
            return self.frames[first:last].to(self.device)
        current = torch.cuda.current_stream(self.device)
        current.wait_stream(self._stream)
        coming[1].record_stream(current)
        return coming[1]


class Landing:
    """Tensors on their way to the host; on CUDA they are read when the work that makes them is done."""

    def __init__(self, *tensors: Tensor):
        self.made: torch.cuda.Event | None = None
        if not tensors[0].is_cuda:
            self._there = [tensor.cpu() for tensor in tensors]
            return
        self._there = [torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True) for tensor in tensors]
        for there, tensor in zip(self._there, tensors):
            there.copy_(tensor, non_blocking=True)
        self.made = torch.cuda.Event()
        self.made.record(torch.cuda.current_stream(tensors[0].device))

    def read(self) -> list[Tensor]:
        """The tensors on the host, waited for."""
        if self.made is not None:
            self.made.synchronize()
        return self._there
