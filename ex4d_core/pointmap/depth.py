"""Planar depth of every pixel of a point map whose cameras are known, and how far it can be trusted.

A pixel's point is projected onto the pixel's ray, which uses all three of its coordinates: with errors alike in all directions
that is the likeliest depth. Where a coordinate was moved onto an extreme of its frame (4DNeX does so with the outer 2 % of each
axis), the ray is met by the others alone.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ..errors import Cancelled
from ..machine.buffers import empty
from .clip import PointMap
from .fit import FittedCameras

OFF = 3.0
"""Standard deviations from its ray, in two directions together, beyond which a point is not what its pixel sees."""
PRECISION = 2e-6
"""Of float32 points, as a share of their extent."""
BAND = 2**15
"""Pixels at a time, whose numbers stay in a processor's cache."""
CUT_OFF = 0.5
"""Confidence of a depth that may have been moved to the 2nd or 98th percentile of its frame: of the right order."""
TELLS = 0.05
"""Share of a ray's squared length that its remaining axes must have to tell a depth: with less, noise grows five times."""


def depth_along_rays(
    pointmap: PointMap,
    cameras: FittedCameras,
    *,
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> tuple[Tensor, Tensor]:
    """Depth of every pixel, and how far it can be trusted.

    Args:
        pointmap: T frames.
        cameras: theirs.
        progress: called with (frames done, frames).
        cancel: polled once a frame.

    Returns:
        (T, H, W) float32 planar depth in the point map's unit; infinite where there is no point, and what lies behind the camera
        is not positive. (T, H, W) float32 confidence: 1 where there is a point, in front of the camera and on its ray;
        `CUT_OFF` where nothing tells that point's depth but a coordinate that may have been cut off at an extreme of its frame; 0
        elsewhere.

    Raises:
        Cancelled: ``cancel`` returned True.
    """
    frames, height, width = pointmap.points.shape[:3]
    lens = cameras.lens
    across = ((torch.arange(width) + 0.5 - lens.cx) / lens.fx).float()
    down = ((torch.arange(height) + 0.5 - lens.cy) / lens.fy).float()
    rays = torch.stack([across.expand(height, width), down[:, None].expand(height, width), torch.ones(height, width)])
    band = max(1, BAND // width)
    depth, confidence = empty((frames, height, width)), empty((frames, height, width))
    for t in range(frames):
        if cancel is not None and cancel():
            raise Cancelled("The depth of a point map was cancelled.")
        points = pointmap.points[t].cpu()
        for top in range(0, height, band):
            of = slice(top, top + band)
            found, sure = _of_rows(points[of].reshape(-1, 3), rays[:, of].reshape(3, -1), cameras, t)
            depth[t, of], confidence[t, of] = found.view(-1, width), sure.view(-1, width)
        valid = pointmap.valid[t].cpu()
        if not bool(valid.all()):
            depth[t].masked_fill_(~valid, torch.inf)
            confidence[t].masked_fill_(~valid, 0)
        if progress is not None:
            progress(t + 1, frames)
    return depth, confidence


def _of_rows(points: Tensor, rays: Tensor, cameras: FittedCameras, t: int) -> tuple[Tensor, Tensor]:
    """Depth (N,) of points (N, 3) on rays (3, N), z = 1 in the camera's frame, and its confidence."""
    turn = torch.from_numpy(cameras.rotation[t]).float()
    position = torch.from_numpy(cameras.position[t]).float()[:, None]
    low, high = torch.from_numpy(cameras.ends[:, t]).float()[..., None]
    points, ray = points.T.contiguous(), turn @ rays
    lowest, highest = points <= low, points >= high
    seen = points.sub_(position)
    squares = ray.square()
    whole = squares.sum(0)
    depth = (ray * seen).sum(0).div_(whole)
    reach = float(np.ptp(cameras.ends[:, t], axis=0).max())
    limit = 2 * (OFF * cameras.spread + PRECISION * reach) ** 2
    on_ray = (seen - ray * depth).square_().sum(0) <= limit
    ends = torch.nonzero((lowest | highest).any(0)).flatten()
    if not len(ends):
        return depth, (on_ray & (depth > 0)).float()
    # Most extremes are where they belong: only those off their rays were moved.
    lowest, highest, squares, whole = lowest[:, ends], highest[:, ends], squares[:, ends], whole[ends]
    free = ~(lowest | highest)
    left = (squares * free).sum(0)
    again = ~on_ray[ends] & (left > TELLS * whole)
    walls = torch.from_numpy(cameras.walls[:, t])[..., None]
    cut = (lowest & ~walls[0]) | (highest & ~walls[1])
    alone = (cut & (squares > 0.5 * whole)).any(0) & ~again  # nothing but the cut-off axis tells these depths
    at, kept = ends[again], free[:, again]
    ray, seen = ray[:, at], seen[:, at]
    depth[at] = (ray * seen * kept).sum(0) / left[again]
    on_ray[at] = ((seen - ray * depth[at]).square_() * kept).sum(0) <= limit
    confidence = (on_ray & (depth > 0)).float()
    confidence[ends[alone]] *= CUT_OFF
    return depth, confidence
