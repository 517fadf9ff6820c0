"""Films of what the adapter makes so far: ``ex4d generate`` in a process of its own, while the run goes on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ..machine.words import split_words
from ..storage.staging import staged_file
from .config import RunConfig

FOLDER = "previews"
ROOT = Path(__file__).resolve().parents[2]
"""What Python finds this package in."""
GENERATE = (sys.executable, "-m", "ex4d_core", "generate")
POLL_SECONDS, GRACE_SECONDS = 0.2, 10.0


def preview_words(config: RunConfig, adapter: Path, film: Path) -> list[str]:
    """Flags of ``generate`` for a preview; those of ``preview.flags`` come last and win.

    Raises:
        EX4DError: flags with a quotation mark too few.
    """
    preview = config.preview
    given = {
        "--color_video": preview.color, "--mask_video": preview.mask, "--prompt": preview.prompt,
        "--dit_dir": os.path.abspath(config.model.base), "--ex4d_path": str(adapter), "--output_video": str(film),
    }  # fmt: skip
    more = split_words(preview.flags, "preview.flags")
    return [word for flag, value in given.items() if value for word in (flag, value)] + more


@dataclass(frozen=True)
class Film:
    """A preview that has ended.

    Attributes:
        step: that it is of.
        path: of the film; None where it failed.
        told: the last line that the process said.
    """

    step: int
    path: Path | None
    told: str


@dataclass(frozen=True)
class _Running:
    step: int
    process: subprocess.Popen[bytes]
    adapter: Path
    film: Path
    log: Path


class Previews:
    """The previews of a run, one at a time.

    Args:
        config: of the run.
        command: what flags are added to.
    """

    def __init__(self, config: RunConfig, command: Sequence[str] = GENERATE) -> None:
        self._config, self._command = config, tuple(command)
        self._running: _Running | None = None

    def begin(self, step: int, state: Mapping[str, Tensor]) -> bool:
        """Begin a film of an adapter; False where the one before is still being made.

        Args:
            step: of the run.
            state: name -> tensor on the CPU.

        Raises:
            EX4DError: the run's folder cannot be written.
        """
        if self._running is not None:
            return False
        from safetensors.torch import save_file

        folder = Path(self._config.output).resolve() / FOLDER
        name = f"step-{step:06d}"
        adapter, film, log = (folder / f"{name}{ending}" for ending in (".safetensors", ".mp4", ".txt"))
        with staged_file(adapter, make_folder=True) as part:
            save_file(dict(state), str(part))
        words = preview_words(self._config, adapter, film)
        with log.open("wb") as told:
            process = subprocess.Popen(
                [*self._command, *words], env=self._environment(), stdin=subprocess.DEVNULL, stdout=told, stderr=told
            )
        self._running = _Running(step, process, adapter, film, log)
        return True

    def ended(self) -> Film | None:
        """The film that has ended since this was asked last."""
        running = self._running
        if running is None or running.process.poll() is None:
            return None
        self._running = None
        running.adapter.unlink(missing_ok=True)
        lines = running.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        if running.process.returncode == 0 and running.film.is_file():
            running.log.unlink(missing_ok=True)
            return Film(running.step, running.film, "")
        return Film(running.step, None, lines[-1] if lines else f"it ended with {running.process.returncode}")

    def last(self, cancel: Callable[[], bool] | None = None) -> Film | None:
        """Wait for the film that is being made, if there is one."""
        while self._running is not None:
            if (film := self.ended()) is not None:
                return film
            if cancel is not None and cancel():
                self.close()
                return None
            time.sleep(POLL_SECONDS)
        return None

    def close(self) -> None:
        """End what is being made."""
        if self._running is None:
            return
        process = self._running.process
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.ended()

    def _environment(self) -> dict[str, str]:
        """Without what a launcher has set: this is no rank of the run."""
        from .ranks import LAUNCHED

        environment = {name: value for name, value in os.environ.items() if name not in (*LAUNCHED, "LOCAL_RANK")}
        paths = [str(ROOT), *environment.get("PYTHONPATH", "").split(os.pathsep)]
        environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
        gpu = self._config.preview.gpu or own_gpu(self._config.device, environment.get("CUDA_VISIBLE_DEVICES", ""))
        if gpu:
            environment["CUDA_VISIBLE_DEVICES"] = gpu
        return environment


def own_gpu(device: str, visible: str) -> str:
    """The GPU that a run was put on by number, as CUDA_VISIBLE_DEVICES names it; empty where it was not.

    Args:
        device: of the run.
        visible: CUDA_VISIBLE_DEVICES of the run, among which it counts.

    >>> own_gpu("cuda:1", "2,3")
    '3'
    """
    number = device.removeprefix("cuda:")
    if not number.isdigit():
        return ""
    names = [name.strip() for name in visible.split(",") if name.strip()]
    return names[int(number)] if int(number) < len(names) else number
