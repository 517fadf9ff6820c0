"""Every example graph: fits the nodes' schemas on each host, and runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from harness import workflow

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / "workflows").glob("*.json"))
NEEDS_MODELS = {"UNETLoader", "VAELoader", "CLIPLoader", "CLIPVisionLoader", "EX4DAdapterLoader", "EX4DDepthCrafter"}
FRAMES, SIDE = 9, 128


def shortened(prompt: dict) -> dict:
    """The same graph on a small clip; paths with keyframes are brought to its length."""
    from ex4d_core.trajectory import parse_document, resample_document

    for node in prompt.values():
        inputs = node["inputs"]
        if node["class_type"] == "EX4DDemoClip":
            inputs |= {"frames": FRAMES, "width": SIDE, "height": SIDE}
        if node["class_type"] == "EX4DCameraTrajectory" and inputs.get("path"):
            inputs["path"] = json.dumps(resample_document(parse_document(inputs["path"]), FRAMES))
    return prompt


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_graph_fits_the_schemas(client, path):
    """Each widget by name, each link to an input that exists and takes it."""
    info = client.object_info()
    prompt = workflow.to_prompt(workflow.load(path), info)
    assert prompt
    for node in prompt.values():
        for name, value in node["inputs"].items():
            if isinstance(value, list):
                source = info[prompt[value[0]]["class_type"]]
                wanted = workflow.input_specs(info[node["class_type"]])[name][0]
                given = source["output"][value[1]]
                assert wanted in ("*", given) or given == "*" or given in str(wanted), f"{given} into {name}: {wanted}"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_graph_runs(client, path):
    prompt = shortened(workflow.to_prompt(workflow.load(path), client.object_info()))
    kinds = {node["class_type"] for node in prompt.values()}
    if kinds & NEEDS_MODELS:
        pytest.skip(f"runs with model files only ({', '.join(sorted(kinds & NEEDS_MODELS))})")
    result = client.queue(prompt).ok()
    for node_id, node in prompt.items():
        if node["class_type"] in ("EX4DRenderColorMask", "EX4DDraftFill", "EX4DBuildDWMesh", "EX4DCameraTrajectory"):
            assert result.outputs[node_id]["images"], f"{node['class_type']} shows nothing"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_graph_has_a_thumbnail_and_a_note(path):
    thumbnail = path.with_suffix(".jpg")
    assert thumbnail.is_file() and 5_000 < thumbnail.stat().st_size < 120_000
    kinds = {node["type"] for node in workflow.load(path)["nodes"]}
    assert kinds & {"MarkdownNote", "Note"}


def test_host_lists_the_graphs(client, server):
    listed = client.get("/workflow_templates")[server.folder_name]
    assert set(listed) == {path.stem for path in WORKFLOWS}


def test_blueprint_is_the_subgraph_that_the_example_runs(client, server):
    """Hosts from 0.8 list blueprints; the same definition runs inside an example graph on every host."""
    (path,) = sorted((ROOT / "subgraphs").glob("*.json"))
    blueprint, example = workflow.load(path), workflow.load(ROOT / "workflows" / "All in one subgraph.json")
    assert blueprint["definitions"] == example["definitions"]
    (node,) = blueprint["nodes"]
    assert node["type"] == blueprint["definitions"]["subgraphs"][0]["id"]
    if server.host.release >= (0, 8):
        listed = [entry["name"] for entry in client.get("/global_subgraphs").values()]
        assert path.stem in listed
