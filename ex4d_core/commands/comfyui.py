"""A child process in ComfyUI's folder: where it is found, which flags say so, how it is waited for and ended."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, ClassVar

from ..errors import Cancelled, EX4DError
from ..machine.kept import drop, keeps_models, kept
from ..machine.words import split_words
from ..wan.host import start
from ..wan.host.serve import CODE_ENDING
from .console import interrupted, say
from .exits import BAD_INPUT, FAILED, INTERRUPTED

ROOT = Path(__file__).resolve().parents[2]
"""The pack's folder; where this package is installed without the pack, the folder that it is installed in."""
# With -c the working folder, ComfyUI's, is first on the path; run_path leaves it there.
RUN_FILE = "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
SERVED = "comfyui"
POLL_SECONDS = 0.2
GRACE_SECONDS = 5.0
"""What the child is given to clean up after it was told to end, before it is killed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of every command that needs ComfyUI."""
    add = parser.add_argument
    add(
        "--comfyui",
        help="folder of a ComfyUI checkout (default: COMFYUI_PATH, the one this pack lies in, ~/comfy/ComfyUI)",
    )
    add("--pack", help="folder of the ComfyUI-EX4D pack (default: this one, else the one in ComfyUI's custom_nodes)")
    add("--python", default=sys.executable, help="the Python that runs ComfyUI (default: this one)")
    add("--comfy_args", default="", help="arguments for ComfyUI: --comfy_args='--lowvram --cpu-vae'")
    add("--device", choices=("cuda", "cpu"), default="cuda")


def run(work: str, job: str, args: argparse.Namespace) -> int:
    """Do a job in ComfyUI's folder; returns the exit code.

    Args:
        work: the module of ``ex4d_core/wan/host`` that does it.
        job: what its ``main`` reads, as JSON.
        args: of the flags above.
    """
    comfy_args = tuple(split_words(args.comfy_args, "--comfy_args") + (["--cpu"] if args.device == "cpu" else []))
    checkout = find_comfyui(args.comfyui)
    pack = find_pack(args.pack, checkout)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "job.json"
        path.write_text(job, encoding="utf-8")
        if not keeps_models():
            return wait_for(_started(_command(args.python, pack, work, path, comfy_args), checkout))
        key = (args.python, pack, checkout, comfy_args)
        command = _command(args.python, pack, "serve", Path(os.devnull), comfy_args)
        served = kept(SERVED, key, lambda: Served(_started(command, checkout, **Served.PIPES)))
        code = FAILED
        try:
            code = served.do(work, path)
        finally:
            if code not in (0, BAD_INPUT):  # what went wrong may have left it without memory
                drop(SERVED)
                served.close()
        return code


def _command(python: str, pack: Path, work: str, job: Path, comfy_args: tuple[str, ...]) -> list[str]:
    script = str(Path(start.__file__).resolve())
    return [python, "-c", RUN_FILE, script, str(pack), work, str(job), *comfy_args]


def _started(
    command: list[str], checkout: Path, stdin: int | None = None, stdout: int | None = None, stderr: int | None = None
) -> subprocess.Popen[bytes]:
    """A child in ComfyUI's folder; a pack's own folder must not be on its path: both have a module named nodes."""
    environment = _without_packs(os.environ)
    return subprocess.Popen(command, cwd=checkout, env=environment, stdin=stdin, stdout=stdout, stderr=stderr)


class Served:
    """A process in ComfyUI's folder that does job after job and keeps their weights (``ex4d_core/wan/host/serve.py``).

    Args:
        process: started with `PIPES`.
    """

    PIPES: ClassVar[dict[str, int]] = {
        "stdin": subprocess.PIPE,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.STDOUT,
    }

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        threading.Thread(target=_show, args=(process.stdout,), daemon=True).start()
        self.close = weakref.finalize(self, end, process, GRACE_SECONDS)

    def do(self, work: str, job: Path) -> int:
        """Have a job done; returns the exit code.

        Raises:
            Cancelled: this process, or the child, was asked to stop.
        """
        assert self.process.stdin is not None
        code = job.with_suffix(CODE_ENDING)
        with suppress(OSError):  # of a process that has ended, which is told below
            self.process.stdin.write(json.dumps([work, str(job)]).encode() + b"\n")
            self.process.stdin.flush()
        while not code.exists():
            if interrupted():
                raise Cancelled
            ended = self.process.poll()
            if ended == INTERRUPTED:
                raise Cancelled
            if ended is not None:
                say(f"error: ComfyUI's process has ended ({ended}); -9 mostly means that there was not enough memory.")
                return FAILED
            time.sleep(POLL_SECONDS)
        return int(code.read_text(encoding="utf-8"))


