"""Where the source camera was, from the clip and its depth alone: no network, nothing to download.

tracks -> a robust pose a frame -> all poses, points and depth scales together -> what moves by itself is left out
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace

import numpy as np
import torch

from ..camera import DEFAULT_FPS, Intrinsics
from ..depth import DepthClip
from ..errors import Cancelled, EX4DError
from ..pixels import to_uint8
from ..trajectory import Trajectory
from .bundle import Adjusted, Sights, adjust, lens_array, pose_of_frame, projected
from .tracks import Tracks, follow_points

FEWEST = 40
"""Points that a frame must share with those before it."""
AGREEING = 0.35
"""Share of a frame's points that one camera must explain."""
TOLERANCE = 2.0
"""Pixels at 512 of width within which a point agrees with a pose before everything is refined."""
LARGEST_RESIDUAL = 1.0
"""Pixels at 512 of width: a solution whose still points are off by more (median) is none."""
EDGE = 1.08
"""Depth around a point that changes by this factor more than around most is the edge of something: it tells nothing."""
LEAST_ZOOM = 0.03
"""Logarithm of the focal length's range below which nobody would call it a zoom."""
JOINT = 120
"""Frames refined together at most, whose unknowns are solved at once: 0.2 GB of memory. The others follow one by one."""
PASSES = (4, 4, 12)
"""Steps of refinement, at most; after each pass what disagrees is left out of the next."""
REFINED = 220
"""Points of each frame that are refined together, the ones that are followed longest."""
PIXEL_SIGMA = 0.15
"""Error of a track in pixels, about; sets how much tracks and depth count against each other."""
FIRST_DEPTH_SIGMA, LEAST_DEPTH_SIGMA = 0.1, 0.002
"""Relative error of the depth before it is measured, and the least it is taken for: of exact depth too, at points between
pixels."""
FLICKER = 0.01
"""Frames' depth scales that differ from 1 by less are left as they are."""


@dataclass(frozen=True, eq=False)
class Solution:
    """What came of it.

    Attributes:
        camera: the source camera, T poses in the depth's unit (and T lenses, where the clip's was not known); where the
            clip cannot be solved, the identity throughout.
        trouble: why it cannot be solved, as a sentence; None where it was.
        tracks: the points followed.
        still: (N,) bool, those that were found to stand still, on which the solution rests.
        residual: median distance in pixels from where the solution puts the still points; NaN where there is none.
        depth_scale: (T,) by which each frame's depth is multiplied to agree with the others'.
        scale: units of the depth per unit of the path, where that was given.
    """

    camera: Trajectory
    trouble: str | None
    tracks: Tracks
    still: np.ndarray
    residual: float
    depth_scale: np.ndarray
    scale: float = 1.0

    def on(self, clip: DepthClip) -> DepthClip:
        """The clip with its source camera, and its depth levelled where it flickers; as it was where there is trouble."""
        if self.trouble is not None:
            return clip
        if self.flickers:
            levels = torch.from_numpy(self.depth_scale).to(clip.depth)
            clip = replace(clip, depth=clip.depth * levels[:, None, None])
        return clip.with_source_camera(self.camera)

    @property
    def flickers(self) -> bool:
        """Whether the depth's scale changes from frame to frame by more than ``FLICKER``."""
        return bool(np.abs(self.depth_scale - 1).max() > FLICKER)


class _Unsolvable(Exception):
    """Why, as a sentence."""


