"""The adapter among everything else that users put on a Wan model, and in every state ComfyUI's memory can be in."""

from __future__ import annotations

import json
from io import BytesIO

import pytest
import torch
from harness import workflow
from harness.wan import WINDOWS, Tiny, distance, node
from PIL import Image
from safetensors.torch import load_file

TRAJECTORY = 5e-5


@pytest.fixture()
def tiny(server, reference) -> Tiny:
    return Tiny(server, reference)


@pytest.fixture()
def final(tiny) -> torch.Tensor:
    return tiny.golden("traj_r16_cfg5_final", "sampler_golden")


def spied(tiny: Tiny, prompt: dict, name: str, latent=("sampled", 0)):
    """Calls of the spy of this name, and what each added to the tokens."""
    tiny.run(prompt | {"calls": node("EX4DTestCalls", after=list(latent), name=name)})
    return json.loads(tiny.result.text("calls")), torch.load(tiny.server.output / f"{name}.pt")


def test_the_prior_is_encoded_once_and_freed(tiny, client):
    prompt = tiny.loaders() | tiny.conditioning() | tiny.ksampler(steps=4, seed=1)
    prompt["prior"] = node("EX4DTestPrior", model=["ready", 0], after=["sampled", 0])
    prompt["state"] = node("EX4DTestRecord", value=["prior", 2], name="state")
    state = json.loads(json.loads(client.queue(prompt).ok().text("state")))
    assert state == {"encodings": 1, "held": False}


def test_cond_and_uncond_meet_the_recorded_prior(tiny, client):
    prompt = tiny.loaders() | tiny.conditioning() | tiny.ksampler(steps=2, seed=2, model=("spy", 0))
    prompt["spy"] = node("EX4DTestSpy", model=["ready", 0], name="both")
    calls, added = spied(tiny, prompt, "both")
    assert sum(call["shape"][0] for call in calls) == 4
    for values in added:
        for one in values:
            assert distance(one[None], tiny.golden("prior")) < 1e-5


@pytest.mark.parametrize("node_under_test", ["ksampler", "sampler"])
def test_at_cfg_1_the_negative_prompt_is_not_computed(tiny, client, node_under_test):
    prompt = tiny.loaders()
    if node_under_test == "ksampler":
        prompt |= tiny.conditioning() | tiny.ksampler(steps=4, cfg=1, seed=3, model=("spy", 0))
        prompt["spy"] = node("EX4DTestSpy", model=["ready", 0], name="ones")
    else:
        prompt |= tiny.sampler(mode="few steps", few_steps=4, seed=3, model=("spy", 0))
        prompt["spy"] = node("EX4DTestSpy", model=["adapter", 0], name="ones")
    calls, _ = spied(tiny, prompt, "ones")
    assert [call["shape"][0] for call in calls] == [1, 1, 1, 1]


def test_a_batch_of_two_makes_the_recorded_video_twice(tiny, client, final):
    prompt = tiny.loaders() | tiny.conditioning(batch_size=2) | tiny.ksampler()
    latent = tiny.run(prompt, latent=("latent", 0))["latent"]
    assert latent.shape[0] == 2
    assert all(distance(one[None], final) < TRAJECTORY for one in latent)


def test_start_and_end_bound_the_steps_that_see_the_render(tiny, client):
    prompt = tiny.loaders(prior_start=0.2, prior_end=0.7) | tiny.conditioning()
    prompt |= tiny.ksampler(steps=5, cfg=1, seed=4, model=("spy", 0))
    prompt["spy"] = node("EX4DTestSpy", model=["ready", 0], name="span")
    _, added = spied(tiny, prompt, "span")
    assert [bool(values.abs().max() > 1e-3) for values in added] == [False, True, True, True, False]


