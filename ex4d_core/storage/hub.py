"""Files from Hugging Face: only those asked for, all of one commit, into a folder of the caller's choice.

huggingface_hub looks them up and transfers them. What it does not do is done here: a cancelled download is kept and
resumed in another run (its own ``hf_hub_download`` starts a file over, and these have gigabytes), bytes are reported and
a caller may stop, space is checked before the first byte, and a file gets its name only when its checksum is right.
"""

from __future__ import annotations

import glob
import hashlib
import io
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..errors import Cancelled, EX4DError

BLOCK = 8 * 2**20

Progress = Callable[[int, int], None]
Cancel = Callable[[], bool]


@dataclass(frozen=True)
class RemoteFile:
    """A file on the hub.

    Attributes:
        repository, name: where it is, such as "tencent/DepthCrafter" and "vae/config.json".
        url: of exactly this version.
        size: in bytes.
        tag: what the hub knows its content by: SHA-256 of large files, git's SHA-1 of small ones.
        commit: the repository's, 40 hexadecimal digits.
    """

    repository: str
    name: str
    url: str
    size: int
    tag: str
    commit: str


def look_up(
    repository: str, names: Sequence[str], folder: Path, *, revision: str | None = None, offline: bool = False
) -> list[RemoteFile]:
    """Sizes, checksums and the commit of some files, without downloading them.

    Args:
        repository: such as "tencent/DepthCrafter".
        names: of the files in it.
        folder: where they are going to be put; for the message when that cannot be done.
        revision: commit, branch or tag; None is the newest. All files are those of one commit.
        offline: never connect. The environment's HF_HUB_OFFLINE=1 means the same.

    Raises:
        EX4DError: offline, no connection, no such repository, revision or file: with what to put where by hand.
    """
    by_hand = where_to_put(repository, names, folder, revision)
    try:
        from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
    except ImportError as error:
        raise EX4DError(f"Downloading needs the package huggingface_hub ({error}). {by_hand}") from error
    if offline or constants.HF_HUB_OFFLINE:
        raise EX4DError(f"Files of {repository} are missing, and downloads are switched off (offline). {by_hand}")
    files = []
    try:
        for name in names:
            found = get_hf_file_metadata(hf_hub_url(repository, name, revision=revision))
            if found.size is None or not found.commit_hash or not found.etag:
                raise OSError(f"the answer for {name} lacks its size, version or checksum")
            # All files come from the commit that the first one was found at.
            revision = found.commit_hash
            url = hf_hub_url(repository, name, revision=revision)
            files.append(RemoteFile(repository, name, url, found.size, found.etag, revision))
    except Exception as error:  # which library raises what depends on huggingface_hub's version
        raise EX4DError(f"{repository} could not be reached ({_reason(error)}). {by_hand}") from error
    return files


def download(
    files: Sequence[RemoteFile], folder: Path, *, progress: Progress | None = None, cancel: Cancel | None = None
) -> None:
    """Put files into a folder, under the names they have in their repository.

    Args:
        files: from ``look_up``.
        folder: created if need be. What an earlier call left unfinished there is resumed.
        progress: called with (bytes done, bytes in all) of all files; what it raises stops the download.
        cancel: polled with every block that arrives.

    Raises:
        EX4DError: too little space, a broken connection, damaged data. Whole files stay, and parts that can be resumed.
        Cancelled: ``cancel`` returned True.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _check_space(files, folder)
    total = sum(file.size for file in files)
    done = 0
    for file in files:

        def report(size: int, before: int = done) -> None:
            if cancel is not None and cancel():
                raise Cancelled
            if progress is not None:
                progress(before + size, total)

        part = part_of(file, folder)
        part.parent.mkdir(parents=True, exist_ok=True)
        _transfer(file, part, report)
        _check(file, part, cancel)
        os.replace(part, folder / file.name)
        for other_version in part.parent.glob(f"{glob.escape(Path(file.name).name)}.*.part"):
            other_version.unlink()
        done += file.size


def where_to_put(repository: str, names: Sequence[str], folder: Path, revision: str | None = None) -> str:
    """Which files go where, for people who download by hand."""
    page = f"https://huggingface.co/{repository}/resolve/{revision or 'main'}"
    lines = [f"{page}/{name} as {folder / name}" for name in names]
    return "Allow the download, or put these there by hand: " + "; ".join(lines)


def part_of(file: RemoteFile, folder: Path) -> Path:
    """Where a file grows. The tag in the name keeps two versions from being joined."""
    return folder / f"{file.name}.{re.sub(r'[^0-9A-Za-z]', '', file.tag)[:12]}.part"


class _Growing(io.BufferedWriter):
    """A file that is continued at its end and reports its size whenever something is written.

    ``stopped`` says that the report raised, so that the caller's own exception can be told from the transfer's.
    """

    def __init__(self, path: Path, report: Callable[[int], None]):
        super().__init__(io.FileIO(path, "ab"))
        self.report, self.stopped = report, False
        self.tell_caller()

    def write(self, data) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Append, then report."""
        written = super().write(data)
        self.tell_caller()
        return written

    def tell_caller(self) -> None:
        try:
            self.report(self.tell())
        except BaseException:
            self.stopped = True
            raise


