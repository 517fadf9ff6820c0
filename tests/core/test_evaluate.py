"""Metrics of finished videos: equal to the reference implementations, and the command around them."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from ex4d_core import load_video, save_video
from ex4d_core.commands.cli import main
from ex4d_core.commands.evaluate import ROLES, Pair, read
from ex4d_core.demo_scene import DemoScene
from ex4d_core.demo_scene.arranged import BENCHMARK_SEEDS
from ex4d_core.demo_scene.world import SUBJECT
from ex4d_core.errors import Cancelled, EX4DError
from ex4d_core.evaluation import html
from ex4d_core.evaluation.adherence import Asked, adherence, radius_of
from ex4d_core.evaluation.benchmark.cases import target_path
from ex4d_core.evaluation.bootstrap import Estimate, estimate
from ex4d_core.evaluation.charts import EXACT, LEFT, TOP, _rungs, curve_chart
from ex4d_core.evaluation.motion import flow_warp_error
from ex4d_core.evaluation.regions import regions
from ex4d_core.evaluation.scores import Clips, evaluate
from ex4d_core.evaluation.similarity import psnr, similarities, squared_error
from ex4d_core.preview.comparison import error_map
from ex4d_core.preview.film import GAP

REFERENCES = {
    # size: scikit-image 0.26's structural_similarity (gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
    # channel_axis=-1) and peak_signal_noise_ratio; MS-SSIM of pytorch-msssim 1.0.0.
    (61, 83): (0.9338971594898672, 24.869718174162085, math.nan),
    (176, 208): (0.929998395441384, 24.914474938440108, 0.9885551928981947),
}


def pictures() -> dict[tuple[int, int], tuple[torch.Tensor, torch.Tensor]]:
    """The pairs that the reference values are of."""
    rng = np.random.default_rng(7)
    made = {}
    for height, width in REFERENCES:
        blocks = np.kron(rng.random((height // 8 + 2, width // 8 + 2, 3)), np.ones((8, 8, 1)))[:height, :width]
        a = (255 * np.clip(blocks + 0.08 * rng.standard_normal(blocks.shape), 0, 1)).astype(np.uint8)
        b = np.clip(a.astype(float) * 0.9 + 10 + 12 * rng.standard_normal(a.shape), 0, 255).astype(np.uint8)
        made[height, width] = torch.from_numpy(a), torch.from_numpy(b)
    return made


def clip(frames: int = 4, height: int = 24, width: int = 32) -> torch.Tensor:
    """Something soft that moves to the right by a pixel a frame."""
    rows, columns = np.mgrid[:height, : width + frames]
    waves = np.stack([np.sin(columns / 3 + k) * np.cos(rows / 4 - k) for k in range(3)], -1)
    picture = torch.from_numpy((127 + 90 * waves).astype(np.uint8))
    return torch.stack([picture[:, frames - t : frames - t + width] for t in range(frames)])


def test_psnr_ssim_and_ms_ssim_are_those_of_the_reference_implementations():
    for size, (a, b) in pictures().items():
        ssim, decibels, ms_ssim = REFERENCES[size]
        found = similarities(a, b, regions(None, size))["all"]
        assert found.ssim == pytest.approx(ssim, abs=1e-6)
        assert found.ms_ssim == pytest.approx(ms_ssim, abs=1e-6, nan_ok=True)
        assert psnr(float(squared_error(a, b).mean())) == pytest.approx(decibels, abs=1e-4)


def test_regions_judge_their_own_pixels_only():
    truth, seen = clip(), torch.ones(4, 24, 32, dtype=torch.bool)
    seen[:, :, 20:] = False
    result = torch.where(seen[..., None], truth, truth // 2)
    values = evaluate(Clips(result, truth, seen, render=truth)).values
    assert values["psnr_seen"] == math.inf and values["condition_psnr"] == math.inf
    assert values["condition_ssim"] == pytest.approx(1)
    hole = ((truth.double() - truth // 2) ** 2)[~seen].mean() / 255**2
    assert values["psnr_hole"] == pytest.approx(-10 * math.log10(hole), abs=1e-4)
    assert values["psnr_hole"] < values["psnr_rim"] and values["psnr_hole"] < values["psnr"] < math.inf
    assert values["ssim_hole"] < values["ssim"] < values["ssim_seen"] <= 1


def test_flow_follows_what_moves_and_leaves_what_flickers():
    moving = clip(5, 64, 96)
    steady = np.nanmean(flow_warp_error(moving))
    lighter = moving.clone()
    lighter[1::2] = (lighter[1::2].float() * 0.8).to(torch.uint8)
    assert steady < 2e-4
    assert np.nanmean(flow_warp_error(lighter, moving)) > 20 * steady


def test_drift_loop_and_first_frame_are_told_apart():
    still = clip(1).expand(10, -1, -1, -1)
    turn = torch.cat([clip(10), clip(10).flip(0)[1:]])
    drifting = still.clone()
    drifting[..., 0] = (still[..., 0].float() + torch.arange(10)[:, None, None]).to(torch.uint8)
    values = evaluate(Clips(drifting, source=still)).values
    assert values["colour_drift"] == pytest.approx(9) and values["first_frame_psnr"] == math.inf
    assert evaluate(Clips(turn)).values["loop_seam"] < 0.1
    assert evaluate(Clips(clip(10))).values["loop_seam"] > 3
    assert evaluate(Clips(still)).values["flicker"] == 1


def test_without_opencv_everything_else_is_computed(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    scores = evaluate(Clips(clip(), clip()))
    assert "OpenCV" in scores.reasons["flow_warp_error"] and scores.values["flicker"] is not None


def test_other_lengths_and_sizes_are_refused():
    with pytest.raises(EX4DError, match="4 frames of 32x24 and the truth 3 of 32x24"):
        Clips(clip(), clip(3))
    with pytest.raises(EX4DError, match="11 pixels"):
        Clips(clip(4, 8, 32))


def test_the_interval_holds_the_mean_and_is_the_same_each_time():
    found = estimate([1.0, 2.0, 3.0, None, math.inf])
    assert (found.mean, found.count) == (2.0, 3) and 1 <= found.low < 2 < found.high <= 3
    assert estimate([1.0, 2.0, 3.0]) == found
    assert math.isnan(estimate([4.0]).low) and math.isnan(estimate([]).mean)


def test_a_camera_off_its_path_is_found_in_degrees_and_shares_of_the_radius(tmp_path, capsys):
    pytest.importorskip("cv2")
    scene = DemoScene(160, 160, 5, seed=BENCHMARK_SEEDS[0], moving=False)
    asked, filmed = (target_path(scene, (0.0, end))[0] for end in (8.0, 12.0))
    rgb, depth = scene.clip()
    np.savez(tmp_path / "depth.npz", depth=depth.numpy())
    asked.save(tmp_path / "cam.npz")
    files = {"on": asked, "off": filmed}
    for name, path in files.items():
        np.savez(tmp_path / f"{name}.npz", rgb=scene.clip(path.world_to_camera)[0].numpy())
    found = {}
    for name in files:
        words = [
            str(tmp_path / f"{name}.npz"),
            "--depth",
            str(tmp_path / "depth.npz"),
            "--cam",
            str(tmp_path / "cam.npz"),
        ]
        assert main(["evaluate", *words, "--json", str(tmp_path / "r.json")]) == 0
        found[name] = json.loads((tmp_path / "r.json").read_text())["clips"][f"{name}.npz"]["values"]
    off = np.array([1.0, 2.0, 3.0, 4.0])  # degrees around the subject, whose distance is the orbit's radius
    moved = 100 * 2 * SUBJECT[2] * np.sin(np.radians(off) / 2) / radius_of(depth)
    assert found["on"]["camera_degrees"] < 0.1 and found["on"]["camera_radius"] < 1
    assert found["off"]["camera_degrees"] == pytest.approx(off.mean(), abs=0.25)
    assert found["off"]["camera_radius"] == pytest.approx(moved.mean(), rel=0.1)
    zoomed = replace(asked, intrinsics=tuple(scene.intrinsics.fitted(160, 160).resized(160, 160 + t) for t in range(5)))
    assert "lens changes" in str(adherence(rgb, Asked(zoomed, depth, 1.0)).trouble)
    for words, says in (
        (["--depth", str(tmp_path / "depth.npz")], "--depth and --cam go together"),
        (["--depth", str(tmp_path / "on.npz"), "--cam", str(tmp_path / "cam.npz")], "must be an .npz with depth"),
        (["--scene", str(tmp_path / "on.npz")], "A scene is a case's"),
        (["--scene", str(tmp_path / "x.npz")], "there is no file"),
    ):
        assert main(["evaluate", str(tmp_path / "on.npz"), *words]) == 2
        assert says in capsys.readouterr().err


@pytest.fixture()
def folders(tmp_path):
    """Results a, b and c with truths of a and b; b's has another length, c has none."""
    for side, lengths in (("results", {"a": 4, "b": 4, "c": 4}), ("truths", {"a": 4, "b": 3})):
        (tmp_path / side).mkdir()
        for name, frames in lengths.items():
            np.savez(tmp_path / side / f"{name}.npz", rgb=clip(frames).numpy())
    (tmp_path / "results" / "d.mp4").write_bytes(b"no video")
    (tmp_path / "truths" / "d.mp4").write_bytes(b"no video")
    return tmp_path


