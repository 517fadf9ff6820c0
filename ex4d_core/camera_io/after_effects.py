"""After Effects: a script that makes a composition of the path's size, rate and length, with the camera in it.

Its world is ours, x right, y down, z forward, in pixels from the composition's centre; a unit becomes `PIXELS` of them. A
one-node camera's orientation turns about z first, then y, then x (R = Rx Ry Rz), and its zoom is the focal length in pixels.
"""

from __future__ import annotations

import json

import numpy as np

from ..camera import DEFAULT_FPS, Intrinsics, invert_pose, pose_from
from .cameras import Cameras, Format, Hints, check_plain_lens, lenses_of
from .script import columns, picture, shot_in

PIXELS = 100.0
"""Of After Effects' space for one unit of the scene."""

SCRIPT = """// The camera of an EX-4D path. After Effects: File > Scripts > Run Script File.
(function () {
    var shot = %s;
    app.beginUndoGroup("EX-4D camera");
    var seconds = shot.zoom.length / shot.fps;
    var comp = app.project.items.addComp("EX-4D", shot.width, shot.height, 1, seconds, shot.fps);
    var camera = comp.layers.addCamera("EX-4D camera", [shot.width / 2, shot.height / 2]);
    camera.autoOrient = AutoOrientType.NO_AUTO_ORIENT;
    var times = [];
    for (var i = 0; i < shot.zoom.length; i++) times.push(i / shot.fps);
    camera.property("Position").setValuesAtTimes(times, shot.position);
    camera.property("Orientation").setValuesAtTimes(times, shot.orientation);
    camera.property("Zoom").setValuesAtTimes(times, shot.zoom);
    comp.openInViewer();
    app.endUndoGroup();
})();
"""


def write(cameras: Cameras) -> bytes:
    """Writes the script. After Effects has no principal point, and square pixels here."""
    lenses, fps = lenses_of(cameras, "After Effects"), cameras.fps or DEFAULT_FPS
    check_plain_lens(lenses, "After Effects")
    width, height = lenses[0].width, lenses[0].height
    pose = invert_pose(cameras.world_to_camera)
    position = pose[:, :3, 3] * PIXELS + [width / 2, height / 2, 0]
    zoom = [lens.fy * height / lens.height for lens in lenses]
    shot = {"width": width, "height": height, "fps": fps}
    shot |= {"position": position.tolist(), "orientation": _orientation(pose[:, :3, :3]).tolist(), "zoom": zoom}
    return (SCRIPT % json.dumps(shot, separators=(",", ":"))).encode()


def read(data: bytes, hints: Hints) -> Cameras:
    """Reads the camera of such a script back."""
    shot = shot_in(data, "var shot = ", "After Effects")
    width, height = picture(shot)
    zoom = columns(shot, "zoom", 1)[:, 0]
    x, y, z = np.radians(columns(shot, "orientation", 3, len(zoom))).T
    places = (columns(shot, "position", 3, len(zoom)) - [width / 2, height / 2, 0]) / PIXELS
    (cx, cy, cz), (sx, sy, sz) = (np.cos(x), np.cos(y), np.cos(z)), (np.sin(x), np.sin(y), np.sin(z))
    rows = [
        [cy * cz, -cy * sz, sy],
        [cx * sz + sx * sy * cz, cx * cz - sx * sy * sz, -sx * cy],
        [sx * sz - cx * sy * cz, sx * cz + cx * sy * sz, cx * cy],
    ]
    rotation = np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
    lenses = tuple(Intrinsics.from_focal(float(focal), width, height) for focal in zoom)
    return Cameras(pose_from(rotation, places), lenses, fps=shot.get("fps", hints.fps))


def _orientation(rotation: np.ndarray) -> np.ndarray:
    """(T, 3) degrees about x, y, z with R = Rx Ry Rz, of camera-to-world rotations (T, 3, 3); without jumps of a full turn."""
    r = rotation
    y = np.arcsin(np.clip(r[:, 0, 2], -1, 1))
    locked = np.abs(r[:, 0, 2]) > 1 - 1e-9  # looking along x, the turns about z and x are one: give it all to x
    x = np.where(locked, np.arctan2(r[:, 2, 1], r[:, 1, 1]), np.arctan2(-r[:, 1, 2], r[:, 2, 2]))
    z = np.where(locked, 0.0, np.arctan2(-r[:, 0, 1], r[:, 0, 0]))
    return np.degrees(np.unwrap(np.stack([x, y, z], axis=-1), axis=0))


FORMAT = Format(
    name="jsx",
    title="After Effects",
    suffixes=(".jsx",),
    used_by="Adobe After Effects (File > Scripts > Run Script File)",
    keeps="poses, focal length in pixels, size, fps",
    read=read,
    write=write,
)
