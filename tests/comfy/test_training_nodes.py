"""Simulate Masks in a real ComfyUI."""

from __future__ import annotations

import torch
from test_geometry_nodes import depth_from, images, mesh_from, record


def prompt_of(mesh=True, **values):
    inputs = {
        "images": ["clip", 0], "kind": "tracking", "sample": 0, "seed": 0, "sweep": "published", "dilation": "seen",
        "tracker": "torch", "crop": False, "fps": 15.0,
    }  # fmt: skip
    if mesh:
        inputs["mesh"] = ["mesh", 0]
    return {
        "clip": images("colour", 64, 48, 5),
        "depth": images("depth", 64, 48, 5),
        "metric": depth_from(),
        "mesh": mesh_from(),
        "masks": {"class_type": "EX4DSimulateMasks", "inputs": inputs | values},
    }


def test_the_clip_is_the_target_and_its_holes_are_black(client, server):
    sinks = {f"r{slot}": record("masks", slot, f"masks_{slot}") for slot in range(3)}
    sinks["clip_out"] = record("clip", 0, "masks_clip")
    result = client.queue(prompt_of(kind="rendering") | sinks).ok()
    color, seen, target, clip = (
        torch.load(server.output / f"masks_{name}.pt", weights_only=True) for name in (0, 1, 2, "clip")
    )
    assert torch.allclose(target, clip, atol=0.5 / 255 + 1e-6)
    assert torch.equal(color, target * seen[..., None])
    assert 0.02 < float(1 - seen.mean()) < 0.98 and set(seen.unique().tolist()) == {0.0, 1.0}
    assert "rendering mask" in result.text("masks") and result.outputs["masks"]["animated"] == [True]


def test_masks_without_a_mesh_to_render_are_refused_before_the_run(client):
    result = client.queue(prompt_of(mesh=False, kind="mixed"))
    assert "masks" in result.node_errors and "masks" not in result.executed
    assert "connect mesh, or choose tracking" in result.message
    client.queue(prompt_of(mesh=False, kind="tracking", crop=True)).ok()
