"""Any mesh of triangles along a path: against rays cast one by one, and laid into a scene by depth."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch

from ex4d_core.camera import Intrinsics, look_at
from ex4d_core.errors import Cancelled, EX4DError
from ex4d_core.mesh import build_dw_mesh
from ex4d_core.render import Triangles, nearer_of, render_color_mask, render_triangles
from ex4d_core.trajectory import Trajectory

BACKENDS = [
    pytest.param("numba", marks=pytest.mark.skipif(importlib.util.find_spec("numba") is None, reason="numba missing")),
    "torch",
]
LENS = Intrinsics(21.0, 20.0, 12.3, 9.6, 24, 20)
SETTLED = 1e-3
"""Of a share: samples this close to an edge may go either way."""

pytestmark = pytest.mark.usefixtures("one_thread")


def soup(seed: int, count: int = 14) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Triangles anywhere around a camera that looks along z, some through its plane: vertices, faces, colours."""
    rng = np.random.default_rng(seed)
    middle = rng.uniform([-1.5, -1.5, -0.5], [1.5, 1.5, 4], (count, 1, 3))
    vertices = (middle + rng.normal(0, 0.8, (count, 3, 3))).reshape(-1, 3).astype(np.float32)
    return (
        vertices,
        np.arange(3 * count).reshape(-1, 3).astype(np.int32),
        rng.integers(0, 255, (3 * count, 3), np.uint8),
    )


