"""Camera paths in a real ComfyUI: presets, the editor's JSON, files in and out."""

from __future__ import annotations

import base64
import io
import json
import os
import time

import numpy as np
import pytest
from PIL import Image
from test_geometry_nodes import record, recorded, scene

from ex4d_core.camera import Intrinsics
from ex4d_core.trajectory import Trajectory

MESH_WIDGETS = {
    "name": "EX-4D/filmed",
    "format": "glb",
    "colors": "each frame",
    "faces": 500,
    "picture": 0,
    "between": "hold",
    "scale": 1.0,
}

WIDGETS = {
    "preset": "orbit",
    "angle": 90.0,
    "distance": 0.5,
    "turns": 2.0,
    "rise": 0.2,
    "follow": 0.0,
    "ease": "linear",
    "frames": 0,
    "fps": 15.0,
    "scale": 1.0,
    "file": "none",
    "path": "",
}


def camera(mesh=None, **values):
    links = {} if mesh is None else {"mesh": [mesh, 0]}
    return {"class_type": "EX4DCameraTrajectory", "inputs": WIDGETS | values | links}


def save(format="json", **values):
    inputs = {"trajectory": ["path", 0], "name": "EX-4D/camera", "format": format} | values
    return {"class_type": "EX4DSaveTrajectory", "inputs": inputs}


def keyed(**key):
    keys = [{"frame": 0, "position": [0, 0, 0], "target": [0, 0, 3]}]
    keys.append({"frame": 4, "position": [1, 0, 0], "target": [0, 0, 3]} | key)
    return json.dumps({"version": 1, "frames": 5, "fps": 24, "keyframes": keys})


def test_a_preset_fits_the_mesh_and_is_drawn(client):
    result = client.queue({**scene(), "path": camera("mesh"), "record": record("path")}).ok()
    path = recorded(result)
    assert path["class"] == "Trajectory" and path["world_to_camera"]["shape"] == [5, 4, 4]
    shown = result.outputs["path"]
    assert Image.open(io.BytesIO(client.view(shown["images"][0]))).size == (960, 460)
    assert "5 frames, 15 fps" in result.text("path") and "0° to 90°" in result.text("path")
    document = json.loads(shown["ex4d_path"][0])
    assert document["source"]["preset"] == "orbit" and document["frames"] == 5
    assert shown["ex4d_preview"][0]["type"] == "temp"


def test_bullet_time_is_longer_than_the_clip_by_what_is_frozen_and_renders(client):
    graph = {**scene(), "path": camera("mesh", preset="bullet_time", freeze=2, hold=4)}
    inputs = {"mesh": ["mesh", 0], "trajectory": ["path", 0], "backend": "auto", "width": 0, "height": 0}
    graph["render"] = {
        "class_type": "EX4DRenderColorMask",
        "inputs": inputs | {"first_frame": "auto", "supersample": 1},
    }
    result = client.queue(graph).ok()
    assert "9 frames" in result.text("path") and "shows frames 0 to 4 of the clip's 5" in result.text("path")
    assert "9 frames" in result.text("render")
    late = client.queue({**scene(), "path": camera("mesh", preset="bullet_time", frames=5, freeze=9)}).ok()
    assert "0 to 4" in late.text("path")
    beyond = client.queue({**scene(), "path": camera("mesh", preset="bullet_time", frames=30, freeze=2, hold=4)}).ok()
    assert "runs to frame 25 of the clip, which ends at 4" in beyond.text("path")
    closed = client.queue({**scene(), "path": camera("mesh", angle=360.0, loop=True)}).ok()
    assert json.loads(closed.outputs["path"]["ex4d_path"][0])["loop"] is True


def test_without_a_mesh_a_path_has_the_published_length(client):
    result = client.queue({"path": camera(preset="180"), "record": record("path")}).ok()
    assert recorded(result)["world_to_camera"]["shape"] == [49, 4, 4]
    assert "ex4d_preview" not in result.outputs["path"]


