"""Files for Blender in Blender itself: cameras, meshes that move, and what it exports to Unreal.

Needs bpy (Blender as a Python module, of PyPI), in this Python or in the one that EX4D_BLENDER names.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from harness.bodies import bending_ball

from ex4d_core.animate.meshes import MeshClip
from ex4d_core.animate.save import save_mesh_clip
from ex4d_core.assets.collapse import collapsing
from ex4d_core.assets.export import AssetOptions, save_asset
from ex4d_core.assets.simplify import surface_of
from ex4d_core.camera import OPENGL_FROM_OPENCV, Intrinsics, invert_pose, look_at
from ex4d_core.camera_io.blender import BLENDER_FROM_OPENCV
from ex4d_core.demo_scene import DemoScene
from ex4d_core.mesh import DWMesh, build_dw_mesh
from ex4d_core.trajectory import Trajectory

FRAMES, WIDTH, HEIGHT, FPS = 5, 96, 80, 12
SHOWN = (0, FRAMES // 2, FRAMES - 1)
CHILD = Path(__file__).with_name("blender_child.py")
OPENCV_FROM_BLENDER = invert_pose(BLENDER_FROM_OPENCV[None])[0]


@pytest.fixture(scope="module")
def python() -> str:
    found = os.environ.get("EX4D_BLENDER") or (sys.executable if importlib.util.find_spec("bpy") else None)
    if found is None:
        pytest.skip("no Python with bpy; EX4D_BLENDER names one")
    return found


@pytest.fixture(scope="module")
def mesh() -> DWMesh:
    scene = DemoScene(WIDTH, HEIGHT, FRAMES)
    return build_dw_mesh(*scene.clip(), scene.intrinsics)


@pytest.fixture(scope="module")
def path() -> Trajectory:
    """Asymmetric in every axis, rolled, zooming, with a shifted lens."""
    places = np.linspace((0.0, 0.0, 0.0), (2.1, -0.7, 1.4), FRAMES)
    poses = [look_at(place, (0.3 * n, 0.2, 3.0), roll=9.0 * n) for n, place in enumerate(places)]
    lenses = tuple(Intrinsics(90.0 + 6 * n, 90.0 + 6 * n, 51.0, 37.0, WIDTH, HEIGHT) for n in range(FRAMES))
    return Trajectory(np.stack(poses), lenses, FPS)


@pytest.fixture(scope="module")
def plain(path) -> Trajectory:
    """The same path without lens shift and zoom, which glTF does not know."""
    lens = Intrinsics(90.0, 90.0, WIDTH / 2, HEIGHT / 2, WIDTH, HEIGHT)
    return Trajectory(path.world_to_camera, (lens,) * FRAMES, FPS)


@pytest.fixture(scope="module")
def body() -> MeshClip:
    return bending_ball(FRAMES, FPS)


@pytest.fixture(scope="module")
def seen(python, mesh, path, plain, body, tmp_path_factory) -> dict[str, dict]:
    """What Blender says of every file, by its name."""
    folder = tmp_path_factory.mktemp("blender")
    path.save(folder / "shot.py")
    path.save(folder / "camera.usda")
    save_asset(folder / "behind", mesh, format="ply frame", options=AssetOptions(500))
    save_asset(folder / "each", mesh, plain, options=AssetOptions(1500))
    save_asset(folder / "moving", mesh, plain, options=AssetOptions(1500, "one picture"))
    save_mesh_clip(folder / "body", body)
    if importlib.util.find_spec("pxr"):
        save_asset(folder / "usd", mesh, path, format="usdz", options=AssetOptions(1500))
    command = [python, str(CHILD), str(folder), ",".join(map(str, SHOWN)), f"{WIDTH},{HEIGHT}", str(FPS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("REPORT")]
    return json.loads(line.removeprefix("REPORT"))


def assert_cameras(report: dict, path: Trajectory, name: str) -> None:
    """Poses to 1e-4, and a point in the picture to 1e-2 pixels."""
    for told, frame in zip(report["frames"], SHOWN, strict=True):
        (seen,) = [camera for key, camera in told["cameras"].items() if name in key]
        pose = OPENCV_FROM_BLENDER @ np.array(seen["pose"])
        expected = invert_pose(path.world_to_camera)[frame] @ OPENGL_FROM_OPENCV
        np.testing.assert_allclose(pose, expected, atol=1e-4)
        k = path.intrinsics[frame]
        x, y, _, w = np.array(seen["projection"]) @ OPENGL_FROM_OPENCV @ [0.3, -0.2, 2.0, 1]
        pixel = [(x / w + 1) / 2 * WIDTH, (1 - y / w) / 2 * HEIGHT]
        np.testing.assert_allclose(pixel, [k.fx * 0.15 + k.cx, k.fy * -0.1 + k.cy], atol=1e-2)


def test_the_script_makes_camera_path_and_mesh(seen, path):
    report = seen["shot.py"]
    assert (report["fps"], report["size"], report["last"]) == (pytest.approx(FPS), [WIDTH, HEIGHT], FRAMES)
    assert report["kinds"] == ["CAMERA", "CURVE", "MESH"]
    assert_cameras(report, path, "EX-4D camera")


def test_the_fbx_that_the_script_exports_holds_the_camera(seen, path):
    report = seen["shot.fbx"]
    assert "CAMERA" in report["kinds"]
    assert_cameras(report, path, "EX-4D camera")


def in_blender(points: np.ndarray) -> np.ndarray:
    return points @ BLENDER_FROM_OPENCV[:3, :3].T


def test_glb_with_a_mesh_a_frame(seen, mesh, plain):
    report = seen["each.glb"]
    assert_cameras(report, plain, "EX-4D camera")
    for told, frame in zip(report["frames"], SHOWN, strict=True):
        (found,) = told["meshes"].values()
        vertices = surface_of(mesh, [frame], 1500).vertices
        expected = in_blender(mesh.vertices_in_world(frame).numpy()[vertices])
        np.testing.assert_allclose(found, expected, atol=1e-3 * mesh.radius)


@pytest.mark.parametrize("name", ["moving.glb", "usd.usdz"])
def test_one_mesh_that_moves(seen, mesh, plain, path, name):
    if name not in seen:
        pytest.skip("usd-core is not installed")
    report = seen[name]
    assert_cameras(
        report, path if name == "usd.usdz" else plain, "EX4D_camera" if name == "usd.usdz" else "EX-4D camera"
    )
    surface = surface_of(mesh, range(FRAMES), 1500)
    shape = collapsing(surface)
    for told, frame in zip(report["frames"], SHOWN, strict=True):
        (found,) = told["meshes"].values()
        positions = mesh.vertices_in_world(frame).numpy()[surface.vertices]
        expected = in_blender(shape.at(surface.frames.index(frame), positions))
        np.testing.assert_allclose(found, expected, atol=1e-3 * mesh.radius)


def test_a_registered_mesh_moves(seen, body):
    for told, frame in zip(seen["body.glb"]["frames"], SHOWN, strict=True):
        (found,) = told["meshes"].values()
        expected = body.vertices[frame][:, [0, 2, 1]] * [1, -1, 1]  # y up becomes z up
        np.testing.assert_allclose(found, expected, atol=1e-3 * body.size)


def test_usd_camera(seen, path):
    assert_cameras(seen["camera.usda"], path, "EX4D_camera")
