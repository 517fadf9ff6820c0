"""Camera files by the upload button and by drop, which no host takes for such files by itself."""

from __future__ import annotations

import json

from ex4d_core.camera import Intrinsics
from ex4d_core.trajectory import Trajectory

GRAPH = {
    "last_node_id": 1,
    "last_link_id": 0,
    "nodes": [{"id": 1, "type": "Note", "pos": [0, 0], "size": [200, 100], "flags": {}, "widgets_values": ["note"]}],
    "links": [],
    "version": 0.4,
}


def test_camera_files_are_uploaded_or_dropped_chosen_and_used(oldest_frontend, browse, server, tmp_path):
    check(browse, server, tmp_path, "litegraph")


def test_camera_files_are_dropped_on_vue_nodes(browse_vue, vue_server, tmp_path):
    check(browse_vue, vue_server, tmp_path, "vue")


def check(browse, server, folder, renderer: str) -> None:
    path = Trajectory.preset("30", frames=5, intrinsics=Intrinsics.default(512, 512))
    uploaded = path.save(folder / f"uploaded camera {renderer}.json")
    dropped = path.save(folder / f"dropped {renderer}.json")
    text = path.save(folder / f"dropped {renderer}.txt")
    graph = folder / "graph.json"
    graph.write_text(json.dumps(GRAPH), "utf-8")
    report = browse("camera_file.mjs", uploaded, dropped, text, graph, renderer)

    assert report["uploaded"] == report["inputs"]["file"] == uploaded.name
    assert (server.input / uploaded.name).read_bytes() == uploaded.read_bytes()
    assert report["result"] == {"status": "success", "error": None}
    # The button saves nothing, so that the values of a saved graph stay where they are.
    changed = [now for then, now in zip(report["before"], report["after"], strict=True) if then != now]
    assert changed == [uploaded.name]
    assert not {"upload_camera", "camera_editor"} & report["inputs"].keys()

    # Dropped files are chosen; the graph stays, and a path edited by hand gives way.
    assert report["edited"] and report["onNode"]["path"] == ""
    assert report["onNode"]["file"] == dropped.name and report["onEditor"]["file"] == text.name
    assert report["onNode"]["nodes"] == report["onEditor"]["nodes"] == ["EX4DCameraTrajectory"]
    for file in (dropped, text):
        assert (server.input / file.name).read_bytes() == file.read_bytes()
    assert report["refused"] == {"file": text.name, "told": True}
    # A graph is no camera file.
    assert report["graph"] == ["Note"] and report["leaves"] == 0
