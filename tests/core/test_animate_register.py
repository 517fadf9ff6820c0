"""One topology over time, held against bodies whose every point is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ex4d_core.animate.meshes import MeshFrames, TriangleMesh
from ex4d_core.animate.register import follow
from ex4d_core.animate.register.bend import at_rest, bent, turns_of
from ex4d_core.animate.register.between import at_times, smoothed
from ex4d_core.animate.register.follow import Check, Followed
from ex4d_core.animate.register.graph import graph_of
from ex4d_core.animate.register.pulls import Pulls, no_pulls
from ex4d_core.animate.register.sequence import RegisterOptions, Tracks, problem, register
from ex4d_core.animate.register.stretch import strain, stretched, vertex_stretches
from ex4d_core.animate.surface import area, vertex_areas
from ex4d_core.animate.truth import mesh_errors
from ex4d_core.demo_scene.bodies import Body, Flaws, zero_surface
from ex4d_core.errors import Cancelled, EX4DError

BODY = Body("puppet", 2)
FRAMES = (0, 4, 8)
TIMES = {frame: 0.01 * frame for frame in range(9)}


@pytest.fixture(scope="module")
def given() -> MeshFrames:
    flaws = Flaws(cells=17)
    made = [BODY.generated(TIMES[frame], frame, flaws) for frame in FRAMES]
    meshes = tuple(TriangleMesh(each.vertices, each.faces, each.colors) for each in made)
    return MeshFrames(FRAMES, meshes, np.array([each.pose for each in made]))


@pytest.fixture(scope="module")
def registered(given):
    return register(given)


def test_every_point_stays_the_same_point_of_the_body(given, registered):
    clip, (rest, faces) = registered.clip, BODY.surface(20)
    truth = lambda frame: BODY.moved(rest, TIMES[frame])  # noqa: E731
    began = given.frames[registered.reference]
    found = mesh_errors(clip.vertices.astype(float), clip.faces, truth, faces, began, BODY.size)
    assert found.same_point.max() < 0.02
    assert found.surface.max() < 0.01 and (found.chamfer <= found.surface).all()


def test_errors_of_a_mesh_that_slides_and_stays():
    """A flat sheet shifted within itself lies on its surface still, but its points are off by the shift."""
    x, y = np.meshgrid(np.arange(9.0), np.arange(9.0))
    sheet = np.stack([x, y, 0 * x], -1).reshape(-1, 3)
    corner = (np.arange(8)[:, None] * 9 + np.arange(8)).reshape(-1)
    faces = np.concatenate(
        [np.stack([corner, corner + 1, corner + 9], 1), np.stack([corner + 1, corner + 10, corner + 9], 1)]
    )
    ways = np.array([[0, 0, 0], [0, 0, 0.5], [0.25, 0, 0]])
    moved = sheet + ways[:, None]
    found = mesh_errors(moved, faces, lambda _: sheet, faces, 0, 2.0)
    np.testing.assert_allclose(found.same_point, [0, 0.25, 0.125], atol=1e-9)
    np.testing.assert_allclose(found.surface[:2], [0, 0.25], atol=1e-9)
    assert found.surface[2] < 0.02


def test_the_clip_has_the_references_topology_and_stands_in_the_camera(given, registered):
    clip = registered.clip
    assert (len(clip), clip.space, clip.start) == (9, "camera", 0)
    reference = given.meshes[registered.reference]
    np.testing.assert_array_equal(clip.faces, reference.faces)
    np.testing.assert_array_equal(clip.colors, reference.colors)
    assert not registered.refused
    assert any("topology of frame" in line for line in registered.lines(FRAMES))


def test_a_frame_of_something_else_is_refused_and_interpolated(given):
    other = Body("jelly", 0).generated(0.3, 0, Flaws(cells=12, posed=False))
    wrong = TriangleMesh(other.vertices * 1.5, other.faces)
    poses = given.poses.copy()
    poses[1] = np.eye(4)
    meshes = replace(given, meshes=(given.meshes[0], wrong, *given.meshes[2:]), poses=poses)
    result = register(meshes, RegisterOptions(reference=0, every_frame=False))
    assert list(result.refused) == [1] and "of the size away" in result.refused[1]
    lengths = np.linalg.norm(np.ptp(result.clip.vertices, axis=1), axis=1)
    np.testing.assert_allclose(lengths[1], lengths[[0, 2]].mean(), rtol=0.05)
    assert "frame 4 refused and interpolated: its mesh is" in result.lines(FRAMES)[-1]


def test_tracks_hold_points_that_the_shape_leaves_open():
    """A ball that spins: its surface says nothing of the turn, points on it do."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(300, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    from scipy.spatial import ConvexHull

    def ball(seed: int) -> TriangleMesh:
        own = np.random.default_rng(seed).normal(size=(400, 3))
        own /= np.linalg.norm(own, axis=1, keepdims=True)
        faces = ConvexHull(own).simplices
        a, b, c = (own[faces[:, k]] for k in range(3))
        inwards = (np.cross(b - a, c - a) * a).sum(axis=1) < 0
        faces[inwards] = faces[inwards][:, ::-1]
        return TriangleMesh(own, faces)

    angle = 0.25
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    meshes = MeshFrames((0, 1), (ball(1), ball(2)))
    tracks = Tracks(np.stack([points, points @ turn.T]), np.ones((2, len(points)), bool))
    options = RegisterOptions(reference=0)
    for guide, expected in ((None, 0.0), (tracks, angle)):
        clip = register(meshes, options, tracks=guide).clip
        before, after = (clip.vertices[t].astype(float) for t in (0, 1))
        cross = (before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]).sum()
        turned = np.arctan2(cross, (before[:, :2] * after[:, :2]).sum())
        assert turned == pytest.approx(expected, abs=0.06)


