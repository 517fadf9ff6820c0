"""The example graphs in the real frontend, from the template browser to playing previews."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import workflow

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["Re-shoot geometry only", "From any depth node", "Custom path from JSON", "All in one subgraph"]
PLAYING = {"EX4DDemoClip", "EX4DDepthFromImage", "EX4DRenderColorMask", "EX4DDraftFill"}


@pytest.fixture(scope="session")
def report(browse, server, screenshots):
    folder = screenshots / server.host.version
    folder.mkdir(exist_ok=True)
    return browse("templates.mjs", server.folder_name, folder, *NAMES)


def test_templates_open_run_and_play(report, client):
    info = client.object_info()
    for name in NAMES:
        graph, saved = report["graphs"][name], workflow.load(ROOT / "workflows" / f"{name}.json")
        # The frontend's own prompt is what the harness makes of the file: no widget has moved.
        assert graph["prompt"].keys() == workflow.to_prompt(saved, info).keys()
        for node_id, node in workflow.to_prompt(saved, info).items():
            assert graph["prompt"][node_id]["inputs"] == node["inputs"], f"{name}: {node['class_type']}"
        for node in graph["widgets"]:
            assert not node["missing"], f"{name}: {node}"
        assert graph["result"] == {"status": "success", "error": None}, name
        for node in graph["widgets"]:
            if node["type"] == "EX4DBuildDWMesh":
                assert graph["previews"][str(node["id"])][0]["kind"] == "IMG", name
            if node["type"] in PLAYING:
                shown = graph["previews"][str(node["id"])]
                assert shown and shown[0]["kind"] == "VIDEO" and shown[0]["ready"] >= 2, (
                    f"{name}: {node['type']} {shown}"
                )
                assert not shown[0]["paused"], f"{name}: {node['type']} does not play"


def test_pages_break_no_policy_and_load_nothing_from_outside(report):
    assert report["seen"]["policy"] == []
    assert [url for url in report["seen"]["external"] if "/extensions/" in url] == []
    broken = [line for line in report["seen"]["failed"] if "ex4d" in line.lower() or "/extensions/" in line]
    assert broken == []
