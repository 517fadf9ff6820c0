"""How the networks are run within a card's memory: modes, pieces, weights and skips that wait on the host.

Every mode computes the same numbers. ``speed`` keeps everything on the device and works in large pieces, ``balanced``
brings one network at a time and works in smaller pieces, ``low`` also streams the weights block by block and keeps the
largest of the network's skip connections in host memory. On CUDA what comes and goes does so beside the work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, Protocol, get_args

import torch
from torch import Tensor, nn

from ...errors import EX4DError
from .lane import Lane

MIB = 2**20


@dataclass(frozen=True)
class MemoryMode:
    """One way to run the networks.

    Attributes:
        name: as users choose it.
        piece_bytes: what the temporaries of one piece of work may take.
        encode_frames: frames that are encoded together in float32; in float16 twice as many.
        keep_networks: networks stay on the device from stage to stage.
        stream_weights: weights come to the device block by block and leave again.
        skips_on_host: the largest skip connections of the network wait in host memory.
    """

    name: str
    piece_bytes: int
    encode_frames: int
    keep_networks: bool = False
    stream_weights: bool = False
    skips_on_host: bool = False


SPEED = MemoryMode("speed", 2048 * MIB, 4, keep_networks=True)
BALANCED = MemoryMode("balanced", 512 * MIB, 2)
LOW = MemoryMode("low", 384 * MIB, 1, stream_weights=True, skips_on_host=True)

MODES: dict[str, MemoryMode] = {mode.name: mode for mode in (SPEED, BALANCED, LOW)}
"""From the most memory to the least."""
MemoryChoice = Literal["auto", "speed", "balanced", "low"]
CHOICES: tuple[MemoryChoice, ...] = get_args(MemoryChoice)


def next_mode(mode: MemoryMode) -> MemoryMode | None:
    """The mode that needs less memory, or None."""
    order = list(MODES.values())
    place = order.index(mode) + 1
    return order[place] if place < len(order) else None


def choose_mode(choice: str, free_bytes: int, needed: Callable[[MemoryMode], int]) -> MemoryMode:
    """The mode asked for; ``auto`` is the first that fits into ``free_bytes``, else ``low``.

    Raises:
        EX4DError: an unknown choice.
    """
    if choice != "auto":
        if choice not in MODES:
            raise EX4DError(f"The memory mode must be one of {', '.join(CHOICES)}, got {choice!r}.")
        return MODES[choice]
    return next((mode for mode in MODES.values() if needed(mode) <= free_bytes), LOW)


def parameter_bytes(module: nn.Module) -> int:
    """Size of a network's weights."""
    return sum(p.numel() * p.element_size() for p in module.parameters())


@dataclass(frozen=True)
class Execution:
    """What the layers need to know: where, in what pieces, and whom to ask whether to go on.

    ``poll`` is called between pieces; it raises to stop. ``lane`` is what copies go by where weights are streamed on CUDA.
    """

    device: torch.device
    mode: MemoryMode
    poll: Callable[[], None] = lambda: None
    lane: Lane | None = None

    def pieces(
        self, count: int, bytes_each: int, most_elements: int = 2**31 - 1, elements_each: int = 1
    ) -> list[tuple[int, int]]:
        """``range(count)`` as even (first, last) pieces within the mode's budget and an element limit."""
        fits = min(self.mode.piece_bytes // max(bytes_each, 1), most_elements // max(elements_each, 1))
        number = -(-count // max(1, min(fits, count)))
        size, longer = divmod(count, number)
        edges = [0]
        for index in range(number):
            edges.append(edges[-1] + size + (index < longer))
        return list(pairwise(edges))

    def weights(self, *modules: nn.Module) -> AbstractContextManager[None]:
        """The modules' weights on the device for a while."""
        return borrowed(modules, self.device, self.lane)

    def shelve(self, x: Tensor) -> Callable[[int, int], Tensor]:
        """Put a large tensor aside; the result gives frames ``first:last`` back on the device."""
        if not self.mode.skips_on_host or x.device.type == "cpu":
            return lambda first, last: x[first:last]
        if self.lane is None:
            host = x.cpu()
            return lambda first, last: host[first:last].to(self.device)
        return self.lane.shelve(x)


@contextmanager
def borrowed(modules: tuple[nn.Module, ...], device: torch.device, lane: Lane | None = None) -> Iterator[None]:
    """Weights that live elsewhere are copied to ``device``; afterwards the originals are back, untouched."""
    tensors = [tensor for module in modules for tensor in (*module.parameters(), *module.buffers())]
    away = [(tensor, tensor.data) for tensor in tensors if tensor.device.type != device.type]
    try:
        if away and lane is not None:
            with lane.loading(sum(data.numel() * data.element_size() for _, data in away)):
                for tensor, data in away:
                    tensor.data = lane.bring(data)
        else:
            for tensor, data in away:
                tensor.data = data.to(device, non_blocking=True)
        yield
    finally:
        for tensor, data in away:
            tensor.data = data
        if away and lane is not None:
            lane.left()


class Placement(Protocol):
    """Where whole networks live. The plain one is ``TorchPlacement``; a host may bring its own."""

    device: torch.device

    def free_bytes(self) -> int:
        """Memory that could be had on the device, networks of this placement not counted as taken."""
        ...

    def hold(self, module: nn.Module, working_bytes: int) -> AbstractContextManager[None]:
        """``module`` on the device for a while, with ``working_bytes`` beside it."""
        ...

    def make_room(self, working_bytes: int) -> None:
        """Free ``working_bytes`` on the device, where something can be unloaded."""
        ...


class TorchPlacement:
    """Networks wait in host memory and are copied to the device while they are held."""

    def __init__(self, device: torch.device | str):
        self.device = torch.device(device)

    def free_bytes(self) -> int:
        """Free device memory; on the CPU a large number, since nothing is measured there."""
        if self.device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(self.device)
            unused = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
            return free + unused
        if self.device.type == "mps":
            most = getattr(torch.mps, "recommended_max_memory", lambda: 8 * 1024 * MIB)()
            return most - torch.mps.current_allocated_memory()
        return 2**62

    def hold(self, module: nn.Module, working_bytes: int) -> AbstractContextManager[None]:  # noqa: ARG002, the protocol's
        """See ``Placement``."""
        return borrowed((module,), self.device)

    def make_room(self, working_bytes: int) -> None:  # noqa: ARG002, the protocol's
        """Give cached blocks back to the driver."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
