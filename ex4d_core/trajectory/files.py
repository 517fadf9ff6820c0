"""Camera files on disk, of every format in :data:`ex4d_core.camera_io.FORMATS`: found, read, written whole.

    file -> Cameras -> document or poses -> Trajectory

What all formats share happens here: the size limit, telling the format, naming the file in every error, bringing the
file's world into the scene's, and writing beside the name before renaming. A Trajectory's ``load`` and ``save`` are
made of these functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ..camera import MAX_FRAMES, check_poses, invert_pose
from ..camera_io import FORMATS, SUFFIXES, Cameras, Hints, json_path, transforms
from ..errors import EX4DError
from ..storage.staging import staged_file

MAX_BYTES = 256 * 2**20


@contextmanager
def blaming(file: Path) -> Iterator[None]:
    """Name the file in every error that its content causes, whatever the error is."""
    try:
        yield
    except EX4DError as error:
        raise type(error)(f"{file.name}: {error}") from error
    except (ArithmeticError, LookupError, TypeError, ValueError, MemoryError, RecursionError) as error:
        # Whatever else a foreign file may hold, it is the file that is wrong.
        raise EX4DError(f"{file.name} holds values that no camera has ({error!s:.80}). Export it again.") from error


def read_cameras(file: Path, hints: Hints) -> Cameras:
    """What a camera file says, in the file's own world; its name's ending and content tell the format.

    Args:
        file: of any format of :data:`FORMATS`.
        hints: what the caller knows beside the file.

    Raises:
        EX4DError: a missing, foreign or corrupt file.
    """
    read = _reader(file)
    data = _bytes_of(file)
    with blaming(file):
        return read(data, hints)


def placed(cameras: Cameras, *, rebase: bool, scale: float) -> np.ndarray:
    """A file's poses in the scene's world.

    Args:
        cameras: as the file has them.
        rebase: make the first frame the source view (identity).
        scale: scene units per unit of the file.

    Returns:
        (T, 4, 4) float64 world_to_camera.

    Raises:
        EX4DError: too many frames, or poses that are not finite and rigid.
    """
    frames = len(cameras.world_to_camera)
    if frames > MAX_FRAMES:
        raise EX4DError(f"this camera path has {frames} frames, more than the {MAX_FRAMES} a path may have.")
    poses = check_poses(cameras.world_to_camera, "this camera path").copy()
    poses[:, :3, 3] *= scale
    return poses @ invert_pose(poses[0]) if rebase else poses


def _reader(file: Path) -> Callable[[bytes, Hints], Cameras]:
    suffix = file.suffix.lower()
    if suffix == ".json":
        return _read_json
    for entry in FORMATS.values():
        if entry.suffix == suffix:
            return entry.read
    raise EX4DError(f"{file.name}: no camera format ends in {suffix or 'nothing'!r}. Known: {', '.join(SUFFIXES)}.")


def _read_json(data: bytes, hints: Hints) -> Cameras:
    return transforms.read(data, hints) if transforms.looks_like(data) else json_path.read(data, hints)


def _bytes_of(file: Path) -> bytes:
    try:
        if file.stat().st_size > MAX_BYTES:
            raise EX4DError(f"{file.name} is larger than {MAX_BYTES >> 20} MB, too large for a camera path.")
        data = file.read_bytes()
    except (OSError, ValueError) as error:
        if isinstance(error, EX4DError):
            raise
        reason = getattr(error, "strerror", None) or "no system takes this name"
        raise EX4DError(f"{file.name} could not be read: {reason}. Check its name and folder.") from None
    if not data:
        raise EX4DError(f"The camera file {file.name} is empty. Export it again.")
    return data


def format_for(file: Path, name: str | None) -> str:
    """The name of the format to write: the one asked for, or that of the file name's ending.

    Raises:
        EX4DError: there is none.
    """
    if name is None:
        name = next((name for name, entry in FORMATS.items() if entry.suffix == file.suffix.lower()), None)
    if name not in FORMATS:
        raise EX4DError(f"{file.name}: unknown camera format. Choose a name that ends in {', '.join(SUFFIXES)}.")
    return name


def write_cameras(cameras: Cameras, file: Path, format: str) -> None:
    """Writes a camera file; beside the name first, then renamed, so that no half file is left.

    Args:
        cameras: one camera a frame.
        file: where to; replaced if it exists.
        format: a name of :data:`FORMATS`.

    Raises:
        EX4DError: cameras that the format cannot hold, or an unwritable folder.
    """
    data = FORMATS[format].write(cameras)
    with staged_file(file) as part:
        part.write_bytes(data)
