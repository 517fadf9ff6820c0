"""The record of a batch: a folder beside its file of jobs, with a line for every job that ended and its console output.

A line is written at once and flushed, so that whatever ends the batch, what was done is known.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from ... import __version__
from ...errors import EX4DError
from ...storage.staging import write_errors
from .file import Job
from .files import Stamp

Outcome = Literal["done", "failed"]


@dataclass(frozen=True)
class Entry:
    """How a job ended.

    Attributes:
        digest: of what it asks for; see `worker.look`.
        job, command: its label and command.
        outcome: done or failed.
        seconds: it took.
        message: why it failed; "" where it did not.
        outputs: what it wrote, as it was then.
    """

    digest: str
    job: str
    command: str
    outcome: Outcome
    seconds: float
    message: str = ""
    outputs: tuple[Stamp, ...] = ()


class Journal:
    """What is known of earlier runs, and where this one's results are written down; `open_journal` makes it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "journal.jsonl"
        self.last: dict[str, Entry] = {}
        self.seconds: dict[str, list[float]] = {}
        for entry in self._read():
            self._know(entry)

    def add(self, entry: Entry) -> None:
        """Write down how a job ended."""
        self._know(entry)
        line = {**asdict(entry), "version": __version__, "time": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
        with write_errors(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def is_done(self, digest: str, outputs: list[Stamp]) -> bool:
        """Whether a job is done, and what it wrote is still there, untouched."""
        entry = self.last.get(digest)
        return entry is not None and entry.outcome == "done" and list(entry.outputs) == outputs

    def log(self, job: Job) -> Path:
        """Where a job's console output goes."""
        name = re.sub(r"[^\w.-]+", "_", job.label).strip("_")[:80]
        return self.folder / "logs" / f"{name}_{job.command}.log"

    def _know(self, entry: Entry) -> None:
        self.last[entry.digest] = entry
        if entry.outcome == "done":
            self.seconds.setdefault(entry.command, []).append(entry.seconds)

    def _read(self) -> Iterator[Entry]:
        """Entries of earlier runs; a line that was cut off by the end of one is no entry."""
        if not self.path.is_file():
            return
        for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                values = {name: value for name, value in json.loads(line).items() if name in Entry.__annotations__}
                values["outputs"] = tuple((path, size, changed) for path, size, changed in values["outputs"])
                yield Entry(**values)
            except (ValueError, TypeError, KeyError, AttributeError):
                continue


@contextmanager
def open_journal(folder: Path) -> Iterator[Journal]:
    """The record in a folder, which is made where it is missing, for one batch at a time.

    Raises:
        EX4DError: another batch has it, or it cannot be written.
    """
    from filelock import FileLock, Timeout  # torch brings it

    with write_errors(folder):
        (folder / "logs").mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise EX4DError(f"Another batch is at work on these jobs ('{folder}'). Wait for it, or end it first.") from None
    try:
        yield Journal(folder)
    finally:
        lock.release()
