"""Topology, the occlusion rule on meshes with known answers, and refusal of bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ex4d_core.camera import Intrinsics
from ex4d_core.errors import Cancelled, EX4DError
from ex4d_core.mesh import (
    angle_valid,
    build_dw_mesh,
    default_border_depth,
    grid_faces,
    jump_valid,
    reduced_size,
    spread_to_vertices,
)


def colors(frames: int, height: int, width: int) -> torch.Tensor:
    return torch.randint(
        0, 256, (frames, height, width, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )


def flat(frames: int = 1, height: int = 8, width: int = 10, depth: float = 4.0) -> torch.Tensor:
    return torch.full((frames, height, width), depth)


def count_edges(faces: torch.Tensor) -> tuple[int, int, int]:
    """Edges of a triangle list (F, 3) by how faces share them.

    Returns:
        (paired, single, other): edges with exactly two faces of opposite direction, edges with one face, the rest. A
        closed, consistently oriented surface has only paired edges.
    """
    faces = faces.to(torch.int64)
    start = faces.reshape(-1)
    end = faces.roll(-1, 1).reshape(-1)
    count = int(faces.max()) + 1
    key = torch.minimum(start, end) * count + torch.maximum(start, end)
    direction = torch.where(start < end, 1, -1)
    unique, owner, uses = torch.unique(key, return_inverse=True, return_counts=True)
    balance = torch.zeros_like(unique).scatter_add_(0, owner, direction)
    paired = int(((uses == 2) & (balance == 0)).sum())
    single = int((uses == 1).sum())
    return paired, single, unique.numel() - paired - single


@pytest.mark.parametrize(("height", "width"), [(3, 3), (4, 7), (9, 5), (64, 48)])
def test_paper_topology_is_closed_and_released_leaves_its_known_rim(height, width):
    quads = 2 * (height - 1) * (width - 1)
    paper = grid_faces(height, width, "paper")
    assert paper.shape == (quads + 2 * (width + height - 2), 3)
    paired, single, other = count_edges(paper)
    assert (single, other) == (0, 0)
    assert paired * 2 == paper.shape[0] * 3
    released = grid_faces(height, width, "released")
    assert released.shape == (quads + 2, 3)
    assert count_edges(released)[1:] == (2 * (width + height), 0)
    # Euler characteristic of a sphere: the paper's surface has no handle and no hole.
    assert (height * width + 1) - paired + paper.shape[0] == 2


def test_known_counts_at_the_training_size():
    assert grid_faces(512, 512, "paper").shape[0] == 524_286
    assert grid_faces(512, 512, "released").shape[0] == 522_244


def test_vertices_lie_on_the_rays_of_their_style():
    depth = flat(height=6, width=8, depth=3.0)
    camera = Intrinsics(10.0, 12.0, 4.0, 3.0, 8, 6)
    for style, offset in (("released", 0.0), ("paper", 0.5)):
        mesh = build_dw_mesh(colors(1, 6, 8), depth, camera, style=style, border_depth=50)
        vertex = mesh.vertices_in_camera(0)[2 * 8 + 5]
        expected = torch.tensor([3.0 * (5 + offset - 4.0) / 10.0, 3.0 * (2 + offset - 3.0) / 12.0, 3.0])
        assert torch.allclose(vertex, expected, atol=1e-6)
        assert mesh.vertices_in_camera(0).shape[0] == mesh.vertex_colors(0).shape[0] == mesh.vertex_valid(0).shape[0]
        assert int(mesh.faces.max()) == mesh.vertices_in_camera(0).shape[0] - 1
        assert mesh.face_valid(0).shape[0] == mesh.faces.shape[0]


def test_extra_vertex_is_the_middle_of_the_back_plate():
    mesh = build_dw_mesh(colors(1, 8, 10), flat(), style="paper", border_depth=60.0)
    points = mesh.vertices_in_camera(0)
    corners = points[[0, 9, 70, 79]]
    assert torch.allclose(points[-1], corners.mean(0))
    assert points[-1, 2] == 60.0


def test_border_radius_and_clamp():
    depth = flat(2, 8, 10, 4.0)
    depth[0, 3, 3] = 2.6
    depth[1, 4, 4] = 500.0
    released = build_dw_mesh(colors(2, 8, 10), depth)
    assert released.border_depth == 100.0
    assert released.depth[1].max() == 500.0
    paper = build_dw_mesh(colors(2, 8, 10), depth, style="paper")
    assert paper.depth[1, 4, 4] == pytest.approx(99.0)
    for mesh in (released, paper):
        rim = torch.cat([mesh.depth[:, 0].flatten(), mesh.depth[:, -1].flatten(), mesh.depth[:, :, 0].flatten()])
        assert (rim == 100.0).all()
        assert mesh.radius == pytest.approx(2.75)
        assert mesh.pivot == (0.0, 0.0, mesh.radius)
    assert depth[0, 0, 0] == 4.0, "the caller's depth is not written to"


def test_jump_threshold_comes_from_frame_zero_after_the_clamp_and_before_padding():
    depth = flat(1, 8, 10, 4.0)
    depth[0, 4, 4] = 1000.0
    mesh = build_dw_mesh(colors(1, 8, 10), depth, style="paper", border_depth=100, depth_jump=0.1)
    assert mesh.max_jump == pytest.approx(0.1 * (99.0 - 4.0))


def test_angles_agree_with_the_law_of_cosines():
    torch.manual_seed(3)
    depth = 2.0 + 6.0 * torch.rand(9, 11, dtype=torch.float64) ** 3
    camera = Intrinsics.from_focal(9.0, 11, 9)
    points = np.stack(
        np.broadcast_arrays(
            depth.numpy() * (np.arange(11) + 0.5 - camera.cx) / camera.fx,
            depth.numpy() * (np.arange(9)[:, None] + 0.5 - camera.cy) / camera.fy,
            depth.numpy(),
        ),
        -1,
    )
    for limit in (2.5, 10.0, 25.0):
        valid = angle_valid(depth, camera, 0.5, limit)
        for i in range(8):
            for j in range(10):
                for k, face in enumerate([[(i, j), (i + 1, j), (i, j + 1)], [(i + 1, j), (i + 1, j + 1), (i, j + 1)]]):
                    a, b, c = (points[v] for v in face)
                    angles = []
                    for p, q, r in ((a, b, c), (b, c, a), (c, a, b)):
                        u, v = q - p, r - p
                        angles.append(math.degrees(math.acos(u @ v / math.sqrt((u @ u) * (v @ v)))))
                    assert abs(min(angles) - limit) < 1e-6 or bool(valid[i, j, k]) == (min(angles) >= limit)


def test_a_jump_occludes_every_face_that_spans_it():
    depth = flat(1, 6, 8, 4.0)[0]
    depth[:, 4:] = 7.0
    valid = jump_valid(depth, 1.0)
    assert valid[:, 3].logical_not().all()
    assert valid[:, :3].all() and valid[:, 4:].all()
    assert jump_valid(depth, 3.0).all()


def test_vertices_around_an_occluded_face_are_invalid():
    faces = torch.ones(3, 4, 2, dtype=torch.bool)
    faces[1, 2, 0] = False
    vertices = spread_to_vertices(faces)
    assert {tuple(v) for v in (~vertices).nonzero().tolist()} == {(1, 2), (2, 2), (1, 3)}
    faces[1, 2, 0], faces[1, 2, 1] = True, False
    vertices = spread_to_vertices(faces)
    assert {tuple(v) for v in (~vertices).nonzero().tolist()} == {(2, 2), (2, 3), (1, 3)}


def test_both_faces_of_a_quad_agree_in_paper_style_only():
    depth = flat(1, 8, 10, 4.0)
    depth[0, 4, 5] = 5.5
    paper = build_dw_mesh(colors(1, 8, 10), depth, style="paper", border_depth=10, depth_jump=0.2).quad_face_valid(0)
    assert (paper[..., 0] == paper[..., 1]).all()
    assert not paper[3, 4].any()
    alone = jump_valid(depth[0], 0.3)
    assert bool(alone[3, 4, 0]) and not bool(alone[3, 4, 1])


def test_occluded_vertices_are_black_and_transparent_in_released_style():
    depth = flat(1, 8, 10, 3.0)
    depth[0, :, 5:] = 90.0
    mesh = build_dw_mesh(colors(1, 8, 10), depth)
    hidden = ~mesh.vertex_valid(0)
    assert hidden.any() and not hidden.all()
    assert (mesh.vertex_colors(0)[hidden] == 0).all()
    assert (mesh.vertex_alpha(0) == (~hidden).float()).all()
    assert 0 < mesh.occluded_share < 1


@pytest.mark.parametrize(
    ("nearest", "farthest", "expected"),
    [(2.564, 10000.0, 100.0), (2.6, 20.0, 100.0), (0.4, 8.0, 8.4), (12.0, 300.0, 315.0), (1.0, 2.0, 2.1)],
)
def test_default_border_depth(nearest, farthest, expected):
    assert default_border_depth(torch.tensor([[[nearest, farthest]]])) == pytest.approx(expected)


def test_accepts_float_colours_numpy_and_half_precision():
    rgb = np.random.default_rng(0).random((2, 5, 6, 3), dtype=np.float32)
    mesh = build_dw_mesh(rgb, np.full((2, 5, 6), 3.0, np.float16))
    assert mesh.rgb.dtype == torch.uint8 and mesh.depth.dtype == torch.float32
    assert (mesh.rgb.numpy() == np.rint(rgb * 255)).all()


@pytest.mark.parametrize("rgb", [torch.full((1, 8, 10, 3), 200), torch.full((1, 8, 10, 3), True)])
def test_refuses_colours_of_other_types(rgb):
    with pytest.raises(EX4DError, match="uint8"):
        build_dw_mesh(rgb, flat())


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_refuses_colours_that_are_not_numbers(bad):
    rgb = torch.rand(2, 8, 10, 3)
    rgb[1, 3, 4, 2] = bad
    with pytest.raises(EX4DError, match="colours"):
        build_dw_mesh(rgb, flat(2))


def test_colours_are_rounded_as_videos_are():
    from ex4d_core.pixels import uint8_array

    rgb = (torch.arange(0, 511, dtype=torch.float64) / 510).float()[:510].reshape(1, 10, 17, 3)
    mesh = build_dw_mesh(rgb, flat(1, 10, 17))
    assert (mesh.rgb.numpy() == uint8_array(rgb)).all()


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 0.0, -1.0])
def test_refuses_depth_that_is_not_finite_and_positive(bad):
    depth = flat(3)
    depth[1, 2, 2] = bad
    with pytest.raises(EX4DError, match="frame 1"):
        build_dw_mesh(colors(3, 8, 10), depth)


@pytest.mark.parametrize(
    ("shape", "depth", "options"),
    [
        ((1, 8, 10, 3), (2, 8, 10), {}),
        ((1, 8, 10, 3), (1, 8, 9), {}),
        ((1, 8, 10, 4), (1, 8, 10), {}),
        ((1, 1, 1, 3), (1, 1, 1), {}),
        ((0, 8, 10, 3), (0, 8, 10), {}),
        ((1, 8, 10, 3), (1, 8, 10), {"style": "shiny"}),
        ((1, 8, 10, 3), (1, 8, 10), {"border_depth": -1.0}),
        ((1, 8, 10, 3), (1, 8, 10), {"border_depth": float("nan")}),
        ((1, 8, 10, 3), (1, 8, 10), {"border_depth": 1e39}),
        ((1, 8, 10, 3), (1, 8, 10), {"min_angle": 61}),
        ((1, 8, 10, 3), (1, 8, 10), {"depth_jump": float("nan")}),
    ],
)
def test_refuses_bad_input(shape, depth, options):
    with pytest.raises(EX4DError):
        build_dw_mesh(torch.zeros(shape), torch.ones(depth), **options)


@pytest.mark.parametrize("style", ["released", "paper"])
def test_a_plate_in_front_of_the_whole_scene_is_refused(style):
    depth = flat(2)
    depth[1, 3, 3] = 3.0
    build_dw_mesh(colors(2, 8, 10), depth, style=style, border_depth=3.5)
    with pytest.raises(EX4DError, match="in front of the whole scene, whose nearest depth is 3"):
        build_dw_mesh(colors(2, 8, 10), depth, style=style, border_depth=2.5)


def test_depth_beyond_all_units_is_refused():
    depth = flat(2)
    depth[1, 3, 3] = 1e30
    with pytest.raises(EX4DError, match=r"frame 1 reaches 1e\+30"):
        build_dw_mesh(colors(2, 8, 10), depth)


def test_progress_and_cancel():
    seen = []
    build_dw_mesh(colors(3, 8, 10), flat(3), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    with pytest.raises(Cancelled):
        build_dw_mesh(colors(3, 8, 10), flat(3), cancel=lambda: True)


def test_a_lens_of_another_shape_is_refused_and_one_of_another_size_scaled():
    rgb, depth = np.zeros((1, 48, 64, 3), np.uint8), np.full((1, 48, 64), 3.0, np.float32)
    with pytest.raises(EX4DError, match=r"1920x1080 pixels and the clip has 64x48: another shape"):
        build_dw_mesh(rgb, depth, Intrinsics.default(1920, 1080))
    lens = Intrinsics(700.0, 720.0, 310.0, 250.0, 640, 480)
    assert build_dw_mesh(rgb, depth, lens).intrinsics == lens.resized(64, 48)


def moving_clip(frames=4, height=24, width=32):
    """Everything comes nearer by one unit a frame, from 12 on."""
    depth = np.stack([np.full((height, width), 12.0 - t, np.float32) for t in range(frames)])
    depth[:, 8:16, 10:20] -= 2
    rgb = np.random.default_rng(4).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)
    return build_dw_mesh(rgb, depth, border_depth=40.0)


@pytest.mark.parametrize("frames", [slice(1, 3), [1, 2], range(1, 3)])
def test_a_part_of_a_clip_turns_around_the_whole_clips_pivot(frames):
    mesh = moving_clip()
    part = mesh.part(frames)
    assert part.frames == 2 and torch.equal(part.depth, mesh.depth[1:3]) and torch.equal(part.rgb, mesh.rgb[1:3])
    assert part.radius == mesh.radius == pytest.approx(10.15) and part.pivot == mesh.pivot


@pytest.mark.parametrize("frames", [slice(4, 9), [], [4], [-1, 0]])
def test_frames_that_are_not_there_are_refused(frames):
    with pytest.raises(EX4DError, match="frames 0 to 3"):
        moving_clip().part(frames)


def test_a_coarser_mesh_has_the_same_surfaces():
    mesh = moving_clip(height=48, width=64)
    coarse = mesh.coarser(400)
    assert (coarse.width, coarse.height) == (23, 17) and coarse.intrinsics == mesh.intrinsics.resized(23, 17)
    assert (coarse.radius, coarse.border_depth, coarse.style) == (mesh.radius, mesh.border_depth, mesh.style)
    assert (coarse.depth[:, [0, -1]] == 40).all() and (coarse.depth[:, :, [0, -1]] == 40).all()
    assert set(coarse.depth[0, 1:-1, 1:-1].unique().tolist()) == {10.0, 12.0}, "no depth in between"
    assert (coarse.rgb.float().mean((1, 2)) - mesh.rgb.float().mean((1, 2))).abs().max() < 5, "colours are averaged"
    assert coarse.rgb.float().std() < 0.6 * mesh.rgb.float().std()
    assert mesh.coarser(64 * 48) is mesh


@pytest.mark.parametrize(("width", "height"), [(512, 512), (1920, 1080), (100, 60)])
def test_reduced_sizes_keep_the_aspect_and_never_grow(width, height):
    across, down = reduced_size(width, height, 256 * 256)
    assert across <= width and across * down <= 1.01 * 256 * 256
    assert across / down == pytest.approx(width / height, rel=0.01)


@pytest.mark.parametrize("style", ["released", "paper"])
def test_a_mesh_in_place_is_the_same_and_takes_no_memory_of_its_own(style):
    rgb = torch.randint(0, 256, (3, 12, 16, 3), dtype=torch.uint8)
    depth = torch.rand(3, 12, 16) * 5 + 3
    plain = build_dw_mesh(rgb, depth, style=style)
    mesh = build_dw_mesh(rgb, depth, style=style, in_place=True)
    assert torch.equal(mesh.depth, plain.depth) and torch.equal(mesh.rgb, plain.rgb) and mesh.max_jump == plain.max_jump
    assert mesh.depth.data_ptr() == depth.data_ptr() and mesh.rgb.data_ptr() == rgb.data_ptr()
    floats = build_dw_mesh(rgb / 255, mesh.depth.double(), style=style, border_depth=plain.border_depth, in_place=True)
    assert torch.equal(floats.rgb, plain.rgb) and floats.depth.dtype == torch.float32