def test_a_pair_is_one_line(folders, capsys):
    pair = [str(folders / "results" / "a.npz"), "--against", str(folders / "truths" / "a.npz")]
    assert main(["evaluate", *pair]) == 0
    printed = capsys.readouterr().out
    assert "PSNR                                identical" in printed
    assert "PSNR, hole                          not computed: needs the mask of seen pixels" in printed
    assert "LPIPS                               not computed: needs alexnet" in printed
    assert main(["evaluate", *pair, "--require", "ssim", "lpips"]) == 2
    assert "required, but not computed: a.npz: lpips needs alexnet" in capsys.readouterr().err


def test_the_rate_is_the_result_s_own(tmp_path):
    save_video(tmp_path / "a.mp4", clip(), 30)
    assert read(Pair("a", tmp_path / "a.mp4", dict.fromkeys(ROLES)))[1] == 30


def test_folders_are_measured_as_far_as_they_go(folders, capsys):
    out = folders / "r.json"
    words = ["evaluate", str(folders / "results"), "--against", str(folders / "truths"), "--json", str(out)]
    assert main(words) == 2
    told = capsys.readouterr()
    assert "1 clips" in told.out and "'c' in the folder of --against" in told.err and "d: " in told.err
    assert "b: The result has 4 frames of 32x24 and the truth 3 of 32x24" in told.err
    report = json.loads(out.read_text())
    assert list(report["clips"]) == ["a"] and len(report["problems"]) == 3
    assert report["clips"]["a"]["values"]["psnr"] is None and "psnr" in report["clips"]["a"]["identical"]
    assert report["clips"]["a"]["values"]["fid"] is None and "needs" in report["clips"]["a"]["not_computed"]["fid"]


