"""How much memory a piece of work takes for itself, as far as Linux tells."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Growth:
    """What `growth` measured.

    Attributes:
        bytes: by which the process was larger at its largest than before; None where the system does not tell, and until the end.
    """

    bytes: int | None = None


@contextmanager
def growth() -> Iterator[Growth]:
    """Measures what is done inside of it, in this process, everything that it loads included."""
    made = Growth()
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)  # what is free is given back, or the work would begin by using that
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the largest size so far is forgotten
    except (OSError, AttributeError):
        yield made
        return
    before = _resident("VmRSS")
    yield made
    made.bytes = _resident("VmHWM") - before


def _resident(what: str) -> int:
    """Bytes of this process: VmRSS now, VmHWM at the largest."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(what))
