"""jobs.jsonl: each line is a command with its flags, or a matrix of such; nothing here knows what a command does.

{"command": "recon", "input_video": "a.mp4", "depth": "a.npz", "cam": ["30", "60"], "output_dir": "out/a"}
{"command": "recon", "matrix": {"shot": ["a", "b"], "angle": [-30, 30]}, "input_video": "{shot}.mp4", ...}
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from ...errors import EX4DError

MOST_JOBS = 100_000
PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*)\}")


@dataclass(frozen=True)
class Job:
    """One command with its flags.

    Attributes:
        line: where it stands in the file, from 1.
        label: its name in lists, such as "3" or "3 (shot a, angle 30)".
        command: the command's name.
        values: its flags, as JSON has them.
    """

    line: int
    label: str
    command: str
    values: dict[str, Any]


def read_jobs(path: Path, commands: tuple[str, ...]) -> list[Job]:
    """The jobs of a file, matrices multiplied out.

    Args:
        path: the .jsonl; empty lines are passed over.
        commands: that a line may name.

    Raises:
        EX4DError: no such file, or lines that are no jobs: each with its number, ten at most.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise EX4DError(f"The file of jobs '{path}' cannot be read: {reason}.") from error
    jobs: list[Job] = []
    problems: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        before = len(jobs)
        try:
            jobs += jobs_of(number, line, commands)
        except EX4DError as error:
            problems.append(f"line {number}: {error}")
        twice = {job.label for job in jobs[before:]}
        if len(twice) < len(jobs) - before:
            problems.append(f"line {number}: the matrix holds one value twice: two jobs would be the same.")
        if len(jobs) > MOST_JOBS:
            raise EX4DError(f"'{path}' holds more than {MOST_JOBS} jobs. Split it.")
    refuse(path, problems)
    if not jobs:
        raise EX4DError(f'\'{path}\' holds no jobs: each line is one, as {{"command": "recon", ...}}.')
    return jobs


def refuse(path: Path, problems: list[str]) -> None:
    """Raise where there are any; ten are named."""
    if problems:
        more = [f"and {len(problems) - 10} more"] if len(problems) > 10 else []
        lines = "\n  ".join([*problems[:10], *more])
        raise EX4DError(f"nothing was begun, since '{path}' holds what cannot be done:\n  {lines}")


def jobs_of(number: int, line: str, commands: tuple[str, ...]) -> Iterator[Job]:
    """The jobs of one line.

    Raises:
        EX4DError: it is no job.
    """
    try:
        values = json.loads(line, object_pairs_hook=_once)
    except EX4DError:
        raise
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits and endless nesting among them
        reason = (
            f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else "too deep or long"
        )
        raise EX4DError(f"it is no JSON ({reason}).") from error
    if not isinstance(values, dict):
        raise EX4DError(f'a job is an object like {{"command": "recon", ...}}, got {line.strip()[:40]}.')
    command = values.pop("command", None)
    if command not in commands:
        given = "there is none" if command is None else f"got {command!r}"
        raise EX4DError(f'"command" must be one of {", ".join(commands)}; {given}.')
    matrix = values.pop("matrix", None)
    if matrix is None:
        yield Job(number, str(number), command, values)
        return
    _check_matrix(matrix, values)
    for row in product(*matrix.values()):
        chosen = dict(zip(matrix, row, strict=True))
        label = f"{number} ({', '.join(f'{name} {value}' for name, value in chosen.items())})"
        yield Job(number, label, command, {key: _filled(value, chosen) for key, value in values.items()})


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON's own reader would keep the last of two values without a word."""
    names = [name for name, _ in pairs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise EX4DError(f'"{twice[0]}" is given twice.')
    return dict(pairs)


def _check_matrix(matrix: Any, values: dict[str, Any]) -> None:
    """Refuse a matrix that is no lists of values, and names that only one side knows: each is a slip of the keyboard."""
    lists = isinstance(matrix, dict) and matrix and all(isinstance(row, list) and row for row in matrix.values())
    if not lists or not all(isinstance(cell, str | int | float) for row in matrix.values() for cell in row):
        raise EX4DError('"matrix" must hold lists of texts or numbers, as {"shot": ["a", "b"], "angle": [-30, 30]}.')
    if math.prod(len(row) for row in matrix.values()) > MOST_JOBS:
        raise EX4DError(f"the matrix makes more than {MOST_JOBS} jobs. Split it.")
    used = {name for text in _texts(values) for name in PLACEHOLDER.findall(text)}
    unknown, unused = sorted(used - set(matrix)), sorted(set(matrix) - used)
    if unknown:
        raise EX4DError(f"{{{unknown[0]}}} is not in the matrix, which has {', '.join(matrix)}.")
    if unused:
        raise EX4DError(f"the matrix has {unused[0]}, but no value holds {{{unused[0]}}}.")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def _filled(value: Any, chosen: dict[str, Any]) -> Any:
    if isinstance(value, str):
        return PLACEHOLDER.sub(lambda match: str(chosen[match[1]]), value)
    return [_filled(inner, chosen) for inner in value] if isinstance(value, list) else value
