"""Files that appear whole or not at all: written under a hidden name and moved when they are done."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import EX4DError


@contextmanager
def staged_folder(output: str | Path) -> Iterator[Path]:
    """A folder for a run's files; leaving it normally moves them into ``output``, leaving it by an error removes them.

    Args:
        output: made if missing (and removed again on an error if this made it).

    Raises:
        EX4DError: ``output`` is a file, cannot be written, or the disk is full.
    """
    output = Path(output)
    if output.exists() and not output.is_dir():
        raise EX4DError(f"The output folder '{output}' is a file. Choose another name.")
    made = [folder for folder in (output, *output.parents) if not folder.exists()]
    stage = output / f".ex4d-{uuid.uuid4().hex[:8]}"
    done = False
    try:
        stage.mkdir(parents=True)
        yield stage
        for file in sorted(stage.iterdir()):
            os.replace(file, output / file.name)
        done = True
    except EX4DError:
        raise
    except OSError as error:
        raise EX4DError(write_failure(Path(error.filename or output), error)) from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        if not done:
            for folder in made:
                try:
                    folder.rmdir()
                except OSError:
                    break


@contextmanager
def staged_file(path: str | Path) -> Iterator[Path]:
    """A name beside ``path`` to write to; leaving normally renames it, leaving by an error removes it.

    Raises:
        EX4DError: the disk is full or the folder cannot be written.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        yield part
        os.replace(part, path)
    except OSError as error:
        raise EX4DError(write_failure(path, error)) from error
    finally:
        part.unlink(missing_ok=True)


def write_failure(path: Path, error: OSError) -> str:
    """What to tell a user when the system refuses to write ``path``."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"The disk is full: '{path}' could not be written and was removed. Free some space or choose another."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"'{path}' cannot be written: no permission. Choose another output folder."
    return f"'{path}' cannot be written: {error.strerror or error}."
