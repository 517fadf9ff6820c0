"""The pack's page in ComfyUI's settings offers what Python takes."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from ex4d_core.render import BACKEND_CHOICES

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = (ROOT / "web" / "settings.js").read_text(encoding="utf-8")


def listed(name: str) -> list:
    """A list of the script."""
    match = re.search(rf"export const {name} = (\[[^\]]*\])", SCRIPT)
    assert match is not None
    return ast.literal_eval(match[1])


def test_the_renderers_are_those_of_the_node():
    assert tuple(listed("BACKENDS")) == BACKEND_CHOICES


def test_the_sizes_of_films_are_those_that_python_takes_from_the_same_setting():
    source = ast.parse((ROOT / "nodes" / "settings.py").read_text(encoding="utf-8"))
    constants = {
        target.id: ast.literal_eval(node.value)
        for node in source.body
        if isinstance(node, ast.Assign) and isinstance(target := node.targets[0], ast.Name)
    }
    assert tuple(listed("SIDES")) == constants["SIDES"]
    assert f"id: '{constants['PREVIEW_SIDE']}'" in SCRIPT
