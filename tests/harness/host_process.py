"""ComfyUI's side of ``generate`` and ``imagine``, started once: each job is done in a fork of it, in a second instead of twenty.

Run as a program in ComfyUI's folder, it loads ComfyUI and the pack as ``ex4d_core/wan/host/start.py`` does, then reads
lines of JSON: the work, its argument, and the file for its output. Where a system cannot fork, it ends with its first job,
and another one is started.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType, TracebackType

if __name__ != "__main__":
    from ex4d_core.commands import comfyui


LOAD = "load"
"""Not a module of ``ex4d_core/wan/host`` but the loading of another copy of the pack."""


class HostProcess:
    """A process that has loaded ComfyUI and the pack, and waits for jobs.

    Args:
        host: ComfyUI's folder.
        environment: of the process.
        comfy_args: arguments for ComfyUI.
    """

    def __init__(self, host: Path, environment: dict[str, str], *comfy_args: str) -> None:
        self.host, self.environment, self.comfy_args = host, environment, comfy_args
        self.process = self.started()

    def started(self) -> subprocess.Popen[str]:
        script = str(Path(__file__).resolve())
        command = [sys.executable, "-c", comfyui.RUN_FILE, script, str(comfyui.ROOT), *self.comfy_args]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        return subprocess.Popen(command, cwd=self.host, env=self.environment, text=True, **pipes)

    def do(self, work: str, job: str) -> subprocess.CompletedProcess[str]:
        """Do a job, JSON for that module's ``main``; what is returned has its exit code, and what it printed in ``stderr``."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "job.json"
            path.write_text(job, encoding="utf-8")
            return self.ask(work, path)

    def load(self, pack: Path) -> tuple[list[str], str]:
        """Load a copy of the pack; returns the ids of the nodes that it brought, and what it complained about."""
        done = self.ask(LOAD, pack)
        *complaints, nodes = done.stderr.splitlines()
        assert done.returncode == 0, done.stderr
        return json.loads(nodes), "\n".join(complaints)

    def ask(self, work: str, argument: Path) -> subprocess.CompletedProcess[str]:
        """What a fork of the process did."""
        if self.process.poll() is not None:
            self.process = self.started()
        assert self.process.stdin is not None and self.process.stdout is not None
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "output.txt"
            self.process.stdin.write(json.dumps([work, str(argument), str(output)]) + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
            code = int(answer) if answer else self.process.wait()
            return subprocess.CompletedProcess(work, code, "", output.read_text(encoding="utf-8"))

    def __enter__(self) -> HostProcess:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.communicate("")


def serve(pack: str, *comfy_args: str) -> None:
    """Load everything, then do a job a line."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what ComfyUI prints is no answer
    sys.path.insert(0, str(Path(pack) / "ex4d_core" / "wan" / "host"))
    import start

    del sys.path[0]
    name = start.begin(pack, *comfy_args)
    for line in sys.stdin:
        work, argument, output = json.loads(line)
        task = (
            partial(load, start, argument)
            if work == LOAD
            else partial(run, f"{name}.ex4d_core.wan.host.{work}", argument)
        )
        child = os.fork() if hasattr(os, "fork") else 0
        if child == 0:
            do(task, output)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=answers, flush=True)


def run(module: str, job: str) -> int:
    """A job of a command."""
    return importlib.import_module(module).main(Path(job))


def load(start: ModuleType, folder: str) -> int:
    """Load a pack and print the ids of its nodes."""
    name = start.load_pack(Path(folder))
    mapping = importlib.import_module("nodes").NODE_CLASS_MAPPINGS
    print(json.dumps([node for node, kind in mapping.items() if name and kind.__module__.startswith(name)]))
    return int(name is None)


def do(task: Callable[[], int], output: str) -> None:
    """A task, in the fork; ends it."""
    code = 1
    try:
        file = os.open(output, os.O_WRONLY | os.O_CREAT)
        os.dup2(file, 1)
        os.dup2(file, 2)
        code = task()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve(*sys.argv[1:])
