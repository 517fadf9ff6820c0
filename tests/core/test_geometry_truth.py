"""The chain against ground truth: the mesh is where the scene is, and its colours are as good as the source allows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ex4d_core.demo_scene import SUBJECT, DemoScene
from ex4d_core.demo_scene.truth import truth_along
from ex4d_core.evaluation.metrics import compare_with_truth
from ex4d_core.mesh import build_dw_mesh
from ex4d_core.render import render_color_mask
from ex4d_core.trajectory import Trajectory

STILL = Trajectory(np.eye(4, dtype=np.float32)[None])


def _source_comes_back(rgb: torch.Tensor, depth: torch.Tensor, frames: int) -> None:
    mesh = build_dw_mesh(rgb, depth, style="paper")
    still = Trajectory(np.repeat(STILL.world_to_camera, frames, 0))
    color, mask, _ = render_color_mask(mesh, still, keep_first_frame=False, out_dtype="uint8")
    seen = mask > 0
    assert seen.float().mean((1, 2)).min() >= 0.97
    assert (color.int() - rgb.int()).abs()[seen].max() <= 1


def test_the_source_camera_gets_the_demo_scene_back() -> None:
    rgb, depth = DemoScene(512, 512, 49, samples=2).frame(5)
    _source_comes_back(rgb[None], depth[None], 1)


def test_the_source_camera_gets_the_recorded_clip_back(large_reference) -> None:
    from ex4d_core.depth import depth_from_disparity
    from ex4d_core.video import load_video

    clip = load_video(large_reference / "flower/input.mp4", count=2, size=(512, 512))
    with np.load(large_reference / "flower/disparity.npz") as archive:
        disparity = archive[archive.files[0]]
    depth = depth_from_disparity(torch.from_numpy(disparity.astype(np.float32)))
    _source_comes_back(clip.frames, depth[:2], 2)


@pytest.fixture(scope="module")
def orbit() -> Trajectory:
    return Trajectory.preset("orbit", frames=7, radius=SUBJECT[2], pivot=(0, 0, SUBJECT[2]), angle=90.0, rise=0.0)


@pytest.mark.parametrize("side", [-1, 1])
def test_the_mesh_is_where_the_scene_is_and_as_sharp_as_its_source(orbit: Trajectory, side: int) -> None:
    scene = DemoScene(256, 256, 7, samples=2)
    poses = orbit.world_to_camera.copy()
    mirror = np.diag([side, 1, 1, 1]).astype(np.float32)
    poses = mirror @ poses @ mirror
    source = scene.clip()
    truth = truth_along(scene, source, poses)
    mesh = build_dw_mesh(*source, scene.intrinsics, style="paper")
    color, mask, depth = render_color_mask(mesh, Trajectory(poses), keep_first_frame=False, out_dtype="uint8")
    for row in compare_with_truth(color, mask, depth, truth):
        # Flat parts are exact, and balls are polyhedra of one face a pixel. Silhouettes are cut at whole pixels, and
        # the plinth's low step, under both occlusion thresholds at this size, is bridged by stretched faces.
        assert row.depth_error < 1e-5, row
        assert row.other_surface < 0.03, row
        assert row.psnr_inside > min(row.psnr_limit, 99) - 1.5, row


def test_a_finer_source_brings_the_render_closer_to_the_truth(orbit: Trajectory) -> None:
    """What limits the picture is the source's resolution, so doubling it must help by several dB."""
    fine, coarse = DemoScene(384, 384, 7, samples=3), DemoScene(192, 192, 7, samples=3)
    pose = Trajectory(orbit.world_to_camera[2:3])
    inside = []
    for scene in (coarse, fine):
        source = tuple(part[None] for part in scene.frame(2))
        mesh = build_dw_mesh(*source, scene.intrinsics, style="paper")
        color, mask, depth = render_color_mask(
            mesh, pose, size=(192, 192), supersample=scene.width // 192, keep_first_frame=False, out_dtype="uint8"
        )
        picture, true_depth = coarse.frame(2, pose.world_to_camera[0])
        here = (mask[0] > 0) & ((depth[0] / true_depth - 1).abs() < 0.02)
        error = ((color[0].float() - picture.float()) / 255).square().mean(-1)
        inside.append(-10 * np.log10(float(error[here].mean())))
    assert inside[1] > inside[0] + 2, inside
