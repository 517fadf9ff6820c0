"""Camera files as other programs write them: the right pose and lens in every frame, or a sentence."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest

from ex4d_core.camera import Intrinsics, invert_pose, y_up_from_opencv
from ex4d_core.errors import EX4DError
from ex4d_core.storage.gltf import Packer, glb_bytes
from ex4d_core.trajectory import Trajectory, load_camera

SQUARE = Intrinsics.default(512, 512)


def saved(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def centres(path):
    """(T, 3) of the cameras in the file's y-up world."""
    return invert_pose(y_up_from_opencv(path.world_to_camera.astype(np.float64)))[:, :3, 3]


# -- glTF -------------------------------------------------------------------------------------------------------------


def glb(*clips, nodes=None):
    """A .glb of clips {(node, path): (times, values)}; node 1 is the camera, below node 0."""
    packer = Packer()
    animations = []
    for number, clip in enumerate(clips):
        samplers, channels = [], []
        for (node, path), (times, values) in clip.items():
            values = np.asarray(values, "<f4")
            entry = {
                "input": packer.add(np.asarray(times, "<f4")[:, None], "SCALAR"),
                "output": packer.add(values, f"VEC{values.shape[1]}"),
            }
            channels.append({"sampler": len(samplers), "target": {"node": node, "path": path}})
            samplers.append(entry)
        animations.append({"name": f"clip{number}", "channels": channels, "samplers": samplers})
    document = {
        "asset": {"version": "2.0"},
        "nodes": nodes or [{"children": [1]}, {"camera": 0}],
        "cameras": [{"type": "perspective", "perspective": {"yfov": 0.8, "znear": 0.1}}],
        "animations": animations,
        **packer.described(),
    }
    return glb_bytes(document, packer.binary)


def turns(degrees):
    """Quaternions x, y, z, w about y."""
    half = np.radians(degrees) / 2
    return np.stack([0 * half, np.sin(half), 0 * half, np.cos(half)], axis=-1)


def slide(times, distance):
    """Translations along x that reach a distance."""
    return times, np.stack([np.linspace(0, distance, len(times)), 0 * times, 0 * times], axis=-1)


EVERY = np.arange(25) / 24


def test_of_several_takes_on_one_camera_one_is_read(tmp_path, caplog):
    first = {(1, "translation"): slide(EVERY, 2)}
    second = {(1, "rotation"): (EVERY, turns(np.linspace(0, 90, 25))), (1, "translation"): slide(EVERY, 50)}
    with caplog.at_level(logging.WARNING):
        path = load_camera(saved(tmp_path, "takes.glb", glb(first, second)), rebase=False)
    np.testing.assert_allclose(centres(path)[-1], [2, 0, 0], atol=1e-5)
    np.testing.assert_allclose(path.world_to_camera[-1, :3, :3], np.eye(3), atol=1e-6)
    assert "clip1" in caplog.text


def test_a_take_that_moves_the_rig_is_not_mixed_into_another(tmp_path):
    first = {(1, "translation"): slide(EVERY, 2)}
    second = {(0, "translation"): slide(EVERY, 50), (1, "translation"): slide(EVERY, 7)}
    path = load_camera(saved(tmp_path, "takes.glb", glb(first, second)), rebase=False)
    np.testing.assert_allclose(centres(path)[-1], [2, 0, 0], atol=1e-5)


def test_clips_of_one_object_each_go_together(tmp_path, caplog):
    """As Blender exports actions: the rig's and the camera's are two clips of one take."""
    rig, camera = {(0, "translation"): slide(EVERY, 3)}, {(1, "translation"): slide(EVERY, 2)}
    with caplog.at_level(logging.WARNING):
        path = load_camera(saved(tmp_path, "rig.glb", glb(rig, camera)), rebase=False)
    np.testing.assert_allclose(centres(path)[-1], [5, 0, 0], atol=1e-5)
    assert not caplog.text


