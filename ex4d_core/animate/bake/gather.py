"""What the frames of a video show of places on a mesh: their pixels, weighted by how well each frame sees the place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from ...camera import Intrinsics
from ...render import Triangles, render_triangles
from ...render.triangles import looked_up
from ...trajectory import Trajectory
from .atlas import Places

PIECE = 2**16
"""Places looked at at a time."""
GRAZING = 0.2
"""Cosine of the angle to the surface below which a frame tells no colour."""
SHARPER = 3.0
"""Power of a frame's resolution on the surface in its weight: the best frames, not a blur of all."""
OUTLIER = 0.1
"""Difference from the mean, 0..1, at which a frame counts half in the second pass."""
STEP = 0.02
"""Of the object's size: where depth goes on otherwise than it came by so much is an edge, whose pixels are not taken."""


@dataclass(frozen=True, eq=False)
class Film:
    """The frames that a texture is made from.

    Attributes:
        points: (T, V, 3) float64 vertices in the camera's frame.
        faces: (F, 3).
        normals: (T, V, 3) unit vectors out of the surface.
        lenses: (T) of the frames' size.
        images: (T, H, W, 3) uint8.
        depth: (T, H, W) float32 of the mesh, 0 around it.
        usable: (T, H, W) bool, pixels that show the surface and no edge of it.
        sharpness: (T,) of each frame beside the others, about 1.
        size: of the object.
    """

    points: np.ndarray
    faces: np.ndarray
    normals: np.ndarray
    lenses: list[Intrinsics]
    images: np.ndarray
    depth: np.ndarray
    usable: np.ndarray
    sharpness: np.ndarray
    size: float


def make_film(
    points: np.ndarray,
    faces: np.ndarray,
    images: np.ndarray,
    masks: np.ndarray | None,
    lenses: list[Intrinsics],
    progress: Callable[[int, int], None] | None,
    cancel: Callable[[], bool] | None,
) -> Film:
    """The mesh laid over its video: what is seen of it at each pixel.

    Args:
        points: (T, V, 3) in the frame of each frame's camera.
        faces: (F, 3).
        images: (T, H, W, 3) uint8.
        masks: (T, H, W) bool, where the video shows the object; None = everywhere that the mesh is.
        lenses: T, of the frames' size.
        progress: called with (frames done, frames).
        cancel: polled; True raises Cancelled.
    """
    mesh = Triangles(torch.from_numpy(points.astype(np.float32)), torch.from_numpy(faces.astype(np.int32)))
    still = Trajectory(np.tile(np.eye(4, dtype=np.float32), (len(points), 1, 1)), intrinsics=tuple(lenses))
    _, _, drawn = render_triangles(mesh, still, lenses[0], out_dtype="uint8", progress=progress, cancel=cancel)
    depth = drawn.numpy()
    size = float(np.linalg.norm(np.ptp(points[0], axis=0)))
    shown = depth > 0 if masks is None else (depth > 0) & masks
    usable = np.stack([_inner(plane, own, STEP * size) for plane, own in zip(depth, shown, strict=True)])
    detail = np.array([_detail(frame, own) for frame, own in zip(images, usable, strict=True)])
    usual = np.median(detail[detail > 0]) if (detail > 0).any() else 1.0
    sharpness = np.clip(detail / max(usual, 1e-6), 0.3, 2.0)
    normals = np.stack([_normals(frame, faces) for frame in points])
    return Film(points, faces, normals, lenses, images, depth, usable, sharpness, size)


def _inner(depth: np.ndarray, shown: np.ndarray, step: float) -> np.ndarray:
    """Pixels whose neighbours show the same surface: depth goes on as it came, however steep that is."""
    padded = np.pad(np.where(shown, depth, np.inf), 1, constant_values=np.inf)
    middle = padded[1:-1, 1:-1]
    with np.errstate(invalid="ignore"):
        across = np.abs(padded[1:-1, :-2] + padded[1:-1, 2:] - 2 * middle)
        down = np.abs(padded[:-2, 1:-1] + padded[2:, 1:-1] - 2 * middle)
        return shown & (np.maximum(across, down) < step)


