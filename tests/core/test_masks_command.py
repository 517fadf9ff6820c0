"""The command that shows simulated masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ex4d_core.commands.cli import main
from ex4d_core.demo_scene import DemoScene
from ex4d_core.video import load_video, save_video


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A lossless film of five frames, its depth, and tracks of one point that stands still."""
    folder = tmp_path_factory.mktemp("clip")
    scene = DemoScene(64, 64, 5)
    pictures = [scene.frame(t) for t in range(5)]
    save_video(folder / "clip.mkv", torch.stack([rgb for rgb, _ in pictures]), 15, lossless=True)
    np.savez(folder / "depth.npz", depth=torch.stack([depth for _, depth in pictures]).numpy())
    path = np.full((5, 1, 2), 32, np.float32)
    np.savez(folder / "tracks.npz", track_path=path, track_visibility=np.ones((5, 1), bool))
    return folder


def masks(folder, out, *flags):
    words = ["--input_video", str(folder / "clip.mkv"), "--num_frames", "5", "--size", "64x64"]
    return main(["masks", *words, "--output_dir", str(out), *flags])


def seen_in(path):
    return load_video(path).frames[..., 0] > 127


def test_every_sample_has_a_film_and_its_mask(clip, tmp_path, capsys):
    depth = ("--depth", str(clip / "depth.npz"))
    assert masks(clip, tmp_path / "a", *depth, "--samples", "2", "--tracker", "torch") == 0
    names = {"sample_000.mp4", "mask_000.mp4", "sample_001.mp4", "mask_001.mp4"}
    assert {file.name for file in (tmp_path / "a").iterdir()} == names
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 4 and "sample 1: " in err and "% holes" in err
    film, seen = load_video(tmp_path / "a" / "sample_001.mp4").frames, seen_in(tmp_path / "a" / "mask_001.mp4")
    inner = torch.nn.functional.max_pool2d(seen[:, None].float(), 5, 1, 2)[:, 0] == 0
    assert 0.02 < float((~seen).float().mean()) < 0.95 and int(inner.sum()) > 50
    assert int(film[inner].max()) < 40


def test_one_number_is_one_mask_and_a_crop_leaves_its_kind(clip, tmp_path):
    for name, flags in {
        "a": ("--samples", "1"),
        "b": ("--samples", "3"),
        "c": ("--samples", "1", "--seed", "1"),
    }.items():
        assert masks(clip, tmp_path / name, "--kind", "random", *flags) == 0
    a, b, c = (seen_in(tmp_path / name / "mask_000.mp4") for name in "abc")
    assert torch.equal(a, b) and not torch.equal(a, c)
    assert masks(clip, tmp_path / "d", "--kind", "random", "--samples", "1", "--crop") == 0
    d = seen_in(tmp_path / "d" / "mask_000.mp4")
    assert not torch.equal(a, d) and float((a != d).float().mean()) < 0.5


def test_tracks_from_a_file_say_where_holes_are(clip, tmp_path):
    flags = ("--kind", "tracking", "--samples", "1", "--tracks", str(clip / "tracks.npz"))
    assert masks(clip, tmp_path / "a", *flags) == 0
    seen = seen_in(tmp_path / "a" / "mask_000.mp4")
    assert float((seen == seen[:1]).float().mean()) > 0.999  # the only track stands still, and so do all holes
    assert not seen.all()


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ((), "Pass --depth with a file (recon --save_depth writes one), or --kind tracking."),
        (("--kind", "holes"), "--kind must be one of mixed, rendering"),
        (("--kind", "tracking", "--tracker", "raft"), "--tracker must be one of auto, lk"),
        (("--kind", "tracking", "--tracks", "missing.npz"), "cannot be read as tracks"),
        (("--kind", "random", "--num_frames", "9"), "9 from frame 0 on are needed"),
        (("--depth", "missing.npz"), "missing.npz"),
        (("--samples", "0"), "--samples must lie between 1 and 1000"),
    ],
)
def test_bad_flags_are_refused_and_leave_nothing(clip, tmp_path, capsys, flags, says):
    assert masks(clip, tmp_path / "a", *flags) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "a").exists()
