"""Bodies with exact tracks: their triangles are closed, their motion is smooth, and flaws are as large as they say."""

from __future__ import annotations

import numpy as np
import pytest

from ex4d_core.demo_scene.bodies import DISTANCE, KINDS, PERFECT, Body
from ex4d_core.demo_scene.marching import zero_surface
from ex4d_core.errors import EX4DError


def volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return float((a * np.cross(b, c)).sum() / 6)


def edges_face_to_face(faces: np.ndarray) -> bool:
    """Every edge is passed once each way: the surface is closed and turns no face the wrong way."""
    directed = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64)
    there, back = (np.sort(pair[:, 0] * len(directed) + pair[:, 1]) for pair in (directed, directed[:, ::-1]))
    return len(np.unique(there)) == len(there) and np.array_equal(there, back)


def test_a_ball_is_closed_and_of_the_right_volume():
    ball = zero_surface(lambda points: np.linalg.norm(points, axis=1) - 1, -np.ones(3), np.ones(3), 16, shift=0.3)
    assert edges_face_to_face(ball[1])
    np.testing.assert_allclose(np.linalg.norm(ball[0], axis=1), 1, atol=1e-6)
    assert volume(*ball) == pytest.approx(4 / 3 * np.pi, rel=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_a_body_is_closed_and_keeps_its_volume(kind):
    body = Body(kind, 1)
    rest, faces = body.surface(28)
    assert edges_face_to_face(faces)
    assert np.abs(body.distance(rest)).max() < 0.01 * body.size
    volumes = [volume(body.moved(rest, time), faces) for time in (0.0, 0.3, 0.7)]
    np.testing.assert_allclose(volumes, volume(rest, faces), rtol=0.06)
    steps = np.linalg.norm(body.moved(rest, 0.301) - body.moved(rest, 0.3), axis=1)
    assert 0 < steps.max() < 0.01 * body.size
    assert body.moved(rest, 0.5)[:, 2].mean() == pytest.approx(DISTANCE, abs=0.3)


def test_generated_meshes_lie_on_the_body_but_share_nothing():
    body = Body("walker", 3)
    meshes = [body.generated(0.4, seed) for seed in (0, 1)]
    for mesh in meshes:
        placed = mesh.vertices @ mesh.pose[:3, :3].T + mesh.pose[:3, 3]
        off = np.linalg.norm(placed - body.moved(mesh.rest, 0.4), axis=1) / body.size
        assert np.sqrt((off**2).mean() / 3) == pytest.approx(0.003, rel=0.2)
        assert volume(placed, mesh.faces) > 0
        assert not edges_face_to_face(mesh.faces)
        assert mesh.colors.min() >= 0 and mesh.colors.max() <= 1
    assert len(meshes[0].vertices) != len(meshes[1].vertices)
    assert np.abs(meshes[0].pose - meshes[1].pose).max() > 0.1
    perfect = body.generated(0.4, 0, PERFECT)
    np.testing.assert_array_equal(perfect.vertices, body.moved(perfect.rest, 0.4))


def test_bodies_are_the_same_every_time_and_differ_by_seed():
    again, other = Body("puppet", 4), Body("puppet", 5)
    np.testing.assert_array_equal(Body("puppet", 4).surface(16)[0], again.surface(16)[0])
    assert again.size != other.size
    with pytest.raises(EX4DError, match="one of puppet, walker, jelly; got 'cat'"):
        Body("cat")
