"""The example graphs in the real frontend, from the template browser to playing previews."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import pytest
from harness import workflow
from harness.other_models import runs_on

ROOT = Path(__file__).resolve().parents[2]
RUNNING = [
    *("Re-shoot geometry only", "From any depth node", "Custom path from JSON", "All in one subgraph"),
    "Handheld clip, steady re-shoot",
]
APP = "Re-shoot a video"
"""Shows a form in place of the graph, and switches the frontend to Vue nodes: test_vue_templates.py opens it."""
OPENED = sorted({path.stem for path in (ROOT / "workflows").glob("*.json")} - {*RUNNING, APP})
"""These need model files, or have the nodes of one that runs; here they are only looked at."""
OFFERED = [
    *("Re-shoot full EX-4D", "Small GPU (fp8 or GGUF)", "VACE (Wan 2.1)", "VACE (Wan 2.2)", "Uni3C"),
    *("CrossView (LTX 2.3)", "CrossView (MiniMax-H3)", "Meridian (MiniMax-H3)", "Video to animated mesh"),
]
"""These name every model file of all."""
PLAYING = {"EX4DDemoClip", "EX4DDepthFromImage", "EX4DRenderColorMask", "EX4DDraftFill"}
WIDEST = ("Single image to 4D", "CrossView (LTX 2.3)", "Image to 4D, re-shot with EX-4D")
"""The most nodes beside each other; those that save lie outside of a small window."""
SAVING = ("CreateVideo", "SaveVideo", "EX4DSavePointMap")
LARGE = 1720
"""Width of the larger of the two windows."""
TOOLS, SHOWN = (60, 95), (0.5, 20)
"""Pixels of the window under bars at the left and top; the part of a node's width, and its pixels, that must show."""
HOSTS_OWN = ("/assets/missingModelMetadata", "https://api.comfy.org/")
"""Where newer frontends ask the web how large a graph's missing models are, and their registry which pack a node is of; the
host's policy stops both."""
DIALOG_UNTIL = (0, 4)
"""From here on the frontend is not held to a dialog of missing models."""
MODEL_FILES = (".safetensors", ".ckpt", ".gguf")


@pytest.fixture(scope="session")
def report(browse, server, screenshots, every_host):
    folder = screenshots / server.host.version
    folder.mkdir(exist_ok=True)
    opened = [name for name in OPENED if runs_on(name, server.host)]
    offered = [name for name in OFFERED if runs_on(name, server.host)]
    # Newer frontends fit a graph into any window, older ones show it as it was saved.
    small = [*RUNNING, *opened] if server.host.release < DIALOG_UNTIL or every_host else []
    lists = (json.dumps(names) for names in (RUNNING, opened, offered, small))
    return browse("templates.mjs", server.folder_name, folder, *lists)


@pytest.fixture(autouse=True)
def _has_the_nodes(request, host):
    name = getattr(request.node, "callspec", None) and request.node.callspec.params.get("name")
    if name is not None and not runs_on(name, host):
        pytest.skip("this host lacks nodes of the graph")


def test_every_graph_has_a_card_in_the_template_browser(report, host):
    assert sorted(report["cards"]) == sorted(name for name in [*RUNNING, *OPENED] if runs_on(name, host))


@pytest.mark.parametrize("name", [*RUNNING, *OPENED])
def test_templates_open_with_every_value_in_its_place(report, client, name):
    info = client.object_info()
    graph, saved = report["graphs"][name], workflow.load(ROOT / "workflows" / f"{name}.json")
    # The frontend's own prompt is what the harness makes of the file: no widget has moved.
    expected = workflow.to_prompt(saved, info)
    assert graph["prompt"].keys() == expected.keys()
    for node_id, node in expected.items():
        assert graph["prompt"][node_id]["inputs"] == node["inputs"], node["class_type"]
    shown = {str(node["id"]): node for node in graph["widgets"]}  # newer frontends have ids in words
    for node in saved["nodes"]:
        assert not shown[str(node["id"])]["missing"], node["type"]
        if node["type"] not in info:
            continue
        for widget, (value, spec) in workflow.node_widgets(node, info[node["type"]]).items():
            assert shown[str(node["id"])]["widgets"][widget] == value, f"{node['type']}: {widget}"
            choices = workflow.choices(spec)
            # Files are not on this machine; every other choice is one that the node has.
            lacking = choices is not None and value not in choices
            assert not lacking or str(value).endswith((*MODEL_FILES, ".mp4", ".png")), f"{node['type']}: {widget}"


