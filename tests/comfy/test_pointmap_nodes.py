"""Point maps in a real ComfyUI: loaded, turned into depth, saved, passed on to the core's own nodes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from test_geometry_nodes import mesh_from, record, recorded
from test_trajectory_nodes import camera

from ex4d_core.camera import invert_pose
from ex4d_core.demo_scene import DemoScene
from ex4d_core.pointmap import PointMap, load_pointmap, save_pointmap

FRAMES, WIDTH, HEIGHT = 5, 128, 96


@pytest.fixture(scope="module")
def file(server):
    """The demo scene's dolly as a point map in the first frame's camera, its picture squeezed to half its width."""
    scene = DemoScene(WIDTH, HEIGHT, FRAMES, camera="dolly")
    colors, depth = scene.clip()
    lens, to_world = scene.intrinsics, invert_pose(scene.source_cameras()[0])
    rays = np.stack(
        np.meshgrid((np.arange(WIDTH) + 0.5 - lens.cx) / lens.fx, (np.arange(HEIGHT) + 0.5 - lens.cy) / lens.fy), -1
    )
    seen = np.concatenate([rays, np.ones((HEIGHT, WIDTH, 1))], -1) * depth.numpy()[..., None]
    points = np.einsum("tij,thwj->thwi", to_world[:, :3, :3], seen) + to_world[:, None, None, :3, 3]
    made = PointMap.from_pictures(torch.from_numpy(points), colors, space="world", fps=24)
    save_pointmap(server.input / "dolly.npz", made)
    return "dolly.npz"


def load(file, **inputs):
    return {"class_type": "EX4DLoadPointMap", "inputs": {"file": file, "space": "as the file says"} | inputs}


def depth_of(**inputs):
    values = {
        "pointmap": ["load", 0],
        "width": 96,
        "height": 96,
        "fit": "crop",
        "motion": "turns only",
        "fov": 0.0,
        "near": 2.564,
    }
    values |= {"far": 100.0, "method": "fit"} | inputs
    return {"class_type": "EX4DPointMapToDepth", "inputs": values}


def test_a_point_map_becomes_a_mesh_with_its_camera(client, file):
    mesh = mesh_from(style="paper")
    mesh["inputs"] |= {"images": ["depth", 0], "depth": ["depth", 1]}
    prompt = {"load": load(file), "depth": depth_of(), "mesh": mesh, "path": camera("mesh", preset="static")}
    prompt |= {f"record {slot}": record("depth", slot) for slot in range(6)}
    result = client.queue(prompt).ok()
    assert "5 frames, 128x96, 24 fps, world points" in result.text("load") and result.outputs["load"]["animated"] == [
        True
    ]
    told = result.text("depth")
    assert "5 frames, 96x96, 24 fps" in told and "points 0.00 pixels off their rays" in told and "moves up to" in told
    assert result.outputs["depth"]["images"] and "the source camera moves" in result.text("mesh")
    depth = recorded(result, "record 1")
    lens, path = depth["intrinsics"], depth["source_camera"]
    assert lens["fx"] == pytest.approx(125, rel=1e-3) and lens["fy"] == pytest.approx(lens["fx"], rel=1e-3)
    assert path["fps"] == 24 and recorded(result, "record 2")["world_to_camera"]["shape"] == [FRAMES, 4, 4]
    assert recorded(result, "record 0")["shape"] == [FRAMES, 96, 96, 3] and recorded(result, "record 3")["max"] == 1
    assert set(recorded(result, "record 4")) == {"points", "depth", "intrinsics", "mask", "image"}
    assert recorded(result, "record 5") == 24
    assert json.loads(result.outputs["path"]["ex4d_path"][0])["frame_of_reference"] == "world"


def test_it_is_saved_and_read_again(client, server, file):
    save = {"class_type": "EX4DSavePointMap", "inputs": {"pointmap": ["load", 0], "name": "read again/points"}}
    result = client.queue({"load": load(file), "save": save}).ok()
    assert "5 frames saved as" in result.text("save")
    saved, given = load_pointmap(server.output / "read again" / "points_00001_.npz"), load_pointmap(server.input / file)
    assert torch.equal(saved.points, given.points) and torch.equal(saved.colors, given.colors)
    assert (saved.space, saved.fps) == ("world", 24)


def test_core_nodes_take_the_geometry(client, file):
    """The field of view that the core reads of it is the one that was found."""
    if "MoGeGeometryToFOV" not in client.object_info():
        pytest.skip("this host has no MoGe nodes")
    fov = {
        "class_type": "MoGeGeometryToFOV",
        "inputs": {"moge_geometry": ["depth", 4], "axis": "vertical", "unit": "degrees"},
    }
    prompt = {"load": load(file), "depth": depth_of(width=0, height=0), "fov": fov, "record": record("fov")}
    expected = 2 * np.degrees(np.arctan(HEIGHT / 2 / 125))
    assert recorded(client.queue(prompt).ok(), "record") == pytest.approx(expected, rel=1e-3)
    mesh = {
        "moge_geometry": ["depth", 4],
        "batch_index": 0,
        "decimation": 1,
        "discontinuity_threshold": 0.04,
        "texture": False,
    }
    prompt = {
        "load": load(file),
        "depth": depth_of(width=0, height=0),
        "mesh": {"class_type": "MoGePointMapToMesh", "inputs": mesh},
    }
    described = client.queue({**prompt, "record": record("mesh")}).ok()
    assert recorded(described, "record")


def test_sky_has_no_confidence_where_it_is_found_or_shown(client, file):
    prompt = {"load": load(file), "found": depth_of(), "record found": record("found", 3)}
    for name, value in (("shown", 0.0), ("wrong", 1.0)):
        size = {"width": 48, "height": 36}
        prompt[f"{name} sky"] = {"class_type": "SolidMask", "inputs": {"value": value, **size}}
        prompt[name] = depth_of(sky=[f"{name} sky", 0])
    prompt["record shown"] = record("shown", 3)
    wrong = {"load": prompt["load"], "wrong sky": prompt.pop("wrong sky"), "wrong": prompt.pop("wrong")}
    result = client.queue(prompt).ok()
    assert "of the pixels are taken for sky" in result.text("found")
    assert "sky" not in result.text("shown")  # there is none, says the mask
    assert recorded(result, "record found")["mean"] < 0.8 < 0.9 < recorded(result, "record shown")["mean"]
    assert "has 0 points" in client.queue({**wrong, "record": record("wrong", 3)}).message


def test_mistakes_are_told(client, server, file):
    np.savez(server.input / "plain.npz", points=np.random.rand(2, 32, 32, 3), rgb=np.zeros((2, 32, 32, 3), np.uint8))
    rows, columns = np.meshgrid(np.linspace(0, 1, 32), np.linspace(0, 1, 32), indexing="ij")
    wall = np.stack([columns, rows, np.full((32, 32), 0.5)], -1)[None].repeat(2, 0)
    np.savez(server.input / "wall.npz", cube_points=wall, rgb=np.zeros((2, 32, 32, 3), np.uint8))
    for prompt, said in (
        ({"load": load("plain.npz"), "depth": depth_of()}, "Give the space"),
        ({"load": load("wall.npz"), "depth": depth_of()}, "does not tell its lens"),
        ({"load": load("none.npz"), "depth": depth_of()}, "no point map 'none.npz'"),
        ({"load": load(file), "depth": depth_of(width=64, height=0)}, "give both sides at least 16 pixels"),
        ({"load": load(file), "depth": depth_of(near=200.0)}, "near (200) must be smaller than far (100)"),
    ):
        save = {
            "class_type": "EX4DSaveTrajectory",
            "inputs": {"trajectory": ["depth", 2], "name": "x", "format": "json"},
        }
        assert said in client.queue({**prompt, "save": save}).message, said
