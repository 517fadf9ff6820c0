"""Nuke: a camera node as a script snippet, to be pasted or imported.

Axes and rotation order are those of .chan: y up, looking along -z, ZXY. The lens is in millimetres on a film back whose height is
`FILM_HEIGHT`.
"""

from __future__ import annotations

import numpy as np

from ..camera import invert_pose, y_up_from_opencv
from .cameras import Cameras, Format, check_plain_lens, lenses_of
from .chan import euler_zxy
from .film import FILM_HEIGHT, film_width, focal_millimetres


def write(cameras: Cameras) -> bytes:
    """Writes a node with a key on every frame from 1 on, as Nuke counts; without a principal point."""
    lenses = lenses_of(cameras, "Nuke")
    check_plain_lens(lenses, "Nuke")
    pose = invert_pose(y_up_from_opencv(cameras.world_to_camera))
    focal = np.array([focal_millimetres(lens) for lens in lenses])
    lines = [
        "Camera2 {",
        " inputs 0",
        " rot_order ZXY",
        f" translate {{{_curves(pose[:, :3, 3])}}}",
        f" rotate {{{_curves(euler_zxy(pose[:, :3, :3]))}}}",
        f" focal {{{_curves(focal[:, None])}}}",
        f" haperture {film_width(lenses[0]):.9g}",
        f" vaperture {FILM_HEIGHT:.9g}",
        " name EX4D_camera",
        "}",
    ]
    return ("\n".join(lines) + "\n").encode()


def _curves(values: np.ndarray) -> str:
    """One curve for each column of (T, n)."""
    return " ".join("{curve x1 " + " ".join(f"{value:.9g}" for value in column) + "}" for column in values.T)


FORMAT = Format(
    name="nk",
    title="Nuke node",
    suffixes=(".nk",),
    used_by="Nuke (paste it, or File > Import Script)",
    keeps="poses, focal length in mm with its film back",
    write=write,
)