def test_what_cannot_be_begun_is_refused(folders, capsys):
    result = str(folders / "results")
    for words, says in (
        ([result, "--against", str(folders / "truths" / "a.npz")], "must be a folder of clips"),
        ([result, "--weights", str(folders / "no")], "there is no folder"),
        ([result, "--json", str(folders / "no" / "r.json")], "does not exist"),
        ([str(folders / "truths" / "x.mp4")], "There is no file"),
        ([result, "--require", "beauty"], "must be one of psnr"),
        ([str(folders / "results" / "a.npz"), "--scene", "x.npz", "--source_camera", "c.npz"], "leave --against"),
    ):
        assert main(["evaluate", *words]) == 2
        assert says in capsys.readouterr().err


def test_pairs_are_told_on_one_page(tmp_path, capsys):
    rng = np.random.default_rng(7)
    for side in ("results", "truths"):
        (tmp_path / side).mkdir()
        for n in range(2):
            rgb = rng.integers(0, 256, (3, 24, 32, 3), dtype=np.uint8)
            np.savez(tmp_path / side / f"<{n}>.npz", rgb=rgb)
    (tmp_path / "results" / "alone.npz").write_bytes((tmp_path / "results" / "<0>.npz").read_bytes())
    words = ["evaluate", str(tmp_path / "results"), "--against", str(tmp_path / "truths")]
    assert main([*words, "--html", str(tmp_path / "r.html")]) == 2  # one has no truth
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "Evaluation of 2 clips" in page and page.count("data:video/mp4") == 2 and page.count("data:image/jpeg") == 12
    assert "&lt;0&gt;, frame" in page and "<0>" not in page and "http" not in page
    assert "alone.npz: there is no" in page and "not computed: needs the mask" in page and "<svg" in page
    frame = r"<svg(?:(?!</svg>).)*<title>{}(?:(?!</svg>).)*middle\">{}<"
    assert re.search(frame.format("flow-warp", 1), page) and not re.search(frame.format("flow-warp", 0), page)
    assert "PSNR, all" not in page and " dB</td>" in page
    one = ["evaluate", str(tmp_path / "results" / "alone.npz"), "--html", str(tmp_path / "one.html")]
    assert main(one) == 0  # without a truth there are a film and what a clip says of itself
    page = (tmp_path / "one.html").read_text(encoding="utf-8")
    assert "Evaluation of 1 clip<" in page and "Worst frames" not in page and page.count("data:video/mp4") == 1
    assert main([*one[:-1], str(tmp_path)]) == 2 and "--html" in capsys.readouterr().err


