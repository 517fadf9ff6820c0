"""The example graphs for other models in a real ComfyUI: checked by the host, run as far as weights can be had or made."""

from __future__ import annotations

import json

import pytest
import torch
from harness import other_models, workflow
from harness.chain import HEIGHT, WIDTH, WORKFLOWS, change, of, write_inputs
from harness.other_models import FRAMES, GRAPHS, LOADABLE
from harness.wan import node


@pytest.fixture(autouse=True)
def _newer_host(host):
    if host.release < other_models.SINCE:
        pytest.skip("this host lacks nodes of these graphs")


@pytest.fixture()
def clip(server):
    """chain.mp4 in the server's input folder."""
    files = write_inputs(server.input)
    yield
    for file in files:
        file.unlink()


@pytest.mark.parametrize("name", GRAPHS)
def test_the_host_finds_only_model_files_missing(client, clip, name):
    """Its own check of the whole graph: types, ranges, choices, links."""
    saved = workflow.load(WORKFLOWS / f"{name}.json")
    prompt = workflow.to_prompt(saved, client.object_info())
    change(prompt, {"EX4DLoadVideo": {"file": "chain.mp4"}})
    files = {model["name"] for entry in saved["nodes"] for model in entry["properties"].get("models", [])}
    result = client.queue(prompt)
    assert result.node_errors, "outputs without models, such as the fitted clip, may run all the same"
    for entry in result.node_errors.values():
        for error in entry["errors"]:
            assert error["type"] == "value_not_in_list", error
            assert any(file in json.dumps(error) for file in files), error


@pytest.mark.parametrize("name", GRAPHS)
def test_the_graph_runs_up_to_its_first_weights(client, server, clip, name):
    """Clip, fit, depth, mesh, camera and render: of the model's length, size and hole colour."""
    prompt = other_models.light(other_models.small_prompt(client, name))
    (render,) = of(prompt, "EX4DRenderColorMask")
    result = client.queue(prompt | {"color": node("EX4DTestRecord", value=[render, 0], name="guide")}).ok()
    color = torch.load(server.output / "guide.pt")
    assert color.shape == (FRAMES[name], HEIGHT, WIDTH, 3)
    assert f"{FRAMES[name]} frames" in result.text(render)
    grey, black, magenta = [0.5, 0.5, 0.5], [0.0, 0.0, 0.0], [1.0, 0.0, 1.0]
    marker = {"VACE": grey, "Uni3C": black, "CrossView": magenta, "Meridian": grey}[name.split()[0]]
    holes = (color[-1] == torch.tensor(marker)).all(-1)
    assert 0.05 < holes.float().mean() < 0.95


@pytest.mark.parametrize("name", LOADABLE)
def test_the_graph_makes_its_video_of_tiny_weights(client, server, reference, name):
    """To the saved video; and the render has its say: without the control's strength another video comes out."""
    from ex4d_core.video import load_video

    made = []
    with other_models.tiny_models(server, reference) as tiny:
        # The two graphs of VACE differ in their samplers only: once is enough.
        for strength in (1.0,) if name == "VACE (Wan 2.2)" else (1.0, 0.0):
            prompt = other_models.runnable(tiny, client, name, steps=2)
            control = "WanUni3CControlnetApply" if name == "Uni3C" else "WanVaceToVideo"
            change(prompt, {control: {"strength": strength}})
            (frames,), (saved,) = of(prompt, "VAEDecode"), of(prompt, "SaveVideo")
            result = client.queue(prompt | {"seen": node("EX4DTestRecord", value=[frames, 0], name="other")}).ok()
            made.append(torch.load(server.output / "other.pt"))
            (file,) = result.outputs[saved]["images"]
            video = load_video(server.output / file["subfolder"] / file["filename"])
            assert video.frames.shape == (FRAMES[name], HEIGHT, WIDTH, 3) and video.fps == pytest.approx(15)
    assert all(
        bool(torch.isfinite(frames).all()) and frames.shape == (FRAMES[name], HEIGHT, WIDTH, 3) for frames in made
    )
    assert len(made) == 1 or (made[0] - made[1]).abs().max() > 1e-3
