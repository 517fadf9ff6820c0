"""A camera path from elsewhere, brought to the unit of a clip's depth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from ..camera import Intrinsics, invert_pose
from ..errors import EX4DError
from ..trajectory import Trajectory, source_camera_of
from .bundle import lens_array
from .camera import AGREEING, TOLERANCE, Progress, Solution, Work, grey_frames
from .tracks import follow_points

SCALES = np.logspace(-4, 4, 161)
"""Units of the depth per unit of the path that are tried before the best is refined."""
STANDS = 1e-6
"""A path whose positions spread by less of the depth's nearest has no scale to fit."""
SIGHTS = 4
"""Sights of each point that are looked at, spread over the time that it is seen."""


def fit_source_camera(
    frames: torch.Tensor,
    depth: torch.Tensor,
    path: Trajectory,
    intrinsics: Intrinsics | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Solution:
    """A camera path in the unit of a clip's depth: the scale at which points of the clip are found where they were seen.

    Args:
        frames: (T, H, W, 3) uint8, or float 0..1.
        depth: (T, H, W) planar depth.
        path: at least T poses in a unit of their own; T lenses or None.
        intrinsics: the clip's lens where the path has none; None = the training data's.
        progress: called with (steps done, steps): one a frame and a few more.
        cancel: polled once a step.

    Returns:
        The path at its scale, and what it rests on; never with ``trouble``.

    Raises:
        EX4DError: shapes or counts that do not fit, a path that at no scale fits the clip (fewer than 35 % of its points
            within 4 pixels at 512 of width), or OpenCV is not installed.
        Cancelled: ``cancel`` returned True.
    """
    count, height, width = depth.shape
    path = source_camera_of(path, count, (width, height), intrinsics)
    step = Progress(count + 2, progress, cancel)
    tracks = follow_points(grey_frames(frames), progress=step, cancel=cancel)
    lenses = path.intrinsics or (intrinsics or Intrinsics.default(width, height),) * count
    work = Work(tracks, depth.cpu().numpy(), np.stack([lens_array(k) for k in lenses]), width / 512, step)
    poses = path.world_to_camera.astype(np.float64)
    tolerance = TOLERANCE * work.scale
    fit = _Fit(work, poses)
    spread = float(np.ptp(invert_pose(poses)[:, :3, 3], axis=0).max())
    scale = 1.0 if spread < STANDS * float(depth.min()) else fit.best(tolerance)
    away = fit.away(scale)
    agrees = away < 2 * tolerance
    if not agrees.any() or agrees.mean() < AGREEING:
        raise EX4DError(
            f"The camera path does not belong to this clip: at its best scale, {scale:.3g}, only "
            f"{100 * (agrees.mean() if len(agrees) else 0):.0f} % of the points of the clip are found where they were seen. "
            "Check its first frame, its frame rate and its axes."
        )
    poses[:, :3, 3] *= scale
    step()
    levels = work.depth_scales(poses)
    still = np.zeros(len(tracks), bool)
    still[np.unique(fit.track[agrees])] = True
    camera = replace(path, world_to_camera=poses)
    step.finish()
    return Solution(camera, None, tracks, still, float(np.median(away[agrees])), levels, scale)


class _Fit:
    """How far points are from where they were seen, at a scale of the path."""

    def __init__(self, work: Work, poses: np.ndarray) -> None:
        chosen = work.seen & (np.arange(work.frames) > work.tracks.anchor[:, None])
        chosen &= np.isfinite(work.depth[np.arange(len(work.tracks)), work.tracks.anchor])[:, None]
        rank = np.cumsum(chosen, axis=1)
        stride = np.maximum(1, rank[:, -1:] // SIGHTS)
        self.track, frame = np.nonzero(chosen & (rank % stride == 0))
        anchor = work.tracks.anchor[self.track]
        relative = poses[frame] @ invert_pose(poses[anchor])
        z = work.depth[self.track, anchor]
        fx, fy, cx, cy = work.lenses[anchor].T
        pixel = work.tracks.position[self.track, anchor].astype(np.float64)
        camera = np.stack([(pixel[:, 0] - cx) / fx * z, (pixel[:, 1] - cy) / fy * z, z], -1)
        self.turned = (relative[:, :3, :3] @ camera[..., None])[..., 0]
        self.shift = relative[:, :3, 3]
        self.seen = work.tracks.position[self.track, frame].astype(np.float64)
        self.lens = work.lenses[frame]

    def away(self, scale: float) -> np.ndarray:
        """(M,) pixels."""
        point = self.turned + scale * self.shift
        z = np.where(point[:, 2] > 1e-9, point[:, 2], np.nan)
        pixel = self.lens[:, :2] * point[:, :2] / z[:, None] + self.lens[:, 2:]
        return np.nan_to_num(np.linalg.norm(pixel - self.seen, axis=1), nan=1e6)

    def best(self, tolerance: float) -> float:
        """The scale at which most points agree: a grid of logarithms, then ever smaller steps around its best."""

        def cost(logarithm: float) -> float:
            squared = (self.away(float(np.exp(logarithm))) / tolerance) ** 2
            return float((squared / (1 + squared)).sum())

        grid = np.log(SCALES)
        middle, step = grid[int(np.argmin([cost(v) for v in grid]))], grid[1] - grid[0]
        for _ in range(12):
            tried = middle + step * np.linspace(-1, 1, 5)
            middle, step = tried[int(np.argmin([cost(v) for v in tried]))], step / 2
        return float(np.exp(middle))