def test_presets_take_the_widgets(client):
    names = ("sweep", "zoom_in", "crane", "spiral", "arc_over", "roll", "static")
    result = client.queue({name: camera(preset=name, angle=33.0, frames=3, scale=2.0) for name in names}).ok()
    for name in names:
        document = json.loads(result.outputs[name]["ex4d_path"][0])
        assert document["source"]["preset"] == name and document["frames"] == 3
        assert document["source"]["params"].get("angle", 33.0) == 33.0
        assert document["radius"] == pytest.approx(2 * (10000 / 3900 + 0.15))


def test_the_editors_path_alone_decides(client):
    result = client.queue({"path": camera(path=keyed(fov=50), frames=81), "record": record("path")}).ok()
    assert recorded(result)["world_to_camera"]["shape"] == [5, 4, 4]
    assert result.text("path").startswith("Keyframes\n5 frames, 24 fps")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (keyed(fov=0), "Keyframe 1 (frame 4): fov"),
        (keyed(target=[1, 0, 0]), "same point"),
        ("{oops", "not valid JSON"),
        ('{"version": 7}', "version 7"),
    ],
)
def test_a_wrong_path_is_refused_before_running(client, path, words):
    result = client.queue({"path": camera(path=path)})
    assert result.status == "refused" and words in result.message


def test_a_path_through_its_target_turns_the_node_red(client):
    keys = [{"frame": f, "position": [0, 0, z], "target": [0, 0, 3]} for f, z in ((0, 0), (4, 6))]
    path = json.dumps({"version": 1, "frames": 5, "keyframes": keys})
    result = client.queue({"path": camera(path=path), "record": record("path")})
    assert result.status == "error" and "At frame 2" in result.message


def test_saved_paths_come_back(client, server):
    formats = ("json", "npz", "re10k", "chan", "transforms", "gltf", "glb")
    graph = {**scene(), "path": camera("mesh", angle=40.0)}
    graph |= {format: save(format, name=f"paths/{format}", mesh=["mesh", 0]) for format in formats}
    result = client.queue(graph).ok()
    names = {}
    for format in formats:
        file = sorted((server.output / "paths").glob(f"{format}_*"))[-1]
        assert file.name in result.text(format) and "5 frames" in result.text(format)
        names[format] = (server.input / file.name).name
        (server.input / file.name).write_bytes(file.read_bytes())
    result = client.queue({**scene()} | {format: camera("mesh", file=names[format]) for format in formats}).ok()
    for format in formats:
        assert "5 frames" in result.text(format) and "0° to 40°" in result.text(format), format


def test_files_outside_the_folders_are_refused(client, server):
    (server.input / "camera.npz").write_bytes(b"nothing")
    result = client.queue({"path": camera(file="camera.npz"), "record": record("path")})
    assert result.status == "error" and "camera.npz" in result.message
    for name in ("../camera.npz", "/etc/hostname", "\\\\host\\share\\camera.npz", "missing.chan"):
        assert client.queue({"path": camera(file=name)}).status == "refused"
    for name in ("../camera", "/tmp/camera", "a/../../camera", "C:camera", "~/camera", "", ".."):
        result = client.queue({"path": camera(frames=5), "save": save(name=name)})
        assert "outside ComfyUI's output folder" in result.message and "save" not in result.executed, name
    for name in ("a?b", "shots/con", "com1.json", "a\tb", "ends with a dot.", "gone ./camera"):
        result = client.queue({"path": camera(frames=5), "save": save(name=name)})
        assert "no file name on every system" in result.message and "save" not in result.executed, name
    (server.output / "taken").write_text("a file, not a folder")
    result = client.queue({"path": camera(frames=5), "save": save(name="taken/camera")})
    assert result.status == "error" and "cannot be written" in result.message
    assert client.queue({"path": camera(frames=5), "save": save(name="EX-4D/fine")}).ok()


