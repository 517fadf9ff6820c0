"""From JSON to a trajectory document: the one place where a document is checked, with errors that name the place."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from ..camera import DEFAULT_FPS, MAX_FRAMES, is_finite
from ..errors import EX4DError
from .curves import EASES, INTERPOLATIONS, Ease, Interpolation
from .document import (
    DEFAULT_RADIUS,
    FOV_RANGE,
    FPS_RANGE,
    FRAMES_OF_REFERENCE,
    KEY_DEFAULTS,
    MAX_COORDINATE,
    MAX_ROLL,
    MAX_SHIFT,
    MAX_SIDE,
    RADIUS_RANGE,
    VERSION,
    FrameOfReference,
    Keyframe,
    PathDocument,
    Quaternion,
    Vector,
)
from .presets import PresetSource, check_params, preset_named

Choice = TypeVar("Choice", bound=str)

DOCUMENT_FIELDS = (
    "version",
    "frames",
    "fps",
    "width",
    "height",
    "interpolation",
    "pivot",
    "radius",
    "frame_of_reference",
    "loop",
    "source",
    "keyframes",
)
KEYFRAME_FIELDS = (
    "frame",
    "time",
    "time_ease",
    "position",
    "target",
    "quaternion",
    "roll",
    "fov",
    "lens_shift",
    "ease",
)


def parse_document(text_or_dict: str | Mapping[str, Any]) -> PathDocument:
    """Reads and checks a trajectory document.

    Args:
        text_or_dict: JSON text, or the dict it stands for.

    Returns:
        The document, every field filled in, quaternions normalised.

    Raises:
        EX4DError: not JSON, another version, or a wrong value; names the keyframe (from 0) and the field.
    """
    raw = _loaded(text_or_dict) if isinstance(text_or_dict, str) else text_or_dict
    if not isinstance(raw, Mapping):
        raise EX4DError(f"A camera path is a JSON object, got {_show(raw)}.")
    _check_version(raw)
    _refuse_unknown(raw, DOCUMENT_FIELDS, "The camera path")
    path = "The camera path's"
    frames = _integer(raw.get("frames"), f"{path} frames", 1, MAX_FRAMES)
    fps = _number(raw.get("fps", DEFAULT_FPS), f"{path} fps", *FPS_RANGE)
    width, height = _size(raw, path)
    interpolation: Interpolation = _choice(raw.get("interpolation", "linear"), f"{path} interpolation", INTERPOLATIONS)
    radius = _number(raw.get("radius", DEFAULT_RADIUS), f"{path} radius", *RADIUS_RANGE)
    pivot = _point(raw.get("pivot", [0, 0, radius]), f"{path} pivot")
    reference: FrameOfReference = _choice(
        raw.get("frame_of_reference", "source"), f"{path} frame_of_reference", FRAMES_OF_REFERENCE
    )
    loop = raw.get("loop", False)
    if not isinstance(loop, bool):
        raise EX4DError(f"{path} loop must be true or false, got {_show(loop)}.")
    source = _source(raw.get("source"))
    keyframes = _keyframes(raw.get("keyframes", []), frames)
    if source is None and not keyframes:
        raise EX4DError("The camera path has neither a preset nor a keyframe. Add at least one keyframe.")
    return PathDocument(frames, fps, width, height, interpolation, radius, pivot, source, keyframes, reference, loop)


def preset_document(
    name: str,
    *,
    frames: int = 49,
    fps: float = DEFAULT_FPS,
    radius: float | None = None,
    pivot: Iterable[float] | None = None,
    width: int | None = None,
    height: int | None = None,
    interpolation: Interpolation = "catmull-rom",
    frame_of_reference: FrameOfReference = "source",
    loop: bool = False,
    **params: Any,
) -> PathDocument:
    """The trajectory document that asks for a preset.

    Args:
        name: one of :data:`PRESETS`.
        frames: length of the path; the stated angle is swept whatever it is.
        fps: frames a second.
        radius: scale of the path, in scene units; None = the nearest EX-4D depth.
        pivot: what orbits circle, (x, y, z); None = (0, 0, radius).
        width: image width in pixels, None = the scene's.
        height: image height in pixels, None = the scene's.
        interpolation: used once the preset is baked into keyframes.
        frame_of_reference: "source" rides on the source camera, "world" stands where that began.
        loop: close the path; a preset that does not end where it began goes there and back.
        params: the preset's own parameters, and ``ease`` (linear, in, out, in-out) of the way as a whole.

    Raises:
        EX4DError: an unknown preset or parameter, or a value out of range.
    """
    radius = DEFAULT_RADIUS if radius is None else radius
    return parse_document(
        {
            "version": VERSION,
            "frames": frames,
            "fps": fps,
            "width": width,
            "height": height,
            "interpolation": interpolation,
            "pivot": [0.0, 0.0, radius] if pivot is None else _listed(pivot),
            "radius": radius,
            "frame_of_reference": frame_of_reference,
            "loop": loop,
            "source": {"preset": name, "params": params},
            "keyframes": [],
        }
    )


def _listed(pivot: Any) -> Any:
    """Arrays and tuples as the list that JSON has; what is neither is told by the checks that follow."""
    return list(pivot) if isinstance(pivot, Iterable) and not isinstance(pivot, str) else pivot


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        # Beside bad JSON: numbers of thousands of digits and endless nesting, whose messages are about Python.
        reason = error if isinstance(error, json.JSONDecodeError) else "it is nested too deep or its numbers too long"
        raise EX4DError(f"The camera path is not valid JSON: {reason}. Paste it as the editor wrote it.") from None


def _check_version(raw: Mapping[str, Any]) -> None:
    if "version" not in raw:
        raise EX4DError(
            'This JSON is not an EX-4D camera path: it has no "version". Expected version 1 with keyframes.'
        )
    if isinstance(raw["version"], bool) or raw["version"] != VERSION:
        raise EX4DError(
            f"The camera path has version {_show(raw['version'])}, this pack reads version {VERSION}. "
            "Update the pack, or save the path again with this one."
        )


def _size(raw: Mapping[str, Any], path: str) -> tuple[int | None, int | None]:
    width, height = (
        None if raw.get(side) is None else _integer(raw[side], f"{path} {side}", 1, MAX_SIDE)
        for side in ("width", "height")
    )
    if (width is None) != (height is None):
        raise EX4DError("The camera path's width and height must both be numbers or both be null.")
    return width, height


def _source(raw: Any) -> PresetSource | None:
    if raw is None:
        return None
    if not isinstance(raw, Mapping) or not isinstance(raw.get("preset"), str):
        raise EX4DError(
            f'The camera path\'s source must be null or {{"preset": name, "params": {{}}}}, got {_show(raw)}.'
        )
    _refuse_unknown(raw, ("preset", "params"), "The camera path's source")
    preset = preset_named(raw["preset"])
    params = {} if raw.get("params") is None else raw["params"]
    if not isinstance(params, Mapping):
        raise EX4DError(f"The parameters of the preset {preset.name!r} must be a JSON object, got {_show(params)}.")
    return check_params(preset, params)


def _keyframes(raw: Any, frames: int) -> tuple[Keyframe, ...]:
    if not isinstance(raw, list):
        raise EX4DError(f"The camera path's keyframes must be a list, got {_show(raw)}.")
    keys = tuple(_keyframe(key, index, frames) for index, key in enumerate(raw))
    for index in range(1, len(keys)):
        if keys[index].frame <= keys[index - 1].frame:
            raise EX4DError(
                f"Keyframe {index} is at frame {keys[index].frame}, not after keyframe {index - 1} at frame "
                f"{keys[index - 1].frame}. Sort the keyframes and keep one a frame."
            )
    return keys


def _keyframe(raw: Any, index: int, frames: int) -> Keyframe:
    name = f"Keyframe {index}"
    if not isinstance(raw, Mapping):
        raise EX4DError(f"{name} must be a JSON object, got {_show(raw)}.")
    _refuse_unknown(raw, KEYFRAME_FIELDS, name)
    frame = _integer(raw.get("frame"), f"{name}'s frame", 0, frames - 1)
    name = f"{name} (frame {frame})"
    position = _point(raw.get("position"), f"{name}: position")
    target, quaternion = _aim(raw, position, name)
    given = {**KEY_DEFAULTS, **raw}
    fov, time = given["fov"], raw.get("time")
    time_ease: Ease = _choice(given["time_ease"], f"{name}: time_ease", EASES)
    if time is None and time_ease != "linear":
        raise EX4DError(
            f"{name}: time_ease is of the way to its time, and it has none. Give it a time, or leave it out."
        )
    return Keyframe(
        frame,
        position,
        target,
        quaternion,
        roll=_number(given["roll"], f"{name}: roll", -MAX_ROLL, MAX_ROLL),
        fov=None if fov is None else _number(fov, f"{name}: fov", *FOV_RANGE),
        lens_shift=_pair(given["lens_shift"], f"{name}: lens_shift"),
        ease=_choice(given["ease"], f"{name}: ease", EASES),
        time=None if time is None else _number(time, f"{name}: time", 0, MAX_FRAMES - 1),
        time_ease=time_ease,
    )


def _aim(raw: Mapping[str, Any], position: Vector, name: str) -> tuple[Vector | None, Quaternion | None]:
    """A keyframe's target or quaternion; the other one is None."""
    given, quaternion = raw.get("target"), raw.get("quaternion")
    if (given is None) == (quaternion is None):
        raise EX4DError(f"{name} needs either a target or a quaternion, got {'neither' if given is None else 'both'}.")
    if given is None:
        return None, _unit(_vector(quaternion, f"{name}: quaternion", 4), f"{name}: quaternion")
    target = _point(given, f"{name}: target")
    if math.dist(target, position) < 1e-9:
        raise EX4DError(f"{name}: position and target are the same point {list(position)}. Move one of them.")
    return target, None


