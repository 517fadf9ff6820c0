"""What a job reads and writes, and how a change of it is seen."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

Stamp = tuple[str, int, int]
"""A file's path, its size in bytes and the time of its last change in nanoseconds; -1 and -1 where there is none."""


@dataclass(frozen=True)
class JobFiles:
    """Paths that a command reads and writes, as its flags name them; folders stand for the files directly in them."""

    read: tuple[str, ...]
    written: tuple[str, ...]

    @classmethod
    def of(cls, read: Iterable[str | Path | None], written: Iterable[str | Path | None]) -> JobFiles:
        """From flags, of which those that were not given are None."""
        return cls(*(tuple(str(path) for path in paths if path is not None) for paths in (read, written)))

    def inputs(self) -> list[Stamp]:
        """Stamps of everything read, of folders that of each file in them, without what the job itself writes there."""
        own = {os.path.abspath(path) for path in self.written}
        found: list[Stamp] = []
        for path in self.read:
            if not os.path.isdir(path):
                found.append(stamp(path))
                continue
            inside = [file for file in sorted(Path(path).iterdir()) if file.is_file()]
            found += [(path, 0, 0), *(stamp(file) for file in inside if os.path.abspath(file) not in own)]
        return found

    def outputs(self) -> list[Stamp]:
        """Stamps of everything written."""
        return [stamp(path) for path in self.written]


def stamp(path: str | Path) -> Stamp:
    """How a file is now."""
    try:
        found = os.stat(path)
    except OSError:
        return str(path), -1, -1
    return str(path), found.st_size, found.st_mtime_ns
