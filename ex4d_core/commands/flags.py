"""The parser of all commands, types for its flags, and the flags that several commands share.

Whatever a flag alone can get wrong is refused as it is read, in one sentence whose subject is the flag.
"""

from __future__ import annotations

import argparse
import difflib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ..errors import EX4DError

if TYPE_CHECKING:
    from ..render import BackendChoice

DEVICES = ("cpu", "cuda", "mps")


class Parser(argparse.ArgumentParser):
    """argparse that raises `EX4DError` for a refusal, as everything else here does: "--crf must be ..., got 'x'."."""

    def __init__(self, prog: str, description: str | None) -> None:
        super().__init__(
            prog=prog,
            description=description,
            allow_abbrev=False,
            formatter_class=_HelpFormatter,
        )

    def error(self, message: str) -> NoReturn:
        """Refuse the command line; argparse calls this with "argument --crf: must be ..."."""
        if message.startswith("argument "):
            raise EX4DError(message.removeprefix("argument ").replace(": must ", " must ", 1).rstrip(".") + ".")
        raise EX4DError(f"{message}. '{self.prog} --help' lists the flags.")

    def words(self, values: Mapping[str, Any]) -> list[str]:
        """The command line that an object of JSON stands for.

        Args:
            values: by a flag's name without dashes, or by a positional's name: a text or a number, a list where several may
                follow, true or false for a flag that takes nothing; null as if it were not there.

        Raises:
            EX4DError: a name that this command does not have, or a value that cannot be one of a flag.
        """
        known = {action.dest: action for action in self._actions if action.dest != "help"}
        words: list[str] = []
        positional: list[str] = []
        for name, value in values.items():
            action = known.get(name.replace("-", "_"))
            if action is None:
                near = difflib.get_close_matches(name, known, 1)
                meant = f"Did you mean '{near[0]}'? " if near else ""
                raise EX4DError(f"{self.prog.split()[-1]} has no flag '{name}'. {meant}There are: {', '.join(known)}.")
            if value is None:
                continue
            try:
                (words if action.option_strings else positional).extend(_words_of(action, value))
            except TypeError as error:
                raise EX4DError(f"'{name}' must be {error}, got {json.dumps(value)}.") from None
        return [*words, "--", *positional] if positional else words

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            choices = ", ".join(map(str, action.choices))
            raise argparse.ArgumentError(action, f"must be one of {choices}, got '{value}'.")


def _words_of(action: argparse.Action, value: Any) -> list[str]:
    """The words of one flag; a TypeError says what its value must be."""
    flag = list(action.option_strings[:1])
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise TypeError("true or false")
        return flag if value else []
    if value is True and action.nargs == "?":
        return flag
    several = action.nargs in ("+", "*") or isinstance(action.default, list)
    cells = value if several and isinstance(value, list) else [value]
    if not cells or not all(isinstance(cell, str | int | float) for cell in cells):
        raise TypeError("a list of texts or numbers" if several else "a text or a number")
    texts = [str(int(cell)) if isinstance(cell, bool) and action.type is int else _plain(cell) for cell in cells]
    if action.nargs in ("+", "*"):
        return [*flag, *texts]
    # Joined, so that a value may begin with a dash.
    return [f"{flag[0]}={text}" for text in texts] if flag else texts


def _plain(cell: str | int | float) -> str:
    if isinstance(cell, bool):
        raise TypeError("a text or a number")
    return cell if isinstance(cell, str) else json.dumps(cell)


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=110)


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """A flag's type: a whole number of a range, both ends included."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"must be a whole number, got '{text}'.") from None
        if most is None and value < least:
            raise argparse.ArgumentTypeError(f"must be {least} or more, got {text}.")
        if most is not None and not least <= value <= most:
            raise argparse.ArgumentTypeError(f"must lie between {least} and {most}, got {text}.")
        return value

    return read


def number(least: float, most: float, unit: str = "") -> Callable[[str], float]:
    """A flag's type: a number of a range, both ends included; ``unit`` is for the message."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"must be a number, got '{text}'.") from None
        if not least <= value <= most:  # true for NaN
            raise argparse.ArgumentTypeError(
                f"must lie between {least:.7g} and {most:.7g}{unit and ' '}{unit}, got {text}."
            )
        return value

    return read


def size(smallest: int, largest: int) -> Callable[[str], tuple[int, int]]:
    """A flag's type: (width, height) written like 512x512, with sides of ``smallest`` to ``largest`` pixels."""

    def read(text: str) -> tuple[int, int]:
        match = re.fullmatch(r"(\d{1,9})[xX*](\d{1,9})", text.strip())
        if match is None:
            raise argparse.ArgumentTypeError(f"must be like 512x512 (width x height), got '{text}'.")
        width, height = int(match[1]), int(match[2])
        if not (smallest <= min(width, height) and max(width, height) <= largest):
            raise argparse.ArgumentTypeError(
                f"must have sides of {smallest} to {largest} pixels, got {width}x{height}."
            )
        return width, height

    return read


def add_renderer(add: Callable[..., argparse.Action], *, several: bool = False) -> None:
    """Declare --backend and --device; `check_renderer` refuses what cannot run here.

    Args:
        add: ``add_argument`` of a parser or group.
        several: let --backend name more than one.
    """
    from ..render import BACKEND_CHOICES

    if several:
        add("--backend", nargs="+", choices=BACKEND_CHOICES, default=["auto"], help="one or more (default auto)")
    else:
        add("--backend", choices=BACKEND_CHOICES, default="auto", help="what renders (default auto)")
    add("--device", help="cpu, cuda, cuda:1 ... (default: where the backend runs best)")


def check_renderer(backend: BackendChoice, device: str | None) -> None:
    """Refuse a renderer that cannot run here, a device that is not there, or a pair that does not fit.

    Args:
        backend: value of --backend.
        device: value of --device; None where it was not given.
    """
    import torch

    from ..render import available_backends

    if backend != "auto" and backend not in available_backends():
        raise EX4DError(f"--backend {backend} cannot run here; there are: {', '.join(available_backends())}.")
    if device is None:
        return
    try:
        kind = torch.device(device).type
        if kind in DEVICES:
            torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise EX4DError(f"--device {device} is not there on this machine. Use cpu.") from error
    if kind not in DEVICES:
        raise EX4DError(f"--device must be cpu, cuda (cuda:1 ...) or mps, got {device}.")
    if backend == "nvdiffrast" and kind != "cuda":
        raise EX4DError(f"--backend nvdiffrast renders on CUDA, not on {device}. Use --backend auto.")


def check_file(flag: str, path: Path) -> None:
    """Refuse a result's file that could not be written, before the work is done."""
    if not path.resolve().parent.is_dir():
        raise EX4DError(f"{flag}: the folder of {path} does not exist.")
    if path.is_dir():
        raise EX4DError(f"{flag}: {path} is a folder. Give the name of a file.")
