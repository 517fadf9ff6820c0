"""Camera files on disk, of every format in :data:`ex4d_core.camera_io.FORMATS`: found, read, written whole.

    file -> Cameras -> document or poses -> Trajectory

What all formats share happens here: the size limit, telling the format, naming the file in every error, bringing the
file's world into the scene's, and writing beside the name before renaming. A Trajectory's ``load`` and ``save`` are
made of these functions.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ..camera import MAX_FRAMES, check_poses, invert_pose
from ..camera_io import Cameras, Format, Hints, formats_of, recognised
from ..errors import EX4DError
from ..storage.staging import staged_file, staged_folder

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
        file: of any format that can be read; for some a folder.
        hints: what the caller knows beside it.

    Raises:
        EX4DError: a missing, foreign or corrupt file.
    """
    formats = formats_of(file)
    data = b"" if file.is_dir() else _bytes_of(file)
    with blaming(file):
        read = recognised(formats, data, hints).read
        assert read is not None  # formats_of gives no others
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


def write_cameras(cameras: Cameras, file: Path, format: Format) -> None:
    """Writes a camera file; beside the name first, then renamed, so that no half file is left.

    Args:
        cameras: one camera a frame.
        file: where to; replaced if it exists.
        format: one that can be written.

    Raises:
        EX4DError: cameras that the format cannot hold, or an unwritable folder.
    """
    if format.write_folder is not None:
        files = format.write_folder(cameras)
        with staged_folder(file) as stage:
            for name, data in files.items():
                (stage / name).write_bytes(data)
        return
    assert format.write is not None
    data = format.write(cameras)
    with staged_file(file) as part:
        part.write_bytes(data)
