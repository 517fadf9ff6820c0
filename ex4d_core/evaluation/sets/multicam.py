"""MultiCamVideo, the set of ReCamMaster (Bai et al., 2025): scenes of Unreal Engine, filmed by ten cameras that move.

A scene is a folder below one that tells the lens::

    f<focal length in mm>_aperture<n>/<scene>/videos/cam<01..10>.mp4          1280x1280, 81 frames, 15 a second
    f<focal length in mm>_aperture<n>/<scene>/cameras/camera_extrinsics.json  by "frame<t>" and "cam<nn>" a matrix as text

A matrix is four rows in brackets: forward, right, up and position of the camera in Unreal's left-handed world (x forward, y
right, z up), centimetres; the sensor is 23.76 mm wide. Camera 1 is the source, the others are targets. There is no depth.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...camera import Intrinsics
from ...errors import EX4DError
from ...storage.names import natural_order
from ...video import probe_video
from .views import PublicCase, View, numbers, read_json, scenes_in

SENSOR = 23.76
"""Millimetres across the picture."""
CENTIMETRES = 100.0
FPS = 15.0
LENS = re.compile(r"^f(\d+(?:\.\d+)?)_aperture")
ROW = re.compile(r"\[([^\[\]]*)\]")


def cases(folder: Path) -> Iterator[PublicCase]:
    """Every scene in a folder.

    Raises:
        EX4DError: no scene there, or one that is damaged or not complete.
    """
    for scene in scenes_in(folder, "cameras/camera_extrinsics.json", 1, "MultiCamVideo"):
        lens = LENS.match(scene.parent.name)
        if lens is None:
            raise EX4DError(f"'{scene}' must lie in a folder f<focal length>_aperture<n>, which tells the lens.")
        file = scene / "cameras" / "camera_extrinsics.json"
        found = read_json(file, ("frame0",))
        count = sum(name.startswith("frame") for name in found)
        frames = [found.get(f"frame{t}") for t in range(count)]
        videos = sorted((scene / "videos").glob("cam*.mp4"), key=lambda path: natural_order(path.name))
        if len(videos) < 2:
            raise EX4DError(f"'{scene / 'videos'}' needs two or more cam<nn>.mp4.")
        views = [_view(video, frames, float(lens[1]), file) for video in videos]
        yield PublicCase(f"{scene.parent.name}-{scene.name}", views[0], views[1:], FPS)


def _view(video: Path, frames: list[Any], focal: float, file: Path) -> View:
    info = probe_video(video)
    poses = [_pose(frame, video.stem, f"'{file}': frame{t}, {video.stem}") for t, frame in enumerate(frames)]
    lens = Intrinsics.from_focal(focal / SENSOR * info.width, info.width, info.height)
    return View(video.stem, video, np.stack(poses), [lens] * len(poses))


def _pose(frame: Any, camera: str, what: str) -> np.ndarray:
    """(4, 4) world to camera; the world is Unreal's with its y axis turned round, so that it is right-handed, in metres."""
    text = frame.get(camera) if isinstance(frame, dict) else None
    if not isinstance(text, str):
        raise EX4DError(f"{what} is missing.")
    rows = [row.split()[:3] for row in ROW.findall(text)]
    forward, right, up, position = numbers(rows, (4, 3), what) * [1, -1, 1]
    pose = np.eye(4)
    pose[:3, :3] = [right, -up, forward]
    pose[:3, 3] = -pose[:3, :3] @ position / CENTIMETRES
    return pose
