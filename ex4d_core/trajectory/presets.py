"""Camera presets: named paths as formulas of progress, and the documents that ask for them.

Each formula starts at the source camera (position 0, looking along +z), so that the first frame shows the video's own
view. Distances scale with ``radius``, so a preset fits any scene. Angles are degrees. Presets that circle something
do it around ``pivot``, rigidly: with the pivot off the axis the source view still comes first. The published paths
("30", "60", "90", "180", "zoom_in", "zoom_out") know only ``radius``. "bullet_time" says which frames of the clip it shows, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..camera import is_finite
from ..errors import EX4DError
from .curves import EASES, Ease

FREEZE, HOLD = 16, 16
"""Where bullet time freezes the clip and for how many frames, unless told otherwise: a third of 49 frames each."""
RISE = 0.2
"""Share of the radius by which the published paths lift the camera on their way to 90 degrees."""


@dataclass(frozen=True)
class Param:
    """One parameter of a preset. ``unit`` is "deg", "radius" (shares of the radius), "frame" (a whole one) or "" (a number)."""

    name: str
    default: float
    low: float
    high: float
    unit: str
    description: str


@dataclass(frozen=True)
class Shot:
    """Where cameras are and what they look at, before the horizon is levelled.

    Attributes:
        position, target: (N, 3) world.
        roll: (N,) degrees.
    """

    position: np.ndarray
    target: np.ndarray
    roll: np.ndarray


Formula = Callable[[np.ndarray, Mapping[str, float], float, np.ndarray], Shot]
Stop = tuple[int, float, float]
"""A frame of the path, the progress 0..1 that is reached there, and the frame of the clip that is shown."""
Schedule = Callable[[Mapping[str, float], int], tuple[Stop, ...]]


@dataclass(frozen=True)
class Preset:
    """A named path.

    Attributes:
        name: what the document and the command line call it.
        label: what an artist reads.
        params: what can be set.
        formula: (progress (N,) in 0..1, params, radius, pivot (3,)) -> Shot.
        turns: progress values, inside 0..1, at which the path turns sharply; put on whole frames.
        schedule: for a preset that bends time: (params, last frame) -> its stops by frame, from 0 to the last, between which
            time goes evenly and progress eased. None = progress goes from 0 to 1, and frame n shows frame n.
    """

    name: str
    label: str
    params: tuple[Param, ...]
    formula: Formula
    turns: tuple[float, ...] = ()
    schedule: Schedule | None = None


@dataclass(frozen=True)
class PresetSource:
    """A preset that was asked for, with all that it needs to be told.

    Attributes:
        preset: its name.
        values: names and values of all its parameters, in the preset's order.
        ease: time warp of the way as a whole.
    """

    preset: str
    values: tuple[tuple[str, float], ...]
    ease: Ease = "linear"

    def to_dict(self) -> dict[str, Any]:
        """As a path document holds it."""
        return {"preset": self.preset, "params": {**dict(self.values), "ease": self.ease}}


def _shot(x: Any, y: Any, z: Any, target: np.ndarray, roll: np.ndarray | None = None) -> Shot:
    position = np.stack(np.broadcast_arrays(np.float64(x), np.float64(y), np.float64(z)), axis=-1)
    target = np.broadcast_to(target, position.shape)
    return Shot(position, target, np.zeros(len(position)) if roll is None else roll)


def _ahead(x: Any, y: Any, z: Any, radius: float, roll: np.ndarray | None = None) -> Shot:
    """Position changes, direction stays the source camera's."""
    shot = _shot(x, y, z, np.zeros(3), roll)
    return Shot(shot.position, shot.position + np.array([0.0, 0.0, radius]), shot.roll)


def _published_orbit(angle: float) -> Formula:
    def formula(u: np.ndarray, _p: Mapping[str, float], r: float, _pivot: np.ndarray) -> Shot:
        phi = np.radians(angle) * u
        lift = np.abs(np.cos(phi))
        return _shot(r * np.sin(phi), RISE * r * (lift - 1), r - r * lift, np.array([0.0, 0.0, r]))

    return formula


