"""The table of camera formats, and which of them a file is.

A new format is a module with a :class:`Format` in it, and its entry here. The nodes' choices and tooltips, the help page,
the command line's help and the browser's upload button all say what this table says.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import EX4DError
from . import (
    after_effects,
    blender,
    chan,
    colmap,
    gltf,
    json_path,
    npz,
    nuke_script,
    re10k,
    recammaster,
    trajectorycrafter,
    transforms,
    usd,
)
from .cameras import Format, Hints

FORMATS: dict[str, Format] = {
    entry.name: entry
    for entry in (
        json_path.FORMAT,
        npz.FORMAT,
        re10k.FORMAT,
        chan.FORMAT,
        transforms.FORMAT,
        gltf.GLTF,
        gltf.GLB,
        after_effects.FORMAT,
        blender.FORMAT,
        nuke_script.FORMAT,
        usd.FORMAT,
        colmap.TEXT,
        colmap.FOLDER,
        recammaster.FORMAT,
        trajectorycrafter.FORMAT,
    )
}
"""By name, the ones that are chosen most first. Where two share an ending, the first is written."""


def read_suffixes() -> tuple[str, ...]:
    """The endings of files that can be read."""
    files = [entry for entry in FORMATS.values() if entry.read and not entry.is_folder]
    return tuple(dict.fromkeys(suffix for entry in files for suffix in entry.suffixes))


def written_formats() -> dict[str, Format]:
    """The formats that can be written, by name."""
    return {name: entry for name, entry in FORMATS.items() if entry.write or entry.write_folder}


def formats_of(file: Path) -> list[Format]:
    """The formats that a file may be by its name, or a folder by being one.

    Raises:
        EX4DError: there is none.
    """
    readable = [entry for entry in FORMATS.values() if entry.read]
    folders = [entry for entry in readable if entry.is_folder]
    if file.is_dir():
        found = folders
        if not found:
            raise EX4DError(f"{file.name} is a folder. Give a camera file: {', '.join(read_suffixes())}.")
        return found
    suffix = file.suffix.lower()
    found = [entry for entry in readable if suffix in entry.suffixes and entry not in folders]
    if not found:
        known = ", ".join(read_suffixes())
        raise EX4DError(f"{file.name}: no camera format ends in {suffix or 'nothing'!r}. Known: {known}.")
    return found


def recognised(formats: Sequence[Format], data: bytes, hints: Hints) -> Format:
    """The one that the content looks like, else the one that does not tell.

    Args:
        formats: what the name allows.
        data: the file's bytes.
        hints: its name and folder.

    Raises:
        EX4DError: every format tells, and none knows the content.
    """
    for entry in formats:
        if entry.looks_like is not None and entry.looks_like(data, hints):
            return entry
    for entry in formats:
        if entry.looks_like is None:
            return entry
    raise EX4DError(f"this is none of the camera formats that it could be: {', '.join(e.title for e in formats)}.")


def format_to_write(file: Path, name: str | None) -> Format:
    """The format asked for, or that of the file name's ending.

    Args:
        file: where to write.
        name: of the format; None = by the ending.

    Raises:
        EX4DError: there is none, it cannot be written, or its files' names end in something else.
    """
    known = written_formats()
    if name is not None:
        entry = known.get(name)
    else:
        suffix = file.suffix.lower()
        entry = next((entry for entry in known.values() if suffix in entry.suffixes), None)
    if entry is None:
        suffixes = ", ".join(dict.fromkeys(suffix for entry in known.values() for suffix in entry.suffixes))
        raise EX4DError(f"{file.name}: unknown camera format. Choose a name that ends in {suffixes}.")
    if file.suffix.lower() not in entry.suffixes:
        endings = " or ".join(entry.suffixes)
        raise EX4DError(
            f"{file.name}: a {entry.title} file has a name that ends in {endings}, or no program will read it."
        )
    return entry
