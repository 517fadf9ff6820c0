"""The source camera solved from the clip itself, against the exact one of the demo scene."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from ex4d_core.camera import Intrinsics, invert_pose
from ex4d_core.demo_scene import DemoScene
from ex4d_core.depth import DepthClip
from ex4d_core.errors import Cancelled, EX4DError
from ex4d_core.solve import bundle, camera, fit_source_camera, solve_source_camera
from ex4d_core.solve.camera import depth_at
from ex4d_core.trajectory import Trajectory

pytest.importorskip("cv2")
SIZE, FRAMES = 256, 13


@cache
def filmed(move: str):
    scene = DemoScene(SIZE, SIZE, FRAMES, samples=2, camera=move)
    return scene, *scene.clip()


def errors(solution, scene) -> tuple[float, float]:
    """Largest rotation error in degrees and largest position error in shares of the scene's radius."""
    truth, _ = scene.source_cameras()
    found = solution.camera.world_to_camera.astype(np.float64)
    turn = found[:, :3, :3] @ np.swapaxes(truth[:, :3, :3], 1, 2)
    angle = np.degrees(np.arccos(np.clip((np.trace(turn, axis1=1, axis2=2) - 1) / 2, -1, 1)))
    away = np.linalg.norm(invert_pose(found)[:, :3, 3] - invert_pose(truth)[:, :3, 3], axis=1)
    return float(angle.max()), float(away.max()) / 2.7


@pytest.mark.parametrize("move", ["handheld", "dolly", "locked-off"])
def test_exact_depth_gives_the_camera(move):
    """Though the ball turns, moons circle and a crate hops."""
    scene, rgb, depth = filmed(move)
    solution = solve_source_camera(rgb, depth, scene.intrinsics)
    assert solution.trouble is None and solution.camera.frame_of_reference == "world"
    angle, away = errors(solution, scene)
    assert angle < 0.25 and away < 0.005, (angle, away)
    assert solution.residual < 0.5 and not solution.flickers
    assert np.array_equal(solution.camera.world_to_camera[0], np.eye(4, dtype=np.float32))


def test_the_frames_of_a_long_clip_that_are_not_refined_together_follow(monkeypatch):
    scene, rgb, depth = filmed("handheld")
    monkeypatch.setattr(camera, "JOINT", 5)
    solution = solve_source_camera(rgb, depth, scene.intrinsics)
    angle, away = errors(solution, scene)
    assert solution.trouble is None and angle < 0.25 and away < 0.01, (angle, away)
    assert len(solution.camera) == len(solution.depth_scale) == FRAMES and not solution.flickers


def test_noisy_depth_still_gives_it():
    scene, rgb, depth = filmed("handheld")
    noise = torch.exp(0.05 * torch.randn(depth.shape, generator=torch.Generator().manual_seed(2)))
    solution = solve_source_camera(rgb, depth * noise, scene.intrinsics)
    angle, away = errors(solution, scene)
    assert solution.trouble is None and angle < 0.4 and away < 0.02, (angle, away)


def test_depth_whose_scale_flickers_is_levelled():
    scene, rgb, depth = filmed("handheld")
    flicker = torch.exp(0.05 * torch.randn(FRAMES, generator=torch.Generator().manual_seed(3)))
    flicker[0] = 1
    solution = solve_source_camera(rgb, depth * flicker[:, None, None], scene.intrinsics)
    assert solution.flickers
    np.testing.assert_allclose(solution.depth_scale * flicker.numpy(), 1, atol=0.01)
    assert errors(solution, scene)[1] < 0.01


def test_what_moves_by_itself_is_left_out():
    scene, rgb, depth = filmed("locked-off")
    solution = solve_source_camera(rgb, depth, scene.intrinsics)
    position = solution.tracks.position
    moved = np.nanmax(np.abs(position - np.nanmean(position, axis=1, keepdims=True)), axis=(1, 2))
    assert (moved[solution.still] < 0.6).all() and (moved > 1.5).sum() > 20


