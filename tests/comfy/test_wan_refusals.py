"""What does not fit is refused in a sentence before anything heavy; what the VAE is given is exact."""

from __future__ import annotations

import json

import pytest
import torch
from harness.wan import LAYOUTS, Tiny, distance, node

from ex4d_core.wan.settings import EROSIONS, FITS, PUBLISHED, SAMPLER, ClipSettings, Run


@pytest.fixture()
def tiny(server, reference) -> Tiny:
    return Tiny(server, reference)


def widgets(client, name: str) -> dict[str, tuple[list | None, object]]:
    """Options (of lists) and default of a node's inputs; a list's default is its first entry unless stated."""
    required = client.object_info(name)[name]["input"]["required"]
    found = {}
    for key, (kind, *rest) in required.items():
        settings = rest[0] if rest else {}
        options = kind if isinstance(kind, list) else settings.get("options")
        found[key] = options, settings.get("default", options[0] if options else None)
    return found


def test_the_nodes_offer_the_core_s_choices_and_defaults(client):
    clip, run = ClipSettings(), Run()
    for name in ("EX4DConditioning", "WanEX4DSampler"):
        shown = widgets(client, name)
        assert shown["fit"] == (list(FITS), clip.fit)
        assert shown["erosion"] == (list(EROSIONS), clip.erosion)
        sizes = {key: shown[key][1] for key in ("frames", "width", "height", "erosion_size", "erosion_seed", "shift")}
        assert list(sizes.values()) == [clip.frames, clip.width, clip.height, clip.kernel, clip.seed, run.shift]
    defaults = {key: default for key, (_, default) in shown.items()}
    names = ("seed", "steps", "cfg", "sampler_name", "scheduler", "segment_frames", "segment_overlap")
    wanted = (run.seed, run.steps, run.cfg, SAMPLER, PUBLISHED, run.segment, run.overlap)
    assert tuple(defaults[key] for key in names) == wanted


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("t2v", "MODEL is Wan2.1 T2V or Wan2.2 T2V A14B (2 blocks"),
        ("one block", "1 blocks"),
        ("narrow", "feed-forward 256"),
        ("flux", "needs Wan2.1 I2V 14B"),
    ],
)
def test_another_model_is_refused_by_the_loader(tiny, client, kind, words):
    prompt = tiny.loaders()
    prompt["model"] = node("EX4DTestOtherModel", folder=str(tiny.folder), kind=kind)
    assert words in tiny.refusal(prompt, ("adapter", 0))


RUN = ("Wan2.1 I2V", "Wan2.1 FLF2V", "Wan2.1 Fun InP")
"""Layouts that the adapter fits; it was made for the first."""


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name not in RUN])
def test_other_models_of_wan_are_refused_by_their_makers_names(tiny, client, layout):
    prompt = tiny.loaders("cut.ckpt")
    (tiny.server.base / "models" / "ex4d" / "cut.ckpt").write_bytes(b"never read")
    prompt["model"]["inputs"]["unet_name"] = tiny.write_layout(layout)
    message = tiny.refusal(prompt, ("adapter", 0))
    assert message.startswith(f"MODEL is {layout.removesuffix(' 1.1')}") and "EX-4D needs Wan2.1 I2V 14B" in message


@pytest.mark.parametrize("layout", RUN[1:])
def test_models_that_the_adapter_fits_by_chance_run_with_a_note(tiny, client, layout):
    """What they have more than the trained model is zero here, so they give its recorded result."""
    prompt = tiny.loaders() | tiny.conditioning() | tiny.ksampler()
    prompt["model"]["inputs"]["unet_name"] = tiny.write_layout(layout)
    latent = tiny.run(prompt, latent=("latent", 0))["latent"]
    assert distance(latent, tiny.golden("traj_r16_cfg5_final", "sampler_golden")) < 5e-5
    note = tiny.result.text("adapter")
    assert f"MODEL is {layout}" in note and "was trained on Wan2.1 I2V 14B" in note


def test_the_loader_tells_what_the_file_holds_and_of_the_trained_model_nothing_else(tiny, client):
    tiny.run(
        tiny.loaders() | tiny.conditioning() | {"shown": node("EX4DTestSamples", latent=["ready", 3])}, s=("shown", 0)
    )
    assert tiny.result.text("adapter") == "ex4d_tiny_r16.ckpt: LoRA of rank 16 on 2 blocks, prior encoder 64 -> 256"


