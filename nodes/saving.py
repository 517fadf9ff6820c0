"""Where nodes that save put their files: the widget for a name, and the place it stands for."""

from __future__ import annotations

import os
import re
from pathlib import Path

import folder_paths
from comfy_api.latest import io

from ..ex4d_core.errors import EX4DError
from ..ex4d_core.storage.staging import write_errors
from . import files

OUTSIDE = "'{}' lies outside ComfyUI's output folder. Give a plain name, such as EX-4D/camera."
NOT_IN_NAMES = re.compile(r'[<>:"|?*\x00-\x1f]')
"""What Windows does not take, refused everywhere, so that a graph works for whoever it is shared with."""
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?|.*[. ]", re.IGNORECASE)
"""Names of its devices, and endings that it drops."""


def name_input(default: str) -> io.Input:
    """The widget for a file's name below the output folder."""
    return io.String.Input(
        "name",
        default=default,
        tooltip="File name, below the output folder; a number is added so that nothing is overwritten. "
        "%year%, %month%, %day% and the like are filled in.",
    )


def name_problem(name: str | None) -> str | None:
    """What is wrong with a name below ComfyUI's output folder by its spelling; None where it is fine or not known."""
    if name is None:
        return None
    plain = name.strip().replace("\\", "/")
    parts = plain.split("/")
    if not plain.strip("/.") or plain.startswith(("/", "~")) or plain.endswith("/") or ".." in parts or ":" in plain:
        return OUTSIDE.format(name)
    if NOT_IN_NAMES.search(plain) or any(RESERVED.fullmatch(part) for part in parts if part != "."):
        return f"'{name}' is no file name on every system. Use letters, digits, -, _ and /, as in EX-4D/camera."
    return None


def output_place(name: str) -> tuple[str, str, int, str]:
    """Folder, file stem, next free number and subfolder for a name below ComfyUI's output folder.

    Raises:
        EX4DError: a name that leads out of the output folder through a link, or a folder that cannot be made.
    """
    plain = name.strip().replace("\\", "/")
    base = os.path.realpath(folder_paths.get_output_directory())
    target = os.path.realpath(os.path.join(base, plain))
    if not files.lies_inside(target, base):
        raise EX4DError(OUTSIDE.format(name))
    with write_errors(Path(target)):
        folder, stem, counter, subfolder, _ = folder_paths.get_save_image_path(plain, base)
    return folder, stem, counter, subfolder
