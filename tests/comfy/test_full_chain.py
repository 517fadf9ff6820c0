"""The example graphs with models, from their files, in a real ComfyUI: tiny weights under the real files' names."""

from __future__ import annotations

import json

import pytest
import torch
from harness import chain as small
from harness.chain import GRAPHS, HEIGHT, WIDTH, WORKFLOWS, SmallGraph
from harness.wan import Tiny, node

FULL, FOURDNEX, ANEW = "Re-shoot full EX-4D", "Image to 4D (4DNeX)", "Image to 4D, re-shot with EX-4D"
KEPT = {
    FULL: {"UNETLoader", "EX4DAdapterLoader", "EX4DDepthCrafter", "EX4DRenderColorMask"},
    ANEW: {"UNETLoader", "EX4DAdapterLoader", "WanFourDNeXSampler", "EX4DPointMapToDepth", "EX4DRenderColorMask"},
}
"""Graphs that are cancelled in their last sampler, and what is not computed again when they run anew."""


@pytest.fixture()
def chain(server, reference):
    """Tiny Wan and DepthCrafter in the server's model folders."""
    with small.depth_models(server, reference), small.wan_models(server, reference) as tiny:
        yield tiny


def small_graph(tiny: Tiny, client, name: str, **sampler) -> SmallGraph:
    return small.small_graph(tiny, client, WORKFLOWS / f"{name}.json", **sampler)


def check_result(tiny: Tiny, result, name: str, saved: str) -> None:
    """As many frames as the graph was given, of its size, finite, with something in them; and the same as a video."""
    from ex4d_core.video import load_video

    frames = torch.load(tiny.server.output / "chain.pt")
    count, _, fps = GRAPHS[name]
    assert frames.shape == (count, HEIGHT, WIDTH, 3)
    assert bool(torch.isfinite(frames).all()) and float(frames.std()) > 1e-3
    (file,) = result.outputs[saved]["images"]
    video = load_video(tiny.server.output / file["subfolder"] / file["filename"])
    assert video.frames.shape == (count, HEIGHT, WIDTH, 3)
    assert video.fps == pytest.approx(fps)


def recording(graph: SmallGraph) -> dict:
    return graph.prompt | {"frames": node("EX4DTestRecord", value=[graph.frames, 0], name="chain")}


@pytest.mark.parametrize("name", KEPT)
def test_the_graph_is_cancelled_while_sampling_and_runs_again(newest_host, chain, client, name):
    graph = small_graph(chain, client, name, seed=21, steps=2000)
    seen = []

    def stop(kind, data):
        if kind == "progress" and data["node"] == graph.sampling and data["value"] >= 3:
            seen.append(data["value"])
            client.interrupt()

    cancelled = client.queue(recording(graph), on_message=stop)
    assert cancelled.status == "interrupted" and seen
    assert max(value for where, value, _ in cancelled.progress if where == graph.sampling) < 2000
    assert graph.saved not in cancelled.outputs
    (chain.server.output / "chain.pt").unlink(missing_ok=True)
    graph = small_graph(chain, client, name, seed=21, steps=GRAPHS[name][1])
    result = client.queue(recording(graph)).ok()
    check_result(chain, result, name, graph.saved)
    assert KEPT[name] <= {graph.prompt[key]["class_type"] for key in result.cached}


@pytest.mark.parametrize("name", [name for name in GRAPHS if name not in KEPT])
def test_the_graph_makes_its_video(chain, client, name):
    (chain.server.output / "chain.pt").unlink(missing_ok=True)
    graph = small_graph(chain, client, name, seed=22)
    result = client.queue(recording(graph)).ok()
    check_result(chain, result, name, graph.saved)
    steps = [(value, top) for where, value, top in result.progress if where == graph.sampling]
    assert steps[-1] == (GRAPHS[name][1],) * 2
    assert json.loads(result.text("frames"))["shape"][0] == GRAPHS[name][0]


def test_a_picture_becomes_points_of_the_graphs_own_words(chain, client):
    """They are saved for the other graph and for recon; what 4DNeX was trained to be told stands behind the words."""
    from ex4d_core.pointmap import load_pointmap

    graph = small_graph(chain, client, FOURDNEX)
    (saving,), (encoder,) = (small.of(graph.prompt, kind) for kind in ("EX4DSavePointMap", "EX4DTestTextEncoder"))
    said = node("EX4DTestSaid", clip=[encoder, 0], after=[graph.frames, 0])
    result = client.queue(graph.prompt | {"said": said}).ok()
    (words,) = (entry["inputs"]["prompt"] for entry in graph.prompt.values() if "prompt" in entry["inputs"])
    assert {f"{words} POINTMAP_STYLE.", ""} <= set(
        result.outputs["said"]["text"]
    )  # the cache may bring an older encoder
    file = result.text(saving).split(" saved as ")[1].split(" in ComfyUI")[0]
    scene = load_pointmap(chain.server.output / file)
    assert (len(scene), scene.width, scene.height, scene.fps) == (GRAPHS[FOURDNEX][0], WIDTH, HEIGHT, 24)
