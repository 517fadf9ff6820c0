"""Work of torch cut into parts, a thread of Python for each core."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from .cores import cores

Part = TypeVar("Part")
Result = TypeVar("Result")


def side_by_side(work: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
    """``work`` of every part, in their order, on as many threads as there are cores, with one thread of torch in each.

    Torch's own threads share each operation and wait for each other at its end, spinning: beside another busy program, a
    browser that draws without a GPU for one, they take several times as long.

    Args:
        work: makes new tensors and writes to no others.
        parts: what it is given, one after the other.
    """
    threads = min(cores(), len(parts))
    if threads <= 1:
        return [work(part) for part in parts]
    inference, before = torch.is_inference_mode_enabled(), torch.get_num_threads()

    def done(part: Part) -> Result:
        with torch.inference_mode(inference):  # a thread's own
            return work(part)

    try:
        with ThreadPoolExecutor(threads, "ex4d-torch", torch.set_num_threads, (1,)) as pool:
            return list(pool.map(done, parts))
    finally:
        torch.set_num_threads(before)  # what threads begun later start with