def _show(output: IO[bytes]) -> None:
    """What a child says goes where this process's console goes at the time."""
    for line in output:
        os.write(2, line)


def check(args: argparse.Namespace) -> None:
    """Refuse where ComfyUI or the pack is not found."""
    split_words(args.comfy_args, "--comfy_args")
    find_pack(args.pack, find_comfyui(args.comfyui))


def wait_for(process: subprocess.Popen[bytes], grace: float = GRACE_SECONDS) -> int:
    """Exit code of a child; however this function is left, the child has ended.

    Args:
        process: the child.
        grace: seconds between telling it to end and killing it.

    Raises:
        Cancelled: the user, or the system, asked this process or the child to stop.
    """
    try:
        while (code := process.poll()) is None:
            if interrupted():
                raise Cancelled
            try:
                process.wait(POLL_SECONDS)
            except subprocess.TimeoutExpired:
                continue
    finally:
        end(process, grace)
    if code == INTERRUPTED:
        raise Cancelled
    if code < 0:
        say(f"error: ComfyUI's process was ended by signal {-code}; 9 mostly means that there was not enough memory.")
        return FAILED
    return code


def end(process: subprocess.Popen[bytes], grace: float) -> None:
    """Tell a child to end, and kill it where it does not."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(grace)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.kill()
        process.wait()


def find_comfyui(given: str | None) -> Path:
    """The checkout to use."""
    if given:
        candidates = [Path(given).expanduser()]
    else:
        candidates = [Path(os.environ["COMFYUI_PATH"])] if os.environ.get("COMFYUI_PATH") else []
        candidates += [*ROOT.parents[1:2], Path.home() / "comfy" / "ComfyUI"]
    for path in candidates:
        if (path / "main.py").is_file() and (path / "comfy").is_dir():
            return path.resolve()
    where = f"at {given}" if given else "(looked at COMFYUI_PATH, around this pack, and in ~/comfy/ComfyUI)"
    raise EX4DError(f"There is no ComfyUI checkout {where}; give its folder with --comfyui.")


def find_pack(given: str | None, comfyui: Path) -> Path:
    """The pack that ComfyUI is to load: the one named, the one this package lies in, or one among its custom nodes."""
    candidates = [Path(given).expanduser()] if given else [ROOT, *sorted((comfyui / "custom_nodes").glob("*/"))]
    for path in candidates:
        if is_pack(path):
            return path.resolve()
    where = f"at {given}" if given else f"in {comfyui / 'custom_nodes'}"
    raise EX4DError(f"There is no ComfyUI-EX4D pack {where}; clone it there, or give its folder with --pack.")


def is_pack(folder: Path) -> bool:
    """Whether a folder is a clone of this pack, whatever its name."""
    return all((folder / part).is_file() for part in ("__init__.py", "nodes/sampler.py", "ex4d_core/wan/host/start.py"))


def absolute(path: str | None) -> str | None:
    """Paths that exist here become absolute; others stay, as names in ComfyUI's folders."""
    return os.path.abspath(path) if path and os.path.exists(path) else path


def lora(text: str) -> tuple[str, float]:
    """File and strength of a flag's FILE[:STRENGTH]."""
    name, colon, strength = text.rpartition(":")
    try:
        return (str(absolute(name)), float(strength)) if colon else (str(absolute(text)), 1.0)
    except ValueError:
        return str(absolute(text)), 1.0  # a colon inside the path, as on Windows


def _without_packs(environment: Mapping[str, str]) -> dict[str, str]:
    paths = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    return {**environment, "PYTHONPATH": os.pathsep.join(path for path in paths if not is_pack(Path(path)))}
