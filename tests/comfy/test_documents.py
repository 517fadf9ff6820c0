"""Help pages and locales say what the nodes' schemas say, in every language."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from harness import documents

NODES = sorted(path.stem for path in documents.DOCS.glob("*.md"))


@pytest.fixture()
def nodes(client):
    return documents.pack_nodes(client.object_info())


def test_all_nodes_are_there(nodes):
    promised = {
        "EX4DLoadVideo", "EX4DDepthCrafter", "EX4DDepthFromImage", "EX4DBuildDWMesh", "EX4DCameraTrajectory",
        "EX4DRenderColorMask", "EX4DDraftFill", "EX4DAdapterLoader", "EX4DConditioning", "WanEX4DSampler",
        "EX4DSaveTrajectory",
    }  # fmt: skip
    assert promised <= nodes.keys()


def test_every_node_has_a_help_page_with_a_picture(nodes):
    assert nodes.keys() == set(NODES)
    for name in NODES:
        page = (documents.DOCS / f"{name}.md").read_text(encoding="utf-8")
        pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page)
        assert pictures and all((documents.DOCS / picture).is_file() for picture in pictures), name


def test_every_input_has_a_tooltip_in_words(nodes):
    for name, info in nodes.items():
        assert info["description"], name
        for key, spec in documents.input_specs(info).items():
            assert len(spec) > 1 and len(spec[1].get("tooltip") or "") > 8, f"{name}.{key} has no tooltip"


def test_the_editor_can_reach_every_default_again(nodes):
    """ComfyUI rounds what is typed to min + k * step, so a default beside that grid is lost with the first edit."""
    for name, node in nodes.items():
        for inputs in node["input"].values():
            for key, (kind, *options) in inputs.items():
                if kind == "INT":
                    offset = options[0]["default"] - options[0]["min"]
                    assert offset % options[0].get("step", 1) == 0, (name, key)


@pytest.mark.parametrize("language", [documents.ENGLISH, *documents.LANGUAGES])
def test_tables_and_locales_are_those_of_the_schemas(nodes, language):
    """Run ``python dev.py docs`` after changing a schema; translations of new sentences go into locales/<language>.json."""
    words = documents.Words(language)
    assert documents.locale_file(language).read_text(encoding="utf-8") == documents.locale_text(nodes, words)
    for name, info in nodes.items():
        path = documents.help_page(name, language)
        if path.exists():
            page = path.read_text(encoding="utf-8")
            assert "<!-- inputs -->" in page, name
            assert documents.with_table(page, info, words) == page, name
        else:
            assert language != documents.ENGLISH, name
    assert words.missing == [], "sentences without a translation"
    assert set(words.table) <= words.used, "translations of sentences that no node says"


def test_host_serves_them(client, server):
    page = client.get_bytes(f"/extensions/{server.folder_name}/docs/EX4DBuildDWMesh.md")
    assert page == (Path(documents.DOCS) / "EX4DBuildDWMesh.md").read_bytes()
    served = client.get("/i18n")
    for language in (documents.ENGLISH, *documents.LANGUAGES):
        assert "EX4DBuildDWMesh" in served[language]["nodeDefs"]
    page = client.get_bytes(f"/extensions/{server.folder_name}/docs/EX4DCameraTrajectory/zh.md")
    assert page == documents.help_page("EX4DCameraTrajectory", "zh").read_bytes()
