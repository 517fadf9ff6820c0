"""Point maps in .npz files, one array a part, read and written frame by frame.

========================================= ==========================================================
``cube_points`` | ``world_points`` | ``camera_points``  (T, H, W, 3) float32: the name tells where they stand (`Space`)
``valid``                                 (T, H, W) bool; may be missing: every finite point
``rgb``                                   (T, H, W, 3) uint8
``fps``, ``pixel_aspect``                 (1,) float64; may be missing: 15 and 1
========================================= ==========================================================

Other names that are read: ``pointmap`` and ``xyz`` (cube); ``pts3d`` and ``points`` where the caller says where they stand;
``colors`` and ``images`` for ``rgb``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from ..camera import DEFAULT_FPS
from ..depth.arrays import NAMES as DEPTHS
from ..errors import Cancelled, EX4DError
from ..pixels import to_uint8
from ..storage.npz import NpzFrames, NpzWriter, number_in
from ..storage.staging import staged_file
from .clip import SPACES, PointMap, Space, check_shape

NAMES: dict[str, Space | None] = {
    "cube_points": "cube",
    "world_points": "world",
    "camera_points": "camera",
    "pointmap": "cube",
    "xyz": "cube",
    "pts3d": None,
    "points": None,
}
"""What an array of points is called, the most telling first, and where that says that they stand."""
COLORS = ("rgb", "colors", "images")
LARGEST_SIDE = 16384


class UnknownSpace(EX4DError):
    """The same numbers may stand in any space, and a file does not say in which; the caller can."""


def is_pointmap(path: str | Path) -> bool:
    """Whether a file is an .npz that holds points by a name that tells where they stand, and no depth beside them; False for what
    cannot be read."""
    if Path(path).suffix.lower() != ".npz":
        return False
    try:
        with NpzFrames(path, tuple(name for name, space in NAMES.items() if space)) as points:
            return len(points.shape) == 4 and points.shape[-1] == 3 and not set(points.names) & set(DEPTHS)
    except EX4DError:
        return False


def pointmap_shape(path: str | Path) -> tuple[tuple[int, int, int], float]:
    """((frames, height, width), pixel aspect) of a file that `is_pointmap`, from its header.

    Raises:
        EX4DError: unreadable.
    """
    with NpzFrames(path, tuple(NAMES)) as points:
        frames, height, width, _ = points.shape
        aspect = number_in(path, points.names, "pixel_aspect")
    return (frames, height, width), 1.0 if aspect is None else aspect


def save_pointmap(
    path: str | Path,
    pointmap: PointMap,
    *,
    compressed: bool = True,
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Path:
    """Write a point map; the file appears under its name only when it is whole.

    Args:
        path: target, replaced if it exists.
        pointmap: what is written; every digit is kept.
        compressed: deflate, at its fastest.
        progress: called with (frames written, frames in all).
        cancel: polled at every frame.

    Raises:
        EX4DError: a disk that refuses.
        Cancelled: ``cancel`` returned True; no file is left.
    """
    parts: tuple[tuple[str, torch.Tensor], ...] = (
        (f"{pointmap.space}_points", pointmap.points),
        ("valid", pointmap.valid),
        ("rgb", pointmap.colors),
    )
    frames = len(pointmap)
    with staged_file(path) as part, NpzWriter(part, compressed=compressed) as file:
        file.array("fps", np.array([pointmap.fps], np.float64))
        file.array("pixel_aspect", np.array([pointmap.pixel_aspect], np.float64))
        for number, (name, values) in enumerate(parts):
            dtype = values[:1].cpu().numpy().dtype
            file.begin(name, tuple(values.shape), dtype)
            for t in range(frames):
                if cancel is not None and cancel():
                    raise Cancelled
                file.write(values[t].cpu().numpy())
                if progress is not None:
                    progress(number * frames + t + 1, len(parts) * frames)
    return Path(path)


def load_pointmap(
    path: str | Path,
    *,
    space: Space | None = None,
    colors: torch.Tensor | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> PointMap:
    """Read a point map.

    Args:
        path: .npz, see the module for the names in it.
        space: where the points stand; None = as the array's name says.
        colors: (T, H, W, 3) pictures in place of the file's, which may then lack them.
        progress: called with (frames read, frames in all).
        cancel: polled at every frame.

    Raises:
        UnknownSpace: neither the array's name nor ``space`` says where its points stand.
        EX4DError: unreadable, or no point map in it.
        Cancelled: ``cancel`` returned True.
    """
    if space is not None and space not in SPACES:
        raise EX4DError(f"The points of a point map stand in one of {', '.join(SPACES)}; got {space!r}.")

    def stop() -> bool:
        return cancel is not None and cancel()

    with NpzFrames(path, tuple(NAMES), wanted="of points (cube_points, world_points or camera_points)") as file:
        if len(file.shape) != 4 or file.shape[-1] != 3 or file.dtype.kind != "f" or 0 in file.shape:
            raise EX4DError(
                f"'{file.key}' in '{path}' is {file.dtype} {file.shape}; expected floats (frames, height, width, 3)."
            )
        if max(file.shape[1:3]) > LARGEST_SIDE:
            raise EX4DError(f"'{path}' has frames of {file.shape[2]}x{file.shape[1]} pixels: too large to be one.")
        stands = space or NAMES[file.key]
        if stands is None:
            raise UnknownSpace(
                f"'{path}' holds '{file.key}', which does not say where its points stand. Give the space: cube (4DNeX), world "
                "(the first frame's camera) or camera (each frame's own)."
            )
        points = torch.empty(file.shape, dtype=torch.float32)
        for t, frame in enumerate(file.frames()):
            if stop():
                raise Cancelled
            with np.errstate(over="ignore", invalid="ignore"):  # becomes infinite: no point
                points[t] = torch.from_numpy(frame.astype(np.float32))
            if progress is not None:
                progress(t + 1, file.shape[0])
        names, shape = file.names, file.shape
    check_shape(points)
    valid = _valid(path, names, shape)
    shown = to_uint8(torch.as_tensor(colors)) if colors is not None else _colors(path, names, shape)
    fps, aspect = (number_in(path, names, name) for name in ("fps", "pixel_aspect"))
    try:
        return PointMap(points, valid, shown, stands, fps or DEFAULT_FPS, 1.0 if aspect is None else aspect)
    except EX4DError as error:
        raise EX4DError(f"'{path}': {error}") from error


def _valid(path: str | Path, names: tuple[str, ...], shape: tuple[int, ...]) -> torch.Tensor:
    """Which pixels have a point, as the file tells; all where it does not."""
    if "valid" not in names:
        return torch.ones(shape[:3], dtype=torch.bool)
    with NpzFrames(path, ("valid",)) as file:
        if file.shape != shape[:3]:
            raise EX4DError(
                f"'valid' in '{path}' has shape {file.shape}, its points {shape}. Both need the same frames."
            )
        return torch.from_numpy(np.stack([frame != 0 for frame in file.frames()]))


def _colors(path: str | Path, names: tuple[str, ...], shape: tuple[int, ...]) -> torch.Tensor:
    """(T, H, W, 3) uint8; of floats, their colours are 0..1."""
    if not any(name in names for name in COLORS):
        raise EX4DError(f"'{path}' holds points without colours (rgb). Give the clip's pictures beside it.")
    with NpzFrames(path, COLORS) as file:
        frames, height, width, _ = shape
        first = file.shape == (frames, 3, height, width) and 3 not in (width,)
        if file.shape != shape and not first:
            raise EX4DError(
                f"'{file.key}' in '{path}' has shape {file.shape}, its points {shape}. Both need the same frames."
            )
        pictures = torch.empty(shape, dtype=torch.uint8)
        for t, frame in enumerate(file.frames()):
            picture = torch.from_numpy(frame.copy() if frame.dtype.kind != "f" else frame.astype(np.float32))
            pictures[t] = to_uint8(picture.movedim(0, -1) if first else picture)
        return pictures