def test_a_replaced_file_runs_again_although_its_age_and_size_are_the_same(client, server):
    """As after rsync -t; and the data that a .gltf keeps in a file beside it counts too."""
    client.queue(
        {**scene(), "path": camera("mesh", angle=40.0), "save": save("gltf", name="again", mesh=["mesh", 0])}
    ).ok()
    document = json.loads(sorted(server.output.glob("again_*.gltf"))[-1].read_text())
    data = base64.b64decode(document["buffers"][0]["uri"].split(",", 1)[1])
    document["buffers"][0]["uri"] = "again.bin"
    text = json.dumps(document).encode()
    prompt = {"path": camera(file="again.gltf"), "record": record("path")}
    for name, first, second in (("again.gltf", text, text), ("again.bin", data, data[::-1])):
        (server.input / "again.gltf").write_bytes(text)
        (server.input / "again.bin").write_bytes(data)
        file = server.input / name
        file.write_bytes(first)
        client.queue(prompt)
        assert "path" in client.queue(prompt).ok().cached
        stat = file.stat()
        time.sleep(0.02)
        file.write_bytes(second)
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert "path" not in client.queue(prompt).cached, name


def test_a_format_that_needs_a_lens_says_so(client):
    result = client.queue({"path": camera(frames=4), "save": save("chan")})
    assert result.status == "error" and "Connect the mesh" in result.message


def test_a_changed_camera_file_runs_again_and_an_unchanged_one_does_not(client, server):
    poses = np.tile(np.eye(4, dtype=np.float32), (3, 1, 1)) * [[[1], [-1], [-1], [1]]]
    np.savez(server.input / "changing.npz", extrinsics=poses)
    graph = {"path": camera(file="changing.npz"), "record": record("path")}
    assert "3 frames" in client.queue(graph).ok().text("path")
    assert "path" in client.queue(graph).ok().cached
    np.savez(server.input / "changing.npz", extrinsics=poses[[0, 1, 2, 2]])
    assert "4 frames" in client.queue(graph).ok().text("path")


def load3d(server, **camera):
    """The core's own node, with what its viewer sends; the pictures are not looked at here."""
    from PIL import Image

    Image.new("RGBA", (8, 8)).save(server.input / "viewer.png")
    (server.input / "3d").mkdir(exist_ok=True)
    (server.input / "3d" / "viewer.glb").touch()
    pictures = dict.fromkeys(("image", "mask", "normal", "lineart"), "viewer.png")
    return {
        "class_type": "Load3D",
        "inputs": {
            "model_file": "3d/viewer.glb",
            "width": 64,
            "height": 64,
            "image": pictures | {"recording": "", **camera},
        },
    }


def node_of_cameras(cameras: list[dict]) -> dict:
    """What newer hosts' nodes for a camera's whole way put out."""
    return {"class_type": "EX4DTestValue", "inputs": {"text": json.dumps(cameras)}}


def test_a_3d_viewers_viewpoint_is_where_the_move_ends(client, server):
    info = {"position": {"x": 9, "y": 0, "z": 0}, "target": {"x": 0, "y": 0, "z": 0}, "zoom": 1}
    viewer = load3d(server, camera_info=info | {"cameraType": "perspective"})
    shot = {**scene(), "viewer": viewer, "record": record("path", 0, "viewpoint")}
    slot = client.object_info("Load3D")["Load3D"]["output"].index("LOAD3D_CAMERA")
    with_viewer = camera("mesh", viewpoint=["viewer", slot])
    result = client.queue(shot | {"path": with_viewer}).ok()
    assert recorded(result)["world_to_camera"]["shape"] == [5, 4, 4]
    assert "0° to 90°" in result.text("path") and "viewpoint" in result.text("path")
    assert json.loads(result.outputs["path"]["ex4d_path"][0])["frames"] == 5
    both = {
        "viewer": node_of_cameras([info | {"fov": 35, "quaternion": None}, info]),
        "path": camera("mesh", viewpoint=["viewer", 0]),
    }
    result = client.queue(shot | both).ok()
    assert "0° to 90°" in result.text("path") and "first of 2 cameras" in result.text("path")
    viewer["inputs"]["image"]["camera_info"] = {}
    refused = client.queue(shot | {"path": with_viewer})
    assert refused.status == "error" and "Load 3D" in refused.message


