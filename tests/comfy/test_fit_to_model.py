"""Fit Clip to Model in a real ComfyUI: its outputs feed stock nodes, and its rows are those of the host's own nodes."""

from __future__ import annotations

import pytest
import torch
from harness import workflow
from test_geometry_nodes import depth_from, images, mesh_from, record
from test_render_nodes import render_of, shot

from ex4d_core.targets import MODELS

NODES = {
    "Wan 2.1 14B": ("WanVaceToVideo", "WanImageToVideo"),
    "Wan 2.2 A14B": ("WanVaceToVideo", "WanImageToVideo"),
    "Wan 2.2 5B": ("Wan22ImageToVideoLatent",),
    "LTX 2.3": ("EmptyLTXVLatentVideo",),
    "MiniMax-H3": ("MiniMaxH3ReferenceToVideo", "EmptyMiniMaxH3LatentAV"),
}
"""A model's nodes, whose schemas tell steps of length and sides."""


def fit_of(source="clip", **values):
    inputs = {"images": [source, 0], "model": "VACE on Wan 2.1 14B", "fps": 24.0}
    return {"class_type": "EX4DFitToModel", "inputs": inputs | values}


def outputs(client, server, prompt, **slots):
    sinks = {f"r_{name}": record("fit", slot, f"fit_{name}") for name, slot in slots.items()}
    result = client.queue(prompt | sinks).ok()
    return result, {name: torch.load(server.output / f"fit_{name}.pt", weights_only=True) for name in slots}


@pytest.mark.parametrize("base", sorted({model.base.name for model in MODELS.values()}))
def test_rows_are_those_of_the_hosts_nodes(client, base):
    """As far as schemas tell them, on hosts that have the model."""
    row = next(model.base for model in MODELS.values() if model.base.name == base)
    info = client.object_info()
    known = [name for name in NODES[base] if name in info]
    if not known:
        pytest.skip("this host has none of the model's nodes")
    for name in known:
        specs = {key: workflow.options_of(spec) for key, spec in workflow.input_specs(info[name]).items()}
        assert specs["length"]["step"] == row.step, name
        assert (specs["length"]["default"] - row.first) % row.step == 0, name
        assert specs["width"]["step"] == specs["height"]["step"] == row.side, name
        assert row.trained[0] <= specs["length"]["default"] <= row.trained[1], name
    if row.name == "MiniMax-H3":
        assert f"{row.trained[0]}-{row.trained[1]}" in specs["length"]["tooltip"]


def test_a_render_goes_on_to_a_model_with_grey_holes(client, server):
    prompt = shot("60", 64, 48, 6) | {
        "fit": fit_of("render", seen=["render", 1], trajectory=["path", 0], fps=16.0, width=96, height=64, fit="pad"),
        "grown": {"class_type": "GrowMask", "inputs": {"mask": ["fit", 2], "expand": 2, "tapered_corners": True}},
    }
    numbers = {"fps": 5, "width": 6, "height": 7, "length": 8}
    prompt |= {
        name: {"class_type": "PreviewAny", "inputs": {"source": ["fit", slot]}} for name, slot in numbers.items()
    }
    result, out = outputs(client, server, prompt, images=0, seen=1, holes=2)
    assert out["images"].shape == (5, 64, 96, 3) and torch.equal(out["holes"], 1 - out["seen"])
    assert (out["images"][out["seen"] == 0] == 0.5).all() and 0 < out["holes"][0].mean() < out["holes"][-1].mean()
    assert [float(result.text(name)) for name in numbers] == [16, 96, 64, 5]
    assert "5 of 6 frames" in result.text("fit") and result.outputs["fit"]["animated"] == [True]
    assert [(value, total) for node, value, total in result.progress if node == "fit"][-1:] == [(5, 5)]


def test_what_follows_a_fitted_clip_has_its_length_and_size(client):
    rules = {"fps": 30.0, "model": "CrossView on MiniMax-H3"}
    prompt = shot("60", 64, 48, 20) | {
        "fit": fit_of("clip", **rules),
        "fit_depth": fit_of("depth", **rules),
        "metric": depth_from("fit_depth"),
        "mesh": mesh_from("fit", "metric"),
    }
    result = client.queue(prompt).ok()
    assert "5 frames, 64x64" in result.text("render") and "24 fps" in result.text("fit")


def test_what_cannot_be_fitted_is_told(client):
    wrong = client.queue({"clip": images("colour", 64, 48, 6), "fit": fit_of(length=6)})
    assert wrong.status == "error" and "4n + 1" in wrong.message
    prompt = shot("60", 64, 48, 5) | {"fit": fit_of(fps=16.0), "render": render_of(trajectory=["fit", 3])}
    blocked = client.queue(prompt)
    assert blocked.status == "error" and "no trajectory" in blocked.message
