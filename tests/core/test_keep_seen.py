"""Keeping seen pixels: holes stay, colours follow what was seen without drift, flicker or pumping, against exact truth."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ex4d_core.composite import KeepSettings, keep_seen_pixels
from ex4d_core.composite.match import Cells, fit_corrections
from ex4d_core.demo_scene import DemoScene
from ex4d_core.errors import Cancelled, EX4DError
from ex4d_core.evaluation.generated import colour_faults, simulate_generated
from ex4d_core.holes.distance import distance_to_holes
from ex4d_core.mesh import build_dw_mesh
from ex4d_core.render import render_color_mask
from ex4d_core.render.quality import seen_quality
from ex4d_core.trajectory import Trajectory

UNMATCHED = KeepSettings(match_color=False)
SIDE, FRAMES = 128, 17


@pytest.fixture(scope="module")
def shot():
    """A path to 90 degrees: the render, how well it was seen, the truth, and a generated video with known faults."""
    scene = DemoScene(SIDE, SIDE, FRAMES, samples=2)
    mesh = build_dw_mesh(*scene.clip(), scene.intrinsics, style="paper")
    path = Trajectory.preset("90", frames=FRAMES, radius=mesh.radius)
    color, seen, depth = render_color_mask(mesh, path)
    truth = scene.clip(path.world_to_camera.astype(np.float64))[0].float() / 255
    quality = seen_quality(mesh, path)
    return {
        "mesh": mesh,
        "path": path,
        "color": color,
        "seen": seen,
        "depth": depth,
        "truth": truth,
        "quality": quality,
        "video": simulate_generated(truth, seen > 0, blur=3),
    }


def pictures(frames=3, height=40, width=48, seed=0, dtype=torch.float32):
    draw = torch.Generator().manual_seed(seed)
    result, color = torch.rand((2, frames, height, width, 3), generator=draw)
    seen = torch.ones(frames, height, width)
    seen[:, 10:30, 20:40] = 0
    color = color * seen[..., None]
    if dtype == torch.uint8:
        return (result * 255).to(dtype), (color * 255).to(dtype), (seen * 255).to(dtype)
    return result, color, seen


@pytest.mark.parametrize("blend", ["soft", "hard"])
@pytest.mark.parametrize("with_quality", [True, False])
def test_drift_and_flicker_go_and_no_seam_comes(shot, blend, with_quality):
    video, truth, seen = shot["video"], shot["truth"], shot["seen"] > 0
    quality = shot["quality"] if with_quality else None
    kept = keep_seen_pixels(video.images, shot["color"], shot["seen"], KeepSettings(blend=blend), quality=quality)
    before = colour_faults(video.images, truth, seen, video.clipped)
    after = colour_faults(kept.images, truth, seen, video.clipped)
    assert before.drift > 4 and before.flicker > 9, "the faults are there to begin with"
    assert after.drift <= 0.5 and after.largest <= 1.5
    assert after.flicker <= before.flicker / 10
    assert after.seam <= before.seam / 3
    assert after.detail < 0.7 * before.detail
    assert not kept.notes


def test_no_seam_is_left_where_nothing_but_colour_was_wrong(shot):
    """The ring's mean colour is within 1 level of the truth where lost detail does not blur the measure."""
    truth, seen = shot["truth"], shot["seen"] > 0
    video = simulate_generated(truth, seen, blur=1)
    kept = keep_seen_pixels(video.images, truth * seen[..., None], shot["seen"])
    before, after = (colour_faults(v, truth, seen, video.clipped) for v in (video.images, kept.images))
    assert before.seam > 3 and after.seam <= 1 and after.largest <= 1
    assert after.flicker <= before.flicker / 30


def test_without_colour_match_holes_are_the_result_bit_for_bit(shot):
    wild = shot["video"].images * 3 - 1  # values beyond 0..1 too
    kept = keep_seen_pixels(wild, shot["color"], shot["seen"], UNMATCHED, quality=shot["quality"])
    holes = shot["seen"] == 0
    assert torch.equal(kept.images[holes], wild[holes])
    assert float(kept.share[holes].max()) == 0
    assert not kept.correction.any()


