"""The DepthCrafter node in a real ComfyUI, with the tiny recorded models in its models folder."""

from __future__ import annotations

import json
import time

import pytest
import torch
from harness import chain
from harness.cancel import check_cancelled
from test_geometry_nodes import images, mesh_from, record


@pytest.fixture()
def models(server, reference):
    """The tiny models where the node looks for the published ones."""
    with chain.depth_models(server, reference) as root:
        yield root


def depthcrafter(**values):
    inputs = {
        "images": ["clip", 0],
        "model": "DepthCrafter",
        "steps": 2,
        "window": 4,
        "overlap": 1,
        "seed": 42,
        "size_limit": 128,
        "memory": "auto",
        "allow_download": True,
        "unload_after": False,
    }
    return {"class_type": "EX4DDepthCrafter", "inputs": inputs | values}


def graph(frames=5, **values):
    return {
        "clip": images("colour", 96, 72, frames),
        "node": depthcrafter(**values),
        "depth": record("node", 0, "dc_depth"),
        "grey": record("node", 1, "dc_grey"),
        "frames": record("clip", 0, "dc_clip"),
    }


def test_a_missing_model_is_told_file_by_file(client):
    result = client.queue(graph(seed=1))
    assert result.status == "error"
    for part in ("offline", "diffusion_pytorch_model.safetensors", "DepthCrafter", "huggingface.co/tencent"):
        assert part in result.message


def test_the_node_gives_what_the_core_gives(newest_host, client, server, models, reference):
    from ex4d_core.depth.depthcrafter import DepthCrafter

    result = client.queue(graph(seed=7)).ok()
    depth = json.loads(result.text("depth"))
    assert depth["class"] == "DepthClip" and depth["depth"]["shape"] == [5, 72, 96]
    clip, grey = (torch.load(server.output / f"dc_{name}.pt", weights_only=True) for name in ("clip", "grey"))
    crafter = DepthCrafter.from_pretrained(
        models / "DepthCrafter", models / "stable-video-diffusion-img2vid", device="cpu"
    )
    disparity = crafter(clip, steps=2, window=4, overlap=1, seed=7, size_limit=128)
    expected = (disparity - disparity.min()) / (disparity.max() - disparity.min())
    assert grey.shape == (5, 72, 96, 3)
    assert float((grey[..., 0] - expected).abs().max()) < 1e-4
    assert result.outputs["node"]["animated"] == [True] and "disparity" in result.text("node")
    # 5 frames encoded, 2 windows of 2 steps, 1 chunk decoded; a picture after every step
    assert [(value, total) for node, value, total in result.progress if node == "node"][-1] == (10, 10)
    assert len(result.previews) >= 4


def test_memory_modes_give_the_same_in_the_host(client, server, models):
    pictures = []
    for mode in ("speed", "low"):
        client.queue(graph(seed=8, memory=mode)).ok()
        pictures.append(torch.load(server.output / "dc_grey.pt", weights_only=True))
    assert float((pictures[0] - pictures[1]).abs().max()) < 1e-4


def test_its_depth_builds_a_mesh_and_the_model_can_be_unloaded(client, models):
    prompt = graph(seed=9, unload_after=True) | {
        "mesh": mesh_from("clip", "node"),
        "sink": record("mesh", 0, "dc_mesh"),
    }
    result = client.queue(prompt).ok()
    assert json.loads(result.text("sink"))["class"] == "DWMesh"
    client.queue(graph(seed=10)).ok()


def test_cancelling_leaves_the_model_usable(client, models):
    check_cancelled(client, graph(seed=11), "node", 6)
    client.queue(graph(seed=12)).ok()


def networks_loaded(client) -> int:
    """How many of DepthCrafter's networks the host holds loaded."""
    turn = time.time_ns() % 2**31  # not taken from the cache
    result = client.queue({"state": {"class_type": "EX4DTestLoadedModels", "inputs": {"turn": turn}}}).ok()
    return json.loads(result.text("state")).count("_Network")


def test_the_host_manages_frees_and_reloads_the_networks(client, server, models):
    def picture(seed):
        client.queue(graph(seed=seed, memory="speed")).ok()
        return torch.load(server.output / "dc_grey.pt", weights_only=True)

    first = picture(30)
    assert networks_loaded(client) == 4
    client.post("/free", {"unload_models": True})
    for _ in range(50):  # the host frees between two prompts
        if networks_loaded(client) == 0:
            break
    assert networks_loaded(client) == 0
    picture(31)
    assert networks_loaded(client) == 4
    check_cancelled(client, graph(seed=32, memory="speed"), "node", 8)
    assert networks_loaded(client) >= 3  # the decoder's turn had not come again
    assert torch.equal(picture(30), first)
    client.queue(graph(seed=33, unload_after=True)).ok()
    assert networks_loaded(client) == 0


def test_settings_that_cannot_work_are_refused(client, models):
    prompt = graph(window=4, overlap=4)
    del prompt["frames"]
    result = client.queue(prompt)
    assert result.status != "success" and "overlap" in result.message
    prompt = graph(seed=13, model="Other")
    del prompt["frames"]
    assert client.queue(prompt).status != "success"


def test_a_half_downloaded_model_is_refused(client, models):
    client.queue(graph(seed=14, unload_after=True)).ok()
    broken = models / "DepthCrafter" / "diffusion_pytorch_model.safetensors"
    broken.write_bytes(broken.read_bytes()[:-100])
    result = client.queue(graph(seed=15))
    assert result.status == "error" and "did not finish" in result.message


def test_the_example_graph_runs(client, models):
    prompt = chain.small_depth_graph(client, chain.WORKFLOWS / "Re-shoot DepthCrafter to colour and mask.json")
    result = client.queue(prompt).ok()
    saved = [output for node, output in result.outputs.items() if prompt[node]["class_type"] == "SaveVideo"]
    assert len(saved) == 2
