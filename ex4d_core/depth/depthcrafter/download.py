"""DepthCrafter's folders: found among the models, or downloaded from Hugging Face, only the files needed.

tencent/DepthCrafter's UNet (1.52 billion weights, 3.05 GB in half precision) and, of Stable Video Diffusion, the
autoencoder (0.20 GB) and the image encoder (1.26 GB). Both are for academic, non-commercial use under their own licences.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from ...errors import EX4DError
from ...storage import hub
from .loading import CLIP_NAMES, UNET_NAMES, VAE_NAMES, check_safetensors

UNET_ID = "tencent/DepthCrafter"
BASE_ID = "stabilityai/stable-video-diffusion-img2vid"

PINNED = {BASE_ID: "9cf024d5bfa8f56622af86c884f26a52f6676f2e"}
"""Commits that are downloaded. A repository without one is pinned to the commit of its first download."""

REVISION_FILE = "revision.txt"

UNET_FILES = (("config.json",), UNET_NAMES)
BASE_FILES = (
    ("vae/config.json",),
    tuple(f"vae/{name}" for name in reversed(VAE_NAMES)),
    ("image_encoder/config.json",),
    tuple(f"image_encoder/{name}" for name in reversed(CLIP_NAMES)),
)
"""What each folder must hold: groups of names of which one is enough; the first is the one that is downloaded."""


def resolve(
    unet: str,
    base: str,
    *,
    folder: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
    revision: str | None = None,
    offline: bool = False,
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> tuple[Path, Path]:
    """The two local folders, downloaded first where they are repository ids that no folder holds yet.

    Args:
        unet: a folder, or an id such as "tencent/DepthCrafter".
        base: likewise.
        folder: one or several folders of models; ids are looked for in all of them and downloaded into the first.
        revision: of the UNet's repository.
        offline: never download.
        progress: called with (bytes done, bytes in all) of what is missing of one repository.
        cancel: stops a download.

    Raises:
        EX4DError: a folder that does not exist, files missing offline, or a download that failed.
        Cancelled: ``cancel`` returned True; what was downloaded stays and is resumed.
    """
    if folder is None:
        folder = Path("models") / "depthcrafter"
    roots = [Path(f) for f in ([folder] if isinstance(folder, (str, os.PathLike)) else folder)]
    result = []
    for given, groups, commit in ((unet, UNET_FILES, revision), (base, BASE_FILES, None)):
        local = Path(given).expanduser()
        if local.is_dir():
            result.append(local)
        elif re.fullmatch(r"[A-Za-z0-9][\w.-]*/[\w.-]+", given):
            result.append(fetch(given, groups, roots, commit, offline=offline, progress=progress, cancel=cancel))
        else:
            raise EX4DError(f"The folder {given} does not exist; give a folder or a Hugging Face id such as {UNET_ID}.")
    return result[0], result[1]


def fetch(
    repository: str,
    groups: Sequence[tuple[str, ...]],
    roots: Sequence[Path],
    revision: str | None = None,
    *,
    offline: bool = False,
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Path:
    """The folder of a repository's files; see ``resolve``."""
    name = repository.split("/")[1]
    for root in roots:
        if not _missing(root / name, groups):
            return root / name
    target = roots[0] / name
    missing = [group[0] for group in _missing(target, groups)]
    pinned = target / REVISION_FILE
    if revision is None:
        revision = PINNED.get(repository) or (pinned.read_text().strip() if pinned.is_file() else None)
    files = hub.look_up(repository, missing, target, revision=revision, offline=offline)
    # Noted before the first byte, so that a download that is resumed later is of the same commit.
    target.mkdir(parents=True, exist_ok=True)
    pinned.write_text(files[0].commit + "\n")
    hub.download(files, target, progress=progress, cancel=cancel)
    return target


def _missing(folder: Path, groups: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The groups of which no file is there. A file that is there but incomplete is an error, not a gap."""
    gaps = []
    for group in groups:
        present = [folder / name for name in group if (folder / name).is_file()]
        for path in present:
            if path.suffix == ".safetensors":
                check_safetensors(path)
        if not present:
            gaps.append(group)
    return gaps
