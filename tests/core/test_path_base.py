"""What a path is laid on where the source camera moves: locked, stabilised, follow."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ex4d_core.camera import Intrinsics, invert_pose
from ex4d_core.demo_scene import DemoScene
from ex4d_core.errors import EX4DError
from ex4d_core.trajectory import Trajectory, laid_on, smoothed


def handheld(frames=49) -> Trajectory:
    return Trajectory(DemoScene(16, 16, frames, camera="handheld").source_cameras()[0], frame_of_reference="world")


def eyes(path):
    return invert_pose(path.world_to_camera)[:, :3, 3]


def test_smoothing_is_the_exact_minimum_and_keeps_the_first_frame():
    """Against the same sum written down as a dense matrix."""
    source = handheld()
    frames, weight = len(source), (1.5 * source.fps / (2 * np.pi)) ** 4
    second = np.diff(np.eye(frames), n=2, axis=0)
    matrix = np.eye(frames) + weight * second.T @ second
    position = eyes(source)
    expected = np.linalg.solve(matrix[1:, 1:], position[1:] - np.outer(matrix[1:, 0], position[0]))
    found = smoothed(source, 1.5)
    np.testing.assert_allclose(eyes(found)[1:], expected, atol=1e-6)
    np.testing.assert_allclose(found.world_to_camera[0], source.world_to_camera[0], atol=1e-7)


def test_more_seconds_leave_less_shake():
    source = handheld(81)

    def shake(path):
        return np.abs(np.diff(eyes(path), n=2, axis=0)).max()

    measured = [shake(smoothed(source, seconds)) for seconds in (0, 0.5, 1.5, 6)]
    assert measured == sorted(measured, reverse=True) and measured[3] < measured[0] / 20
    np.testing.assert_allclose(smoothed(source, 0).world_to_camera, source.world_to_camera, atol=1e-6)


def test_a_sway_of_that_period_is_halved():
    frames, seconds = 601, 2.0
    t = np.arange(frames) / 15
    poses = np.tile(np.eye(4), (frames, 1, 1))
    poses[:, 0, 3] = np.sin(2 * np.pi * t / seconds)
    middle = slice(200, 400)
    found = np.abs(smoothed(Trajectory(poses), seconds).world_to_camera[middle, 0, 3]).max()
    assert found == pytest.approx(0.5, abs=0.02)


def test_a_long_pan_is_smoothed_through_half_turns():
    angle = np.radians(np.linspace(0, 400, 61)) + 0.03 * np.sin(np.arange(61) * 2.0)
    poses = np.tile(np.eye(4), (61, 1, 1))
    poses[:, 0, 0] = poses[:, 2, 2] = np.cos(angle)
    poses[:, 0, 2], poses[:, 2, 0] = np.sin(angle), -np.sin(angle)
    found = smoothed(Trajectory(poses), 1.0).world_to_camera
    turned = np.degrees(np.unwrap(np.arctan2(found[:, 0, 2], found[:, 0, 0])))
    steps = np.diff(turned)
    assert turned[-1] == pytest.approx(400, abs=6) and steps[5:-5].std() < 0.4


def test_a_zoom_is_smoothed_too_and_a_fixed_lens_stays():
    focal = 500 + 100 * np.linspace(0, 1, 31) + 8 * (-1.0) ** np.arange(31)
    poses = np.tile(np.eye(4), (31, 1, 1))
    zoom = Trajectory(poses, tuple(Intrinsics.from_focal(f, 64, 64) for f in focal))
    found = np.array([lens.fx for lens in smoothed(zoom, 1.0).intrinsics])
    assert np.abs(np.diff(found, n=2))[4:-4].max() < 1 < np.abs(np.diff(focal, n=2)).min()
    fixed = Trajectory(poses, (Intrinsics.from_focal(500.0, 64, 64),) * 31)
    assert smoothed(fixed, 1.0).intrinsics == fixed.intrinsics


@pytest.mark.parametrize("base", ["locked", "auto"])
def test_a_locked_path_stands_in_the_world_and_says_so(base):
    path = Trajectory.preset("orbit", frames=49)
    laid = laid_on(path, base, handheld())
    assert laid.frame_of_reference == "world" and np.array_equal(laid.world_to_camera, path.world_to_camera)
    assert json.loads(laid.to_json())["frame_of_reference"] == "world"


def test_a_stabilised_path_rides_on_the_smooth_source():
    path, source = Trajectory.preset("orbit", frames=49, radius=3.0, angle=30), handheld()
    laid = laid_on(path, "stabilised", source, seconds=2.0)
    relative = laid.world_to_camera @ invert_pose(smoothed(source, 2.0).world_to_camera)
    np.testing.assert_allclose(relative, path.world_to_camera, atol=1e-5)
    assert laid.frame_of_reference == "world" and laid.radius == path.radius
    plain = laid_on(Trajectory.preset("static", frames=49), "stabilised", source, seconds=2.0)
    np.testing.assert_allclose(plain.world_to_camera, smoothed(source, 2.0).world_to_camera, atol=1e-6)


def test_following_and_still_sources_change_nothing():
    path = Trajectory.preset("orbit", frames=49)
    assert laid_on(path, "follow", handheld()) is path
    for base in ("auto", "locked", "stabilised", "follow"):
        assert laid_on(path, base, None) is path
    standing = Trajectory.preset("orbit", frames=49, frame_of_reference="world")
    assert laid_on(standing, "stabilised", handheld()) is standing


def test_wrong_bases_are_refused():
    path = Trajectory.preset("orbit", frames=49)
    with pytest.raises(EX4DError, match="one of auto, locked, stabilised, follow, got 'steady'"):
        laid_on(path, "steady", handheld())  # type: ignore[arg-type]
    with pytest.raises(EX4DError, match="49 frames and the source camera that it is laid on 9"):
        laid_on(path, "stabilised", handheld(9))
    with pytest.raises(EX4DError, match="0 to 3600, got -1"):
        laid_on(path, "stabilised", handheld(), seconds=-1)
