"""The iPhone set of DyCheck (Gao et al., 2022): a moving hand-held camera with LiDAR, and two that stand still beside it.

A scene is a folder in the layout of Nerfies with additions::

    metadata.json                  by item: camera_id, warp_id (the time)
    camera/<item>.json             orientation (world to camera, OpenCV), position, focal_length, principal_point, image_size
    rgb/<n>x/<item>.png            pictures, n times smaller than image_size
    depth/<n>x/<item>.npy          planar depth (H,W,1) in the unit of the positions, camera 0 only; 0 = none
    covisible/<n>x/val/<item>.png  255 where enough of camera 0's pictures see the point; need not be there

Camera 0 is the source. Every other camera makes a case of its own, of the times that both filmed.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from ...camera import Intrinsics
from ...errors import EX4DError
from .views import PublicCase, View, numbers, read_json, scenes_in

FIELDS = ("orientation", "position", "focal_length", "principal_point", "image_size")


def cases(folder: Path) -> Iterator[PublicCase]:
    """Every case of every scene in a folder.

    Raises:
        EX4DError: no scene there, or one that is damaged or not complete.
    """
    for scene in scenes_in(folder, "metadata.json", 0, "DyCheck"):
        items = _items(scene / "metadata.json")
        if 0 not in items:
            raise EX4DError(f"'{scene / 'metadata.json'}' names no picture of camera 0, the source.")
        pictures = _pictures(scene)
        for camera in sorted(set(items) - {0}):
            times = sorted(set(items[0]) & set(items[camera]))
            if times:
                source = _view("camera0", scene, pictures, [items[0][time] for time in times])
                target = _view(f"camera{camera}", scene, pictures, [items[camera][time] for time in times])
                yield PublicCase(f"{scene.name}-camera{camera}", source, (target,), _rate(scene))


def _items(file: Path) -> dict[int, dict[int, str]]:
    """Names by camera and time."""
    found: dict[int, dict[int, str]] = {}
    for name, item in read_json(file).items():
        try:
            found.setdefault(int(item["camera_id"]), {})[int(item["warp_id"])] = name
        except (KeyError, TypeError, ValueError) as error:
            raise EX4DError(f"'{file}': '{name}' needs the whole numbers camera_id and warp_id.") from error
    return found


def _pictures(scene: Path) -> Path:
    """The folder of the largest pictures that are there."""
    there = sorted((path for path in (scene / "rgb").glob("*x") if path.name[:-1].isdecimal()), key=_times_smaller)
    if not there:
        raise EX4DError(f"'{scene}' holds no pictures: there is no rgb/1x, rgb/2x, ... in it.")
    return there[0]


def _times_smaller(path: Path) -> int:
    return int(path.name[:-1])


def _rate(scene: Path) -> float:
    """Of the pictures: extra.json tells it; else 30."""
    told = scene / "extra.json"
    rate = read_json(told).get("fps", 30.0) if told.is_file() else 30.0
    return float(rate) if isinstance(rate, int | float) and 1 <= rate <= 240 else 30.0


def _view(name: str, scene: Path, pictures: Path, items: list[str]) -> View:
    cameras = [_camera(scene / "camera" / f"{item}.json") for item in items]
    depth, covisible = (scene / kind / pictures.name for kind in ("depth", "covisible"))
    depths = [depth / f"{item}.npy" for item in items]
    masks = [covisible / "val" / f"{item}.png" for item in items]
    return View(
        name,
        [pictures / f"{item}.png" for item in items],
        np.stack([pose for pose, _ in cameras]),
        [lens for _, lens in cameras],
        partial(_depth, depths) if all(file.is_file() for file in depths) else None,
        partial(_mask, masks) if all(file.is_file() for file in masks) else None,
    )


def _camera(file: Path) -> tuple[np.ndarray, Intrinsics]:
    """(4, 4) world to camera, and the lens for pictures of the full size; distortion, which the set has none of, is refused."""
    found = read_json(file, FIELDS)
    for bend in ("radial_distortion", "tangential_distortion"):
        if np.any(numbers(found.get(bend, [0.0]), (-1,), f"'{file}': {bend}")):
            raise EX4DError(f"'{file}' has a lens that bends; undistort the pictures first.")
    pose = np.eye(4)
    pose[:3, :3] = numbers(found["orientation"], (3, 3), f"'{file}': orientation")
    pose[:3, 3] = -pose[:3, :3] @ numbers(found["position"], (3,), f"'{file}': position")
    (cx, cy), (width, height) = (numbers(found[n], (2,), f"'{file}': {n}") for n in ("principal_point", "image_size"))
    focal = float(numbers(found["focal_length"], (), f"'{file}': focal_length"))
    aspect = float(numbers(found.get("pixel_aspect_ratio", 1.0), (), f"'{file}': pixel_aspect_ratio"))
    return pose, Intrinsics(focal, focal * aspect, float(cx), float(cy), int(width), int(height))


def _depth(files: list[Path], frame: int) -> np.ndarray:
    from .arrays import read_npy

    found = read_npy(files[frame])
    return found[..., 0] if found.ndim == 3 else found


def _mask(files: list[Path], frame: int) -> np.ndarray:
    from .arrays import read_plane

    return read_plane(files[frame]) > 127
