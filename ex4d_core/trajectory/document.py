"""The trajectory document: what a camera path says of itself. Frozen; made by :mod:`ex4d_core.trajectory.parse`.

As JSON text, so that the editor, a workflow file and Python share one string::

    {"version": 1, "frames": 49, "fps": 15, "width": null, "height": null,
     "interpolation": "linear" | "smooth" | "catmull-rom",
     "pivot": [x, y, z], "radius": r,
     "source": {"preset": "orbit", "params": {"angle": 90}} | null,
     "keyframes": [{"frame": 0, "position": [x, y, z],
                    "target": [x, y, z]  or  "quaternion": [w, x, y, z] (camera-to-world),
                    "roll": 0, "fov": null, "lens_shift": [0, 0], "ease": "linear"}, ...]}

World and camera are OpenCV (x right, y down, z forward); the source camera is the identity. While ``source`` is
present, the preset alone decides and the keyframes are ignored. docs/trajectory.schema.json says the same as a schema.

``"frame_of_reference": "world"`` lays the path in the world, the source camera's first frame; it is written only there.
Without it the path rides on the source camera: what it says is seen from where that is at each frame.

A key may hold ``"time"``: the frame of the clip that is shown there, may be fractional; written only where it is set. Without
any, frame n of the path shows frame n of the clip (:mod:`ex4d_core.trajectory.time`). ``"time_ease"`` beside it warps the way to
that time, as ``"ease"`` does the camera's.

``"loop": true`` closes the path: what follows its last frame is its first, without a seam
(:mod:`ex4d_core.trajectory.loop`); written only there.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ..camera import DEFAULT_FPS
from ..published import DEFAULT_RADIUS
from .curves import Ease, Interpolation
from .presets import PRESETS, PresetSource

VERSION = 1
FPS_RANGE = (1e-3, 1000)
MAX_SIDE = 65536
"""Pixels of the longest image side."""
RADIUS_RANGE = (1e-6, 1e9)
MAX_COORDINATE = 1e9
"""Largest coordinate of a position, target or pivot, scene units."""
MAX_ROLL = 36000
"""A hundred turns, in degrees."""
FOV_RANGE = (0.1, 179)
MAX_SHIFT = 100
"""Image sizes by which the principal point may be moved."""
COMPACT_DECIMALS = 7
"""Decimals of a keyframe in a saved graph; its lengths get more where the scene or the way to the target is small."""
KEY_DEFAULTS: dict[str, Any] = {"roll": 0, "fov": None, "lens_shift": [0, 0], "ease": "linear", "time_ease": "linear"}
"""What a keyframe has where its JSON says nothing of it."""

FrameOfReference = Literal["source", "world"]
"""What a path's coordinates are counted from: the source camera at each frame, as published, or where it began."""
FRAMES_OF_REFERENCE: tuple[FrameOfReference, ...] = get_args(FrameOfReference)

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]


@dataclass(frozen=True)
class Keyframe:
    """Where the camera is at one frame, what it looks at, and its lens.

    Attributes:
        frame: 0 .. frames - 1.
        position: camera centre, world.
        target: the point it looks at, world; None where ``quaternion`` says how it is turned.
        quaternion: w, x, y, z, camera-to-world, of length 1; None where there is a target.
        roll: degrees about the viewing axis, clockwise for the operator.
        fov: vertical field of view in degrees; None = the scene's.
        lens_shift: moves the principal point by shares of the image's width and height.
        ease: time warp of the segment that ends here.
        time: frame of the clip that is shown here, may be fractional; None = as the keys around it say.
        time_ease: warp of the way from the time before to this one; linear where there is no time.
    """

    frame: int
    position: Vector
    target: Vector | None = None
    quaternion: Quaternion | None = None
    roll: float = 0.0
    fov: float | None = None
    lens_shift: tuple[float, float] = (0.0, 0.0)
    ease: Ease = "linear"
    time: float | None = None
    time_ease: Ease = "linear"

    def to_dict(self) -> dict[str, Any]:
        """As the JSON has it: with a target or a quaternion."""
        aim = {"quaternion": list(self.quaternion or ())} if self.target is None else {"target": list(self.target)}
        return {
            "frame": self.frame,
            **({} if self.time is None else {"time": self.time}),
            **({} if self.time_ease == "linear" else {"time_ease": self.time_ease}),
            "position": list(self.position),
            **aim,
            "roll": self.roll,
            "fov": self.fov,
            "lens_shift": list(self.lens_shift),
            "ease": self.ease,
        }


