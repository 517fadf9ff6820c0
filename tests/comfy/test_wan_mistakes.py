"""Each convention of the published run, broken once: the comparison with its recorded trajectory fails every time."""

from __future__ import annotations

import json

import pytest
import torch
from harness.wan import Tiny, distance, node

TRAJECTORY = 5e-5


@pytest.fixture()
def tiny(server, reference) -> Tiny:
    return Tiny(server, reference)


def test_every_mistake_leaves_the_recorded_trajectory(newest_host, tiny, client):
    texts = {"positive": ["text", 0], "negative": ["text", 1], "vision": ["text", 2]}
    clip = {"vae": ["vae", 0], "color": ["clip", 0], "mask": ["clip", 1], "folder": str(tiny.folder)}
    mistakes = client.object_info("EX4DTestMistake")["EX4DTestMistake"]["input"]["required"]["mistake"][0]
    prompt = tiny.loaders()
    del prompt["adapter"]
    for number, mistake in enumerate(mistakes):
        prompt[f"run{number}"] = node("EX4DTestMistake", model=["model", 0], **texts, **clip, mistake=mistake)
    results = tiny.run(prompt, **{f"run{number}": (f"run{number}", 0) for number in range(len(mistakes))})
    golden = tiny.golden("traj_r16_cfg5_final", "sampler_golden")
    away = {mistake: distance(results[f"run{number}"], golden) for number, mistake in enumerate(mistakes)}
    assert away.pop("none") < TRAJECTORY
    assert len(away) > 20
    unnoticed = {mistake: value for mistake, value in away.items() if not value > 100 * TRAJECTORY}
    assert not unnoticed


def test_generate_shows_clip_vision_the_whole_first_frame(tiny, client):
    prompt = {"clip": node("EX4DTestClip", width=192, height=128, frames=9, variant="good")}
    prompt["encoders"] = node("EX4DTestGenerateEncoders", color=["clip", 0], mask=["clip", 1])
    prompt["words"] = node("EX4DTestRecord", value=["encoders", 1], name="words")
    out = tiny.run(prompt, color=("clip", 0), shown=("encoders", 0))
    assert torch.equal(out["shown"], out["color"][:1])
    assert json.loads(tiny.result.text("words")) == "positive|negative|crop False"