def test_a_second_adapter_is_refused_with_both_names(tiny, client):
    prompt = tiny.loaders()
    prompt["second"] = node("EX4DAdapterLoader", **prompt["adapter"]["inputs"] | {"model": ["adapter", 0]})
    prompt["second"]["inputs"]["file"] = "ex4d_tiny_r4.ckpt"
    message = tiny.refusal(prompt, ("second", 0))
    assert "ex4d_tiny_r16.ckpt" in message and "ex4d_tiny_r4.ckpt" in message


@pytest.mark.parametrize("through", ["conditioning", "sampler"])
@pytest.mark.parametrize(
    ("tokens", "width"), [(257, 1024), (729, 1152), (257, 1664), (577, 1280), (0, 1280), (None, 1280)]
)
def test_another_vision_encoder_is_refused_before_anything_is_encoded(tiny, client, through, tokens, width):
    part = tiny.conditioning() if through == "conditioning" else tiny.sampler()
    (entry,) = (entry for entry in part.values() if "clip_vision_output" in entry["inputs"])
    entry["inputs"] |= {"vae": ["heavy", 0], "clip_vision_output": ["other", 0]}
    prompt = tiny.loaders() | part | {"heavy": node("EX4DTestUntouched")}
    prompt["other"] = node("EX4DTestVision", shape=json.dumps(None if tokens is None else [1, tokens, width]))
    message = tiny.refusal(prompt, ("ready", 3) if through == "conditioning" else ("sampled", 0))
    assert "257 tokens of width 1280 (clip_vision_h.safetensors)" in message
    assert tokens is None or f"{tokens}x{width}" in message


def test_the_tokens_of_two_pictures_are_taken(tiny, client):
    prompt = tiny.loaders() | tiny.conditioning(clip_vision_output=["two", 0]) | tiny.ksampler(1, 1, seed=21)
    prompt["two"] = node("EX4DTestVision", shape="[1, 514, 1280]")
    tiny.run(prompt, latent=("latent", 0))


@pytest.mark.parametrize("where", ["before", "after"])
@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        ("ConditioningSetArea", {"width": 64, "height": 64, "x": 0, "y": 0, "strength": 1.0}, "bound to an area"),
        ("ConditioningSetAreaPercentage", {"width": 0.5, "height": 0.5, "x": 0.0, "y": 0.0, "strength": 1.0}, "bound to an area"),
        ("ConditioningSetMask", {"mask": ["clip", 1], "strength": 1.0, "set_cond_area": "default"}, "bound to a mask"),
    ],
)  # fmt: skip
def test_conditioning_for_a_part_of_the_picture_is_refused(tiny, client, kind, settings, words, where):
    """Before EX-4D Conditioning, and between it and a sampler."""
    prompt = tiny.loaders() | tiny.conditioning() | tiny.ksampler(1, 1, seed=22)
    link = ["text", 0] if where == "before" else ["ready", 1]
    prompt["part"] = node(kind, conditioning=link, **settings)
    prompt["ready" if where == "before" else "sampled"]["inputs"]["positive"] = ["part", 0]
    message = tiny.refusal(prompt)
    assert f"positive conditioning is {words}" in message and "Take that node off" in message


@pytest.mark.parametrize("through", ["conditioning", "sampler"])
def test_holes_in_place_of_seen_are_told_on_the_node(tiny, client, through):
    prompt = tiny.loaders()
    prompt |= tiny.conditioning(vision=False) if through == "conditioning" else tiny.sampler(steps=1, cfg=1.0)
    prompt["clip"]["inputs"] |= {"frames": 12}
    shown = "ready" if through == "conditioning" else "sampled"
    prompt["holes"] = node("InvertMask", mask=["clip", 1])
    prompt[shown]["inputs"]["mask"] = ["holes", 0]
    if through == "sampler":
        prompt["sampled"]["inputs"]["model"] = [
            "adapter",
            0,
        ]  # the recorded noise is of nine frames too, but not needed
    end = node("EX4DTestSamples", latent=[shown, 3 if through == "conditioning" else 1])
    tiny.run(prompt | {"end": end}, samples=("end", 0))
    text = tiny.result.text(shown)
    assert "9 frames, 192x128" in text and "last 3 are left out" in text
    assert "inverted mask" in text and "Connect the 'seen' output" in text
    assert ("No CLIP vision" in text) == (through == "conditioning")