@dataclass(frozen=True)
class PathDocument:
    """A camera path as keyframes, or as the preset that it was made from.

    Attributes:
        frames: length of the path.
        fps: frames a second.
        width, height: image size in pixels that the path was made for; both None = the scene's.
        interpolation: of positions and orientations between keyframes.
        radius: scale of the scene, in its units.
        pivot: what the path turns around, world.
        source: the preset that decides alone; None = the keyframes do.
        keyframes: by increasing frame; at least one where there is no source.
        frame_of_reference: "source", or "world" where the path stands still while the source camera moves.
        loop: whether the path is closed: the frame after its last would be its first.
    """

    frames: int
    fps: float = DEFAULT_FPS
    width: int | None = None
    height: int | None = None
    interpolation: Interpolation = "linear"
    radius: float = DEFAULT_RADIUS
    pivot: Vector = (0.0, 0.0, DEFAULT_RADIUS)
    source: PresetSource | None = None
    keyframes: tuple[Keyframe, ...] = ()
    frame_of_reference: FrameOfReference = "source"
    loop: bool = False

    @property
    def sets_the_lens(self) -> bool:
        """Whether the path asks for a lens that is not simply the scene's."""
        keys = () if self.source is not None else self.keyframes
        return self.width is not None or any(key.fov is not None or any(key.lens_shift) for key in keys)

    @property
    def sets_the_time(self) -> bool:
        """Whether the preset, or some key, says which frame of the clip it shows."""
        if self.source is not None:
            return PRESETS[self.source.preset].schedule is not None
        return any(key.time is not None for key in self.keyframes)

    def to_dict(self) -> dict[str, Any]:
        """What :func:`json.dumps` takes; the caller's own."""
        # Written only where it says something, so that other documents open in versions that do not know it.
        reference = {} if self.frame_of_reference == "source" else {"frame_of_reference": self.frame_of_reference}
        closed = {"loop": True} if self.loop else {}
        return {
            "version": VERSION,
            "frames": self.frames,
            "fps": self.fps,
            "width": self.width,
            "height": self.height,
            "interpolation": self.interpolation,
            "radius": self.radius,
            "pivot": list(self.pivot),
            **reference,
            **closed,
            "source": None if self.source is None else self.source.to_dict(),
            "keyframes": [key.to_dict() for key in self.keyframes],
        }

    def to_json(self) -> str:
        """The document as JSON text."""
        return json.dumps(self.to_dict(), allow_nan=False)

    def to_compact_json(self) -> str:
        """The document in few characters, for a saved graph: a key of an imported path takes 115 instead of 260.

        Keyframes leave out what is at its default, and their numbers are rounded so that no camera turns or moves by
        more than 1e-7 of what it looks at. It is the same format: whoever reads the one reads the other.
        web/editor/pathDocument.js writes the same.
        """
        rounded = {**self.to_dict(), "keyframes": [self._compact_key(key) for key in self.keyframes]}
        return json.dumps(rounded, allow_nan=False, separators=(",", ":"))

    def _compact_key(self, key: Keyframe) -> dict[str, Any]:
        nearest = self.radius if key.target is None else min(self.radius, math.dist(key.position, key.target))
        lengths = COMPACT_DECIMALS + max(0, -math.floor(math.log10(nearest)))
        decimals = {"position": lengths, "target": lengths}
        given = {name: _short(value, decimals.get(name, COMPACT_DECIMALS)) for name, value in key.to_dict().items()}
        return {name: value for name, value in given.items() if name not in KEY_DEFAULTS or value != KEY_DEFAULTS[name]}


def _short(value: Any, decimals: int) -> Any:
    """A number, or each of a list, rounded and without ".0"; anything else as it is."""
    if isinstance(value, list):
        return [_short(each, decimals) for each in value]
    if not isinstance(value, float):
        return value
    rounded = round(value, decimals)
    return int(rounded) if rounded.is_integer() else rounded
