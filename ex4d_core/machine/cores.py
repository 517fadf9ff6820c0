"""How many processor cores this process may use."""

from __future__ import annotations

import os


def cores() -> int:
    """Cores that this process is to use, at least 1.

    EX4D_CORES where it is set, as a batch sets it for its workers; else those that the system gives, which in many
    containers are fewer than the machine has.
    """
    given = os.environ.get("EX4D_CORES", "")
    if given.isdecimal() and int(given):
        return int(given)
    if hasattr(os, "sched_getaffinity"):  # not on Windows and macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
