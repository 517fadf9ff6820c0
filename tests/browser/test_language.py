"""Nodes and editor speak the language that the host's page speaks."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def spoken(english: str) -> str:
    """The Chinese for a sentence of the editor."""
    text = (ROOT / "web" / "editor" / "words" / "zh.js").read_text(encoding="utf-8")
    match = re.search(rf"^  (?:'{re.escape(english)}'|{re.escape(english)}):\s*'(.*)',?$", text, re.MULTILINE)
    assert match is not None, english
    return match[1]


def test_the_camera_node_speaks_chinese(browse, host, keep, tmp_path):
    report = browse("language.mjs", tmp_path, "zh")
    nodes = json.loads((ROOT / "locales" / "zh" / "nodeDefs.json").read_text(encoding="utf-8"))
    assert report["before"]["title"] == nodes["EX4DCameraTrajectory"]["display_name"]
    assert report["page"]["label"] == nodes["EX4DCameraTrajectory"]["inputs"]["mesh"]["name"]
    assert report["page"]["undo"] == spoken("Undo (Ctrl + Z)")
    assert report["page"]["presets"] == spoken("Orbit")
    assert report["page"]["status"] == spoken("A preset. Drag the camera, or any number, and it turns into keyframes.")
    assert report["help"] == spoken("Shot view")
    keep(host.version)
