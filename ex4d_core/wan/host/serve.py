"""Job after job in one process in ComfyUI's folder, so that weights are read once: what a worker of a batch starts.

A line on stdin is JSON, the module that does the work and the file with the job; the exit code is written beside that file,
with the ending .code. The process ends with its stdin, also in the middle of a job: whoever began it is gone.
"""

from __future__ import annotations

import importlib
import json
import os
import queue
import signal
import sys
import threading
import traceback
from pathlib import Path

from ...machine.kept import keep_models

FAULT = 1
_at_work = threading.Event()
CODE_ENDING = ".code"


def main(_: Path) -> int:
    """Do what comes in; returns the exit code at its end."""
    keep_models()
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(lines,), daemon=True).start()
    while line := lines.get():
        work, job = json.loads(line)
        _at_work.set()
        answer(Path(job), do(work, Path(job)))
        _at_work.clear()
    return 0


def do(work: str, job: Path) -> int:
    """One job; a fault of our own is shown, and ends it alone."""
    try:
        return importlib.import_module(f".{work}", __package__).main(job)
    except Exception:
        traceback.print_exc()
        return FAULT
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def answer(job: Path, code: int) -> None:
    """The exit code, beside the job's file; it appears whole."""
    part = job.with_suffix(".part")
    part.write_text(str(code), encoding="utf-8")
    os.replace(part, job.with_suffix(CODE_ENDING))


def _read(lines: queue.SimpleQueue[str]) -> None:
    """Hand on lines as they come; at their end the process is told to stop."""
    for line in sys.stdin:
        lines.put(line)
    lines.put("")
    if _at_work.is_set():  # the job is unwound as by a signal from outside
        signal.raise_signal(signal.SIGTERM)