def test_prior_strength_scales_what_is_added(tiny, client):
    prompt = tiny.loaders(prior_strength=0.5) | tiny.conditioning() | tiny.ksampler(1, 1, ("spy", 0), seed=5)
    prompt["spy"] = node("EX4DTestSpy", model=["ready", 0], name="half")
    _, added = spied(tiny, prompt, "half")
    assert distance(added[0], 0.5 * tiny.golden("prior")) < 1e-5


def test_unloading_and_cloning_change_nothing(tiny, client, final):
    prompt = tiny.loaders() | tiny.conditioning() | tiny.ksampler()
    prompt["unloaded"] = node("EX4DTestUnload", model=["noise", 0], after=["sampled", 0])
    again = tiny.ksampler(model=("unloaded", 0))
    prompt |= {"sampled2": again["sampled"], "latent2": node("EX4DTestSamples", latent=["sampled2", 0])}
    out = tiny.run(prompt, first=("latent", 0), second=("latent2", 0))
    assert distance(out["first"], final) < TRAJECTORY
    assert distance(out["second"], final) < TRAJECTORY


@pytest.mark.parametrize("memory", [1024.0, 0.1], ids=["lowvram", "novram"])
def test_weights_that_stay_away_until_needed_give_the_same(tiny, client, final, memory):
    """ComfyUI does not take --lowvram and --novram together with --cpu, so loading is held to what they would allow."""
    prompt = tiny.loaders() | tiny.conditioning() | tiny.ksampler(model=("little", 0))
    prompt["little"] = node("EX4DTestLowMemory", model=["noise", 0], memory=memory)
    assert distance(tiny.run(prompt, latent=("latent", 0))["latent"], final) < TRAJECTORY


def test_other_wrappers_and_block_replacements_stay_at_work(tiny, client, final):
    prompt = tiny.loaders() | tiny.conditioning(("replaced", 0)) | tiny.ksampler(seed=6, model=("after", 0))
    prompt["before"] = node("EX4DTestSpy", model=["adapter", 0], name="before")
    prompt["replaced"] = node("EX4DTestReplaceBlock", model=["before", 0], name="blocks")
    prompt["after"] = node("EX4DTestSpy", model=["noise", 0], name="after")
    prompt["blocks"] = node("EX4DTestCalls", after=["sampled", 0], name="blocks")
    prompt["earlier"] = node("EX4DTestCalls", after=["sampled", 0], name="before")
    latent = tiny.run(prompt, latent=("latent", 0))["latent"]
    assert distance(latent, final) < TRAJECTORY
    assert len(json.loads(tiny.result.text("blocks"))) >= 5
    assert len(json.loads(tiny.result.text("earlier"))) >= 5


def cached_run(tiny: Tiny, client, kind: str, order: str, name: str, **settings) -> dict:
    """Eight steps through a stock node that leaves forwards out, before or after EX-4D Conditioning, and a spy."""
    inputs = workflow.widget_defaults(client.object_info(kind)[kind])
    inputs |= {"reuse_threshold": 3.0, "start_percent": 0.0, "end_percent": 1.0, **settings}
    if order == "after":
        prompt = tiny.loaders() | tiny.conditioning() | tiny.ksampler(8, 2.0, ("spy", 0), seed=12)
        prompt["cache"] = node(kind, model=["ready", 0], **inputs)
        prompt["spy"] = node("EX4DTestSpy", model=["cache", 0], name=name)
    else:
        prompt = tiny.loaders() | tiny.conditioning(("cache", 0)) | tiny.ksampler(8, 2.0, ("spy", 0), seed=12)
        prompt["cache"] = node(kind, model=["adapter", 0], **inputs)
        prompt["spy"] = node("EX4DTestSpy", model=["ready", 0], name=name)
    return prompt


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("kind", ["EasyCache", "LazyCache"])
def test_steps_that_a_cache_leaves_out_are_no_lost_prior(tiny, client, kind, order):
    name = f"{kind}_{order}"
    calls, added = spied(tiny, cached_run(tiny, client, kind, order, name), name)
    assert 0 < sum(call["shape"][0] for call in calls) < 16, "some forwards, and not all of eight steps"
    for values in added:
        for one in values:
            assert distance(one[None], tiny.golden("prior")) < 1e-5


