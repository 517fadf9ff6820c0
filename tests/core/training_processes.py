"""``ex4d train`` in processes of its own, forked from one that has imported torch already: its imports take twelve seconds."""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path

import torch

METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
CONTEXT = multiprocessing.get_context(METHOD)
IMPORTED = ["ex4d_core.commands.cli", "ex4d_core.training.loop"]
AT_THE_FIRST_STEP = ["torch._dynamo", "torch.distributed.fsdp", "torch.distributed.tensor"]
"""What torch imports with the first step and with several processes; one that is forked must not have asked for a GPU."""


class TrainProcess:
    """One run of the command; it ends, is killed, or gets signals like any other process.

    Args:
        config: the run's file.
        flags: further words of the command line.
        told: a file for all that it writes to its outputs.
        environment: variables that it gets besides.
    """

    def __init__(self, config: Path, flags: tuple[str, ...], told: Path, environment: dict[str, str]) -> None:
        self.told = told
        if METHOD == "forkserver":
            CONTEXT.set_forkserver_preload(IMPORTED + ([] if torch.cuda.is_available() else AT_THE_FIRST_STEP))
        words = ["train", "--config", str(config), *flags]
        self._process = CONTEXT.Process(target=_command, args=(words, str(told), environment))
        self._process.start()
        self.kill, self.pid = self._process.kill, self._process.pid

    @property
    def returncode(self) -> int | None:
        """What it ended with; None while it runs."""
        return self._process.exitcode

    def ended(self, timeout: float = 240) -> str:
        """Wait for its end; what it wrote."""
        self._process.join(timeout)
        return self.told.read_text(encoding="utf-8") if self.told.exists() else ""


def _command(words: list[str], told: str, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    with open(told, "w", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        sys.stdout = sys.stderr = file
        from ex4d_core.commands.cli import main

        torch.set_num_threads(1)
        code = main(words)
    sys.exit(code)