def test_curves_stand_on_round_numbers_and_exact_frames_do_not_flatten_them():
    assert _rungs(0.0013, 0.0132) == pytest.approx([0, 0.005, 0.01, 0.015])
    assert _rungs(16.7, 39.5) == [15, 20, 25, 30, 35, 40] and _rungs(3, 3)[0] == 3 and len(_rungs(3, 3)) == 6
    curve = [(float(t), Estimate(v, math.nan, math.nan, 1)) for t, v in enumerate((90.0, 31.0, 22.0))]
    drawn = curve_chart("PSNR, dB", {"a": curve}, ceiling=EXACT)
    assert ">50<" in drawn and ">90<" not in drawn and "50 or more at the top" in drawn
    assert f"{LEFT}.0,{TOP}.0" in drawn  # the exact frame, at the top


def test_a_page_is_written_where_no_clip_could_be_measured(tmp_path):
    for side, name in (("results", "a"), ("truths", "b")):
        (tmp_path / side).mkdir()
        np.savez(tmp_path / side / f"{name}.npz", rgb=np.zeros((1, 24, 24, 3), np.uint8))
    words = ["evaluate", str(tmp_path / "results"), "--against", str(tmp_path / "truths")]
    assert main([*words, "--html", str(tmp_path / "r.html")]) == 2
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "Evaluation of no clip" in page and "a.npz: there is no" in page and "Numbers" not in page


def test_films_of_large_clips_are_small_and_show_differences_of_the_full_pictures(tmp_path, monkeypatch):
    monkeypatch.setattr(html, "FILM_PIXELS", 32 * 24)
    truth = torch.full((3, 96, 128, 3), 90, dtype=torch.uint8)
    result = truth.clone()
    result[:, ::2, ::2] += 120  # what means over four by four pixels would show as 30 levels
    (tmp_path / "film.mp4").write_bytes(html.film_of(result, truth))
    film = load_video(tmp_path / "film.mp4").frames
    assert film.shape == (3, 24, 3 * 32 + 2 * GAP, 3)
    shown = film[1, 12].float().mean(-1)
    assert abs(shown[16] - 90) < 5 and abs(shown[52] - 120) < 5
    assert abs(shown[88] - float(error_map(result[0].numpy(), truth[0].numpy()).mean())) < 8
    with pytest.raises(Cancelled):
        html.film_of(result, cancel=lambda: True)