def test_the_lens_is_found_where_nobody_knows_it():
    scene, rgb, depth = filmed("handheld")
    solution = solve_source_camera(rgb, depth, None)
    assert solution.trouble is None
    assert solution.camera.intrinsics[0].fx == pytest.approx(scene.intrinsics.fx, rel=0.05)


def still_of(solution) -> bool:
    return np.array_equal(solution.camera.world_to_camera, np.tile(np.eye(4, dtype=np.float32), (FRAMES, 1, 1)))


def test_a_clip_without_texture_is_not_solved():
    _, rgb, depth = filmed("handheld")
    solution = solve_source_camera(torch.full_like(rgb, 128), depth, Intrinsics.default(SIZE, SIZE))
    assert "too little texture" in solution.trouble and still_of(solution) and not solution.still.any()


def test_a_clip_in_which_everything_moves_is_not_solved():
    """Four layers, each of its own texture and direction, at one depth."""
    rng = np.random.default_rng(0)
    texture = rng.integers(0, 255, (48, 48), dtype=np.uint8).repeat(12, 0).repeat(12, 1)
    frames = np.empty((FRAMES, SIZE, SIZE, 3), np.uint8)
    half = SIZE // 2
    for t in range(FRAMES):
        for k, (dy, dx) in enumerate(((3, 0), (0, -3), (-3, 3), (2, 4))):
            rows, columns = slice(k // 2 * half, k // 2 * half + half), slice(k % 2 * half, k % 2 * half + half)
            y, x = 100 + dy * t, 100 + dx * t
            frames[t, rows, columns] = texture[y : y + half, x : x + half, None]
    depth = torch.linspace(3, 6, SIZE).expand(FRAMES, SIZE, SIZE).contiguous()
    solution = solve_source_camera(torch.from_numpy(frames), depth, Intrinsics.default(SIZE, SIZE))
    assert solution.trouble is not None and still_of(solution)


def test_a_pure_zoom_is_not_taken_for_a_move():
    scene, rgb, depth = filmed("zoom")
    solution = solve_source_camera(rgb, depth, scene.intrinsics)
    assert solution.trouble is not None and "zoom" in solution.trouble and still_of(solution)


def test_wrong_shapes_are_refused_and_cancelling_stops():
    scene, rgb, depth = filmed("handheld")
    with pytest.raises(EX4DError, match="Resize the depth"):
        solve_source_camera(rgb, depth[:, ::2], scene.intrinsics)
    done: list[tuple[int, int]] = []
    with pytest.raises(Cancelled):
        solve_source_camera(rgb, depth, progress=lambda *step: done.append(step), cancel=lambda: len(done) == 3)
    assert [step for step, _ in done] == [1, 2, 3]


def test_progress_reaches_its_end():
    scene, rgb, depth = filmed("locked-off")
    done: list[tuple[int, int]] = []
    solve_source_camera(rgb, depth, scene.intrinsics, progress=lambda *step: done.append(step))
    steps, totals = zip(*done, strict=True)
    assert steps[-1] == totals[-1] and list(steps) == sorted(steps) and len(set(totals)) == 1


def test_depth_between_pixels_is_exact_on_planes_and_unknown_at_edges():
    k = Intrinsics.default(40, 30)
    x, y = (np.arange(40) + 0.5 - k.cx) / k.fx, (np.arange(30) + 0.5 - k.cy) / k.fy
    plane = 4 / (1 + 0.3 * x[None] - 0.2 * y[:, None])
    pixels = np.array([[10.3, 12.9], [30.0, 7.25], [np.nan, np.nan], [0.2, 3.0]])
    found = depth_at(plane, pixels)
    expected = 4 / (1 + 0.3 * (pixels[:2, 0] - k.cx) / k.fx - 0.2 * (pixels[:2, 1] - k.cy) / k.fy)
    np.testing.assert_allclose(found[:2], expected, rtol=1e-9)
    assert np.isnan(found[2:]).all()
    plane[:, 20:] *= 1.5
    assert np.isnan(depth_at(plane, np.array([[20.0, 12.0], [10.0, 12.0], [30.0, 12.0]]))).tolist() == [
        True,
        False,
        False,
    ]


def test_jacobians_are_those_of_the_projection():
    """Against finite differences."""
    rng = np.random.default_rng(1)
    pose, lens = bundle.moved(np.eye(4), rng.normal(size=6) * 0.1), np.array([500.0, 480.0, 250.0, 260.0])
    point = np.array([0.4, -0.3, 3.0])
    seen = pose[:3, :3] @ point + pose[:3, 3]
    slope = bundle.pose_jacobian(seen, lens)
    for axis in range(6):
        step = np.eye(6)[axis] * 1e-6
        ahead, behind = (bundle.projected(point[None], bundle.moved(pose, s), lens)[0][0] for s in (step, -step))
        np.testing.assert_allclose(slope[:, axis], (ahead - behind) / 2e-6, rtol=1e-5, atol=1e-4)


def given_path(move="handheld", scale=1.0):
    scene, rgb, depth = filmed(move)
    poses, lenses = scene.source_cameras()
    poses = poses @ bundle.moved(np.eye(4), np.array([0.3, -0.2, 0.1, 1.0, 2.0, 3.0]))  # in a world of its own
    poses[:, :3, 3] *= scale
    return scene, rgb, depth, Trajectory(poses, lenses)


@pytest.mark.parametrize("scale", [1.0, 0.013, 250.0])
def test_a_given_path_is_brought_to_the_unit_of_the_depth(scale):
    scene, rgb, depth, path = given_path(scale=scale)
    solution = fit_source_camera(rgb, depth, path)
    assert solution.scale == pytest.approx(1 / scale, rel=0.02)
    angle, away = errors(solution, scene)
    assert angle < 0.03 and away < 0.005 and solution.residual < 1


def test_a_given_path_levels_flickering_depth():
    _, rgb, depth, path = given_path()
    flicker = torch.exp(0.05 * torch.randn(FRAMES, generator=torch.Generator().manual_seed(3)))
    flicker[0] = 1
    solution = fit_source_camera(rgb, depth * flicker[:, None, None], path)
    np.testing.assert_allclose(solution.depth_scale * flicker.numpy(), 1, atol=0.02)
    levelled = solution.on(DepthClip(depth * flicker[:, None, None]))
    assert float((levelled.depth / depth - 1).abs().max()) < 0.02
    assert levelled.source_camera is not None and levelled.intrinsics is not None


def test_a_path_of_another_clip_is_refused():
    scene, rgb, depth, _ = given_path()
    turned = np.stack([bundle.moved(np.eye(4), np.array([0, 0.02 * t, 0, 0.2 * t, 0, 0])) for t in range(FRAMES)])
    with pytest.raises(EX4DError, match="does not belong to this clip"):
        fit_source_camera(rgb, depth, Trajectory(turned), scene.intrinsics)
    with pytest.raises(EX4DError, match="5 poses and the clip 13 frames"):
        fit_source_camera(rgb, depth, Trajectory(turned[:5]), scene.intrinsics)


def test_a_path_that_only_turns_has_no_scale_to_fit():
    scene, rgb, depth = filmed("zoom")
    poses, lenses = scene.source_cameras()
    solution = fit_source_camera(rgb, depth, Trajectory(poses, lenses))
    assert solution.scale == 1 and solution.residual < 0.5
    assert solution.camera.intrinsics[-1].fx == pytest.approx(lenses[-1].fx)


def test_a_clip_in_trouble_is_left_as_it_is():
    _, rgb, depth = filmed("handheld")
    clip = DepthClip(depth)
    assert solve_source_camera(torch.full_like(rgb, 128), depth).on(clip) is clip
