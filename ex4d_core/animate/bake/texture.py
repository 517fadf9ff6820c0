"""A moving mesh painted with the pixels of its video: vertex colours or a texture, one for the whole clip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from ...camera import Intrinsics
from ...errors import Cancelled, EX4DError
from ..meshes import MeshClip
from .atlas import vertex_places
from .fill import spread
from .gather import gathered, make_film
from .unwrap import layout

Paint = Literal["texture", "vertex colors"]
PAINTS: tuple[Paint, ...] = get_args(Paint)
MOST_FRAMES = 48
"""Frames looked at; of a longer clip these are spread evenly."""
SIZES = (64, 8192)


@dataclass(frozen=True, eq=False)
class Baked:
    """A painted mesh.

    Attributes:
        clip: the mesh with a texture or vertex colours.
        seen: share of its surface that some frame shows, 0..1.
        texels: (S, S) bool, texels that show what some frame shows; None with vertex colours.
    """

    clip: MeshClip
    seen: float
    texels: np.ndarray | None


def bake_texture(
    clip: MeshClip,
    images: np.ndarray,
    lens: Intrinsics,
    *,
    masks: np.ndarray | None = None,
    lenses: tuple[Intrinsics, ...] | None = None,
    paint: Paint = "texture",
    size: int = 1024,
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Baked:
    """Paint a mesh that moves with the video that it was made from.

    Each place of the surface takes the pixels of the frames that see it, the more the closer and the more squarely, and the
    sharper the frame is; a frame that disagrees with the others counts little. What no frame sees takes the colours around it,
    spread over the surface.

    Args:
        clip: the mesh, in the source camera's frame.
        images: (T, H, W, 3) uint8, the video; the mesh's first frame is number ``clip.start`` of it.
        lens: the video's.
        masks: (T, H, W), > 0.5 where the video shows the object; None = all that the mesh covers.
        lenses: T of them, where the lens changes.
        paint: "texture" or "vertex colors".
        size: texels of the texture, both ways.
        progress: called with (steps done, steps).
        cancel: polled; True raises Cancelled.

    Raises:
        EX4DError: a mesh in axes of its own, a video that is too short, masks of another size, a texture too small for the faces,
            a mesh that no frame shows.
        Cancelled: ``cancel`` returned True.
    """
    _check(clip, images, masks, paint, size)
    picked = np.unique(np.linspace(0, len(clip) - 1, min(len(clip), MOST_FRAMES)).round().astype(int))
    frames = picked + clip.start
    height, width = images.shape[1:3]
    own = [(lens if lenses is None else lenses[frame]).fitted(width, height) for frame in frames]

    def poll() -> None:
        if cancel is not None and cancel():
            raise Cancelled("Baking was cancelled.")

    def half(begin: int) -> Callable[[int, int], None] | None:
        report = progress
        return None if report is None else lambda done, of: report(begin + 100 * done // max(of, 1), 200)

    film = make_film(
        clip.vertices[picked].astype(np.float64),
        clip.faces,
        np.ascontiguousarray(images[frames]),
        None if masks is None else np.asarray(masks[frames]) > 0.5,
        own,
        half(0),
        cancel,
    )
    numbers, at_vertices = vertex_places(clip.faces)
    colors, known = np.zeros(clip.vertices.shape[1:], np.float32), np.zeros(clip.vertices.shape[1], bool)
    colors[numbers], known[numbers] = gathered(film, at_vertices, None, poll)
    if not known.any():
        raise EX4DError(
            "No frame of the video shows the mesh: it lies outside of the pictures, behind the camera, or its faces are turned "
            "inside out. Fit it to the video first."
        )
    colors = np.clip(spread(colors, known, clip.faces), 0, 1).astype(np.float32)
    if paint == "vertex colors":
        return Baked(replace(clip, colors=colors, uv=None, texture=None), _share(clip, known), None)
    atlas = layout(clip.vertices[0], clip.faces, size)
    found, seen = gathered(film, atlas.places, half(100), poll)
    around = (atlas.places.shares[..., None] * colors[clip.faces[atlas.places.face]]).sum(1)
    texture = np.full((size * size, 3), 128, np.uint8)
    texture[atlas.texel] = np.clip(np.where(seen[:, None], found, around) * 255 + 0.5, 0, 255).astype(np.uint8)
    shown = np.zeros(size * size, bool)
    shown[atlas.texel] = seen
    painted = replace(clip, colors=None, uv=atlas.uv, texture=texture.reshape(size, size, 3))
    return Baked(painted, _share(clip, known), shown.reshape(size, size))


def _share(clip: MeshClip, known: np.ndarray) -> float:
    a, b, c = (clip.vertices[0].astype(np.float64)[clip.faces[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    return float((area * known[clip.faces].mean(1)).sum() / max(area.sum(), 1e-30))


def _check(clip: MeshClip, images: np.ndarray, masks: np.ndarray | None, paint: str, size: int) -> None:
    if clip.space != "camera":
        raise EX4DError(
            "The moving mesh stands in axes of its own, and where the camera saw it is not known. Fit the meshes to the video "
            "before they are registered."
        )
    if images.ndim != 4 or images.shape[3] != 3 or images.dtype != np.uint8:
        raise EX4DError(f"The video is uint8 of shape (T, H, W, 3), got {images.dtype} {tuple(images.shape)}.")
    if len(images) < clip.start + len(clip):
        raise EX4DError(
            f"The mesh moves through the video's frames {clip.start} to {clip.start + len(clip) - 1}, and the video has "
            f"{len(images)}. Give the video that the meshes were fitted to."
        )
    if masks is not None and tuple(masks.shape) != tuple(images.shape[:3]):
        raise EX4DError(f"Masks must be of the video's size, {tuple(images.shape[:3])}; got {tuple(masks.shape)}.")
    if paint not in PAINTS:
        raise EX4DError(f"A mesh is painted with one of {', '.join(PAINTS)}; got {paint!r}.")
    if not SIZES[0] <= size <= SIZES[1]:
        raise EX4DError(f"A texture is {SIZES[0]} to {SIZES[1]} texels wide, got {size}.")
