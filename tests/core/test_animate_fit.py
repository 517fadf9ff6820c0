"""Meshes of single frames placed in front of the camera that filmed them, on a body with exact truth."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from ex4d_core.animate.fit import Placed, fit_meshes, overlay, place, sequence
from ex4d_core.animate.fit.refine import Fit
from ex4d_core.animate.fit.solid import solid_of
from ex4d_core.animate.fit.target import crossings, make_target
from ex4d_core.animate.meshes import MeshFrames, TriangleMesh
from ex4d_core.animate.truth import degrees_between
from ex4d_core.camera import Intrinsics, rotation_from_vector
from ex4d_core.demo_scene.bodies import Body, Flaws
from ex4d_core.errors import Cancelled, EX4DError
from ex4d_core.render import Triangles, render_triangles
from ex4d_core.trajectory import Trajectory

SIDE = 96
LENS = Intrinsics.default(SIDE, SIDE)

pytestmark = pytest.mark.usefixtures("one_thread")


@cache
def film() -> tuple[MeshFrames, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Two key frames of a walker: what a generator gives, the true poses, and the film's colour, mask and depth."""
    body = Body("walker", 1)
    rest, faces = body.surface(20)
    times = (0.1, 0.25)
    points = np.stack([body.moved(rest, time) for time in times]).astype(np.float32)
    painted = torch.from_numpy((body.colors(rest) * 255).astype(np.uint8))
    still = Trajectory(np.tile(np.eye(4, dtype=np.float32), (2, 1, 1)))
    mesh = Triangles(torch.from_numpy(points), torch.from_numpy(faces), painted)
    color, mask, depth = (part.numpy() for part in render_triangles(mesh, still, LENS, supersample=2))
    made = [body.generated(time, n, Flaws(cells=20)) for n, time in enumerate(times)]
    meshes = tuple(TriangleMesh(m.vertices, m.faces) for m in made)
    return MeshFrames((0, 1), meshes), np.stack([m.pose for m in made]), color, mask, depth


@cache
def fitted_with_depth() -> Placed:
    meshes, _, _, mask, depth = film()
    return fit_meshes(meshes, mask, LENS, depth=depth)


def test_every_mesh_is_placed_where_it_was_filmed() -> None:
    meshes, poses, _, _, _ = film()
    placed = fitted_with_depth()
    assert placed.meshes.poses is not None
    assert degrees_between(placed.meshes.poses, poses).max() < 5.0
    for n, mesh in enumerate(meshes.meshes):
        true = mesh.vertices @ poses[n, :3, :3].T + poses[n, :3, 3]
        # Of a body 2 high, four units away.
        assert np.linalg.norm(placed.meshes.vertices(n) - true, axis=1).mean() < 0.06
    assert placed.iou.min() > 0.85 and placed.outline.max() < 1.5 and placed.depth.max() < 0.02
    assert placed.apart.shape == (1,) and placed.apart[0] < 0.2


def test_without_depth_the_object_stays_equally_large() -> None:
    """The turn is found from outlines alone; the middle lies at 1."""
    meshes, _, _, mask, _ = film()
    placed = fit_meshes(MeshFrames((1,), meshes.meshes[1:]), mask, LENS)
    assert placed.meshes.poses is not None and np.isnan(placed.depth).all()
    own = np.linalg.inv(solid_of(meshes.meshes[1]).own)
    assert np.linalg.norm((placed.meshes.poses[0] @ own)[:3, 3]) == pytest.approx(1.0, abs=1e-6)
    assert placed.iou[0] > 0.85
    apart = np.stack([np.eye(4)] * 3)
    apart[:, :3, :3] *= np.array([1.0, 2.0, 4.0])[:, None, None]
    apart[:, 2, 3] = 3.0
    alike = place._equally_large(apart)
    assert alike[:, 0, 0] == pytest.approx(alike[0, 0, 0]) and alike[:, 2, 3] == pytest.approx([2.0, 1.0, 0.5])


def test_one_frame_alone_cannot_flip() -> None:
    """A wrong view that fits one frame's mask a little better loses against its neighbours."""
    meshes, poses, _, _, _ = film()
    solid = solid_of(meshes.meshes[0])
    true = poses[0] @ np.linalg.inv(solid.own)
    back = np.eye(4)
    back[:3, :3] = rotation_from_vector(np.array([0.0, np.pi, 0.0]))
    wrong = true.copy()
    wrong[:3, :3] = back[:3, :3] @ true[:3, :3]
    fits = [
        [Fit(true, 0.5, 0.5, 0.9, 0.1), Fit(wrong, 0.6, 0.6, 0.9, 0.1)],
        [Fit(wrong, 0.4, 0.4, 0.9, 0.1), Fit(true, 0.5, 0.5, 0.9, 0.1)],
        [Fit(true, 0.5, 0.5, 0.9, 0.1), Fit(wrong, 0.6, 0.6, 0.9, 0.1)],
    ]
    picked, apart = sequence.chosen(fits, [solid] * 3)
    assert picked == [0, 1, 0]
    assert apart.max() < 0.01
    assert sequence.surfaces_apart(solid.samples, solid.samples @ back[:3, :3]) > 0.05


