"""Depth that is mended before a mesh is made of it: blurred edges and frames whose scale flickers, on depth that is known."""

from __future__ import annotations

import pytest
import torch

from ex4d_core.commands.cli import main
from ex4d_core.depth import refine
from ex4d_core.depth.refine import level_frames, mended, sharpen_edges
from ex4d_core.evaluation.benchmark.noise import DepthNoise, spoilt


def steps() -> torch.Tensor:
    """A near square and a middle one before a far slope, two frames."""
    depth = torch.linspace(6, 9, 64)[:, None].expand(64, 64).clone()
    depth[20:40, 10:30] = 2.0
    depth[10:50, 40:55] = 4.0
    return depth.expand(2, 64, 64).clone()


def wrong(depth: torch.Tensor, exact: torch.Tensor) -> float:
    return float(((depth / exact - 1).abs() > 0.02).float().mean())


def test_blurred_edges_become_steps_where_they_were():
    exact = steps()
    blurred = spoilt(exact, DepthNoise(blur=1.0))
    assert wrong(blurred, exact) > 0.05 and wrong(sharpen_edges(blurred), exact) < 0.12 * wrong(blurred, exact)
    assert wrong(sharpen_edges(1000 * blurred), 1000 * exact) == wrong(sharpen_edges(blurred), exact)


def test_both_sides_of_a_slanted_edge_stay_on_their_slopes():
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    ground, cone = 60 / (y + 4), 40 / (y + 12)
    exact = torch.where((x - 32).abs() < 0.4 * y, torch.minimum(cone, ground), ground)[None]
    blurred = spoilt(exact, DepthNoise(blur=1.0))
    # The least and the largest depths around would be 9 per cent off it here.
    assert wrong(blurred, exact) > 0.04 and wrong(sharpen_edges(blurred), exact) < 0.3 * wrong(blurred, exact)


def test_compiled_and_plain_sharpening_are_one():
    pytest.importorskip("numba")
    generator = torch.Generator().manual_seed(5)
    rough = (torch.rand((1, 37, 64), generator=generator) * 3).exp()
    wide = torch.nn.functional.interpolate(rough[None, :, :9, :16], (80, 141), mode="bilinear")[0]
    clips = [spoilt(steps(), DepthNoise(blur=blur)) for blur in (0.5, 1.0, 3.0)]
    for clip in (*clips, rough, wide, clips[0][:, :3, :4], clips[1][:, :64, :3]):
        plain = clip.clone()
        for source, frame in zip(clip.contiguous().numpy(), plain.numpy(), strict=True):
            refine._sharpen(source, frame)
        assert torch.equal(sharpen_edges(clip), plain)
        assert clip.shape[2] < 60 or (plain != clip).any()


def test_exact_steps_slopes_and_limbs_stay():
    exact = steps()
    assert torch.equal(sharpen_edges(exact), exact)
    ground = (1.4 / torch.linspace(0.2, 0.6, 64))[:, None].expand(1, 64, 64)
    assert torch.equal(sharpen_edges(ground), ground)
    y, x = torch.meshgrid(torch.arange(-40.0, 40.0), torch.arange(-40.0, 40.0), indexing="ij")
    inside = (30.5**2 - x**2 - y**2).clamp_min(0)
    ball = torch.where(inside > 0, 90 - inside.sqrt(), 120)[None]
    assert wrong(sharpen_edges(ball), ball) < 0.003


def test_frames_come_to_one_scale_though_something_moves():
    exact = steps()[:1].repeat(5, 1, 1)
    for t, frame in enumerate(exact):
        frame[50:60, 4 * t : 4 * t + 20] = 1.5
    flickering = spoilt(exact, DepthNoise(flicker=0.1))
    ratio = mended(flickering, ["flicker"]) / exact
    assert ratio.std() < 1e-3 < 0.02 < (flickering / exact).std()
    assert level_frames(exact).allclose(exact, rtol=1e-5)
    assert mended(exact, []) is exact


def test_frames_of_a_moving_camera_are_not_levelled_by_their_medians(tmp_path, capsys):
    words = ["recon", "--input_video", "x.mp4", "--cam", "30", "--output_dir", str(tmp_path), "--mend_depth", "flicker"]
    assert main([*words, "--source_camera", "solve"]) == 2
    told = capsys.readouterr().err
    assert "camera that stands still" in told or "There is no file" in told, told


def test_a_command_without_a_mesh_does_not_take_the_flag(capsys):
    words = ["solve", "--input_video", "x.mp4", "--output", "c.json"]
    assert main([*words, "--mend_depth", "edges"]) == 2
    assert "--mend_depth" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["blur", "sharp"])
def test_other_mends_are_refused(word, capsys):
    assert main(["benchmark", "run", "--output_dir", "r", "--set", "s", "--mend_depth", word]) == 2
    assert "must be one of edges, flicker" in capsys.readouterr().err
