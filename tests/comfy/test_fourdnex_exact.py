"""4DNeX inside ComfyUI against what the published code computed on the same tiny weights.

Where the large recorded set is, all of its tensors; else those of the repository's own.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from harness.fourdnex import TinyHalves
from harness.wan import distance, node
from safetensors.torch import load_file

ROW, CONDITION, DECODE, CHAIN = 5e-5, 2e-5, 1e-5, 2e-4
"""Limits of the recordings' own README: relative L2 of latents and velocities, and of the condition; absolute of pictures."""
FORWARDS = {
    **{f"base_t{t}": (0.0, "none.pt", t) for t in range(3)},
    **{f"full_t{t}": (1.0, "tiny_4dnex.pt", t) for t in range(3)},
    "demb_t1": (0.0, "tiny_4dnex.pt", 1),
    "demb0_t1": (0.0, "left.pt", 1),
    "demb1_t1": (0.0, "right.pt", 1),
    "lora_t1": (1.0, "none.pt", 1),
}
"""Recorded velocity -> strength of the LoRA, file of vectors, which timestep."""


@pytest.fixture(scope="session")
def recordings(reference) -> Path:
    large = Path(os.environ.get("EX4D_REFERENCE") or Path(__file__).resolve().parents[3] / "shared" / "reference")
    return (large if (large / "fourdnex").is_dir() else reference) / "fourdnex"


@pytest.fixture()
def tiny(server, reference, recordings) -> TinyHalves:
    return TinyHalves(server, recordings, reference / "adapter")


def sigma_of(tiny: TinyHalves, which: int) -> float:
    """A noise level of the six-step run whose timestep, truncated, is the recorded one."""
    return float(tiny.golden("sigmas")[(0, 3, 5)[which]])


def test_condition_and_forwards_are_the_recorded_ones(tiny, client):
    names = load_file(tiny.folder / "forward.safetensors").keys()
    wanted = {name: row for name, row in FORWARDS.items() if f"out_{name}" in names}
    assert {"full_t1", "demb0_t1"} <= wanted.keys()
    prompt, outputs = tiny.loaders() | tiny.conditioning(), {}
    for name, (strength, vectors, which) in wanted.items():
        prompt[f"adapter_{name}"] = tiny.loaders(strength, vectors)["adapter"]
        prompt[f"probe_{name}"] = tiny.forward(sigma_of(tiny, which), (f"adapter_{name}", 0))["probe"]
        outputs[name] = (f"probe_{name}", 0)
    prompt["negative"] = tiny.forward(sigma_of(tiny, 1), positive=("ready", 2))["probe"]
    # Without the adapter nothing is truncated, so it is given what was recorded.
    told = float(tiny.golden("timesteps", "inputs")[1]) / 1000
    prompt["stock"] = tiny.forward(told, model=("model", 0))["probe"]
    probe = f"probe_{next(iter(wanted))}"
    found = tiny.run(prompt, **outputs, negative=("negative", 0), stock=("stock", 0), mask=(probe, 1), image=(probe, 2))
    condition = load_file(tiny.folder / "condition.safetensors")
    assert torch.equal(found["mask"], condition["mask"])
    away = {name: distance(found[name], tiny.golden(f"out_{name}", "forward")) for name in wanted}
    away["full_neg_t1"] = distance(found["negative"], tiny.golden("out_full_neg_t1", "forward"))
    assert {name: value for name, value in away.items() if not value <= ROW} == {}
    if "image_latent" in condition:
        assert distance(found["image"], condition["image_latent"]) <= CONDITION
        assert distance(found["stock"], tiny.golden("wrong_stock_rope_t1", "forward")) <= ROW
    assert distance(found["stock"], found["full_t1"]) > 0.1


