"""Source pixels carried forward to another camera one by one: where they fall, and pictures of them as points and as splats."""

from __future__ import annotations

import torch
from torch import Tensor

from ...camera import invert_pose
from ...mesh import unproject
from ...trajectory import Trajectory
from .cases import Filmed

NEAR = 1e-3
SPLAT_SHARPNESS = 50.0
"""By which splats prefer what is near: weights fall by exp(50 x) over the share x of the frame's logarithmic depth range."""

Placed = tuple[Tensor, Tensor, Tensor, Tensor]
"""Column and row on pixels' centres, depth, and colour (N, 3) 0..255 of what lies in front of the camera."""


def placed_points(source: Filmed, path: Trajectory, t: int) -> Placed:
    """Frame ``t`` of a clip as points in front of that frame's camera of a path."""
    assert source.path.intrinsics is not None and path.intrinsics is not None
    own, other = source.path.intrinsics[t], path.intrinsics[t]
    pose = path.world_to_camera[t].astype("f8") @ invert_pose(source.path.world_to_camera[t].astype("f8"))
    to_camera = torch.from_numpy(pose)
    world = unproject(source.depth[t], own, 0.5).reshape(-1, 3)
    x, y, z = (world @ to_camera[:3, :3].T + to_camera[:3, 3]).unbind(-1)
    front = z > NEAR
    x, y, z = x[front], y[front], z[front]
    column, row = other.fx * x / z + other.cx - 0.5, other.fy * y / z + other.cy - 0.5
    return column, row, z, source.rgb[t].reshape(-1, 3)[front].double()


def point_frame(placed: Placed, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Each point as one pixel, the nearest in front: colour (H, W, 3) uint8, seen (H, W) bool, depth (H, W), 0 where none is."""
    column, row, z, colors = placed
    at, kept = inside(column.round(), row.round(), height, width)
    z, colors = z[kept], colors[kept]
    order = z.argsort(descending=True)  # where places repeat, the last assignment, the nearest, stays
    color, depth = torch.zeros((height * width, 3), dtype=torch.uint8), torch.zeros(height * width)
    nearest = torch.full((height * width,), torch.inf, dtype=torch.float64).scatter_reduce_(0, at, z, "amin")
    first = z[order] <= nearest[at[order]]
    color[at[order][first]] = colors[order][first].to(torch.uint8)
    depth[at[order][first]] = z[order][first].float()
    return color.view(height, width, 3), (depth > 0).view(height, width), depth.view(height, width)


def splat_frame(placed: Placed, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Each point shared among four pixels, near ones preferred; returns what `point_frame` does."""
    column, row, z, colors = placed
    logarithm = z.log()
    low, high = float(logarithm.min()), float(logarithm.max())
    importance = torch.exp(-SPLAT_SHARPNESS * (logarithm - low) / max(high - low, 1e-9))
    values = torch.cat([colors, z[:, None], torch.ones_like(z)[:, None]], 1)
    total = torch.zeros((height * width, 5), dtype=torch.float64)
    left, top = column.floor(), row.floor()
    for right, below in ((0, 0), (1, 0), (0, 1), (1, 1)):
        share = (1 - (column - left - right).abs()) * (1 - (row - top - below).abs())
        at, kept = inside(left + right, top + below, height, width)
        total.index_add_(0, at, values[kept] * (share * importance)[kept, None])
    seen = total[:, 4] > 1e-30
    mean = total[:, :4] / total[:, 4:].clamp(min=1e-30) * seen[:, None]
    color = (mean[:, :3] + 0.5).clamp(0, 255).to(torch.uint8)
    color[~seen] = 0
    return color.view(height, width, 3), seen.view(height, width), mean[:, 3].float().view(height, width)


def inside(column: Tensor, row: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Places in the picture as indices, and which of the points have one."""
    kept = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    return (row[kept] * width + column[kept]).long(), kept
