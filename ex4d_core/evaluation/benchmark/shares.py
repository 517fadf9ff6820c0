"""A run over several processes and machines that share a folder: each measures its share of the cases, the last one to end puts
all together. The processes never talk, so whatever starts them will do (accelerate launch, torchrun, a scheduler).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from ...errors import EX4DError
from ...storage.staging import STAGE_PREFIX, staged_file
from .grade import Grade
from .results import Entry

Case = TypeVar("Case")
SHARES = "shares"


@dataclass(frozen=True)
class Share:
    """Process ``rank`` of ``count``."""

    rank: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.count:
            raise EX4DError(f"A share is one of 0 to {self.count - 1} of {self.count}, got {self.rank}.")

    def of(self, cases: dict[str, Case]) -> dict[str, Case]:
        """Every ``count``-th case."""
        return dict(list(cases.items())[self.rank :: self.count])


def share_of(environment: Mapping[str, str]) -> Share:
    """The share that torchrun's and accelerate's variables RANK and WORLD_SIZE name; all of it without them.

    Raises:
        EX4DError: numbers that do not go together.
    """
    try:
        rank, count = int(environment.get("RANK", "0")), int(environment.get("WORLD_SIZE", "1"))
    except ValueError as error:
        raise EX4DError("RANK and WORLD_SIZE, which torchrun sets, must be whole numbers.") from error
    return Share(rank, count)


def forget(folder: Path, share: Share) -> None:
    """Remove what a run that was broken off has left of a share, before it is measured anew."""
    _file(folder, share).unlink(missing_ok=True)


def keep(folder: Path, share: Share, key: dict[str, Any], entries: list[Entry], problems: list[str]) -> None:
    """Write a share's results beside those of the others.

    Args:
        folder: the run's; that of all processes.
        share: whose results they are.
        key: what was measured, and how: only shares of the same are put together.
        entries: as measured.
        problems: likewise.
    """
    found = {
        "key": key,
        "entries": [{**vars(entry), "grades": [asdict(grade) for grade in entry.grades]} for entry in entries],
        "problems": problems,
    }
    with staged_file(_file(folder, share), make_folder=True) as part:
        part.write_text(json.dumps(found) + "\n", encoding="utf-8")


def gathered(folder: Path, share: Share, key: dict[str, Any], cases: list[str]) -> tuple[list[Entry], list[str]] | None:
    """All results, where every share is there and no other process took them; the folder of shares is removed.

    Args:
        folder: as in `keep`.
        share: of the process that asks.
        key: as in `keep`; a share of something else is not there.
        cases: in their order, to which the results are brought.
    """
    files = [_file(folder, Share(rank, share.count)) for rank in range(share.count)]
    parts = [_read(file) for file in files]
    if any(part is None or part.get("key") != key for part in parts):
        return None
    with tempfile.TemporaryDirectory(dir=folder, prefix=STAGE_PREFIX) as own:
        try:
            (folder / SHARES).rename(Path(own) / SHARES)
        except OSError:  # another process has them
            return None
    entries = [
        Entry(one["case"], one["span"], one["method"], tuple(Grade(**grade) for grade in one["grades"]))
        for part in parts
        if part is not None
        for one in part["entries"]
    ]
    problems = [line for part in parts if part is not None for line in part["problems"]]
    # Each share keeps the order of its own cases; the sort does not change what is equal.
    entries.sort(key=lambda entry: cases.index(entry.case))
    problems.sort(key=lambda line: next((n for n, case in enumerate(cases) if line.startswith(case)), -1))
    return entries, problems


def _file(folder: Path, share: Share) -> Path:
    return folder / SHARES / f"{share.rank}-of-{share.count}.json"


def _read(file: Path) -> dict[str, Any] | None:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
