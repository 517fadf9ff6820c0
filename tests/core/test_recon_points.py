"""``recon`` of a point map: its own pictures or those of a video, its lens and its camera."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from harness.points import in_the_cube, unprojected
from test_recon_source_camera import FRAMES, SIZE, wrong

from ex4d_core.camera import invert_pose
from ex4d_core.commands import cli
from ex4d_core.demo_scene import DemoScene
from ex4d_core.pointmap import PointMap, save_pointmap
from ex4d_core.video import load_video, probe_video


@pytest.fixture(scope="module")
def shot(tmp_path_factory):
    """A dolly shot as point maps: in the world, and as 4DNeX makes them."""
    folder = tmp_path_factory.mktemp("points")
    scene = DemoScene(SIZE, SIZE, FRAMES, camera="dolly")
    colors, depth = scene.clip()
    points = unprojected(depth.double().numpy(), scene.intrinsics, invert_pose(scene.source_cameras()[0]))
    save_pointmap(folder / "world.npz", PointMap.from_pictures(torch.from_numpy(points), colors, space="world", fps=24))
    cube = torch.from_numpy(in_the_cube(points, 0.02)[0])
    save_pointmap(folder / "cube.npz", PointMap.from_pictures(cube, colors, fps=24))
    return scene, folder


def words(folder, name, out, *more):
    base = ["recon", "--input_video", folder / name, "--depth", folder / name, "--style", "paper", "--cam", "static"]
    base += [
        "--num_frames",
        FRAMES,
        "--size",
        f"{SIZE}x{SIZE}",
        "--output_dir",
        out,
        "--save_frames",
    ]
    return [str(word) for word in [*base, *more]]


def test_the_scene_stands_still(shot, tmp_path, capsys):
    """Without lens and path it slides by more than 25 levels (test_recon_source_camera)."""
    scene, folder = shot
    assert cli.main(words(folder, "world.npz", tmp_path)) == 0
    assert wrong(tmp_path, "static", scene) < 8
    assert "54.2 degrees high, points 0.00 pixels off" in capsys.readouterr().err
    film = load_video(tmp_path / "color_static.mp4")
    assert len(film) == FRAMES and film.fps == 24


def test_the_way_is_found_on_request(shot, tmp_path, capsys):
    pytest.importorskip("cv2")
    scene, folder = shot
    assert cli.main(words(folder, "cube.npz", tmp_path, "--point_motion", "background")) == 0
    assert wrong(tmp_path, "static", scene) < 9 and "points stand still" in capsys.readouterr().err


def test_squeezed_pictures_are_shown_as_they_were(tmp_path):
    colors = torch.rand(2, 32, 48, 3)
    save_pointmap(tmp_path / "map.npz", PointMap.from_pictures(colors, colors, fps=23.976, source_size=(64, 32)))
    info = probe_video(tmp_path / "map.npz")
    assert info.size == (64, 32) and float(info.fps) == pytest.approx(24000 / 1001)
    assert load_video(tmp_path / "map.npz", fps=12).fps == 12


def test_what_does_not_belong_is_refused(shot, tmp_path, capsys):
    _, folder = shot
    colors = torch.rand(FRAMES + 1, 32, 48, 3)
    save_pointmap(tmp_path / "other.npz", PointMap.from_pictures(colors, colors))
    other = words(folder, "world.npz", tmp_path / "out")
    other[other.index("--depth") + 1] = str(tmp_path / "other.npz")
    assert cli.main(other) != 0
    assert "other.npz' has maps of 48x32" in capsys.readouterr().err
    np.savez(tmp_path / "depth.npz", depth=np.random.rand(FRAMES, 32, 32) + 1)
    plain = words(folder, "world.npz", tmp_path / "out", "--point_motion", "turns")
    plain[plain.index("--depth") + 1] = str(tmp_path / "depth.npz")
    assert cli.main(plain) != 0
    assert "--point_motion is for a --depth that is a point map" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