def cast(vertices, faces, pose, near):
    """Per pixel (face or -1, weights, depth, whether it is far from every edge), by one equation per pixel and face."""
    points = vertices.astype(float) @ pose[:3, :3].T + pose[:3, 3]
    found = np.full((LENS.height, LENS.width), -1)
    weights, depth = np.zeros((*found.shape, 3)), np.full(found.shape, np.inf)
    settled = np.ones(found.shape, bool)
    for y in range(LENS.height):
        for x in range(LENS.width):
            ray = np.array([(x + 0.5 - LENS.cx) / LENS.fx, (y + 0.5 - LENS.cy) / LENS.fy, 1.0])
            depths = []
            for f, face in enumerate(faces):
                share = np.linalg.solve(points[face].T, ray)  # ray = sum of corners
                z = 1.0 / share.sum()
                share = share * z
                settled[y, x] &= abs(share).min() > SETTLED or z < 0
                if share.min() >= 0 and z > near:
                    depths.append(z)
                    settled[y, x] &= z > near * 1.01
                    if z < depth[y, x]:
                        found[y, x], weights[y, x], depth[y, x] = f, share, z
            if len(depths) > 1:
                first, second = sorted(depths)[:2]
                settled[y, x] &= second > first * 1.001
    return found, weights, depth, settled


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_drawn_is_what_rays_meet_even_through_the_near_plane(backend: str) -> None:
    vertices, faces, colors = soup(11)
    pose = look_at((0.4, -0.3, 0.0), (0.0, 0.0, 2.0))
    mesh = Triangles(torch.from_numpy(vertices)[None], torch.from_numpy(faces), torch.from_numpy(colors))
    color, mask, depth = render_triangles(
        mesh, Trajectory(pose[None].astype(np.float32)), LENS, backend=backend, near=0.2
    )
    face, weights, z, settled = cast(vertices, faces, pose.astype(np.float32), 0.2)
    beyond = ((vertices @ pose[:3, :3].T + pose[:3, 3])[:, 2] > 0.2)[faces].sum(1)
    for corners in (
        1,
        2,
    ):  # the scene shows what the test is about: faces with one and with two corners beyond the near plane
        assert np.isin(face[settled], np.flatnonzero(beyond == corners)).any()
    assert settled.mean() > 0.8
    assert ((mask[0].numpy() > 0) == (face >= 0))[settled].all()
    seen = settled & (face >= 0)
    expected = (weights[..., None] * colors[faces[face]]).sum(2) / 255.0
    assert np.abs(depth[0].numpy() - z)[seen].max() < 1e-4
    assert np.abs(color[0].numpy() - expected)[seen].max() < 1e-4


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_texture_lies_where_its_places_say(backend: str) -> None:
    """A square that fills the picture shows its texture pixel for pixel."""
    texture = torch.randint(0, 255, (20, 24, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    lens = Intrinsics.from_focal(20.0, 24, 20)
    corners = torch.tensor([[-1.2, -1.0, 2.0], [1.2, -1.0, 2.0], [1.2, 1.0, 2.0], [-1.2, 1.0, 2.0]])
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    place = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    mesh = Triangles(corners[None], faces, texture=texture, uv=place[faces])
    path = Trajectory(np.eye(4, dtype=np.float32)[None])
    color, mask, depth = render_triangles(mesh, path, lens, backend=backend, out_dtype="uint8")
    assert bool((mask == 255).all()) and torch.allclose(depth, torch.full_like(depth, 2.0))
    assert int((color[0].int() - texture.int()).abs().max()) <= 1


def test_a_moving_mesh_rides_with_the_path_and_the_source_camera() -> None:
    """Frame n of the path shows frame n of the mesh, from where the source camera was."""
    triangle = torch.tensor([[-0.3, -0.3, 2.0], [0.3, -0.3, 2.0], [0.0, 0.4, 2.0]])
    step = torch.tensor([0.5, 0.0, 0.0])
    mesh = Triangles(torch.stack([triangle, triangle + step]), torch.tensor([[0, 1, 2]]))
    still = Trajectory(np.tile(np.eye(4, dtype=np.float32), (2, 1, 1)))
    follows = np.tile(np.eye(4, dtype=np.float32), (2, 1, 1))
    follows[1, 0, 3] = -0.5
    _, apart, _ = render_triangles(mesh, still, LENS)
    _, same, _ = render_triangles(mesh, still, LENS, source_camera=Trajectory(follows))
    assert not torch.equal(apart[0], apart[1])
    assert torch.equal(same[0], same[1]) and torch.equal(same[0], apart[0])


def test_a_mesh_in_a_scene_hides_and_is_hidden_by_depth() -> None:
    depth = torch.full((1, 20, 24), 3.0)
    depth[:, :, :12] = 1.0
    scene = build_dw_mesh(torch.full((1, 20, 24, 3), 0.5), depth)
    path = Trajectory(np.eye(4, dtype=np.float32)[None])
    around = render_color_mask(scene, path)
    corners = torch.tensor([[-4.0, -4.0, 2.0], [4.0, -4.0, 2.0], [4.0, 4.0, 2.0], [-4.0, 4.0, 2.0]])
    red = torch.tensor([[255, 0, 0]], dtype=torch.uint8).expand(4, 3)
    sheet = Triangles(corners[None], torch.tensor([[0, 1, 2], [0, 2, 3]]), red)
    own = render_triangles(sheet, path, scene.intrinsics)
    color, mask, z = nearer_of(own, around)
    assert bool((mask == 1).all())
    near = (slice(None), slice(2, -2), slice(2, 10))  # the rim of the watertight mesh leads to its back plate
    assert torch.equal(color[near], around[0][near]) and bool((z[:, :, 14:] == 2.0).all())
    assert bool((color[:, :, 14:, 0] == 1.0).all())
    behind, _, _ = nearer_of(own, around, margin=1.5)
    assert bool((behind[..., 0] == 1.0).all())


def test_bad_meshes_and_cancelling() -> None:
    good = Triangles(torch.rand(1, 3, 3) + torch.tensor([0, 0, 2.0]), torch.tensor([[0, 1, 2]]))
    path = Trajectory(np.eye(4, dtype=np.float32)[None])
    with pytest.raises(EX4DError, match="does not have; it has 3"):
        Triangles(good.vertices, torch.tensor([[0, 1, 3]]))
    with pytest.raises(EX4DError, match="not finite"):
        Triangles(good.vertices * float("nan"), good.faces)
    with pytest.raises(EX4DError, match="one is missing"):
        Triangles(good.vertices, good.faces, texture=torch.zeros(4, 4, 3, dtype=torch.uint8))
    with pytest.raises(EX4DError, match="places in its texture"):
        nowhere = torch.full((1, 3, 2), float("nan"))
        Triangles(good.vertices, good.faces, texture=torch.zeros(4, 4, 3, dtype=torch.uint8), uv=nowhere)
    with pytest.raises(EX4DError, match="Unknown backend 'triton' for triangles"):
        render_triangles(good, path, LENS, backend="triton")
    with pytest.raises(Cancelled):
        render_triangles(good, path, LENS, backend="torch", cancel=lambda: True)
    empty = Triangles(torch.zeros(1, 3, 3), torch.zeros((0, 3), dtype=torch.int64))
    assert float(render_triangles(empty, path, LENS)[1].sum()) == 0
