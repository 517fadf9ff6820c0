"""Do many jobs, a line of a .jsonl each: recon, generate, evaluate and others, on all GPUs or cores, or on Ray.

  {"command": "recon", "input_video": "a.mp4", "depth": "a.npz", "cam": ["30", "60"], "output_dir": "out/a"}

A line's keys are the command's flags, relative paths start from the file's folder, and "matrix" makes many jobs of a line. Jobs
whose files others make wait for those. Everything is checked first. What is done is skipped when the batch is started again; what
failed is listed and tried again. docs/scaling.md tells more. Exit code 2 where jobs failed; the others are done all the same.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import Cancelled
from ..machine.cores import cores
from ..machine.memory import total_memory
from .console import ProgressBar, interrupted, say
from .exits import INCOMPLETE, INTERRUPTED
from .flags import whole
from .jobs.file import read_jobs
from .jobs.journal import open_journal

if TYPE_CHECKING:
    from .jobs.crew import Hire
    from .jobs.journal import Journal
    from .jobs.task import Task

COMMANDS = ("recon", "stereo", "export", "solve", "generate", "imagine", "evaluate")
"""What a line may ask for: commands that say with `files` what they read and write, and have a `check` of their own."""
WORKER_BYTES = 2 * 10**9
GPU_DEVICES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""What Linux has where there is a driver of NVIDIA, of AMD, or of Windows' own."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    add = parser.add_argument
    add("jobs", help=f"file of jobs (.jsonl); commands: {', '.join(COMMANDS)}")
    add(
        "--workers",
        type=whole(1, 4096),
        help="processes (default: one for each GPU; without one, one for each core that has 2 GB of memory)",
    )
    add("--retries", type=whole(0, 100), default=0, help="how often a job that fails is tried again (default 0)")
    add("--ray", metavar="ADDRESS", help="do the jobs on a Ray cluster: auto, or host:port; needs the package ray")
    add("--state", help="folder of the record and of the jobs' logs (default: the file's name with .batch)")
    add("--check", action="store_true", help="only check every job, and list what would be done")


def run(args: argparse.Namespace) -> int:
    """Check every job, then do those that are not done yet."""
    from .jobs.crew import Crew
    from .jobs.report import Report
    from .jobs.schedule import Batch, look_at_all
    from .jobs.task import State, Task

    started = time.monotonic()
    path = Path(args.jobs)
    tasks = [Task(job) for job in read_jobs(path, COMMANDS)]
    try:
        with ExitStack() as held:
            journal = held.enter_context(open_journal(Path(args.state or path.with_suffix(".batch"))))
            hire, size = _hire(args, len(tasks), str(path.absolute().parent))
            crew = held.enter_context(Crew(hire, size))
            with ProgressBar("checking jobs") as bar:
                look_at_all(tasks, path, crew, interrupted, bar)
            if args.check:
                return _tell(tasks, journal)
            report = Report(tasks, size, journal.seconds)
            Batch(tasks, journal, args.retries, report).run(crew, interrupted)
    except Cancelled:
        done = sum(task.state in (State.DONE, State.SKIPPED) for task in tasks)
        say(f"interrupted; {done} of {len(tasks)} jobs are done. The same command goes on from there.")
        return INTERRUPTED
    report.close(time.monotonic() - started)
    return INCOMPLETE if any(task.state is State.FAILED for task in tasks) else 0


def _hire(args: argparse.Namespace, jobs: int, folder: str) -> tuple[Hire, int]:
    """Who starts workers, and how many there are to be; no more than there are jobs."""
    from .jobs.crew import HireHere
    from .jobs.worker import Setting

    if args.ray is not None:
        from .jobs.ray_crew import join

        return join(args.ray, args.workers, jobs, folder)
    cards = visible_gpus()
    size = min(jobs, args.workers or len(cards) or affordable_workers())
    threads = max(1, cores() // size)
    say(f"{size} workers, {threads} threads each{f', {len(cards)} GPUs' if cards else ''}")
    settings = (Setting(folder, threads, cards[place % len(cards)] if cards else None) for place in range(size))
    return HireHere(tuple(settings)), size


def affordable_workers() -> int:
    """One for each core, as long as each has `WORKER_BYTES` of memory."""
    memory = total_memory()
    return cores() if memory is None else max(1, min(cores(), memory // WORKER_BYTES))


def visible_gpus() -> list[str]:
    """What CUDA_VISIBLE_DEVICES would call each GPU that torch can use."""
    if sys.platform == "linux" and not any(os.path.exists(device) for device in GPU_DEVICES):
        return []  # known without torch, which takes seconds to import
    import torch

    count = torch.cuda.device_count()
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    return (given.split(",") if given else [str(number) for number in range(count)])[:count]


def _tell(tasks: list[Task], journal: Journal) -> int:
    """What would be done."""
    for task in tasks:
        assert task.look is not None
        if task.after:
            state = f"to do after line {', '.join(other.job.label for other in task.after)}"
        else:
            state = "done" if journal.is_done(task.look.digest, task.look.outputs) else "to do"
        print(f"line {task.job.label}, {task.job.command}: {state}")
    return 0
