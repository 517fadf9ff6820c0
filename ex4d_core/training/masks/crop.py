"""Smooth crops: a window that wanders over the clip as a camera would (A.3).

The window covers 85 to 95 per cent of a side. Its middle follows a cubic Bezier curve, and its size a second one; how fast
it goes along them is a third, so that it speeds up and slows down without a jerk. A crop is laid on clip and mask alike,
after the mask is made: holes stay where they are in the scene.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

SCALE = (0.85, 0.95)
"""Least and greatest side of the window as a share of the picture's; paper, A.3."""


@dataclass(frozen=True)
class CropWindow:
    """A window for each frame, in shares of the picture.

    Attributes:
        middle: (T, 2) float64, x and y of its middle.
        scale: (T,) float64, its sides.
    """

    middle: np.ndarray
    scale: np.ndarray

    def edges(self) -> np.ndarray:
        """(T, 4): left, top, right and bottom."""
        half = self.scale[:, None] / 2
        return np.concatenate([self.middle - half, self.middle + half], axis=1)


def draw_crop(frames: int, draws: np.random.Generator) -> CropWindow:
    """A window that stays inside the picture throughout.

    Args:
        frames: of the clip.
        draws: what is random.
    """
    controls = draws.random((4, 3))
    # Time runs from 0 to 1 along a curve of its own; its inner controls say how gently it starts and ends.
    ease = np.array([0.0, draws.uniform(0, 0.5), draws.uniform(0.5, 1), 1.0])
    way = _bezier(ease[:, None], np.linspace(0, 1, frames))[:, 0]
    x, y, size = _bezier(controls, way).T
    scale = SCALE[0] + (SCALE[1] - SCALE[0]) * size
    room = 1 - scale
    return CropWindow(np.stack([x, y], axis=-1) * room[:, None] + scale[:, None] / 2, scale)


def _bezier(controls: np.ndarray, at: np.ndarray) -> np.ndarray:
    """(N, D) points of a cubic Bezier curve of (4, D) controls at (N,) parameters."""
    t = at[:, None]
    a, b, c, d = controls
    return (1 - t) ** 3 * a + 3 * (1 - t) ** 2 * t * b + 3 * (1 - t) * t**2 * c + t**3 * d


def crop_frames(frames: Tensor, window: CropWindow) -> Tensor:
    """The window of every frame at the clip's own size, bilinear: (T, H, W, 3) uint8 to the same."""
    planes = frames.permute(0, 3, 1, 2).float()
    cut = functional.grid_sample(planes, _places(window, frames.shape[1:3]), padding_mode="border", align_corners=False)
    return cut.permute(0, 2, 3, 1).round_().clamp_(0, 255).to(torch.uint8)


def crop_mask(seen: Tensor, window: CropWindow) -> Tensor:
    """The same window of a (T, H, W) bool mask; a pixel is seen where the nearest one is."""
    places = _places(window, seen.shape[1:3])
    cut = functional.grid_sample(
        seen[:, None].float(), places, mode="nearest", padding_mode="border", align_corners=False
    )
    return cut[:, 0] > 0.5


def _places(window: CropWindow, size: torch.Size | tuple[int, int]) -> Tensor:
    height, width = size
    left, top, right, bottom = torch.from_numpy(window.edges()).float().mul(2).sub(1)[:, :, None].unbind(1)
    across = left + (right - left) * ((torch.arange(width) + 0.5) / width)
    down = top + (bottom - top) * ((torch.arange(height) + 0.5) / height)
    shape = (len(across), height, width)
    return torch.stack([across[:, None].expand(shape), down[:, :, None].expand(shape)], dim=-1)