@pytest.mark.parametrize("name", [*RUNNING, *OPENED])
def test_the_dialog_of_missing_models_offers_every_file(report, host, name):
    """Where the host's frontend has one: newer ones mark the loaders instead."""
    offered, saved = report["graphs"][name]["dialog"], workflow.load(ROOT / "workflows" / f"{name}.json")
    files = [model for node in saved["nodes"] for model in node["properties"].get("models", [])]
    if host.release < DIALOG_UNTIL and files:
        assert offered is not None
    for file in files if offered else ():
        assert f"{file['directory']} / {file['name']}" in offered


def test_the_panel_of_missing_models_offers_every_file_for_download(report, host):
    """Newer frontends' place for it."""
    named, shown = set(), set()
    for name in (*RUNNING, *OPENED):
        saved = workflow.load(ROOT / "workflows" / f"{name}.json")
        files = {model["name"] for node in saved["nodes"] for model in node["properties"].get("models", [])}
        named |= files
        if name not in report["panels"]:
            continue
        buttons = report["panels"][name]
        if host.release < DIALOG_UNTIL:
            assert buttons is None
            continue
        assert sorted(buttons) == sorted(f"Download {file}" for file in files)
        shown |= files
    assert host.release < DIALOG_UNTIL or shown == named


@pytest.mark.parametrize("name", [*RUNNING, *OPENED])
def test_templates_open_readable_and_whole(report, name):
    """Text is drawn, the tool bars cover no title, and every node is in the window, from the note to the result.

    Newer frontends fit a template into the window, whatever view its file holds; in a small window text is then too small to
    be drawn.
    """
    graph, saved = report["graphs"][name], workflow.load(ROOT / "workflows" / f"{name}.json")
    kept = saved["extra"]["ds"]["scale"]
    kinds = {str(node["id"]): node["type"] for node in graph["widgets"]}
    for view in graph["views"]:
        fitted = view["scale"] != pytest.approx(kept, abs=1e-3)
        assert not view["small"] or (fitted and view["width"] < LARGE), view
        for node_id, (left, top, width, _) in graph["boxes"].items():
            if name in WIDEST and view["width"] < LARGE and kinds[node_id] in SAVING:
                continue
            x, y = ((at + view["offset"][i]) * view["scale"] + view["origin"][i] for i, at in enumerate((left, top)))
            where = f"{kinds[node_id]} at {x:.0f}, {y:.0f} of {view['width']}x{view['height']}"
            assert TOOLS[0] <= x <= view["width"] - SHOWN[0] * width * view["scale"], where
            assert TOOLS[1] <= y <= view["height"] - SHOWN[1], where


@pytest.mark.parametrize("when, name", [*(("boxes", n) for n in (*RUNNING, *OPENED)), *(("grown", n) for n in RUNNING)])
def test_nodes_do_not_cover_each_other(report, name, when):
    """As opened, and with the previews of a run."""
    boxes = report["graphs"][name][when]
    titles = {str(node["id"]): node["type"] for node in report["graphs"][name]["widgets"]}
    for (one, a), (other, b) in combinations(boxes.items(), 2):
        apart = a[0] + a[2] <= b[0] or b[0] + b[2] <= a[0] or a[1] + a[3] <= b[1] or b[1] + b[3] <= a[1]
        assert apart, f"{titles[one]} {a} and {titles[other]} {b}"


@pytest.mark.parametrize("name", RUNNING)
def test_templates_run_and_play(report, name):
    graph = report["graphs"][name]
    assert graph["result"] == {"status": "success", "error": None}
    for node in graph["widgets"]:
        shown = graph["previews"][str(node["id"])]
        if node["type"] == "EX4DBuildDWMesh":
            assert shown[0]["kind"] == "IMG"
        if node["type"] in PLAYING:
            assert shown and shown[0]["kind"] == "VIDEO" and shown[0]["ready"] >= 2, f"{node['type']} {shown}"
            assert not shown[0]["paused"], f"{node['type']} does not play"


@pytest.mark.parametrize("name", RUNNING)
def test_what_a_run_shows_is_no_input_of_the_next(report, name):
    """Else the host takes nothing from its cache when the camera alone has moved."""
    graph = report["graphs"][name]
    for node_id, node in graph["sent"].items():
        if "EX4D" in node["class_type"]:
            assert graph["again"][node_id]["inputs"] == node["inputs"], node["class_type"]


def test_pages_break_no_policy_and_load_nothing_from_outside(report):
    assert [text for text in report["seen"]["policy"] if not any(own in text for own in HOSTS_OWN)] == []
    assert [url for url in report["seen"]["external"] if "/extensions/" in url] == []
    broken = [line for line in report["seen"]["failed"] if "ex4d" in line.lower() or "/extensions/" in line]
    assert broken == []
