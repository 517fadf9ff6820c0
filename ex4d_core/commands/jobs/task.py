"""A job on its way: how far it is, and what it waits for."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from . import worker
from .file import Job


class State(Enum):
    """How far a job is."""

    WAITING = "waiting"
    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass
class Task:
    """A job on its way.

    Attributes:
        job: what is asked for.
        look: as it was looked at last.
        after: tasks that write what it reads.
        fresh: whether `look` still holds: nothing that it reads has been written since.
        state, attempts, message: how far it is, how often it was tried, why it failed last.
    """

    job: Job
    look: worker.Look | None = None
    after: list[Task] = field(default_factory=list)
    fresh: bool = True
    state: State = State.WAITING
    attempts: int = 0
    message: str = ""
