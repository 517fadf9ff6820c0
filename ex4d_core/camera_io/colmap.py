"""COLMAP models, text and binary: a folder with cameras and images, or images.txt with cameras.txt beside it.

``images``: a world-to-camera quaternion (w, x, y, z), translation, lens and name per picture, in the order of the names.
``cameras``: lenses in pixels, the first pixel's centre at (0.5, 0.5), as here. Source: colmap.github.io/format.html.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..camera import Intrinsics, matrix_from_quaternion, quaternion_from_matrix
from ..errors import EX4DError
from ..storage.names import natural_order
from .cameras import Cameras, Format, Hints, lenses_of, row_of_numbers, text_of

MODELS = {
    "SIMPLE_PINHOLE": 3,
    "PINHOLE": 4,
    "SIMPLE_RADIAL": 4,
    "RADIAL": 5,
    "OPENCV": 8,
    "OPENCV_FISHEYE": 8,
    "FULL_OPENCV": 12,
    "FOV": 5,
    "SIMPLE_RADIAL_FISHEYE": 4,
    "RADIAL_FISHEYE": 5,
    "THIN_PRISM_FISHEYE": 12,
}
"""Lens models by their number in binary files, with how many parameters each has."""
ONE_FOCAL = ("SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL")
DISTORTED = 2.0
"""Pixels by which a lens may bend the picture at its corner; what is bent more has to be undistorted first."""
MAX_IMAGES = 100_000
CAMERAS, IMAGES = "cameras", "images"


@dataclass(frozen=True)
class Image:
    """One picture of a model: its name, lens number, and w, x, y, z, tx, ty, tz."""

    name: str
    camera: int
    pose: tuple[float, ...]


def read_folder(_: bytes, hints: Hints) -> Cameras:
    """Reads a model's folder; of text and binary the binary one, which is exact."""
    cameras, images = (file.read_bytes() for file in _model_files(hints.folder))
    if _model_files(hints.folder)[0].suffix == ".bin":
        return _together(_binary_cameras(cameras), _binary_images(images))
    return _together(_text_cameras(cameras), _text_images(images))


def looks_like_model(_: bytes, hints: Hints) -> bool:
    """Whether a folder holds a model."""
    return bool(_model_files(hints.folder))


def _model_files(folder: Path) -> list[Path]:
    """Cameras and images, both binary or both text; nothing where there are none."""
    for suffix in (".bin", ".txt"):
        files = [folder / f"{name}{suffix}" for name in (CAMERAS, IMAGES)]
        if all(file.is_file() for file in files):
            return files
    return []


def read_text(data: bytes, hints: Hints) -> Cameras:
    """Reads images.txt, with the cameras.txt that lies beside it."""
    beside = hints.folder / f"{CAMERAS}.txt"
    if not beside.is_file():
        raise EX4DError(
            "COLMAP keeps lenses in cameras.txt, which does not lie beside this file. Put both in one folder."
        )
    return _together(_text_cameras(beside.read_bytes()), _text_images(data))


def looks_like_images(data: bytes, hints: Hints) -> bool:
    """Whether a text file is COLMAP's list of images."""
    return Path(hints.name).stem.lower() == IMAGES or data.lstrip().startswith(b"# Image list")


def _together(lenses: dict[int, Intrinsics], images: list[Image]) -> Cameras:
    """One camera a picture, in the order of their names, numbers in them counted as numbers."""
    if not images:
        raise EX4DError("this COLMAP model has no images. Give the model of a reconstruction that succeeded.")
    images = sorted(images, key=lambda image: natural_order(image.name))
    unknown = next((image for image in images if image.camera not in lenses), None)
    if unknown is not None:
        raise EX4DError(f"the image {unknown.name!r} has the camera {unknown.camera}, which the model does not list.")
    values = np.array([image.pose for image in images])
    if not np.isfinite(values).all() or (np.linalg.norm(values[:, :4], axis=1) < 1e-6).any():
        wrong = ~np.isfinite(values).all(axis=1) | (np.linalg.norm(values[:, :4], axis=1) < 1e-6)
        raise EX4DError(
            f"the image {images[int(np.argmax(wrong))].name!r} has no orientation or a value that is no number."
        )
    poses = np.tile(np.eye(4), (len(images), 1, 1))
    poses[:, :3, :3] = matrix_from_quaternion(values[:, :4])
    poses[:, :3, 3] = values[:, 4:]
    return Cameras(poses, tuple(lenses[image.camera] for image in images))


