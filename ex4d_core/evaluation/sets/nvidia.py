"""Nvidia's Dynamic Scenes (Yoon et al., 2020), as NSFF and DynIBaR hand it on: twelve cameras that stand still around a scene.

A scene is a folder::

    <scene>/dense/mv_images/<frame, 5 digits>/cam<01..12>.jpg   what every camera filmed
    <scene>/dense/poses_bounds_cvd.npy  (N,17) as LLFF has it: a row of 3x5 [down, right, back, position, (height, width, focal)]
                                        camera to world, and two bounds; row i is camera i % 12. Else poses_bounds.npy
    Depths/<scene>/disp/<frame>.npy     beside the scenes: 1/depth of the source, in the unit of poses_bounds_cvd; if it is there

The source is the clip that all papers on this set take, which goes from camera to camera: frame t is of camera t % 12. Every
camera is a target. Of the targets there is no depth.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from ...camera import Intrinsics, pose_from
from ...errors import EX4DError
from ...storage.names import natural_order
from .arrays import read_npy
from .views import PublicCase, View, scenes_in

POSES = ("poses_bounds_cvd.npy", "poses_bounds.npy")
"""The first goes with the depth."""
FPS = 15.0
"""Nobody tells it; it only paces the film beside a case."""


def cases(folder: Path) -> Iterator[PublicCase]:
    """Every scene in a folder.

    Raises:
        EX4DError: no scene there, or one that is damaged or not complete.
    """
    for scene in scenes_in(folder, "dense/mv_images", 1, "Nvidia's Dynamic Scenes"):
        frames = _in_order([path for path in (scene / "dense" / "mv_images").iterdir() if path.is_dir()])
        pictures = [_in_order([file for file in frame.glob("cam*") if file.is_file()]) for frame in frames]
        count = len(pictures[0]) if pictures else 0
        if count < 2 or any([file.stem for file in row] != [file.stem for file in pictures[0]] for row in pictures):
            raise EX4DError(
                f"'{scene / 'dense' / 'mv_images'}' needs the same two or more cam<n> in every frame's folder."
            )
        poses, lenses, depth_fits = _cameras(scene, count)
        own = [t % count for t in range(len(frames))]
        disparities = [scene.parent / "Depths" / scene.name / "disp" / f"{frame.name}.npy" for frame in frames]
        known = depth_fits and all(file.is_file() for file in disparities)
        source = View(
            "monocular",
            [row[camera] for row, camera in zip(pictures, own, strict=True)],
            poses[own],
            [lenses[camera] for camera in own],
            partial(_depth, disparities) if known else None,
        )
        targets = [
            View(
                pictures[0][camera].stem,
                [row[camera] for row in pictures],
                np.tile(poses[camera], (len(frames), 1, 1)),
                [lenses[camera]] * len(frames),
            )
            for camera in range(count)
        ]
        yield PublicCase(scene.name, source, targets, FPS)


def _in_order(paths: list[Path]) -> list[Path]:
    return sorted(paths, key=lambda path: natural_order(path.name))


def _cameras(scene: Path, count: int) -> tuple[np.ndarray, list[Intrinsics], bool]:
    """(count, 4, 4) world to camera, the lenses, and whether the depth is in the unit of these poses."""
    file = next((scene / "dense" / name for name in POSES if (scene / "dense" / name).is_file()), None)
    if file is None:
        raise EX4DError(f"'{scene / 'dense'}' holds neither {POSES[0]} nor {POSES[1]}.")
    rows = read_npy(file).astype(np.float64)
    if rows.ndim != 2 or rows.shape[1] != 17 or len(rows) < count or not np.isfinite(rows).all():
        raise EX4DError(f"'{file}' must hold rows of 17 numbers, one for each of {count} cameras; it is {rows.shape}.")
    given = rows[:count, :15].reshape(-1, 3, 5)
    down, right, back, position, size = (given[..., column] for column in range(5))
    poses = pose_from(np.stack([right, down, -back], -1), position)
    lenses = [Intrinsics.from_focal(focal, round(width), round(height)) for height, width, focal in size.tolist()]
    return poses, lenses, file.name == POSES[0]


def _depth(files: list[Path], frame: int) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return 1 / read_npy(files[frame])
