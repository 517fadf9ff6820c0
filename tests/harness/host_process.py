"""ComfyUI's side of ``generate`` and ``imagine``, started once: each job is done in a fork of it, in a second instead of twenty.

Run as a program in ComfyUI's folder, it loads ComfyUI and the pack as ``ex4d_core/wan/host/start.py`` does, then reads
lines of JSON: the module that does the work, the file with the job, and the file for its output.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType

if __name__ != "__main__":
    from ex4d_core.commands import comfyui


class HostProcess:
    """A process that has loaded ComfyUI and the pack, and waits for jobs. Needs os.fork.

    Args:
        host: ComfyUI's folder.
        environment: of the process.
        comfy_args: arguments for ComfyUI.
    """

    def __init__(self, host: Path, environment: dict[str, str], *comfy_args: str) -> None:
        command = [
            sys.executable,
            "-c",
            comfyui.RUN_FILE,
            str(Path(__file__).resolve()),
            str(comfyui.ROOT),
            *comfy_args,
        ]
        self.process = subprocess.Popen(
            command, cwd=host, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def do(self, work: str, job: str) -> subprocess.CompletedProcess[str]:
        """Do a job; what is returned has its exit code, and what it printed in ``stderr``."""
        with tempfile.TemporaryDirectory() as folder:
            path, output = Path(folder) / "job.json", Path(folder) / "output.txt"
            path.write_text(job, encoding="utf-8")
            assert self.process.stdin is not None and self.process.stdout is not None
            self.process.stdin.write(json.dumps([work, str(path), str(output)]) + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
            assert answer, f"ComfyUI's process has ended with {self.process.poll()}"
            return subprocess.CompletedProcess(work, int(answer), "", output.read_text(encoding="utf-8"))

    def __enter__(self) -> HostProcess:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
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
        work, job, output = json.loads(line)
        child = os.fork()
        if child == 0:
            do(f"{name}.ex4d_core.wan.host.{work}", job, output)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=answers, flush=True)


def do(module: str, job: str, output: str) -> None:
    """The job, in the fork; ends it."""
    code = 1
    try:
        file = os.open(output, os.O_WRONLY | os.O_CREAT)
        os.dup2(file, 1)
        os.dup2(file, 2)
        code = importlib.import_module(module).main(Path(job))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve(*sys.argv[1:])
