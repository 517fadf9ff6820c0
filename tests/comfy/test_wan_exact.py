"""The adapter inside ComfyUI against what the published code computed on the same tiny weights."""

from __future__ import annotations

import pytest
from harness.wan import Tiny, distance, node

FORWARD, TRAJECTORY = 2e-5, 5e-5
RANKS = {4: "ex4d_tiny_r4.ckpt", 16: "loras/ex4d_tiny_r16.safetensors"}


@pytest.fixture()
def tiny(server, reference) -> Tiny:
    return Tiny(server, reference)


def forward(tiny: Tiny, prompt: dict, positive=("ready", 1), which=1, model=("ready", 0)):
    probe = node("EX4DTestForward", model=list(model), conditioning=list(positive), latent=["ready", 3], which=which)
    probe["inputs"]["folder"] = str(tiny.folder)
    return tiny.run({**prompt, "probe": probe}, velocity=("probe", 0))["velocity"]


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("rank", RANKS)
def test_lora_and_prior_give_the_recorded_forward(tiny, client, rank, which):
    prompt = tiny.loaders(RANKS[rank]) | tiny.conditioning()
    assert distance(forward(tiny, prompt, which=which), tiny.golden(f"out_lora_r{rank}_prior_t{which}")) <= FORWARD


@pytest.mark.parametrize(
    ("strengths", "golden"),
    [((0.0, 0.0), "out_base_t1"), ((1.0, 0.0), "out_lora_r16_t1"), ((0.0, 1.0), "out_base_prior_t1")],
)
def test_each_part_alone_gives_the_recorded_forward(tiny, client, strengths, golden):
    prompt = tiny.loaders(lora_strength=strengths[0], prior_strength=strengths[1]) | tiny.conditioning()
    assert distance(forward(tiny, prompt), tiny.golden(golden)) <= FORWARD


def test_the_negative_prompt_meets_the_same_prior(tiny, client):
    prompt = tiny.loaders() | tiny.conditioning()
    velocity = forward(tiny, prompt, positive=("ready", 2))
    assert distance(velocity, tiny.golden("out_lora_r16_prior_neg_t1")) <= FORWARD


@pytest.mark.parametrize(("rank", "cfg"), [(4, 5), (16, 5), (16, 1)])
def test_ksampler_follows_the_recorded_trajectory(tiny, client, rank, cfg):
    prompt = tiny.loaders(RANKS[rank]) | tiny.conditioning() | tiny.ksampler(cfg=cfg)
    latent = tiny.run(prompt, latent=("latent", 0))["latent"]
    assert distance(latent, tiny.golden(f"traj_r{rank}_cfg{cfg}_final", "sampler_golden")) <= TRAJECTORY


def test_sampler_custom_follows_the_recorded_trajectory(tiny, client):
    prompt = tiny.loaders() | tiny.conditioning() | tiny.advanced()
    latent = tiny.run(prompt, latent=("latent", 0))["latent"]
    assert distance(latent, tiny.golden("traj_r16_cfg5_final", "sampler_golden")) <= TRAJECTORY


@pytest.mark.parametrize(("rank", "cfg"), [(4, 5), (16, 5), (16, 1)])
def test_the_sampler_node_follows_the_recorded_trajectory(tiny, client, rank, cfg):
    prompt = tiny.loaders(RANKS[rank]) | tiny.sampler(cfg=cfg)
    latent = tiny.run(prompt, latent=("latent", 0))["latent"]
    assert distance(latent, tiny.golden(f"traj_r{rank}_cfg{cfg}_final", "sampler_golden")) <= TRAJECTORY