@pytest.mark.parametrize(
    ("stiff", "soft", "taken", "tries"), [(0.0, 0.0, "stiff", 1), (0.03, 0.0, "soft", 2), (0.03, 0.04, "stiff", 2)]
)
def test_what_is_missed_is_tried_once_more_and_softer(monkeypatch, stiff, soft, taken, tries):
    """A body that is squashed is carried past its frame as a stiff whole; what misses less is taken."""
    made = {follow.BEND_STAGES: Followed(None, "stiff"), follow.SOFT_STAGES: Followed(None, "soft")}
    asked = []
    monkeypatch.setattr(follow, "follow", lambda *_, stages=follow.BEND_STAGES: asked.append(stages) or made[stages])
    missed = {"stiff": stiff, "soft": soft}
    monkeypatch.setattr(follow, "checked", lambda _, __, vertices: Check(0.01, 0.01, missed[vertices], 1.0, 1.0))
    reached, check = follow.followed_surely(None, None, None)
    assert (reached.vertices, check.missed, len(asked)) == (taken, missed[taken], tries)


def test_a_turning_shape_keeps_its_size_between_keys():
    square = np.array([[1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0]], float)
    angles = np.radians([0, 40, 80, 120])
    turns = [np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]]) for a in angles]
    keys = np.array([square @ turn.T for turn in turns])
    between = at_times([0, 2, 4, 6], keys, [0, 1, 2, 3, 5, 6])
    np.testing.assert_allclose(np.linalg.norm(between, axis=-1), 1, atol=1e-6)
    np.testing.assert_array_equal(between[[0, 2, 5]], keys[[0, 1, 3]])
    np.testing.assert_allclose(np.degrees(np.arctan2(between[3, 0, 1], between[3, 0, 0])), 60, atol=0.5)


def test_smoothing_slides_within_the_surface_alone():
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    flat = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], float)
    keys = np.repeat(flat[None], 5, axis=0)
    keys[2] += (0.1, 0, 0.1)
    made = smoothed(range(5), keys, faces, 1.0)
    np.testing.assert_allclose(made[2] - flat, np.tile([0, 0, 0.1], (4, 1)), atol=1e-6)
    np.testing.assert_array_equal(smoothed(range(5), keys, faces, 0.0), keys)


