"""Camera files: every format there and back, files of other programs, and broken ones."""

import base64
import json
import struct

import numpy as np
import pytest

from ex4d_core.camera import Intrinsics, invert_pose, look_at, opengl_from_opencv, y_up_from_opencv
from ex4d_core.camera_io import FORMATS, written_formats
from ex4d_core.errors import EX4DError
from ex4d_core.trajectory import Trajectory, load_camera, save_camera

LENS = Intrinsics.default(640, 352)
BOTH_WAYS = [name for name, entry in written_formats().items() if entry.read]
"""What is written only, scripts for other programs, test_camera_scripts.py reads back."""
EXACT_FPS = {"npz", "json", "re10k", "transforms", "gltf", "glb", "jsx", "blender", "usda"}


def shaken_path(frames=12, lens=LENS, fps=24.0):
    """Over the top and back with a changing roll; one lens."""
    eyes = [(0.4 * i, -0.5 * i, 0.35 * i) for i in range(frames)]
    poses = [look_at(eye, (0.1, 0.2, 3), 7.0 * i) for i, eye in enumerate(eyes)]
    poses = np.array(poses) @ invert_pose(poses[0])
    return Trajectory(poses, (lens,) * frames, fps)


def file(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("name", BOTH_WAYS)
def test_every_format_gives_back_what_it_was_given(name, tmp_path):
    path = shaken_path()
    saved = save_camera(path, tmp_path / f"path{FORMATS[name].suffixes[0]}", format=name)
    again = load_camera(saved).for_scene(LENS)
    np.testing.assert_allclose(again.world_to_camera, path.world_to_camera, atol=1e-5)
    for ours, theirs in zip(again.intrinsics, path.intrinsics, strict=True):
        np.testing.assert_allclose(ours.matrix(), theirs.matrix(), atol=2e-3)
        assert (ours.width, ours.height) == (640, 352)
    assert again.fps == pytest.approx(24 if name in EXACT_FPS else 15, abs=1e-3)
    assert [entry.name for entry in tmp_path.iterdir()] == [saved.name], "nothing else is left behind"


@pytest.mark.parametrize("name", ["npz", "json", "chan", "transforms", "gltf", "glb", "jsx", "blender", "nk", "usda"])
def test_a_zooming_lens_survives(name, tmp_path):
    lenses = tuple(Intrinsics.from_fov(30 + 3 * i, 640, 352) for i in range(12))
    path = Trajectory(shaken_path().world_to_camera, lenses)
    again = load_camera(path.save(tmp_path / f"zoom{FORMATS[name].suffixes[0]}", format=name)).for_scene(LENS)
    np.testing.assert_allclose([k.fy for k in again.intrinsics], [k.fy for k in lenses], rtol=1e-5)


@pytest.mark.parametrize("name", BOTH_WAYS)
def test_a_shifted_lens_survives_or_is_refused(name, tmp_path):
    path = shaken_path(lens=Intrinsics(500, 500, 300, 200, 640, 352))
    target = tmp_path / f"shift{FORMATS[name].suffixes[0]}"
    if name in ("chan", "gltf", "glb", "jsx", "nk"):
        with pytest.raises(EX4DError, match="lens shift"):
            path.save(target, format=name)
        assert not target.exists()
    elif name == "recammaster":  # has no lens at all
        assert load_camera(path.save(target, format=name)).intrinsics is None
    else:
        again = load_camera(path.save(target, format=name)).for_scene(LENS)
        assert (again.intrinsics[3].cx, again.intrinsics[3].cy) == pytest.approx((300, 200), abs=1e-4)


def test_the_published_file_is_read(reference):
    path = Trajectory.load(reference / "flower" / "camera_180.npz")
    ours = Trajectory.preset("180", radius=2.74)
    np.testing.assert_allclose(path.world_to_camera, ours.world_to_camera, atol=1e-4)
    assert path.intrinsics[0] == Intrinsics(500, 500, 256, 256, 512, 512)


def test_written_npz_is_what_the_published_scripts_read(tmp_path):
    path = Trajectory.preset("90", intrinsics=Intrinsics.default(512, 512))
    with np.load(path.save(tmp_path / "camera_90.npz")) as arrays:
        np.testing.assert_array_equal(arrays["extrinsics"], opengl_from_opencv(path.world_to_camera).astype(np.float32))
        assert arrays["intrinsics"].shape == (3, 3) and arrays["extrinsics"].dtype == np.float32


def test_imported_paths_start_at_the_source_view_unless_asked_otherwise(tmp_path):
    away = look_at((3, -1, 2), (0, 0, 8), 15)
    path = Trajectory(shaken_path().world_to_camera @ away, (LENS,) * 12)
    saved = path.save(tmp_path / "far.npz")
    rebased = load_camera(saved)
    np.testing.assert_allclose(rebased.world_to_camera, shaken_path().world_to_camera, atol=1e-5)
    np.testing.assert_allclose(load_camera(saved, rebase=False).world_to_camera, path.world_to_camera, atol=1e-6)
    scaled = load_camera(saved, scale=2.0)
    np.testing.assert_allclose(scaled.world_to_camera[:, :3, 3], 2 * rebased.world_to_camera[:, :3, 3], atol=1e-5)


def test_nuke_rotation_order_is_zxy(tmp_path):
    # 90 degrees about x looks straight up in a y-up world; then 90 about y turns that about the vertical.
    path = load_camera(file(tmp_path, "a.chan", "1 0 0 0 0 0 0 40\n2 1 2 3 90 90 0 40\n"), rebase=False)
    pose = invert_pose(y_up_from_opencv(path.world_to_camera[1].astype(np.float64)))
    np.testing.assert_allclose(pose[:3, 3], [1, 2, 3], atol=1e-6)
    np.testing.assert_allclose(-pose[:3, 2], [0, 1, 0], atol=1e-6)
    np.testing.assert_allclose(pose[:3, 0], [0, 0, -1], atol=1e-6)
    assert path.for_scene(LENS).intrinsics[0].vertical_fov == pytest.approx(40)


def test_realestate10k_lines_without_a_size_take_the_scenes(tmp_path):
    line = "0.9 1.6 0.5 0.5 0 0 1 0 0 0 0 1 0 0 0 0 1 0"
    text = f"https://example.com/watch\n0 {line}\n40000 {line}\n"
    path = load_camera(file(tmp_path, "cameras.txt", text))
    assert path.fps == 25 and path.intrinsics is None
    assert path.for_scene(LENS).intrinsics[0].fy == pytest.approx(1.6 * 352)
    sized = load_camera(tmp_path / "cameras.txt", size=(1600, 900)).intrinsics[0]
    assert (sized.fx, sized.fy, sized.width) == pytest.approx((1440, 1440, 1600))


STILL_LINE = "0.9 1.6 0.5 0.5 0 0 1 0 0 0 0 1 0 0 0 0 1 0"


@pytest.mark.parametrize("frames", [(1, 25, 49), (1, 2, 4), (0.5, 1, 1.5)])
def test_a_chan_file_with_frames_left_out_is_no_shorter_path(frames, tmp_path):
    text = "".join(f"{frame} 0 0 {frame} 0 0 0 40\n" for frame in frames)
    with pytest.raises(EX4DError, match=r"gaps.chan: line \d is frame .* Export every frame"):
        load_camera(file(tmp_path, "gaps.chan", text))


def test_a_chan_file_may_begin_at_any_frame(tmp_path):
    text = "".join(f"{frame} 0 0 0 0 0 0 40\n" for frame in (-1, 0, 1, 2))
    assert len(load_camera(file(tmp_path, "a.chan", text))) == 4


def test_realestate10k_times_with_a_gap_or_out_of_order_are_refused(tmp_path):
    for times, words in (
        ((0, 40000, 80000, 400000), "line 5 is 0.32 s after"),
        ((40000, 0, 80000), "line 3 is not after"),
    ):
        text = "title\n" + "".join(f"{time} {STILL_LINE}\n" for time in times)
        with pytest.raises(EX4DError, match=words):
            load_camera(file(tmp_path, "cameras.txt", text))


@pytest.mark.parametrize("times", [(0, 0, 0), (0, 33366, 66733, 133466, 166833), (267000, 534000, 834000)])
def test_realestate10k_times_of_published_files_are_read(times, tmp_path):
    """None at all, every frame but one of a video, and every eighth frame rounded."""
    text = "title\n" + "".join(f"{time} {STILL_LINE}\n" for time in times)
    assert len(load_camera(file(tmp_path, "cameras.txt", text))) == len(times)


def test_transforms_of_other_tools(tmp_path):
    pose = np.eye(4).tolist()
    text = json.dumps({"camera_angle_x": 1.0, "w": 800, "h": 600, "frames": [{"transform_matrix": pose}] * 3})
    path = load_camera(file(tmp_path, "transforms.json", text))
    assert path.intrinsics[0].fx == pytest.approx(400 / np.tan(0.5)) and len(path) == 3
    np.testing.assert_allclose(path.world_to_camera[2], np.eye(4))


def gltf(nodes, animations=(), buffer=b"", accessors=(), views=(), camera=None):
    """A small .gltf document as another program might write it."""
    uri = "data:application/octet-stream;base64," + base64.b64encode(buffer).decode()
    return {
        "asset": {"version": "2.0"},
        "nodes": nodes,
        "cameras": [camera or {"type": "perspective", "perspective": {"yfov": 0.8, "znear": 0.1}}],
        "animations": list(animations),
        "buffers": [{"byteLength": len(buffer), "uri": uri}],
        "bufferViews": list(views),
        "accessors": list(accessors),
    }


def turntable(interpolation="LINEAR"):
    """A camera 2 units before the origin below a node that turns by 90 degrees about y within one second."""
    times = np.array([0, 1], "<f4").tobytes()
    half = np.sqrt(0.5)
    keys = np.array([[0, 0, 0, 1], [0, half, 0, half]], "<f4")
    if interpolation == "CUBICSPLINE":
        keys = np.concatenate([[np.zeros((3, 4)), [np.zeros(4)] * 3]]).astype("<f4")
        keys[0, 1], keys[1, 1] = [0, 0, 0, 1], [0, half, 0, half]
    data = times + keys.tobytes()
    count = 6 if interpolation == "CUBICSPLINE" else 2
    return gltf(
        [{"children": [1], "scale": [3, 3, 3]}, {"camera": 0, "translation": [0, 0, 2]}],
        [
            {
                "channels": [{"sampler": 0, "target": {"node": 0, "path": "rotation"}}],
                "samplers": [{"input": 0, "output": 1, "interpolation": interpolation}],
            }
        ],
        data,
        [
            {"bufferView": 0, "componentType": 5126, "count": 2, "type": "SCALAR"},
            {"bufferView": 0, "byteOffset": 8, "componentType": 5126, "count": count, "type": "VEC4"},
        ],
        [{"buffer": 0, "byteLength": len(data)}],
    )


@pytest.mark.parametrize("interpolation", ["LINEAR", "STEP", "CUBICSPLINE"])
def test_gltf_cameras_below_animated_nodes_are_sampled(interpolation, tmp_path):
    path = load_camera(file(tmp_path, "rig.gltf", json.dumps(turntable(interpolation))), fps=10, rebase=False)
    assert len(path) == 11 and path.fps == 10
    eyes = invert_pose(y_up_from_opencv(path.world_to_camera.astype(np.float64)))[:, :3, 3]
    np.testing.assert_allclose(eyes[[0, -1]], [[0, 0, 6], [6, 0, 0]], atol=1e-5)
    middle = {"LINEAR": [18**0.5, 0, 18**0.5], "STEP": [0, 0, 6], "CUBICSPLINE": [18**0.5, 0, 18**0.5]}
    np.testing.assert_allclose(eyes[5], middle[interpolation], atol=1e-5)
    assert path.for_scene(LENS).intrinsics[0].vertical_fov == pytest.approx(np.degrees(0.8))


def test_gltf_data_may_lie_beside_the_file_but_not_elsewhere(tmp_path):
    document = turntable()
    data = base64.b64decode(document["buffers"][0]["uri"].split(",")[1])
    document["buffers"][0]["uri"] = "rig.bin"
    saved = file(tmp_path, "rig.gltf", json.dumps(document))
    with pytest.raises(EX4DError, match="beside it"):
        load_camera(saved)
    file(tmp_path, "rig.bin", data)
    assert len(load_camera(saved, fps=10)) == 11
    document["buffers"][0]["uri"] = "Fahrt%20%C3%BC.bin"  # as exporters write names into URIs
    file(tmp_path, "Fahrt ü.bin", data)
    assert len(load_camera(file(tmp_path, "rig.gltf", json.dumps(document)), fps=10)) == 11
    for uri in ("../rig.bin", "..%2Frig.bin", "/etc/hostname", "http://host/rig.bin", "C:rig.bin", "..\\rig.bin"):
        document["buffers"][0]["uri"] = uri
        with pytest.raises(EX4DError, match="outside its folder"):
            load_camera(file(tmp_path, "rig.gltf", json.dumps(document)))


def glb_with(length, version=2):
    return struct.pack("<III", 0x46546C67, version, length) + b"\0" * 20


def with_pose(fields):
    return "{" + fields + ', "frames": [{"transform_matrix": [[1,0,0,0],[0,1,0,0],[0,0,1,0],[0,0,0,1]]}]}'


def overlapping():
    """One value standing for a thousand million."""
    document = turntable()
    document["bufferViews"][0]["byteStride"] = 0
    document["accessors"][0]["count"] = 10**12
    return document


STILL = np.tile(np.eye(4), (3, 1, 1))

BROKEN = {
    "empty.npz": b"",
    "text.npz": b"this is a text",
    "cut.npz": None,
    "no_arrays.npz": {"poses": np.eye(4)},
    "shape.npz": {"extrinsics": np.eye(4)},
    "nan.npz": {"extrinsics": np.full((3, 4, 4), np.nan), "intrinsics": np.eye(3)},
    "scaled.npz": {"extrinsics": np.tile(np.diag([2.0, 2, 2, 1]), (3, 1, 1))},
    "zero_focal.npz": {"extrinsics": np.tile(np.eye(4), (3, 1, 1)), "intrinsics": np.zeros((3, 3))},
    "objects.npz": {"extrinsics": np.array([None, {}], dtype=object)},
    "text_arrays.npz": {"extrinsics": np.array(["a", "b"])},
    "binary.txt": bytes(range(256)),
    "prose.txt": "Once upon a time\nthere was a camera\n",
    "short.txt": "title\n" + "0 " * 18 + "\n",
    "words.txt": "title\n" + "a " * 19 + "\n",
    "zero.txt": "title\n" + "0 " * 19 + "\n",
    "nan.txt": "title\n" + "nan " * 19 + "\n",
    "title.txt": "https://example.com\n",
    "short.chan": "1 0 0 0\n",
    "ragged.chan": "1 0 0 0 0 0 0 40\n2 0 0 0 0 0 0\n",
    "back.chan": "2 0 0 0 0 0 0 40\n1 0 0 0 0 0 0 40\n",
    "fov.chan": "1 0 0 0 0 0 0 0\n",
    "comment.chan": "# nothing\n",
    "list.json": "[1, 2]",
    "foreign.json": '{"cameras": []}',
    "newer.json": '{"version": 2, "frames": 3}',
    "no_frames.json": '{"frames": []}',
    "no_matrix.json": '{"frames": [{"file_path": "a"}]}',
    "ragged.json": '{"frames": [{"transform_matrix": [[1, 2], [3]]}]}',
    "mirrored.json": '{"frames": [{"transform_matrix": [[-1,0,0,0],[0,1,0,0],[0,0,1,0],[0,0,0,1]]}]}',
    "no_size.json": '{"fl_x": 3, "frames": [{"transform_matrix": [[1,0,0,0],[0,1,0,0],[0,0,1,0],[0,0,0,1]]}]}',
    "distorted.json": '{"k1": 0.1, "frames": [{"transform_matrix": [[1,0,0,0],[0,1,0,0],[0,0,1,0],[0,0,0,1]]}]}',
    "not.gltf": "{}",
    "text.gltf": "hello",
    "old.gltf": '{"asset": {"version": "1.0"}}',
    "no_camera.gltf": json.dumps(gltf([{}])),
    "ortho.gltf": json.dumps(gltf([{"camera": 0}], camera={"type": "orthographic", "orthographic": {}})),
    "circle.gltf": json.dumps(gltf([{"camera": 0, "children": [1]}, {"children": [0]}])),
    "cut_data.gltf": json.dumps({**turntable(), "buffers": [{"uri": "data:;base64,AAAA", "byteLength": 3}]}),
    "damaged.gltf": json.dumps({**turntable(), "buffers": [{"uri": "data:;base64,%%%", "byteLength": 3}]}),
    "dangling.gltf": json.dumps({**turntable(), "accessors": []}),
    "cut.glb": glb_with(4000),
    "newer.glb": glb_with(32, version=3),
    "empty_chunks.glb": glb_with(32),
    "digits.json": '{"version": ' + "1" * 5000 + "}",
    "huge.json": '{"version": 1, "frames": ' + "1" * 400 + "}",
    "deep.json": "[" * 100_000,
    "huge_lens.json": with_pose(f'"fl_x": {"1" * 400}, "w": 64, "h": 64'),
    "huge_pose.json": '{"frames": [{"transform_matrix": [[' + "1" * 400 + ", 0, 0, 0]]}]}",
    "huge_width.json": with_pose(f'"fl_x": 500, "w": {"1" * 400}, "h": 64'),
    "tiny_angle.json": with_pose('"camera_angle_x": 5e-324, "w": 64, "h": 64'),
    "text_fps.npz": {"extrinsics": STILL, "fps": np.array("abc")},
    "nan_fps.npz": {"extrinsics": STILL, "fps": np.nan},
    "fast.npz": {"extrinsics": STILL, "fps": 5000},
    "no_rate.npz": {"extrinsics": STILL, "fps": 0},
    "no_rate.json": with_pose('"fps": 0'),
    "text_rate.json": with_pose('"fps": "24"'),
    "nan_size.npz": {"extrinsics": STILL, "intrinsics": np.eye(3), "size": np.array([np.nan, 3])},
    "flat_size.npz": {"extrinsics": STILL, "intrinsics": np.eye(3), "size": np.array(5)},
    "yfov.gltf": json.dumps(gltf([{"camera": 0}])).replace('"yfov": 0.8', '"yfov": ' + "1" * 400),
    "nan_yfov.gltf": json.dumps(gltf([{"camera": 0}])).replace('"yfov": 0.8', '"yfov": NaN'),
    "deep.gltf": '{"asset": ' + "[" * 100_000,
    "overlapping.gltf": json.dumps(overlapping()),
    "camera.fbx": b"Kaydara",
    "camera": b"?",
}


@pytest.mark.parametrize("name", BROKEN)
def test_foreign_and_broken_files_are_refused_in_a_sentence_or_two(name, tmp_path):
    content = BROKEN[name]
    if isinstance(content, dict):
        np.savez(tmp_path / name, **content)
    elif content is None:
        whole = Trajectory.preset("90").save(tmp_path / "whole.npz").read_bytes()
        file(tmp_path, name, whole[: len(whole) // 2])
    else:
        file(tmp_path, name, content)
    with pytest.raises(EX4DError) as error:
        load_camera(tmp_path / name)
    assert name in str(error.value)
    assert len(str(error.value)) < 400


def test_the_rate_in_the_file_comes_before_the_caller_s(tmp_path):
    line = "0.9 1.6 0.5 0.5 0 0 1 0 0 0 0 1 0 0 0 0 1 0"
    saved = file(tmp_path, "cameras.txt", f"0 {line}\n40000 {line}\n")
    assert load_camera(saved, fps=15).fps == 25
    assert load_camera(file(tmp_path, "still.txt", f"0 {line}\n"), fps=12).fps == 12
    for name in ("npz", "transforms"):
        saved = save_camera(shaken_path(), tmp_path / f"path{FORMATS[name].suffixes[0]}", format=name)
        assert load_camera(saved, fps=15).fps == 24


@pytest.mark.parametrize("name", written_formats())
def test_a_name_that_the_format_would_not_be_read_from_is_refused(name, tmp_path):
    wrong = tmp_path / ("x.chan" if ".txt" in FORMATS[name].suffixes else "x.txt")
    with pytest.raises(EX4DError, match=f"ends in {FORMATS[name].suffixes[0]}"):
        shaken_path().save(wrong, format=name)
    assert not wrong.exists()


@pytest.mark.parametrize("fps", [0, -24, float("nan"), float("inf"), 5000])
def test_a_rate_that_no_path_may_have_is_refused_and_not_replaced(fps, tmp_path):
    for name in BOTH_WAYS:
        saved = shaken_path().save(tmp_path / f"{name}{FORMATS[name].suffixes[0]}", format=name)
        with pytest.raises(EX4DError, match="fps must lie between"):
            load_camera(saved, fps=fps)


def test_missing_files_and_folders_are_refused(tmp_path):
    with pytest.raises(EX4DError, match="could not be read"):
        load_camera(tmp_path / "no\0name.npz")
    with pytest.raises(EX4DError, match="could not be read"):
        load_camera(tmp_path / "none.npz")
    with pytest.raises(EX4DError, match="cannot be written"):
        shaken_path().save(tmp_path / "no" / "folder.npz")
    with pytest.raises(EX4DError, match="unknown camera format"):
        shaken_path().save(tmp_path / "path.abc")
    with pytest.raises(EX4DError, match="scale"):
        load_camera(tmp_path / "none.npz", scale=0)


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_else(tmp_path, monkeypatch):
    saved = shaken_path().save(tmp_path / "path.npz")
    before = saved.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(EX4DError, match="disk is full"):
        Trajectory.preset("90").save(saved)
    assert saved.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("name", ["re10k", "chan", "gltf"])
def test_formats_that_hold_the_lens_refuse_a_path_without_one(name, tmp_path):
    path = Trajectory.preset("90")
    with pytest.raises(EX4DError, match="leaves it to the scene"):
        path.save(tmp_path / f"x{FORMATS[name].suffixes[0]}", format=name)


def test_a_path_that_states_its_field_of_view_travels_between_formats_without_a_scene(tmp_path):
    shaken_path().save(tmp_path / "a.chan")
    load_camera(tmp_path / "a.chan").save(tmp_path / "b.glb")
    again = load_camera(tmp_path / "b.glb").for_scene(LENS)
    np.testing.assert_allclose(again.world_to_camera, shaken_path().world_to_camera, atol=2e-5)
    assert again.intrinsics[0].fy == pytest.approx(LENS.fy, rel=1e-5)
