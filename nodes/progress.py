"""How a node of this pack reports progress to the host, and notices that the artist pressed cancel."""

from __future__ import annotations

import time

import comfy.model_management
import comfy.utils

from ..ex4d_core.errors import Cancelled

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

    def progress(self, done: int, total: int) -> None:
        """Show ``done`` of ``total``."""
        now = time.monotonic()
        if done < total and now - self.sent < MIN_INTERVAL:
            return
        self.sent = now
        if self.bar is None:
            self.bar = comfy.utils.ProgressBar(total)
        self.bar.update_absolute(done, total)

    def cancel(self) -> bool:
        """True once the artist has cancelled."""
        return comfy.model_management.processing_interrupted()

    def __enter__(self) -> Job:
        return self

    def __exit__(self, kind, error, trace) -> None:
        if isinstance(error, Cancelled):
            raise comfy.model_management.InterruptProcessingException() from error
