"""What a batch says on the console: one line that moves, a line for each job that fails, and a list at the end."""

from __future__ import annotations

import sys
import time
from collections import Counter

from ..console import BAR_WIDTH, REDRAW_SECONDS, say
from .task import State, Task

QUIET_SECONDS = 10.0
"""Between two lines where the console is a file or a pipe."""


class Report:
    """Tells how far the jobs are, and about how long the rest takes.

    Args:
        tasks: all jobs.
        workers: how many are done at once.
        known: seconds that jobs of each command took in earlier runs.
    """

    def __init__(self, tasks: list[Task], workers: int, known: dict[str, list[float]]) -> None:
        self.tasks, self.workers = tasks, workers
        self.left = Counter(task.job.command for task in tasks)
        self.states: Counter[State] = Counter()
        self.seconds = {command: list(taken) for command, taken in known.items()}
        self.live = sys.stderr.isatty()
        self.shown = 0.0 if self.live else time.monotonic()

    def settled(self, task: Task, seconds: float) -> None:
        """A job has ended, or need not be done."""
        self.states[task.state] += 1
        self.left[task.job.command] -= 1
        if task.state is State.DONE:
            self.seconds.setdefault(task.job.command, []).append(seconds)
        if task.state is State.FAILED:
            self._line(f"failed: line {task.job.label}, {task.job.command}: {task.message}")

    def again(self, task: Task, message: str) -> None:
        """A job has failed, and will be tried once more."""
        self._line(f"failed, to be tried again: line {task.job.label}, {task.job.command}: {message}")

    def tick(self) -> None:
        """Show how far the jobs are, if that was not shown just now."""
        now = time.monotonic()
        if now - self.shown >= (REDRAW_SECONDS if self.live else QUIET_SECONDS):
            self.shown = now
            sys.stderr.write(f"\r{self.line()}\033[K" if self.live else f"{self.line()}\n")
            sys.stderr.flush()

    def line(self) -> str:
        """How far the jobs are, and the time left."""
        ended, total = sum(self.states.values()), len(self.tasks)
        filled = BAR_WIDTH * ended // total
        left = self.seconds_left()
        parts = [f"[{'#' * filled}{'-' * (BAR_WIDTH - filled)}] {ended}/{total} jobs"]
        parts += [f"{self.states[State.FAILED]} failed"] * (self.states[State.FAILED] > 0)
        parts += [] if left is None else [f"about {clock(left)} left"]
        return ", ".join(parts)

    def seconds_left(self) -> float | None:
        """An estimate from the mean of each command's jobs; None where one of them has never been seen to end."""
        if any(count and not self.seconds.get(command) for command, count in self.left.items()):
            return None
        means = {command: sum(taken) / len(taken) for command, taken in self.seconds.items() if taken}
        work = sum(count * means[command] for command, count in self.left.items() if count)
        longest = max((means[command] for command, count in self.left.items() if count), default=0.0)
        return max(work / self.workers, longest)

    def close(self, seconds: float) -> None:
        """The list of what failed, and how many jobs are in which state."""
        if self.live:
            sys.stderr.write("\r\033[K")
        failed = [task for task in self.tasks if task.state is State.FAILED]
        if failed:
            say(f"{len(failed)} jobs failed:")
        for task in failed:
            say(f"  line {task.job.label}, {task.job.command}: {task.message}")
        count = self.states
        say(
            f"{len(self.tasks)} jobs: {count[State.DONE]} done, {count[State.SKIPPED]} were done before, "
            f"{count[State.FAILED]} failed, in {clock(seconds)}"
        )

    def _line(self, text: str) -> None:
        if self.live:
            sys.stderr.write("\r\033[K")
        say(text)


def clock(seconds: float) -> str:
    """12.3 s, or hours, minutes and seconds."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
