"""Files for After Effects, Blender, Nuke, USD, COLMAP and video models, read back by their own conventions, written down anew.

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
    """z up, y forward; cameras look along -z with y up; the lens on a film back 24 mm high, shift in picture widths."""
    shifted = tuple(Intrinsics(k.fx, k.fy, k.cx + 30, k.cy - 20, k.width, k.height) for k in LENSES)
    path = Trajectory(PATH.world_to_camera, shifted, 29.97)
    scene, camera, rig = run_blender_script(path.save(tmp_path / "shot.py").read_text())
    assert (scene.render.resolution_x, scene.render.resolution_y, scene.frame_end) == (1024, 576, 4)
    assert scene.render.fps / scene.render.fps_base == pytest.approx(29.97)
    assert (camera.sensor_fit, camera.sensor_height) == ("HORIZONTAL", 24)
    assert camera.sensor_width == pytest.approx(24 * 1024 / 576)
    ours_from_blender = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    for frame in range(4):
        place, q = rig.keys["location"][frame + 1], rig.keys["rotation_quaternion"][frame + 1]
        same(ours_from_blender @ quaternion_matrix(q) @ np.diag([1.0, -1, -1]), ours_from_blender @ place, frame)
        assert camera.keys["lens"][frame + 1] / 24 * 576 == pytest.approx(LENSES[frame].fy, rel=1e-4)
        # Shifting Blender's view right and up moves the principal point left and down.
        assert 512 - camera.keys["shift_x"][frame + 1] * 1024 == pytest.approx(542)
        assert 288 + camera.keys["shift_y"][frame + 1] * 1024 == pytest.approx(268)


@pytest.mark.parametrize("suffix", [".jsx", ".nk", ".py"])
def test_refuses_lenses_that_the_program_does_not_have(tmp_path, suffix):
    wide = Intrinsics(700.0, 800.0, 512.0, 288.0, 1024, 576)
    with pytest.raises(EX4DError, match="frame 0"):
        Trajectory(PATH.world_to_camera[:1], (wide,)).save(tmp_path / f"shot{suffix}")
    with pytest.raises(EX4DError, match="lens"):
        Trajectory(PATH.world_to_camera).save(tmp_path / f"shot{suffix}")


def pose_lines(path) -> np.ndarray:
    return np.array([[float(word) for word in line.split()] for line in path.read_text().splitlines()[1:]])


def test_cameractrl(tmp_path):
    """After a title: time, fx, fy, cx, cy in shares, two zeros, world to camera in rows; x right, y down, z forward."""
    rows = pose_lines(PATH.save(tmp_path / "shot.txt"))
    assert rows.shape == (4, 19)
    np.testing.assert_allclose(rows[:, 7:].reshape(4, 3, 4), PATH.world_to_camera[:, :3], atol=1e-5)
    np.testing.assert_allclose(rows[:, 1], [lens.fx / 1024 for lens in LENSES], rtol=1e-4)
    np.testing.assert_allclose(rows[:, 2], [lens.fy / 576 for lens in LENSES], rtol=1e-4)


def test_recammaster(tmp_path):
    """As its inference reads it: transposed, columns 1, 2, 0, 3, the second turned round, centimetres; relative to the first."""
    told = json.loads(PATH.save(tmp_path / "camera_extrinsics.json", format="recammaster").read_text())
    assert list(told) == [f"frame{n}" for n in range(4)] and list(told["frame0"]) == [
        f"cam{n:02}" for n in range(1, 11)
    ]
    poses = []
    for frame in told.values():
        text = frame["cam07"]
        assert text.startswith("[") and text.endswith("] ")
        rows = [[float(word) for word in row.strip("[] ").split()] for row in text.strip().split("] [")]
        pose = np.array(rows).T[:, [1, 2, 0, 3]]
        pose[:3, 1] *= -1
        pose[:3, 3] /= 100
        poses.append(pose)
    for frame in range(4):
        relative = np.linalg.inv(poses[0]) @ poses[frame]
        same(relative[:3, :3], relative[:3, 3], frame)
    # Unreal itself: x forward, y right, z up. The first camera looks along x, and z of the second's place is our -y.
    assert told["frame0"]["cam01"].split("]")[0] == "[1 0 0 0"
    place = [float(word) for word in told["frame1"]["cam01"].strip().split("[")[-1].strip("] ").split()]
    np.testing.assert_allclose(place[:3], np.array([0.3, 0.4, 0.9]) * 100, atol=1e-3)
    back = Trajectory.load(tmp_path / "camera_extrinsics.json")
    np.testing.assert_allclose(back.world_to_camera, PATH.world_to_camera, atol=1e-5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ({"frame0": {"cam01": "[1 0 0 0] [0 1 0 0]"}}, "has 8 values"),
        ({"frame0": {"cam01": 3}}, "no matrix for cam01"),
        ({"frame0": {}}, "no camera in frame0"),
        ({"frame0": {"cam01": "[1 0 0 0] [0 1 0 0] [0 0 1 0] [0 0 0 1]"}, "frame2": {}}, "leaves frames out"),
        ({"frame0": {"cam01": "[1 0 0 0] [1 0 0 0] [0 0 1 0] [0 0 0 1]"}}, "axes lie in one plane"),
    ],
)
def test_broken_recammaster_files_are_told(tmp_path, text, said):
    (tmp_path / "x.json").write_text(json.dumps(text))
    with pytest.raises(EX4DError, match=said):
        Trajectory.load(tmp_path / "x.json")


def crafted(text: str, radius: float, frames: int) -> np.ndarray:
    """(T, 4, 4) world to camera as TrajectoryCrafter makes them of its text: waypoints joined by lines, turns in its order."""
    theta, phi, r = (np.array([float(word) for word in line.split()]) for line in text.splitlines())
    along = np.linspace(0, 1, frames)
    theta, phi, r = (np.interp(along, np.linspace(0, 1, len(v)), v) for v in (theta, phi, r))
    poses = np.tile(np.eye(4), (frames, 1, 1))
    for pose, up, side, away in zip(poses, theta, phi, r, strict=True):
        pose[:3, :3] = turn("y", side) @ turn("x", up) @ np.diag([-1, 1, -1])
        pose[:3, 3] = turn("y", side) @ turn("x", up) @ [0, 0, -away * radius] + [0, 0, radius]
    return poses @ np.linalg.inv(poses[0])


def test_trajectorycrafter(tmp_path):
    """A turn up and to the side with a distance that changes, and an orbit of two waypoints."""
    text = "0 4 11 20\n0 -9 -14 -35\n0 0.1 -0.2 -0.3\n"
    path = Trajectory(crafted(text, 2.5, 4))
    made = path.save(tmp_path / "a.txt", format="trajectorycrafter").read_text()
    np.testing.assert_allclose(crafted(made, 2.5, 4), path.world_to_camera, atol=1e-5)
    orbit = Trajectory.preset("orbit", frames=9, radius=3.1, angle=60, rise=0.0)
    made = orbit.save(tmp_path / "b.txt", format="trajectorycrafter").read_text()
    assert [len(line.split()) for line in made.splitlines()] == [2, 2, 2]
    np.testing.assert_allclose(crafted(made, 3.1, 9), orbit.world_to_camera, atol=1e-5)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (PATH, "rolled against"),
        (Trajectory.preset("dolly", frames=5), "does not turn"),
        (Trajectory.preset("pan", frames=5, angle=30), "turns away from the scene"),
        (Trajectory.preset("truck", frames=5, follow=0.5), "(one axis from one distance|turns away)"),
    ],
)
def test_paths_that_trajectorycrafter_does_not_know_are_refused(tmp_path, path, said):
    with pytest.raises(EX4DError, match=said):
        path.save(tmp_path / "a.txt", format="trajectorycrafter")


def test_colmap(tmp_path):
    """World-to-camera quaternions w x y z and translations; one camera for equal lenses; a line of points for each image."""
    shifted = (LENSES[0], LENSES[1], LENSES[0], Intrinsics(900.0, 800.0, 500.0, 300.0, 1024, 576))
    folder = Trajectory(PATH.world_to_camera, shifted).save(tmp_path / "shot.colmap")
    assert sorted(file.name for file in folder.iterdir()) == ["cameras.txt", "images.txt", "points3D.txt"]
    cameras = [line.split() for line in (folder / "cameras.txt").read_text().splitlines() if line[0] != "#"]
    assert [line[:4] for line in cameras] == [[str(n), "PINHOLE", "1024", "576"] for n in (1, 2, 3)]
    np.testing.assert_allclose(np.array(cameras[2][4:], float), [900, 800, 500, 300], rtol=1e-4)
    lines = (folder / "images.txt").read_text().splitlines()[2:]
    assert len(lines) == 8 and not any(lines[1::2])
    for frame, line in enumerate(lines[::2]):
        words = line.split()
        w2c = np.eye(4)
        w2c[:3, :3], w2c[:3, 3] = quaternion_matrix([float(v) for v in words[1:5]]), [float(v) for v in words[5:8]]
        np.testing.assert_allclose(w2c, PATH.world_to_camera[frame], atol=1e-5)
        assert words[8:] == [str((1, 2, 1, 3)[frame]), f"frame_{frame + 1:05}.png"]
    again = Trajectory.load(folder)
    np.testing.assert_allclose(again.world_to_camera, PATH.world_to_camera, atol=1e-5)
    assert again.intrinsics == shifted


def test_usd(tmp_path):
    """By USD's own library: y up, -z ahead, metres, film back in millimetres whose offsets move the film."""
    pxr = pytest.importorskip("pxr", reason="usd-core is not installed")
    from pxr import Usd, UsdGeom

    assert pxr
    shifted = tuple(Intrinsics(k.fx, k.fy, k.cx + 30, k.cy - 20, k.width, k.height) for k in LENSES)
    stage = Usd.Stage.Open(str(Trajectory(PATH.world_to_camera, shifted, 24.0).save(tmp_path / "shot.usda")))
    assert UsdGeom.GetStageUpAxis(stage) == "Y" and UsdGeom.GetStageMetersPerUnit(stage) == 1
    assert (stage.GetTimeCodesPerSecond(), stage.GetStartTimeCode(), stage.GetEndTimeCode()) == (24, 0, 3)
    camera = UsdGeom.Camera(stage.GetPrimAtPath("/World/EX4D_camera"))
    flip = np.diag([1.0, -1, -1])
    for frame in range(4):
        seen = camera.GetCamera(frame)
        to_world = np.array(seen.transform).T
        same(flip @ to_world[:3, :3] @ flip, flip @ to_world[:3, 3], frame)
        focal = seen.focalLength / seen.horizontalAperture * 1024
        assert focal == pytest.approx(shifted[frame].fx, rel=1e-4)
        window = seen.frustum.GetWindow()  # at distance 1, what the picture's edges see
        left, low = window.GetMin()
        assert -left * focal == pytest.approx(shifted[frame].cx, rel=1e-4)
        assert 576 + low * focal == pytest.approx(shifted[frame].cy, rel=1e-4)