def test_colours_tell_the_side_of_a_vase() -> None:
    """All around it looks the same but for hues that are equally light; without them any side is as good."""
    around, up = np.meshgrid(np.linspace(0, 2 * np.pi, 24, endpoint=False), np.linspace(-1, 1, 13), indexing="ij")
    radius = 0.35 + 0.25 * np.sin(2.2 * up + 0.6)
    rest = np.stack([radius * np.cos(around), up, radius * np.sin(around)], -1).reshape(-1, 3)
    column, row = (plane.ravel() for plane in np.meshgrid(np.arange(24), np.arange(12), indexing="ij"))
    a, b, c, d = (
        column * 13 + row,
        (column + 1) % 24 * 13 + row,
        (column + 1) % 24 * 13 + row + 1,
        column * 13 + row + 1,
    )
    faces = np.concatenate([np.stack([a, c, b], 1), np.stack([a, d, c], 1)]).astype(np.int32)
    hue = np.stack([0.5 + 0.3 * np.cos(around), np.zeros_like(up), 0.5 + 0.3 * np.sin(around)], -1).reshape(-1, 3)
    hue[:, 1] = (0.5 - hue @ (0.299, 0.587, 0.114)) / 0.587
    pose = np.eye(4)
    pose[:3, :3] = rotation_from_vector(np.array([0.35, 0.0, 0.0])) @ rotation_from_vector(np.array([0.0, 2.0, 0.0]))
    pose[2, 3] = 4.0
    points = torch.from_numpy((rest @ pose[:3, :3].T + pose[:3, 3]).astype(np.float32))[None]
    painted = torch.from_numpy((hue * 255).round().astype(np.uint8))
    still = Trajectory(np.eye(4, dtype=np.float32)[None])
    color, mask, depth = (
        part.numpy()
        for part in render_triangles(
            Triangles(points, torch.from_numpy(faces), painted), still, LENS, out_dtype="uint8"
        )
    )
    vase = MeshFrames((0,), (TriangleMesh(rest, faces, hue),))
    placed = fit_meshes(vase, mask > 0, LENS, depth=depth, images=color)
    assert placed.meshes.poses is not None
    assert degrees_between(placed.meshes.poses, pose[None])[0] < 5.0


def test_the_outline_lies_between_pixels_and_not_at_the_picture_s_edge() -> None:
    cover = np.zeros((6, 6), np.float32)
    cover[2:, 2] = 1.0
    cover[2:, 3] = 0.25
    known = np.ones((6, 6), bool)
    known[5] = False
    places = crossings(cover, known)
    right = places[(places[:, 0] > 2) & (places[:, 1] == 3)]
    assert right == pytest.approx(np.array([[2 + 0.5 / 0.75, 3.0]]))
    assert places[:, 1].max() <= 4.0


def test_the_overlay_shows_mesh_and_mask() -> None:
    _, _, color, mask, _ = film()
    pictures = overlay(fitted_with_depth().meshes, mask, LENS, color)
    assert pictures.shape == (2, SIDE, SIDE, 3) and pictures.min() >= 0 and pictures.max() <= 1
    outside = mask[0] == 0
    assert (pictures[0][outside] != color[0][outside]).any(1).mean() < 0.1
    assert (pictures[0][mask[0] > 0] != color[0][mask[0] > 0]).any(1).mean() > 0.8
    with pytest.raises(Cancelled):
        overlay(fitted_with_depth().meshes, mask, LENS, cancel=lambda: True)


def test_bad_input_is_told_in_a_sentence() -> None:
    meshes, _, _, mask, depth = film()
    with pytest.raises(EX4DError, match="mask of frame 0 is empty: 0 pixels"):
        fit_meshes(meshes, np.zeros_like(mask), LENS)
    with pytest.raises(EX4DError, match="mask of frame 0 is full"):
        fit_meshes(meshes, np.ones_like(mask), LENS)
    with pytest.raises(EX4DError, match="masks for 1 frames, and a mesh stands for frame 1"):
        fit_meshes(meshes, mask[:1], LENS)
    with pytest.raises(EX4DError, match="must belong to the same video"):
        fit_meshes(meshes, mask, LENS, depth=depth[:, :10])
    with pytest.raises(EX4DError, match="two objects"):
        twice = mask.copy()
        twice[0, :20, :20] = 1.0
        make_target(twice[0], LENS, None, None, 0)
    with pytest.raises(Cancelled):
        fit_meshes(MeshFrames((0,), meshes.meshes[:1]), mask, LENS, cancel=lambda: True)


def test_a_mesh_inside_out_is_refused() -> None:
    meshes, _, _, mask, _ = film()
    first = meshes.meshes[0]
    turned = replace(first, faces=first.faces[:, ::-1])
    with pytest.raises(EX4DError, match="frame 0 is inside out"):
        fit_meshes(MeshFrames((0,), (turned,)), mask, LENS)