@pytest.mark.parametrize("kind", ["around it", "inside of it"])
def test_a_wrapper_that_puts_another_forward_in_its_place_is_refused(tiny, client, kind):
    prompt = tiny.loaders() | tiny.conditioning() | tiny.ksampler(4, 1, ("other", 0), seed=13)
    prompt["other"] = node("EX4DTestOtherForward", model=["ready", 0], kind=kind)
    assert "The EX-4D prior was not added" in tiny.refusal(prompt)


def test_another_lora_may_come_before_or_after(tiny, client, final):
    state = load_file(tiny.folder / "ex4d_tiny_r16.safetensors")
    other = {f"diffusion_model.{k.replace('.default', '')}": 0.3 * v for k, v in state.items() if "lora" in k}
    tiny.write("loras", "other.safetensors", other)
    lora = {"lora_name": "other.safetensors", "strength_model": 1.0}
    first = tiny.loaders() | tiny.conditioning() | tiny.ksampler()
    first["lora"] = node("LoraLoaderModelOnly", model=["model", 0], **lora)
    first["adapter"]["inputs"]["model"] = ["lora", 0]
    last = tiny.loaders() | tiny.conditioning(("lora", 0)) | tiny.ksampler()
    last["lora"] = node("LoraLoaderModelOnly", model=["adapter", 0], **lora)
    results = [tiny.run(prompt, latent=("latent", 0))["latent"] for prompt in (first, last)]
    assert distance(*results) < TRAJECTORY
    assert distance(results[0], final) > 1e-2


def windowed_run(tiny: Tiny, **settings) -> dict:
    prompt = tiny.loaders() | tiny.conditioning(("windows", 0)) | tiny.ksampler(2, 1, ("spy", 0), seed=7)
    prompt |= tiny.windows(**settings)
    prompt["spy"] = node("EX4DTestSpy", model=["ready", 0], name="windows")
    return prompt


def test_context_windows_take_their_own_part_of_the_prior(tiny, client, host):
    """Each window's tokens get the prior of the frames that the host put into it; newer hosts put one more in front."""
    if host.release < (0, 8):
        message = tiny.refusal(windowed_run(tiny))
        assert "context windows do not cut" in message and "segments" in message
        return
    calls, added = spied(tiny, windowed_run(tiny), "windows")
    assert [call["window"] for call in calls] == [[0, 1], [1, 2]] * 2
    for call, values in zip(calls, added, strict=True):
        assert call["shape"][2] == len(call["frames"]) and call["frames"][-2:] == call["window"]
        assert distance(values, tiny.golden("prior")[:, :, call["frames"]]) < 1e-5


def test_a_window_is_computed_as_its_frames_would_be_alone(tiny, client, host):
    """Every forward of a windowed run, against one that knows nothing of windows: the prior encoded from those frames only."""
    if host.release < (0, 8):
        pytest.skip(f"ComfyUI {host.version} has no context windows for image-to-video")
    prompt = windowed_run(tiny)
    prompt["alone"] = node("EX4DTestAlone", model=["ready", 0], after=["sampled", 0], name="windows")
    prompt["off"] = node("EX4DTestRecord", value=["alone", 0], name="off")
    off = json.loads(json.loads(client.queue(prompt).ok().text("off")))
    assert len(off["as they are"]) == 4 and max(off["as they are"]) < 1e-5
    assert min(off["a frame beside"]) > 1e-3, "the prior of other frames would have been noticed"


def test_context_windows_of_an_unknown_kind_are_refused_with_the_hosts_release(tiny, client, host):
    prompt = windowed_run(tiny)
    prompt["other"] = node("EX4DTestOtherWindows", model=["windows", 0])
    prompt["ready"]["inputs"]["model"] = ["other", 0]
    message = tiny.refusal(prompt)
    assert f"ComfyUI {host.version}" in message and "_asked_of" in message and "segments" in message