@pytest.mark.parametrize(
    ("check", "told"),
    [
        (Check(0.01, 0.02, 0.01, 1.0, 1.0), None),
        (Check(0.01, 0.05, 0.0, 1.0, 1.0), "5.0% of the size away"),
        (Check(0.01, 0.01, 0.08, 1.0, 1.0), "8% of its surface was not reached"),
        (Check(0.01, 0.01, 0.0, 0.4, 1.0), "its area would be 0.40 times"),
        (Check(0.01, 0.01, 0.0, 1.0, 3.0), "its volume would be 3.00 times"),
        (Check(float("nan"), 0.01, 0.0, 1.0, 1.0), "away from the deformed reference"),
    ],
)
def test_what_is_refused(check, told):
    why = problem(check)
    assert why is None if told is None else told in why


def test_bad_requests_and_cancelling(given):
    for options, tracks, told in (
        (RegisterOptions(reference=3), None, "meshes 0 to 2; mesh 3"),
        (RegisterOptions(smooth=2), None, "smooth must lie between 0 and 1"),
        (None, Tracks(np.zeros((2, 5, 3)), np.ones((2, 5), bool)), r"positions \(3, M, 3\)"),
        (RegisterOptions(reference=0), Tracks(np.zeros((3, 5, 3)), np.zeros((3, 5), bool)), "No track is seen"),
    ):
        with pytest.raises(EX4DError, match=told):
            register(given, options, tracks=tracks)
    with pytest.raises(Cancelled):
        register(given, cancel=lambda: True)


def squashed_ball() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(V, 3) points of a ball, (F, 3) faces, and where they go as it is pressed to three quarters of its height."""
    rest, faces = zero_surface(lambda at: np.linalg.norm(at, axis=1) - 0.3, np.full(3, -0.4), np.full(3, 0.4), 12)
    return rest, faces, rest * (1.15, 0.75, 1.15)


def test_nodes_that_stretch_meet_what_turns_alone_cannot():
    rest, faces, pressed = squashed_ball()
    graph = graph_of(rest, faces, 20)

    def pulls(vertices: np.ndarray, _: float) -> Pulls:
        """Each vertex to its own point, the more the larger its share of the surface."""
        found = no_pulls(len(vertices))
        weights = vertex_areas(rest, faces) / area(rest, faces)
        found.add(np.arange(len(rest)), pressed, np.zeros_like(pressed), weights, 1.0)
        return found

    turned = bent(graph, at_rest(graph), pulls, ((1.0, 1.0, 5),))
    found = stretched(graph, turned, pulls, ((1.0, 1e-4, 1.0, 4),))
    off = [
        np.linalg.norm(graph.moved(bend.turns, bend.shifts) - pressed, axis=1).mean() / 0.6 for bend in (turned, found)
    ]
    assert off[1] < 0.001 < 0.01 < off[0]
    np.testing.assert_allclose(
        vertex_stretches(graph, found), np.tile(np.diag([1.15, 0.75, 1.15]), (len(rest), 1, 1)), atol=0.02
    )
    turn = np.tile(turns_of(np.array([[0.3, -0.2, 0.5]])), (len(graph.places), 1, 1))
    assert strain(graph, at_rest(graph).carried(turn[0], np.ones(3), graph.places)) == pytest.approx(0, abs=1e-9)
    assert 0.1 < strain(graph, found) < 0.3


def test_points_of_a_body_that_is_squashed_do_not_slide(monkeypatch):
    """A rounded box, pressed to 70 % of its height: held to its lengths at rest, its points would slide."""

    def distance(at: np.ndarray) -> np.ndarray:
        beyond = np.maximum(np.abs(at) - (0.3, 0.25, 0.2), 0)
        return np.linalg.norm(beyond, axis=1) - 0.1

    scales = [np.array([low**-0.5, low, low**-0.5]) for low in (1.0, 0.85, 0.7)]
    made = [zero_surface(distance, np.full(3, -0.5), np.full(3, 0.5), 9, None, shift) for shift in (0.0, 0.3, 0.6)]
    meshes = MeshFrames(
        (0, 1, 2), tuple(TriangleMesh(at * scale, faces) for (at, faces), scale in zip(made, scales, strict=True))
    )
    off = []
    for limit in (follow.SQUASHED, 9.0):
        monkeypatch.setattr(follow, "SQUASHED", limit)
        moved = register(meshes, RegisterOptions(reference=0)).clip.vertices
        off.append(np.linalg.norm(moved[2] - moved[0] * scales[2], axis=1).mean())
    assert off[0] < 0.02 and off[1] > 1.5 * off[0], off
