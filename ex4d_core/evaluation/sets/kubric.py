"""Kubric-4D (Van Hoorick et al., 2024): scenes of Kubric, drawn from sixteen cameras at once, with exact depth.

A scene is a folder, ``p0`` its one simulation and ``v<n>`` its cameras::

    <scene>/<scene>_p0_v<n>.json             scene: num_frames, resolution [W, H]; camera: positions, quaternions (w x y z), K
    <scene>/frames_p0_v<n>/rgba_<frame, 5 digits>.png
    <scene>/frames_p0_v<n>/depth_<frame>.tiff   float, metres along the ray, not planar

Quaternions turn Blender's camera (x right, y up, z backward) into the world; K is of pictures one wide and one high, with signs
that are left out here. Camera 4 is the source, as in the paper's tests, or the first where that is missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...camera import Intrinsics, matrix_from_quaternion, pose_from
from ...errors import EX4DError
from .arrays import read_plane
from .views import PublicCase, View, numbers, read_json, scenes_in

SOURCE = 4
FPS = 24.0
NAME = re.compile(r"_p0_v(\d+)\.json$")


def cases(folder: Path) -> Iterator[PublicCase]:
    """Every scene in a folder.

    Raises:
        EX4DError: no scene there, or one that is damaged or not complete.
    """
    for scene in scenes_in(folder, "*_p0_v*.json", 0, "Kubric-4D"):
        files = {int(match[1]): file for file in scene.iterdir() if (match := NAME.search(file.name)) is not None}
        if len(files) < 2:
            raise EX4DError(f"'{scene}' has one camera; a case needs two.")
        views = {number: _view(scene, number, file) for number, file in sorted(files.items())}
        if len({len(view.world_to_camera) for view in views.values()}) > 1:
            raise EX4DError(f"'{scene}': its cameras have unlike numbers of frames.")
        own = SOURCE if SOURCE in views else min(views)
        yield PublicCase(scene.name, views[own], [view for number, view in views.items() if number != own], FPS)


def _view(scene: Path, number: int, file: Path) -> View:
    found = read_json(file, ("scene", "camera"))
    stage, camera = found["scene"], found["camera"]
    width, height = numbers(_of(stage, "resolution", file), (2,), f"'{file}': resolution")
    places = numbers(_of(camera, "positions", file), (-1, 3), f"'{file}': positions")
    turns = numbers(_of(camera, "quaternions", file), (-1, 4), f"'{file}': quaternions")
    matrix = np.abs(numbers(_of(camera, "K", file), (3, 3), f"'{file}': K"))
    if len(places) != len(turns) or not len(places) or not np.linalg.norm(turns, axis=1).all():
        raise EX4DError(f"'{file}' needs a position and a quaternion for every frame.")
    lens = Intrinsics(
        matrix[0, 0] * width,
        matrix[1, 1] * height,
        matrix[0, 2] * width,
        matrix[1, 2] * height,
        int(width),
        int(height),
    )
    frames = scene / f"frames_p0_v{number}"
    return View(
        f"view{number}",
        [frames / f"rgba_{t:05d}.png" for t in range(len(places))],
        pose_from(matrix_from_quaternion(turns) * [1, -1, -1], places),
        [lens] * len(places),
        partial(_depth, frames, lens),
    )


def _of(values: Any, name: str, file: Path) -> Any:
    if not isinstance(values, dict) or name not in values:
        raise EX4DError(f"'{file}' does not tell {name}.")
    return values[name]


def _depth(frames: Path, lens: Intrinsics, frame: int) -> np.ndarray:
    """Planar, from the length of the ray through each pixel's centre."""
    length = read_plane(frames / f"depth_{frame:05d}.tiff").astype(np.float64)
    if length.shape != (lens.height, lens.width):
        raise EX4DError(f"'{frames / f'depth_{frame:05d}.tiff'}' must have {lens.width}x{lens.height} pixels.")
    x = (np.arange(lens.width) + 0.5 - lens.cx) / lens.fx
    y = ((np.arange(lens.height) + 0.5 - lens.cy) / lens.fy)[:, None]
    return length / np.sqrt(1 + x**2 + y**2)
