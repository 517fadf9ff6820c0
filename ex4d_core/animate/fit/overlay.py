"""The fitted meshes drawn over their frames, to be looked at: the mesh shaded, the mask's outline around it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from ...camera import Intrinsics
from ...errors import Cancelled
from ...render import Triangles, render_triangles
from ...trajectory import Trajectory
from ..meshes import MeshFrames

MESH, OUTLINE = np.array([0.25, 0.75, 1.0]), np.array([1.0, 0.85, 0.0])
SHARE = 0.65
"""Of the mesh over the picture."""


def overlay(
    meshes: MeshFrames,
    masks: np.ndarray,
    lens: Intrinsics,
    images: np.ndarray | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> np.ndarray:
    """A picture for every mesh.

    Args:
        meshes: N, with poses.
        masks: (T, H, W) of the video's frames.
        lens: the video's, where the meshes know none.
        images: (T, H, W, 3) float 0..1; None = black.
        progress: called with (meshes drawn, N).
        cancel: polled before each; True raises Cancelled.

    Returns:
        (N, H, W, 3) float32 0..1.

    Raises:
        Cancelled: ``cancel`` returned True.
    """
    still = Trajectory(np.eye(4, dtype=np.float32)[None])
    pictures = np.empty((len(meshes), *masks.shape[1:], 3), np.float32)
    for n, frame in enumerate(meshes.frames):
        if cancel is not None and cancel():
            raise Cancelled("Drawing the overlay was cancelled.")
        own = (lens if meshes.lenses is None else meshes.lenses[n]).fitted(masks.shape[2], masks.shape[1])
        vertices = torch.from_numpy(meshes.vertices(n).astype(np.float32))
        mesh = Triangles(vertices[None], torch.from_numpy(meshes.meshes[n].faces))
        shaded, there, _ = (part[0].numpy() for part in render_triangles(mesh, still, own))
        mask = np.asarray(masks[frame]) > 0.5
        below = np.zeros((*mask.shape, 3), np.float32) if images is None else np.asarray(images[frame], np.float32)
        over = np.where(there[..., None] > 0, (1 - SHARE) * below + SHARE * shaded * MESH * 1.4, below)
        pictures[n] = np.where(_rim(mask)[..., None], OUTLINE, over).clip(0, 1)
        if progress is not None:
            progress(n + 1, len(meshes))
    return pictures


def _rim(mask: np.ndarray) -> np.ndarray:
    """Pixels of a mask beside one that is not."""
    padded = np.pad(mask, 1, mode="edge")
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inner
