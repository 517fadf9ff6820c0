"""Weight files: which row needs which, where it is looked for, and whether it is what its name says."""

from __future__ import annotations

import hashlib
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

from ...storage.digest import sha256_of

UNVERIFIED = "(unverified file)"
DIGITS = re.compile(r"-([0-9a-f]{8})\.pth$")
"""torchvision's and pytorch-fid's way to say the first digits of the sha256 in a file's name."""


@dataclass(frozen=True)
class WeightFile:
    """What a row needs beside the video, which is never downloaded.

    Attributes:
        files: what is looked for in the folder of weights; files, or folders of Hugging Face models.
        megabytes: about, in all; None where no public record says.
        licence: of the weights.
        source: who publishes them.
        package: module that must be installed beside; None = what every ComfyUI brings is enough.
    """

    files: tuple[str, ...]
    megabytes: int | None
    licence: str
    source: str
    package: str | None = None

    def problem(self, folder: Path | None) -> str | None:
        """Why a row is not computed, behind "not computed: "; None where all is there."""
        missing = [name for name in self.files if folder is None or not (folder / name).exists()]
        if missing:
            size = "" if self.megabytes is None else f"{self.megabytes} MB, "
            return f"needs {' and '.join(missing)} ({size}{self.licence}, {self.source})"
        if self.package is not None and importlib.util.find_spec(self.package) is None:
            return f"needs the package {self.package.replace('_', '-')}: pip install {self.package.replace('_', '-')}"
        return None


def digest(file: Path) -> str:
    """sha256 in hexadecimal; of a folder that of its model.safetensors, or of its first file of weights."""
    if file.is_dir():
        weights = sorted([*file.glob("*.safetensors"), *file.glob("*.bin"), *file.glob("*.pth*")])
        if not weights:
            return hashlib.sha256().hexdigest()
        file = weights[0]
    return sha256_of(file)


def note(file: Path) -> str | None:
    """What is told beside a row's value: None where the name's digits are those of the file, else its digest.

    No sha256 is invented: where no public record states one, the one that was found is printed.
    """
    found = digest(file)
    stated = DIGITS.search(file.name)
    if stated is not None and found.startswith(stated[1]):
        return None
    differs = "" if stated is None else f", not the {stated[1]} of its name"
    return f"{UNVERIFIED} {file.name}: sha256 {found}{differs}"