def _transfer(file: RemoteFile, part: Path, report: Callable[[int], None]) -> None:
    """Fill ``part`` up, again and again as long as something comes.

    huggingface_hub retries by itself too; after which kinds of breaks differs from version to version.
    """
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    if part.is_file() and part.stat().st_size > file.size:
        part.unlink()
    with _Growing(part, report) as out, _without_hf_transfer():
        while (size := out.tell()) != file.size:
            try:
                http_get(file.url, out, resume_size=size, headers=build_hf_headers(), expected_size=file.size)  # pyright: ignore[reportArgumentType]
                return
            except Exception as error:  # which library raises what depends on huggingface_hub's version
                if out.stopped:
                    raise
                if out.tell() > size:
                    continue
                raise EX4DError(
                    f"The download of {file.name} stopped at {size / 1e6:.0f} of {file.size / 1e6:.0f} MB "
                    f"({_reason(error)}); run again, it goes on from there."
                ) from error


@contextmanager
def _without_hf_transfer() -> Iterator[None]:
    """Switch hf_transfer off, which HF_HUB_ENABLE_HF_TRANSFER=1 has older releases of huggingface_hub use.

    It writes the file itself, past whoever reports and cancels, and cannot resume.
    """
    from huggingface_hub import constants, file_download

    name = "HF_HUB_ENABLE_HF_TRANSFER"
    switched = [(module, getattr(module, name)) for module in (constants, file_download) if hasattr(module, name)]
    try:
        for module, _ in switched:
            setattr(module, name, False)
        yield
    finally:
        for module, value in switched:
            setattr(module, name, value)


def _check(file: RemoteFile, part: Path, cancel: Cancel | None) -> None:
    """Refuse, and delete, what is not the file that the hub knows."""
    size = part.stat().st_size
    if len(file.tag) == 64:
        digest = hashlib.sha256()
    elif len(file.tag) == 40:
        digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    else:
        digest = None
    if digest is not None:
        with part.open("rb") as data:
            while block := data.read(BLOCK):
                if cancel is not None and cancel():
                    raise Cancelled
                digest.update(block)
    if size != file.size or (digest is not None and digest.hexdigest() != file.tag):
        part.unlink()
        raise EX4DError(f"The download of {file.name} was damaged and has been deleted; run again.")


def _check_space(files: Sequence[RemoteFile], folder: Path) -> None:
    parts = [part_of(file, folder) for file in files]
    on_disk = sum(min(p.stat().st_size, f.size) for p, f in zip(parts, files) if p.is_file())
    needed = sum(file.size for file in files) - on_disk
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise EX4DError(
            f"The files of {files[0].repository} need {needed / 1e9:.1f} GB more in {folder}, and {free / 1e9:.1f} GB are "
            "free; make room or choose another models folder."
        )


def _reason(error: Exception) -> str:
    """The first line of an error, or its kind."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
