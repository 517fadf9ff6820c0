"""The command that films a clip with two eyes: its files, the second eye guided by the first, refusals before work."""

from __future__ import annotations

import av
import numpy as np
import pytest
import torch
from media import numbered, write_clip

from ex4d_core import load_video, save_video
from ex4d_core.commands import cli
from ex4d_core.commands.stereo import FILES

FRAMES, WIDTH, HEIGHT = 2, 64, 48


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A near square before a far wall."""
    folder = tmp_path_factory.mktemp("scene")
    write_clip(folder / "video.mp4", [numbered(i) for i in range(FRAMES)])
    depth = np.full((FRAMES, HEIGHT, WIDTH), 8, np.float32)
    depth[:, 12:36, 16:48] = 4
    np.savez(folder / "depth.npz", depth=depth)
    return folder


def stereo(scene, out, *words) -> int:
    base = ["--input_video", scene / "video.mp4", "--depth", scene / "depth.npz", "--num_frames", FRAMES]
    size = ["--size", f"{WIDTH}x{HEIGHT}", "--output_dir", out, "--crf", 0]
    return cli.main(["stereo", *map(str, [*base, *size, *words])])


def frames(path):
    return load_video(path).frames.float() / 255


def test_both_eyes_are_filmed_and_the_right_one_takes_over_what_was_generated(scene, tmp_path, capsys):
    eyes = ["--cam", "static", "--eye_distance", 1, "--convergence", 4]
    assert stereo(scene, tmp_path / "first", *eyes) == 0
    said = capsys.readouterr()
    assert said.out.split() == [str(tmp_path / "first" / name) for name in FILES]
    assert "disparity" in said.err and "Uncomfortable" in said.err
    left, right = (frames(tmp_path / "first" / f"color_{side}.mp4") for side in ("left", "right"))
    both = frames(tmp_path / "first" / "stereo.mp4")
    assert both.shape == (FRAMES, HEIGHT, 2 * WIDTH, 3)
    assert (both[:, :, :WIDTH] - left).abs().mean() < 0.01 and (both[:, :, WIDTH:] - right).abs().mean() < 0.01
    # Green stands for what was generated in the left eye's holes.
    seen = [frames(tmp_path / "first" / f"mask_{side}.mp4")[..., :1] > 0.5 for side in ("left", "right")]
    assert not seen[0].all() and not seen[1].all()
    result = torch.where(seen[0], left, torch.tensor([0.0, 1.0, 0.0]))
    save_video(tmp_path / "result.mp4", result, 15, crf=0)
    assert stereo(scene, tmp_path / "second", *eyes, "--left_result", tmp_path / "result.mp4") == 0
    assert "after carrying over" in capsys.readouterr().err
    known = frames(tmp_path / "second" / "mask_right.mp4")[..., :1] > 0.5
    assert known[seen[1]].all() and known.sum() > seen[1].sum(), "holes that both eyes share are filled"
    shown = frames(tmp_path / "second" / "color_left.mp4") - frames(tmp_path / "result.mp4")
    assert shown.abs().mean() < 0.02


def test_a_panorama_tells_players_what_it_is(scene, tmp_path):
    assert stereo(scene, tmp_path, "--cam", "static", "--panorama", "180", "--height", 32) == 0
    with av.open(str(tmp_path / "stereo.mp4")) as file:
        stream = file.streams.video[0]
        assert (stream.width, stream.height) == (64, 32)
        assert {b"st3d", b"sv3d"} <= {
            tag for tag in (b"st3d", b"sv3d") if tag in (tmp_path / "stereo.mp4").read_bytes()
        }
    assert frames(tmp_path / "color_right.mp4").shape == (FRAMES, 32, 32, 3)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Two eyes need a path to stand on"),
        (["--cam", "30", "60"], "one camera path, but 2 were given"),
        (["--cam", "static", "--eye_distance", "0"], "--eye_distance must lie between"),
        (["--cam", "static", "--panorama", "180", "--left_result", "video.mp4"], "ordinary pictures only"),
        (["--cam", "static", "--left_result", "video.mp4"], "the left eye 2 of 64x48"),
    ],
)
def test_what_cannot_work_is_told_before_work(scene, tmp_path, capsys, words, said):
    words = [scene / word if word == "video.mp4" else word for word in words]
    if words[-1:] == [scene / "video.mp4"] and "180" not in words:
        words[-1] = scene / "small.mp4"
        save_video(words[-1], torch.zeros(2, 32, 32, 3), 15)
    assert stereo(scene, tmp_path / "out", *words) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "out").exists()