@pytest.mark.parametrize(
    ("file", "words"), [("lora_only.safetensors", "holds only the LoRA"), ("prior_only.safetensors", "only the prior")]
)
def test_half_an_adapter_is_explained(tiny, client, file, words):
    assert words in tiny.refusal(tiny.loaders(file), ("adapter", 0))


def test_two_halves_make_a_whole(tiny, client):
    prompt = tiny.loaders("lora_only.safetensors", prior_file="prior_only.safetensors") | tiny.conditioning()
    tiny.run(prompt | {"shown": node("EX4DTestSamples", latent=["ready", 3])}, samples=("shown", 0))


def test_a_damaged_file_is_refused(tiny, client):
    data = (tiny.folder / "ex4d_tiny_r16.ckpt").read_bytes()
    path = tiny.server.base / "models" / "ex4d" / "cut.ckpt"
    path.write_bytes(data[: len(data) // 2])
    assert "cannot be read" in tiny.refusal(tiny.loaders("cut.ckpt"), ("adapter", 0))


def test_a_file_of_another_kind_is_refused_with_the_count(tiny, client):
    tiny.write("ex4d", "other.safetensors", {f"layer.{i}.weight": torch.zeros(2, 2) for i in range(7)})
    message = tiny.refusal(tiny.loaders("other.safetensors"), ("adapter", 0))
    assert "7 of its 7 keys" in message and "layer.0.weight" in message


@pytest.mark.parametrize("through", ["conditioning", "sampler"])
@pytest.mark.parametrize(
    ("variant", "words"),
    [
        ("short mask", "9 frames and the mask 8"),
        ("small mask", "128 and the mask"),
        ("nothing seen", "no seen pixel"),
        ("nan", "not numbers"),
    ],
)
def test_videos_that_do_not_belong_together_are_refused(tiny, client, through, variant, words):
    prompt = tiny.loaders()
    prompt |= tiny.conditioning() if through == "conditioning" else tiny.sampler()
    prompt["clip"]["inputs"]["variant"] = variant
    assert words in tiny.refusal(prompt, ("ready", 3) if through == "conditioning" else ("sampled", 0))


def test_a_model_without_the_adapter_is_refused(tiny, client):
    prompt = tiny.loaders() | tiny.conditioning(("model", 0))
    assert "carries no EX-4D adapter" in tiny.refusal(prompt, ("ready", 3))


WRONG_CLIPS = {
    "width": (100, "multiples of 16"),
    "frames": (6, "use 5 or 9"),
    "fit": ("squeeze", "fit must be"),
    "erosion": ("some", "erosion must be"),
    "vae_tiles": ("100", "vae_tiles must be"),
}
WRONG_RUNS = {
    "mode": ("quick", "mode must be"),
    "steps": (0, "at least one step"),
    "shift": (0.0, "shift must be a positive number"),
    "cfg": (float("nan"), "cfg must be a number"),
    "sampler_name": ("nope", "no sampler named"),
    "scheduler": ("nope", "no scheduler named"),
    "segment_frames": (8, "4n + 1"),
    "segment_overlap": (5, "overlap by 1 to 4"),
}
WRONG_PREPARATIONS = {"shift": (-1.0, "shift must be a positive number"), "batch_size": (0, "batch of 0")}


def linked(tiny: Tiny, part: dict, name: str, value) -> dict:
    """A prompt in which a value reaches an input by a link, and any heavy work is an error of its own."""
    (entry,) = (entry for entry in part.values() if name in entry["inputs"])
    entry["inputs"] |= {name: ["value", 0], "vae": ["heavy", 0]}
    heavy = {"heavy": node("EX4DTestUntouched"), "value": node("EX4DTestValue", text=json.dumps(value))}
    return tiny.loaders() | part | heavy


@pytest.mark.parametrize("name", [*WRONG_CLIPS, *WRONG_RUNS])
def test_the_sampler_refuses_before_text_or_video_is_encoded(tiny, client, name):
    value, words = (WRONG_CLIPS | WRONG_RUNS)[name]
    part = {"sampled": tiny.sampler(model=("adapter", 0), segment_frames=5)["sampled"]}
    part["sampled"]["inputs"]["clip"] = ["heavy", 1]
    del part["sampled"]["inputs"]["positive"], part["sampled"]["inputs"]["negative"]
    assert words in tiny.refusal(linked(tiny, part, name, value))


@pytest.mark.parametrize("name", [*WRONG_CLIPS, *WRONG_PREPARATIONS])
def test_the_conditioning_refuses_before_video_is_encoded(tiny, client, name):
    value, words = (WRONG_CLIPS | WRONG_PREPARATIONS)[name]
    assert words in tiny.refusal(linked(tiny, tiny.conditioning(), name, value), ("ready", 3))


def test_a_span_that_ends_before_it_starts_is_refused_before_the_file_is_read(tiny, client):
    prompt = tiny.loaders("cut.ckpt", prior_start=["value", 0], prior_end=0.3)
    (tiny.server.base / "models" / "ex4d" / "cut.ckpt").write_bytes(b"no adapter")
    prompt["value"] = node("EX4DTestValue", text="0.5")
    assert "0 <= start < end <= 1" in tiny.refusal(prompt, ("adapter", 0))


def test_missing_text_is_explained(tiny, client):
    prompt = tiny.loaders() | tiny.sampler()
    del prompt["sampled"]["inputs"]["negative"]
    assert "Connect negative" in tiny.refusal(prompt)


def test_a_latent_of_another_size_is_refused(tiny, client):
    prompt = tiny.loaders() | tiny.conditioning() | tiny.ksampler(latent_image=["other", 0], model=("ready", 0))
    prompt["other"] = node("EmptyHunyuanLatentVideo", width=64, height=64, length=9, batch_size=1)
    message = tiny.refusal(prompt)
    assert "3x8x8" in message and "3x16x24" in message


def test_missing_clip_vision_is_allowed_and_said(tiny, client):
    before = len(tiny.server.log())
    prompt = tiny.loaders() | tiny.conditioning(vision=False) | tiny.ksampler(1, 1, seed=20)
    tiny.run(prompt, latent=("latent", 0))
    assert "No CLIP vision" in tiny.server.log()[before:]


def test_frames_left_out_and_a_first_frame_with_holes_are_said(tiny, client):
    before = len(tiny.server.log())
    prompt = tiny.loaders() | tiny.conditioning()
    prompt["clip"]["inputs"] |= {"frames": 12, "variant": "holes first"}
    tiny.run(prompt | {"shown": node("EX4DTestSamples", latent=["ready", 3])}, samples=("shown", 0))
    log = tiny.server.log()[before:]
    assert "last 3 are left out" in log and "of the first frame is seen" in log


def test_the_vae_is_given_exact_numbers(tiny, client):
    prompt = tiny.loaders() | tiny.conditioning(erosion="off")
    prompt["seen"] = node("EX4DTestSeen", vae=["vae", 0], after=["ready", 3])
    out = tiny.run(prompt, color=("clip", 0), mask=("clip", 1), given=("seen", 0), holes=("seen", 1), start=("seen", 2))
    seen = out["mask"] > 0.5
    wanted = (out["color"] * 255).round() * seen[..., None] / 255 * 2 - 1
    assert torch.equal(out["given"], wanted)
    assert torch.equal(out["holes"], torch.where(seen, 1.0, -3.0)[..., None].expand(-1, -1, -1, 3))
    assert torch.equal(out["start"][0], wanted[0]) and float(out["start"][1:].abs().max()) == 0


def test_the_small_vae_gives_the_recorded_latents(tiny, client):
    prompt = tiny.loaders() | tiny.conditioning()
    prompt["vae"] = node("EX4DTestTinyVAE", folder=str(tiny.folder))
    prompt["clip"] = node("EX4DTestRecordedClip", folder=str(tiny.folder))
    prompt["prior"] = node("EX4DTestPrior", model=["ready", 0], after=["ready", 3])
    out = tiny.run(prompt, mask=("prior", 1))
    golden = tiny.golden("tiny8_z_mask_double", "vae_golden")
    assert float((out["mask"] - golden).norm() / golden.norm()) < 1e-4
    wrong = tiny.golden("tiny8_z_mask_single", "vae_golden")
    assert float((out["mask"] - wrong).norm() / wrong.norm()) > 0.05


def test_the_published_schedule_is_exact_for_any_count(tiny, client):
    golden = tiny.golden("sigmas_30", "sampler_golden")
    sigmas = tiny.run({"s": node("EX4DScheduler", steps=30, shift=5.0)}, sigmas=("s", 0))["sigmas"]
    assert float((sigmas[:-1] - golden).abs().max()) < 2e-7
