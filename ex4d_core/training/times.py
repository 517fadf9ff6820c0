"""Where the time goes: seconds of named parts of some work, summed up."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Times:
    """Seconds by part.

    Attributes:
        seconds: part -> sum.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Within, time goes to a part, whatever comes of it."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began
