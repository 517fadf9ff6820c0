"""Clips fitted to other models: the rules, and pictures, mask, path and sound in step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ex4d_core.camera import Intrinsics, UnknownLens
from ex4d_core.errors import Cancelled, EX4DError
from ex4d_core.pixels import HOLE_COLORS
from ex4d_core.targets import MODELS, fit_path, fit_pictures, fit_sound, plan_fit
from ex4d_core.trajectory import Trajectory, resampled

pytestmark = pytest.mark.usefixtures("one_thread")

WAN, VACE, H3 = MODELS["EX-4D on Wan 2.1 14B"], MODELS["VACE on Wan 2.1 14B"], MODELS["CrossView on MiniMax-H3"]
LTX, MERIDIAN = MODELS["CrossView on LTX 2.3"], MODELS["Meridian on MiniMax-H3"]


def numbered(frames: int, width: int = 64, height: int = 48) -> torch.Tensor:
    """Each frame has the grey of its number."""
    return (torch.arange(frames) / 1000.0)[:, None, None, None].expand(frames, height, width, 3)


def truck(frames: int, fps: float = 30.0) -> Trajectory:
    """A camera that goes one unit a second to the right."""
    poses = np.tile(np.eye(4), (frames, 1, 1))
    poses[:, 0, 3] = -np.arange(frames) / fps
    return Trajectory(poses, fps=fps)


@pytest.mark.parametrize("model", MODELS.values(), ids=lambda model: model.name)
def test_every_row_is_whole(model):
    assert model.hole_color in HOLE_COLORS and model.source and model.base.source
    assert model.takes(model.fewest) and not model.takes(model.fewest + 1)
    assert all(model.takes(count) for count in (model.within(200), model.within(99)) if count)
    assert model.within(model.fewest - 1) is None
    assert all(side % model.base.side == 0 for side in model.base.usual)


def test_length_rules_are_those_of_the_hosts_nodes():
    assert [WAN.within(n) for n in (1, 4, 5, 80, 81)] == [1, 1, 5, 77, 81]
    assert [LTX.within(n) for n in (8, 9, 120, 121)] == [1, 9, 113, 121]
    # align_frame_count of the host goes up to 5 modulo 17; a clip offers the next one down.
    assert [H3.within(n) for n in (4, 5, 21, 22, 123, 124, 362)] == [None, 5, 5, 22, 107, 124, 362]
    assert [MERIDIAN.within(n) for n in (72, 73, 200, 300)] == [None, 73, 175, 243]


def test_another_rate_keeps_the_speed_of_picture_path_and_sound():
    """Ten seconds at 30 fps for a model at 24: at every moment the picture, the camera and the sound of that moment."""
    plan = plan_fit(H3, 300, (64, 48), 30.0, path=truck(300), width=64, height=32)
    assert plan.fps == 24 and plan.length == 226 == H3.within(240)
    pictures, _ = fit_pictures(numbered(300), None, plan)
    moments = np.arange(226) / 24
    assert np.abs(pictures[:, 0, 0, 0].numpy() * 1000 - moments * 30).max() <= 0.5 + 1e-3
    path = fit_path(truck(300), plan)
    assert path.fps == 24 and np.abs(-path.world_to_camera[:, 0, 3] - moments).max() < 1e-5
    sound = torch.arange(8000 * 10)[None]
    fitted = fit_sound(sound, 8000, plan)
    assert fitted.shape[-1] == round(226 / 24 * 8000) and torch.equal(fitted, sound[:, : fitted.shape[-1]])
    assert any("24 a second" in note and "30" in note for note in plan.notes)


def test_a_rate_near_the_models_is_kept_unless_the_model_demands_its_own():
    assert plan_fit(VACE, 49, (832, 480), 15.0).fps == 15
    assert plan_fit(VACE, 49, (832, 480), 15.0, rate="model").fps == 16
    assert plan_fit(VACE, 150, (832, 480), 30.0).fps == 16
    assert plan_fit(VACE, 150, (832, 480), 30.0, rate="keep").fps == 30
    assert plan_fit(LTX, 150, (832, 480), 25.0).fps == 25
    assert plan_fit(H3, 200, (832, 480), 25.0).fps == 24
    assert plan_fit(H3, 200, (832, 480), 25.0, rate="keep").fps == 25


def test_lengths():
    for frames, length, expected in ((49, 0, 49), (50, 0, 49), (300, 0, 81), (300, 121, 121), (30, 81, 81)):
        plan = plan_fit(VACE, frames, (832, 480), 16.0, length=length)
        assert plan.length == expected
        assert plan.frames == tuple(min(k, frames - 1) for k in range(expected))
    assert any("held" in note for note in plan.notes)
    later = plan_fit(VACE, 300, (832, 480), 16.0, start=100)
    assert later.frames[0] == 100 and later.begin == 100 / 16 and later.length == 81
    assert any("124 to 362" in note for note in plan_fit(H3, 100, (832, 480), 24.0).notes)
    assert not any("124 to 362" in note for note in plan_fit(H3, 130, (832, 480), 24.0).notes)
    for wrong in (80, 3, -1, 10001):
        with pytest.raises(EX4DError, match="4n"):
            plan_fit(VACE, 100, (832, 480), 16.0, length=wrong)


def test_held_frames_are_silent():
    plan = plan_fit(H3, 100, (64, 64), 24.0, length=124)
    sound = fit_sound(torch.ones(2, round(100 / 24 * 1000)), 1000, plan)
    assert sound.shape == (2, round(124 / 24 * 1000))
    assert sound[:, :4166].min() == 1 and sound[:, 4168:].abs().max() == 0


def test_sizes():
    assert _size(plan_fit(VACE, 49, (854, 480), 16.0)) == (848, 480)
    assert _size(plan_fit(VACE, 49, (1920, 1080), 16.0)) == (1280, 720)
    assert _size(plan_fit(H3, 200, (1920, 1080), 24.0)) == (1344, 768)
    assert _size(plan_fit(H3, 200, (512, 512), 24.0)) == (512, 512)
    assert _size(plan_fit(LTX, 49, (700, 500), 24.0, width=768, height=512)) == (768, 512)
    with pytest.raises(EX4DError, match="steps of 32"):
        plan_fit(H3, 200, (512, 512), 24.0, width=520, height=512)
    with pytest.raises(EX4DError, match="both"):
        plan_fit(H3, 200, (512, 512), 24.0, width=512)


def _size(plan) -> tuple[int, int]:
    return plan.placement.width, plan.placement.height


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("size", [(32, 32), (64, 64), (96, 32), (128, 96)])
def test_hole_colour_never_mixes_with_seen_colour_at_any_size(fit, size):
    """A grey clip whose holes hold red: at any new size every pixel is the grey or the hole colour, as its mask says."""
    mask = (torch.rand(3, 48, 64, generator=torch.Generator().manual_seed(1)) > 0.3).float()
    mask[0] = 1
    color = torch.where(mask[..., None] == 1, torch.tensor(0.7), torch.tensor([1.0, 0.0, 0.0]))
    plan = plan_fit(H3, 3, (64, 48), 24.0, length=5, width=size[0], height=size[1], fit=fit)
    pictures, seen = fit_pictures(color, mask, plan)
    assert pictures.shape == (5, size[1], size[0], 3) and set(seen.unique().tolist()) <= {0.0, 1.0}
    assert torch.allclose(pictures[seen == 1], torch.tensor(0.7), atol=1e-5)
    assert torch.equal(pictures[seen == 0], torch.tensor([1.0, 0.0, 1.0]).expand(int((seen == 0).sum()), 3))
    bars = {"crop": False, "stretch": False, "pad": size[0] * 3 != size[1] * 4}[fit]
    assert (seen[0] == 0).any() == bars == plan.pads
    assert torch.equal(pictures[3], pictures[2]) and torch.equal(seen[4], seen[2])


def test_a_soft_mask_stays_soft_and_a_clip_that_fits_is_untouched():
    mask = torch.rand(5, 32, 64)
    color = torch.rand(5, 32, 64, 3)
    plan = plan_fit(H3, 5, (64, 32), 24.0)
    assert plan.notes == ("Unusual: CrossView on MiniMax-H3 is trained on 124 to 362 frames, these are 5.",)
    pictures, seen = fit_pictures(color, mask, plan)
    assert torch.equal(pictures, color) and torch.equal(seen, mask)
    smaller, soft = fit_pictures(color, mask, plan_fit(H3, 5, (64, 32), 24.0, width=32, height=32))
    assert len(soft.unique()) > 100 and smaller.shape == (5, 32, 32, 3)
    whole, all_seen = fit_pictures((color * 255).to(torch.uint8), None, plan)
    assert whole.dtype == torch.float32 and all_seen.min() == 1 and (whole - color).abs().max() < 1 / 255


def test_a_bent_path_keeps_what_it_shows():
    """Frozen at the clip's second 2 while the camera goes on: also at another rate, where frames have other numbers."""
    clip, path = 120, replace(truck(90), shown=(*range(60), *[60] * 30))
    plan = plan_fit(H3, clip, (64, 32), 30.0, path=path)
    fitted = fit_path(path, plan)
    assert plan.length == len(fitted) == 56 and len(plan.frames) == 96, "all of the clip stays: the path chooses"
    pictures, _ = fit_pictures(numbered(clip, 64, 32), None, plan)
    shown = fitted.shown_frames(len(pictures))
    moments = np.minimum(np.arange(56) / 24, 2.0)
    assert np.abs(pictures[shown, 0, 0, 0].numpy() * 1000 / 30 - moments).max() <= 1 / 24
    assert len(set(shown[49:])) == 1