def _unit(values: list[float], name: str) -> Quaternion:
    w, x, y, z = values
    norm = math.hypot(w, x, y, z)
    if norm < 1e-6:
        raise EX4DError(f"{name} has no length, so it is no orientation. The source camera's is [1, 0, 0, 0].")
    # A unit quaternion stays as it is to the last bit, so that parsing what was written changes nothing.
    return (w, x, y, z) if abs(norm - 1) < 1e-12 else (w / norm, x / norm, y / norm, z / norm)


def _point(value: Any, name: str) -> Vector:
    x, y, z = _vector(value, name, 3)
    return x, y, z


def _pair(value: Any, name: str) -> tuple[float, float]:
    x, y = _vector(value, name, 2, bound=MAX_SHIFT)
    return x, y


def _number(value: Any, name: str, low: float, high: float) -> float:
    if not is_finite(value):
        raise EX4DError(f"{name} must be a finite number, got {_show(value)}.")
    if not low <= value <= high:
        raise EX4DError(f"{name} must lie between {low:g} and {high:g}, got {value:g}.")
    return float(value)


def _integer(value: Any, name: str, low: int, high: int) -> int:
    if not is_finite(value) or value != int(value):
        raise EX4DError(f"{name} must be a whole number, got {_show(value)}.")
    if not low <= value <= high:
        raise EX4DError(f"{name} must lie between {low} and {high}, got {int(value)}.")
    return int(value)


def _vector(value: Any, name: str, length: int, bound: float = MAX_COORDINATE) -> list[float]:
    if not isinstance(value, (list, tuple)) or len(value) != length:
        raise EX4DError(f"{name} must be a list of {length} numbers, got {_show(value)}.")
    return [_number(v, f"{name}[{i}]", -bound, bound) for i, v in enumerate(value)]


def _choice(value: Any, name: str, choices: tuple[Choice, ...]) -> Choice:
    if value not in choices:
        raise EX4DError(f"{name} must be one of {', '.join(choices)}, got {_show(value)}.")
    return value


def _refuse_unknown(raw: Mapping[str, Any], known: tuple[str, ...], name: str) -> None:
    unknown = [key for key in raw if key not in known]
    if unknown:
        raise EX4DError(f"{name} has an unknown field {_show(unknown[0])}. Known fields: {', '.join(known)}.")


def _show(value: Any) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
