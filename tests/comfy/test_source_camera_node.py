"""The source camera in a real ComfyUI: solved, from a file, and what a path is laid on then."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image
from test_geometry_nodes import images, mesh_from, record, recorded
from test_trajectory_nodes import camera

from ex4d_core.demo_scene import DemoScene
from ex4d_core.trajectory import Trajectory, load_camera

pytest.importorskip("cv2")
FRAMES, SIZE = 9, 256


def demo(move="dolly"):
    inputs = {"frames": FRAMES, "width": SIZE, "height": SIZE, "camera": move}
    return {"class_type": "EX4DDemoClip", "inputs": inputs}


def source(file="solve it", scale=0.0, **links):
    inputs = {"images": ["clip", 0], "depth": ["clip", 1], "file": file, "scale": scale} | links
    return {"class_type": "EX4DSourceCamera", "inputs": inputs}


def solved(move="dolly", **values):
    """Demo clip, its camera solved, and the mesh of it."""
    mesh = mesh_from(depth="source", style="paper")
    return {"clip": demo(move), "source": source(**values), "mesh": mesh}


def test_a_clip_is_solved_and_a_move_is_laid_in_the_world(client):
    prompt = {**solved(), "path": camera("mesh", preset="static"), "record": record("path")}
    prompt["source path"] = record("source", 1)
    result = client.queue(prompt).ok()
    assert "pixels off" in result.text("source") and "moves up to" in result.text("source")
    picture = result.outputs["source"]["images"][0]
    assert Image.open(io.BytesIO(client.view(picture))).size == (720 + 460, 460)
    assert "the source camera moves" in result.text("mesh")
    document = json.loads(result.outputs["path"]["ex4d_path"][0])
    assert document["frame_of_reference"] == "world" and document["source"]["preset"] == "static"
    assert recorded(result, "source path")["world_to_camera"]["shape"] == [FRAMES, 4, 4]


def test_a_stabilised_move_is_a_path_of_its_own(client):
    prompt = {**solved("handheld"), "path": camera("mesh", preset="static", base="stabilised", stabilise=2.0)}
    result = client.queue({**prompt, "record": record("path")}).ok()
    document = json.loads(result.outputs["path"]["ex4d_path"][0])
    assert document["frame_of_reference"] == "world" and len(document["keyframes"]) == FRAMES
    bent = camera("mesh", preset="bullet_time", base="stabilised", freeze=3, hold=4)
    result = client.queue({**prompt, "path": bent}).ok()
    assert "shows frames 0 to 8 of the clip's 9" in result.text("path")
    keys = json.loads(result.outputs["path"]["ex4d_path"][0])["keyframes"]
    assert [key["time"] for key in keys] == [0, 1, 2, 3, 3, 3, 3, 3, 4, 5, 6, 7, 8]
    follow = {**prompt, "path": camera("mesh", preset="static", base="follow")}
    result = client.queue({**follow, "record": record("path")}).ok()
    assert "frame_of_reference" not in json.loads(result.outputs["path"]["ex4d_path"][0])


def test_a_path_that_rides_on_the_camera_is_saved_as_it_goes_through_the_world(client, server):
    prompt = {**solved(), "path": camera("mesh", preset="static", base="follow")}
    inputs = {"trajectory": ["path", 0], "mesh": ["mesh", 0], "name": "EX-4D/riding", "format": "npz"}
    client.queue({**prompt, "save": {"class_type": "EX4DSaveTrajectory", "inputs": inputs}}).ok()
    saved = load_camera(server.base / "output" / "EX-4D" / "riding_00001_.npz").world_to_camera
    truth, _ = DemoScene(SIZE, SIZE, FRAMES, camera="dolly").source_cameras()
    np.testing.assert_allclose(saved, truth, atol=0.05)


def test_a_camera_file_is_fitted_or_taken_at_its_scale(client, server):
    poses, lenses = DemoScene(SIZE, SIZE, FRAMES, camera="dolly").source_cameras()
    poses[:, :3, 3] *= 10
    Trajectory(poses, lenses).save(server.base / "input" / "source_camera.npz")
    for scale, said in ((0.0, "pixels off"), (0.1, "scale 0.1")):
        prompt = {**solved(file="source_camera.npz", scale=scale), "record": record("source", 1)}
        result = client.queue(prompt).ok()
        assert said in result.text("source")
        moved = recorded(result)["world_to_camera"]  # the farthest that the truth goes, in the depth's unit
        assert moved["min"] == pytest.approx(float(poses.min()) / 10, rel=0.05)


def test_what_cannot_be_solved_is_told_and_the_camera_stays_fixed(client):
    clip = images("constant", width=64, height=64)
    depth = {"class_type": "EX4DDepthFromImage", "inputs": {"kind": "inverse", "near": 1.0, "far": 10.0}}
    depth["inputs"]["images"] = ["grey", 0]
    prompt = {"clip": clip, "grey": images("depth", width=64, height=64), "depth": depth}
    prompt["source"] = source(depth=["depth", 0])
    prompt["record"] = record("source")
    result = client.queue(prompt).ok()
    assert "too little texture" in result.text("source") and "taken as fixed" in result.text("source")


def test_a_path_of_another_clip_and_missing_cameras_are_refused(client, server):
    turned = np.tile(np.eye(4), (FRAMES, 1, 1))
    angle = 0.1 * np.arange(FRAMES)
    turned[:, 0, 0] = turned[:, 2, 2] = np.cos(angle)
    turned[:, 0, 2], turned[:, 2, 0] = np.sin(angle), -np.sin(angle)
    Trajectory(turned).save(server.base / "input" / "elsewhere.npz")
    result = client.queue({**solved(file="elsewhere.npz"), "record": record("source")})
    assert "does not belong to this clip" in result.message
    result = client.queue({**solved(file="missing.npz"), "record": record("source")})
    assert result.status == "refused" and "There is no camera file 'missing.npz'" in result.message
