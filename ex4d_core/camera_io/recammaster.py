"""ReCamMaster's camera_extrinsics.json: ``frameN``: ``camMM``: ``"[x 0] [y 0] [z 0] [place 1] "``, rows of Unreal's matrices.

Unreal: x forward, y right, z up, centimetres; the rows are where a camera's forward, right and up go, then its place. Rotations
are taken relative to the first frame's. There is no lens. Their inference reads frames 0, 4, ... 80 of one of ten cameras, so a
path for it has 81 frames; all ten are the same here. Source: inference_recammaster.py of KwaiVGI/ReCamMaster, as facts about it.
"""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np

from ..camera import invert_pose
from ..errors import EX4DError
from ..storage.names import natural_order
from .cameras import Cameras, Format, Hints, row_of_numbers, text_of

CENTIMETRES = 100.0
"""Of Unreal for one unit of the scene."""
CAMERAS = tuple(f"cam{n:02}" for n in range(1, 11))
UNREAL_FROM_OPENCV = np.array([[0.0, 0, 1], [1, 0, 0], [0, -1, 0]])
"""Our axes, of the world and of the camera, in Unreal's; it mirrors, since Unreal is left-handed."""


def looks_like(data: bytes, _hints: Hints) -> bool:
    """Tells this JSON by its frames."""
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError):
        return False
    return isinstance(raw, dict) and isinstance(raw.get("frame0"), dict)


def read(data: bytes, hints: Hints) -> Cameras:
    """Reads the first camera of every frame; the frame rate and the lens are not in the file."""
    raw = json.loads(text_of(data))
    names = sorted((name for name in raw if re.fullmatch(r"frame\d{1,9}", name)), key=natural_order)
    if [int(name[5:]) for name in names] != list(range(len(names))):
        raise EX4DError("this file leaves frames out: they are frame0, frame1 and so on. Export every frame.")
    first = min(raw["frame0"], key=natural_order, default=None)
    if first is None:
        raise EX4DError("this file has no camera in frame0.")
    rows = np.stack([_matrix(raw[name], first, number) for number, name in enumerate(names)])
    pose = np.tile(np.eye(4), (len(rows), 1, 1))
    pose[:, :3, :3] = UNREAL_FROM_OPENCV.T @ rows[:, :3, :3].transpose(0, 2, 1) @ UNREAL_FROM_OPENCV
    pose[:, :3, 3] = rows[:, 3, :3] / CENTIMETRES @ UNREAL_FROM_OPENCV
    if (np.abs(np.linalg.det(pose[:, :3, :3])) < 1e-6).any():
        raise EX4DError("this file has a camera whose axes lie in one plane. Export it again.")
    return Cameras(invert_pose(pose), fps=hints.fps)


def _matrix(cameras: Any, name: str, number: int) -> np.ndarray:
    """(4, 4) of one camera of a frame."""
    text = cameras.get(name) if isinstance(cameras, dict) else None
    if not isinstance(text, str):
        raise EX4DError(f"frame{number} has no matrix for {name}.")
    words = text.replace("[", " ").replace("]", " ").split()
    if len(words) != 16:
        raise EX4DError(f"{name} of frame{number} has {len(words)} values; a matrix has 16.")
    return np.array(row_of_numbers(words, number + 1)).reshape(4, 4)


def write(cameras: Cameras) -> bytes:
    """Writes every frame, the same camera under all ten names."""
    pose = invert_pose(cameras.world_to_camera)
    rows = np.tile(np.eye(4), (len(pose), 1, 1))
    rows[:, :3, :3] = (UNREAL_FROM_OPENCV @ pose[:, :3, :3] @ UNREAL_FROM_OPENCV.T).transpose(0, 2, 1)
    rows[:, 3, :3] = pose[:, :3, 3] @ UNREAL_FROM_OPENCV.T * CENTIMETRES
    texts = ["".join(f"[{' '.join(f'{v:.9g}' for v in row)}] " for row in matrix) for matrix in rows]
    frames = {f"frame{n}": dict.fromkeys(CAMERAS, text) for n, text in enumerate(texts)}
    return (json.dumps(frames, indent=1) + "\n").encode()


FORMAT = Format(
    name="recammaster",
    title="ReCamMaster",
    suffixes=(".json",),
    used_by="ReCamMaster (its inference wants 81 frames)",
    keeps="poses",
    read=read,
    write=write,
    looks_like=looks_like,
)
