"""The command line: finds the command, reports bad input in one message, leaves cleanly when interrupted.

Exit codes: 0 done, 2 bad input (nothing was written; `evaluate` and `batch` do the rest first), 130 interrupted (nothing was
written; `batch` keeps what was done).
"""

from __future__ import annotations

import argparse
import ast
import importlib
import io
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import Cancelled, EX4DError
from ..machine import extras
from ..machine.memory import out_of_memory
from .console import catch_interrupts, say
from .exits import BAD_INPUT, INTERRUPTED
from .flags import Parser

COMMANDS = (
    "recon",
    "solve",
    "export",
    "stereo",
    "animate",
    "demo",
    "generate",
    "imagine",
    "convert",
    "masks",
    "prepare",
    "train",
    "bench",
    "evaluate",
    "benchmark",
    "batch",
)
"""Each is a module beside this one, with a docstring that begins with what it does, `add_arguments` and `run`."""

PROGRAM = "ex4d" if Path(sys.argv[0]).stem == "ex4d" else "python -m ex4d_core"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; ``arguments`` without the program's name, None = those of the process."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Results are named on stdout; a name that its encoding lacks must not undo what was done.
        sys.stdout.reconfigure(errors="backslashreplace")
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] not in COMMANDS:
        return _overview(words)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr)
    args = argparse.Namespace()
    try:
        command, parser = load_command(words[0])
        try:
            parser.parse_args([_underscored(word) for word in words[1:]], args)
        except SystemExit:  # the help has been shown
            return 0
        with catch_interrupts():
            return command.run(args)
    except (Cancelled, KeyboardInterrupt):
        say("interrupted; nothing was written.")
        return INTERRUPTED
    except Exception as error:
        sentence = sentence_of(error, args)
        if sentence is None:
            raise
        say(f"error: {sentence}")
        return BAD_INPUT


def load_command(name: str) -> tuple[Any, Parser]:
    """One of ``COMMANDS``: its module, and a parser of its flags."""
    # An extra, so that pip never replaces the build that the user has chosen.
    extras.check("torch", f"The command {name}")
    command = importlib.import_module(f".{name}", __package__)
    parser = Parser(prog=f"{PROGRAM} {name}", description=command.__doc__)
    command.add_arguments(parser)
    return command, parser


def sentence_of(error: Exception, args: argparse.Namespace) -> str | None:
    """What a user is told of an error; None for a fault of our own.

    Args:
        error: raised by a command.
        args: its flags.
    """
    if isinstance(error, EX4DError):
        return str(error)
    if isinstance(error, OSError):
        return f"'{error.filename or 'A file'}' cannot be read or written: {error.strerror or error}."
    if not out_of_memory(error):
        return None
    if "size" in args:
        return "there is not enough memory for this clip. Ask for fewer frames or a smaller --size."
    return "there is not enough memory for this. Close other programs and try again."


def _summary(name: str) -> str:
    """The first line of a command's docstring, read without importing it: what it needs may not be installed."""
    source = Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]


def _overview(words: list[str]) -> int:
    if words[:1] == ["--version"]:
        print(__version__)
        return 0
    lines = [f"usage: {PROGRAM} COMMAND ...", ""]
    lines += [f"  {name:<10}{_summary(name)}" for name in COMMANDS]
    lines += ["", f"{PROGRAM} COMMAND --help shows the flags of a command."]
    asked = words[:1] in ([], ["-h"], ["--help"])
    if not asked:
        lines.insert(0, f"error: there is no command '{words[0]}'.")
    print("\n".join(lines), file=sys.stdout if asked and words else sys.stderr)
    return 0 if asked and words else BAD_INPUT


def _underscored(word: str) -> str:
    """--output-dir is --output_dir."""
    name, equals, value = word.partition("=")
    if not name.startswith("--") or " " in name:  # a value, such as '--lowvram --cpu-vae'
        return word
    return name.replace("-", "_").replace("__", "--", 1) + equals + value