@given(
    seed=st.integers(0, 999),
    share=st.floats(0.02, 0.98),
    feather=st.integers(0, 20),
    blend=st.sampled_from(["soft", "hard"]),
    strength=st.sampled_from([0.0, 0.3, 1.0]),
    dtype=st.sampled_from([torch.uint8, torch.float32, torch.float16]),
)
@settings(max_examples=40, deadline=None)
def test_what_is_laid_over_never_enters_a_hole(seed, share, feather, blend, strength, dtype):
    draw = torch.Generator().manual_seed(seed)
    result, color = ((torch.rand((2, 24, 31, 3), generator=draw) * 255).to(torch.uint8) for _ in range(2))
    if dtype != torch.uint8:
        result, color = result.to(dtype) / 255, color.to(dtype) / 255
    coarse = torch.rand((2, 1, 6, 8), generator=draw)
    seen = torch.nn.functional.interpolate(coarse, (24, 31), mode="bilinear")[:, 0] < share
    settings_ = KeepSettings(strength, feather, blend, match_color=False)
    kept = keep_seen_pixels(result, color, seen, settings_)
    assert kept.images.dtype == result.dtype and kept.images.shape == result.shape
    assert torch.equal(kept.images[~seen], result[~seen])
    if strength == 0:
        assert torch.equal(kept.images, result)
    if strength == 1 and feather == 0:
        assert torch.equal(kept.images[seen], color[seen])
    low, high = torch.minimum(result, color).float(), torch.maximum(result, color).float()
    assert ((kept.images.float() >= low - 1e-3) & (kept.images.float() <= high + 1e-3)).all()


def test_the_fade_takes_its_width_and_small_holes_take_less():
    seen = torch.ones(1, 80, 120)
    seen[:, 20:60, 0:30] = 0  # a large hole
    seen[:, 40, 90] = 0  # a speck
    result, color = torch.zeros(1, 80, 120, 3), torch.ones(1, 80, 120, 3)
    share = keep_seen_pixels(result, color, seen, KeepSettings(feather=12, blend="hard", match_color=False)).share[0]
    row = share[40]
    assert row[29] == 0 and 0 < row[30] < 0.1 and 0.4 < row[35] < 0.6 and row[42] == 1
    assert (row[30:43].diff() >= 0).all()
    assert share[40, 90] == 0 and row[93] == 1, "a speck costs two pixels around it"
    soft = keep_seen_pixels(result, color, seen, KeepSettings(feather=12, match_color=False)).share[0, 40]
    assert 0.4 < soft[42] < 0.6 and soft[54] == 1


def test_distance_is_euclidean_as_far_as_it_reaches():
    known = torch.rand((30, 41), generator=torch.Generator().manual_seed(3)) < 0.97
    y, x = torch.meshgrid(torch.arange(30), torch.arange(41), indexing="ij")
    holes = torch.nonzero(~known)
    exact = ((y[..., None] - holes[:, 0]) ** 2 + (x[..., None] - holes[:, 1]) ** 2).amin(-1).float().sqrt()
    torch.testing.assert_close(distance_to_holes(known, 6), exact.clamp(max=6))
    assert (distance_to_holes(torch.ones(4, 5, dtype=torch.bool), 3) == 3).all()


def test_quality_falls_where_a_surface_is_stretched(shot):
    quality, seen = shot["quality"], shot["seen"] > 0
    assert float(quality[0].min()) > 0.99, "its own view shows the source pixel for pixel"
    error = (shot["color"] - shot["truth"]).abs().mean(-1)
    # Silhouettes err for another reason, so what is compared lies away from them.
    same = seen & (distances(seen) > 3)
    poor, good = same & (quality < 0.5), same & (quality > 0.8)
    assert poor.sum() > 200 and float(error[poor].mean()) > 1.5 * float(error[good].mean())


def distances(seen):
    return torch.stack([distance_to_holes(frame, 5) for frame in seen])


def test_quality_is_the_stretch_of_a_slanted_wall():
    """A wall straight ahead, seen from twice as near: one source pixel covers two."""
    depth = torch.full((2, 32, 32), 4.0)
    mesh = build_dw_mesh(torch.zeros(2, 32, 32, 3), depth, style="paper", border_depth=8.0)
    poses = np.tile(np.eye(4), (2, 1, 1))
    poses[1, 2, 3] = -2.0
    quality = seen_quality(mesh, Trajectory(poses))
    assert float(quality[0].min()) > 0.99
    assert float(quality[1, 16, 16]) == pytest.approx(0.5, abs=0.01)
    larger = seen_quality(mesh, Trajectory(poses), size=(64, 64))
    assert float(larger[1, 32, 32]) == pytest.approx(0.25, abs=0.01)


def test_a_thing_that_was_painted_elsewhere_does_not_pump_the_colours(shot):
    truth, seen = shot["truth"], shot["seen"]
    result = truth.clone()
    result[5:9, :40, 30:70] = torch.tensor(
        [1.0, 0.1, 0.1]
    )  # a red thing for four frames, over a good part of what is seen
    kept = keep_seen_pixels(result, truth * seen[..., None], seen)
    holes = seen == 0
    holes[:, :40, 30:70] = False
    change = (kept.images - truth).abs()[holes] * 255
    assert float(change.mean()) < 0.3 and float(change.max()) < 3


