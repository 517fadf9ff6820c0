"""Lists of choices exist once; what repeats them in words says the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ex4d_core.depth.depthcrafter import CHOICES, MODES
from ex4d_core.depth.pictures import PICTURE_KINDS
from ex4d_core.mesh import STYLES
from ex4d_core.render import BACKEND_CHOICES, BACKENDS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("page", "field", "choices"),
    [
        ("EX4DBuildDWMesh", "style", STYLES),
        ("EX4DRenderColorMask", "backend", BACKEND_CHOICES),
        ("EX4DDepthFromImage", "kind", PICTURE_KINDS),
        ("EX4DDepthCrafter", "memory", CHOICES),
    ],
)
def test_help_pages_and_tooltips_offer_what_the_core_takes(page, field, choices):
    text = (ROOT / "web" / "docs" / f"{page}.md").read_text(encoding="utf-8")
    row = re.search(rf"^\| \*\*{field}\*\* \| ([^|]+) \|", text, re.MULTILINE)
    assert row and tuple(re.findall(r"`([^`]+)`", row[1])) == tuple(choices)


def test_the_nodes_read_their_options_from_the_core():
    for file, field, name in (
        ("mesh", "style", "STYLES"),
        ("render", "backend", "BACKEND_CHOICES"),
        ("depth", "kind", "PICTURE_KINDS"),
        ("depthcrafter", "memory", "CHOICES"),
    ):
        text = (ROOT / "nodes" / f"{file}.py").read_text(encoding="utf-8")
        assert re.search(rf'Combo\.Input\(\s*"{field}",\s*options=list\({name}\)', text), f"nodes/{file}.py: {field}"


def test_memory_modes_are_auto_and_those_that_there_are():
    assert ("auto", *MODES) == CHOICES
    numbers = {2: "two", 3: "three", 4: "four", 5: "five"}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"{numbers[len(MODES)]} memory modes" in readme


def test_the_api_page_names_every_renderer():
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert all(f'"{name}"' in page for name in (*BACKENDS, "auto"))
