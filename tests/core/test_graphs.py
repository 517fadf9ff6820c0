"""The example graphs as files: what they name for the host to offer, and what an app of them shows."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from harness import gallery

ROOT = Path(__file__).resolve().parents[2]
GRAPHS = sorted((ROOT / "workflows").glob("*.json"))
APP = "Re-shoot a video"
FOLDERS = {
    "UNETLoader": "diffusion_models",
    "CLIPLoader": "text_encoders",
    "CLIPVisionLoader": "clip_vision",
    "VAELoader": "vae",
    "LoraLoaderModelOnly": "loras",
    "ModelPatchLoader": "model_patches",
    "LoadMoGeModel": "geometry_estimation",
    "CheckpointLoaderSimple": "checkpoints",
    "ImageOnlyCheckpointLoader": "checkpoints",
    "LTXVAudioVAELoader": "checkpoints",
    "LTXAVTextEncoderLoader": "text_encoders checkpoints",
}
"""Stock loaders, and the folders of ComfyUI's models that each reads, a file each. Our own nodes download by themselves."""


def load(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.stem)
def test_every_loader_names_its_file_where_the_host_looks_for_downloads(path):
    graph = load(path)
    note = next(node["widgets_values"][0] for node in graph["nodes"] if node["type"] == "MarkdownNote")
    for node in graph["nodes"]:
        wanted = [value for value in node.get("widgets_values") or [] if str(value).endswith(".safetensors")]
        declared = node.get("properties", {}).get("models", [])
        assert [model["name"] for model in declared] == wanted, node["type"]
        for model, folder in zip(declared, FOLDERS.get(node["type"], "").split()):
            assert model["directory"] == folder
            # The frontends offer what lies on the hub, as a file, of the name that the loader asks for.
            assert model["url"].startswith("https://huggingface.co/") and "/resolve/main/" in model["url"]
            assert model["url"].endswith(f"/{model['name']}")
            assert model["name"] in note, "the note lists it too, with its licence"


def test_the_app_asks_for_a_clip_and_a_camera_and_shows_draft_and_video():
    """As ComfyUI's App mode stores it: a form of widgets by node and name, and the nodes whose results it shows."""
    graph = load(ROOT / "workflows" / f"{APP}.json")
    assert graph["extra"]["linearMode"] is True
    kinds = {node["id"]: node["type"] for node in graph["nodes"]}
    form = graph["extra"]["linearData"]
    # The editor is a widget that web/ex4d.js adds; it is in no schema.
    assert [(kinds[node], widget) for node, widget, *_ in form["inputs"]] == [
        ("EX4DLoadVideo", "file"),
        ("EX4DCameraTrajectory", "camera_editor"),
    ]
    assert f"'{form['inputs'][1][1]}'" in (ROOT / "web" / "ex4d.js").read_text(encoding="utf-8")
    assert [kinds[node] for node in form["outputs"]] == ["EX4DDraftFill", "SaveVideo"]
    others = [load(path).get("extra", {}) for path in GRAPHS if path.stem != APP]
    assert not any("linearMode" in extra for extra in others)


def test_the_gallery_shows_every_graph_beside_its_own_geometry():
    page = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
    shown = [name for graphs in gallery.PICTURES.values() for name in graphs]
    assert sorted(shown) == [path.stem for path in GRAPHS]
    sections = dict(re.findall(r"!\[[^\]]+\]\(gallery/([\w-]+)\.jpg\)\n\n(.*?)(?=\n## |\Z)", page, re.DOTALL))
    assert sections.keys() == gallery.PICTURES.keys() | set(gallery.OTHERS)
    assert all((gallery.FOLDER / f"{name}.jpg").is_file() for name in gallery.OTHERS)
    for picture, graphs in gallery.PICTURES.items():
        assert re.findall(r"^\* \*\*(.+?)\*\*", sections[picture], re.MULTILINE) == list(graphs)
        assert len({gallery.geometry_of(gallery.graph_of(name)) for name in graphs}) == 1
        assert (gallery.FOLDER / f"{picture}.jpg").is_file()