def _lens(number: int, model: str, width: int, height: int, values: list[float]) -> Intrinsics:
    if model not in MODELS:
        raise EX4DError(f"the camera {number} has the unknown model {model!r}. Known: {', '.join(MODELS)}.")
    if len(values) != MODELS[model]:
        raise EX4DError(f"the camera {number} has {len(values)} parameters; {model} has {MODELS[model]}.")
    if "FISHEYE" in model or model == "FOV":
        raise EX4DError(
            f"the camera {number} is a {model} lens. Undistort the images first (colmap image_undistorter)."
        )
    fx, fy, (cx, cy), rest = (
        (values[0], values[0], values[1:3], values[3:])
        if model in ONE_FOCAL
        else (values[0], values[1], values[2:4], values[4:])
    )
    lens = Intrinsics(fx, fy, cx, cy, width, height)
    if rest and (bent := _bent(lens, rest)) > DISTORTED:
        raise EX4DError(
            f"the camera {number} bends the picture by {bent:.0f} pixels at its corner. Undistort the images first (colmap "
            "image_undistorter)."
        )
    return lens


def _bent(lens: Intrinsics, values: list[float]) -> float:
    """Pixels by which radial and tangential distortion (OpenCV's order) moves the farthest corner."""
    k1, k2, p1, p2, k3, k4, k5, k6 = (*values, *[0.0] * (8 - len(values)))
    x = max(lens.cx, lens.width - lens.cx) / lens.fx
    y = max(lens.cy, lens.height - lens.cy) / lens.fy
    r = x * x + y * y
    radial = (1 + k1 * r + k2 * r**2 + k3 * r**3) / (1 + k4 * r + k5 * r**2 + k6 * r**3) - 1
    dx, dy = x * radial + 2 * abs(p1) * x * y + abs(p2) * (r + 2 * x * x), y * radial + abs(p1) * (r + 2 * y * y)
    return math.hypot(dx * lens.fx, dy * lens.fy)


def _text_lines(data: bytes) -> list[tuple[int, list[str]]]:
    """Numbered lines as words; comments left out, empty lines kept (an image without points has one)."""
    lines = enumerate(text_of(data).splitlines(), 1)
    return [(number, line.split()) for number, line in lines if not line.startswith("#")]


def _text_cameras(data: bytes) -> dict[int, Intrinsics]:
    lenses = {}
    for number, words in _text_lines(data):
        if not words:
            continue
        if len(words) < 5 or not all(word.isdigit() for word in (words[0], words[2], words[3])):
            raise EX4DError(f"line {number} of cameras.txt is not a number, a model, a width, a height and parameters.")
        values = row_of_numbers(words[4:], number)
        lenses[int(words[0])] = _lens(int(words[0]), words[1], int(words[2]), int(words[3]), values)
    return lenses


def _text_images(data: bytes) -> list[Image]:
    """Every other line is an image; the one after it holds its points, which are not read."""
    lines = _text_lines(data)
    images = []
    for number, words in lines[::2]:
        if not words and number == lines[-1][0]:
            continue
        if len(words) < 10 or not (words[0].isdigit() and words[8].isdigit()):
            raise EX4DError(f"line {number} is no COLMAP image: a number, 7 values of the pose, a camera and a name.")
        images.append(Image(" ".join(words[9:]), int(words[8]), tuple(row_of_numbers(words[1:8], number))))
    return images


