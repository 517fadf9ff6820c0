"""A run's numbers and films in TensorBoard and Weights & Biases, through accelerate's trackers; log.jsonl has them anyway."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..errors import EX4DError
from .config import LogConfig, RunConfig, flat

FOLDER = "tensorboard"
SHOWN = 8
"""Frames of a film that are shown: TensorBoard has no films of its own."""


class Boards:
    """The boards that a run was asked to write to; without any, nothing happens.

    W&B keeps what it gets in the run's folder, unless WANDB_MODE says that it shall be sent. A board that fails later on is
    written to no more, and the run goes on.

    Args:
        config: of the run.
        say: told which board failed, and why.
        done: steps that the run has behind it; what TensorBoard has of later ones, which are done again, is hidden.

    Raises:
        EX4DError: a package that is not installed, or a board that cannot be opened.
    """

    def __init__(self, config: RunConfig, say: Callable[[str], None], done: int = 0) -> None:
        check_boards(config.log)
        self._say = say
        self._boards: list[Any] = []
        if not any((config.log.tensorboard, config.log.wandb)):
            return
        folder, name = Path(config.output), Path(config.output).name
        try:
            from accelerate import tracking

            if config.log.tensorboard:
                again = {"purge_step": done + 1} if done else {}
                self._open(tracking.TensorBoardTracker(FOLDER, str(folder), **again))
            if config.log.wandb:
                os.environ.setdefault("WANDB_MODE", "offline")
                os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # it would go to its maker
                self._open(tracking.WandBTracker(config.log.project, dir=str(folder), name=name))
            for board in self._boards:
                board.store_init_configuration(flat(config.as_dict()))
        except Exception as error:  # whatever a board raises
            self.close()
            raise EX4DError(f"A board cannot be opened: {error}. Leave out its key of the table log.") from error

    def _open(self, board: Any) -> None:
        start = getattr(board, "start", None)  # before accelerate 1.10 they started by themselves
        if start is not None:
            start()
        self._boards.append(board)

    def numbers(self, values: Mapping[str, Any], step: int) -> None:
        """Write what of a line of the log is a number; tables within it have their names joined by a slash."""
        found = {
            name.replace(".", "/"): float(value)
            for name, value in flat(values).items()
            if isinstance(value, int | float) and name != "step"
        }
        self._each(lambda board: board.log(found, step=step))

    def film(self, path: Path, step: int, now: int) -> None:
        """Show some frames of a film.

        Args:
            path: of it.
            step: that it is of.
            now: the run's step, for W&B, which takes no earlier one than the last.
        """
        if not self._boards:
            return
        from ..video import load_video

        frames = load_video(str(path)).frames
        shown = frames[:: max(1, -(-len(frames) // SHOWN))].numpy()

        def show(board: Any) -> None:
            if board.name == "tensorboard":
                board.log_images({"preview": shown}, step=step, dataformats="NHWC")
            else:
                board.log_images({"preview": shown}, step=now)

        self._each(show)

    def close(self) -> None:
        """Have everything written."""
        self._each(lambda board: board.finish())
        self._boards = []

    def _each(self, write: Callable[[Any], None]) -> None:
        """Do something with every board; one that fails is left out from then on."""
        for board in tuple(self._boards):
            try:
                write(board)
            except Exception as error:  # whatever a board raises
                self._boards.remove(board)
                self._say(f"{board.name} is written to no more: {error}")


def check_boards(log: LogConfig) -> None:
    """Refuse boards whose packages are not installed.

    Raises:
        EX4DError: names the package.
    """
    for key in ("tensorboard", "wandb"):
        missing = [name for name in ("accelerate", key) if getattr(log, key) and importlib.util.find_spec(name) is None]
        if missing:
            raise EX4DError(f"log.{key} needs {missing[0]}, which is not installed. Run: pip install accelerate {key}")