def test_frames_that_show_next_to_nothing_take_what_lies_between_their_neighbours():
    draw = np.random.default_rng(0)
    base = draw.uniform(0.1, 0.9, (200, 3))
    clip = []
    for t in range(11):
        result = base - (t - 5) / 255 * np.array([2.0, 1.0, -1.0])
        few = slice(0, 2) if t in (4, 5, 6) else slice(None)
        wrong = 0.2 if t == 5 else 0.0  # the two cells that are left tell nonsense
        clip.append(Cells(result[few], base[few] + wrong, np.ones(len(result[few]))))
    clip[0] = clip[10] = Cells(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0))
    found, _ = fit_corrections(clip)
    wanted = (np.arange(11)[:, None] - 5) / 255 * np.array([2.0, 1.0, -1.0])
    gray = found[:, 0]
    assert np.abs(gray[1:10] - wanted[1:10]).max() < 3 / 255
    assert np.abs(gray[0] - gray[1]).max() < 0.2 / 255 and np.abs(gray[10] - gray[9]).max() < 0.2 / 255
    assert np.abs(found[:, 1:]).max() < 0.02


def test_a_plain_picture_decides_on_no_gain():
    grey = np.full((300, 3), 0.3) + np.random.default_rng(1).normal(0, 1e-3, (300, 3))
    found, _ = fit_corrections([Cells(grey, grey + 0.02, np.ones(300))] * 5)
    at_white = found[:, 0] + 0.5 * found[:, 1:].sum(axis=1)
    assert np.abs(at_white - 0.02).max() < 0.02


def test_a_clip_without_a_seen_pixel_comes_back_as_it_is():
    result, color, seen = pictures()
    kept = keep_seen_pixels(result, color * 0, seen * 0)
    assert kept.images is result and not kept.share.any() and "Nothing was seen" in kept.notes[0]


def test_a_video_of_another_shot_is_told():
    seen = pictures(2, 96, 96)[2]
    boxes = torch.nn.functional.interpolate(torch.rand(2, 2, 3, 9, 9), (3, 96, 96)).permute(0, 1, 3, 4, 2)
    kept = keep_seen_pixels(boxes[0], boxes[1], seen)
    assert any("check that it was made from this render" in note for note in kept.notes)


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
def test_alpha_passes_and_a_single_frame_will_do(dtype):
    result, color, seen = pictures(1, dtype=dtype)
    alpha = result[..., :1]
    kept = keep_seen_pixels(torch.cat([result, alpha], -1), torch.cat([color, alpha], -1), seen)
    assert kept.images.dtype == dtype and kept.images.shape[-1] == 4
    assert torch.equal(kept.images[..., 3:], alpha)
    plain = keep_seen_pixels(result, color, seen).images
    assert torch.equal(kept.images[..., :3], plain)
    assert plain.float().max() <= (255 if dtype == torch.uint8 else 1) and plain.float().min() >= 0


def test_frames_that_the_sampler_left_out_are_told():
    result, color, seen = pictures(7)
    kept = keep_seen_pixels(result[:5], color, seen, UNMATCHED)
    assert len(kept.images) == len(kept.share) == 5 and "last 2 are left out" in kept.notes[0]
    assert torch.equal(kept.images, keep_seen_pixels(result[:5], color[:5], seen[:5], UNMATCHED).images)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"result": torch.rand(3, 20, 48, 3)}, "48x20 and the rendered colour 48x40"),
        ({"result": torch.rand(4, 40, 48, 3)}, "has 4 frames and the rendered colour 3"),
        ({"result": torch.rand(3, 40, 48)}, "shape"),
        ({"result": torch.rand(0, 40, 48, 3)}, "shape"),
        ({"result": torch.zeros(3, 40, 48, 3, dtype=torch.int32)}, "int32"),
        ({"color": torch.full((3, 40, 48, 3), float("nan"))}, "Frame 0 of the rendered colour"),
        ({"seen": torch.ones(2, 40, 48)}, "same render"),
        ({"quality": torch.ones(3, 40, 47)}, "same render"),
        ({"settings": KeepSettings(strength=1.5)}, "between 0 and 1"),
        ({"settings": KeepSettings(strength=float("nan"))}, "between 0 and 1"),
        ({"settings": KeepSettings(feather=-1)}, "feather"),
        ({"settings": KeepSettings(blend="wild")}, "soft, hard"),
    ],
)
def test_what_does_not_belong_together_is_refused(change, words):
    result, color, seen = pictures()
    values = {"result": result, "color": color, "seen": seen} | change
    with pytest.raises(EX4DError, match=words):
        keep_seen_pixels(**values)


def test_progress_counts_both_passes_and_cancel_stops():
    steps = []
    keep_seen_pixels(*pictures(), progress=lambda done, total: steps.append((done, total)))
    assert steps == [(n, 6) for n in range(1, 7)]
    with pytest.raises(Cancelled):
        keep_seen_pixels(*pictures(), cancel=lambda: True)
