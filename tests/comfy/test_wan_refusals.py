"""What does not fit is refused in a sentence before anything heavy; what the VAE is given is exact."""

from __future__ import annotations

import json

import pytest
import torch
from harness.wan import Tiny, node

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
        ("t2v", "text-to-video model"),
        ("one block", "1 blocks"),
        ("narrow", "feed-forward 256"),
        ("flux", "needs Wan2.1 I2V 14B"),
    ],
)
def test_another_model_is_refused_by_the_loader(tiny, client, kind, words):
    prompt = tiny.loaders()
    prompt["model"] = node("EX4DTestOtherModel", folder=str(tiny.folder), kind=kind)
    assert words in tiny.refusal(prompt, ("adapter", 0))


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
    assert "no CLIP vision" in tiny.server.log()[before:]


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
