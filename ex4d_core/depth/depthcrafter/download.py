"""Find DepthCrafter's files in folders, or download them from Hugging Face: only the files needed, resumed, checked.

About 4.5 GB: tencent/DepthCrafter's UNet and, of Stable Video Diffusion, the autoencoder and the image encoder. Both are
for academic, non-commercial use under their own licences.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import Cancelled, EX4DError
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

BLOCK = 2**20
ATTEMPTS = 5

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class RemoteFile:
    """A file to download: where from, how long, and the SHA-256 or other tag that the hub gives it."""

    name: str
    url: str
    size: int
    tag: str
    commit: str
    token: str | None


def resolve(
    unet: str,
    base: str,
    *,
    folder: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
    revision: str | None = None,
    offline: bool = False,
    progress: Progress | None = None,
    cancel: Callable[[], bool] | None = None,
) -> tuple[Path, Path]:
    """The two local folders, downloaded first where they are repository ids that no folder holds yet.

    Args:
        unet, base: folders, or ids such as "tencent/DepthCrafter".
        folder: one or several folders of models; ids are looked for in all of them and downloaded into the first.
        revision: of the UNet's repository.
        offline: never download.
        progress: called with (bytes done, bytes in all) over everything that is missing.
        cancel: polled between blocks of a megabyte.

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
    progress: Progress | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Path:
    """The folder of a repository's files; see ``resolve``."""
    name = repository.split("/")[1]
    for root in roots:
        if not _missing(root / name, groups):
            return root / name
    target = roots[0] / name
    missing = [group[0] for group in _missing(target, groups)]
    if offline or os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON"):
        raise EX4DError(f"DepthCrafter is offline and files are missing. {where_to_put(repository, missing, target)}")
    pinned = target / REVISION_FILE
    if revision is None:
        revision = PINNED.get(repository) or (pinned.read_text().strip() if pinned.is_file() else None)
    remote = _look_up(repository, missing, revision, target)
    _check_space(target, remote)
    total = sum(file.size for file in remote)
    done = 0
    for file in remote:
        before = done
        _download(file, target, lambda n, b=before: progress(b + n, total) if progress else None, cancel)
        done += file.size
    pinned.write_text(remote[0].commit + "\n")
    return target


def where_to_put(repository: str, names: Sequence[str], target: Path) -> str:
    """Which files go where, for people who download by hand."""
    lines = [f"https://huggingface.co/{repository}/resolve/main/{name} as {target / name}" for name in names]
    return "Put these there by hand or allow the download: " + "; ".join(lines)


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


def _look_up(repository: str, names: Sequence[str], revision: str | None, target: Path) -> list[RemoteFile]:
    try:
        from huggingface_hub import get_hf_file_metadata, get_token, hf_hub_url
    except ImportError as error:
        raise EX4DError(
            f"Downloading needs the package huggingface_hub ({error}). {where_to_put(repository, names, target)}"
        ) from error
    files = []
    try:
        token = get_token()
        for name in names:
            url = hf_hub_url(repository, name, revision=revision or "main")
            found = get_hf_file_metadata(url, token=token)
            if found.size is None:
                raise OSError(f"no size was given for {name}")
            # All files come from the commit that the first one was found at.
            revision = revision or found.commit_hash
            same_host = urllib.parse.urlsplit(found.location).netloc == urllib.parse.urlsplit(url).netloc
            tag = (found.etag or "").strip('"')
            files.append(
                RemoteFile(name, found.location, found.size, tag, found.commit_hash or "", token if same_host else None)
            )
    except Exception as error:  # the hub's own errors differ from version to version
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise EX4DError(
            f"{repository} could not be reached ({reason}). {where_to_put(repository, names, target)}"
        ) from error
    return files


def _check_space(target: Path, files: Sequence[RemoteFile]) -> None:
    target.mkdir(parents=True, exist_ok=True)
    needed = sum(f.size - _have(target, f) for f in files)
    free = shutil.disk_usage(target).free
    if needed > free:
        raise EX4DError(
            f"DepthCrafter's files need {needed / 1e9:.1f} GB in {target}, and {free / 1e9:.1f} GB are free; make room "
            "or choose another models folder."
        )


def _part(target: Path, file: RemoteFile) -> Path:
    """Where a file grows. The tag in its name keeps two versions from being joined."""
    mark = re.sub(r"\W", "", file.tag)[:12] or "0"
    return target / f"{file.name}.{mark}.part"


def _have(target: Path, file: RemoteFile) -> int:
    part = _part(target, file)
    return min(part.stat().st_size, file.size) if part.is_file() else 0


def _download(
    file: RemoteFile, target: Path, progress: Callable[[int], None], cancel: Callable[[], bool] | None
) -> None:
    part = _part(target, file)
    part.parent.mkdir(parents=True, exist_ok=True)
    failures = 0
    while _have(target, file) < file.size or not part.exists():
        before = _have(target, file)
        try:
            _append(file, part, before, progress, cancel)
            if file.size and _have(target, file) <= before:
                raise OSError("the server sent nothing more")
        except (urllib.error.URLError, OSError, TimeoutError) as error:
            failures = 0 if _have(target, file) > before else failures + 1
            if failures >= ATTEMPTS or (isinstance(error, urllib.error.HTTPError) and error.code < 500):
                raise EX4DError(
                    f"The download of {file.name} stopped at {_have(target, file) / 1e6:.0f} of "
                    f"{file.size / 1e6:.0f} MB ({error}); run again, it goes on from there."
                ) from error
            time.sleep(min(2.0**failures, 10) * 0.25)
    if part.stat().st_size != file.size or (len(file.tag) == 64 and _sha256(part, cancel) != file.tag):
        part.unlink()
        raise EX4DError(f"The download of {file.name} was damaged and has been deleted; run again.")
    os.replace(part, target / file.name)


def _append(
    file: RemoteFile, part: Path, have: int, progress: Callable[[int], None], cancel: Callable[[], bool] | None
) -> None:
    request = urllib.request.Request(file.url, headers={"User-Agent": "ex4d"})
    if file.token:
        # Not sent on when the server redirects to a storage host.
        request.add_unredirected_header("Authorization", f"Bearer {file.token}")
    if have:
        request.add_header("Range", f"bytes={have}-")
    with urllib.request.urlopen(request, timeout=30) as answer:
        resumed = have > 0 and answer.status == 206
        have = have if resumed else 0
        with part.open("ab" if resumed else "wb") as out:
            progress(have)
            while block := answer.read(BLOCK):
                if cancel is not None and cancel():
                    raise Cancelled
                out.write(block)
                have += len(block)
                progress(have)


def _sha256(path: Path, cancel: Callable[[], bool] | None) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(8 * BLOCK):
            if cancel is not None and cancel():
                raise Cancelled
            digest.update(block)
    return digest.hexdigest()
