"""Meshes that travel between the steps: what they hold, and what is refused, each in a sentence."""

from __future__ import annotations

import numpy as np
import pytest

from ex4d_core.animate.meshes import MeshClip, MeshFrames, TriangleMesh
from ex4d_core.animate.surface import edges_of, signed_volume
from ex4d_core.animate.voxels import surface_of_voxels
from ex4d_core.errors import EX4DError

CORNERS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 2]], float)
SIDES = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]])


def tetrahedron(**fields: object) -> TriangleMesh:
    return TriangleMesh(**{"vertices": CORNERS, "faces": SIDES} | fields)


def moving(**fields: object) -> MeshClip:
    return MeshClip(**{"vertices": CORNERS[None].repeat(3, 0), "faces": SIDES} | fields)


def test_a_mesh_is_kept_as_float32_and_int32():
    mesh = tetrahedron(colors=np.full((4, 3), 2.0))
    assert (mesh.vertices.dtype, mesh.faces.dtype) == (np.float32, np.int32)
    assert mesh.size == pytest.approx(np.sqrt(6))
    assert mesh.colors is not None and mesh.colors.max() == 1


def not_finite() -> np.ndarray:
    vertices = CORNERS.copy()
    vertices[1:3, 0] = np.nan, np.inf
    return vertices


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"vertices": np.zeros((0, 3))}, "has no vertices"),
        ({"faces": np.zeros((0, 3), int)}, "has no faces: points alone have no surface"),
        ({"vertices": CORNERS[:, :2]}, r"\(V, 3\), got \(4, 2\)"),
        ({"vertices": "mesh"}, "got no array of numbers"),
        ({"vertices": not_finite()}, "2 vertices of the mesh are not finite"),
        ({"vertices": np.ones((4, 3))}, "All 4 vertices of the mesh lie in one point"),
        ({"faces": SIDES + 1}, "names vertex 4, and the mesh has 0 to 3"),
        ({"faces": SIDES - 1}, "names vertex -1"),
        ({"faces": SIDES * 1.0}, r"whole numbers \(F, 3\), got float64"),
        ({"faces": SIDES[:, :2]}, r"got int64 \(4, 2\)"),
        ({"colors": np.zeros((3, 3))}, r"\(4, 3\), one for each vertex; got \(3, 3\)"),
        ({"colors": np.full((4, 3), np.nan)}, "colours are not finite"),
    ],
)
def test_a_broken_mesh_is_refused(fields, told):
    with pytest.raises(EX4DError, match=told):
        tetrahedron(**fields)


def test_placed_meshes_stand_in_the_source_camera():
    pose = np.array([[0, -2, 0, 1], [2, 0, 0, 0], [0, 0, 2, 5], [0, 0, 0, 1]], float)
    meshes = MeshFrames((2, 6), (tetrahedron(), tetrahedron()))
    assert (len(meshes), meshes.length) == (2, 5)
    np.testing.assert_array_equal(meshes.vertices(1), CORNERS)
    np.testing.assert_allclose(meshes.placed(np.stack([np.eye(4), pose])).vertices(1)[1:3], [[1, 2, 5], [-1, 0, 5]])


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"meshes": (), "frames": ()}, "There is no mesh"),
        ({"frames": (0, 1, 2)}, "2 meshes for 3 frame numbers"),
        ({"frames": (3, 3)}, "must increase from mesh to mesh, got 3, 3"),
        ({"frames": (-1, 3)}, "whole numbers from 0 on"),
        ({"frames": (0, 1.5)}, "whole numbers from 0 on"),
        ({"poses": np.eye(4)[None]}, r"\(2, 4, 4\), one for each mesh; got \(1, 4, 4\)"),
        ({"poses": np.stack([np.eye(4), np.diag([1.0, 1, -1, 1])])}, "pose of mesh 1 is no similarity"),
        ({"poses": np.stack([np.diag([1.0, 2, 1, 1]), np.eye(4)])}, "pose of mesh 0 is no similarity"),
        ({"poses": np.full((2, 4, 4), np.nan)}, "not finite"),
        ({"fps": 0.0}, "fps must lie between"),
    ],
)
def test_meshes_that_do_not_belong_together_are_refused(fields, told):
    with pytest.raises(EX4DError, match=told):
        MeshFrames(**{"frames": (0, 4), "meshes": (tetrahedron(), tetrahedron())} | fields)


def test_a_moving_mesh_gives_its_frames():
    clip = moving(colors=np.zeros((4, 3)), start=4)
    assert len(clip) == 3 and clip.mesh(2).colors is not None
    assert clip.size == pytest.approx(np.sqrt(6))


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"vertices": CORNERS}, r"\(T, V, 3\), got \(4, 3\)"),
        ({"faces": SIDES + 1}, "names vertex 4"),
        ({"uv": np.zeros((4, 3, 2))}, "places in a texture but no texture"),
        ({"texture": np.zeros((2, 2, 3), np.uint8)}, "a texture but no places in it"),
        (
            {"texture": np.zeros((2, 2, 3), np.uint8), "uv": np.zeros((4, 2))},
            r"\(4, 3, 2\), one for each face's corners",
        ),
        ({"texture": np.zeros((2, 2, 3)), "uv": np.zeros((4, 3, 2))}, r"uint8 of shape \(H, W, 3\), got float64"),
        ({"space": "world"}, "one of object, camera; got 'world'"),
        ({"start": -2}, "whole numbers from 0 on"),
    ],
)
def test_a_moving_mesh_that_does_not_fit_is_refused(fields, told):
    with pytest.raises(EX4DError, match=told):
        moving(**fields)


def test_voxels_become_a_closed_surface_right_side_out():
    """A ball between whole voxels, off the middle, in a grid that is no cube; the host's own axes: the last is x."""
    z, y, x = np.mgrid[:20, :24, :32] + 0.5
    away = np.sqrt((z - 9) ** 2 + (y - 12) ** 2 + (x - 20) ** 2)
    made = surface_of_voxels(0.6 + (7.3 - away), 0.6)
    edges, counts = edges_of(made.faces)
    assert (counts == 2).all() and len(made.vertices) - len(edges) + len(made.faces) == 2
    middle = (np.array([20, 12, 9]) - 16) / 16
    np.testing.assert_allclose(np.linalg.norm(made.vertices - middle, axis=1), 7.3 / 16, atol=0.01)
    assert signed_volume(made.vertices.astype(float), made.faces) == pytest.approx(
        4 / 3 * np.pi * (7.3 / 16) ** 3, rel=0.03
    )
    full = surface_of_voxels((away < 50).astype(np.float32) * (z > 1))  # up to the grid's sides it is closed, too
    assert (edges_of(full.faces)[1] == 2).all()
    for grid, told in ((np.zeros((4, 4, 4)), "None of the voxels"), (np.ones((4, 4, 4)), "All of"), (z[0], "a grid")):
        with pytest.raises(EX4DError, match=told):
            surface_of_voxels(grid)
