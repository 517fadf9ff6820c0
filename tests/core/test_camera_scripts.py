"""Scripts for After Effects, Blender and Nuke, read back by their programs' own conventions, written down here anew.

The path is asymmetric in every axis, so that a mirror, swapped axes or another rotation order show.
"""

from __future__ import annotations

import json
import re
import sys
import types

import numpy as np
import pytest

from ex4d_core.camera import Intrinsics, invert_pose, look_at
from ex4d_core.errors import EX4DError
from ex4d_core.trajectory import Trajectory

LENSES = tuple(Intrinsics.from_focal(700.0 + 40 * i, 1024, 576) for i in range(4))
PATH = Trajectory(
    np.stack(
        [
            np.eye(4),
            look_at((0.4, -0.9, 0.3), (0.1, 0.5, 3.0), roll=12.0),
            look_at((2.1, 0.7, -0.4), (-0.6, -0.2, 2.5), roll=-35.0),
            look_at((-1.3, -1.8, 4.4), (0.9, 0.4, 0.7), roll=80.0),
        ]
    ),
    LENSES,
    24.0,
)
CAMERA_TO_WORLD = invert_pose(PATH.world_to_camera)


def turn(axis: str, degrees: float) -> np.ndarray:
    """(3, 3), right-handed, about one axis."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return {
        "x": np.array([[1, 0, 0], [0, c, -s], [0, s, c]]),
        "y": np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]),
        "z": np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]),
    }[axis]


def same(rotation, position, frame: int) -> None:
    np.testing.assert_allclose(rotation, CAMERA_TO_WORLD[frame, :3, :3], atol=1e-5)
    np.testing.assert_allclose(position, CAMERA_TO_WORLD[frame, :3, 3], atol=1e-5)


def test_after_effects(tmp_path):
    """Space in pixels from the composition's centre, y down; orientation R = Rx Ry Rz; zoom in pixels."""
    text = PATH.save(tmp_path / "shot.jsx").read_text()
    shot = json.loads(re.search(r"var shot = (\{.*\});", text)[1])
    assert (shot["width"], shot["height"], shot["fps"]) == (1024, 576, 24)
    for frame in range(4):
        x, y, z = shot["orientation"][frame]
        position = (np.array(shot["position"][frame]) - [512, 288, 0]) / 100
        same(turn("x", x) @ turn("y", y) @ turn("z", z), position, frame)
        assert shot["zoom"][frame] == pytest.approx(LENSES[frame].fx, rel=1e-4)
    # A point as After Effects draws it: in camera space, zoom / depth from the centre.
    point = np.array([0.3, -0.2, 3.0])
    seen = PATH.world_to_camera[1] @ [*point, 1]
    x, y, z = shot["orientation"][1]
    local = (turn("x", x) @ turn("y", y) @ turn("z", z)).T @ (
        point - (np.array(shot["position"][1]) - [512, 288, 0]) / 100
    )
    np.testing.assert_allclose(local, seen[:3], atol=1e-5)


@pytest.mark.parametrize("order", ["straight up", "straight down", "along x"])
def test_angles_hold_at_the_poles(tmp_path, order):
    target = {"straight up": (0, -1, 0), "straight down": (0, 1, 0), "along x": (1, 0, 0)}[order]
    path = Trajectory(look_at((0, 0, 0), target, roll=20.0)[None], (LENSES[0],))
    shot = json.loads(re.search(r"var shot = (\{.*\});", path.save(tmp_path / "a.jsx").read_text())[1])
    x, y, z = shot["orientation"][0]
    rotation = turn("x", x) @ turn("y", y) @ turn("z", z)
    np.testing.assert_allclose(rotation, invert_pose(path.world_to_camera)[0, :3, :3], atol=1e-5)


def numbers(text: str, knob: str) -> np.ndarray:
    """(T, n) of a knob's curves."""
    (line,) = [line for line in text.splitlines() if line.startswith(f" {knob} ")]
    return np.array([[float(word) for word in curve.split()] for curve in re.findall(r"\{curve x1 ([^}]*)\}", line)]).T


