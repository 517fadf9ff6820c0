"""The geometric nodes in a real ComfyUI: what they put out, show and refuse."""

from __future__ import annotations

import io
import json
import re

import numpy as np
import pytest
from PIL import Image


def images(kind="colour", width=64, height=48, frames=5):
    return {
        "class_type": "EX4DTestImages",
        "inputs": {"kind": kind, "width": width, "height": height, "frames": frames},
    }


def record(node, slot=0, name="value"):
    return {"class_type": "EX4DTestRecord", "inputs": {"value": [node, slot], "name": name}}


def depth_from(node="depth", kind="inverse", near=1.0, far=10.0, **links):
    return {
        "class_type": "EX4DDepthFromImage",
        "inputs": {"kind": kind, "near": near, "far": far, "images": [node, 0]} | links,
    }


def mesh_from(images="clip", depth="metric", **values):
    inputs = {"style": "released", "min_angle": 2.5, "depth_jump": 0.013, "focal": 0.0, "border_depth": 0.0}
    return {"class_type": "EX4DBuildDWMesh", "inputs": inputs | {"images": [images, 0], "depth": [depth, 0]} | values}


def scene(**mesh):
    """Clip and depth of 5 frames to a mesh, node ids clip, depth, metric, mesh."""
    return {
        "clip": images(),
        "depth": images("depth"),
        "metric": depth_from(),
        "mesh": mesh_from(**mesh),
    }


def recorded(result, node="record"):
    return json.loads(result.text(node))


def test_depth_from_pictures_spans_near_to_far(client):
    # A range that no other test has: a cached node shows no text.
    prompt = {"depth": images("depth"), "metric": depth_from(near=1.125), "record": record("metric")}
    result = client.queue(prompt).ok()
    depth = recorded(result)["depth"]
    assert depth["shape"] == [5, 48, 64]
    assert depth["min"] == pytest.approx(1.125, abs=1e-4) and depth["max"] == pytest.approx(10.0, abs=1e-3)
    assert "5 frames, 64x48" in result.text("metric")


def test_depth_preview_is_a_playing_video(client):
    result = client.queue({"depth": images("depth", frames=6), "metric": depth_from(), "r": record("metric")}).ok()
    shown = result.outputs["metric"]
    assert shown["animated"] == [True]
    assert client.view(shown["images"][0])[4:8] == b"ftyp"


@pytest.mark.parametrize(
    ("picture", "words"),
    [("constant", "holds no depth"), ("nan", "NaN"), ("colour", "coloured")],
)
def test_bad_depth_pictures_are_refused_in_a_sentence(client, picture, words):
    result = client.queue({"depth": images(picture), "metric": depth_from(), "r": record("metric")})
    assert result.status == "error" and words in result.message
    assert "Traceback" not in result.message and result.message.count(".") <= 4


def test_near_beyond_far_is_refused_before_running(client):
    result = client.queue({"depth": images("depth"), "metric": depth_from(near=20.0), "r": record("metric")})
    assert result.status == "refused" and "smaller than far" in result.message
    unused = {"depth": images("depth"), "metric": depth_from(kind="disparity", near=20.0), "r": record("metric")}
    client.queue(unused).ok()


def test_mesh_reports_what_matters(client):
    result = client.queue({**scene(), "record": record("mesh")}).ok()
    mesh = recorded(result)
    assert mesh["class"] == "DWMesh" and mesh["rgb"]["shape"] == [5, 48, 64, 3]
    assert "5 frames, 64x48" in result.text("mesh") and "occluded" in result.text("mesh")


def test_mesh_tells_what_its_back_plate_cuts_off(client):
    cut = client.queue({**scene(border_depth=4.5), "record": record("mesh")}).ok().text("mesh")
    assert re.search(r"the back plate at 4.5 cuts off \d+\.\d% of the clip", cut)
    whole = client.queue({**scene(min_angle=2.75), "record": record("mesh")}).ok().text("mesh")
    assert "cuts off" not in whole


def test_mesh_preview_paints_occluded_surfaces_pink(client):
    """No angle is too thin at 0 degrees, nearly every one is at 59.5."""
    shares = []
    for min_angle in (0.0, 59.5):
        result = client.queue({**scene(min_angle=min_angle), "record": record("mesh")}).ok()
        picture = np.asarray(Image.open(io.BytesIO(client.view(result.outputs["mesh"]["images"][0])))).astype(int)
        assert picture.shape == (48, 64, 3)
        red, green, blue = picture.transpose(2, 0, 1)
        shares.append(float(((red > 180) & (green < 90) & (blue > 60) & (blue < 170)).mean()))
    assert shares[0] < 0.2 < 0.8 < shares[1]


def test_depth_of_another_size_is_brought_to_the_frames(client):
    prompt = scene() | {"depth": images("depth", width=32, height=24), "record": record("mesh")}
    result = client.queue(prompt).ok()
    assert recorded(result)["depth"]["shape"] == [5, 48, 64]
    assert "resized from 32x24" in result.text("mesh")


def test_counts_that_do_not_fit_name_both(client):
    result = client.queue(scene() | {"depth": images("depth", frames=4)})
    assert result.status == "error" and result.error["node_type"] == "EX4DBuildDWMesh"
    assert "5 frames" in result.message and "4" in result.message


def test_one_depth_picture_serves_the_whole_clip(client, server):
    prompt = scene() | {"depth": images("depth", frames=1), "record": record("mesh")}
    result = client.queue(prompt).ok()
    assert recorded(result)["depth"]["shape"] == [5, 48, 64]
    assert "one depth for all frames" in result.text("mesh")


def test_depth_of_another_shape_is_refused(client):
    result = client.queue(scene() | {"depth": images("depth", width=64, height=64)})
    assert result.status == "error" and "64x48" in result.message and "64x64" in result.message


def test_an_error_leaves_the_server_usable(client):
    assert client.queue(scene() | {"depth": images("nan")}).status == "error"
    client.queue(scene(min_angle=3.0)).ok()


def test_only_what_changed_runs_again(client):
    client.queue(scene(min_angle=4.0)).ok()
    again = client.queue(scene(min_angle=4.5)).ok()
    assert again.executed == ["mesh"] or set(again.executed) == {"mesh"}


def test_demo_clip_has_exact_depth(client):
    inputs = {"frames": 5, "width": 64, "height": 48}
    prompt = {
        "demo": {"class_type": "EX4DDemoClip", "inputs": inputs},
        "depth": record("demo", 1),
        "images": record("demo"),
    }
    result = client.queue(prompt).ok()
    assert recorded(result, "depth")["depth"]["shape"] == [5, 48, 64]
    assert recorded(result, "images")["shape"] == [5, 48, 64, 3]
    assert [value for node, value, _ in result.progress if node == "demo"][-1] == 5


def test_a_lens_in_millimetres_goes_by_the_height_of_its_film(client):
    mesh = {**scene()}
    mesh["mesh"]["inputs"] |= {"lens": 50.0, "film_back": "super 16 12.52x7.41"}
    result = client.queue({**mesh, "record": record("mesh")}).ok()
    assert recorded(result)["intrinsics"]["fy"] == pytest.approx(50 * 48 / 7.41, rel=1e-6)
    assert "162 mm on full frame" in result.text("mesh")
    mesh["mesh"]["inputs"]["focal"] = 70.0
    assert "focal (70 pixels) and lens (50 mm) are both set" in client.queue(mesh).message
