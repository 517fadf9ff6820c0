"""Worker processes of this machine, each of which does one call at a time; one that dies is replaced.

A pool of one process each (concurrent.futures): a process that dies breaks its own pool and no other.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, Protocol

from ...errors import Cancelled, EX4DError
from . import worker

POLL_SECONDS = 0.1
GRACE_SECONDS = 20.0
"""What jobs are given to clean up after they were told to stop, before their processes are killed."""
STARTS = 3
"""Workers that may die one after the other as they start."""


class Lost(Exception):
    """The worker's process is gone, and with it the call."""


class Worker(Protocol):
    """One process, here or elsewhere."""

    def call(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Begin ``function(*arguments)`` there. A process that dies gives an error of the crew's ``lost``."""
        ...

    def stop(self) -> None:
        """Tell the job at work to end."""
        ...

    def end(self, kill: bool) -> None:
        """End the process: when its call is done, or at once."""
        ...


class Hire(Protocol):
    """Starts workers of one kind."""

    @property
    def lost(self) -> tuple[type[BaseException], ...]:
        """What a call raises whose process is gone."""
        ...

    def __call__(self, place: int) -> tuple[Worker, Future[Any]]:
        """A worker for a place (0 ...), and its `worker.begin`."""
        ...


class LocalWorker:
    """A process of this machine."""

    def __init__(self) -> None:
        # Not forked: threads and CUDA do not survive that.
        self.pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
        self.process: int | None = None

    def call(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """See `Worker`."""
        return self.pool.submit(function, *arguments)

    def begin(self, setting: worker.Setting) -> Future[int]:
        """Set the process up."""
        began = self.pool.submit(worker.begin, setting)
        began.add_done_callback(self._began)
        return began

    def _began(self, began: Future[int]) -> None:
        if not began.cancelled() and began.exception() is None:
            self.process = began.result()

    def stop(self) -> None:
        """See `Worker`."""
        self._signal(signal.SIGTERM)

    def end(self, kill: bool) -> None:
        """See `Worker`."""
        if kill:
            self._signal(getattr(signal, "SIGKILL", signal.SIGTERM))
        self.pool.shutdown(wait=not kill, cancel_futures=True)

    def _signal(self, number: int) -> None:
        if self.process is not None:
            try:
                os.kill(self.process, number)
            except OSError:  # it has ended
                self.process = None


@dataclass(frozen=True)
class HireHere:
    """Workers of this machine; each place has its setting."""

    settings: tuple[worker.Setting, ...]
    lost: tuple[type[BaseException], ...] = (BrokenProcessPool,)

    def __call__(self, place: int) -> tuple[Worker, Future[Any]]:
        """See `Hire`."""
        hired = LocalWorker()
        return hired, hired.begin(self.settings[place])


@dataclass(frozen=True)
class Call:
    """A function to be called in some worker's process, and whom to tell.

    Attributes:
        function, arguments: what.
        finished: called here with the result, or with the error: `Lost` where the process died.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    finished: Callable[[Any, BaseException | None], None]


class Crew:
    """Workers for the places of a machine or a cluster. A context manager: none is left behind.

    Args:
        hire: starts them.
        size: how many.
    """

    def __init__(self, hire: Hire, size: int) -> None:
        self.hire, self.size = hire, size
        self.workers: dict[int, Worker] = {}
        self.idle: list[int] = []
        self.busy: dict[Future[Any], tuple[int, Call | None]] = {}
        self.died_at_start = 0

    def __enter__(self) -> Crew:
        for place in range(self.size):
            self._fill(place)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for hired in self.workers.values():
            hired.end(kill=kind is not None)

    def work(self, next_call: Callable[[], Call | None], cancel: Callable[[], bool], tick: Callable[[], None]) -> None:
        """Have calls done until there is none left.

        Args:
            next_call: the next one for a worker with nothing to do; None = none now. Asked again after each that ends.
            cancel: polled; True tells all workers to stop.
            tick: called about ten times a second.

        Raises:
            Cancelled: ``cancel`` returned True; all processes have then been told, and given time, to end tidily.
            EX4DError: processes die, or refuse, as they start.
        """
        while True:
            if cancel():
                self._stop()
                raise Cancelled
            if not self._hand_out(next_call) and not any(call for _, call in self.busy.values()):
                return
            tick()
            for future in wait(self.busy, POLL_SECONDS, FIRST_COMPLETED).done:
                self._ended(future)

    def _hand_out(self, next_call: Callable[[], Call | None]) -> bool:
        """Give workers with nothing to do a call each; whether there may be more calls."""
        while self.idle:
            call = next_call()
            if call is None:
                return False
            place = self.idle.pop(0)
            self.busy[self.workers[place].call(call.function, *call.arguments)] = place, call
        return True

    def _fill(self, place: int) -> None:
        self.workers[place], began = self.hire(place)
        self.busy[began] = place, None

    def _ended(self, future: Future[Any]) -> None:
        """A call has ended, or a new worker is there, or has died."""
        place, call = self.busy.pop(future)
        error = future.exception()
        # A worker that something else than this batch told to stop begins no further job.
        lost = isinstance(error, (*self.hire.lost, Cancelled))
        if lost:
            self.workers[place].end(kill=True)
            self.died_at_start = self.died_at_start + 1 if call is None else 0
            if self.died_at_start > STARTS:
                raise EX4DError(
                    f"Workers die as they start, {self.died_at_start} one after the other: {error}"
                ) from error
            self._fill(place)
        elif call is None and error is not None:
            raise error
        else:
            self.idle.append(place)
        if call is not None:
            call.finished(None if error is not None else future.result(), Lost() if lost else error)

    def _stop(self) -> None:
        for place, call in self.busy.values():
            if call is not None:
                self.workers[place].stop()
        wait([future for future, (_, call) in self.busy.items() if call is not None], GRACE_SECONDS)
