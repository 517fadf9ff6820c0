"""Which job is done when: all are looked at first, then each once what it reads has been made, the failed ones again."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from . import worker
from .crew import Call, Crew, Lost
from .file import refuse
from .journal import Entry, Journal
from .report import Report
from .task import State, Task

LOST = "its worker's process died: it was killed, or there was not enough memory."


def look_at_all(
    tasks: list[Task], path: Path, crew: Crew, cancel: Callable[[], bool], progress: Callable[[int, int], None]
) -> None:
    """Look at every job, and find out which waits for which.

    Args:
        tasks: gain their looks and what they come after.
        path: of the file of jobs.
        crew: who looks.
        cancel: see `Crew.work`.
        progress: called with (looked at, in all).

    Raises:
        EX4DError: lines that cannot be done; nothing has been begun then.
        Cancelled: see `Crew.work`.
    """
    problems: dict[str, str] = {}
    waiting = deque(tasks)
    seen = 0

    def next_call() -> Call | None:
        if not waiting:
            return None
        task = waiting.popleft()

        def finished(look: worker.Look | None, error: BaseException | None) -> None:
            nonlocal seen
            seen += 1
            task.look = look
            if error is not None:
                problems[task.job.label] = (
                    "reading its files ends the process" if isinstance(error, Lost) else str(error)
                )

        return Call(worker.look, (task.job,), finished)

    crew.work(next_call, cancel, lambda: progress(seen, len(tasks)))
    if not problems:
        problems = _order(tasks)
        for task in tasks:
            if not task.after and task.look is not None and task.look.trouble is not None:
                problems.setdefault(task.job.label, task.look.trouble)
    refuse(path, [f"line {task.job.label}: {problems[task.job.label]}" for task in tasks if task.job.label in problems])


def _order(tasks: list[Task]) -> dict[str, str]:
    """Which task comes after which, by the files that they read and write; a sentence for each that cannot be ordered."""
    writers: dict[str, Task] = {}
    inside: dict[str, dict[int, Task]] = {}
    problems: dict[str, str] = {}
    for task in tasks:
        assert task.look is not None
        for path in task.look.files.written:
            other = writers.setdefault(os.path.normcase(path), task)
            if other is not task:
                problems[task.job.label] = f"it writes '{path}', which line {other.job.label} writes too."
            inside.setdefault(os.path.normcase(os.path.dirname(path)), {})[id(task)] = task
    for task in tasks:
        assert task.look is not None
        found: dict[int, Task] = {}
        for path in map(os.path.normcase, task.look.files.read):
            found |= inside.get(path, {})
            if path in writers:
                found[id(writers[path])] = writers[path]
        task.after = [other for other in found.values() if other is not task]
        task.fresh = not task.after
    ordered: set[int] = set()
    left = list(tasks)
    while ready := [task for task in left if all(id(other) in ordered for other in task.after)]:
        ordered |= {id(task) for task in ready}
        left = [task for task in left if id(task) not in ordered]
    for task in left:
        problems.setdefault(task.job.label, "it reads what is made only after it: these lines wait for each other.")
    return problems


@dataclass
class Batch:
    """Jobs that have been looked at, and how they are done.

    Attributes:
        tasks: all of them.
        journal: what is known to be done, and where results are written down.
        retries: how often a job that failed is tried again.
        report: who is told.
    """

    tasks: list[Task]
    journal: Journal
    retries: int
    report: Report
    waiting: list[Task] = field(default_factory=list)

    def run(self, crew: Crew, cancel: Callable[[], bool]) -> None:
        """Do what is not done yet.

        Raises:
            Cancelled: see `Crew.work`.
        """
        self.waiting = list(self.tasks)
        crew.work(self._next, cancel, self.report.tick)

    def _next(self) -> Call | None:
        """The next job that can be done now; those that need not or cannot be done are settled on the way."""
        place = 0
        while place < len(self.waiting):
            task = self.waiting[place]
            failed = next((other for other in task.after if other.state is State.FAILED), None)
            if failed is None and any(other.state is State.WAITING for other in task.after):
                place += 1
                continue
            del self.waiting[place]
            if failed is not None:
                self._settle(task, State.FAILED, f"not begun, since it needs what line {failed.job.label} makes.")
            elif not task.fresh:
                return Call(worker.look, (task.job,), partial(self._looked, task))
            elif task.look is not None and self.journal.is_done(task.look.digest, task.look.outputs):
                self._settle(task, State.SKIPPED)
            else:
                return Call(
                    worker.do, (task.job, str(self.journal.log(task.job).absolute())), partial(self._ended, task)
                )
            place = 0  # what was settled may be what an earlier one waits for
        return None

    def _looked(self, task: Task, look: worker.Look | None, error: BaseException | None) -> None:
        """What a job reads is there now."""
        if look is None or look.trouble is not None:
            self._failed(task, LOST if isinstance(error, Lost) else str(error if look is None else look.trouble), 0.0)
            return
        task.look, task.fresh = look, True
        self.waiting.insert(0, task)

    def _ended(self, task: Task, done: worker.Done | None, error: BaseException | None) -> None:
        if done is None:
            self._failed(task, LOST if isinstance(error, Lost) else str(error), 0.0)
        elif done.message is not None:
            self._failed(task, done.message, done.seconds)
        else:
            assert task.look is not None
            entry = Entry(
                task.look.digest, task.job.label, task.job.command, "done", done.seconds, "", tuple(done.outputs)
            )
            self.journal.add(entry)
            self._settle(task, State.DONE, seconds=done.seconds)

    def _failed(self, task: Task, message: str, seconds: float) -> None:
        assert task.look is not None
        task.attempts += 1
        self.journal.add(Entry(task.look.digest, task.job.label, task.job.command, "failed", seconds, message))
        if task.attempts > self.retries:
            self._settle(task, State.FAILED, message)
        else:
            self.report.again(task, message)
            self.waiting.append(task)

    def _settle(self, task: Task, state: State, message: str = "", seconds: float = 0.0) -> None:
        task.state, task.message = state, message
        self.report.settled(task, seconds)
