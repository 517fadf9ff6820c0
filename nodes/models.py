"""Folders of models: where they are looked for, and where downloads go."""

from __future__ import annotations

import os
from pathlib import Path

import folder_paths


def add_folder(kind: str, extensions: set[str] | None = None) -> None:
    """models/<kind>, behind the folders that the user's extra_model_paths.yaml names for it.

    Args:
        kind: the folder's name, and what extra_model_paths.yaml calls it.
        extensions: of the files that are listed; None for all. Those that the host knows already stay.
    """
    own = os.path.join(folder_paths.models_dir, kind)
    paths, known = folder_paths.folder_names_and_paths.get(kind, ([], set()))
    paths = paths if own in paths else [*paths, own]
    folder_paths.folder_names_and_paths[kind] = (paths, known or extensions or set())


def folders(kind: str) -> list[Path]:
    """Where models of a kind are looked for, in this order."""
    return [Path(folder) for folder in folder_paths.get_folder_paths(kind)]


def download_folder(kind: str) -> Path:
    """Where a download of a kind goes: the first of its folders, which a user's own one is."""
    return folders(kind)[0]
