"""The trajectory document: what the JSON may hold, and errors that name the keyframe and field.

A document is a plain dict, so that the editor, a workflow file and Python share one string::

    {"version": 1, "frames": 49, "fps": 15, "width": null, "height": null,
     "interpolation": "linear" | "smooth" | "catmull-rom",
     "pivot": [x, y, z], "radius": r,
     "source": {"preset": "orbit", "params": {"angle": 90}} | null,
     "keyframes": [{"frame": 0, "position": [x, y, z],
                    "target": [x, y, z]  or  "quaternion": [w, x, y, z] (camera-to-world),
                    "roll": 0, "fov": null, "lens_shift": [0, 0], "ease": "linear"}, ...]}

World and camera are OpenCV (x right, y down, z forward); the source camera is the identity. ``fov`` is the vertical
field of view in degrees, null = the scene's. ``lens_shift`` moves the principal point by shares of the image's width
and height. ``ease`` warps the time of the segment that ends at its key. While ``source`` is present, the preset alone
decides and the keyframes are ignored.
"""

from __future__ import annotations

import json
import math
from typing import Any

from ..camera import DEFAULT_FPS, MAX_FRAMES, is_finite
from ..errors import EX4DError
from .presets import EASES, check_params, preset_named

VERSION = 1
INTERPOLATIONS = ("linear", "smooth", "catmull-rom")
FPS_RANGE = (1e-3, 1000)
DEFAULT_RADIUS = 10000 / 3900 + 0.15
"""The smallest depth that EX-4D's disparity can give, plus the published 0.15: the radius where no scene is known."""

_TOP = ("version", "frames", "fps", "width", "height", "interpolation", "pivot", "radius", "source", "keyframes")
_KEY = ("frame", "position", "target", "quaternion", "roll", "fov", "lens_shift", "ease")


def parse_document(text_or_dict: str | dict[str, Any]) -> dict[str, Any]:
    """Reads and checks a trajectory document.

    Args:
        text_or_dict: JSON text, or the dict it stands for (not changed).

    Returns:
        A new dict with every field present, numbers as float (frames and sizes as int), quaternions normalised.

    Raises:
        EX4DError: not JSON, another version, or a wrong value; names the keyframe (from 0) and the field.
    """
    if isinstance(text_or_dict, str):
        try:
            raw = json.loads(text_or_dict)
        except (ValueError, RecursionError) as error:
            # Beside bad JSON: numbers of thousands of digits and endless nesting, whose messages are about Python.
            reason = (
                error if isinstance(error, json.JSONDecodeError) else "it is nested too deep or its numbers too long"
            )
            raise EX4DError(f"The camera path is not valid JSON: {reason}. Paste it as the editor wrote it.") from None
    else:
        raw = text_or_dict
    if not isinstance(raw, dict):
        raise EX4DError(f"A camera path is a JSON object, got {_show(raw)}.")
    _check_version(raw)
    _refuse_unknown(raw, _TOP, "The camera path")
    path = "The camera path's"
    document: dict[str, Any] = {"version": VERSION}
    document["frames"] = _integer(raw.get("frames"), f"{path} frames", 1, MAX_FRAMES)
    document["fps"] = _number(raw.get("fps", DEFAULT_FPS), f"{path} fps", *FPS_RANGE)
    for side in ("width", "height"):
        value = raw.get(side)
        document[side] = None if value is None else _integer(value, f"{path} {side}", 1, 65536)
    if (document["width"] is None) != (document["height"] is None):
        raise EX4DError("The camera path's width and height must both be numbers or both be null.")
    document["interpolation"] = _choice(raw.get("interpolation", "linear"), f"{path} interpolation", INTERPOLATIONS)
    document["radius"] = _number(raw.get("radius", DEFAULT_RADIUS), f"{path} radius", 1e-6, 1e9)
    document["pivot"] = _vector(raw.get("pivot", [0, 0, document["radius"]]), f"{path} pivot", 3)
    document["source"] = _source(raw.get("source"))
    document["keyframes"] = _keyframes(raw.get("keyframes", []), document["frames"])
    if document["source"] is None and not document["keyframes"]:
        raise EX4DError("The camera path has neither a preset nor a keyframe. Add at least one keyframe.")
    return document


def preset_document(
    name: str,
    *,
    frames: int = 49,
    fps: float = DEFAULT_FPS,
    radius: float | None = None,
    pivot: Any = None,
    width: int | None = None,
    height: int | None = None,
    interpolation: str = "catmull-rom",
    **params: Any,
) -> dict[str, Any]:
    """The trajectory document that asks for a preset.

    Args:
        name: one of :data:`PRESETS`.
        frames: length of the path; the stated angle is swept whatever it is.
        fps: frames a second.
        radius: scale of the path, in scene units; None = the nearest EX-4D depth.
        pivot: what orbits circle, (x, y, z); None = (0, 0, radius).
        width, height: image size in pixels, None = the scene's.
        interpolation: used once the preset is baked into keyframes.
        params: the preset's own parameters, and ``ease`` (linear, in, out, in-out) of the way as a whole.

    Raises:
        EX4DError: an unknown preset or parameter, or a value out of range.
    """
    radius = DEFAULT_RADIUS if radius is None else radius
    return parse_document(
        {
            "version": 1,
            "frames": frames,
            "fps": fps,
            "width": width,
            "height": height,
            "interpolation": interpolation,
            "pivot": [0.0, 0.0, radius] if pivot is None else [float(v) for v in pivot],
            "radius": radius,
            "source": {"preset": name, "params": params},
            "keyframes": [],
        }
    )


