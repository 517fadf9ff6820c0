"""Points with known truth: of depth, and in the form in which 4DNeX stores them."""

from __future__ import annotations

import numpy as np

from ex4d_core.demo_scene.world import SKY_RADIUS


def unprojected(depth: np.ndarray, lens, to_world: np.ndarray) -> np.ndarray:
    """(T, H, W, 3) world points of planar depth."""
    across = (np.arange(lens.width) + 0.5 - lens.cx) / lens.fx
    down = (np.arange(lens.height) + 0.5 - lens.cy) / lens.fy
    rays = np.stack([*np.meshgrid(across, down), np.ones((lens.height, lens.width))], -1)
    seen = depth[..., None] * rays
    return np.einsum("tij,thwj->thwi", to_world[:, :3, :3], seen) + to_world[:, None, None, :3, 3]


def in_the_cube(points: np.ndarray, cut: float) -> tuple[np.ndarray, float, np.ndarray]:
    """As 4DNeX's training data: cut to percentiles, each frame centred, one scale; stored 0..1. Scale, and which were cut."""
    low, high = np.quantile(points, [cut, 1 - cut], axis=(1, 2))
    clipped = np.clip(points, low[:, None, None], high[:, None, None])
    scale = ((high - low) / 2).max()
    middle = ((low + high) / 2)[:, None, None]
    return ((clipped - middle) / scale + 1) / 2, 2 * scale, (clipped != points).any(-1)


def is_demo_sky(points: np.ndarray) -> np.ndarray:
    """Which of the demo scene's world points (..., 3) are its sky."""
    return np.abs(np.linalg.norm(points, axis=-1) / SKY_RADIUS - 1) < 1e-4
