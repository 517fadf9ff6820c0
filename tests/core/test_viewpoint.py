"""The move to a 3D viewer's camera: three.js world in, our world out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ex4d_core.camera import invert_pose
from ex4d_core.errors import EX4DError
from ex4d_core.trajectory import Trajectory, move_to_viewpoint


def viewer(x, y, z, target=(0, 0, 0)):
    point = lambda values: dict(zip("xyz", values))  # noqa: E731
    position = np.add((x, y, z), target)
    return {"position": point(position), "target": point(target), "zoom": 1, "cameraType": "perspective"}


def eye(path: Trajectory, frame: int) -> np.ndarray:
    return invert_pose(path.world_to_camera[frame].astype(np.float64))[:3, 3]


@pytest.mark.parametrize(
    ("camera", "expected"),
    [
        (viewer(0, 0, 7), (0, 0, 0)),  # its front is the source view
        (viewer(7, 0, 0), (3, 0, 3)),  # from its right: from our right
        (viewer(0, 7, 0), (0, -3, 3)),  # from above: our y points down
        (viewer(-7, 0, 0, target=(1, 2, 3)), (-3, 0, 3)),
        (viewer(0, 5, 5), (0, -3 / 2**0.5, 3 - 3 / 2**0.5)),
    ],
)
def test_the_last_camera_stands_where_the_viewer_looks_from(camera, expected):
    path = move_to_viewpoint(camera, radius=3.0, frames=9)
    assert np.allclose(path.world_to_camera[0], np.eye(4), atol=1e-6)
    assert np.allclose(eye(path, -1), expected, atol=1e-5)
    centre = path.world_to_camera[-1] @ [0, 0, 3, 1]
    assert np.allclose(centre[:3], [0, 0, 3], atol=1e-5), "the pivot stays in the middle, at the radius"


def test_of_a_list_of_cameras_the_first_counts():
    """Newer hosts make one of a camera's whole way."""
    cameras = [viewer(7, 1, 2), viewer(0, 7, 0)]
    path = move_to_viewpoint(cameras, radius=3.0, frames=5)
    assert np.array_equal(path.world_to_camera, move_to_viewpoint(cameras[0], radius=3.0, frames=5).world_to_camera)
    with pytest.raises(EX4DError, match="empty"):
        move_to_viewpoint([], radius=3.0, frames=5)


def test_a_camera_as_newer_hosts_describe_it_looks_the_same_way():
    """Position (4, 3, -5) from its target; the rotation by three.js's own lookAt, y up."""
    older = viewer(4, 3, -5, target=(1, 2, 3))
    newer = {name: value for name, value in older.items() if name != "rotation"}
    newer |= {"fov": 35.0, "aspect": 1.5, "near": 0.1, "far": 100.0, "quaternion": turned_from((4, 3, -5))}
    wanted = move_to_viewpoint(older, radius=2.0, frames=9).world_to_camera
    assert np.array_equal(move_to_viewpoint(newer, radius=2.0, frames=9).world_to_camera, wanted)
    alone = {name: value for name, value in newer.items() if name != "target"}
    assert np.allclose(move_to_viewpoint(alone, radius=2.0, frames=9).world_to_camera, wanted, atol=1e-6)


def turned_from(backward) -> dict[str, float]:
    """The rotation of a three.js camera whose own +z is this direction and whose x lies level."""
    z = np.array(backward) / np.linalg.norm(backward)
    x = np.cross([0, 1, 0], z)
    x /= np.linalg.norm(x)
    quaternion = Rotation.from_matrix(np.column_stack([x, np.cross(z, x), z])).as_quat()
    return dict(zip("xyzw", map(float, quaternion), strict=True))


def test_scale_is_the_distance_and_the_horizon_stays_level():
    path = move_to_viewpoint(viewer(4, 3, -5), radius=2.0, distance=1.5, frames=17, ease="in-out")
    assert np.linalg.norm(eye(path, -1) - [0, 0, 2]) == pytest.approx(3.0, abs=1e-5)
    assert np.allclose(path.world_to_camera[:, 0, 1], 0, atol=1e-6), "the right axis has no part along the vertical"


@pytest.mark.parametrize(
    "camera",
    [
        viewer(0, 0, 0),
        {},
        None,
        [None],
        [3],
        {"position": {"x": 1, "y": 2, "z": 3}, "quaternion": {"x": 1}},
        "",
        {"position": {"x": 1}, "target": 3},
        viewer(float("nan"), 0, 1),
    ],
)
def test_a_camera_that_looks_nowhere_is_refused(camera):
    with pytest.raises(EX4DError, match="Load 3D"):
        move_to_viewpoint(camera, radius=2.0, frames=9)