class _Reader:
    """Walks through the values of a binary file."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, form: str) -> tuple:
        """The next values, little-endian."""
        size = struct.calcsize(f"<{form}")
        if self.at + size > len(self.data):
            raise EX4DError("this COLMAP file ends too early. Copy it again.")
        values = struct.unpack_from(f"<{form}", self.data, self.at)
        self.at += size
        return values

    def text(self) -> str:
        """The next text, which ends with a zero."""
        end = self.data.find(b"\0", self.at)
        if end < 0:
            raise EX4DError("this COLMAP file ends too early. Copy it again.")
        text = self.data[self.at : end].decode("utf-8", "replace")
        self.at = end + 1
        return text

    def count(self) -> int:
        """How many entries follow."""
        (count,) = self.take("Q")
        if count > MAX_IMAGES:
            raise EX4DError(f"this file would hold {count} entries, so it is no COLMAP model.")
        return count


def _binary_cameras(data: bytes) -> dict[int, Intrinsics]:
    reader, lenses, names = _Reader(data), {}, list(MODELS)
    for _ in range(reader.count()):
        number, model, width, height = reader.take("IiQQ")
        if not 0 <= model < len(names):
            raise EX4DError(f"the camera {number} has the unknown model {model}. Known: {', '.join(MODELS)}.")
        lenses[number] = _lens(number, names[model], width, height, list(reader.take(f"{MODELS[names[model]]}d")))
    return lenses


def _binary_images(data: bytes) -> list[Image]:
    reader, images = _Reader(data), []
    for _ in range(reader.count()):
        _number, *pose, camera = reader.take("I7dI")
        images.append(Image(reader.text(), camera, tuple(pose)))
        (points,) = reader.take("Q")
        reader.at += 24 * points  # two coordinates and the number of a point in space
    return images


def write_folder(cameras: Cameras) -> dict[str, bytes]:
    """Writes a text model with known poses and no points; one camera for equal lenses, pictures frame_00001.png and on."""
    lenses = lenses_of(cameras, "COLMAP")
    numbers = {lens: number for number, lens in enumerate(dict.fromkeys(lenses), 1)}
    header = "# Camera list with one line of data per camera:\n#   CAMERA_ID, MODEL, WIDTH, HEIGHT, fx, fy, cx, cy\n"
    rows = [
        f"{number} PINHOLE {k.width} {k.height} {k.fx:.12g} {k.fy:.12g} {k.cx:.12g} {k.cy:.12g}\n"
        for k, number in numbers.items()
    ]
    quaternions = quaternion_from_matrix(cameras.world_to_camera[:, :3, :3])
    images = [
        "# Image list with two lines of data per image:\n#   IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME\n"
    ]
    for n, (turn, pose, lens) in enumerate(zip(quaternions, cameras.world_to_camera, lenses, strict=True), 1):
        values = " ".join(f"{v:.12g}" for v in (*turn, *pose[:3, 3]))
        images.append(f"{n} {values} {numbers[lens]} frame_{n:05}.png\n\n")
    files = {f"{CAMERAS}.txt": header + "".join(rows), f"{IMAGES}.txt": "".join(images)}
    return {name: text.encode() for name, text in {**files, "points3D.txt": "# No points\n"}.items()}


FOLDER = Format(
    name="colmap",
    title="COLMAP model (a folder with cameras and images, .bin or .txt)",
    suffixes=(".colmap",),
    used_by="COLMAP, GLOMAP and what exports their models",
    keeps="poses, lens",
    read=read_folder,
    write_folder=write_folder,
    looks_like=looks_like_model,
    is_folder=True,
)
TEXT = Format(
    name="colmap_text",
    title="COLMAP images.txt",
    suffixes=(".txt",),
    used_by="COLMAP, GLOMAP and what exports their models",
    keeps="poses, lens",
    read=read_text,
    looks_like=looks_like_images,
)