def solve_source_camera(
    frames: torch.Tensor,
    depth: torch.Tensor,
    intrinsics: Intrinsics | None = None,
    *,
    fps: float = DEFAULT_FPS,
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Solution:
    """Find the path of the camera that filmed a clip.

    Args:
        frames: (T, H, W, 3) uint8, or float 0..1.
        depth: (T, H, W) planar depth; its unit is the path's. Its scale may change from frame to frame.
        intrinsics: the clip's lens; None = the training data's to begin with, and the focal length is found too.
        fps: frames a second.
        progress: called with (steps done, steps): one a frame and a few more.
        cancel: polled once a step.

    Raises:
        EX4DError: shapes that do not fit, or OpenCV is not installed.
        Cancelled: ``cancel`` returned True.

    Memory: a byte a pixel and frame, 20 bytes for every point and frame (49 frames of 512x512 have 7000 points, points grow
    with the frames), and what is refined together (``JOINT``).
    """
    if frames.ndim != 4 or depth.shape != frames.shape[:3]:
        raise EX4DError(
            f"A camera is solved from frames (T, H, W, 3) and their depth (T, H, W), got {tuple(frames.shape)} and "
            f"{tuple(depth.shape)}. Resize the depth to the frames."
        )
    count, height, width = depth.shape
    step = Progress(2 * count + sum(PASSES), progress, cancel)
    tracks = follow_points(grey_frames(frames), progress=step, cancel=cancel)
    lens = intrinsics or Intrinsics.default(width, height)
    work = Work(tracks, depth.cpu().numpy(), np.tile(lens_array(lens), (count, 1)), width / 512, step)
    nothing = Trajectory(np.tile(np.eye(4), (count, 1, 1)), fps=fps, frame_of_reference="world")
    still = np.zeros(len(tracks), bool)
    try:
        poses = work.poses_by_frame()
        together = joint_frames(count)
        thinned = work.thinned(together)
        found, still, residual = thinned.refined(poses[together], refine_focal=intrinsics is None)
        found = work.filled_in(found, together, thinned.points, still)
    except _Unsolvable as error:
        return Solution(nothing, str(error), tracks, still, float("nan"), np.ones(count))
    lenses = None
    if intrinsics is None:
        own = Intrinsics.from_focal(lens.fx * found.focal, width, height)
        lenses = (own,) * count
    camera = Trajectory(found.poses, lenses, fps, frame_of_reference="world")
    step.finish()
    return Solution(camera, None, tracks, still, residual, found.depth_scale)


class Progress:
    """Counts steps towards a ``progress`` callback, and looks at ``cancel`` at each.

    Args:
        total: steps.
        progress: called with (steps done, total); or None.
        cancel: True raises Cancelled; or None.
    """

    def __init__(
        self, total: int, progress: Callable[[int, int], None] | None, cancel: Callable[[], bool] | None
    ) -> None:
        self.total, self.progress, self.cancel, self.done = total, progress, cancel, 0

    def __call__(self, *_: int) -> None:
        """One step more, whatever a part of the work counts."""
        if self.cancel is not None and self.cancel():
            raise Cancelled("Solving the source camera was cancelled.")
        if self.done < self.total:
            self.done += 1
            if self.progress is not None:
                self.progress(self.done, self.total)

    def finish(self) -> None:
        """All that is left at once."""
        if self.done < self.total and self.progress is not None:
            self.progress(self.total, self.total)
        self.done = self.total


def joint_frames(count: int) -> np.ndarray:
    """The frames that are refined together: all, or `JOINT` of a longer clip, evenly."""
    return np.unique(np.linspace(0, count - 1, min(count, JOINT)).round().astype(np.int64))


def grey_frames(frames: torch.Tensor) -> np.ndarray:
    """(T, H, W) uint8, a frame at a time."""
    result = np.empty(frames.shape[:3], np.uint8)
    for target, frame in zip(result, frames, strict=True):
        red, green, blue = (to_uint8(frame[..., :3].cpu()).numpy()[..., c].astype(np.uint16) for c in range(3))
        target[:] = (77 * red + 150 * green + 29 * blue + 128) >> 8  # the weights of BT.601, in 256ths
    return result


class Work:
    """The tracks with the depth at them, and what is worked out from both.

    Args:
        tracks: of the clip.
        depth: (T, H, W).
        lenses: (T, 4).
        scale: pixels that one pixel at 512 of width is.
        step: called as work goes on; may raise.
    """

    def __init__(
        self, tracks: Tracks, depth: np.ndarray, lenses: np.ndarray, scale: float, step: Callable[[], None]
    ) -> None:
        self.tracks, self.lenses, self.scale, self.step = tracks, lenses, scale, step
        self.frames = len(depth)
        self.seen = np.isfinite(tracks.position[..., 0])
        self.points = np.full((len(tracks), 3), np.nan)
        self.depth = np.stack([depth_at(depth[t], tracks.position[:, t]) for t in range(self.frames)], axis=1)

    def poses_by_frame(self) -> np.ndarray:
        """(T, 4, 4): each frame's pose from the points that earlier frames have placed in the world."""
        poses = np.tile(np.eye(4), (self.frames, 1, 1))
        self._place(0, poses[0], 1.0)
        agreeing = []
        for t in range(1, self.frames):
            self.step()
            known = np.flatnonzero(self.seen[:, t] & np.isfinite(self.points[:, 0]))
            if len(known) < FEWEST:
                raise _Unsolvable(
                    f"Frame {t} shows too few points that can be followed ({len(known)}): the picture has too little "
                    "texture, is blurred, or cuts to another shot."
                )
            pixels = self.tracks.position[known, t].astype(np.float64)
            tolerance = TOLERANCE * self.scale
            poses[t], away = pose_of_frame(
                self.points[known], pixels, self.lenses[t], poses[t - 1], tolerance=tolerance, seed=t
            )
            agreeing.append(float((away < 2 * tolerance).mean()))
            scale = self._depth_scale(known[away < tolerance], t, poses[t])
            self._place(t, poses[t], scale)
        share = float(np.median(agreeing)) if agreeing else 1.0
        zoomed, range_of_zoom = self._zoom_alone()
        if range_of_zoom > LEAST_ZOOM and zoomed > share:
            raise _Unsolvable(
                f"The lens zooms (by a factor of {np.exp(range_of_zoom):.2f}), which one picture cannot tell from a camera "
                "that moves. Give the camera's path and lens as a file."
            )
        if share < AGREEING:
            raise _Unsolvable(
                f"No camera explains the clip: only {100 * share:.0f} % of its points agree with one. Nearly "
                "everything moves by itself, the depth does not belong to the clip, or the lens zooms."
            )
        return poses

    def _zoom_alone(self) -> tuple[float, float]:
        """How well a camera that stands still and zooms explains the clip: the share of the sights that agree with it, and
        how far it would zoom (range of the logarithm of the focal length).
        """
        centre = self.lenses[0, 2:]
        away = self.tracks.position.astype(np.float64) - centre
        length = np.linalg.norm(away, axis=-1)
        far = length > 0.3 * centre.min()
        steps = np.zeros(self.frames)
        for t in range(1, self.frames):
            both = far[:, t] & far[:, t - 1]
            if both.sum() >= FEWEST:
                steps[t] = np.median(np.log(length[both, t] / length[both, t - 1]))
        zoom = np.cumsum(steps)
        track, frame = np.nonzero(self.seen & (np.arange(self.frames) > self.tracks.anchor[:, None]))
        anchor = self.tracks.anchor[track]
        expected = away[track, anchor] * np.exp(zoom[frame] - zoom[anchor])[:, None]
        missed = np.linalg.norm(away[track, frame] - expected, axis=1)
        share = float((missed < 2 * TOLERANCE * self.scale).mean()) if len(missed) else 0.0
        return share, float(np.ptp(zoom))

    def depth_scales(self, poses: np.ndarray) -> np.ndarray:
        """(T,) by which each frame's depth is multiplied to agree with what earlier frames saw, where poses are known."""
        scales = np.ones(self.frames)
        self._place(0, poses[0], 1.0)
        for t in range(1, self.frames):
            known = np.flatnonzero(self.seen[:, t] & np.isfinite(self.points[:, 0]))
            pixels, _ = projected(self.points[known], poses[t], self.lenses[t])
            away = np.linalg.norm(pixels - self.tracks.position[known, t], axis=1)
            scales[t] = self._depth_scale(known[away < 2 * TOLERANCE * self.scale], t, poses[t])
            self._place(t, poses[t], float(scales[t]))
        return scales

    def _place(self, t: int, pose: np.ndarray, scale: float) -> None:
        """Put the points that frame ``t`` saw first into the world."""
        new = np.flatnonzero((self.tracks.anchor == t) & np.isfinite(self.depth[:, t]))
        z = self.depth[new, t] * scale
        fx, fy, cx, cy = self.lenses[t]
        pixel = self.tracks.position[new, t].astype(np.float64)
        camera = np.stack([(pixel[:, 0] - cx) / fx * z, (pixel[:, 1] - cy) / fy * z, z], -1)
        self.points[new] = (camera - pose[:3, 3]) @ pose[:3, :3]

    def _depth_scale(self, known: np.ndarray, t: int, pose: np.ndarray) -> float:
        """By which the depth of frame ``t`` is multiplied to agree with the points that are known."""
        _, z = projected(self.points[known], pose, self.lenses[t])
        ratio = z / self.depth[known, t]
        ratio = ratio[np.isfinite(ratio) & (ratio > 0)]
        return float(np.exp(np.median(np.log(ratio)))) if len(ratio) else 1.0

    def refined(self, poses: np.ndarray, *, refine_focal: bool) -> tuple[Adjusted, np.ndarray, float]:
        """Everything together, in passes: what disagrees with a result moves by itself and is left out of the next."""
        use = self._longest(np.isfinite(self.points[:, 0]) & (self.seen.sum(axis=1) >= 3))
        depth_sigma = FIRST_DEPTH_SIGMA
        pixel_sigma = PIXEL_SIGMA * self.scale
        points, found = self.points, None
        chosen, pixel_error = np.zeros(0, np.int64), np.zeros(0)
        for steps in PASSES:
            sights, chosen = self._sights(use)
            if len(chosen) < FEWEST:
                raise _Unsolvable("Too few points stand still over the clip to tell how its camera moves.")
            found = adjust(
                sights,
                poses,
                points[chosen],
                self.lenses,
                pixel_sigma=pixel_sigma,
                depth_sigma=depth_sigma,
                refine_focal=refine_focal,
                steps=steps,
                poll=self.step,
            )
            points = points.copy()
            points[chosen] = found.points
            poses, self.points = found.poses, points
            pixel_error, depth_error = self._errors(found, sights, len(chosen))
            depth_sigma = max(LEAST_DEPTH_SIGMA, 1.48 * float(np.nanmedian(depth_error)))
            pixel_limit = max(0.6 * self.scale, 4 * float(np.median(pixel_error)))
            depth_limit = 4 * depth_sigma
            use[chosen] = (pixel_error < pixel_limit) & ~(depth_error > depth_limit)
        assert found is not None
        still = np.zeros(len(self.tracks), bool)
        still[chosen] = use[chosen]
        residual = float(np.median(pixel_error[use[chosen]])) if use[chosen].any() else float("nan")
        if not residual < LARGEST_RESIDUAL * self.scale:
            raise _Unsolvable(
                f"The best camera path still misses the points of the clip by {residual:.1f} pixels, so it is not used. The "
                "depth may not belong to the clip, or the lens zooms."
            )
        return found, still, residual

    def thinned(self, frames: np.ndarray) -> Work:
        """The same points, looked at in some of the frames only."""
        part = copy(self)
        part.tracks = Tracks(self.tracks.position[:, frames], self.tracks.anchor)
        part.seen, part.depth = self.seen[:, frames], self.depth[:, frames]
        part.lenses, part.frames = self.lenses[frames], len(frames)
        return part

    def filled_in(self, found: Adjusted, together: np.ndarray, points: np.ndarray, still: np.ndarray) -> Adjusted:
        """Poses and depth scales of all frames from those of some: each other frame sees points that are known by now."""
        if len(together) == self.frames:
            return found
        self.points = points
        poses, scales = np.tile(np.eye(4), (self.frames, 1, 1)), np.ones(self.frames)
        poses[together], scales[together] = found.poses, found.depth_scale
        self.lenses = self.lenses * np.array([found.focal, found.focal, 1.0, 1.0])
        for t in np.setdiff1d(np.arange(self.frames), together):
            known = np.flatnonzero(self.seen[:, t] & still)
            if len(known) < FEWEST // 2:
                raise _Unsolvable(f"Frame {t} shows too few of the points that stand still ({len(known)}).")
            pixels = self.tracks.position[known, t].astype(np.float64)
            # poses of frames before it are known by now, together with theirs or one by one
            poses[t], _ = pose_of_frame(
                points[known], pixels, self.lenses[t], poses[t - 1], tolerance=0.5 * self.scale, seed=int(t)
            )
            scales[t] = self._depth_scale(known, int(t), poses[t])
        return replace(found, poses=poses, depth_scale=scales)

    def _longest(self, use: np.ndarray) -> np.ndarray:
        """Of the points that may be used, those that are among the longest followed in some frame."""
        times = np.where(use, self.seen.sum(axis=1), 0)
        order = np.argsort(-times, kind="stable")[: int(use.sum())]
        chosen = np.zeros_like(use)
        for t in range(self.frames):
            chosen[order[self.seen[order, t]][:REFINED]] = True
        return chosen

    def _sights(self, use: np.ndarray) -> tuple[Sights, np.ndarray]:
        chosen = np.flatnonzero(use)
        number = np.full(len(use), -1)
        number[chosen] = np.arange(len(chosen))
        track, frame = np.nonzero(self.seen & use[:, None])
        pixel = self.tracks.position[track, frame].astype(np.float64)
        return Sights(number[track], frame, pixel, self.depth[track, frame]), chosen

    def _errors(self, found: Adjusted, sights: Sights, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Root mean square distance in pixels, and in relative depth, of every point over its sights."""
        lens = self.lenses[sights.frame].copy()
        lens[:, :2] *= found.focal
        pose = found.poses[sights.frame]
        seen = (pose[:, :3, :3] @ found.points[sights.point][..., None])[..., 0] + pose[:, :3, 3]
        pixel = lens[:, :2] * seen[:, :2] / seen[:, 2:] + lens[:, 2:]
        away = ((pixel - sights.pixel) ** 2).sum(axis=1)
        deep = np.log(np.maximum(seen[:, 2], 1e-9) / (found.depth_scale[sights.frame] * sights.depth)) ** 2
        known = np.isfinite(deep)
        times = np.bincount(sights.point, minlength=count)
        depths = np.bincount(sights.point[known], minlength=count)
        pixel_error = np.sqrt(np.bincount(sights.point, away, count) / np.maximum(times, 1))
        depth_error = np.sqrt(np.bincount(sights.point[known], deep[known], count) / np.maximum(depths, 1))
        return pixel_error, np.where(depths > 0, depth_error, np.nan)


def depth_at(depth: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Depth at places between pixel centres; inverse depth is linear over a plane's picture, so it is what is mixed.

    Args:
        depth: (H, W) planar depth; NaN where it is not known.
        pixels: (N, 2), centres at +0.5; NaN where there is none.

    Returns:
        (N,) float64; NaN outside the picture, at edges of things and where depth is not known.
    """
    height, width = depth.shape
    x, y = pixels[:, 0] - 0.5, pixels[:, 1] - 0.5
    inside = np.isfinite(x) & (x >= 1) & (y >= 1) & (x < width - 2) & (y < height - 2)
    left = np.where(inside, np.floor(np.where(inside, x, 1)), 1).astype(np.int64)
    top = np.where(inside, np.floor(np.where(inside, y, 1)), 1).astype(np.int64)
    around = depth[top[:, None, None] + np.arange(-1, 3)[:, None], left[:, None, None] + np.arange(-1, 3)]
    around = around.astype(np.float64)
    a, b = np.where(inside, x - left, 0.0), np.where(inside, y - top, 0.0)
    inverse = 1.0 / around[:, 1:3, 1:3]
    upper = inverse[:, 0, 0] * (1 - a) + inverse[:, 0, 1] * a
    lower = inverse[:, 1, 0] * (1 - a) + inverse[:, 1, 1] * a
    change = around.max(axis=(1, 2)) / around.min(axis=(1, 2))
    # Noisy depth changes everywhere: an edge is what stands out from that.
    known = change[inside & np.isfinite(change)]
    smooth = change <= EDGE * (np.median(known) if len(known) else 1.0)
    return np.where(inside & smooth, 1.0 / (upper * (1 - b) + lower * b), np.nan)
