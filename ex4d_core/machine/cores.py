"""How many processor cores this process may use."""

from __future__ import annotations

import os


def cores() -> int:
    """Cores that the system gives this process, at least 1; fewer than the machine has in many containers."""
    if hasattr(os, "sched_getaffinity"):  # not on Windows and macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
