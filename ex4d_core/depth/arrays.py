"""Depth in arrays, .npz and .npy: under the names that depth tools give them, with the lens that stands beside it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ..errors import EX4DError
from ..storage.npz import NpyFrames, NpzFrames
from .source import GIVE_THE_KIND, KINDS, DepthSource, Kind, UnknownKind

log = logging.getLogger(__name__)

NAMES: dict[str, Kind | None] = {
    "depth": "depth",
    "disparity": "disparity",
    "metric_depth": "depth",
    "disp": "disparity",
    "disparities": "disparity",
    "inverse_depth": "disparity",
    "inv_depth": "disparity",
    "depths": None,
    "depth_map": None,
    "depth_maps": None,
    "pred_depth": None,
    "predicted_depth": None,
    "prediction": None,
    "predictions": None,
    "arr_0": None,
}
"""What arrays are called, the most telling first, and what that says of them. The rest is disparity from some tools and depth
from others (MegaSaM and Video Depth Anything both write "depths"); a lens beside them means geometry, so depth."""

LENSES = ("intrinsics", "K", "intrinsic", "cam_intrinsics", "camera_intrinsics", "camera_matrix")
FOCAL_LENGTHS = ("focallength_px", "focal_length_px", "focal_px")
"""Of lenses in the middle of the picture, in pixels of it: one number, or one a frame."""
LARGEST_SHARE = 2
"""A principal point within so many units of the corner is told in shares of the picture, not in pixels."""
OTHER_GRID = 0.75
"""Share of the maps' size beyond which a principal point lies in a larger picture than they are."""


@contextmanager
def open_arrays(path: Path, kind: Kind | None) -> Iterator[DepthSource]:
    """An .npz or .npy of depth maps (T, H, W), with an axis of one or none.

    Args:
        path: the file.
        kind: what the numbers are; None = as the array's name says, if its values agree.

    Raises:
        UnknownKind: neither says it.
        EX4DError: unreadable, or no depth in it.
    """
    if path.suffix.lower() == ".npy":
        with NpyFrames(path) as array:
            if kind is None:
                raise UnknownKind(GIVE_THE_KIND.format(path))
            yield _source(array, kind, None, None, path)
        return
    with NpzFrames(path, _names(kind), wanted="'depth' or 'disparity'") as arrays:
        lens = _lens(path, arrays.names)
        source = _source(arrays, kind or "depth", lens, _disparity_range(path, arrays.names), path)
        yield source if kind is not None else _of_told_kind(source, arrays.key)


def one_map(path: Path, kind: Kind) -> np.ndarray:
    """The one map that an .npz or .npy holds, (H, W) float32; for folders with a file a frame."""
    names = _names(kind)
    with (
        NpyFrames(path)
        if path.suffix.lower() == ".npy"
        else NpzFrames(path, names, any_order=True, wanted="'depth' or 'disparity'")
    ) as array:
        shape = tuple(side for side in array.shape if side != 1)
        if len(shape) != 2:
            raise EX4DError(f"'{path}' has shape {array.shape}; expected one map, (height, width).")
        return array.whole().reshape(shape).astype(np.float32)


def one_lens(path: Path, width: int, height: int) -> np.ndarray | None:
    """The lens beside the one map of an .npz, (3, 3) in its pixels; None where there is none."""
    with NpzFrames(path, tuple(NAMES), any_order=True, wanted="'depth' or 'disparity'") as arrays:
        lens = _lens(path, arrays.names)
    return None if lens is None else _in_pixels(lens, 1, width, height, path)


def _names(kind: Kind | None) -> tuple[str, ...]:
    """Names to look for: of two arrays the one that is what was asked for, and one that may be it before another kind's."""
    return tuple(NAMES if kind is None else sorted(NAMES, key=lambda name: (kind, None, *KINDS).index(NAMES[name])))


def _source(
    array: NpzFrames | NpyFrames,
    kind: Kind,
    lens: np.ndarray | None,
    disparity_range: tuple[float, float] | None,
    path: Path,
) -> DepthSource:
    shape = array.shape
    if len(shape) == 4 and shape[0] == 1 and 1 not in (shape[1], shape[3]):
        frames, height, width = shape[1:]
    elif len(shape) == 4 and 1 in (shape[1], shape[3]):
        frames, (height, width) = shape[0], shape[1:3] if shape[3] == 1 else shape[2:]
    elif len(shape) == 3:
        frames, height, width = shape
    else:
        frames = height = width = 0
    if 0 in (frames, height, width):
        raise EX4DError(f"'{array.key}' in '{path}' has shape {shape}; expected (frames, height, width), not empty.")

    def maps() -> Iterator[np.ndarray]:
        for item in array.frames():
            yield from item.reshape(-1, height, width)

    matrix = None if lens is None else _in_pixels(lens, frames, width, height, path)
    return DepthSource(kind, frames, width, height, maps, matrix, str(path), disparity_range)


