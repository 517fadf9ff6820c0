"""Each convention of the published preprocessing, broken once in our source: the recorded data notice every time."""

from __future__ import annotations

from importlib.abc import InspectLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import load_file

from ex4d_core.holes.masks import random_kernels
from ex4d_core.wan import clip as clips
from ex4d_core.wan import schedule

FRAMES = (0, 12, 24, 48)
CLIP_MISTAKES = {
    "eroded at the old size": ("to_uint8(seen[picked])", "erode(to_uint8(seen[picked]), kernel)"),
    "no erosion": ('if erosion != "off":', "if False:"),
    "holes shrink": ("import erode,", "import dilate as erode,"),
    "one box for all frames": ("random_kernels(len(seen), seed)", "random_kernels(1, seed)[0]"),
    "hardly seen is seen": ("seen >= 128", "seen >= 1"),
    "hardly hidden is hidden": ("seen >= 128", "seen >= 255"),
    "holes keep their colour": ("color * valid[..., None]", "color"),
    "holes are grey": ("color * valid[..., None]", "torch.where(valid[..., None], color, 128)"),
    "channels reversed": ("color * valid[..., None]", "(color * valid[..., None]).flip(-1)"),
    "the first frames instead of all": ("np.linspace(0, count - 1, frames, dtype=int)", "range(frames)"),
    "smooth sizing": ("(width, height))) for", "(width, height), interpolation=cv2.INTER_AREA)) for"),
    "proportions kept": ('if fit == "crop":', "if True:"),
    "colour from 0 to 0.996": ("div_(255.0)", "div_(256.0)"),
    "mask mapped once": ("clip.seen, 1.0, -1.0", "clip.seen, 1.0, 0.0"),
    "mask inverted": ("clip.seen, 1.0, -1.0", "clip.seen, -1.0, 1.0"),
    "start image black after frame 0": (", 3), 0.5)", ", 3), 0.0)"),
    "start image of all frames": ("images[0] = color_images(clip.part(0, 1))[0]", "images = color_images(clip)"),
}
SCHEDULE_MISTAKES = {
    "not shifted": ("(shift * s / (1 + (shift - 1) * s)).to", "s.to"),
    "shifted by one more": ("(shift - 1) * s)).to", "shift * s)).to"),
    "ends above 0": ("torch.linspace(1, 0, steps + 1", "torch.linspace(1, 0.001, steps + 1"),
    "starts below 1": ("torch.linspace(1, 0, steps + 1", "torch.linspace(0.999, 0, steps + 1"),
}


class Text(InspectLoader):
    """Loads a module from a string."""

    def __init__(self, text: str):
        self.text = text

    def get_source(self, fullname: str) -> str:
        return self.text


def twin(module: ModuleType, right: str = "", wrong: str = "") -> ModuleType:
    """A second copy of a module, with one place of its source changed."""
    source = Path(module.__file__).read_text(encoding="utf-8")
    assert not right or source.count(right) == 1, f"{right!r} is no longer the one place of this convention"
    loader = Text(source.replace(right, wrong) if right else source)
    copy = module_from_spec(spec_from_loader(module.__name__, loader, is_package=False))
    loader.exec_module(copy)
    return copy


@pytest.fixture(scope="module")
def recorded(request):
    """Videos, and what the published code made of them."""
    from ex4d_core.wan.videos import read_color_and_mask

    reference = request.getfixturevalue("reference")
    data = load_file(reference / "adapter" / "preprocess_golden.safetensors")
    flower = reference / "flower"
    data["color"], data["mask"] = read_color_and_mask(flower / "render_180.mp4", flower / "mask_180.mp4")
    data["bits"] = torch.stack([data[f"mask_bits_f{t}"] for t in (*FRAMES, 48)])
    data["masked"] = torch.stack([data[f"color_masked_k5_u8_f{t}"] for t in (*FRAMES[1:], 48)])
    return data


def differences(clip: ModuleType, data: dict) -> list[str]:
    """Names of the recorded results that a copy of the clip module does not give exactly."""
    few = torch.tensor([*FRAMES, 48])
    color, mask, bits = data["color"][few], data["mask"][few], data["bits"]
    small = {"frames": 9, "width": 192, "height": 128}
    odd = clip.prepare_clip(color, mask, erosion="fixed", kernel=5)
    even = clip.prepare_clip(color, mask, erosion="fixed", kernel=8)
    drawn = clip.prepare_clip(color, mask, erosion="random", seed=1)
    whole = clip.prepare_clip(data["color"], torch.full_like(data["mask"], 255), **small, erosion="off")
    shrunk = clip.prepare_clip(data["color"], data["mask"], **small, erosion="fixed", kernel=3)
    shifts = torch.tensor(random_kernels(5, 1))[:, None, None] - 2
    masked, seen = data["masked"].float() / 255 * 2 - 1, (bits >> 3) & 1
    start = clip.start_images(odd) * 2 - 1
    pairs = {
        "mask, odd box": (odd.seen, seen == 1),
        "mask, even box": (even.seen, (bits >> 6) & 1 == 1),
        "mask, random boxes": (drawn.seen, (bits >> shifts) & 1 == 1),
        "colour": (odd.color[1:], data["masked"]),
        "small colour": (whole.color, data["small_color_u8_9x128x192x3"]),
        "small mask": (shrunk.seen, data["small_mask_k3_9x128x192"] == 1),
        "VAE: colour": (clip.color_images(odd)[1:] * 2 - 1, masked),
        "VAE: mask": (clip.mask_images(odd)[..., 0] * 2 - 1, torch.where(seen == 1, 1.0, -3.0)),
        "VAE: first frame": (start[0], data["color_u8_f0"].float() / 255 * 2 - 1),
        "VAE: after it": (start[1:], torch.zeros(4, 512, 512, 3)),
    }
    return [name for name, (ours, golden) in pairs.items() if not torch.equal(ours, golden)]


def test_the_source_as_it_is_gives_everything_exactly(recorded):
    assert differences(twin(clips), recorded) == []


@pytest.mark.parametrize("mistake", CLIP_MISTAKES)
def test_a_broken_convention_is_noticed(recorded, mistake):
    assert differences(twin(clips, *CLIP_MISTAKES[mistake]), recorded)


@pytest.mark.parametrize("mistake", [None, *SCHEDULE_MISTAKES])
def test_a_broken_schedule_is_noticed(reference, mistake):
    golden = load_file(reference / "adapter" / "sampler_golden.safetensors")["sigmas_25"]
    sigmas = twin(schedule, *SCHEDULE_MISTAKES.get(mistake, ())).sigmas(25)
    assert (float((sigmas[:-1] - golden).abs().max()) < 2e-7) == (mistake is None)
