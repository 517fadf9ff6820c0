"""The trajectory document as a JSON Schema, for programs that write camera paths. Printed into docs/ by::

    python -m ex4d_core.trajectory.schema > docs/trajectory.schema.json

What a schema cannot say is checked by :func:`parse_document` alone: keyframes in order and within the path, a camera
that is not where it looks, a quaternion that is not all zeros.
"""

from __future__ import annotations

import json
from typing import Any

from ..camera import DEFAULT_FPS, MAX_FRAMES
from .curves import EASES, INTERPOLATIONS
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
)
from .presets import PRESETS, Preset


def document_schema() -> dict[str, Any]:
    """The schema (draft 2020-12)."""
    size = {"type": ["integer", "null"], "minimum": 1, "maximum": MAX_SIDE}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "EX-4D camera path",
        "description": "World and camera are OpenCV: x right, y down, z forward; the source camera is the identity. "
        "Lengths are in units of the scene's depth, angles in degrees.",
        "type": "object",
        "required": ["version", "frames"],
        "additionalProperties": False,
        "properties": {
            "version": {"const": VERSION},
            "frames": _number(1, MAX_FRAMES, "Length of the path.", type="integer"),
            "fps": _number(*FPS_RANGE, "Frames a second.", default=DEFAULT_FPS),
            "width": {**size, "description": "Image width that the path was made for; null = the scene's."},
            "height": {**size, "description": "Image height that the path was made for; null = the scene's."},
            "interpolation": {"enum": list(INTERPOLATIONS), "default": "linear"},
            "pivot": _vector(3, MAX_COORDINATE, "What the path turns around; by default (0, 0, radius)."),
            "radius": _number(*RADIUS_RANGE, "Scale of the scene.", default=DEFAULT_RADIUS),
            "frame_of_reference": {
                "enum": list(FRAMES_OF_REFERENCE),
                "default": FRAMES_OF_REFERENCE[0],
                "description": "source: the path rides on the source camera. world: it stands in the world of that "
                "camera's first frame. The same where the source camera does not move.",
            },
            "loop": {
                "type": "boolean",
                "default": False,
                "description": "true: the path is closed, and the frame after its last would be its first.",
            },
            "source": {
                "description": "The preset that decides alone; null = the keyframes do.",
                "oneOf": [{"type": "null"}, *(_source(preset) for preset in PRESETS.values())],
            },
            "keyframes": {"type": "array", "items": _keyframe(), "description": "By increasing frame."},
        },
        "allOf": [
            {
                "description": "Width and height are both numbers or both null.",
                "if": {"properties": {"width": {"type": "integer"}}, "required": ["width"]},
                "then": {"properties": {"height": {"type": "integer"}}, "required": ["height"]},
                "else": {"properties": {"height": {"type": "null"}}},
            },
            {
                "description": "There is a preset or a keyframe.",
                "anyOf": [
                    {"properties": {"source": {"type": "object"}}, "required": ["source"]},
                    {"properties": {"keyframes": {"minItems": 1}}, "required": ["keyframes"]},
                ],
            },
        ],
    }


def _number(low: float, high: float, description: str, **more: Any) -> dict[str, Any]:
    return {"type": "number", "minimum": low, "maximum": high, "description": description, **more}


def _vector(length: int, bound: float, description: str) -> dict[str, Any]:
    item = {"type": "number", "minimum": -bound, "maximum": bound}
    return {"type": "array", "items": item, "minItems": length, "maxItems": length, "description": description}


def _source(preset: Preset) -> dict[str, Any]:
    params = {p.name: _number(p.low, p.high, p.description, default=p.default) for p in preset.params}
    return {
        "title": preset.label,
        "type": "object",
        "required": ["preset"],
        "additionalProperties": False,
        "properties": {
            "preset": {"const": preset.name},
            "params": {
                "type": ["object", "null"],
                "additionalProperties": False,
                "properties": {**params, "ease": {"enum": list(EASES), "default": "linear"}},
            },
        },
    }


def _keyframe() -> dict[str, Any]:
    target = _vector(3, MAX_COORDINATE, "The point that the camera looks at.")
    quaternion = _vector(4, MAX_COORDINATE, "Camera-to-world rotation as w, x, y, z, of any length above zero.")
    fov = _number(*FOV_RANGE, "Vertical field of view; null = the scene's.")
    aims = [{"required": [name], "properties": {name: {"type": "array"}}} for name in ("target", "quaternion")]
    properties = {
        "frame": _number(0, MAX_FRAMES - 1, "Counted from 0.", type="integer"),
        "time": {
            **_number(0, MAX_FRAMES - 1, "Frame of the clip that is shown here, may be fractional; null = not said."),
            "type": ["number", "null"],
        },
        "time_ease": {"enum": list(EASES), "description": "Time warp on the way to this key's time."},
        "position": _vector(3, MAX_COORDINATE, "Camera centre."),
        "target": {**target, "type": ["array", "null"]},
        "quaternion": {**quaternion, "type": ["array", "null"]},
        "roll": _number(-MAX_ROLL, MAX_ROLL, "About the viewing axis, clockwise for the operator."),
        "fov": {**fov, "type": ["number", "null"]},
        "lens_shift": _vector(2, MAX_SHIFT, "Moves the principal point by shares of the image's size."),
        "ease": {"enum": list(EASES), "description": "Time warp on the way to this key."},
    }
    return {
        "type": "object",
        "description": "What is left out has its default.",
        "required": ["frame", "position"],
        "additionalProperties": False,
        "properties": {
            name: {**says, "default": KEY_DEFAULTS[name]} if name in KEY_DEFAULTS else says
            for name, says in properties.items()
        },
        "oneOf": aims,
        "if": {"required": ["time_ease"], "properties": {"time_ease": {"not": {"const": KEY_DEFAULTS["time_ease"]}}}},
        "then": {"required": ["time"], "properties": {"time": {"type": "number"}}},
    }


if __name__ == "__main__":
    print(json.dumps(document_schema(), indent=2))