def test_a_frame_kept_in_every_window_brings_its_prior(tiny, client, host):
    if "retain_first_frame" not in workflow.widget_defaults(client.object_info(WINDOWS)[WINDOWS]):
        pytest.skip(f"ComfyUI {host.version} keeps no frame in every window")
    calls, added = spied(tiny, windowed_run(tiny, retain_first_frame=True), "windows")
    for call, values in zip(calls, added, strict=True):
        assert distance(values, tiny.golden("prior")[:, :, [0, *call["frames"][1:]]]) < 1e-5


def test_the_sampler_leaves_cutting_to_context_windows(tiny, client, host):
    """Where they work; where they do not, that is said before anything is encoded."""
    prompt = tiny.loaders() | tiny.windows()
    prompt |= {"sampled": tiny.sampler(("spy", 0), steps=2, cfg=1.0, seed=9, segment_frames=5)["sampled"]}
    prompt["spy"] = node("EX4DTestSpy", model=["windows", 0], name="cut")
    if host.release < (0, 8):
        prompt["vae"] = node("EX4DTestUntouched")
        assert "context windows do not cut" in tiny.refusal(prompt)
        return
    calls, _ = spied(tiny, prompt, "cut")
    assert [call["window"] for call in calls] == [[0, 1], [1, 2]] * 2


def test_cancelling_mid_run_leaves_everything_usable(tiny, client, final):
    long = tiny.loaders() | tiny.sampler(steps=400, seed=8)
    long["end"] = node("EX4DTestRecord", value=["sampled", 0], name="end")
    stop = lambda kind, data: client.interrupt() if kind == "progress" and data["node"] == "sampled" else None  # noqa: E731
    assert client.queue(long, on_message=stop).status == "interrupted"
    again = tiny.loaders() | tiny.sampler()
    assert distance(tiny.run(again, latent=("latent", 0))["latent"], final) < TRAJECTORY


def test_a_run_after_everything_was_freed_gives_the_same(tiny, client, final):
    prompt = tiny.loaders() | tiny.conditioning() | tiny.ksampler()
    for free in ({"unload_models": True}, {"unload_models": True, "free_memory": True}):
        assert distance(tiny.run(prompt, latent=("latent", 0))["latent"], final) < TRAJECTORY
        assert client.post("/free", free)[0] == 200
        prompt["sampled"]["inputs"]["seed"] += 1  # sampled again; the recorded noise stays
    assert distance(tiny.run(prompt, latent=("latent", 0))["latent"], final) < TRAJECTORY


def test_every_step_shows_a_preview_and_moves_the_bar(tiny, client):
    prompt = tiny.loaders() | tiny.sampler(seed=30)
    tiny.run(prompt, latent=("latent", 0))
    assert [step for step in tiny.result.progress if step[0] == "sampled"][-5:] == [
        ("sampled", i, 5) for i in range(1, 6)
    ]
    assert len(tiny.result.previews) == 5
    for preview in tiny.result.previews:
        width, height = Image.open(BytesIO(preview)).size
        assert width / height == pytest.approx(1.5, abs=0.01)


def small(tiny: Tiny, width: int = 48, height: int = 32, frames: int = 13, **settings) -> dict:
    """A run with the real (small) VAE on a small picture."""
    settings = {"model": ("adapter", 0), "steps": 2, "seed": 10, "segment_overlap": 5, **settings}
    prompt = tiny.loaders() | tiny.sampler(**settings)
    prompt["vae"] = node("EX4DTestTinyVAE", folder=str(tiny.folder))
    prompt["clip"] = node("EX4DTestClip", width=width, height=height, frames=frames, variant="good")
    return prompt