ON_EVERY_FRAME = [(rate, 1) for rate in (15, 16, 24, 25, 30, 50, 60, 30000 / 1001, 24000 / 1001, 23.98, 18)]
SPARSE = [(24, 2), (24, 3), (24, 4), (25, 2), (25, 3), (25, 4), (30, 3), (60, 3)]


@pytest.mark.parametrize(("rate", "every"), ON_EVERY_FRAME + SPARSE)
def test_keys_are_sampled_at_the_rate_of_the_scene(tmp_path, rate, every):
    times = np.arange(0, 49, every) / rate
    path = load_camera(saved(tmp_path, "keys.glb", glb({(1, "translation"): slide(times, 4.8)})), rebase=False)
    assert path.fps == pytest.approx(rate, rel=1e-3) and len(path) == round(times[-1] * rate) + 1
    np.testing.assert_allclose(
        centres(path)[:, 0], np.arange(len(path)) * 0.1 * 48 / round(times[-1] * rate), atol=2e-3
    )


def test_keys_set_by_hand_lie_on_frames_of_the_scene(tmp_path):
    for rate, frames in ((24, [0, 10, 13, 48]), (25, [0, 7, 31, 60]), (30, [0, 11, 48])):
        times = np.array(frames) / rate
        path = load_camera(saved(tmp_path, "keys.glb", glb({(1, "translation"): (times, slide(times, 4)[1])})))
        assert (path.fps, len(path)) == (rate, frames[-1] + 1)


def test_the_scene_s_rate_may_be_given_or_stated(tmp_path):
    path = saved(tmp_path, "keys.glb", glb({(1, "translation"): slide(np.arange(13) / 6, 4)}))
    assert len(load_camera(path, fps=12)) == 25 and load_camera(path, fps=30).fps == 30
    slow = Trajectory.preset("30", frames=9, fps=5, intrinsics=SQUARE).save(tmp_path / "slow.glb")
    assert len(load_camera(slow)) == 9 and load_camera(slow).fps == 5


def test_the_command_line_gives_the_scene_s_rate(tmp_path):
    from ex4d_core.commands.recon_flags import camera_paths, path_length

    path = saved(tmp_path, "keys.glb", glb({(1, "translation"): slide(np.arange(13) / 6, 4)}))
    assert path_length(None, camera_paths([], [str(path)], "auto", 1.0), SQUARE) == 49
    assert path_length(None, camera_paths([], [str(path)], "auto", 1.0, 12.0), SQUARE) == 25


# -- RealEstate10K ----------------------------------------------------------------------------------------------------

POSE = "0 0 1 0 0 0 0 1 0 0 0 0 1 0"


@pytest.mark.parametrize("lens", ["0.532 0.946 0.5 0.5", "0.9 1.6 0.5 0.5", "1.2 0.675 0.5 0.5"])
@pytest.mark.parametrize("size", [(512, 512), (512, 288), (480, 832)])
def test_a_disc_stays_a_disc_in_a_picture_of_another_shape(tmp_path, lens, size):
    path = saved(tmp_path, "cameras.txt", "".join(f"{i * 40000} {lens} {POSE}\n" for i in range(3)))
    found = load_camera(path, size=size).intrinsics[0]
    assert found.fx == pytest.approx(found.fy, rel=2e-3)
    assert found.fy == pytest.approx(float(lens.split()[1]) * size[1], rel=1e-6), "the vertical field of view stays"
    scene = load_camera(path, intrinsics=Intrinsics.default(*size)).intrinsics[0]
    assert (scene.fx, scene.fy) == (found.fx, found.fy)


def test_a_shifted_lens_keeps_its_angle_in_another_shape(tmp_path):
    path = saved(tmp_path, "cameras.txt", f"0 0.9 1.6 0.6 0.4 {POSE}\n40000 0.9 1.6 0.6 0.4 {POSE}\n")
    lens = load_camera(path, size=(500, 500)).intrinsics[0]
    assert (lens.cx - 250) / lens.fx == pytest.approx(0.1 / 0.9, rel=1e-3)
    assert (lens.cy - 250) / lens.fy == pytest.approx(-0.1 / 1.6, rel=1e-3)


