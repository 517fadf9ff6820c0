"""4DNeX among everything else that users put on a Wan model; what is refused; and each convention broken once."""

from __future__ import annotations

import json
import time
from io import BytesIO

import pytest
import torch
from harness.fourdnex import LORA, TinyHalves
from harness.wan import Tiny, distance, node
from PIL import Image
from safetensors.torch import load_file, save_file

ROW = 5e-5
NOISE_SCALED = 3e-4
"""The smallest of the mistakes, in the recordings' own measurement."""


@pytest.fixture()
def tiny(server, reference) -> TinyHalves:
    return TinyHalves(server, reference / "fourdnex", reference / "adapter")


@pytest.fixture()
def final(tiny) -> torch.Tensor:
    """The latent after a run of three steps."""
    return tiny.golden("cfg5_steps3_final")


def test_every_mistake_leaves_the_recorded_trajectory(newest_host, tiny, client):
    given = {"vae": ["vae", 0], "positive": ["text", 0], "negative": ["text", 1], "vision": ["text", 2],
             "image": ["picture", 0], "folder": str(tiny.folder)}  # fmt: skip
    golden = tiny.golden("cfg5_steps3_final")
    known = client.object_info("EX4DTestHalvesMistake")["EX4DTestHalvesMistake"]
    mistakes = known["input"]["required"]["mistake"][0]
    prompt = tiny.loaders()
    del prompt["adapter"]
    for number, mistake in enumerate(mistakes):
        prompt[f"run{number}"] = node("EX4DTestHalvesMistake", model=["model", 0], **given, mistake=mistake)
    results = tiny.run(prompt, **{f"run{number}": (f"run{number}", 0) for number in range(len(mistakes))})
    away = {mistake: distance(results[f"run{number}"], golden) for number, mistake in enumerate(mistakes)}
    assert away.pop("none") < ROW
    assert len(away) == 22
    assert NOISE_SCALED * 0.8 < away.pop("noise: multiplied by the first level") < NOISE_SCALED * 1.2
    assert {mistake: value for mistake, value in away.items() if not value > 100 * ROW} == {}


def test_every_mistake_with_the_points_leaves_the_recorded_latent(tiny, client):
    golden = tiny.golden("latent_to_vae", "decode")
    known = client.object_info("EX4DTestPointsMistake")["EX4DTestPointsMistake"]["input"]["required"]["mistake"][0]
    prompt = {f"run{n}": node("EX4DTestPointsMistake", folder=str(tiny.folder), mistake=m) for n, m in enumerate(known)}
    results = tiny.run(prompt, **{name: (name, 0) for name in prompt})
    away = {mistake: distance(results[f"run{number}"], golden) for number, mistake in enumerate(known)}
    assert away.pop("none") < 1e-6
    assert len(away) == 4 and min(away.values()) > 0.005


def test_a_batch_of_two_begins_with_the_recorded_scene(tiny, client, final):
    prompt = tiny.loaders() | tiny.conditioning(batch_size=2) | tiny.advanced(steps=3)
    prompt["second"] = node("EX4DFourDNeXDecode", samples=["sampled", 0], vae=["vae", 0], decoding="apart",
                            vae_tiles="off", video=1, fps=24.0)  # fmt: skip
    found = tiny.run(prompt, latent=("latent", 0), frames=("second", 0))
    assert found["latent"].shape[0] == 2 and distance(found["latent"][:1], final) < ROW
    assert found["frames"].shape == (9, 64, 96, 3)


@pytest.mark.parametrize("memory", [1024.0, 0.1], ids=["lowvram", "novram"])
def test_weights_that_stay_away_until_needed_give_the_same(tiny, client, final, memory):
    prompt = tiny.loaders() | tiny.conditioning() | tiny.advanced(model=("little", 0), steps=3)
    prompt["little"] = node("EX4DTestLowMemory", model=["ready", 0], memory=memory)
    assert distance(tiny.run(prompt, latent=("latent", 0))["latent"], final) < ROW


def test_another_lora_may_come_before_or_after(tiny, client, final):
    state = load_file(tiny.folder / "adapter_r8" / "pytorch_lora_weights.safetensors")
    names = {"attn1": "self_attn", "attn2": "cross_attn", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "o"}
    other = {}
    for key, value in state.items():
        for theirs, ours in names.items():
            key = key.replace(theirs, ours)
        other[key.replace("transformer.", "diffusion_model.")] = 0.3 * value
    path = tiny.server.base / "models" / "loras" / "other_half.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(other, path)
    lora = {"lora_name": path.name, "strength_model": 1.0}
    first = tiny.loaders() | tiny.conditioning() | tiny.advanced(steps=2)
    first["lora"] = node("LoraLoaderModelOnly", model=["model", 0], **lora)
    first["adapter"]["inputs"]["model"] = ["lora", 0]
    last = tiny.loaders() | tiny.conditioning(("lora", 0)) | tiny.advanced(steps=2)
    last["lora"] = node("LoraLoaderModelOnly", model=["adapter", 0], **lora)
    plain = tiny.loaders() | tiny.conditioning() | tiny.advanced(steps=2)
    results = [tiny.run(prompt, latent=("latent", 0))["latent"] for prompt in (first, last, plain)]
    assert distance(*results[:2]) < ROW < 1e-2 < distance(results[0], results[2])


