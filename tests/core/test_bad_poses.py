"""Camera poses that are wrong: mended where they are nearly right, else refused with the frame's number, at every entry."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from ex4d_core.camera import Intrinsics, check_poses, invert_pose, look_at
from ex4d_core.camera_io import written_formats
from ex4d_core.depth import DepthClip
from ex4d_core.depth.pictures import path_from_geometry
from ex4d_core.errors import EX4DError
from ex4d_core.mesh import build_dw_mesh
from ex4d_core.trajectory import Trajectory, path_of_viewer_cameras, source_camera_of, viewer_cameras_of

FRAMES, SIZE = 4, (32, 24)
LENS = Intrinsics.default(*SIZE)


def poses() -> np.ndarray:
    eyes = [(0.0, 0.0, 0.0), (0.2, -0.1, 0.1), (0.4, 0.1, 0.3), (0.7, 0.0, 0.2)]
    return np.stack([look_at(eye, (0.3, 0.2, 5.0)) for eye in eyes])


def wrong(kind: str, frame: int = 2) -> np.ndarray:
    """Good poses but for one."""
    made = poses()
    if kind == "nan":
        made[frame, 1, 1] = np.nan
    elif kind == "infinite":
        made[frame, 0, 3] = np.inf
    elif kind == "zero":
        made[frame, :3, :3] = 0
    elif kind == "scaled":
        made[frame, :3, :3] *= 1.05
    elif kind == "sheared":
        made[frame, :3, :3] @= np.array([[1, 0.1, 0], [0, 1, 0], [0, 0, 1]])
    elif kind == "mirrored":
        made[frame, :3, :3] @= np.diag([-1.0, 1, 1])
    return made


KINDS = ("nan", "infinite", "zero", "scaled", "sheared", "mirrored")


def from_geometry(made: np.ndarray) -> Trajectory:
    return path_from_geometry({"extrinsics": torch.from_numpy(made)[None], "depth": torch.ones(1, FRAMES, 24, 32)})


ENTRIES = {
    "values": check_poses,
    "path": Trajectory,
    "path for a clip": lambda made: source_camera_of(Trajectory(made), FRAMES, SIZE),
    "geometry": from_geometry,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("entry", ENTRIES)
def test_wrong_poses_are_refused_with_their_frame(entry, kind):
    with pytest.raises(EX4DError, match="frame 2"):
        ENTRIES[entry](wrong(kind))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", KINDS)
def test_files_of_wrong_poses_are_refused_with_name_and_frame(tmp_path, kind):
    path = tmp_path / "wrong.npz"
    np.savez(path, extrinsics=np.array([1, -1, -1, 1])[:, None] * wrong(kind), intrinsics=LENS.matrix())
    with pytest.raises(EX4DError, match=r"^wrong\.npz: .*frame 2"):
        Trajectory.load(path, intrinsics=LENS)


def test_a_mirrored_pose_is_called_so():
    with pytest.raises(EX4DError, match="mirrored pose at frame 2: its axes are left-handed"):
        check_poses(wrong("mirrored"))


@pytest.mark.parametrize("digits", [2, 3, 4])
def test_rotations_of_few_digits_become_the_nearest_and_the_camera_stays(digits):
    exact, given = poses(), poses()
    given[:, :3, :3] = np.round(given[:, :3, :3], digits)
    eye = np.linalg.solve(given[:, :3, :3], -given[:, :3, 3:])
    mended = check_poses(given)
    rotation = mended[:, :3, :3]
    assert np.abs(rotation @ rotation.swapaxes(1, 2) - np.eye(3)).max() < 1e-12 and (np.linalg.det(rotation) > 0).all()
    assert np.abs(rotation - exact[:, :3, :3]).max() < 10.0**-digits
    assert np.abs(invert_pose(mended)[:, :3, 3:] - eye).max() < 1e-9


def test_rotations_that_are_right_to_rounding_are_not_touched():
    given = poses().astype(np.float32)
    assert np.array_equal(check_poses(given), given.astype(np.float64))
    assert np.array_equal(Trajectory(given).world_to_camera, given)


@pytest.mark.parametrize("name", sorted(name for name, entry in written_formats().items() if entry.read))
def test_every_format_gives_its_own_files_back(tmp_path, name):
    """What is mended is not what files of ours hold: their rounding stays far within what is taken as it is."""
    entry = written_formats()[name]
    path = tmp_path / f"shot{entry.suffixes[0]}"
    Trajectory(poses() @ invert_pose(poses()[0]), (LENS,) * FRAMES).save(path, name)
    back = Trajectory.load(path, intrinsics=LENS, size=SIZE)
    assert np.abs(back.world_to_camera - poses() @ invert_pose(poses()[0])).max() < 1e-5


@pytest.mark.parametrize("count", [FRAMES - 1, FRAMES + 1])
def test_a_source_camera_of_another_length_is_refused_or_cut(count):
    path = Trajectory(np.tile(np.eye(4), (count, 1, 1)), frame_of_reference="world")
    depth = 3 + torch.rand(FRAMES, 24, 32)
    clip = DepthClip(depth)
    if count < FRAMES:
        with pytest.raises(EX4DError, match="3 poses and the clip 4 frames"):
            clip.with_source_camera(path)
    else:
        camera = clip.with_source_camera(path).source_camera
        assert camera is not None and len(camera) == FRAMES
    for build in (
        lambda: replace(clip, source_camera=path),
        lambda: build_dw_mesh(torch.zeros(FRAMES, 24, 32, 3), depth, source_camera=path),
    ):
        with pytest.raises(EX4DError, match=f"{count} poses and the clip 4"):
            build()


@pytest.mark.parametrize("lenses", [2, 3, 5])
def test_geometry_with_another_number_of_lenses_is_refused(lenses):
    geometry = {
        "extrinsics": torch.from_numpy(poses())[None],
        "intrinsics": torch.tensor([[20.0, 0, 16], [0, 20, 12], [0, 0, 1]]).expand(1, lenses, 3, 3),
        "depth": torch.ones(1, FRAMES, 24, 32),
    }
    with pytest.raises(EX4DError, match="4 camera poses and lenses of shape"):
        path_from_geometry(geometry)
    one = path_from_geometry(geometry | {"intrinsics": geometry["intrinsics"][:, :1]})
    assert one.intrinsics is not None and len(one.intrinsics) == FRAMES and one.intrinsics[0].fx == 20


@pytest.mark.parametrize("frame", [-1, 0.5, math.nan, math.inf])
def test_frames_that_a_clip_cannot_have_are_refused(frame):
    with pytest.raises(EX4DError, match="Frame 1 of a path shows a whole frame"):
        Trajectory(poses(), shown=(0, frame, 1, 2))


def test_times_beyond_the_clip_are_refused():
    with pytest.raises(EX4DError, match="shows frames 0 to 9 of a clip of 4"):
        Trajectory(poses(), shown=(0, 3, 9, 2)).shown_frames(4)


@pytest.mark.parametrize("scale", [0, -1, math.nan, math.inf])
def test_scales_that_are_none_are_refused(tmp_path, scale):
    path = Trajectory(poses()).save(tmp_path / "shot.npz")
    with pytest.raises(EX4DError, match="must be positive"):
        Trajectory.load(path, scale=scale)


# -- lists of a 3D viewer's cameras --------------------------------------------------------------------------------


def viewer_cameras() -> list[dict]:
    """The same poses as three.js says them: y up, the camera looks along its own -z."""
    cameras = []
    for eye in invert_pose(poses())[:, :3, 3]:
        x, y, z = eye * [1, -1, -1]
        target = {"x": 0.3, "y": -0.2, "z": -5.0}
        cameras.append({"position": {"x": x, "y": y, "z": z}, "target": target, "zoom": 1, "cameraType": "perspective"})
    return cameras


def test_targets_of_viewer_cameras_give_the_path():
    path = path_of_viewer_cameras(viewer_cameras(), SIZE)
    assert np.abs(path.world_to_camera - poses()).max() < 1e-6 and path.intrinsics is None


def test_rotations_of_viewer_cameras_count_before_targets_and_lenses_follow():
    """Quarter turns known by hand: y up turns to the left, and zoom lengthens the focal length."""
    half = math.sqrt(0.5)
    turned = viewer_cameras()[0] | {
        "position": {"x": 1, "y": 2, "z": 3}, "quaternion": {"x": 0, "y": half, "z": 0, "w": half}, "fov": 90, "zoom": 2,
    }  # fmt: skip
    rolled = turned | {"quaternion": {"x": 0, "y": 0, "z": half, "w": half}, "zoom": 1}
    path = path_of_viewer_cameras([turned, rolled], SIZE)
    to_world = invert_pose(path.world_to_camera)
    assert np.allclose(to_world[:, :3, 3], [1, -2, -3])
    assert np.allclose(to_world[0, :3, 2], [-1, 0, 0], atol=1e-6), "it looked along -z, and now along -x"
    assert np.allclose(to_world[0, :3, 1], [0, 1, 0], atol=1e-6), "its down stays down"
    assert np.allclose(to_world[1, :3, 2], [0, 0, 1], atol=1e-6), "a roll keeps the view"
    assert np.allclose(to_world[1, :3, 0], [0, -1, 0], atol=1e-6), "its right is up in the world, which is -y"
    assert path.intrinsics is not None
    assert [round(lens.fy, 6) for lens in path.intrinsics] == [24, 12]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"position": None}, "Camera 1 of 4: .*no position"),
        ({"target": None}, "Camera 1 of 4: .*no target"),
        ({"quaternion": {"x": 0, "y": 0, "z": 0, "w": 0}}, "Camera 1 of 4: its rotation is none"),
        ({"quaternion": {"x": math.nan, "y": 0, "z": 0, "w": 1}}, "Camera 1 of 4: its rotation is none"),
        ({"cameraType": "orthographic"}, "Camera 1 of 4: it is orthographic"),
        ({"fov": 180}, "between 0 and 180"),
        ({"fov": 40, "zoom": 0}, "zoom must be a number above 0"),
        ({"target": {"x": 0.2, "y": 0.1, "z": -0.1}, "position": {"x": 0.2, "y": 0.1, "z": -0.1}}, "Camera 1 of 4"),
        ({"position": {"x": math.nan, "y": 0, "z": 0}}, "Camera 1 of 4"),
    ],
)
def test_viewer_cameras_that_film_nothing_are_refused(change, words):
    cameras = viewer_cameras()
    cameras[1] = cameras[1] | change
    with pytest.raises(EX4DError, match=words):
        path_of_viewer_cameras(cameras, SIZE)


def test_an_empty_list_of_viewer_cameras_is_refused():
    with pytest.raises(EX4DError, match="list of cameras has 0"):
        path_of_viewer_cameras([], SIZE)


def test_a_path_goes_out_as_viewer_cameras_and_comes_back():
    path = Trajectory(poses(), (LENS,) * FRAMES)
    cameras = viewer_cameras_of(path, LENS, away=2.0)
    back = path_of_viewer_cameras(cameras, SIZE)
    assert np.abs(back.world_to_camera - path.world_to_camera).max() < 1e-5
    assert back.intrinsics[0].fy == pytest.approx(LENS.fy, rel=1e-4)
    for camera, pose in zip(cameras, path.world_to_camera, strict=True):
        ahead = np.linalg.inv(pose) @ [0, 0, 2, 1]  # y and z turn round
        assert [camera["target"][axis] for axis in "xyz"] == pytest.approx((ahead[:3] * [1, -1, -1]).tolist(), abs=1e-5)
