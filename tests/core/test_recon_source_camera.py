"""``recon`` of a clip whose camera moves: the path given as a file or solved, and what new paths are laid on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ex4d_core.camera import invert_pose
from ex4d_core.commands import cli
from ex4d_core.demo_scene import DemoScene
from ex4d_core.trajectory import Trajectory, load_camera, smoothed

FRAMES, SIZE, SCALE = 9, 256, 40.0


@pytest.fixture(scope="module")
def shot(tmp_path_factory):
    """A dolly shot, its depth, and its camera in other units and another world."""
    folder = tmp_path_factory.mktemp("shot")
    scene = DemoScene(SIZE, SIZE, FRAMES, camera="dolly")
    rgb, depth = scene.clip()
    np.savez(folder / "clip.npz", rgb=rgb.numpy())
    np.savez(folder / "depth.npz", depth=depth.numpy())
    poses, lenses = scene.source_cameras()
    elsewhere = poses @ invert_pose(poses[4])
    elsewhere[:, :3, 3] *= SCALE
    longer = np.concatenate([elsewhere, elsewhere[-2:]]), (*lenses, *lenses[-2:])
    Trajectory(*longer).save(folder / "camera.npz")
    Trajectory(elsewhere[:4], lenses[:4]).save(folder / "short.npz")
    return scene, folder


def words(folder, out, *more):
    base = ["recon", "--input_video", folder / "clip.npz", "--depth", folder / "depth.npz", "--style", "paper"]
    base += ["--num_frames", FRAMES, "--size", f"{SIZE}x{SIZE}", "--output_dir", out, "--save_frames", "--save_camera"]
    return [str(word) for word in [*base, *more]]


def wrong(out, name, scene) -> float:
    """Mean difference of the seen pixels from what a still camera sees in the last frame, 0..255."""
    frames = np.load(out / f"frames_{name}.npz")
    truth, _ = scene.frame(FRAMES - 1, np.eye(4))
    seen = frames["mask"][-1] > 0
    assert seen.mean() > 0.4
    return float(np.abs(frames["color"][-1].astype(int) - truth.numpy())[seen].mean())


def test_without_a_source_camera_the_scene_slides(shot, tmp_path):
    scene, folder = shot
    assert cli.main(words(folder, tmp_path, "--cam", "static")) == 0
    assert wrong(tmp_path, "static", scene) > 25


@pytest.mark.parametrize("how", [("--source_scale", 1 / SCALE), ()])
def test_a_camera_file_makes_it_stand_still(shot, tmp_path, how, capsys):
    if not how:
        pytest.importorskip("cv2")
    scene, folder = shot
    camera = ["--source_camera", folder / "camera.npz", *how]
    assert cli.main(words(folder, tmp_path, "--cam", "static", "follow", *camera)) == 0
    assert wrong(tmp_path, "static", scene) < 8
    frames = np.load(tmp_path / "frames_follow.npz")
    seen = frames["mask"][-1] > 0
    source = np.load(folder / "clip.npz")["rgb"][-1].astype(int)
    assert np.abs(frames["color"][-1].astype(int) - source)[seen].max() <= 3
    # Other programs know no source camera: what rides on it is saved as it moves through the world.
    saved = load_camera(tmp_path / "camera_follow.npz").world_to_camera
    np.testing.assert_allclose(saved, scene.source_cameras()[0], atol=0.02)
    said = capsys.readouterr().err
    assert f"has {FRAMES + 2} poses; the first {FRAMES} are taken" in said
    if not how:
        assert f"source camera: {1 / SCALE:.2f}"[:-1] in said


def test_the_camera_is_solved_on_request(shot, tmp_path, capsys):
    pytest.importorskip("cv2")
    scene, folder = shot
    assert cli.main(words(folder, tmp_path, "--cam", "locked", "stabilised", "--source_camera", "solve")) == 0
    assert wrong(tmp_path, "locked", scene) < 8 and "pixels off" in capsys.readouterr().err
    found = load_camera(tmp_path / "camera_stabilised.npz")
    truth = Trajectory(scene.source_cameras()[0])
    expected = smoothed(truth, 1.5).world_to_camera
    np.testing.assert_allclose(found.world_to_camera, expected, atol=0.05)


def test_a_clip_that_cannot_be_solved_is_rendered_as_before(shot, tmp_path, capsys):
    pytest.importorskip("cv2")
    _, folder = shot
    np.savez(tmp_path / "grey.npz", rgb=np.full((FRAMES, SIZE, SIZE, 3), 90, np.uint8))
    args = words(folder, tmp_path / "out", "--cam", "static", "--source_camera", "solve")
    args[args.index(str(folder / "clip.npz"))] = str(tmp_path / "grey.npz")
    assert cli.main(args) == 0
    assert "too little texture" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--source_camera", "short.npz"], "has 4 poses, but the clip has 9 frames"),
        (["--source_scale", "2"], "none was given"),
        (["--source_camera", "solve", "--source_scale", "2"], "depth's own unit"),
        (["--source_camera", "missing.npz"], "could not be read"),
        (["--base", "steady"], "--base must be one of auto, locked, stabilised, follow"),
        (["--stabilise", "-1"], "--stabilise must lie between 0 and 3600 seconds"),
    ],
)
def test_wrong_flags_are_refused_before_work(shot, tmp_path, capsys, more, said):
    pytest.importorskip("cv2")
    _, folder = shot
    more = [str(folder / word) if word.endswith(".npz") else word for word in more]
    assert cli.main(words(folder, tmp_path / "out", "--cam", "static", *more)) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_solve_writes_a_camera_file_that_recon_takes(shot, tmp_path, capsys):
    pytest.importorskip("cv2")
    scene, folder = shot
    base = ["solve", "--input_video", folder / "clip.npz", "--depth", folder / "depth.npz", "--num_frames", FRAMES]
    base += ["--size", f"{SIZE}x{SIZE}", "--output", tmp_path / "camera.json", "--picture", tmp_path / "picture.png"]
    assert cli.main([str(word) for word in base]) == 0
    found = load_camera(tmp_path / "camera.json")
    assert found.frame_of_reference == "world"
    np.testing.assert_allclose(found.world_to_camera, scene.source_cameras()[0], atol=0.05)
    assert (tmp_path / "picture.png").stat().st_size > 20_000
    base[base.index("--output") + 1] = tmp_path / "camera.doc"
    assert cli.main([str(word) for word in base]) == 2
    assert "unknown camera format" in capsys.readouterr().err


def test_solve_writes_nothing_where_it_finds_nothing(tmp_path, capsys):
    pytest.importorskip("cv2")
    np.savez(tmp_path / "grey.npz", rgb=np.full((5, 64, 64, 3), 90, np.uint8))
    np.savez(tmp_path / "depth.npz", depth=np.linspace(3, 5, 64, dtype=np.float32) + np.zeros((5, 64, 64), np.float32))
    base = ["solve", "--input_video", tmp_path / "grey.npz", "--depth", tmp_path / "depth.npz", "--num_frames", "5"]
    base += ["--size", "64x64", "--output", tmp_path / "camera.npz"]
    assert cli.main([str(word) for word in base]) == 2
    assert "No camera was written" in capsys.readouterr().err and not (tmp_path / "camera.npz").exists()


def test_the_depth_that_was_lent_stays_as_it_was(shot):
    """Levelling makes new depth."""
    from ex4d_core.depth import DepthClip
    from ex4d_core.solve import Solution
    from ex4d_core.solve.tracks import Tracks

    depth = torch.full((2, 4, 4), 3.0)
    depth[:, 0] = 2.0
    still = Trajectory(np.tile(np.eye(4), (2, 1, 1)))
    none = Tracks(np.zeros((0, 2, 2), np.float32), np.zeros(0, np.int64))
    solution = Solution(still, None, none, np.zeros(0, bool), 0.1, np.array([1.0, 2.0]))
    clip = DepthClip(depth.clone())
    assert float(solution.on(clip).depth[1].max()) == 6 and torch.equal(clip.depth, depth)


def test_a_path_that_bends_time_shows_its_frames_and_has_its_own_length(shot, tmp_path):
    _, folder = shot
    times = [2, 2, 8, 0]
    keys = [{"frame": 6 * i, "time": t, "position": [0, 0, 0], "target": [0, 0, 3]} for i, t in enumerate(times)]
    Trajectory.from_json({"version": 1, "frames": 19, "keyframes": keys}).save(tmp_path / "bend.json")
    assert cli.main(words(folder, tmp_path / "out", "--camera", tmp_path / "bend.json")) == 0
    color = np.load(tmp_path / "out" / "frames_bend.npz")["color"].astype(int)
    clip = np.load(folder / "clip.npz")["rgb"].astype(int)
    assert len(color) == 19
    for frame, shown in ((0, 2), (6, 2), (9, 5), (12, 8), (18, 0)):
        seen = color[frame].any(axis=-1)
        assert np.abs(color[frame] - clip[shown])[seen].mean() < 1, f"frame {frame}"
