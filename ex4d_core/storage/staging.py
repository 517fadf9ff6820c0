"""Files that appear whole or not at all: written under a hidden name and moved when they are done."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import EX4DError

STAGE_PREFIX = ".ex4d-"
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def staged_folder(output: str | Path) -> Iterator[Path]:
    """A folder for a run's files; leaving it normally moves them into ``output``, leaving it by an error removes them.

    Either all files arrive, replacing those of the same name, or ``output`` stays as it was.

    Args:
        output: made if missing (and removed again on an error if this made it).

    Raises:
        EX4DError: ``output`` is a file, a folder has a file's name, nothing can be written, or the disk is full.
    """
    output = Path(output)
    if output.exists() and not output.is_dir():
        raise EX4DError(f"The output folder '{output}' is a file. Choose another name.")
    made = missing_folders(output)
    stage = output / f"{STAGE_PREFIX}{uuid.uuid4().hex[:8]}"
    done = False
    try:
        with write_errors(output):
            stage.mkdir(parents=True)
        try:
            yield stage
        except OSError as error:
            # Only errors about files of the stage are explained; others come from what the work was reading.
            name = error.filename2 or error.filename
            if error.errno in DISK_FULL or (name is not None and stage in Path(os.fsdecode(name)).parents):
                raise EX4DError(write_failure(Path(os.fsdecode(name or output)), error)) from error
            raise
        _move_all(stage, output)
        done = True
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        if not done:
            remove_empty(made)


def check_targets(output: Path, names: Iterable[str]) -> None:
    """Refuse an output folder in which a folder has the name of a file that is to be written.

    Raises:
        EX4DError: there is one.
    """
    for name in names:
        if (output / name).is_dir():
            raise EX4DError(f"'{output / name}' is a folder, but a file of that name is to be written. Rename it.")


def check_sources(output: Path, names: Iterable[str], sources: Iterable[str | Path | None]) -> None:
    """Refuse files to be written that are what the work reads, under whatever spelling or link.

    Args:
        output: the folder to write to.
        names: of the files.
        sources: files that will be read, and folders, of which nothing is overwritten by a file. None is skipped.

    Raises:
        EX4DError: one of them would be overwritten.
    """
    read = [Path(source) for source in sources if source is not None]
    for name in names:
        target = output / name
        for source in read:
            if _is_same(target, source):
                raise EX4DError(
                    f"'{source}' would be overwritten by the result '{target}'. Choose another output folder, or rename the "
                    "source."
                )


def _is_same(target: Path, source: Path) -> bool:
    try:
        return target.samefile(source)  # follows links, and knows what a file system takes for one name
    except OSError:  # one of them is not there, so nothing is lost
        return False


def _move_all(stage: Path, output: Path) -> None:
    """Move the stage's files into ``output``; where one cannot be replaced, put back those that were."""
    names = sorted(file.name for file in stage.iterdir())
    check_targets(output, names)
    replaced = stage / "replaced"
    with write_errors(output):
        replaced.mkdir()
    moved: list[str] = []
    try:
        for name in names:
            with write_errors(output / name):
                if (output / name).exists():
                    os.replace(output / name, replaced / name)
                moved.append(name)
                os.replace(stage / name, output / name)
    except BaseException:
        for name in moved:
            with suppress(OSError):
                if (replaced / name).exists():
                    os.replace(replaced / name, output / name)
                else:
                    (output / name).unlink(missing_ok=True)
        raise


@dataclass(frozen=True)
class StagedFile:
    """A file that is being written under a hidden name; for writers that live longer than a block (`staged_file`).

    Attributes:
        path: the name it gets when it is whole.
        part: what to write to, in the same folder; an empty file at first.
        made: folders that were made for it, the innermost first.
    """

    path: Path
    part: Path
    made: Sequence[Path] = ()

    @classmethod
    def begin(cls, path: str | Path, *, make_folder: bool = False) -> StagedFile:
        """Make the hidden file, so that a folder that cannot be written is told before any work.

        Args:
            path: the name that the file will have.
            make_folder: make its folder where it is missing; it is removed again if nothing comes of the file.

        Raises:
            EX4DError: ``path`` is a folder, its own folder is missing or cannot be written, or the disk is full.
        """
        path = Path(path)
        if path.is_dir():
            raise EX4DError(f"'{path}' is a folder, but a file of that name is to be written. Choose another name.")
        staged = cls(path, part_beside(path), missing_folders(path.parent) if make_folder else ())
        try:
            with write_errors(path):
                if make_folder:
                    path.parent.mkdir(parents=True, exist_ok=True)
                staged.part.touch(exist_ok=False)
        except EX4DError:
            staged.drop()
            raise
        return staged

    def keep(self) -> None:
        """Give the file its name, in place of one that has it already.

        Raises:
            EX4DError: another program has that one open, or the folder can no longer be written.
        """
        with write_errors(self.path):
            os.replace(self.part, self.path)

    def drop(self) -> None:
        """Remove what was not kept, and the folders made for it. Harmless after `keep`."""
        with suppress(OSError):  # an error here must not hide the one that led here
            self.part.unlink(missing_ok=True)
        remove_empty(self.made)


@contextmanager
def staged_file(path: str | Path, *, make_folder: bool = False) -> Iterator[Path]:
    """A name beside ``path`` to write to; leaving normally renames it, leaving by an error removes it.

    Args:
        path: the name that the file gets when it is whole.
        make_folder: make its folder where it is missing; it is removed again if nothing comes of the file.

    Raises:
        EX4DError: ``path`` is a folder, its own folder is missing or cannot be written, or the disk is full.
    """
    staged = StagedFile.begin(path, make_folder=make_folder)
    try:
        with write_errors(staged.path):
            yield staged.part
        staged.keep()
    finally:
        staged.drop()


def part_beside(path: Path) -> Path:
    """A hidden name in the folder of ``path`` that no other writer takes."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")


def missing_folders(folder: Path) -> list[Path]:
    """Which folders have to be made for ``folder`` to be there, the innermost first."""
    return [missing for missing in (folder, *folder.parents) if not missing.exists()]


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove folders, the innermost first, up to the first that is not empty."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Turn the system's refusal to write ``path`` into one sentence.

    Raises:
        EX4DError: the disk is full, or the folder cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise EX4DError(write_failure(path, error)) from error


def write_failure(path: Path, error: OSError) -> str:
    """What to tell a user when the system refuses to write ``path``; a staged file is called by its final name."""
    if path.parent.name.startswith(STAGE_PREFIX):
        path = path.parent.parent / path.name
    if error.errno in DISK_FULL:
        return f"The disk is full: there is no room for '{path}'. Free some space, or choose a folder on another disk."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return (
            f"'{path}' cannot be written: no permission, or another program has it open. Close it there, or choose "
            "another folder."
        )
    return f"'{path}' cannot be written: {error.strerror or error}. Choose another folder."
