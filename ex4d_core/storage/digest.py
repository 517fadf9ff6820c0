"""What tells a file from others by its content."""

from __future__ import annotations

import hashlib
from pathlib import Path

BLOCK = 1 << 22


def sha256_of(file: Path) -> str:
    """sha256 of all of it, in hexadecimal."""
    total = hashlib.sha256()
    with file.open("rb") as opened:
        while block := opened.read(BLOCK):
            total.update(block)
    return total.hexdigest()
