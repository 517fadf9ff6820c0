"""Nuke: a camera node as a script snippet, to be pasted or imported; and a camera copied out of Nuke into a text file.

Axes and rotation order are those of .chan: y up, looking along -z, ZXY. The lens is in millimetres on a film back whose height is
`FILM_HEIGHT`. Nuke fits the film back's width to the picture's, whatever its height.
"""

from __future__ import annotations

import re

import numpy as np

from ..camera import MAX_FRAMES, invert_pose, pose_from, y_up_from_opencv
from ..errors import EX4DError
from .cameras import Cameras, Format, Hints, check_plain_lens, lenses_of, text_of
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


PLAIN = {
    "useMatrix": "false",
    "read_from_file": "false",
    "xform_order": "SRT",
    "scaling": "1",
    "uniform_scale": "1",
    "skew": "0",
    "pivot": "0",
    "win_translate": "0",
    "win_scale": "1",
    "winroll": "0",
    "projection_mode": "perspective",
}
"""Knobs that are read only where every word of them is this, Nuke's default."""
FOCAL, WIDE, HIGH = 50.0, 24.576, 18.672
"""Millimetres of a camera that does not say."""

Curve = dict[int, float]
"""Values by frame."""


def read(data: bytes, hints: Hints) -> Cameras:
    """Reads the first camera node of a script. Curves have a key on every frame, as baked; the rate is not in the node."""
    knobs = _knobs(text_of(data))
    for name, plain in PLAIN.items():
        if name in knobs and set(re.sub(r"[{}]", " ", knobs[name]).split()) - {plain, f"{plain}.0"}:
            raise EX4DError(
                f"the camera's {name} is {knobs[name][:40]!r}; only {plain} is read. Bake the camera, or export .chan or .usda."
            )
    order = knobs.get("rot_order", "ZXY").strip()
    if sorted(order) != ["X", "Y", "Z"]:
        raise EX4DError(f"the camera's rot_order is {order[:20]!r}; expected one such as ZXY. Export it again.")
    curves = [
        *_curves_of(knobs, "translate", [0.0] * 3),
        *_curves_of(knobs, "rotate", [0.0] * 3),
        *_curves_of(knobs, "focal", [FOCAL]),
        *_curves_of(knobs, "haperture", [WIDE]),
        *_curves_of(knobs, "vaperture", [HIGH]),
    ]
    values = _sampled(curves)
    poses = y_up_from_opencv(pose_from(_turned(values[:, 3:6], order), values[:, :3]))
    focal, wide, high = values[:, 6:].T
    if (values[:, 6:] <= 0).any():
        raise EX4DError("the camera's focal length and film back must lie above 0 mm. Export it again.")
    size = hints.image_size()
    if size is not None:
        high = wide * size[1] / size[0]
    return Cameras(poses, fov=np.degrees(2 * np.arctan(high / (2 * focal))), fps=hints.fps)


def _knobs(text: str) -> dict[str, str]:
    """The values of the first camera node's knobs, with their braces."""
    found = re.search(r"^[ \t]*Camera\d*[ \t]*\{", text, re.MULTILINE)
    if found is None:
        raise EX4DError(
            "this Nuke script has no camera node. Copy a Camera in Nuke's node graph and paste it into a text file."
        )
    knobs, depth, name, value = {}, 0, "", []
    for line in text[found.end() :].splitlines():
        if depth == 0:
            if line.strip() == "}":
                return knobs
            name, _, rest = line.strip().partition(" ")
            value = []
        else:
            rest = line
        value.append(rest)
        depth += rest.count("{") - rest.count("}")
        if depth <= 0:
            knobs[name], depth = " ".join(value).strip(), 0
    raise EX4DError("this Nuke script is cut off inside its camera node. Copy it again.")


def _curves_of(knobs: dict[str, str], name: str, defaults: list[float]) -> list[Curve]:
    """A curve for each number of a knob; one key where it does not move."""
    if name not in knobs:
        return [{0: value} for value in defaults]
    text = knobs[name]
    if text.startswith("{") and text.endswith("}"):
        text = text[1:-1]
    parts = [found for found in re.findall(r"\{([^{}]*)\}|([^\s{}]+)", text) if "".join(found).strip()]
    if len(parts) != len(defaults):
        raise EX4DError(
            f"the camera's {name} holds {len(parts)} values or curves, expected {len(defaults)}. Copy it again."
        )
    return [_keys(name, inside.split() if inside else ["curve", plain]) for inside, plain in parts]


def _keys(name: str, words: list[str]) -> Curve:
    """The keys of ``curve x1 4 5 x7 6``: from x on a value a frame; slopes and kinds of keys say nothing on baked curves."""
    keys: Curve = {}
    frame = 1.0
    for word in words[1:] if words[0] == "curve" else words:
        kind, number = (word[0], word[1:]) if word[0].isalpha() else ("", word)
        if kind and not number:
            continue
        try:
            value = float(number)
        except ValueError:
            value = float("nan")
        if not np.isfinite(value) or (kind == "x" and value != int(value)):
            raise EX4DError(
                f"the camera's {name} holds {word[:20]!r}, neither a number nor a whole frame. Expressions are not read: bake "
                "the curves."
            )
        if kind == "x":
            frame = value
        elif not kind:
            keys[int(frame)] = value
            frame += 1
    if not keys:
        raise EX4DError(f"the camera's {name} has a curve without keys. Copy it again.")
    return keys


def _sampled(curves: list[Curve]) -> np.ndarray:
    """(T, n) values at every frame from the first key to the last."""
    moving = [curve for curve in curves if len(curve) > 1]
    first = min((min(curve) for curve in moving), default=0)
    last = max((max(curve) for curve in moving), default=0)
    if last - first >= MAX_FRAMES:
        raise EX4DError(f"the camera's curves go from frame {first} to {last}, over more than {MAX_FRAMES} frames.")
    columns = []
    for curve in curves:
        if len(curve) > 1 and any(frame not in curve for frame in range(first, last + 1)):
            raise EX4DError(
                f"a curve has {len(curve)} keys between the frames {first} and {last}. Bake the camera to a key on every frame, "
                "since what Nuke draws between keys is not read."
            )
        columns.append(
            [curve[frame] if len(curve) > 1 else next(iter(curve.values())) for frame in range(first, last + 1)]
        )
    return np.array(columns).T


def _turned(degrees: np.ndarray, order: str) -> np.ndarray:
    """(T, 3, 3) from angles (T, 3) about x, y, z; the first axis of the order turns first."""
    made = np.tile(np.eye(3), (len(degrees), 1, 1))
    for axis in order:
        number = "XYZ".index(axis)
        angle = np.radians(degrees[:, number])
        turn = np.tile(np.eye(3), (len(degrees), 1, 1))
        a, b = (number + 1) % 3, (number + 2) % 3
        turn[:, a, a] = turn[:, b, b] = np.cos(angle)
        turn[:, b, a] = np.sin(angle)
        turn[:, a, b] = -np.sin(angle)
        made = turn @ made
    return made


FORMAT = Format(
    name="nk",
    title="Nuke node",
    suffixes=(".nk",),
    used_by="Nuke (paste it, or File > Import Script)",
    keeps="poses, focal length in mm with its film back",
    read=read,
    write=write,
)
