"""USD: a camera with time samples in a text file (.usda); nothing needs to be installed to write it.

y up, looking along -z, in metres; a time code is a frame, from 0 on. The lens is in millimetres on a film back 36 wide (full
frame), in the picture's shape, with its shift as aperture offsets. USD multiplies rows by matrices.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..camera import DEFAULT_FPS, invert_pose, y_up_from_opencv
from .cameras import Cameras, Format, lenses_of
from .film import usd_aperture

STAGE = """#usda 1.0
(
    defaultPrim = "World"
    doc = "The camera of an EX-4D path"
    endTimeCode = {last}
    framesPerSecond = {fps:.9g}
    metersPerUnit = 1
    startTimeCode = 0
    timeCodesPerSecond = {fps:.9g}
    upAxis = "Y"
)

def Xform "World"
{{
    def Camera "EX4D_camera"
    {{
        float2 clippingRange = (0.001, 1000000)
        token projection = "perspective"
{attributes}        matrix4d xformOp:transform.timeSamples = {{
{matrices}        }}
        uniform token[] xformOpOrder = ["xformOp:transform"]
    }}
}}
"""
NAMES = ("focalLength", "horizontalAperture", "verticalAperture", "horizontalApertureOffset", "verticalApertureOffset")


def write(cameras: Cameras) -> bytes:
    """Writes a stage with one camera."""
    lenses, fps = lenses_of(cameras, "USD"), cameras.fps or DEFAULT_FPS
    pose = invert_pose(y_up_from_opencv(cameras.world_to_camera))
    values = np.array([usd_aperture(lens) for lens in lenses])
    attributes = "".join(_samples(f"float {name}", column) for name, column in zip(NAMES, values.T, strict=True))
    matrices = "".join(f"            {n}: {_matrix(each.T)},\n" for n, each in enumerate(pose))
    return STAGE.format(last=len(pose) - 1, fps=fps, attributes=attributes, matrices=matrices).encode()


def _samples(name: str, values: Iterable[float]) -> str:
    inside = ", ".join(f"{n}: {value:.9g}" for n, value in enumerate(values))
    return f"        {name}.timeSamples = {{ {inside} }}\n"


def _matrix(rows: np.ndarray) -> str:
    return "( " + ", ".join(f"({', '.join(f'{v:.17g}' for v in row)})" for row in rows) + " )"


FORMAT = Format(
    name="usda",
    title="USD",
    suffixes=(".usda",),
    used_by="Houdini, Maya, Nuke, Unreal, usdview",
    keeps="poses, focal length in mm with its film back, lens shift, fps",
    write=write,
)
