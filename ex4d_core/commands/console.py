"""What commands show on stderr, and how they learn of Ctrl-C."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_interrupted = threading.Event()
BAR_WIDTH = 24
REDRAW_SECONDS = 0.1


def say(text: str) -> None:
    """One line on stderr; stdout stays free for results."""
    print(text, file=sys.stderr, flush=True)


def interrupted() -> bool:
    """Whether the user asked to stop: the ``cancel`` callback of commands."""
    return _interrupted.is_set()


def interrupt() -> None:
    """Ask the work of this process to stop."""
    _interrupted.set()


@contextmanager
def catch_interrupts() -> Iterator[None]:
    """Within, the first Ctrl-C (or SIGTERM) makes `interrupted` true, so that work stops tidily; the second raises."""
    _interrupted.clear()
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(_number: int, _frame: object) -> None:
        if _interrupted.is_set():
            raise KeyboardInterrupt
        _interrupted.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class ProgressBar:
    """A ``progress`` callback that draws one line on stderr; on a file or pipe it writes the last state only.

    Args:
        label: what is being done.
    """

    def __init__(self, label: str) -> None:
        self.label = label
        self.started = time.monotonic()
        self.drawn = 0.0
        self.live = sys.stderr.isatty()
        self.open = False

    def __call__(self, done: int, total: int) -> None:
        """Draw the state, at most ten times a second."""
        now = time.monotonic()
        last = done >= total
        if not last and (not self.live or now - self.drawn < REDRAW_SECONDS):
            return
        self.drawn = now
        filled = BAR_WIDTH * done // max(1, total)
        bar = "#" * filled + "-" * (BAR_WIDTH - filled)
        line = f"{self.label:<22} [{bar}] {done}/{total}  {now - self.started:.1f} s"
        sys.stderr.write(f"\r{line}" if self.live else line)
        self.open = True
        if last:
            self.close()

    def close(self) -> None:
        """End the line, finished or not."""
        if self.open:
            sys.stderr.write("\n")
            sys.stderr.flush()
            self.open = False

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