def test_nuke(tmp_path):
    """y up, looking along -z, R = Ry Rx Rz; vertical field of view = 2 atan(vaperture / 2 / focal)."""
    text = PATH.save(tmp_path / "shot.nk").read_text()
    assert text.startswith("Camera2 {") and "rot_order ZXY" in text
    flip = np.diag([1.0, -1.0, -1.0])
    for frame, (place, angles) in enumerate(zip(numbers(text, "translate"), numbers(text, "rotate"), strict=True)):
        x, y, z = angles
        same(flip @ turn("y", y) @ turn("x", x) @ turn("z", z) @ flip, flip @ place, frame)
    vertical = float(re.search(r"vaperture (\S+)", text)[1])
    horizontal = float(re.search(r"haperture (\S+)", text)[1])
    assert horizontal / vertical == pytest.approx(1024 / 576)
    fov = np.degrees(2 * np.arctan(vertical / 2 / numbers(text, "focal")[:, 0]))
    np.testing.assert_allclose(fov, [lens.vertical_fov for lens in LENSES], rtol=1e-4)


class Recorded:
    """Takes whatever is set and called, and keeps the keys: what a Blender object is to the script."""

    def __init__(self):
        self.__dict__["keys"] = {}

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        value = Recorded()
        self.__dict__[name] = value
        return value

    def __call__(self, *args, **kwargs):
        return Recorded()

    def keyframe_insert(self, name, frame):
        self.keys.setdefault(name, {})[frame] = getattr(self, name)


def run_blender_script(text: str) -> tuple[Recorded, Recorded, Recorded]:
    """(scene, the camera's data, its object), with a stand-in for bpy that only keeps what the script says."""
    camera, rig, curve = Recorded(), Recorded(), Recorded()
    curve.splines = types.SimpleNamespace(new=lambda kind: types.SimpleNamespace(points=Points()))
    bpy, scene = types.ModuleType("bpy"), Recorded()
    objects = iter((rig, Recorded()))
    bpy.context = types.SimpleNamespace(scene=scene)
    bpy.data = types.SimpleNamespace(
        cameras=types.SimpleNamespace(new=lambda name: camera),
        objects=types.SimpleNamespace(new=lambda name, data: next(objects)),
        curves=types.SimpleNamespace(new=lambda name, kind: curve),
    )
    sys.modules["bpy"] = bpy
    try:
        exec(compile(text, "shot.py", "exec"), {"__name__": "__main__"})
    finally:
        del sys.modules["bpy"]
    return scene, camera, rig


class Points(list):
    def __init__(self):
        super().__init__([types.SimpleNamespace()])

    def add(self, count):
        self.extend(types.SimpleNamespace() for _ in range(count))


def quaternion_matrix(q) -> np.ndarray:
    w, x, y, z = q
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def test_blender(tmp_path):
    """z up, y forward; cameras look along -z with y up; the lens on a film back 24 mm high, shift in picture heights."""
    shifted = tuple(Intrinsics(k.fx, k.fy, k.cx + 30, k.cy - 20, k.width, k.height) for k in LENSES)
    path = Trajectory(PATH.world_to_camera, shifted, 29.97)
    scene, camera, rig = run_blender_script(path.save(tmp_path / "shot.py").read_text())
    assert (scene.render.resolution_x, scene.render.resolution_y, scene.frame_end) == (1024, 576, 4)
    assert scene.render.fps / scene.render.fps_base == pytest.approx(29.97)
    assert camera.sensor_fit == "VERTICAL" and camera.sensor_height == 24
    ours_from_blender = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    for frame in range(4):
        place, q = rig.keys["location"][frame + 1], rig.keys["rotation_quaternion"][frame + 1]
        same(ours_from_blender @ quaternion_matrix(q) @ np.diag([1.0, -1, -1]), ours_from_blender @ place, frame)
        assert camera.keys["lens"][frame + 1] / 24 * 576 == pytest.approx(LENSES[frame].fy, rel=1e-4)
        # Shifting Blender's view right and up moves the principal point left and down.
        assert 512 - camera.keys["shift_x"][frame + 1] * 576 == pytest.approx(542)
        assert 288 + camera.keys["shift_y"][frame + 1] * 576 == pytest.approx(268)


@pytest.mark.parametrize("suffix", [".jsx", ".nk", ".py"])
def test_refuses_lenses_that_the_program_does_not_have(tmp_path, suffix):
    wide = Intrinsics(700.0, 800.0, 512.0, 288.0, 1024, 576)
    with pytest.raises(EX4DError, match="frame 0"):
        Trajectory(PATH.world_to_camera[:1], (wide,)).save(tmp_path / f"shot{suffix}")
    with pytest.raises(EX4DError, match="lens"):
        Trajectory(PATH.world_to_camera).save(tmp_path / f"shot{suffix}")
