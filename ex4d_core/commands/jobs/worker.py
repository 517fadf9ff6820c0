"""What happens in a worker's process: it is set up once, then looks at jobs and does them, one at a time.

Nothing heavy is imported before `begin` has said how many threads and which GPU the process has.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ...errors import Cancelled, EX4DError
from ...machine.kept import keep_models
from .. import console
from ..cli import load_command, sentence_of
from .file import Job
from .files import JobFiles, Stamp

ORPHAN_SECONDS = 20.0
"""What a job has to end in when the batch itself is gone, before its process leaves it."""
THREAD_LIMITS = (
    "EX4D_CORES",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "OPENCV_FOR_THREADS_NUM",
)


@dataclass(frozen=True)
class Setting:
    """What a worker is given once.

    Attributes:
        folder: of the file of jobs, which relative paths are relative to.
        threads: that it may keep busy.
        gpu: what CUDA_VISIBLE_DEVICES is to be; None = as it is.
    """

    folder: str
    threads: int
    gpu: str | None = None


@dataclass(frozen=True)
class Look:
    """A job as it stands.

    Attributes:
        digest: of what it asks for: every flag, and size and time of change of every file it reads.
        files: what it reads and writes, as absolute paths.
        outputs: how what it writes is now.
        trouble: why it cannot be done as things are; None where it can.
    """

    digest: str
    files: JobFiles
    outputs: list[Stamp]
    trouble: str | None


@dataclass(frozen=True)
class Done:
    """How a job ended: seconds it took, why it failed (None: it did not), and what it wrote."""

    seconds: float
    message: str | None
    outputs: list[Stamp]


def begin(setting: Setting) -> int:
    """Set this process up; returns its id."""
    os.environ.update(dict.fromkeys(THREAD_LIMITS, str(setting.threads)))
    if setting.gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = setting.gpu
    try:
        os.chdir(setting.folder)
    except OSError as error:
        raise EX4DError(f"The folder '{setting.folder}' cannot be entered by a worker: {error.strerror}.") from error
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop())
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()
    keep_models()
    import torch

    torch.set_num_threads(setting.threads)
    return os.getpid()


def stop() -> None:
    """End the job at work at its next step; no other is begun."""
    console.interrupt()


def look(job: Job) -> Look:
    """A job as it stands: read as the command reads its flags, and checked as the command would.

    Raises:
        EX4DError: the line can never be done: a flag that does not exist, or a value that it does not take.
    """
    command, args = _read(job)
    files: JobFiles = command.files(args)
    flags = {name: value for name, value in vars(args).items() if not name.startswith("_")}
    text = json.dumps([job.command, flags, files.inputs()], sort_keys=True, default=str)
    trouble = None
    try:
        with open(os.devnull, "w", encoding="utf-8") as nowhere, _console_to(nowhere.fileno()):
            command.check(args)
    except (EX4DError, OSError) as error:
        trouble = sentence_of(error, args)
    whole = JobFiles.of(map(os.path.abspath, files.read), map(os.path.abspath, files.written))
    return Look(hashlib.sha256(text.encode()).hexdigest(), whole, files.outputs(), trouble)


def do(job: Job, log: str) -> Done:
    """Do a job, with what it says in a file.

    Raises:
        Cancelled: this process was told to stop.
    """
    command, args = _read(job)
    started = time.monotonic()
    message = None
    with open(log, "a", encoding="utf-8") as file, _console_to(file.fileno()):
        try:
            code = command.run(args)
            message = f"it ended with code {code}." if code else None
        except Cancelled:
            raise
        except Exception as error:
            message = sentence_of(error, args)
            if message is None:
                traceback.print_exc()
                message = f"{type(error).__name__}: {error}"
            console.say(f"error: {message}")
    if message is not None:
        message = f"{message} Its console: {log}"
    outputs = command.files(args).outputs() if message is None else []
    return Done(round(time.monotonic() - started, 3), message, outputs)


def _read(job: Job) -> tuple[Any, Any]:
    """The command's module, and its flags as the command line would give them."""
    command, parser = load_command(job.command)
    return command, parser.parse_args(parser.words(job.values))


@contextmanager
def _console_to(target: int) -> Iterator[None]:
    """Both outputs of this process and of those that it starts go to an open file."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    kept = os.dup(1), os.dup(2)
    try:
        for number in (1, 2):
            os.dup2(target, number)
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        for number, before in zip((1, 2), kept, strict=True):
            os.dup2(before, number)
            os.close(before)


def _leave_with(parent: Any) -> None:
    """End with the process that started this one, even where that was killed."""
    parent.join()
    stop()
    time.sleep(ORPHAN_SECONDS)
    os._exit(1)