@pytest.mark.parametrize("node_under_test", ["sampler", "advanced"])
def test_each_step_at_cfg_5_and_the_pictures_are_the_recorded_ones(tiny, client, node_under_test):
    prompt = tiny.loaders() | tiny.spied(f"five_{node_under_test}")
    if node_under_test == "sampler":
        prompt |= tiny.sampler(("spy", 0))
        pictures = "sampled"
    else:
        prompt |= tiny.conditioning(("spy", 0)) | tiny.advanced()
        prompt["decoded"] = node("EX4DFourDNeXDecode", samples=["sampled", 0], vae=["vae", 0], decoding="joint",
                                 vae_tiles="off", video=0, fps=24.0)  # fmt: skip
        pictures = "decoded"
    prompt["points"] = node("EX4DTestPoints", pointmap=[pictures, 1])
    outputs = {"color": (pictures, 0), "points": ("points", 0)}
    found = tiny.run(prompt, latent=("latent", 0), steps=("steps", 0), **outputs)
    golden = load_file(tiny.folder / "trajectory.safetensors")
    assert distance(found["latent"], golden["cfg5_final"]) <= ROW
    assert len(found["steps"]) == 6
    away = {}
    for step in range(6):
        seen, clean = found["steps"][step].split(1)
        if f"cfg5_x0_{step}" in golden:
            away[f"x0 {step}"] = distance(clean, golden[f"cfg5_x0_{step}"])
            before = golden[f"cfg5_latent_{step - 1}"] if step else tiny.golden("noise", "inputs")
            away[f"seen {step}"] = distance(seen, before)
    assert {name: value for name, value in away.items() if not value <= ROW} == {}
    decoded = load_file(tiny.folder / "decode.safetensors")
    first = torch.cat([found["color"][0], found["points"][0]], dim=1)
    bytes_off = (first * 255 - decoded["video_u8_first"].float()).clamp(0, 255)  # truncated when written
    assert float(bytes_off.max()) < 1.02 and float((first * 255 - decoded["video_u8_first"]).min()) > -0.06
    if "rgb" in decoded:
        assert float((found["color"] - decoded["rgb"]).abs().max()) <= CHAIN
        assert float((found["points"] - decoded["xyz"]).abs().max()) <= CHAIN


def test_each_step_at_cfg_1_is_the_recorded_one(tiny, client):
    prompt = tiny.loaders() | tiny.spied("one") | tiny.sampler(("spy", 0), mode="few steps", few_steps=4)
    found = tiny.run(prompt, latent=("latent", 0), steps=("steps", 0))
    assert len(found["steps"]) == 4
    for step in range(1, 4):
        assert distance(found["steps"][step][:1], tiny.golden(f"cfg1_latent_{step - 1}")) <= ROW
    assert distance(found["latent"], tiny.golden("cfg1_latent_3")) <= ROW


def test_other_counts_of_steps_and_no_adapter_end_where_they_were_recorded(tiny, client):
    golden, prompt, outputs = load_file(tiny.folder / "trajectory.safetensors"), tiny.loaders(), {}
    for steps in (1, 2, 3, 12):
        if f"cfg5_steps{steps}_final" in golden:
            run = tiny.sampler(steps=steps)
            prompt |= {f"sampled{steps}": run["sampled"]}
            prompt[f"latent{steps}"] = node("EX4DTestSamples", latent=[f"sampled{steps}", 2])
            outputs[f"cfg5_steps{steps}_final"] = (f"latent{steps}", 0)
    if "noadapter_cfg5_final" in golden:
        prompt["bare"] = tiny.loaders(0.0, "none.pt")["adapter"]
        prompt["sampled0"] = tiny.sampler(("bare", 0))["sampled"]
        prompt["latent0"] = node("EX4DTestSamples", latent=["sampled0", 2])
        outputs["noadapter_cfg5_final"] = ("latent0", 0)
    assert outputs
    found = tiny.run(prompt, **outputs)
    away = {name: distance(found[name], golden[name]) for name in outputs}
    assert {name: value for name, value in away.items() if not value <= ROW} == {}


def test_a_recorded_latent_is_decoded_jointly_and_apart_as_recorded(tiny, client):
    prompt = {"vae": tiny.loaders()["vae"]}
    prompt["recorded"] = node("EX4DTestLatent", folder=str(tiny.folder), file="trajectory", name="cfg5_final")
    outputs = {}
    for way in ("joint", "apart"):
        prompt[way] = node("EX4DFourDNeXDecode", samples=["recorded", 0], vae=["vae", 0], decoding=way, vae_tiles="off",
                           video=0, fps=24.0)  # fmt: skip
        prompt[f"points_{way}"] = node("EX4DTestPoints", pointmap=[way, 1])
        outputs |= {f"color_{way}": (way, 0), f"points_{way}": (f"points_{way}", 0)}
    found = tiny.run(prompt, **outputs)
    decoded = load_file(tiny.folder / "decode.safetensors")
    if "rgb" in decoded:
        for way, end in (("joint", ""), ("apart", "_apart")):
            for half, name in (("color", "rgb"), ("points", "xyz")):
                away = (found[f"{half}_{way}"] - decoded[name + end]).abs().max()
                assert float(away) <= DECODE, f"{half} {way}"
    # What joining costs at the seam, against the far side.
    off = (found["points_joint"] - found["points_apart"]).abs().mean((0, 1, 3))
    assert float(off[:2].mean()) > 0.1 > 0.02 > float(off[-40:].mean())
