"""Cancelling work that cannot be stopped from inside: a compiler, a file being read."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

from ..errors import Cancelled

POLL_SECONDS = 0.1

Result = TypeVar("Result")


def unless_cancelled(work: Callable[[], Result], cancel: Callable[[], bool] | None) -> Result:
    """``work()``, left behind when the user cancels: it then ends by itself, and what it makes is dropped.

    Args:
        work: called once; on a thread of its own, with the caller's context variables, where there is a ``cancel``.
        cancel: polled ten times a second.

    Raises:
        Cancelled: ``cancel`` returned True before the work was done.
        Whatever ``work`` raises.
    """
    if cancel is None:
        return work()
    outcome: Future[Result] = Future()

    # References to the outcome are dropped at once. A failed outcome holds its error, an error the frames it passed
    # through, and those frames would hold the outcome again: a circle that keeps the job's tensors in memory.
    def run(outcome: Future[Result]) -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:
            outcome.set_exception(error)
        finally:
            del outcome

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(run, outcome), name="ex4d-work", daemon=True).start()
    try:
        while not wait([outcome], timeout=POLL_SECONDS).done:
            if cancel():
                raise Cancelled
        return outcome.result()
    finally:
        del outcome
