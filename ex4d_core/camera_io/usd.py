"""USD: a camera with time samples in a text file (.usda); nothing needs to be installed to write or read it.

y up, looking along -z, in metres; a time code is a frame, from 0 on. The lens is in millimetres on a film back 36 wide (full
frame), in the picture's shape, with its shift as aperture offsets. USD multiplies rows by matrices. Files of other programs
may have z up, other units, and cameras below things that move.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

import numpy as np

from ..camera import DEFAULT_FPS, MAX_FRAMES, Intrinsics, invert_pose, is_finite, y_up_from_opencv
from ..errors import EX4DError
from .cameras import Cameras, Format, Hints, lenses_of, text_of
from .film import usd_aperture
from .usd_text import Attribute, Layer, Prim, local_to_world, parse_layer, times_of

log = logging.getLogger(__name__)

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
        custom int2 ex4d:picture = ({width}, {height})
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
    size = {"width": lenses[0].width, "height": lenses[0].height}
    return STAGE.format(last=len(pose) - 1, fps=fps, attributes=attributes, matrices=matrices, **size).encode()


def _samples(name: str, values: Iterable[float]) -> str:
    inside = ", ".join(f"{n}: {value:.9g}" for n, value in enumerate(values))
    return f"        {name}.timeSamples = {{ {inside} }}\n"


def _matrix(rows: np.ndarray) -> str:
    return "( " + ", ".join(f"({', '.join(f'{v:.17g}' for v in row)})" for row in rows) + " )"


def read(data: bytes, hints: Hints) -> Cameras:
    """Reads the first camera that moves, else the first; a frame at every time code from its first sample to its last.

    What this pack wrote keeps its lens as it is. Other files' film backs are fitted to the picture by their width, as
    programs do; where the picture is not known, the height is believed.
    """
    if data[:8] == b"PXR-USDC" or data[:2] == b"PK":
        raise EX4DError(
            "this is binary USD, which is not read. Export .usda, or make it with USD's own tool: usdcat shot.usdc -o shot.usda."
        )
    text = text_of(data)
    if not text.startswith("#usda"):
        raise EX4DError("this is no USD text file: its first line is not #usda 1.0.")
    layer = parse_layer(text)
    ways = [way for prim in layer.prims for way in prim.cameras()]
    if not ways:
        raise EX4DError("this USD file has no camera. Choose the camera when you export it.")
    way = next((way for way in ways if times_of(way)), ways[0])
    if len(ways) > 1:
        log.warning("%s has %d cameras; %r is taken.", hints.name, len(ways), way[-1].name)
    times = _frames(way)
    pose = np.stack([local_to_world(way, time) for time in times])
    pose = _rigid(pose, way[-1].name) * _unit(layer)
    pose[:, 3, 3] = 1
    if layer.stage.get("upAxis", "Y") == "Z":
        pose = Y_FROM_Z @ pose
    world_to_camera = y_up_from_opencv(invert_pose(pose))
    fps = layer.stage.get("timeCodesPerSecond", layer.stage.get("framesPerSecond", 24.0))
    return _with_lens(world_to_camera, way[-1], times, fps, hints)


Y_FROM_Z = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
"""A world with z up in axes with y up."""
DEFAULTS = {"focalLength": 50.0, "horizontalAperture": 20.955, "verticalAperture": 15.2908}
"""Millimetres of a camera that does not say (USD's schema); offsets are 0."""


def _frames(way: tuple[Prim, ...]) -> np.ndarray:
    """(T,) time codes: from the first sample to the last, one apart."""
    times = times_of(way)
    if not times:
        return np.zeros(1)
    count = times[-1] - times[0] + 1
    if not is_finite(count) or count > MAX_FRAMES:
        raise EX4DError(f"the camera goes from time {times[0]:g} to {times[-1]:g}, over more than {MAX_FRAMES} frames.")
    return times[0] + np.arange(round(count))


def _unit(layer: Layer) -> np.ndarray:
    """(4, 4) factors that bring places to metres."""
    metres = layer.stage.get("metersPerUnit", 0.01)
    if not is_finite(metres) or metres <= 0:
        raise EX4DError(f"metersPerUnit of this USD file must lie above 0, got {str(metres)[:40]}.")
    factors = np.ones((4, 4))
    factors[:3, 3] = metres
    return factors


def _rigid(pose: np.ndarray, name: str) -> np.ndarray:
    """Poses without the scale that objects above the camera bring along."""
    size = np.linalg.norm(pose[:, :3, :3], axis=1, keepdims=True)
    if not np.isfinite(pose).all() or (size < 1e-12).any() or (np.ptp(size, axis=2) > 1e-3 * size.max(axis=2)).any():
        raise EX4DError(f"the camera {name!r} is scaled unevenly, or to nothing. Bake it without its parents' scale.")
    pose = pose.copy()
    pose[:, :3, :3] /= size
    return pose


def _with_lens(poses: np.ndarray, camera: Prim, times: np.ndarray, fps: float, hints: Hints) -> Cameras:
    rows = np.array([[_number(camera, name, time) for name in NAMES] for time in times])
    focal, wide, high, across, down = rows.T
    if (rows[:, :3] <= 0).any():
        raise EX4DError("the camera's focal length and apertures must lie above 0 mm. Export it again.")
    told = camera.attributes.get("ex4d:picture", Attribute()).value
    if isinstance(told, tuple) and len(told) == 2 and all(is_finite(side) and 1 <= side <= 1 << 20 for side in told):
        width, height = (int(side) for side in told)
        values = [
            width * focal / wide,
            height * focal / high,
            width * (0.5 - across / wide),
            height * (0.5 + down / high),
        ]
        lenses = tuple(
            Intrinsics(fx, fy, cx, cy, width, height) for fx, fy, cx, cy in np.stack(values, axis=-1).tolist()
        )
        return Cameras(poses, lenses, fps=fps)
    size = hints.image_size()
    if size is not None:
        high = wide * size[1] / size[0]
    fov = np.degrees(2 * np.arctan(high / (2 * focal)))
    return Cameras(poses, fov=fov, lens_shift=np.stack([-across / wide, down / high], axis=-1), fps=fps)


def _number(camera: Prim, name: str, time: float) -> float:
    value = camera.attributes.get(name, Attribute()).at(time)
    value = DEFAULTS.get(name, 0.0) if value is None else value
    if isinstance(value, str) or np.ndim(value) != 0 or not is_finite(float(value)):
        raise EX4DError(f"the camera's {name} holds {str(value)[:40]!r}, which is no number. Export it again.")
    return float(value)


FORMAT = Format(
    name="usda",
    title="USD",
    suffixes=(".usda", ".usd"),
    used_by="Houdini, Maya, Nuke, Unreal, usdview",
    keeps="poses, focal length in mm with its film back, lens shift, fps",
    read=read,
    write=write,
)
