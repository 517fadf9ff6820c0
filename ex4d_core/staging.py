"""All files of a run, or none: they are written into a hidden folder and moved when everything is done."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import EX4DError
from .video.encode import write_failure


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
