"""What test_batch.py has worker processes do; light to import, since each of them imports it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from ex4d_core.commands import console
from ex4d_core.commands.jobs import worker
from ex4d_core.commands.jobs.file import Job
from ex4d_core.errors import Cancelled


def light_begin(setting: worker.Setting) -> int:
    """A worker that can be told to stop, and imports nothing."""
    signal.signal(signal.SIGTERM, lambda *_: worker.stop())
    return os.getpid()


def die() -> None:
    """As the system ends a process that takes too much memory."""
    os.kill(os.getpid(), signal.SIGKILL)


def until_stopped(began: str, ended: str) -> None:
    """A job that takes for ever, and cleans up."""
    Path(began).touch()
    while not console.interrupted():
        time.sleep(0.01)
    Path(ended).touch()
    raise Cancelled


def die_once(job: Job, log: str) -> worker.Done:
    """A job whose process dies the first time, in the middle of its work where it has a number of cameras."""
    marker = Path(log).with_suffix(".died")
    if "zoom_in" in job.values["cam"] and not marker.exists():
        marker.touch()
        from ex4d_core.video import VideoWriter

        write = VideoWriter.write

        def write_and_die(self: VideoWriter, frame: object) -> None:
            write(self, frame)  # type: ignore[arg-type]
            die()

        VideoWriter.write = write_and_die  # type: ignore[method-assign]
    return worker.do(job, log)
