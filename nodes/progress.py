"""How a node of this pack reports progress to the host, and notices that the artist pressed cancel."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

import comfy.model_management
import comfy.utils

from ..ex4d_core.errors import Cancelled

if TYPE_CHECKING:
    from typing_extensions import Self

Result = TypeVar("Result")

MIN_INTERVAL = 0.05
"""Seconds between two progress messages; the last one of a job is always sent."""


class Job:
    """The callbacks that ex4d_core's long functions take, for one node's run::

        with Job() as job:
            mesh = build_dw_mesh(..., progress=job.progress, cancel=job.cancel)

    The progress bar's hook raises the host's own interruption; ``Cancelled`` from ex4d_core becomes the same.
    """

    def __init__(self) -> None:
        self.bar = None
        self.sent = 0.0
        self.stopped = False

    def progress(self, done: int, total: int) -> None:
        """Show ``done`` of ``total``."""
        now = time.monotonic()
        if done < total and now - self.sent < MIN_INTERVAL:
            return
        self.sent = now
        if self.bar is None:
            self.bar = comfy.utils.ProgressBar(total)
        self.bar.update_absolute(done, total)

    def restart(self) -> None:
        """What follows counts anew."""
        self.bar = None

    def cancel(self) -> bool:
        """True once the artist has cancelled, or nobody waits for the result any more."""
        return self.stopped or comfy.model_management.processing_interrupted()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Cancelled):
            raise comfy.model_management.InterruptProcessingException() from error


async def run_on_thread(work: Callable[[Job], Result]) -> Result:
    """Run a node's work on a thread, so that the host goes on with nodes that do not need its result.

    For work that leaves cores free. Cancelling reaches every node that runs then, and where another node has ended the
    run, the work stops at its next look at ``cancel``.
    """

    def worker() -> Result:
        try:
            return work(job)
        except comfy.model_management.InterruptProcessingException:
            # Raising has reset the host's cancel signal, but nodes running in parallel have yet to see it.
            comfy.model_management.interrupt_current_processing()
            raise

    with Job() as job:
        try:
            return await asyncio.to_thread(worker)
        except asyncio.CancelledError:
            job.stopped = True
            raise
