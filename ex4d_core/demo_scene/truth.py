"""What the scene's cameras would really see along a path, and what of it the source video can tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..camera import Intrinsics, invert_pose
from ..errors import Cancelled
from .scene import DemoScene

SAME_SURFACE = 0.02
"""Rendered and true depth within this share of each other are the same surface."""


@dataclass(frozen=True)
class Truth:
    """What the cameras of a path would see, and what they can know of it from the source video.

    Attributes:
        color, depth: (T, H, W, 3) uint8 and planar depth (T, H, W) from the path's cameras.
        looked_up: (T, H, W, 3) uint8, the source's colours carried there through the exact geometry (``look_up``).
        visible: (T, H, W) bool, where the source camera sees the same point.
        world_to_camera: (T, 4, 4).
    """

    color: Tensor
    depth: Tensor
    looked_up: Tensor
    visible: Tensor
    world_to_camera: np.ndarray


def truth_along(
    scene: DemoScene,
    source: tuple[Tensor, Tensor],
    world_to_camera: np.ndarray,
    *,
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Truth:
    """The truth from every camera of a path.

    Args:
        scene: what is filmed.
        source: ``scene.clip()``.
        world_to_camera: (frames, 4, 4), in the world of the source camera's first frame.
        progress: called with (frames done, frames in all).
        cancel: polled before each frame.
    """
    color, depth = torch.empty_like(source[0]), torch.empty_like(source[1])
    looked_up, visible = torch.empty_like(color), torch.empty(depth.shape, dtype=torch.bool)
    for t in range(scene.frames):
        if cancel is not None and cancel():
            raise Cancelled("The ground truth was cancelled.")
        color[t], depth[t] = scene.frame(t, world_to_camera[t])
        looked_up[t], visible[t] = look_up(
            source[0][t],
            source[1][t],
            depth[t],
            world_to_camera[t] @ invert_pose(scene.source_pose(t)),
            scene.intrinsics,
            scene.source_lens(t),
        )
        if progress is not None:
            progress(t + 1, scene.frames)
    return Truth(color, depth, looked_up, visible, world_to_camera)


def look_up(
    source_color: Tensor,
    source_depth: Tensor,
    true_depth: Tensor,
    source_to_camera: np.ndarray,
    intrinsics: Intrinsics,
    source_intrinsics: Intrinsics | None = None,
) -> tuple[Tensor, Tensor]:
    """What a camera sees, taken bilinearly from the source picture through the true depth of that camera.

    Args:
        source_color: (H, W, 3) uint8 of the source camera.
        source_depth: its planar depth (H, W).
        true_depth: (H, W) planar depth of the other camera.
        source_to_camera: (4, 4) from the source camera's frame to the other camera's.
        intrinsics: of the other camera.
        source_intrinsics: of the source camera, of the same size; None = the other's.

    Returns:
        Colour (H, W, 3) uint8, and where the source camera sees that point too, (H, W) bool.
    """
    k, source = intrinsics, source_intrinsics or intrinsics
    to_source = torch.from_numpy(np.linalg.inv(np.asarray(source_to_camera, np.float64))).float()
    u = (torch.arange(k.width) + 0.5 - k.cx) / k.fx
    v = ((torch.arange(k.height) + 0.5 - k.cy) / k.fy)[:, None]
    x, y, z = ((row[0] * u + row[1] * v + row[2]) * true_depth + row[3] for row in to_source[:3])
    column, row = source.fx * x / z + source.cx, source.fy * y / z + source.cy
    grid = torch.stack([2 / k.width * column - 1, 2 / k.height * row - 1], -1)[None]
    picture = source_color.permute(2, 0, 1)[None].float()
    color = F.grid_sample(picture, grid, mode="bilinear", align_corners=False)[0].permute(1, 2, 0)
    nearest = F.grid_sample(source_depth[None, None], grid, mode="nearest", align_corners=False)[0, 0]
    framed = (z > 0) & (column > 1) & (column < k.width - 1) & (row > 1) & (row < k.height - 1)
    return color.round_().to(torch.uint8), framed & ((nearest / z - 1).abs() < SAME_SURFACE)