def _of_told_kind(source: DepthSource, key: str) -> DepthSource:
    """The source as what its array's name means; the whole file must agree, since a part of disparity may look like depth."""
    meaning = NAMES[key]
    if meaning is None and source.matrix is None:
        raise UnknownKind(
            f"'{source.path}' holds '{key}', by which some tools mean disparity and some depth. Give the kind: disparity "
            "(larger = nearer) or depth (larger = farther)."
        )
    if meaning == "disparity":
        return source.of_kind("disparity")
    if meaning == "depth" and source.matrix is None and source.disparity_range is None:
        low, high = _range(source)
        if low <= 0 or high <= 1:
            raise UnknownKind(
                f"'{key}' in '{source.path}' goes from {low:g} to {high:g}, as disparity and other relative maps do, while "
                "depth must be positive. Give the kind: disparity (larger = nearer) or depth (larger = farther)."
            )
    return source


def _range(source: DepthSource) -> tuple[float, float]:
    """(Smallest, largest) finite value of the whole file; (1, 2) of none, which is told where it is used."""
    ends = [(item.min(), item.max()) for each in source.maps() if (item := each[np.isfinite(each)]).size]
    return (float(min(low for low, _ in ends)), float(max(high for _, high in ends))) if ends else (1.0, 2.0)


def _lens(path: Path, names: tuple[str, ...]) -> np.ndarray | None:
    """The lens of all frames or of each, (1 or T, 3, 3); one that cannot be read is an error, since another would be used."""
    key = next((key for key in (*LENSES, *FOCAL_LENGTHS) if key in names), None)
    if key is None:
        return None
    with NpzFrames(path, (key,), any_order=True) as lens:
        values, shape = lens.whole().astype(np.float64), lens.shape
    if key in FOCAL_LENGTHS:
        matrices = np.tile(np.eye(3), (values.size, 1, 1))
        matrices[:, [0, 1], [0, 1]] = values.reshape(-1, 1)
        matrices[:, :2, 2] = np.nan  # in the middle, wherever that is
        return matrices
    if shape[-2:] in ((3, 3), (4, 4)):
        return values.reshape(-1, *shape[-2:])[:, :3, :3]
    if shape[-1:] == (4,) and len(shape) <= 2:  # fx, fy, cx, cy
        matrices = np.tile(np.eye(3), (values.size // 4, 1, 1))
        matrices[:, [0, 1, 0, 1], [0, 1, 2, 2]] = values.reshape(-1, 4)
        return matrices
    raise EX4DError(
        f"The intrinsics in '{path}' have shape {shape}; expected (3, 3), or (frames, 3, 3), in pixels or in shares of "
        "the picture."
    )


def _in_pixels(lens: np.ndarray, frames: int, width: int, height: int, path: Path) -> np.ndarray:
    """The lens in pixels of the maps, (3, 3) or (T, 3, 3), from shares of the picture or pixels of a larger one."""
    if len(lens) not in (1, frames):
        raise EX4DError(
            f"The intrinsics in '{path}' have shape {lens.shape}; expected (3, 3), or one for each of the {frames} maps."
        )
    if np.isnan(lens[:, :2, 2]).all() and np.isfinite(lens[:, 0, 0]).all():
        lens = lens.copy()
        lens[:, :2, 2] = width / 2, height / 2
        return lens[0] if len(lens) == 1 else lens
    if not np.isfinite(lens).all():
        raise EX4DError(f"The intrinsics in '{path}' are not finite. Export them again, or leave them out.")
    lens = lens.copy()
    across, down = np.median(lens[:, 0, 2]), np.median(lens[:, 1, 2])
    if 0 <= across <= LARGEST_SHARE and 0 <= down <= LARGEST_SHARE and min(width, height) > 4 * LARGEST_SHARE:
        lens[:, :2] *= np.array([[width], [height]])
    elif across > OTHER_GRID * width and down > OTHER_GRID * height:
        log.warning("The intrinsics in '%s' are for a larger picture than its maps, so they are scaled to those.", path)
        lens[:, :2] *= np.array([[width / 2 / across], [height / 2 / down]])
    return lens[0] if len(lens) == 1 else lens


def _disparity_range(path: Path, names: tuple[str, ...]) -> tuple[float, float] | None:
    """What a ``recon`` notes of the disparity that it made the depth from; it places the back plate."""
    if "disparity_range" not in names:
        return None
    with NpzFrames(path, ("disparity_range",)) as span:
        if span.shape != (2,):
            raise EX4DError(f"The disparity_range in '{path}' has shape {span.shape}; expected (2,).")
        low, high = span.whole().astype(np.float64)
        return float(low), float(high)
