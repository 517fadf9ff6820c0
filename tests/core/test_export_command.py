"""The command that writes 3D files: flags, endings, refusals before work."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from media import numbered, write_clip

from ex4d_core.commands import cli
from ex4d_core.trajectory import Trajectory

FRAMES, WIDTH, HEIGHT = 4, 64, 48


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A near square before a far wall."""
    folder = tmp_path_factory.mktemp("scene")
    write_clip(folder / "video.mp4", [numbered(i) for i in range(FRAMES)])
    depth = np.full((FRAMES, HEIGHT, WIDTH), 8, np.float32)
    depth[:, 12:36, 16:48] = 4
    depth += np.linspace(0, 0.2, WIDTH, dtype=np.float32)
    np.savez(folder / "depth.npz", depth=depth)
    return folder


def export(scene, *words) -> int:
    base = ["--input_video", scene / "video.mp4", "--depth", scene / "depth.npz", "--num_frames", FRAMES]
    return cli.main(["export", *map(str, [*base, "--size", f"{WIDTH}x{HEIGHT}", *words])])


def test_a_clip_and_its_camera_become_one_file(scene, tmp_path, capsys):
    file = tmp_path / "shot.glb"
    assert export(scene, "--output", file, "--cam", "orbit:angle=-40", "--faces", 1000, "--scale", 0.5) == 0
    said = capsys.readouterr()
    assert said.out == f"{file}\n" and f"{FRAMES} frames" in said.err and list(tmp_path.iterdir()) == [file]
    loaded = trimesh.load(file, process=False)
    assert "EX-4D camera" in loaded.graph.nodes and len(loaded.geometry) == FRAMES
    depths = -loaded.geometry["frame 0000"].vertices[:, 2]
    assert depths.min() == pytest.approx(2, abs=0.1) and depths.max() == pytest.approx(4, abs=0.11)
    path = Trajectory.load(file)
    assert len(path) == FRAMES and np.abs(path.world_to_camera[-1] - np.eye(4)).max() > 0.2


def test_endings_tell_the_format(scene, tmp_path, capsys):
    assert export(scene, "--output", tmp_path / "shot.ply", "--faces", 500) == 0
    assert [file.name for file in sorted(tmp_path.iterdir())] == [f"shot.{n:04}.ply" for n in range(FRAMES)]
    assert export(scene, "--output", tmp_path / "one", "--format", "glb frame", "--picture", 2) == 0
    assert list(trimesh.load(tmp_path / "one.glb", process=False).geometry) == ["frame 0002"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--output", "shot.fbx"], "'shot.fbx' does not tell its format. End it in .glb"),
        (["--output", "shot.glb", "--picture", "9"], "frames 0 to 3; the picture of frame 9"),
        (["--output", "shot.glb", "--faces", "20"], "at least 100 faces"),
        (["--output", "shot.glb", "--cam", "30", "60"], "one camera path, but 2 were given"),
        (["--output", "shot.glb", "--scale", "0"], "--scale must lie between"),
        (["--output", "shot.glb", "--colors", "none"], "--colors must be one of each frame, one picture"),
    ],
)
def test_refusals_leave_nothing(scene, tmp_path, capsys, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    assert export(scene, *words) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
