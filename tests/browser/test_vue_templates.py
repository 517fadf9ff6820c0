"""The example graphs in Vue nodes of the newest frontend, which are as high as their contents; and the app."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
APP = "Re-shoot a video"
GRAPHS = sorted({path.stem for path in (ROOT / "workflows").glob("*.json")} - {APP})
LEAST_TEXT = 44
"""Pixels of a field that a prompt can be read in: two lines."""


@pytest.fixture(scope="module")
def report(browse_vue, vue_server, screenshots):
    return browse_vue("vue_templates.mjs", vue_server.folder_name, screenshots, json.dumps(GRAPHS), APP)


def apart(a, b) -> bool:
    return a[0] + a[2] <= b[0] or b[0] + b[2] <= a[0] or a[1] + a[3] <= b[1] or b[1] + b[3] <= a[1]


def within(inner, outer) -> bool:
    ends = zip(inner[:2], inner[2:], outer[:2], outer[2:])
    return all(low <= start and start + size <= low + room for start, size, low, room in ends)


@pytest.mark.parametrize("name", GRAPHS)
def test_nodes_do_not_cover_each_other(report, name):
    nodes = report["graphs"][name]["nodes"]
    assert all(node["box"] for node in nodes)
    for one, other in combinations(nodes, 2):
        assert apart(one["box"], other["box"]), f"{one['type']} {one['box']} and {other['type']} {other['box']}"


@pytest.mark.parametrize("name", GRAPHS)
def test_every_node_lies_in_its_group_or_outside_of_all(report, name):
    graph = report["graphs"][name]
    for node in graph["nodes"]:
        touched = [group["title"] for group in graph["groups"] if not apart(node["box"], group["box"])]
        holding = [group["title"] for group in graph["groups"] if within(node["box"], group["box"])]
        assert touched == holding and len(holding) <= 1, f"{node['type']} {node['box']} in {touched}"


@pytest.mark.parametrize("name", GRAPHS)
def test_prompts_can_be_read(report, name):
    for node in report["graphs"][name]["nodes"]:
        if node["type"] in ("CLIPTextEncode", "WanEX4DSampler", "WanFourDNeXSampler"):
            assert node["texts"] and min(node["texts"]) >= LEAST_TEXT, f"{node['type']} {node['texts']}"


def test_the_app_shows_clip_camera_and_results(report):
    """App mode takes the form from the graph: the camera editor stands in it."""
    app = report["app"]
    assert len(app["linear"]["inputs"]) == 2 and len(app["linear"]["outputs"]) == 2
    width, height = app["editor"]
    assert width > 200 and height > 800, "two views one over the other"
    assert app["overhang"] == [0, 0], "nothing is cut off"
