"""Every example graph: fits the nodes' schemas on each host, and runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import other_models, workflow
from harness.cancel import check_cancelled, watch
from harness.chain import needs_models
from harness.hosts import find_hosts

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / "workflows").glob("*.json"))
GEOMETRY = [path for path in WORKFLOWS if not needs_models(path)]
SHOWING = ("EX4DDemoClip", "EX4DBuildDWMesh", "EX4DCameraTrajectory", "EX4DRenderColorMask", "EX4DDraftFill")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_graph_fits_the_schemas(client, host, path):
    """Each widget by name, each link to an input that exists and takes it."""
    if not other_models.runs_on(path.stem, host):
        pytest.skip("this host lacks nodes of the graph")
    info = client.object_info()
    prompt = workflow.to_prompt(workflow.load(path), info)
    assert prompt
    for node in prompt.values():
        for name, value in node["inputs"].items():
            if isinstance(value, list):
                source = info[prompt[value[0]]["class_type"]]
                wanted = workflow.input_spec(info[node["class_type"]], name)[0]
                given = source["output"][value[1]]
                assert wanted in ("*", given) or given == "*" or given in str(wanted), f"{given} into {name}: {wanted}"


@pytest.mark.parametrize("path", GEOMETRY, ids=lambda path: path.stem)
def test_graph_runs_as_published(client, server, host, path):
    """All 49 frames, one graph's of 512x512 on the newest host: every node shows something, the video holds the clip."""
    from ex4d_core.video import load_video

    prompt = workflow.to_prompt(workflow.load(path), client.object_info())
    size = 512 if host == find_hosts()[-1] and path.stem == "Re-shoot geometry only" else 128
    for node in prompt.values():
        if node["class_type"] == "EX4DDemoClip":
            node["inputs"] |= {"width": size, "height": size}
    result = client.queue(prompt).ok()
    for node_id, node in prompt.items():
        if node["class_type"] in SHOWING and node_id in result.executed:
            assert result.outputs[node_id]["images"], f"{node['class_type']} shows nothing"
    saved = [node_id for node_id, node in prompt.items() if node["class_type"] == "SaveVideo"]
    for node_id in saved:
        (file,) = result.outputs[node_id]["images"]
        video = load_video(server.output / file["subfolder"] / file["filename"])
        assert video.frames.shape == (49, size, size, 3)


def test_a_geometry_graph_stops_at_the_next_frame_of_every_node(newest_host, client):
    """Each looks at least once a frame whether it is cancelled; pressed at a look, cancel ends the run there."""
    prompt = workflow.to_prompt(workflow.load(ROOT / "workflows" / "Re-shoot geometry only.json"), client.object_info())
    by_kind = {node["class_type"]: node_id for node_id, node in prompt.items()}
    clip, path = prompt[by_kind["EX4DDemoClip"]]["inputs"], prompt[by_kind["EX4DCameraTrajectory"]]["inputs"]
    clip |= {"width": 128, "height": 96}

    def changed(kind: str) -> dict:
        """The graph with an input of this node that no run before had, so that it is not taken from the cache."""
        path["angle"] -= 1.0
        if kind in ("EX4DBuildDWMesh", "EX4DDemoClip"):
            prompt[by_kind["EX4DBuildDWMesh"]]["inputs"]["min_angle"] += 0.01
        clip["width"] += 16 if kind == "EX4DDemoClip" else 0
        return prompt

    whole = watch(client, changed("EX4DDemoClip"))
    whole.result.ok()
    for kind in ("EX4DDraftFill", "EX4DRenderColorMask", "EX4DCameraTrajectory", "EX4DBuildDWMesh", "EX4DDemoClip"):
        assert whole.looks[by_kind[kind]] >= clip["frames"], kind
        for at in (2, clip["frames"] // 2):  # the first look is the host's, before the node begins
            check_cancelled(client, changed(kind), by_kind[kind], at)
    client.queue(changed("EX4DDemoClip")).ok()


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
