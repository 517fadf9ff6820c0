"""File names from widgets, kept inside ComfyUI's own folders."""

from __future__ import annotations

import os
import re
from pathlib import Path

import folder_paths

from ..ex4d_core.errors import EX4DError

FOLDERS = {
    "input": folder_paths.get_input_directory,
    "output": folder_paths.get_output_directory,
    "temp": folder_paths.get_temp_directory,
}
ANNOTATION = re.compile(r"^(?P<name>.*?)(?: \[(?P<folder>input|output|temp)\])?$", re.DOTALL)


def resolve(name: str, what: str = "file") -> Path:
    """The existing file that a file widget names: "clip.mp4", "shots/clip.mp4", "clip.mp4 [output]".

    Raises:
        EX4DError: nothing chosen, no such file, or a name that leads out of ComfyUI's input, output or temp folder
            (absolute, with "..", on a network share, or through a link).
    """
    match = ANNOTATION.match(name or "")
    assert match is not None  # the pattern takes any text
    plain, folder = match["name"], match["folder"] or "input"
    if not plain.strip():
        raise EX4DError(f"No {what} is chosen. Pick one in the list, or upload one.")
    path = place(plain, FOLDERS[folder]())
    if path is None:
        raise EX4DError(f"'{name}' lies outside ComfyUI's {folder} folder. Copy or upload the {what} there first.")
    if not path.is_file():
        raise EX4DError(f"There is no {what} '{plain}' in ComfyUI's {folder} folder. Upload it, or choose another.")
    return path


def place(name: str, folder: str) -> Path | None:
    """Where a name below a folder leads, through links too; None where that is outside of it.

    What is offered and what is taken both ask here.
    """
    # Windows spellings are refused everywhere, so that a graph means the same on every system.
    if "\0" in name or name.startswith(("/", "\\", "~")) or re.match(r"^[A-Za-z]:", name):
        return None
    base = os.path.realpath(folder)
    path = os.path.realpath(os.path.join(base, name.replace("\\", "/")))
    return Path(path) if lies_inside(path, base) else None


def lies_inside(path: str, base: str) -> bool:
    """Whether a resolved path lies in a resolved folder."""
    try:
        return os.path.commonpath([base, path]) == base
    except ValueError:  # Windows: a link to another drive
        return False


def listing(suffixes: tuple[str, ...]) -> list[str]:
    """Files of these kinds in the input folder and its subfolders, as a file widget offers them: those that can be taken."""
    base = Path(folder_paths.get_input_directory())
    found = []
    for folder, folders, names in os.walk(base):
        # Hidden files are left out: macOS writes "._clip.mp4" beside "clip.mp4" on disks of other systems.
        folders[:] = [name for name in folders if not name.startswith(".")]
        relative = Path(folder).relative_to(base)
        shown = (name for name in names if not name.startswith(".") and name.lower().endswith(suffixes))
        found += [(relative / name).as_posix() for name in shown]
    return sorted((name for name in found if can_be_taken(name, base)), key=str.lower)


def can_be_taken(name: str, base: Path) -> bool:
    """Whether `resolve` takes a file of the input folder: a link may lead elsewhere, or nowhere."""
    path = place(name, str(base))
    return path is not None and path.is_file()


def problem(name: str | None, what: str = "file") -> str | bool:
    """For ``validate_inputs``: True, or the sentence that says what is wrong; None (a linked input) passes."""
    if name is None:
        return True
    try:
        resolve(name, what)
    except EX4DError as error:
        return str(error)
    return True


def fingerprint(name: str | None) -> str:
    """For ``fingerprint_inputs``: changes when the file on disk does, or the data that lies beside a .gltf."""
    if not name:
        return ""
    try:
        path = resolve(name)
        buffers = sorted(path.parent.glob("*.bin")) if path.suffix.lower() == ".gltf" else []
        return " ".join(state(file) for file in (path, *buffers))
    except (EX4DError, OSError) as error:
        return str(error)


def state(path: Path) -> str:
    """What changes with every change of a file."""
    stat = path.stat()
    # st_ctime also changes when a file is replaced by another one of the same age and size.
    return f"{stat.st_mtime_ns}-{stat.st_ctime_ns}-{stat.st_size}"
