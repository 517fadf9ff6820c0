"""The demo scene is ground truth: its depth and colour agree between cameras and with closed forms."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from ex4d_core.camera import Intrinsics, invert_pose
from ex4d_core.demo_scene import (
    CAMERA_MOVES,
    SUBJECT,
    DemoScene,
    arranged,
    raycast_many,
    raycast_still,
    raycast_torch,
    solids,
)
from ex4d_core.demo_scene.scene import ray_caster
from ex4d_core.demo_scene.truth import look_up
from ex4d_core.demo_scene.world import PLAIN
from ex4d_core.errors import Cancelled, EX4DError


def _look_at(eye: np.ndarray, target: np.ndarray) -> np.ndarray:
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross([0.0, 1.0, 0.0], forward)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation, -rotation @ eye
    return pose


def test_ground_depth_is_the_plane_through_the_pixel_centres() -> None:
    scene = DemoScene(64, 64, 5)
    _, depth = scene.frame(0)
    row = 62
    # y = 1.32 on the ground; z = y * f / (v - cy) at pixel centres.
    expected = 1.32 * scene.intrinsics.fy / (row + 0.5 - 32)
    np.testing.assert_allclose(depth[row, [2, 60]].numpy(), expected, rtol=1e-6)


def test_a_point_has_one_colour_and_one_place_from_every_camera() -> None:
    scene = DemoScene(48, 48, 7)
    rgb, depth = scene.frame(2)
    k = scene.intrinsics
    rng = np.random.default_rng(0)
    seen = 0
    for row, column in rng.integers(1, 47, (60, 2)):
        z = float(depth[row, column])
        point = z * np.array([(column + 0.5 - k.cx) / k.fx, (row + 0.5 - k.cy) / k.fy, 1.0])
        eye = np.array([rng.uniform(-0.5, 0.5), rng.uniform(-0.5, 0.3), rng.uniform(-0.5, 0.2)])
        pixel = Intrinsics.from_focal(100.0, 1, 1)
        colour, distance = scene.frame(2, _look_at(eye, point), pixel)
        expected = np.linalg.norm(point - eye)
        if distance[0, 0] < 0.999 * expected:
            continue  # something else is in front from there
        seen += 1
        assert float(distance[0, 0]) == pytest.approx(expected, rel=1e-4)
        assert (colour[0, 0].int() - rgb[row, column].int()).abs().max() <= 1
    assert seen > 40


def test_depth_spans_what_the_published_depth_does() -> None:
    _, depth = DemoScene(96, 96, 49).clip()
    assert 2.5 < depth.min() < 3.0
    assert 50 < depth.max() < 100


def test_the_motion_is_a_loop_and_moves() -> None:
    scene = DemoScene(64, 64, 6)
    first, middle, again = (scene.frame(t) for t in (0, 2, 6))
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert (first[1] != middle[1]).float().mean() > 0.05


def test_supersampling_touches_edges_only() -> None:
    exact, depth = DemoScene(96, 96, 1).frame(0)
    smooth, same_depth = DemoScene(96, 96, 1, samples=3).frame(0)
    assert torch.equal(depth, same_depth)
    changed = (exact != smooth).any(-1)
    assert 0.05 < changed.float().mean() < 0.6
    assert (exact.int() - smooth.int()).abs()[:8].max() <= 2  # sky


def test_another_size_sees_the_same_scene() -> None:
    scene = DemoScene(64, 64, 3)
    _, depth = scene.frame(1)
    _, large = scene.frame(1, intrinsics=scene.intrinsics.resized(192, 192))
    assert large.shape == (192, 192)
    torch.testing.assert_close(large[1::3, 1::3], depth)


def test_an_orbit_around_the_subject_keeps_it_in_the_middle() -> None:
    scene = DemoScene(32, 32, 1)
    subject = np.array(SUBJECT)
    for angle in np.radians([-90, -45, 60, 90]):
        eye = subject + 3.6 * np.array([np.sin(angle), 0, -np.cos(angle)])
        _, depth = scene.frame(0, _look_at(eye, subject))
        assert 2.4 < float(depth[16, 16]) < 3.1  # the ball's near side, or its ring


def test_poses_are_counted_and_cancelling_stops() -> None:
    scene = DemoScene(8, 8, 3)
    with pytest.raises(EX4DError, match="3 frames and got 2"):
        scene.clip(np.stack([np.eye(4)] * 2))
    done: list[tuple[int, int]] = []
    with pytest.raises(Cancelled):
        scene.clip(progress=lambda *step: done.append(step), cancel=lambda: len(done) == 2)
    assert done == [(1, 3), (2, 3)]
    with pytest.raises(EX4DError, match="at least one"):
        DemoScene(0, 8, 3)


@pytest.fixture()
def without_numba(monkeypatch):
    """As on a fresh ComfyUI."""
    ray_caster.cache_clear()
    for name in ("ex4d_core.demo_scene.raycast", "ex4d_core.machine.numba_cache"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "numba", None)
    yield
    ray_caster.cache_clear()


def test_without_numba_torch_casts_the_rays(without_numba, caplog) -> None:
    rgb, depth = DemoScene(24, 16, 1).frame(0)
    assert ray_caster() is raycast_torch.picture and not caplog.records
    assert rgb.shape == (16, 24, 3) and rgb.float().std() > 10 and 2 < depth.min() < depth.max() < 100


@pytest.mark.parametrize("t", [0, 3, 5])
def test_both_ray_casters_see_the_same(t, monkeypatch) -> None:
    """Every shape, pattern and shadow is in these pictures; a bound on rays at once puts seams into them."""
    raycast = pytest.importorskip("ex4d_core.demo_scene.raycast")
    monkeypatch.setattr(raycast_torch, "RAYS", 1000)
    width, height, eye = 112, 80, np.array([1.5, -0.8, 0.4]) * (t > 0)
    pose = _look_at(eye, np.array(SUBJECT)) if t else np.eye(4)
    lens = Intrinsics.default(width, height)
    camera = (
        eye,
        np.ascontiguousarray(pose[:3, :3].T),
        np.array([lens.fx, lens.fy, lens.cx, lens.cy]),
        solids.packed(solids.at(t / 7)),
        (width, height),
    )
    for samples in (1, 3):
        rgb, depth = raycast.picture(*camera, samples)
        torch_rgb, torch_depth = raycast_torch.picture(*camera, samples)
        np.testing.assert_allclose(torch_depth, depth, rtol=1e-6)
        apart = np.abs(torch_rgb.astype(int) - rgb).max(axis=-1)
        # Where a shadow or a line ends within a rounding error of a ray, the two may fall on different sides.
        assert (apart > 1).sum() <= 2 and (apart > 0).mean() < 0.001


@pytest.mark.parametrize(
    "scene",
    [
        DemoScene(96, 72, 3, samples=2, visitor=True),
        DemoScene(64, 48, 2, samples=2, seed=3, look="shiny"),
        DemoScene(48, 32, 2, seed=3, moving=False),
    ],
    ids=["demo", "mirrors", "nothing moves"],
)
def test_what_stays_need_not_be_cast_again(scene, monkeypatch) -> None:
    """Shadows of what moves fall on what stays, which stands in front of it too; seams between pieces are in the pictures."""
    rgb, depth = scene.clip()
    monkeypatch.setattr(raycast_torch, "RAYS", 700)
    monkeypatch.setattr(raycast_still, "RAYS", 700)
    again = scene.clip()
    assert torch.equal(rgb, again[0]) and torch.equal(depth, again[1])
    monkeypatch.setattr(raycast_still, "MOST_PIXELS", 0)
    monkeypatch.setattr("ex4d_core.demo_scene.scene.ray_caster", lambda: raycast_torch.picture)
    frames = scene.clip()
    assert torch.equal(rgb, frames[0]) and torch.equal(depth, frames[1])


def test_many_pictures_at_once_are_those_of_one_after_the_other() -> None:
    """Two scenes of other things, so that each has slots that the other leaves empty; five shapes, shadows, ground and sky."""
    scenes = [DemoScene(32, 24, 2, seed=seed) for seed in (1, 2)]
    path = np.stack([np.eye(4), _look_at(np.array([2.4, -0.6, 1.5]), np.array(SUBJECT))])
    lens = scenes[0].intrinsics
    colour, depth = raycast_many.pictures(
        [raycast_many.things_of(scene) for scene in scenes], np.stack([path] * 2), lens
    )
    for n, scene in enumerate(scenes):
        rgb, z = scene.clip(path)
        np.testing.assert_allclose(depth[n].numpy(), z.numpy(), rtol=1e-5)
        apart = (colour[n].int() - rgb.int()).abs().amax(-1)
        assert (apart > 1).sum() <= 2 and (apart > 0).float().mean() < 0.01


@pytest.mark.parametrize("look", ["shiny", "lit"])
def test_both_ray_casters_see_the_same_in_mirrors_and_wandering_light(look) -> None:
    raycast = pytest.importorskip("ex4d_core.demo_scene.raycast")
    lens = Intrinsics.default(64, 48)
    things = solids.packed(solids.drawn_from(5, 0.3, look), solids.light_of(look, 0.3))
    camera = (np.zeros(3), np.eye(3), np.array([lens.fx, lens.fy, lens.cx, lens.cy]), things, (64, 48), 2)
    (rgb, depth), (torch_rgb, torch_depth) = raycast.picture(*camera), raycast_torch.picture(*camera)
    np.testing.assert_allclose(torch_depth, depth, rtol=1e-6)
    apart = np.abs(torch_rgb.astype(int) - rgb).max(axis=-1)
    assert (apart > 1).sum() <= 2 and (apart > 0).mean() < 0.002


def test_looks_make_a_scene_what_they_say() -> None:
    usual, thin, rapid, plain = (arranged.props(3, look) for look in ("usual", "thin", "rapid", "plain"))
    assert len(thin) > len(usual) + 5 and min(prop.half[0] for prop in thin) < 0.021
    assert {prop.motion for prop in rapid} <= set(arranged.MOVING) and all(p.pattern == PLAIN for p in plain)
    usual_frames, lit = (DemoScene(32, 32, 6, seed=3, moving=False, look=look) for look in ("usual", "lit"))
    assert torch.equal(usual_frames.frame(0)[0], usual_frames.frame(2)[0])
    assert not torch.equal(lit.frame(0)[0], lit.frame(2)[0]) and torch.equal(lit.frame(0)[1], lit.frame(2)[1])
    with pytest.raises(EX4DError, match="drawn singly"):
        raycast_many.things_of(lit)
    with pytest.raises(EX4DError, match="one of usual, thin"):
        DemoScene(32, 32, 6, look="lit")


MOVING = [move for move in CAMERA_MOVES if move != "locked-off"]


@pytest.mark.parametrize("move", CAMERA_MOVES)
def test_every_source_camera_begins_at_the_world(move) -> None:
    still, scene = DemoScene(24, 16, 9), DemoScene(24, 16, 9, camera=move)
    assert np.array_equal(scene.source_pose(0), np.eye(4)) and scene.source_lens(0) == scene.intrinsics
    assert torch.equal(scene.frame(0)[1], still.frame(0)[1])


@pytest.mark.parametrize("move", MOVING)
def test_a_source_camera_that_moves_films_what_its_pose_and_lens_say(move) -> None:
    scene = DemoScene(48, 32, 9, camera=move)
    poses, lenses = scene.source_cameras()
    rgb, depth = scene.clip()
    for t in (3, 8):
        same = scene.frame(t, poses[t], lenses[t])
        assert torch.equal(rgb[t], same[0]) and torch.equal(depth[t], same[1])
        assert not torch.equal(depth[t], scene.frame(t, np.eye(4))[1])
    assert (move == "zoom") == (lenses[8] != lenses[0]) == np.array_equal(poses[8], np.eye(4))


def test_handheld_poses_are_those_of_a_hand() -> None:
    poses, _ = DemoScene(8, 8, 49, camera="handheld").source_cameras()
    eye = -np.swapaxes(poses[:, :3, :3], 1, 2) @ poses[:, :3, 3:]
    away = np.linalg.norm(eye[..., 0], axis=1)
    turned = np.degrees(np.arccos(np.clip((np.trace(poses[:, :3, :3], axis1=1, axis2=2) - 1) / 2, -1, 1)))
    assert 0.1 < away.max() < 0.4 and 1 < turned.max() < 5
    step = np.linalg.norm(np.diff(eye[..., 0], axis=0), axis=1)
    assert step.max() < 0.03


@pytest.mark.parametrize("move", MOVING)
def test_what_a_moving_source_saw_is_found_again_from_a_still_camera(move) -> None:
    """Colours looked up through the exact geometry agree with the truth wherever the source sees the same point."""
    scene, still = DemoScene(96, 96, 25, camera=move), np.eye(4)
    color, depth = scene.frame(24, still)
    pose, lens = scene.source_pose(24), scene.source_lens(24)
    looked_up, visible = look_up(*scene.frame(24), depth, invert_pose(pose), scene.intrinsics, lens)
    apart = (looked_up.float() - color.float()).abs().amax(-1)[visible]
    assert visible.float().mean() > 0.3 and apart.median() <= 1
    _, as_if_still = look_up(*scene.frame(24), depth, still, scene.intrinsics)
    assert visible.sum() > 1.7 * as_if_still.sum()


def test_an_unknown_camera_is_refused() -> None:
    with pytest.raises(EX4DError, match="locked-off, handheld, dolly, zoom, got 'crane'"):
        DemoScene(8, 8, 3, camera="crane")  # type: ignore[arg-type]
