"""The processes of a run: one, or as many as a launcher has started (torchrun, accelerate launch), in one code path.

Ranks differ in the samples they compute and in nothing else. One all-reduce a step carries the gradients and everything
that all of them must know.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch import distributed as dist

from ..errors import EX4DError
from ..machine.memory import out_of_memory

LAUNCHED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What launchers set."""


@dataclass(frozen=True)
class Ranks:
    """This process among all.

    Attributes:
        rank: its number; 0 writes the files.
        count: of processes.
        device: where it computes.
    """

    rank: int
    count: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process writes files and talks."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all ranks, in place; every rank calls it, or none.

        Raises:
            EX4DError: another rank has ended.
        """
        if self.count > 1:
            with _others():
                dist.all_reduce(values)
        return values

    def meet(self) -> None:
        """Wait for all; as `sum`."""
        if self.count > 1:
            with _others():
                dist.barrier()


@contextmanager
def _others() -> Iterator[None]:
    """Around what all ranks do together: where one is missing, torch tells of sockets."""
    try:
        yield
    except RuntimeError as error:
        if out_of_memory(error):
            raise
        raise EX4DError(
            "Another process of this run has ended, or cannot be reached any more. Its own last words say why; the saved "
            "steps are whole, and --resume goes on from the newest."
        ) from error


@contextmanager
def joined(device: str = "auto") -> Iterator[Ranks]:
    """The ranks that a launcher has started, or this process alone; leaves the group again.

    Args:
        device: "auto", "cpu", "cuda" or "cuda:1"; with several ranks a GPU each, by their number on this machine.

    Raises:
        EX4DError: a device that is not there.
    """
    launched = all(name in os.environ for name in LAUNCHED) and int(os.environ["WORLD_SIZE"]) > 1
    kind = device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    if kind.startswith("cuda") and not torch.cuda.is_available():
        raise EX4DError(f"The device {device} was asked for, but torch sees no CUDA device here; cpu always is.")
    if kind == "cuda":
        kind = f"cuda:{os.environ.get('LOCAL_RANK', '0') if launched else torch.cuda.current_device()}"
    where = torch.device(kind)
    if where.type == "cuda":
        torch.cuda.set_device(where)
    if not launched:
        yield Ranks(0, 1, where)
        return
    dist.init_process_group("nccl" if where.type == "cuda" else "gloo")
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size(), where)
    finally:
        dist.destroy_process_group()