def _detail(image: np.ndarray, inside: np.ndarray) -> float:
    """Mean size of a picture's second differences inside: of two frames the blurred one has less."""
    light = image.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    middle = inside[1:-1, 1:-1]
    if not middle.any():
        return 0.0
    second = 4 * light[1:-1, 1:-1] - light[:-2, 1:-1] - light[2:, 1:-1] - light[1:-1, :-2] - light[1:-1, 2:]
    return float(np.abs(second[middle]).mean())


def _normals(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    a, b, c = (points[faces[:, k]] for k in range(3))
    of_faces = np.cross(b - a, c - a)
    normals = np.zeros_like(points)
    for corner in range(3):
        for axis in range(3):
            normals[:, axis] += np.bincount(faces[:, corner], of_faces[:, axis], len(points))
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)


def gathered(
    film: Film, places: Places, progress: Callable[[int, int], None] | None, cancel: Callable[[], None]
) -> tuple[np.ndarray, np.ndarray]:
    """Colours of places from all frames that see them.

    Args:
        film: the frames.
        places: N on the surface.
        progress: called with (places done, places).
        cancel: called between pieces; may raise.

    Returns:
        (N, 3) float32 colours 0..1, and (N,) bool, whether any frame sees the place.
    """
    count = len(places.face)
    colors, seen = np.zeros((count, 3), np.float32), np.zeros(count, bool)
    for begin in range(0, count, PIECE):
        cancel()
        part = slice(begin, begin + PIECE)
        piece = Places(places.face[part], places.shares[part])
        sights = [_sight(film, t, piece) for t in range(len(film.points))]
        color = np.stack([sight[0] for sight in sights])
        weight = np.stack([sight[1] for sight in sights])
        mean = _mean(color, weight)
        off = ((color - mean) ** 2).sum(2)
        colors[part] = _mean(color, weight / (1 + off / OUTLIER**2))
        seen[part] = weight.sum(0) > 0
        if progress is not None:
            progress(min(begin + PIECE, count), count)
    return colors, seen


def _mean(color: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return (color * weight[..., None]).sum(0) / np.maximum(weight.sum(0), 1e-12)[:, None]


def _sight(film: Film, t: int, places: Places) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) colours 0..1 and (N,) weights of places in one frame; weight 0 where it does not see them."""
    corners = film.faces[places.face]
    place = (places.shares[..., None] * film.points[t][corners]).sum(1)
    normal = (places.shares[..., None] * film.normals[t][corners]).sum(1)
    lens, z = film.lenses[t], np.maximum(place[:, 2], 1e-9)
    spot = np.stack([lens.fx * place[:, 0] / z + lens.cx, lens.fy * place[:, 1] / z + lens.cy], 1)
    height, width = film.depth.shape[1:]
    column, row = np.floor(spot).T
    inside = (column >= 0) & (row >= 0) & (column < width) & (row < height) & (place[:, 2] > 0)
    i, j = np.where(inside, row, 0).astype(np.int64), np.where(inside, column, 0).astype(np.int64)
    cosine = -(normal * place).sum(1) / np.maximum(
        np.linalg.norm(normal, axis=1) * np.linalg.norm(place, axis=1), 1e-30
    )
    pixel = z / np.sqrt(lens.fx * lens.fy)
    # Half a pixel beside its centre the surface is that much deeper at this slant.
    slack = pixel / np.maximum(cosine, GRAZING) + 0.003 * film.size
    seen = inside & film.usable[t, i, j] & (cosine > GRAZING) & (np.abs(film.depth[t, i, j] - place[:, 2]) < slack)
    picture = torch.from_numpy(film.images[t])
    uv = torch.from_numpy(spot / (width, height))
    color = looked_up(picture, uv).numpy() / 255.0
    sharp = film.sharpness[t] * cosine * (film.size / pixel / 100) ** 2
    return color.astype(np.float32), np.where(seen, np.maximum(sharp, 0) ** SHARPER, 0.0).astype(np.float32)