def test_our_own_file_remembers_the_shape_of_its_picture(tmp_path):
    squeezed = Intrinsics(400, 600, 250, 200, 512, 288)
    path = Trajectory(np.tile(np.eye(4), (3, 1, 1)), (squeezed,) * 3, 24.0).save(tmp_path / "own.txt")
    same = load_camera(path, size=(512, 288)).intrinsics[0]
    np.testing.assert_allclose(same.matrix(), squeezed.matrix(), rtol=1e-6)
    wide = load_camera(path, size=(512, 512)).intrinsics[0]
    assert wide.fx == wide.fy == pytest.approx(600 / 288 * 512, rel=1e-6)


@pytest.mark.parametrize("line", ["0.03 1 0 0 0 0 0 1", "1 0 0 0 0 1 0 0 0 0 1 0"], ids=["TUM", "KITTI"])
def test_other_trajectories_in_text_are_told_what_to_become(tmp_path, line):
    with pytest.raises(EX4DError, match=r"are not read\. Export the camera as glTF"):
        load_camera(saved(tmp_path, "poses.txt", f"{line}\n" * 3))


# -- transforms.json --------------------------------------------------------------------------------------------------


def transforms(order, **fields):
    frames = []
    for i in order:
        pose = np.eye(4)
        pose[0, 3] = i
        frames.append({"file_path": f"images/frame_{i}.jpg", "transform_matrix": pose.tolist()})
    return json.dumps({"w": 1920, "h": 1080, "fl_x": 1000.0, **fields, "frames": frames})


def test_frames_follow_each_other_by_their_pictures_numbers(tmp_path):
    order = [3, 11, 0, 2, 10, 1, 9, 4, 5, 8, 6, 7]
    path = load_camera(saved(tmp_path, "transforms.json", transforms(order)))
    np.testing.assert_allclose(centres(path)[:, 0], np.arange(12))
    raw = json.loads(transforms(order))
    del raw["frames"][4]["file_path"]  # without a name there is only the file's order
    path = load_camera(saved(tmp_path, "transforms.json", json.dumps(raw)), rebase=False)
    np.testing.assert_allclose(centres(path)[:, 0], order)


@pytest.mark.parametrize(
    "model", ["OPENCV_FISHEYE", "FISHEYE624", "EQUIRECTANGULAR", "ORTHOPHOTO", "THIN_PRISM_FISHEYE", 7]
)
def test_other_models_than_pinholes_are_refused(tmp_path, model):
    with pytest.raises(EX4DError, match="only pinholes"):
        load_camera(saved(tmp_path, "transforms.json", transforms(range(3), camera_model=model, k1=0.0)))
    raw = json.loads(transforms(range(3)))
    raw["frames"][2]["camera_model"] = model
    with pytest.raises(EX4DError, match="only pinholes"):
        load_camera(saved(tmp_path, "transforms.json", json.dumps(raw)))
    with pytest.raises(EX4DError, match="fisheye"):
        load_camera(saved(tmp_path, "transforms.json", transforms(range(3), is_fisheye=True)))


@pytest.mark.parametrize("model", ["PINHOLE", "SIMPLE_PINHOLE", "OPENCV", "SIMPLE_RADIAL", "FULL_OPENCV"])
def test_models_without_distortion_are_pinholes(tmp_path, model):
    text = transforms(range(3), camera_model=model, k1=0.0, p1=0, is_fisheye=False)
    assert load_camera(saved(tmp_path, "transforms.json", text)).intrinsics[0].fx == 1000
    with pytest.raises(EX4DError, match="distortion"):
        load_camera(saved(tmp_path, "transforms.json", transforms(range(3), camera_model=model, k5=0.1)))


def test_fields_of_view_along_either_side_are_the_lens(tmp_path):
    def lens(**fields):
        raw = json.loads(transforms(range(2), **fields))
        del raw["fl_x"]
        found = load_camera(saved(tmp_path, "transforms.json", json.dumps(raw)))
        return found.intrinsics[0].fx, found.intrinsics[0].fy

    vertical, across = 540 / np.tan(0.4), 960 / np.tan(0.5)
    assert lens(camera_angle_y=0.8) == pytest.approx((vertical, vertical))
    assert lens(camera_angle_x=1.0) == pytest.approx((across, across))
    assert lens(camera_angle_x=1.0, camera_angle_y=0.8) == pytest.approx((across, vertical))
    assert lens(fl_y=700.0) == pytest.approx((700, 700))