def test_context_windows_over_frames_are_sampled_or_refused(tiny, client, host):
    prompt = tiny.loaders() | tiny.windows() | tiny.conditioning(("windows", 0)) | tiny.advanced(steps=2)
    if host.release < (0, 8):
        message = tiny.refusal(prompt)
        assert "context windows do not cut" in message and "EX-4D" not in message
        return
    whole = tiny.loaders() | tiny.conditioning() | tiny.advanced(steps=2)
    both = [tiny.run(graph, latent=("latent", 0))["latent"] for graph in (prompt, whole)]
    assert torch.isfinite(both[0]).all() and 1e-3 < distance(*both) < 1


@pytest.mark.parametrize("order", ["before", "after"])
def test_steps_that_a_cache_leaves_out_are_no_lost_vectors(tiny, client, order):
    cache = {"reuse_threshold": 3.0, "start_percent": 0.0, "end_percent": 1.0, "verbose": False}
    prompt = tiny.loaders()
    if order == "after":
        prompt |= tiny.conditioning() | tiny.advanced(model=("cache", 0))
        prompt["cache"] = node("EasyCache", model=["ready", 0], **cache)
    else:
        prompt |= tiny.conditioning(("cache", 0)) | tiny.advanced()
        prompt["cache"] = node("EasyCache", model=["adapter", 0], **cache)
    assert torch.isfinite(tiny.run(prompt, latent=("latent", 0))["latent"]).all()


@pytest.mark.parametrize("kind", ["around it", "inside of it"])
def test_a_wrapper_that_puts_another_forward_in_its_place_is_refused(tiny, client, kind):
    prompt = tiny.loaders() | tiny.conditioning() | tiny.advanced(model=("other", 0))
    prompt["other"] = node("EX4DTestOtherForward", model=["ready", 0], kind=kind)
    assert "4DNeX's vectors were not added" in tiny.refusal(prompt)


def test_ex4d_may_be_sampled_with_unipc(newest_host, server, client, reference):
    wan, runs = Tiny(server, reference), {}
    prompt = wan.loaders() | wan.conditioning() | wan.advanced(steps=4, cfg=1.0)
    prompt["own"] = node("EX4DFourDNeXSchedule", steps=4, shift=3.0)
    for name in ("own", "sampler"):
        prompt["sampled"]["inputs"]["sampler"] = [name, 0]
        runs[name] = wan.run(prompt, latent=("latent", 0))["latent"]
    assert 0.001 < distance(runs["own"], runs["sampler"]) < 0.2


def test_cancelled_mid_run_and_freed_it_gives_the_same_again(tiny, client, final):
    long = tiny.loaders() | tiny.sampler(steps=400)
    long["end"] = node("EX4DTestRecord", value=["sampled", 0], name="end")
    stop = lambda kind, data: client.interrupt() if kind == "progress" and data["node"] == "sampled" else None  # noqa: E731
    assert client.queue(long, on_message=stop).status == "interrupted"
    assert client.post("/free", {"unload_models": True, "free_memory": True})[0] == 200
    turns = iter(range(time.time_ns() % 2**30, 2**31))  # not taken from the cache
    asked = ({"loaded": node("EX4DTestLoadedModels", turn=next(turns))} for _ in range(50))
    # The host frees between two prompts.
    assert any(client.queue(prompt).ok().text("loaded") == "[]" for prompt in asked)
    found = tiny.run(tiny.loaders() | tiny.sampler(steps=3), latent=("latent", 0))
    assert distance(found["latent"], final) < ROW


