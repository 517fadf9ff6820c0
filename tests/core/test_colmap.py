"""COLMAP models, text and binary, as camera files."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from ex4d_core.camera import Intrinsics, matrix_from_quaternion
from ex4d_core.errors import EX4DError
from ex4d_core.trajectory import load_camera

CAMERAS = "# Camera list\n3 PINHOLE 640 480 500 510 320.5 241\n7 SIMPLE_RADIAL 640 480 480 320 240 0.0001\n"
# In the order of numbers, not of letters: frame 2 comes before frame 10.
IMAGES = (
    "# Image list with two lines of data per image:\n"
    "1 0.9 0.1 -0.2 0.3 1 2 3 3 frame10.jpg\n10.5 20.5 -1 30 40 7\n"
    "2 1 0 0 0 0 0 0 7 frame2.jpg\n\n"
    "9 0.5 0.5 0.5 -0.5 -1 0.25 4 3 frame 11.jpg\n1 2 3\n"
)


def text_model(folder, cameras=CAMERAS, images=IMAGES):
    folder.mkdir(exist_ok=True)
    (folder / "cameras.txt").write_text(cameras)
    (folder / "images.txt").write_text(images)
    return folder


def binary_model(folder):
    """The same model as COLMAP writes it."""
    folder.mkdir()
    lenses = struct.pack("<Q", 2)
    lenses += struct.pack("<IiQQ4d", 3, 1, 640, 480, 500, 510, 320.5, 241)
    lenses += struct.pack("<IiQQ4d", 7, 2, 640, 480, 480, 320, 240, 0.0001)
    (folder / "cameras.bin").write_bytes(lenses)
    images = struct.pack("<Q", 3)
    for number, pose, camera, name, points in (
        (1, (0.9, 0.1, -0.2, 0.3, 1, 2, 3), 3, "frame10.jpg", 2),
        (2, (1, 0, 0, 0, 0, 0, 0), 7, "frame2.jpg", 0),
        (9, (0.5, 0.5, 0.5, -0.5, -1, 0.25, 4), 3, "frame 11.jpg", 1),
    ):
        images += struct.pack("<I7dI", number, *pose, camera) + name.encode() + b"\0" + struct.pack("<Q", points)
        images += struct.pack("<ddq", 1, 2, 3) * points
    (folder / "images.bin").write_bytes(images)
    return folder


@pytest.mark.parametrize("make", [text_model, binary_model])
def test_a_model_is_a_path_in_the_order_of_the_names(tmp_path, make):
    path = load_camera(make(tmp_path / "model"), rebase=False)
    quaternions = np.array([[1, 0, 0, 0], [0.9, 0.1, -0.2, 0.3], [0.5, 0.5, 0.5, -0.5]])
    np.testing.assert_allclose(path.world_to_camera[:, :3, :3], matrix_from_quaternion(quaternions), atol=1e-6)
    np.testing.assert_allclose(path.world_to_camera[:, :3, 3], [[0, 0, 0], [1, 2, 3], [-1, 0.25, 4]])
    assert path.intrinsics[0] == Intrinsics(480, 480, 320, 240, 640, 480)
    assert path.intrinsics[1] == path.intrinsics[2] == Intrinsics(500, 510, 320.5, 241, 640, 480)


def test_the_list_of_images_alone_finds_its_cameras(tmp_path):
    path = load_camera(text_model(tmp_path / "model") / "images.txt")
    assert len(path) == 3 and np.allclose(path.world_to_camera[0], np.eye(4))
    (tmp_path / "model" / "cameras.txt").unlink()
    with pytest.raises(EX4DError, match=r"images.txt: COLMAP keeps lenses in cameras.txt"):
        load_camera(tmp_path / "model" / "images.txt")


def test_a_realestate_file_is_still_one(tmp_path):
    lens, pose = "0.9 1.2 0.5 0.5 0 0", "1 0 0 0 0 1 0 0 0 0 1 0"
    (tmp_path / "shot.txt").write_text(f"title\n0 {lens} {pose}\n66667 {lens} {pose}\n")
    assert len(load_camera(tmp_path / "shot.txt")) == 2


@pytest.mark.parametrize(
    ("cameras", "images", "said"),
    [
        ("3 PINHOLE 640 480 500 510 320\n", IMAGES, "has 3 parameters; PINHOLE has 4"),
        ("3 WIDE 640 480 500\n", IMAGES, "unknown model 'WIDE'"),
        ("3 OPENCV_FISHEYE 640 480 500 510 320 240 0 0 0 0\n", IMAGES, "OPENCV_FISHEYE lens. Undistort"),
        ("3 SIMPLE_RADIAL 640 480 500 320 240 -0.1\n", IMAGES, "bends the picture by .* pixels"),
        ("3 PINHOLE x 480 500 510 320 240\n", IMAGES, "line 1 of cameras.txt"),
        (CAMERAS, "1 1 0 0 0 0 0 0 5 a.jpg\n\n", "has the camera 5, which the model does not list"),
        (CAMERAS, "1 0 0 0 0 0 0 0 3 a.jpg\n\n", "'a.jpg' has no orientation"),
        (CAMERAS, "1 1 0 0 0 0 0 3 a.jpg\n\n", "line 1 is no COLMAP image"),
        (CAMERAS, "# Image list\n", "has no images"),
    ],
)
def test_models_that_are_none_are_refused(tmp_path, cameras, images, said):
    with pytest.raises(EX4DError, match=said):
        load_camera(text_model(tmp_path / "model", cameras, images))


def test_damaged_and_foreign_binary_files_are_refused(tmp_path):
    model = binary_model(tmp_path / "model")
    whole = (model / "images.bin").read_bytes()
    (model / "images.bin").write_bytes(whole[:70])
    with pytest.raises(EX4DError, match="ends too early"):
        load_camera(model)
    (model / "images.bin").write_bytes(b"\xff" * 200)
    with pytest.raises(EX4DError, match="no COLMAP model"):
        load_camera(model)
    (model / "images.bin").unlink()
    with pytest.raises(EX4DError, match="none of the camera formats that it could be: COLMAP model"):
        load_camera(model)
