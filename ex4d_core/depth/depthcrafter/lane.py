"""Copies between host and card beside the work: weights that are streamed, and tensors that wait on the host.

Everything here is for CUDA. A copy from ordinary host memory holds up the thread that asks for it; on a stream of its own the
card meanwhile goes on with what was queued before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from ...machine.pinned import Lent, Pinned

SMALL = 2**20
"""Weights of so few bytes do not count as a block of their own."""
KEPT = "Choose the memory mode balanced or speed, or raise the limit (ulimit -l)."


class Lane:
    """A second stream of a card.

    At most two blocks' weights are there at a time: that of the work at hand, and that of what comes next.
    """

    def __init__(self, device: torch.device):
        self.device = device
        self.stream = torch.cuda.Stream(device)
        self._pinned = Pinned(device, KEPT)
        self._left: deque[torch.cuda.Event] = deque()
        self._open: list[bool] = []

    @contextmanager
    def loading(self, size: int) -> Iterator[None]:
        """Around the ``bring`` of one block's weights, ``size`` bytes in all."""
        self._open.append(size > SMALL)
        if size > SMALL and len(self._left) > 1:
            self._left.popleft().synchronize()
        yield
        torch.cuda.current_stream(self.device).wait_stream(self.stream)

    def bring(self, data: Tensor) -> Tensor:
        """A tensor's copy on the card, to be used by the current stream once ``loading`` ends."""
        with torch.cuda.stream(self.stream):
            there = data.to(self.device, non_blocking=True)
        there.record_stream(torch.cuda.current_stream(self.device))
        return there

    def left(self) -> None:
        """The work that used the weights brought last is queued."""
        if self._open and self._open.pop():
            event = torch.cuda.Event()
            event.record(torch.cuda.current_stream(self.device))
            self._left.append(event)

    def shelve(self, x: Tensor) -> Callable[[int, int], Tensor]:
        """Lay a channels-last (n, C, H, W) into host memory; the result gives frames ``first:last`` back.

        Frames are expected to be asked for in order: those that follow are fetched ahead.

        Raises:
            EX4DError: the system pins no more memory.
        """
        return _Shelf(self, self._pinned.lend(x.numel() * x.element_size()), x).read


class _Shelf:
    """A tensor that waits on the host, in memory that goes back to the lane once nobody reads it any more."""

    def __init__(self, lane: Lane, lent: Lent, x: Tensor) -> None:
        self._lane, self._lent = lane, lent
        self._ahead: tuple[int, Tensor, torch.cuda.Event] | None = None
        count, channels, height, width = x.shape
        rows = lent.memory.view(x.dtype).view(count, height, width, channels)
        self._host = rows.permute(0, 3, 1, 2)
        lane.stream.wait_stream(torch.cuda.current_stream(lane.device))
        with torch.cuda.stream(lane.stream):
            self._host.copy_(x, non_blocking=True)
        x.record_stream(lane.stream)

    def read(self, first: int, last: int) -> Tensor:
        """Frames ``first:last`` on the device."""
        start, there, ready = self._ahead or self._fetch(first, last)
        if start != first or len(there) < last - first:
            start, there, ready = self._fetch(first, last)
        self._ahead = self._fetch(last, 2 * last - first) if last < len(self._host) else None
        current = torch.cuda.current_stream(self._lane.device)
        current.wait_event(ready)
        there.record_stream(current)
        return there[: last - first]

    def _fetch(self, first: int, last: int) -> tuple[int, Tensor, torch.cuda.Event]:
        with torch.cuda.stream(self._lane.stream):
            there = self._host[first:last].to(self._lane.device, non_blocking=True)
            ready = torch.cuda.Event()
            ready.record(self._lane.stream)
        return first, there, ready
