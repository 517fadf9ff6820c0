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


def test_blurred_edges_become_steps_where_they_were():
    exact = steps()
    blurred = spoilt(exact, DepthNoise(blur=1.0))
    off = [((depth / exact - 1).abs() > 0.02).float().mean() for depth in (blurred, sharpen_edges(blurred))]
    assert off[0] > 0.05 and off[1] < 0.3 * off[0]


def test_compiled_and_plain_sharpening_are_one():
    pytest.importorskip("numba")
    generator = torch.Generator().manual_seed(5)
    rough = (torch.rand((1, 37, 64), generator=generator) * 3).exp()
    clips = [spoilt(steps(), DepthNoise(blur=blur)) for blur in (0.7, 1.0, 1.6)]
    for clip, reach in [
        *((one, 3) for one in clips),
        (clips[1], 2),
        (clips[1], 5),
        (rough, 3),
        (clips[0][:, :3, :4], 3),
    ]:
        plain = clip.clone()
        for frame in plain.numpy():
            refine._sharpen(frame, reach)
        assert torch.equal(sharpen_edges(clip, reach), plain)
        assert clip.shape[1] < 60 or (plain != clip).any()


def test_exact_steps_and_slopes_stay():
    exact = steps()
    assert torch.equal(sharpen_edges(exact), exact)
    ground = (1.4 / torch.linspace(0.2, 0.6, 64))[:, None].expand(1, 64, 64)
    assert torch.equal(sharpen_edges(ground), ground)


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