def test_one_picture_serves_a_path_of_any_length():
    plan = plan_fit(VACE, 1, (64, 48), 15.0, path=truck(49, 15.0))
    assert plan.frames == (0,) and plan.length == 49
    assert fit_pictures(numbered(1), None, plan)[0].shape == (1, 48, 64, 3)


def test_a_lens_for_the_clips_own_pixels_is_cut_with_them():
    """A point that the old picture shows at a pixel is where the fitted picture shows that pixel."""
    lens = Intrinsics(50.0, 51.0, 30.0, 20.0, 64, 48)
    path = replace(truck(5), intrinsics=(lens,) * 5)
    for fit in ("crop", "pad", "stretch"):
        plan = plan_fit(H3, 5, (64, 48), 30.0, path=path, rate="keep", width=96, height=96, fit=fit)
        new = fit_path(path, plan).intrinsics[0]
        lies = plan.placement
        u, v = lens.fx * 0.3 + lens.cx, lens.fy * -0.2 + lens.cy
        assert new.fx * 0.3 + new.cx == pytest.approx(u * lies.scaled_width / 64 + lies.left)
        assert new.fy * -0.2 + new.cy == pytest.approx(v * lies.scaled_height / 48 + lies.top)
        assert (new.width, new.height) == (96, 96)
    other = replace(path, intrinsics=(lens.resized(128, 96),) * 5)
    assert fit_path(other, plan).intrinsics == other.intrinsics