def _published_180(u: np.ndarray, _p: Mapping[str, float], r: float, _pivot: np.ndarray) -> Shot:
    phi = 2 * np.pi * u
    return _shot(r * np.sin(phi), RISE * r * (np.cos(phi) - 1), 0 * u, np.array([0.0, 0.0, r]))


def _around(
    angle: np.ndarray, axis: str, lift: np.ndarray | float, radius: float, pivot: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Positions and targets of the source camera carried rigidly around the pivot.

    Args:
        angle: (N,) radians.
        axis: "y" to the right for positive angles, "x" over the top.
        lift: (N,) added to the positions' y.
        radius: distance of the point looked at where the pivot is not before the camera.
        pivot: (3,) world.
    """
    sin, cos = np.sin(angle), np.cos(angle)
    px, py, pz = (float(v) for v in pivot)
    reach = (pz if pz > 1e-6 * radius else radius) - pz  # the point on the source's axis that stays in sight
    if axis == "y":
        position = np.stack([px - px * cos + pz * sin, 0 * sin, pz - px * sin - pz * cos], axis=-1)
        target = np.stack([px - px * cos - reach * sin, 0 * sin, pz - px * sin + reach * cos], axis=-1)
    else:
        position = np.stack([0 * sin, py - py * cos - pz * sin, pz + py * sin - pz * cos], axis=-1)
        target = np.stack([0 * sin, py - py * cos + reach * sin, pz + py * sin + reach * cos], axis=-1)
    position[:, 1] += lift
    return position, target


def _orbit_at(phi: np.ndarray, p: Mapping[str, float], r: float, pivot: np.ndarray) -> Shot:
    position, target = _around(phi, "y", p["rise"] * r * (np.cos(phi) - 1), r, pivot)
    return Shot(position, target, np.zeros(len(phi)))


def _orbit(u: np.ndarray, p: Mapping[str, float], r: float, pivot: np.ndarray) -> Shot:
    return _orbit_at(math.radians(p["angle"]) * u, p, r, pivot)


def _sweep(u: np.ndarray, p: Mapping[str, float], r: float, pivot: np.ndarray) -> Shot:
    share = np.where(u <= 1 / 3, -3 * u, 3 * u - 2)
    return _orbit_at(math.radians(p["angle"]) * share, p, r, pivot)


def _zoom_in(u: np.ndarray, _p: Mapping[str, float], r: float, _pivot: np.ndarray) -> Shot:
    return _ahead(0 * u, 0 * u, 0.5 * r * u, r)


def _zoom_out(u: np.ndarray, _p: Mapping[str, float], r: float, _pivot: np.ndarray) -> Shot:
    return _ahead(0 * u, 0 * u, -0.5 * r * u, r)


def _dolly(u: np.ndarray, p: Mapping[str, float], r: float, _pivot: np.ndarray) -> Shot:
    return _ahead(0 * u, 0 * u, p["distance"] * r * u, r)


def _truck(u: np.ndarray, p: Mapping[str, float], r: float, _pivot: np.ndarray) -> Shot:
    return _following(_ahead(p["distance"] * r * u, 0 * u, 0 * u, r), p["follow"], r)


def _crane(u: np.ndarray, p: Mapping[str, float], r: float, _pivot: np.ndarray) -> Shot:
    return _following(_ahead(0 * u, -p["distance"] * r * u, 0 * u, r), p["follow"], r)


def _following(shot: Shot, follow: float, radius: float) -> Shot:
    """Between looking straight ahead (0) and keeping the point at ``radius`` on the source's axis centred (1)."""
    centre = np.array([0.0, 0.0, radius])
    return Shot(shot.position, shot.target + follow * (centre - shot.target), shot.roll)


def _pan(u: np.ndarray, p: Mapping[str, float], r: float, _pivot: np.ndarray) -> Shot:
    a = math.radians(p["angle"]) * u
    return _shot(0 * u, 0 * u, 0 * u, np.stack([r * np.sin(a), 0 * u, r * np.cos(a)], axis=-1))


def _tilt(u: np.ndarray, p: Mapping[str, float], r: float, _pivot: np.ndarray) -> Shot:
    a = math.radians(p["angle"]) * u
    return _shot(0 * u, 0 * u, 0 * u, np.stack([0 * u, -r * np.sin(a), r * np.cos(a)], axis=-1))


def _roll(u: np.ndarray, p: Mapping[str, float], r: float, _pivot: np.ndarray) -> Shot:
    return _ahead(0 * u, 0 * u, 0 * u, r, p["angle"] * u)


def _spiral(u: np.ndarray, p: Mapping[str, float], r: float, _pivot: np.ndarray) -> Shot:
    a = 2 * np.pi * p["turns"] * u
    size = p["size"] * r * u
    return _shot(size * np.sin(a), -size * np.cos(a), p["distance"] * r * u, np.array([0.0, 0.0, r]))


def _arc_over(u: np.ndarray, p: Mapping[str, float], r: float, pivot: np.ndarray) -> Shot:
    position, target = _around(math.radians(p["angle"]) * u, "x", 0.0, r, pivot)
    return Shot(position, target, np.zeros(len(u)))


def _bullet_time(params: Mapping[str, float], last: int) -> tuple[Stop, ...]:
    """Run to the frozen frame, stay on it while the camera orbits, run on: as far as the path is long."""
    freeze, hold = _whole(params["freeze"]), _whole(params["hold"])
    begin = min(freeze, last)
    end = min(begin + hold, last)
    around = 1.0 if end > begin else 0.0  # a path that ends before the clip freezes has no orbit
    stops = (
        (0, 0.0, 0.0),
        (begin, 0.0, float(begin)),
        (end, around, float(begin)),
        (last, around, float(begin + last - end)),
    )
    return tuple(stop for i, stop in enumerate(stops) if i + 1 == len(stops) or stops[i + 1][0] > stop[0])


def _whole(value: float) -> int:
    return math.floor(value + 0.5)


def frames_for(preset: str, params: Mapping[str, Any], clip_frames: int) -> int:
    """Length of a path that shows a clip once, at its own speed: with bullet time, the frozen frames come on top.

    Args:
        preset: its name.
        params: those of :func:`check_params`.
        clip_frames: of the clip.
    """
    source = check_params(preset_named(preset), params)
    return clip_frames + (_whole(dict(source.values)["hold"]) if PRESETS[source.preset].schedule is not None else 0)


def _static(u: np.ndarray, _p: Mapping[str, float], r: float, _pivot: np.ndarray) -> Shot:
    return _ahead(0 * u, 0 * u, 0 * u, r)


def _angle(default: float, description: str, bound: float = 3600) -> Param:
    return Param("angle", default, -bound, bound, "deg", description)


_RISE = Param("rise", RISE, -5, 5, "radius", "How far the camera climbs by the time it has gone 90 degrees around.")
_FOLLOW = Param("follow", 0, 0, 1, "", "0 keeps looking straight ahead, 1 keeps the middle of the scene centred.")

_ALL = (
    Preset("30", "Published 30° right", (), _published_orbit(30)),
    Preset("60", "Published 60° right", (), _published_orbit(60)),
    Preset("90", "Published 90° right", (), _published_orbit(90)),
    Preset("180", "Published 180: right, left and back", (), _published_180),
    Preset("zoom_in", "Published zoom in", (), _zoom_in),
    Preset("zoom_out", "Published zoom out", (), _zoom_out),
    Preset(
        "orbit", "Orbit", (_angle(90, "How far around; positive to the right, negative to the left."), _RISE), _orbit
    ),
    Preset(
        "sweep",
        "Full sweep: left, then right",
        (_angle(90, "How far to the left first, and to the right at the end."), _RISE),
        _sweep,
        turns=(1 / 3,),
    ),
    Preset("dolly", "Dolly", (Param("distance", 0.5, -10, 10, "radius", "Forward; negative backward."),), _dolly),
    Preset(
        "truck", "Truck", (Param("distance", 0.5, -10, 10, "radius", "To the right; negative left."), _FOLLOW), _truck
    ),
    Preset("crane", "Crane", (Param("distance", 0.5, -10, 10, "radius", "Up; negative down."), _FOLLOW), _crane),
    Preset("pan", "Pan", (_angle(30, "Turns right; negative left."),), _pan),
    Preset("tilt", "Tilt", (_angle(20, "Turns up; negative down."),), _tilt),
    Preset("roll", "Roll", (_angle(20, "Leans clockwise; negative counter-clockwise."),), _roll),
    Preset(
        "spiral",
        "Spiral",
        (
            Param("turns", 2, -50, 50, "", "Rounds around the viewing axis."),
            Param("size", 0.3, 0, 10, "radius", "How wide the last round is."),
            Param("distance", 0, -10, 10, "radius", "Forward on the way; negative backward."),
        ),
        _spiral,
    ),
    Preset("arc_over", "Arc over the top", (_angle(90, "How far over; 180 ends behind, upside down."),), _arc_over),
    Preset("static", "Static", (), _static),
    Preset(
        "bullet_time",
        "Bullet time",
        (
            _angle(90, "How far around while time stands still; positive to the right, negative to the left."),
            Param("freeze", FREEZE, 0, 9999, "frame", "Frame of the clip at which time stops."),
            Param("hold", HOLD, 1, 9999, "frame", "Frames that the orbit around the frozen moment takes."),
            _RISE,
        ),
        _orbit,
        schedule=_bullet_time,
    ),
)

PRESETS: dict[str, Preset] = {preset.name: preset for preset in _ALL}
PUBLISHED = ("30", "60", "90", "180", "zoom_in", "zoom_out")


def preset_named(name: str) -> Preset:
    """The preset of that name ("zoom-in" also finds "zoom_in").

    Raises:
        EX4DError: there is none; lists the names.
    """
    preset = PRESETS.get(str(name).strip().lower().replace("-", "_").replace(" ", "_"))
    if preset is None:
        raise EX4DError(f"There is no camera preset {str(name)[:60]!r}. Choose one of: {', '.join(PRESETS)}.")
    return preset


def check_params(preset: Preset, params: Mapping[str, Any]) -> PresetSource:
    """A preset with every parameter, given or default, within its range.

    Args:
        preset: which one.
        params: values by name, and ``ease``; what is missing takes its default.

    Raises:
        EX4DError: an unknown parameter, no number, or out of range.
    """
    known = {p.name: p for p in preset.params}
    for name in params:
        if name not in known and name != "ease":
            names = ", ".join([*known, "ease"])
            raise EX4DError(f"The preset {preset.name!r} has no parameter {name!r}. It knows: {names}.")
    values = tuple((param.name, _value_of(param, preset, params)) for param in preset.params)
    ease = params.get("ease", "linear")
    if ease not in EASES:
        raise EX4DError(f"ease of the preset {preset.name!r} must be one of {', '.join(EASES)}, got {ease!r}.")
    return PresetSource(preset.name, values, ease)


def _value_of(param: Param, preset: Preset, params: Mapping[str, Any]) -> float:
    value = params.get(param.name, param.default)
    if not is_finite(value):
        raise EX4DError(f"{param.name} of the preset {preset.name!r} must be a finite number, got {value!r}.")
    if not param.low <= value <= param.high:
        raise EX4DError(
            f"{param.name} of the preset {preset.name!r} must lie between {param.low:g} and {param.high:g}, "
            f"got {value:g}."
        )
    return float(value)
