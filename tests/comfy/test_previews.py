"""Preview files in ComfyUI's temp folder: whole, found by the frontend, and gone where a node fails."""

from __future__ import annotations

import pytest
from test_geometry_nodes import images, record, scene
from test_render_nodes import render_of


def files(server):
    """Every file of the temp folder, hidden ones too."""
    return {path for path in (server.base / "temp").rglob("*") if path.is_file()}


def test_a_node_that_fails_after_beginning_its_film_leaves_no_file(client, server):
    load = {"file": "", "start": 0, "frames": 0, "fps": 0.0, "width": 0, "height": 0, "fit": "crop"}
    before = files(server)
    result = client.queue(
        {
            "clip": images(frames=30),
            "video": {"class_type": "EX4DTestVideoOfNoRate", "inputs": {"images": ["clip", 0]}},
            "load": {"class_type": "EX4DLoadVideo", "inputs": load | {"video": ["video", 0]}},
            "record": record("load"),
        }
    )
    assert result.status == "error" and "sample_rate" in result.message
    assert files(server) == before


def test_what_a_node_shows_is_there_under_its_name_alone(client, server):
    before = files(server)
    result = client.queue(scene(min_angle=6.25)).ok()
    (shown,) = result.outputs["mesh"]["images"]
    assert client.view(shown)[:2] == b"\xff\xd8"
    new = files(server) - before
    assert {path.name for path in new} >= {shown["filename"]}
    assert not [path for path in new if path.name.startswith(".") or path.suffix == ".part"]


def test_a_page_that_was_loaded_anew_is_shown_what_comes_from_the_cache(client):
    """Where the host can; every queued prompt is a page of its own here."""
    clip = {"class_type": "EX4DDemoClip", "inputs": {"frames": 3, "width": 64, "height": 48}}
    prompt = {"clip": clip, "record": record("clip")}
    first, again = client.queue(prompt).ok(), client.queue(prompt).ok()
    assert "clip" in again.cached and "clip" not in again.executed
    info = client.object_info("EX4DDemoClip")["EX4DDemoClip"]
    shown = {"clip": first.outputs["clip"]} if "has_intermediate_output" in info else {}
    assert {key: value for key, value in again.outputs.items() if key == "clip"} == shown


@pytest.fixture()
def full_temp(client):
    """A temp folder in which nothing more finds room."""
    client.queue({"full": {"class_type": "EX4DTestFullTemp", "inputs": {"full": True}}}).ok()
    yield
    client.queue({"full": {"class_type": "EX4DTestFullTemp", "inputs": {"full": False}}}).ok()


def test_a_full_temp_folder_costs_no_node_its_result_and_leaves_no_file(client, server, full_temp):
    before = files(server)
    path = {"preset": "orbit", "angle": 31.0, "distance": 0.5, "turns": 1.0, "rise": 0.0, "follow": True}
    path |= {"ease": "linear", "frames": 0, "fps": 15.0, "scale": 1.0, "file": "none", "path": "", "mesh": ["mesh", 0]}
    video = {"class_type": "CreateVideo", "inputs": {"images": ["clip", 0], "fps": 15.0}}
    load = {"file": "", "start": 0, "frames": 0, "fps": 0.0, "width": 0, "height": 0, "fit": "crop"}
    draft = {"color": ["render", 0], "seen": ["render", 1], "fps": 15.0}
    prompt = scene(min_angle=7.125) | {
        "path": {"class_type": "EX4DCameraTrajectory", "inputs": path},
        "render": render_of(),
        "draft": {"class_type": "EX4DDraftFill", "inputs": draft},
        "demo": {"class_type": "EX4DDemoClip", "inputs": {"frames": 5, "width": 80, "height": 48}},
        "video": video,
        "load": {"class_type": "EX4DLoadVideo", "inputs": load | {"video": ["video", 0]}},
        "r1": record("demo"),
        "r2": record("load"),
    }
    prompt["metric"]["inputs"]["near"] = 1.0625
    result = client.queue(prompt).ok()
    shown = {name: result.text(name).count("no preview: The disk is full") for name in prompt if name in result.outputs}
    assert shown.pop("path") == 2, "the picture of the path, and the editor's scene"
    assert shown == dict.fromkeys(["metric", "mesh", "render", "draft", "demo", "load"], 1) | {"r1": 0, "r2": 0}
    assert not [name for name in shown if result.outputs[name].get("images")]
    assert files(server) == before
