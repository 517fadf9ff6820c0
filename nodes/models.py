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


OTHER_FOLDERS = ("loras", "model_patches")
"""Where people keep adapters, too."""


def adapter_files(kind: str) -> list[str]:
    """Everything in models/<kind>, and what has the kind in its name in models/loras and models/model_patches, as folder/name."""
    files = list(folder_paths.get_filename_list(kind))
    for folder in OTHER_FOLDERS:
        if folder in folder_paths.folder_names_and_paths:
            names = folder_paths.get_filename_list(folder)
            files += [f"{folder}/{name}" for name in names if kind in name.lower().replace("-", "").replace("_", "")]
    return files


def adapter_path(kind: str, name: str) -> str:
    """The file behind an entry of ``adapter_files``."""
    for folder in OTHER_FOLDERS:
        if name.startswith(f"{folder}/"):
            return folder_paths.get_full_path_or_raise(folder, name[len(folder) + 1 :])
    return folder_paths.get_full_path_or_raise(kind, name)


def fetched(kind: str, repository: str, names: list[str]) -> list[Path]:
    """Files of a repository among the models of a kind, with progress on the node; resumed where it was cancelled.

    Those that lie there already stay as they are.
    """
    from ..ex4d_core.storage import hub
    from .progress import Job

    present = {name: folder_paths.get_full_path(kind, name) for name in names}
    missing, folder = [name for name in names if present[name] is None], download_folder(kind)
    if missing:
        files = hub.look_up(repository, missing, folder)
        with Job() as job:
            hub.download(files, folder, progress=job.progress, cancel=job.cancel)
    return [Path(present[name] or folder / name) for name in names]