def turned(vector, axis, degrees):
    """A vector turned about one axis, right-handed."""
    a, b = [(1, 2), (2, 0), (0, 1)][axis]
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    result = np.array(vector, float)
    result[a], result[b] = cosine * vector[a] - sine * vector[b], sine * vector[a] + cosine * vector[b]
    return result


def viewer_path(**fields):
    """As nerfstudio's viewer exports it."""
    cameras = []
    for index in range(5):
        pose = np.eye(4)
        pose[0, 3] = index
        cameras.append({"camera_to_world": pose.ravel().tolist(), "fov": 50 + index, "aspect": 1.78})
    document = {"camera_type": "perspective", "render_width": 1920, "render_height": 1080, "fps": 24, "seconds": 0.2}
    return json.dumps(document | {"camera_path": cameras} | fields)


def test_a_path_of_nerfstudio_s_viewer_is_read(tmp_path):
    path = load_camera(saved(tmp_path, "path.json", viewer_path()))
    np.testing.assert_allclose(centres(path)[:, 0], np.arange(5))
    assert path.fps == 24 and [k.vertical_fov for k in path.intrinsics] == pytest.approx([50, 51, 52, 53, 54])
    for changes in (
        {"camera_type": "equirectangular"},
        {"camera_path": [{"camera_to_world": [1, 2]}]},
        {"camera_path": [1]},
    ):
        with pytest.raises(EX4DError):
            load_camera(saved(tmp_path, "path.json", viewer_path(**changes)))


# -- .chan ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [6, 7])
def test_a_chan_without_frame_numbers_begins_with_the_position(tmp_path, columns, caplog):
    rows = [(0.5 + i / 8, 1 + i / 20, 5 - i / 8, -0.625 * i, 2.5 * i, 5.0 * i, 50) for i in range(9)]
    text = "".join("\t".join(f"{v:g}" for v in row[:columns]) + "\n" for row in rows)
    with caplog.at_level(logging.WARNING):
        path = load_camera(saved(tmp_path, "houdini.chan", text), rebase=False)
    np.testing.assert_allclose(centres(path), [row[:3] for row in rows], atol=1e-6)
    assert path.intrinsics is None and ("lens" in caplog.text) == (columns == 7)
    # Houdini's default order turns about x, then y, then z: the last camera looks along Rz Ry Rx (0, 0, -1).
    forward = turned(turned(turned([0, 0, -1], 0, -5), 1, 20), 2, 40)
    pose = y_up_from_opencv(path.world_to_camera[-1].astype(np.float64))
    np.testing.assert_allclose(-pose[2, :3], forward, atol=1e-6)


def test_a_chan_with_frame_numbers_and_no_lens_is_still_one(tmp_path):
    text = "".join(f"{frame} {frame} 0 0 0 0 0\n" for frame in range(1, 6))
    path = load_camera(saved(tmp_path, "nuke.chan", text))
    np.testing.assert_allclose(centres(path)[:, 0], np.arange(5))
    with pytest.raises(EX4DError, match="Export every frame"):
        load_camera(saved(tmp_path, "nuke.chan", "1 0 0 0 0 0 0\n25 1 0 0 0 0 0\n"))


# -- .npz -------------------------------------------------------------------------------------------------------------


def test_an_npz_that_calls_itself_encrypted_is_refused_in_a_sentence(tmp_path):
    path = Trajectory.preset("30", frames=3, intrinsics=SQUARE).save(tmp_path / "camera.npz")
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\1\2")  # the last entry of the table; its flags follow three numbers of two bytes
    data[at + 8] |= 1
    with pytest.raises(EX4DError, match="not a readable"):
        load_camera(saved(tmp_path, "locked.npz", bytes(data)))
