"""EX-4D's ``camera_*.npz``: ``extrinsics`` (T, 4, 4) OpenGL world-to-camera and ``intrinsics`` (3, 3) in pixels.

Ours adds ``size`` (width, height) and ``fps``, and writes ``intrinsics`` as (T, 3, 3) where the lens changes.
"""

from __future__ import annotations

import io
import zipfile

import numpy as np

from ..camera import DEFAULT_FPS, Intrinsics, opengl_from_opencv
from ..errors import EX4DError
from .cameras import Cameras, Format, Hints

MAX_UNPACKED = 256 * 2**20
MAX_SIDE = 65536


def read(data: bytes, hints: Hints) -> Cameras:
    """Reads the published file or ours."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            if sum(entry.file_size for entry in packed.infolist()) > MAX_UNPACKED:
                raise EX4DError("this .npz holds far more than a camera path. Is it another kind of file?")
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in ("extrinsics", "intrinsics", "size", "fps") if name in archive}
    except EX4DError:
        raise
    except MemoryError:
        raise
    except Exception:  # what zipfile, its decompressors and numpy raise for damage differs widely
        raise EX4DError("this is not a readable .npz archive of plain arrays. Export the camera again.") from None
    if "extrinsics" not in arrays:
        raise EX4DError("this .npz has no array named extrinsics, so it is no EX-4D camera file.")
    extrinsics = _numbers(arrays["extrinsics"], "extrinsics")
    if extrinsics.ndim != 3 or extrinsics.shape[1:] != (4, 4) or not len(extrinsics):
        raise EX4DError(f"extrinsics must have shape (frames, 4, 4), got {extrinsics.shape}.")
    matrices = None if "intrinsics" not in arrays else _numbers(arrays["intrinsics"], "intrinsics")
    lenses = None if matrices is None else _lenses(matrices, len(extrinsics), arrays.get("size"), hints)
    fps = _single_rate(arrays["fps"]) if "fps" in arrays else hints.fps
    with np.errstate(invalid="ignore"):  # infinite becomes NaN, which is refused with the frame's number
        poses = opengl_from_opencv(extrinsics)
    return Cameras(poses, lenses, fps=fps)


def _numbers(array: np.ndarray, name: str) -> np.ndarray:
    if array.dtype.kind not in "fiu":
        raise EX4DError(f"{name} holds {array.dtype}, expected numbers.")
    return array.astype(np.float64)


def _single_rate(array: np.ndarray) -> float:
    rate = _numbers(array, "fps")
    if rate.size != 1 or not np.isfinite(rate).all() or (rate <= 0).any():
        raise EX4DError(f"fps must be one number above 0, got {rate.tolist()!s:.40}.")
    return float(rate.reshape(-1)[0])


def _image_size(array: np.ndarray) -> tuple[int, int]:
    size = _numbers(array, "size").reshape(-1)
    if size.shape != (2,) or not ((size >= 1) & (size <= MAX_SIDE)).all():
        raise EX4DError(f"size must be the image's width and height, got {size.tolist()!s:.40}.")
    return int(size[0]), int(size[1])


def _lenses(matrices: np.ndarray, frames: int, size: np.ndarray | None, hints: Hints) -> tuple[Intrinsics, ...]:
    if matrices.shape not in ((3, 3), (frames, 3, 3)):
        raise EX4DError(f"intrinsics must have shape (3, 3) or ({frames}, 3, 3), got {matrices.shape}.")
    first = matrices.reshape(-1, 3, 3)[0]
    if size is not None:
        width, height = _image_size(size)
    elif np.isfinite(first).all() and (first[:2, 2] >= 0.5).all():
        width, height = (round(2 * v) for v in first[:2, 2])  # the published file says its size only through the centre
    else:
        width, height = hints.image_size() or _no_size()
    each = [Intrinsics.from_matrix(matrix, width, height) for matrix in matrices.reshape(-1, 3, 3)]
    return tuple(each * frames if len(each) == 1 else each)


def _no_size() -> tuple[int, int]:
    raise EX4DError("intrinsics do not tell the image size (the principal point lies outside). Give the size as well.")


def write(cameras: Cameras) -> bytes:
    """Writes what :func:`read` and the published scripts read; without a lens, ``intrinsics`` is left out."""
    arrays = {
        "extrinsics": opengl_from_opencv(cameras.world_to_camera).astype(np.float32),
        "fps": np.float64(cameras.fps or DEFAULT_FPS),
    }
    if cameras.intrinsics is not None:
        matrices = np.stack([lens.matrix() for lens in cameras.intrinsics]).astype(np.float32)
        arrays["intrinsics"] = matrices[0] if (matrices == matrices[0]).all() else matrices
        arrays["size"] = np.array([cameras.intrinsics[0].width, cameras.intrinsics[0].height])
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


FORMAT = Format(
    name="npz",
    title="EX-4D camera",
    suffixes=(".npz",),
    used_by="the published EX-4D scripts",
    keeps="poses, lens with shift",
    read=read,
    write=write,
)