def test_resampled_paths_turn_evenly_and_keep_whole_frames():
    path = Trajectory.preset("orbit", frames=31, fps=30, radius=2.0, angle=-60)
    times = np.arange(0, 25) * 1.25
    half = resampled(path, times, 24.0)
    assert half.fps == 24 and np.array_equal(half.world_to_camera[::4], path.world_to_camera[::5])
    finer = Trajectory.preset("orbit", frames=121, fps=120, radius=2.0, angle=-60)
    assert np.abs(half.world_to_camera - finer.world_to_camera[::5]).max() < 1e-3
    with pytest.raises(EX4DError, match="frames 0 to 30"):
        resampled(path, [31.0], 24.0)
    zoom = Trajectory.from_json(
        {**Trajectory.preset("static", frames=3).document().to_dict(), "source": None,
         "keyframes": [{"frame": 0, "position": [0, 0, 0], "target": [0, 0, 1], "fov": 40}]}
    )  # fmt: skip
    with pytest.raises(UnknownLens):
        resampled(zoom, [0.0, 1.0], 24.0)


def test_refuses_what_does_not_belong_together():
    with pytest.raises(EX4DError, match="50 frames, the camera path 49"):
        plan_fit(VACE, 50, (64, 48), 15.0, path=truck(49))
    with pytest.raises(EX4DError, match="frames 0 to 9"):
        plan_fit(VACE, 10, (64, 48), 15.0, start=10)
    for fps in (0.0, -1.0, float("nan"), 2000.0):
        with pytest.raises(EX4DError, match="rate"):
            plan_fit(VACE, 10, (64, 48), fps)
    plan = plan_fit(VACE, 9, (64, 48), 16.0)
    for color, mask in ((numbered(5), None), (numbered(9, 32), None), (numbered(9), torch.ones(8, 48, 64))):
        with pytest.raises(EX4DError):
            fit_pictures(color, mask, plan)
    with pytest.raises(Cancelled):
        fit_pictures(numbered(9), None, plan, cancel=lambda: True)


def test_the_help_page_shows_these_rows():
    page = (Path(__file__).resolve().parents[2] / "web" / "docs" / "EX4DFitToModel.md").read_text(encoding="utf-8")
    rules = {"exact": "exact", "told": "told", "free": "not told"}
    for model in MODELS.values():
        low, high = model.trained
        trained = "these" if model.lengths else f"up to {high}" if low == 1 else f"{low} to {high}"
        rate = f"{model.rate:g}, {rules[model.base.rate]}"
        mask = "yes" if model.takes_mask else "no"
        assert (
            f"| {model.name} | {model.length_rule} | {trained} | {rate} | {model.base.side} | {model.hole_color} | {mask} |"
            in page
        )
