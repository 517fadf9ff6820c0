"""The command line: finds the command, reports bad input in one message, leaves cleanly when interrupted.

Exit codes: 0 done, 2 bad input (nothing was written), 130 interrupted (nothing was written).
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import io
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from .. import __version__
from ..errors import Cancelled, EX4DError
from ..machine import extras
from .console import catch_interrupts, say

COMMANDS = {
    "recon": "turn a video and its depth into colour and mask video along a camera path",
    "demo": "make a small procedural scene and run the whole chain on it",
    "generate": "render the final video from colour and mask video with a ComfyUI checkout",
    "convert": "write the adapter (ex4d.ckpt) as safetensors",
    "bench": "measure the geometry's speed on this machine",
}
PROGRAM = "ex4d" if Path(sys.argv[0]).stem == "ex4d" else "python -m ex4d_core"
BAD_INPUT, INTERRUPTED = 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; ``arguments`` without the program's name, None = those of the process."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Results are named on stdout; a name that its encoding lacks must not undo what was done.
        sys.stdout.reconfigure(errors="backslashreplace")
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] not in COMMANDS:
        return _overview(words)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr)
    # An extra, so that pip never replaces the build that the user has chosen.
    if importlib.util.find_spec("torch") is None:
        say(f"error: {extras.missing('torch', f'The command {words[0]}')}")
        return BAD_INPUT
    try:
        command = importlib.import_module(f".{words[0]}", __package__)
    except ModuleNotFoundError as error:
        if error.name != f"{__package__}.{words[0]}":
            raise
        say(f"error: the command '{words[0]}' is not part of this version.")
        return BAD_INPUT
    parser = argparse.ArgumentParser(
        prog=f"{PROGRAM} {words[0]}", description=command.__doc__, allow_abbrev=False, formatter_class=_HelpFormatter
    )
    command.add_arguments(parser)
    try:
        args = parser.parse_args([_underscored(word) for word in words[1:]])
    except SystemExit as leave:
        return int(leave.code or 0)
    try:
        with catch_interrupts():
            return command.run(args)
    except EX4DError as error:
        say(f"error: {error}")
        return BAD_INPUT
    except (Cancelled, KeyboardInterrupt):
        say("interrupted; nothing was written.")
        return INTERRUPTED
    except OSError as error:
        say(f"error: '{error.filename or 'A file'}' cannot be read or written: {error.strerror or error}.")
        return BAD_INPUT
    except (MemoryError, RuntimeError) as error:
        if not _out_of_memory(error):
            raise
        say("error: there is not enough memory for this clip. Ask for fewer frames or a smaller --size.")
        return BAD_INPUT


def _out_of_memory(error: Exception) -> bool:
    """torch says it by a RuntimeError on the CPU, in each system's words, and by a class of its own on a GPU."""
    name, text = type(error).__name__, str(error).lower()
    known = isinstance(error, MemoryError) or name == "OutOfMemoryError"
    return known or any(words in text for words in ("not enough memory", "can't allocate memory"))


def _overview(words: list[str]) -> int:
    if words[:1] == ["--version"]:
        print(__version__)
        return 0
    lines = [f"usage: {PROGRAM} COMMAND ...", ""]
    lines += [f"  {name:<10}{text}" for name, text in COMMANDS.items()]
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


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=110)
