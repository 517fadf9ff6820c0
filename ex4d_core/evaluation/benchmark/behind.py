"""What the source sees and a path's cameras must not: the points that lie behind the true surface."""

from __future__ import annotations

import torch

from ...demo_scene.truth import SAME_SURFACE
from ..occlusion import Hidden
from .cases import Filmed, Target
from .forward import inside, placed_points, point_frame

BEHIND = 2 * SAME_SURFACE
"""Share of the depth by which a point must lie behind the true surface to be hidden for sure."""


def hidden_behind(source: Filmed, truth: Target) -> Hidden:
    """Every source pixel as a point in the cameras of a path; the nearest of those that a surface hides.

    Args:
        source: the clip with its depth.
        truth: of the same frames.
    """
    color, there = torch.zeros_like(truth.rgb), torch.zeros(truth.depth.shape, dtype=torch.bool)
    height, width = truth.depth.shape[1:]
    for t in range(len(color)):
        column, row, z, colors = placed_points(source, truth.path, t)
        at, kept = inside(column.round(), row.round(), height, width)
        true = truth.depth[t].reshape(-1)[at]
        behind = (true > 0) & (z[kept] > (1 + BEHIND) * true)
        column, row, z, colors = (part[kept][behind] for part in (column, row, z, colors))
        color[t], there[t], _ = point_frame((column, row, z, colors), height, width)
    return Hidden(color, there)