def test_the_core_s_3d_nodes_film_along_our_path_and_make_cameras_for_it(client, server, host):
    """A splat is drawn where our own projection puts it, at every camera; the mesh from its source camera is the picture."""
    if host.release < (0, 33):
        pytest.skip("this host has neither Render Mesh, Render Splat nor Create Camera Info")
    point = (0.4, -0.2, 3.0)
    path = keyed(roll=25.0, fov=40.0)
    splat = {"class_type": "EX4DTestSplat", "inputs": dict(zip("xyz", point, strict=True))}
    look = {"width": 128, "height": 96, "background": "#000000", "camera_info": ["path", 1]}
    drawn = {"splat": ["splat", 0], "frames": 1, "splat_scale": 1.0, "sharpen": 1.0, "headlight_shading": 0.0}
    drawn |= {"opacity_threshold": 0.0, "render_style": "color"} | look
    graph = {**scene(), "path": camera("mesh", path=path), "splat": splat}
    graph["files"] = {"class_type": "EX4DSaveAnimatedMesh", "inputs": MESH_WIDGETS | {"mesh": ["mesh", 0]}}
    graph["drawn"] = {"class_type": "RenderSplat", "inputs": drawn}
    graph["filmed"] = {"class_type": "RenderMesh", "inputs": {"mesh": ["files", 0], "mode": "texture"} | look}
    graph["clip picture"] = {"class_type": "SaveImage", "inputs": {"images": ["clip", 0], "filename_prefix": "rm/clip"}}
    for name in ("drawn", "filmed"):
        graph[f"{name} picture"] = {
            "class_type": "SaveImage",
            "inputs": {"images": [name, 0], "filename_prefix": f"rm/{name}"},
        }
    client.queue(graph).ok()

    def pictures(name):
        files = sorted((server.output / "rm").glob(f"{name}_*.png"))
        return [np.asarray(Image.open(file).convert("RGB")).astype(float) for file in files]

    lens = Intrinsics.default(64, 48)
    ours = Trajectory.from_json(path).for_scene(lens)
    spots = pictures("drawn")
    assert len(spots) == 5
    for spot, pose, k in zip(spots, ours.world_to_camera, ours.intrinsics, strict=True):
        x, y, z = (pose @ [*point, 1])[:3]
        rows, columns = np.nonzero(spot.sum(-1) > 0.5 * spot.sum(-1).max())
        expected = 2 * (k.fx * x / z + k.cx), 2 * (k.fy * y / z + k.cy)
        assert (columns.mean() + 0.5, rows.mean() + 0.5) == pytest.approx(expected, abs=1.0)
    filmed, clip = pictures("filmed"), pictures("clip")[0]
    assert len(filmed) == 5 and np.abs(filmed[4] - filmed[0]).max() > 50
    small = filmed[0].reshape(48, 2, 64, 2, 3).mean((1, 3))
    seen = (small.sum(-1) > 0) & (np.arange(64) > 3) & (np.arange(64) < 60)
    assert seen.mean() > 0.4 and np.median(np.abs(small - clip).max(-1)[seen]) < 12

    look = {"mode": "look_at", "mode.position_x": 5.0, "mode.position_y": 0.0, "mode.position_z": 0.0}
    look |= {"target_x": 0.0, "target_y": 0.0, "target_z": 0.0, "roll": 0.0, "fov": 35.0, "zoom": 1.0}
    look |= {"camera_type": "perspective"}
    graph = {**scene(), "made": {"class_type": "CreateCameraInfo", "inputs": look}}
    graph["path"] = camera("mesh", viewpoint=["made", 0])
    assert "0° to 90°" in client.queue(graph).ok().text("path")
