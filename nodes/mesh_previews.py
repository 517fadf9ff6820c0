"""Films of meshes that move, for the nodes' own previews."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from ..ex4d_core.animate.film import triangles_of
from ..ex4d_core.animate.meshes import MeshClip
from ..ex4d_core.camera import Intrinsics
from ..ex4d_core.preview.film import small_frames
from ..ex4d_core.render import render_triangles
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


def clip_film(clip: MeshClip, job: Job) -> previews.Shown:
    """A film of a moving mesh on its own, seen from the source camera's side, whole in every frame."""
    shown = np.unique(np.linspace(0, len(clip) - 1, min(len(clip), FRAMES)).round().astype(int))
    color = drawn(clip, shown, job)
    film = partial(small_frames, color, FRAMES, preview_pixels())
    return previews.save_video(film, clip.fps, total=len(clip))


def drawn(clip: MeshClip, shown: np.ndarray, job: Job) -> torch.Tensor:
    """(N, SIDE, SIDE, 3) float 0..1 pictures of frames of a clip."""
    points = clip.vertices[shown].astype(np.float64)
    if clip.space == "object":  # y up
        points = points * (1.0, -1.0, -1.0)
    low, high = points.min(axis=(0, 1)), points.max(axis=(0, 1))
    radius = float(np.linalg.norm(high - low)) / 2
    points = (points - (low + high) / 2) / radius + (0.0, 0.0, AWAY)
    path = Trajectory(np.tile(np.eye(4, dtype=np.float32), (len(shown), 1, 1)), fps=clip.fps)
    lens = Intrinsics.from_fov(FOV, SIDE, SIDE)
    triangles = triangles_of(clip, points.astype(np.float32))
    return render_triangles(triangles, path, lens, progress=job.progress, cancel=job.cancel)[0]
