"""Where the camera of a point map is, from what stands still: against the demo scene and recorded clips."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from harness.points import in_the_cube, unprojected
from test_pointmap_depth import RECORDED, recorded

from ex4d_core.camera import invert_pose
from ex4d_core.demo_scene import DemoScene
from ex4d_core.errors import Cancelled, EX4DError
from ex4d_core.pointmap import PointMap
from ex4d_core.pointmap.fit import fit_cameras
from ex4d_core.pointmap.register import register
from ex4d_core.solve.background import positions_from_background

pytest.importorskip("cv2")
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def dolly():
    """A point map as 4DNeX would make it of a camera that glides and turns past a moving subject."""
    scene = DemoScene(240, 192, 7, samples=2, camera="dolly")
    colors, depth = scene.clip()
    to_world = invert_pose(scene.source_cameras()[0])
    points, unit, _ = in_the_cube(unprojected(depth.double().numpy(), scene.intrinsics, to_world), 0.02)
    made = PointMap.from_pictures(torch.from_numpy(points), colors)
    return made, fit_cameras(made), to_world[:, :3, 3] / unit


def test_the_path_comes_back(dolly):
    made, cameras, true = dolly
    found = positions_from_background(made, cameras)
    length = np.linalg.norm(true[-1])
    assert found.trouble is None and found.used > 0.5 and found.still.sum() > 100
    assert np.abs(found.position - true).max() < 0.03 * length
    clip = register(made, cameras, position=found.position)
    eyes = invert_pose(clip.depth.source_camera.world_to_camera)[:, :3, 3]
    assert np.abs(eyes - true).max() < 0.03 * length


def test_a_mask_says_what_stands_still(dolly):
    made, cameras, true = dolly
    upper = torch.zeros(1, made.height, made.width)
    upper[:, :100] = 1
    found = positions_from_background(made, cameras, background=upper)
    first = found.tracks.position[found.still, found.tracks.anchor[found.still], 1]
    assert (first < 101).mean() > 0.95
    assert np.abs(found.position - true).max() < 0.05 * np.linalg.norm(true[-1])
    none = positions_from_background(made, cameras, background=torch.zeros_like(upper))
    assert none.trouble and not none.position.any()
    with pytest.raises(EX4DError, match="the point map's frames and pixels"):
        positions_from_background(made, cameras, background=upper[:, 1:])


def test_pictures_without_anything_to_follow_are_told(dolly):
    made, cameras, _ = dolly
    grey = PointMap(made.points, made.valid, torch.full_like(made.colors, 90))
    found = positions_from_background(grey, cameras)
    assert "Too few points" in found.trouble and not found.position.any()


def test_it_can_be_left(dolly):
    with pytest.raises(Cancelled):
        positions_from_background(*dolly[:2], cancel=lambda: True)


@pytest.mark.parametrize(("name", "allowed"), zip(RECORDED, (0.005, 0.06, 0.12), strict=True))
def test_recorded_paths_are_met(large_reference, name, allowed):
    """Error of the last position, as a share of the way: measured 0.002, 0.03 and 0.09 (the last where noise is 0.08 units)."""
    data, made = recorded(large_reference, name)
    found = positions_from_background(made, fit_cameras(made))
    true = data["true_cam_to_world"][:, :3, 3]
    error = np.linalg.norm(found.position * 2 * data["scale"] - true, axis=1)
    assert found.trouble is None and error[-1] < allowed * np.linalg.norm(true[-1])
