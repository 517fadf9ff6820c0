"""Films of meshes that move, for the nodes' own previews."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from ..ex4d_core.animate.film import triangles_of
from ..ex4d_core.animate.meshes import MeshClip, MeshFrames
from ..ex4d_core.camera import Intrinsics
from ..ex4d_core.preview.film import small_frames
from ..ex4d_core.render import Triangles, render_triangles
from ..ex4d_core.trajectory import Trajectory
from . import previews
from .progress import Job
from .settings import preview_pixels

SIDE = 384
"""Pixels of the picture that a moving mesh is drawn in."""
FRAMES = 49
"""Frames drawn, at most."""
AWAY = 3.0
"""Where the camera stands in front of the mesh, in the radius of the ball around all its frames."""
FOV = 43.0
"""Degrees, in which that ball just fits from there."""
KEYS_A_SECOND = 3.0
"""Meshes of key frames that are shown a second: they are looked at one by one."""


def clip_film(clip: MeshClip, job: Job) -> previews.Shown:
    """A film of a moving mesh on its own, seen from the source camera's side, whole in every frame."""
    color = drawn(clip, _thinned(len(clip)), job)
    film = partial(small_frames, color, FRAMES, preview_pixels())
    return previews.save_video(film, clip.fps, total=len(clip))


def key_frames_film(meshes: MeshFrames, job: Job) -> previews.Shown:
    """A film of the meshes of key frames, one after another, each whole and in axes of its own, y up."""
    chosen = [meshes.meshes[n] for n in _thinned(len(meshes))]
    pictures = []
    for mesh in chosen:
        colors = None if mesh.colors is None else torch.from_numpy((mesh.colors * 255 + 0.5).astype(np.uint8))
        points = _in_front(mesh.vertices[None], y_up=True)
        pictures.append(_film(Triangles(torch.from_numpy(points), torch.from_numpy(mesh.faces), colors), job))
        job.progress(len(pictures), len(chosen))
    film = partial(small_frames, torch.cat(pictures), FRAMES, preview_pixels())
    return previews.save_video(film, KEYS_A_SECOND)


def drawn(clip: MeshClip, shown: np.ndarray, job: Job) -> torch.Tensor:
    """(N, SIDE, SIDE, 3) float 0..1 pictures of frames of a clip."""
    points = _in_front(clip.vertices[shown], y_up=clip.space == "object")
    return _film(triangles_of(clip, points), job, job.progress)


def _thinned(count: int) -> np.ndarray:
    """Numbers of at most `FRAMES` frames, evenly over all."""
    return np.unique(np.linspace(0, count - 1, min(count, FRAMES)).round().astype(int))


def _in_front(points: np.ndarray, y_up: bool) -> np.ndarray:
    """Vertices (T, V, 3) as float32, moved and scaled so that the camera at the origin has all of them."""
    points = points.astype(np.float64) * ((1.0, -1.0, -1.0) if y_up else 1.0)
    low, high = points.min(axis=(0, 1)), points.max(axis=(0, 1))
    radius = float(np.linalg.norm(high - low)) / 2
    return ((points - (low + high) / 2) / radius + (0.0, 0.0, AWAY)).astype(np.float32)


def _film(triangles: Triangles, job: Job, progress: Callable[[int, int], None] | None = None) -> torch.Tensor:
    """(T, SIDE, SIDE, 3) float 0..1 pictures of triangles in front of the camera."""
    still = Trajectory(np.tile(np.eye(4, dtype=np.float32), (len(triangles.vertices), 1, 1)))
    lens = Intrinsics.from_fov(FOV, SIDE, SIDE)
    return render_triangles(triangles, still, lens, progress=progress, cancel=job.cancel)[0]
