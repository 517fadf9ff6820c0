"""What people choose in ComfyUI's settings takes effect: its language, and the pack's own page."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def spoken(english: str) -> str:
    """The Chinese for a sentence of the editor."""
    text = (ROOT / "web" / "editor" / "words" / "zh.js").read_text(encoding="utf-8")
    match = re.search(rf"^  (?:'{re.escape(english)}'|{re.escape(english)}):\s*'(.*)',?$", text, re.MULTILINE)
    assert match is not None, english
    return match[1]


@pytest.fixture(scope="module")
def report(browse, tmp_path_factory):
    return browse("preferences.mjs", tmp_path_factory.mktemp("preferences"))


def test_the_camera_node_speaks_chinese(report):
    nodes = json.loads((ROOT / "locales" / "zh" / "nodeDefs.json").read_text(encoding="utf-8"))
    assert report["before"]["title"] == nodes["EX4DCameraTrajectory"]["display_name"]
    assert report["page"]["label"] == nodes["EX4DCameraTrajectory"]["inputs"]["mesh"]["name"]
    assert report["page"]["undo"] == spoken("Undo (Ctrl + Z)")
    assert report["page"]["preset"] == spoken("Orbit")
    assert re.search("[\u4e00-\u9fff]", report["page"]["status"]), "whatever there is to say"
    assert report["help"] == spoken("Shot view")


def test_new_render_nodes_begin_with_the_chosen_renderer_and_opened_ones_keep_theirs(report):
    assert (report["backend"], report["kept"]) == ("torch", "numba")


def test_films_have_the_chosen_size(report):
    assert report["result"] == {"status": "success", "error": None}
    (film,) = report["film"]
    assert film["kind"] == "VIDEO" and 0.9 < film["width"] * film["height"] / 128**2 < 1.1, "to even sides"