def _check_version(raw: dict[str, Any]) -> None:
    if "version" not in raw:
        raise EX4DError(
            'This JSON is not an EX-4D camera path: it has no "version". Expected version 1 with keyframes.'
        )
    if isinstance(raw["version"], bool) or raw["version"] != VERSION:
        raise EX4DError(
            f"The camera path has version {_show(raw['version'])}, this pack reads version {VERSION}. "
            "Update the pack, or save the path again with this one."
        )


def _source(raw: Any) -> dict[str, Any] | None:
    if raw is None:
        return None
    if not isinstance(raw, dict) or not isinstance(raw.get("preset"), str):
        raise EX4DError(
            f'The camera path\'s source must be null or {{"preset": name, "params": {{}}}}, got {_show(raw)}.'
        )
    _refuse_unknown(raw, ("preset", "params"), "The camera path's source")
    preset = preset_named(raw["preset"])
    params = raw.get("params") or {}
    if not isinstance(params, dict):
        raise EX4DError(f"The parameters of the preset {preset.name!r} must be a JSON object, got {_show(params)}.")
    return {"preset": preset.name, "params": check_params(preset, params)}


def _keyframes(raw: Any, frames: int) -> list[dict[str, Any]]:
    if not isinstance(raw, list):
        raise EX4DError(f"The camera path's keyframes must be a list, got {_show(raw)}.")
    keys = [_keyframe(key, index, frames) for index, key in enumerate(raw)]
    for index in range(1, len(keys)):
        if keys[index]["frame"] <= keys[index - 1]["frame"]:
            raise EX4DError(
                f"Keyframe {index} is at frame {keys[index]['frame']}, not after keyframe {index - 1} at frame "
                f"{keys[index - 1]['frame']}. Sort the keyframes and keep one a frame."
            )
    return keys


def _keyframe(raw: Any, index: int, frames: int) -> dict[str, Any]:
    name = f"Keyframe {index}"
    if not isinstance(raw, dict):
        raise EX4DError(f"{name} must be a JSON object, got {_show(raw)}.")
    _refuse_unknown(raw, _KEY, name)
    key: dict[str, Any] = {"frame": _integer(raw.get("frame"), f"{name}'s frame", 0, frames - 1)}
    name = f"{name} (frame {key['frame']})"
    key["position"] = _vector(raw.get("position"), f"{name}: position", 3)
    target, quaternion = raw.get("target"), raw.get("quaternion")
    if (target is None) == (quaternion is None):
        raise EX4DError(f"{name} needs either a target or a quaternion, got {'neither' if target is None else 'both'}.")
    if target is not None:
        key["target"] = _vector(target, f"{name}: target", 3)
        if math.dist(key["target"], key["position"]) < 1e-9:
            raise EX4DError(f"{name}: position and target are the same point {key['position']}. Move one of them.")
    else:
        key["quaternion"] = _unit(_vector(quaternion, f"{name}: quaternion", 4), f"{name}: quaternion")
    key["roll"] = _number(raw.get("roll", 0), f"{name}: roll", -36000, 36000)
    fov = raw.get("fov")
    key["fov"] = None if fov is None else _number(fov, f"{name}: fov", 0.1, 179)
    key["lens_shift"] = _vector(raw.get("lens_shift", [0, 0]), f"{name}: lens_shift", 2, bound=100)
    key["ease"] = _choice(raw.get("ease", "linear"), f"{name}: ease", EASES)
    return key


def _unit(quaternion: list[float], name: str) -> list[float]:
    norm = math.hypot(*quaternion)
    if norm < 1e-6:
        raise EX4DError(f"{name} has no length, so it is no orientation. The source camera's is [1, 0, 0, 0].")
    # A unit quaternion stays as it is to the last bit, so that parsing twice changes nothing.
    return quaternion if abs(norm - 1) < 1e-12 else [v / norm for v in quaternion]


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


def _vector(value: Any, name: str, length: int, bound: float = 1e9) -> list[float]:
    if not isinstance(value, (list, tuple)) or len(value) != length:
        raise EX4DError(f"{name} must be a list of {length} numbers, got {_show(value)}.")
    return [_number(v, f"{name}[{i}]", -bound, bound) for i, v in enumerate(value)]


def _choice(value: Any, name: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise EX4DError(f"{name} must be one of {', '.join(choices)}, got {_show(value)}.")
    return value


def _refuse_unknown(raw: dict[str, Any], known: tuple[str, ...], name: str) -> None:
    unknown = [key for key in raw if key not in known]
    if unknown:
        raise EX4DError(f"{name} has an unknown field {_show(unknown[0])}. Known fields: {', '.join(known)}.")


def _show(value: Any) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
