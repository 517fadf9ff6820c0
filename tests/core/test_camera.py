"""Poses, lenses and quaternions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ex4d_core.camera import (
    Intrinsics,
    check_poses,
    invert_pose,
    look_at,
    matrix_from_quaternion,
    opengl_from_opencv,
    pose_from,
    quaternion_from_matrix,
    rolled,
    slerp,
    y_up_from_opencv,
)
from ex4d_core.errors import EX4DError

coordinate = st.floats(-50, 50)
vector = st.tuples(coordinate, coordinate, coordinate)
quaternion = st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: np.linalg.norm(q) > 0.1)


def test_source_camera_is_the_identity():
    np.testing.assert_array_equal(look_at((0, 0, 0), (0, 0, 3)), np.eye(4))


def test_a_camera_to_the_right_looks_back_at_the_pivot():
    pose = look_at((2, 0, 2), (0, 0, 2))
    np.testing.assert_allclose(pose @ [0, 0, 2, 1], [0, 0, 2, 1], atol=1e-12)
    np.testing.assert_allclose(pose[:3, :3], [[0, 0, 1], [0, 1, 0], [-1, 0, 0]], atol=1e-12)


def test_positive_roll_is_clockwise_for_the_operator():
    # Turned by 90 degrees clockwise, what was above the camera appears at its left.
    above = look_at((0, 0, 0), (0, 0, 1), roll=90) @ [0, -1, 1, 1]
    np.testing.assert_allclose(above[:3], [-1, 0, 1], atol=1e-12)


@settings(max_examples=80, deadline=None)
@given(vector, vector, st.floats(-720, 720))
def test_look_at_is_rigid_and_centres_the_target(eye, target, roll):
    if np.linalg.norm(np.subtract(eye, target)) < 1e-3:
        return
    pose = look_at(eye, target, roll)
    check_poses(pose[None])
    x, y, z = (pose @ [*target, 1])[:3]
    assert abs(x) < 1e-9 * 50 and abs(y) < 1e-9 * 50 and z > 0
    np.testing.assert_allclose(invert_pose(pose)[:3, 3], eye, atol=1e-9)


@settings(max_examples=80, deadline=None)
@given(quaternion)
def test_quaternions_and_matrices_are_inverse(q):
    q = np.array(q) / np.linalg.norm(q)
    matrix = matrix_from_quaternion(q)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
    back = quaternion_from_matrix(matrix)
    np.testing.assert_allclose(matrix_from_quaternion(back), matrix, atol=1e-12)
    assert back[0] >= 0 and abs(abs(back @ q) - 1) < 1e-12


@settings(max_examples=40, deadline=None)
@given(quaternion, quaternion)
def test_slerp_turns_evenly_along_the_short_way(a, b):
    a, b = (np.array(q) / np.linalg.norm(q) for q in (a, b))
    path = slerp(np.tile(a, (5, 1)), np.tile(b, (5, 1)), np.linspace(0, 1, 5))
    np.testing.assert_allclose(np.linalg.norm(path, axis=1), 1, atol=1e-12)
    steps = np.abs(np.sum(path[1:] * path[:-1], axis=1))
    np.testing.assert_allclose(steps, steps[0], atol=1e-7)
    np.testing.assert_allclose(abs(path[-1] @ b), 1, atol=1e-9)


def test_frames_of_other_programs_are_their_own_inverse():
    pose = look_at((1, 2, -3), (0, 0.5, 2), 20)
    np.testing.assert_array_equal(opengl_from_opencv(opengl_from_opencv(pose)), pose)
    np.testing.assert_array_equal(y_up_from_opencv(y_up_from_opencv(pose)), pose)
    np.testing.assert_allclose(np.linalg.det(y_up_from_opencv(pose)[:3, :3]), 1)


@pytest.mark.parametrize(
    ("pose", "sentence"),
    [
        (np.eye(4) * np.nan, "NaN"),
        (pose_from(np.eye(3), np.array([0, 1e30, 0])), "away at frame 0"),
        (np.diag([2.0, 2, 2, 1]), "not a rotation"),
        (np.diag([-1.0, 1, 1, 1]), "mirrored"),
        (np.eye(3), "shape"),
    ],
)
def test_wrong_poses_are_refused(pose, sentence):
    with pytest.raises(EX4DError, match=sentence):
        check_poses(np.stack([pose]))


def test_a_camera_on_its_target_is_refused():
    with pytest.raises(EX4DError, match="must differ"):
        look_at((1, 2, 3), (1, 2, 3))


def test_intrinsics_round_trip_and_refusals():
    k = Intrinsics.from_fov(50, 640, 352)
    assert k.vertical_fov == pytest.approx(50)
    assert Intrinsics.from_matrix(k.matrix(), 640, 352) == k
    assert k.resized(320, 176).vertical_fov == pytest.approx(50)
    for bad in (
        lambda: Intrinsics.from_fov(0, 8, 8),
        lambda: Intrinsics(0, 1, 0, 0, 4, 4),
        lambda: Intrinsics.default(0, 4),
    ):
        with pytest.raises(EX4DError):
            bad()


def test_roll_and_position_survive_pose_from():
    rotation = rolled(np.eye(3), 30)
    pose = pose_from(rotation, np.array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(invert_pose(pose)[:3, :3], rotation, atol=1e-15)


def test_millimetres_go_by_the_height_of_the_film():
    """Textbook values: 50 mm on full frame 26.99, 35 mm on Super 35 29.86 degrees high; there and back on every film back."""
    from ex4d_core.camera_io.film import FILM_BACKS, focal_millimetres, lens_of_millimetres

    assert lens_of_millimetres(50, "full frame 36x24", 640, 352).vertical_fov == pytest.approx(26.99, abs=0.01)
    assert lens_of_millimetres(35, "super 35 24.89x18.66", 640, 352).vertical_fov == pytest.approx(29.86, abs=0.01)
    for name in FILM_BACKS:
        assert focal_millimetres(lens_of_millimetres(31.5, name, 640, 352), name) == pytest.approx(31.5)
    for bad in ((0.0, "full frame 36x24"), (50.0, "35 mm")):
        with pytest.raises(EX4DError, match=r"(focal length lies between|film back must be one of)"):
            lens_of_millimetres(*bad, 640, 352)
