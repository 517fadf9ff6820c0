"""Each convention of the published preprocessing, broken once in its behaviour: the recorded data notice every time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
from harness.recorded import whole_videos
from safetensors.torch import load_file
from torch import Tensor

from ex4d_core.holes.masks import dilate, erode, random_kernels
from ex4d_core.wan import clip as clips
from ex4d_core.wan.schedule import sigmas

FRAMES = (0, 12, 24, 48)
STEPS, SHIFT = 25, 5.0


@dataclass(frozen=True)
class Steps:
    """The steps from a rendered pair to what the VAE is given; a mistake replaces one of them."""

    prepare: Callable[..., clips.PreparedClip] = clips.prepare_clip
    color_images: Callable[[clips.PreparedClip], Tensor] = clips.color_images
    mask_images: Callable[[clips.PreparedClip], Tensor] = clips.mask_images
    start_images: Callable[[clips.PreparedClip], Tensor] = clips.start_images


RIGHT = Steps()


def before(change: Callable[..., tuple[Tensor, Tensor, dict]]) -> Steps:
    """Colour, mask or settings changed on their way into the preparation."""

    def prepare(color: Tensor, mask: Tensor, **settings: object) -> clips.PreparedClip:
        color, mask, settings = change(color, mask, settings)
        return clips.prepare_clip(color, mask, **settings)

    return Steps(prepare=prepare)


def after(change: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Steps:
    """Another colour out of the preparation; ``change`` takes the right one, the seen mask and the colour of the holes."""

    def prepare(color: Tensor, mask: Tensor, **settings: object) -> clips.PreparedClip:
        right = clips.prepare_clip(color, mask, **settings)
        whole = clips.prepare_clip(color, torch.full_like(mask, 255), **{**settings, "erosion": "off"})
        return replace(right, color=change(right.color, right.seen[..., None], whole.color))

    return Steps(prepare=prepare)


def box(settings: dict, frames: int) -> int | tuple[int, ...]:
    return random_kernels(frames, settings["seed"]) if settings["erosion"] == "random" else settings.get("kernel", 5)


def eroded_at_the_old_size(color: Tensor, mask: Tensor, settings: dict) -> tuple[Tensor, Tensor, dict]:
    if settings["erosion"] == "off" or "width" not in settings:
        return color, mask, settings
    return color, erode(mask, box(settings, len(mask))), settings | {"erosion": "off"}


def shrunken_holes(color: Tensor, mask: Tensor, settings: dict) -> tuple[Tensor, Tensor, dict]:
    if settings["erosion"] == "off":
        return color, mask, settings
    return color, dilate(mask, box(settings, len(mask))), settings | {"erosion": "off"}


def one_box(color: Tensor, mask: Tensor, settings: dict) -> tuple[Tensor, Tensor, dict]:
    if settings["erosion"] != "random":
        return color, mask, settings
    return color, mask, settings | {"erosion": "fixed", "kernel": random_kernels(1, settings["seed"])[0]}


def threshold(at: int) -> Steps:
    """A mask that is all or nothing from ``at`` on, before half of it is asked for."""
    return before(lambda color, mask, settings: (color, (mask >= at).to(torch.uint8) * 255, settings))


def first_frames(color: Tensor, mask: Tensor, settings: dict) -> tuple[Tensor, Tensor, dict]:
    count = settings.get("frames") or len(color)
    return color[:count], mask[:count], settings


def smooth_sizing(color: Tensor, mask: Tensor, settings: dict) -> tuple[Tensor, Tensor, dict]:
    if "width" not in settings:
        return color, mask, settings
    size = settings["height"], settings["width"]
    pictures = torch.nn.functional.interpolate(color.movedim(-1, 1).float(), size, mode="area").round().to(torch.uint8)
    masks = torch.nn.functional.interpolate(mask[:, None].float(), size, mode="area").round().to(torch.uint8)
    return pictures.movedim(1, -1), masks[:, 0], settings


def proportions_kept(color: Tensor, mask: Tensor, settings: dict) -> tuple[Tensor, Tensor, dict]:
    return color, mask, settings | {"fit": "crop"}


MISTAKES = {
    "eroded at the old size": before(eroded_at_the_old_size),
    "no erosion": before(lambda color, mask, settings: (color, mask, settings | {"erosion": "off"})),
    "holes shrink": before(shrunken_holes),
    "one box for all frames": before(one_box),
    "hardly seen is seen": threshold(1),
    "hardly hidden is hidden": threshold(255),
    "holes keep their colour": after(lambda color, seen, holes: holes),
    "holes are grey": after(lambda color, seen, holes: torch.where(seen, color, 128)),
    "channels reversed": after(lambda color, seen, holes: color.flip(-1)),
    "the first frames instead of all": before(first_frames),
    "smooth sizing": before(smooth_sizing),
    "proportions kept": before(proportions_kept),
    "colour from 0 to 0.996": Steps(color_images=lambda clip: clip.color.float() / 256),
    "mask mapped once": Steps(mask_images=lambda clip: clips.mask_images(clip).clamp(0, 1)),
    "mask inverted": Steps(mask_images=lambda clip: -clips.mask_images(clip)),
    "start image black after frame 0": Steps(
        start_images=lambda clip: torch.cat(
            [clips.start_images(clip)[:1], torch.zeros_like(clips.start_images(clip)[1:])]
        )
    ),
    "start image of all frames": Steps(start_images=clips.color_images),
}


@pytest.fixture(scope="module")
def recorded(request):
    """Videos, and what the published code made of them."""
    reference = request.getfixturevalue("reference")
    data = load_file(reference / "adapter" / "preprocess_golden.safetensors")
    data["color"], data["mask"] = whole_videos(data)
    data["bits"] = torch.stack([data[f"mask_bits_f{t}"] for t in (*FRAMES, 48)])
    data["masked"] = torch.stack([data[f"color_masked_k5_u8_f{t}"] for t in (*FRAMES[1:], 48)])
    return data


def differences(steps: Steps, data: dict[str, Tensor]) -> list[str]:
    """Names of the recorded results that these steps do not give exactly."""
    few = torch.tensor([*FRAMES, 48])
    color, mask, bits = data["color"][few], data["mask"][few], data["bits"]
    small = {"frames": 9, "width": 192, "height": 128}
    odd = steps.prepare(color, mask, erosion="fixed", kernel=5)
    even = steps.prepare(color, mask, erosion="fixed", kernel=8)
    drawn = steps.prepare(color, mask, erosion="random", seed=1)
    whole = steps.prepare(data["color"], torch.full_like(data["mask"], 255), **small, erosion="off")
    shrunk = steps.prepare(data["color"], data["mask"], **small, erosion="fixed", kernel=3)
    shifts = torch.tensor(random_kernels(5, 1))[:, None, None] - 2
    masked, seen = data["masked"].float() / 255 * 2 - 1, (bits >> 3) & 1
    start = steps.start_images(odd) * 2 - 1
    pairs = {
        "mask, odd box": (odd.seen, seen == 1),
        "mask, even box": (even.seen, (bits >> 6) & 1 == 1),
        "mask, random boxes": (drawn.seen, (bits >> shifts) & 1 == 1),
        "colour": (odd.color[1:], data["masked"]),
        "small colour": (whole.color, data["small_color_u8_9x128x192x3"]),
        "small mask": (shrunk.seen, data["small_mask_k3_9x128x192"] == 1),
        "VAE: colour": (steps.color_images(odd)[1:] * 2 - 1, masked),
        "VAE: mask": (steps.mask_images(odd)[..., 0] * 2 - 1, torch.where(seen == 1, 1.0, -3.0)),
        "VAE: first frame": (start[0], data["color_u8_f0"].float() / 255 * 2 - 1),
        "VAE: after it": (start[1:], torch.zeros(4, 512, 512, 3)),
    }
    return [name for name, (ours, golden) in pairs.items() if not torch.equal(ours, golden)]


def test_the_steps_as_they_are_give_everything_exactly(recorded):
    assert differences(RIGHT, recorded) == []


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_broken_convention_is_noticed(recorded, mistake):
    assert differences(MISTAKES[mistake], recorded)


def shifted(s: Tensor, shift: float, bend: float) -> Tensor:
    return shift * s / (1 + bend * s)


LINE = torch.linspace(1, 0, STEPS + 1, dtype=torch.float64)
SCHEDULES = {
    "not shifted": (sigmas(STEPS, 1.0), False),
    "shifted by one more": (shifted(LINE, SHIFT, SHIFT), False),
    "ends above 0": (shifted(torch.linspace(1, 0.001, STEPS + 1), SHIFT, SHIFT - 1), False),
    "starts below 1": (shifted(torch.linspace(0.999, 0, STEPS + 1), SHIFT, SHIFT - 1), False),
    "as it is": (sigmas(STEPS, SHIFT), True),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_broken_schedule_is_noticed(reference, name):
    golden = load_file(reference / "adapter" / "sampler_golden.safetensors")["sigmas_25"]
    values, right = SCHEDULES[name]
    assert (float((values[:-1] - golden).abs().max()) < 2e-7) == right