@pytest.mark.parametrize(("width", "height", "frames"), [(256, 144, 5), (528, 48, 5), (1280, 720, 1)])
def test_other_sizes_up_to_720p_are_sampled(tiny, client, width, height, frames):
    name = f"grid{width}"
    prompt = tiny.loaders() | tiny.conditioning() | tiny.ksampler(1, 1, ("spy", 0))
    prompt["clip"] = node("EX4DTestClip", width=width, height=height, frames=frames, variant="good")
    prompt["spy"] = node("EX4DTestSpy", model=["ready", 0], name=name)
    prompt["whole"] = tiny.sampler(("adapter", 0), steps=1, cfg=1.0)["sampled"]
    prompt["shown"] = node("EX4DTestRecord", value=["whole", 0], name=name + "_frames")
    _, (added,) = spied(tiny, prompt, name)
    assert added.shape == (1, 256, (frames + 3) // 4, height // 16, width // 16)
    assert float(added.std()) > 1e-3
    assert torch.load(tiny.server.output / f"{name}_frames.pt").shape == (frames, height, width, 3)


def test_tiles_give_nearly_the_latents_and_frames_of_the_whole_picture(newest_host, tiny, client):
    out, sizes = {}, {}
    for tiles in ("off", "256"):
        prompt = small(tiny, 320, 256, 1, steps=1, cfg=1.0, vae_tiles=tiles) | tiny.conditioning(vae_tiles=tiles)
        prompt["prior"] = node("EX4DTestPrior", model=["ready", 0], after=["sampled", 0])
        prompt["tiles"] = node("EX4DTestTiles", vae=["vae", 0], after=["prior", 0])
        prompt["sizes"] = node("EX4DTestRecord", value=["tiles", 0], name="sizes")
        out[tiles] = tiny.run(prompt, color=("prior", 0), mask=("prior", 1), frames=("sampled", 0))
        sizes[tiles] = json.loads(json.loads(tiny.result.text("sizes")))
    assert 320 in {size[-1] for size in sizes["off"]}
    assert max(size[-1] for size in sizes["256"]) == 256
    for name, limit in (("color", 0.1), ("mask", 0.1), ("frames", 0.1)):
        assert 0 < distance(out["256"][name], out["off"][name]) < limit, name


def test_a_long_clip_goes_on_from_its_first_segment(tiny, client):
    """Two segments, against the second one made by hand: finished frames as seen source view, its part of the render."""
    segmented = tiny.run(small(tiny, segment_frames=9), frames=("sampled", 0), latent=("latent", 0))
    # Two segments of two steps, and one bar over both.
    steps = [value for where, value, top in tiny.result.progress if where == "sampled" and top == 4]
    assert steps[-1] == 4
    assert segmented["latent"].shape == (1, 16, 4, 4, 6)
    prompt = small(tiny)
    second = tiny.sampler(model=("adapter", 0), steps=2, seed=11)["sampled"]
    videos = {"color": ["clip", 0], "mask": ["clip", 1]}
    prompt["start"] = node("EX4DTestCut", **videos, first=0, frames=9)
    prompt["sampled"]["inputs"] |= {"color": ["start", 0], "mask": ["start", 1]}
    prompt["rest"] = node("EX4DTestContinue", **videos, done=["sampled", 0], start=4)
    prompt["second"] = second | {"inputs": second["inputs"] | {"color": ["rest", 0], "mask": ["rest", 1]}}
    by_hand = tiny.run(prompt, first=("sampled", 0), second=("second", 0))
    first, second = by_hand["first"], by_hand["second"]
    assert torch.equal(segmented["frames"][:5], first[:5])
    assert float((segmented["frames"][9:] - second[5:]).abs().max()) < 1e-5
    weight = (torch.arange(5) / 5)[:, None, None, None]
    assert float((segmented["frames"][4:9] - torch.lerp(first[4:], second[:5], weight)).abs().max()) < 1e-5
    alone = tiny.run(small(tiny, segment_frames=0), frames=("sampled", 0))["frames"]
    assert float((segmented["frames"][9:] - alone[9:]).abs().max()) > 1e-3
