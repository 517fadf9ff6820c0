"""Work of torch cut into parts, a thread of Python for each core."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

from .cores import cores

Part = TypeVar("Part")
Result = TypeVar("Result")

_counting = threading.Lock()
_running = 0
_usual = 1
"""Torch's threads as they were before the first of those that are running."""


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
    inference = torch.is_inference_mode_enabled()

    def done(part: Part) -> Result:
        with torch.inference_mode(inference):  # a thread's own
            return work(part)

    with threads_kept(), ThreadPoolExecutor(threads, "ex4d-torch", torch.set_num_threads, (1,)) as pool:
        return list(pool.map(done, parts))


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch keeps to the calling thread, and to one in each thread begun meanwhile: for many small operations, or beside other
    threads of one's own. Torch's own spin for a while when they are done, which is time taken from those at work.
    """
    own = torch.get_num_threads()
    with threads_kept():
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(own)  # this thread's, where others still keep theirs to one


@contextmanager
def threads_kept() -> Iterator[None]:
    """Torch's number of threads is put back: it is also what threads begun later start with, in the whole process.

    A caller that begins while another one's threads have set it to 1 must not put that back, so the last to end does it for all.
    """
    global _running, _usual
    with _counting:
        if not _running:
            _usual = torch.get_num_threads()
        _running += 1
    try:
        yield
    finally:
        with _counting:
            _running -= 1
            if not _running:
                torch.set_num_threads(_usual)
