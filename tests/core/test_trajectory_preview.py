"""The drawing of a path and its numbers."""

import numpy as np
import pytest
import torch

from ex4d_core.camera import Intrinsics
from ex4d_core.mesh import build_dw_mesh
from ex4d_core.preview.path_picture import PANEL, TIME_STOPS, draw_trajectory, mesh_points
from ex4d_core.trajectory import PRESETS, Trajectory, summarize


def near(picture, color):
    """How many pixels have about this colour."""
    return int((np.abs(picture.astype(int) - np.asarray(color)).max(axis=-1) <= 6).sum())


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_can_be_drawn_without_a_scene(name):
    picture = draw_trajectory(Trajectory.preset(name), size=(480, 240))
    assert picture.shape == (240, 480, 3) and picture.dtype == np.uint8
    assert near(picture, PANEL) > 0.5 * 240 * 480
    assert near(picture, TIME_STOPS[0]) > 3, "the first camera is there"


def test_odd_paths_can_be_drawn():
    wide = Intrinsics.from_fov(170, 64, 32)
    for path in (
        Trajectory.preset("static", frames=1),
        Trajectory.preset("orbit", frames=2, angle=10000 / 3, radius=1e-4),
        Trajectory.preset("zoom_out", radius=1e6),
        Trajectory(np.tile(np.eye(4), (3, 1, 1)), (wide,) * 3),
    ):
        assert draw_trajectory(path).shape[2] == 3


def test_the_scene_is_drawn_without_its_back_plate():
    depth = torch.full((1, 48, 64), 3.0)
    depth[:, 10:20, 10:20] = 500.0
    rgb = torch.zeros((1, 48, 64, 3))
    rgb[..., 1] = 1
    mesh = build_dw_mesh(rgb, depth)
    points, colors = mesh_points(mesh)
    assert points.shape == colors.shape and points[:, 2].max() < mesh.border_depth
    np.testing.assert_allclose(points[:, 2].min(), 3)
    path = Trajectory.preset("90", radius=mesh.radius, intrinsics=mesh.intrinsics)
    green = draw_trajectory(path, points=points, colors=colors)[..., 1].astype(int)
    assert (green - draw_trajectory(path)[..., 1] > 60).sum() > 500


def test_summary_tells_the_numbers_that_matter():
    summary = summarize(Trajectory.preset("sweep", radius=2.0, intrinsics=Intrinsics.default(512, 512)))
    assert summary.around == pytest.approx((-90, 90), abs=1e-3)
    assert summary.starts_at_source and summary.radius == 2 and summary.fov == pytest.approx((54.2, 54.2), abs=0.1)
    assert summary.lines()[0] == "49 frames, 15 fps, 3.27 s, radius 2, field of view 54°"
    pan = summarize(Trajectory.preset("pan", angle=30))
    assert pan.around == (0, 0) and pan.heading == pytest.approx((0, 30), abs=1e-3)
    assert "looks 0° to 30°" in pan.lines()[1]
    moved = Trajectory(Trajectory.preset("90").world_to_camera[5:])
    assert "source camera" in summarize(moved).lines()[-1]
