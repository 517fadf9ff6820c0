"""Animated GLB files in three.js, the independent player of the web: frames at their times, cameras, and the picture itself."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from harness.bodies import bending_ball

from ex4d_core.animate.meshes import MeshClip
from ex4d_core.animate.save import save_mesh_clip
from ex4d_core.assets.export import AssetOptions, save_asset
from ex4d_core.camera import invert_pose, y_up_from_opencv
from ex4d_core.demo_scene import DemoScene
from ex4d_core.mesh import build_dw_mesh
from ex4d_core.trajectory import Trajectory

FRAMES, WIDTH, HEIGHT, FPS = 3, 96, 80, 12
HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def clip():
    scene = DemoScene(WIDTH, HEIGHT, FRAMES)
    mesh = build_dw_mesh(*scene.clip(), scene.intrinsics, style="paper")
    return mesh, Trajectory.preset("30", frames=FRAMES, fps=FPS, radius=mesh.radius)


@pytest.fixture(scope="module")
def body() -> MeshClip:
    """A mesh of another making, that bends."""
    return bending_ball(FRAMES, FPS)


@pytest.fixture(scope="module")
def played(chromium, clip, body, tmp_path_factory) -> list[dict]:
    """What three.js reports of a file with a mesh a frame, of one with a mesh that moves, and of another program's that does."""
    mesh, path = clip
    folder, choices = tmp_path_factory.mktemp("three"), (AssetOptions(0), AssetOptions(0, "one picture", picture=1))
    files = [save_asset(folder / f"{n}.glb", mesh, path, options=each).files[0] for n, each in enumerate(choices)]
    files += save_mesh_clip(folder / "body.glb", body).files
    command = ["node", HERE / "three.mjs", FPS, FRAMES, WIDTH, HEIGHT, *files]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    assert not told["errors"]
    return told["reports"]


def psnr_inside(pixels, picture) -> float:
    """Where the file has faces, away from its rim of one pixel; alpha tells."""
    drawn = np.array(pixels, np.float64).reshape(HEIGHT, WIDTH, 4)
    seen = drawn[..., 3] > 250
    inner = seen.copy()
    for axis in (0, 1):
        for step in (-1, 1):
            inner &= np.roll(seen, step, axis)
    assert inner.mean() > 0.5
    return 10 * np.log10(255**2 / ((drawn[..., :3] - picture)[inner] ** 2).mean())


def test_three_js_plays_a_clip_frame_by_frame_with_its_cameras(clip, played):
    mesh, path = clip
    assert played[0]["meshes"] == FRAMES and played[0]["duration"] == pytest.approx(FRAMES / FPS)
    to_world = invert_pose(y_up_from_opencv(path.world_to_camera.astype(np.float64)))
    for number, frame in enumerate(played[0]["seen"]):
        assert frame["shown"] == [f"frame_{number:04}"]
        (place,) = [value for name, value in frame["places"].items() if "source" not in name]
        np.testing.assert_allclose(np.array(place).reshape(4, 4).T, to_world[number], atol=1e-4)
        assert psnr_inside(frame["pixels"], mesh.rgb[number].numpy()) > 35


def test_three_js_moves_one_mesh_under_one_picture(clip, played):
    mesh, _ = clip
    assert played[1]["meshes"] == 1
    weights = np.array([frame["weights"] for frame in played[1]["seen"]])
    assert weights.shape[1] > 0 and len(np.unique(weights.round(3), axis=0)) == FRAMES
    assert psnr_inside(played[1]["seen"][1]["pixels"], mesh.rgb[1].numpy()) > 35


def test_three_js_moves_a_registered_mesh(body, played):
    """Blended: half-way between two frames the vertices are half-way too, and the last frame stays."""
    assert played[2]["meshes"] == 1 and played[2]["duration"] == pytest.approx(FRAMES / FPS)
    between = np.concatenate([(body.vertices[:-1] + body.vertices[1:]) / 2, body.vertices[-1:]])
    for frame, expected in zip(played[2]["seen"], between, strict=True):
        np.testing.assert_allclose(frame["vertices"], expected, atol=1e-3 * body.size)