def test_every_step_shows_both_halves_and_moves_the_bar(tiny, client):
    prompt = tiny.loaders() | tiny.sampler(seed=7, steps=3, decoding="apart", vae_tiles="256")
    prompt["points"] = node("EX4DTestPoints", pointmap=["sampled", 1])
    prompt["told"] = node("EX4DTestRecord", value=["points", 1], name="told")
    tiny.run(prompt, latent=("latent", 0))
    assert [step for step in tiny.result.progress if step[0] == "sampled"][-3:] == [
        ("sampled", i, 3) for i in (1, 2, 3)
    ]
    assert len(tiny.result.previews) == 3
    for preview in tiny.result.previews:
        width, height = Image.open(BytesIO(preview)).size
        assert width / height == pytest.approx(3, abs=0.02)
    told = json.loads(json.loads(tiny.result.text("told")))
    # 152x101 of the recorded picture to 96x64.
    assert told == {"space": "cube", "fps": 24.0, "pixel_aspect": pytest.approx((64 / 101) / (96 / 152))}


class TestRefused:
    @pytest.mark.parametrize("kind", ["t2v", "one block", "flux"])
    def test_other_models(self, tiny, client, kind, reference):
        prompt = tiny.loaders()
        prompt["model"] = node("EX4DTestOtherModel", folder=str(reference / "adapter"), kind=kind)
        message = tiny.refusal(prompt, ("adapter", 0))
        assert "Wan2.1 I2V 14B" in message and ("4DNeX" in message or "4dnex" in message)

    def test_a_lora_without_vectors(self, tiny, client):
        alone = tiny.server.base / "models" / "loras" / "alone_4dnex.safetensors"
        alone.parent.mkdir(parents=True, exist_ok=True)
        alone.write_bytes((tiny.server.base / "models" / "4dnex" / LORA).read_bytes())
        prompt = tiny.loaders(vectors="in the same file or beside it")
        prompt["adapter"]["inputs"]["file"] = f"loras/{alone.name}"
        assert "holds no vectors" in tiny.refusal(prompt, ("adapter", 0))

    def test_a_second_adapter(self, tiny, client, server, reference):
        Tiny(server, reference)  # places EX-4D's files
        prompt = tiny.loaders()
        prompt["again"] = {**prompt["adapter"], "inputs": {**prompt["adapter"]["inputs"], "model": ["adapter", 0]}}
        assert "carries a 4DNeX adapter already" in tiny.refusal(prompt, ("again", 0))
        settings = {"lora_strength": 1.0, "prior_strength": 1.0, "prior_start": 0.0, "prior_end": 1.0}
        prompt["again"] = node("EX4DAdapterLoader", model=["adapter", 0], file="ex4d_tiny_r4.ckpt", **settings)
        assert "carries a 4DNeX adapter already" in tiny.refusal(prompt, ("again", 0))

    def test_a_model_without_the_adapter(self, tiny, client):
        prompt = tiny.loaders() | tiny.sampler(("model", 0))
        prompt["vae"] = node("EX4DTestUntouched")
        assert "carries no 4DNeX adapter" in tiny.refusal(prompt)

    def test_latents_whose_halves_do_not_fit(self, newest_host, tiny, client):
        prompt = tiny.loaders() | tiny.conditioning() | tiny.advanced()
        prompt["cut"] = node("EX4DTestCutLatent", latent=["ready", 3], columns=2)
        prompt["sampled"]["inputs"]["latent_image"] = ["cut", 0]
        assert "multiple of 4, got 22" in tiny.refusal(prompt)
        prompt["cut"]["inputs"]["columns"] = 4
        assert "cannot be resized together" in tiny.refusal(prompt)

    def test_conditioning_of_a_part_of_the_picture(self, tiny, client):
        prompt = tiny.loaders() | tiny.conditioning()
        prompt["part"] = node(
            "ConditioningSetArea", conditioning=["text", 0], width=64, height=64, x=0, y=0, strength=1.0
        )
        prompt["ready"]["inputs"]["positive"] = ["part", 0]
        message = tiny.refusal(prompt, ("ready", 0))
        assert "bound to an area" in message and "4DNeX works on the whole picture" in message

    @pytest.mark.parametrize(
        ("settings", "words"),
        [
            ({"vae_tiles": "256"}, "seam"),
            ({"frames": 10}, "4n + 1"),
            ({"width": 96, "height": 0}, "both width and height"),
            ({"sampler_name": "nobody"}, "sampler_name"),
        ],
    )
    def test_settings(self, newest_host, tiny, client, settings, words):
        prompt = tiny.loaders() | tiny.sampler(**settings)
        prompt["vae"] = node("EX4DTestUntouched")
        assert words in tiny.refusal(prompt)

    def test_pictures(self, newest_host, tiny, client):
        prompt = tiny.loaders() | tiny.sampler(width=0, height=0)
        prompt["vae"] = node("EX4DTestUntouched")
        for width, height, frames, words in ((512, 16, 1, "too narrow"), (64, 64, 2, "one picture, got 2")):
            prompt["picture"] = node("EX4DTestImages", kind="colour", width=width, height=height, frames=frames)
            assert words in tiny.refusal(prompt)
