"""The lens, and how the camera stood at each frame, from a point map alone: no flow, no matching, no network.

The point of a pixel lies on the pixel's ray: ``q = R (d k) + t``, with ``k = ((u - cx) / fx, (v - cy) / fy, 1)``, d its planar
depth, R the camera-to-world rotation of the frame and t where the frame's camera stands in the point map's space. For each frame
that is a camera's pose from known points (PnP), for any scene, also one that moves; one focal length serves the clip.

What is minimised is the distance of points from their rays, in the point map's own unit. Where every point has an error of its
own, alike in all directions, that is the likeliest camera, and the least biased: distances in pixels prefer short lenses.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ..camera import Intrinsics, is_finite, rotation_from_vector
from ..errors import Cancelled, EX4DError
from .clip import LEAST_POINTS, PointMap

SAMPLE = 2048
"""Points of a frame that are fitted, about: on a regular grid of pixels."""
MOST_POINTS = 200_000
"""Of all frames together; long clips take fewer of each."""
EXTREME = 0.03
"""Share of a frame's points at either end of each axis that are left out: 4DNeX moves the outer 2 % onto the 2nd and the 98th
percentile, where they are no longer on their rays."""
WALL = 2 * EXTREME
"""Share of a frame's points on one extreme from which on that is a surface, and nothing was moved there."""
CUTOFF = 3.0
"""Standard deviations from its ray beyond which a point has no say (Tukey's biweight)."""
FIRST_CUTOFF = 7.0
FOCAL_LIMITS = (0.15, 15.0)
"""Of the focal length, in widths of the picture: 147 to 4 degrees."""
FIRST_STEPS, JOINT_STEPS = 15, 30
SETTLED = 1e-7
"""Largest change of a turn in radians, or of the focal length's logarithm, after which no step follows."""
NOISE_MARGIN = 2.0
"""How many times the share that noise has in it must the lens's sum of squares exceed: below, it is noise that is fitted."""
LEAST_TOLD = 1e-3
"""Share of the lens's sum of squares that no move of the camera explains as well. Of rooms it is 0.1 to 0.3, of a flat
wall seen straight on 0."""
LARGEST_FOCAL_ERROR = 0.15
"""Standard error of the focal length, as a share of it, beyond which the point map does not tell it."""


@dataclass(frozen=True, eq=False)
class FittedCameras:
    """The cameras of a point map's frames.

    Attributes:
        lens: of all frames, for the point map's pixels.
        rotation: (T, 3, 3) float64, camera to the point map's axes.
        position: (T, 3) float64, where each frame's camera stands in the point map's space. In "cube" that holds the unknown
            amount by which the frame was moved, so it is no path.
        spread: standard deviation of a point from its ray, along one axis, in the point map's unit.
        focal_error: standard error of the focal length as a share of it; 0 where it was given.
        off: median distance of the points from their rays, in pixels.
        ends: (2, T, 3) the lowest and the highest values of each axis, from which on a frame's points count as its extremes.
        walls: (2, T, 3) bool, where so many points lie there that it is a surface.
    """

    lens: Intrinsics
    rotation: np.ndarray
    position: np.ndarray
    spread: float
    focal_error: float
    off: float
    ends: np.ndarray
    walls: np.ndarray


def fit_cameras(
    pointmap: PointMap,
    *,
    focal: float | None = None,
    sample: int = SAMPLE,
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> FittedCameras:
    """Lens and poses of a point map.

    Args:
        pointmap: of any space. In "camera" the poses are known and only the lens is looked for.
        focal: fx in pixels of the point map, where it is known; None = it is looked for.
        sample: points of a frame that are fitted.
        progress: called with (frames done, frames).
        cancel: polled once a frame and once a step.

    Raises:
        EX4DError: too few points that are not extremes, a focal length out of range, or a point map that tells none (a flat wall
            seen straight on: any lens explains it).
        Cancelled: ``cancel`` returned True.
    """
    width, height = pointmap.width, pointmap.height
    if focal is not None and not (is_finite(focal) and FOCAL_LIMITS[0] <= focal / width <= FOCAL_LIMITS[1]):
        low, high = (limit * width for limit in FOCAL_LIMITS)
        raise EX4DError(
            f"The focal length of a point map {width} pixels wide lies between {low:g} and {high:g}, got {focal}."
        )
    points = _sampled(pointmap, sample)
    work = _Work(points, pointmap.pixel_aspect, pointmap.space == "camera", focal, width, cancel)
    if pointmap.space != "camera":
        work.frame_by_frame(progress)
    error = work.together()
    if error > LARGEST_FOCAL_ERROR or (focal is None and not work.within_limits):
        raise EX4DError(
            "This point map does not tell its lens: very different focal lengths explain it equally well, as where a flat wall "
            "is seen straight on. Give the field of view."
        )
    lens = Intrinsics(work.focal, work.focal * pointmap.pixel_aspect, width / 2, height / 2, width, height)
    off = work.median_pixels()
    return FittedCameras(lens, work.rotation, work.position, work.spread(), error, off, points.ends, points.walls)


@dataclass(frozen=True, eq=False)
class _Points:
    """Points that are fitted (T, N, 3), their pixels from the middle (N,), which count (T, N), and the extremes (2, T, 3)."""

    points: np.ndarray
    across: np.ndarray
    down: np.ndarray
    counted: np.ndarray
    ends: np.ndarray
    walls: np.ndarray

    def frame(self, t: int) -> _Points:
        return replace(self, points=self.points[t : t + 1], counted=self.counted[t : t + 1])


def _sampled(pointmap: PointMap, sample: int) -> _Points:
    """Points on a regular grid of pixels, without the extremes of their frames."""
    frames, height, width = pointmap.points.shape[:3]
    wanted = max(LEAST_POINTS, min(sample, MOST_POINTS // frames))
    step = max(1, int(math.sqrt(height * width / wanted)))
    rows, columns = (np.arange((side % step or step) // 2, side, step) for side in (height, width))
    down, across = (grid.ravel() for grid in np.meshgrid(rows, columns, indexing="ij"))
    points = pointmap.points[:, rows][:, :, columns].reshape(frames, -1, 3).cpu().numpy().astype(np.float64)
    known = pointmap.valid[:, rows][:, :, columns].reshape(frames, -1).cpu().numpy()
    ends, walls = np.empty((2, frames, 3)), np.empty((2, frames, 3), bool)
    for t in range(frames):
        seen = points[t, known[t]]
        if len(seen) < LEAST_POINTS:
            raise EX4DError(f"Frame {t} of the point map has points in too few places to tell a camera. Leave it out.")
        ends[:, t] = np.quantile(seen, [EXTREME, 1 - EXTREME], axis=0)
        walls[:, t] = (seen <= ends[0, t]).mean(0) > WALL, (seen >= ends[1, t]).mean(0) > WALL
    inside = (points > ends[0, :, None]) | walls[0, :, None]
    inside &= (points < ends[1, :, None]) | walls[1, :, None]
    counted = known & inside.all(-1)
    poor = np.flatnonzero(counted.sum(1) < LEAST_POINTS)
    if len(poor):
        raise EX4DError(
            f"Frame {poor[0]} of the point map has {counted[poor[0]].sum()} points that are not at its extremes; expected at "
            f"least {LEAST_POINTS}. It is cut off on all sides: check what made it."
        )
    return _Points(points, across + 0.5 - width / 2, down + 0.5 - height / 2, counted, ends, walls)


class _Work:
    """What is known so far, and the steps that better it."""

    def __init__(
        self,
        points: _Points,
        aspect: float,
        posed: bool,
        focal: float | None,
        width: int,
        cancel: Callable[[], bool] | None,
    ) -> None:
        frames = len(points.points)
        self.points, self.aspect, self.posed, self.width, self.cancel = points, aspect, posed, width, cancel
        self.rotation, self.position = np.tile(np.eye(3), (frames, 1, 1)), np.zeros((frames, 3))
        self.searched = focal is None
        self.focal = focal or self._first_focal()

    def _first_focal(self) -> float:
        """The focal length that frame 0 tells where its camera's axes are the point map's: a linear problem."""
        sights = self.points.frame(0)
        _, focal = _straight(sights, self.aspect, self.posed)
        low, high = FOCAL_LIMITS[0] * self.width, FOCAL_LIMITS[1] * self.width
        return float(np.clip(focal, low, high)) if math.isfinite(focal) and focal > 0 else 1.2 * self.width

    @property
    def within_limits(self) -> bool:
        """Whether the focal length was not stopped by its limits."""
        low, high = FOCAL_LIMITS
        return low * 1.001 < self.focal / self.width < high / 1.001

    def frame_by_frame(self, progress: Callable[[int, int], None] | None) -> None:
        """Each frame's pose from that of the frame before; the focal length stays after the first."""
        frames = len(self.rotation)
        middle = np.stack(
            [np.median(p[c], axis=0) for p, c in zip(self.points.points, self.points.counted, strict=True)]
        )
        for t in range(frames):
            sights = self.points.frame(t)
            if t == 0:
                self.position[0] = _straight(sights, self.aspect, False, self.focal)[0]
            else:
                self.rotation[t] = self.rotation[t - 1]
                self.position[t] = self.position[t - 1] + middle[t] - middle[t - 1]
            for step in range(FIRST_STEPS):
                self._poll()
                cutoff = max(CUTOFF, FIRST_CUTOFF - 2 * step)
                _, moved = self._step(slice(t, t + 1), sights, cutoff, self.searched and t == 0)
                if moved < 1e-4 and cutoff == CUTOFF:
                    break
            if progress is not None:
                progress(t + 1, frames)

    def together(self) -> float:
        """All poses and the focal length at once; returns the standard error of the focal length, 0 where it is given."""
        everything, error = slice(0, len(self.rotation)), 0.0
        for _ in range(JOINT_STEPS):
            self._poll()
            error, moved = self._step(everything, self.points, CUTOFF, self.searched)
            if moved < SETTLED:
                break
        return error

    def _step(self, of: slice, sights: _Points, cutoff: float, focal: bool) -> tuple[float, float]:
        """One Gauss-Newton step; returns the focal length's standard error, and the largest change of a turn or of its log."""
        seen, across, off = self._off(of, sights)
        weight, spread = _weights((off * off).sum(-1), sights.counted, cutoff)
        frames, count = off.shape[:2]
        slopes = np.empty((frames, count, 2, 7))
        # A point moves by P x w as the camera turns by w, and by -t as it moves by t.
        for number, axis in enumerate(across):
            for column, (one, other) in enumerate(((1, 2), (2, 0), (0, 1))):
                slopes[..., number, column] = axis[:, one] * seen[..., other] - axis[:, other] * seen[..., one]
            slopes[..., number, 3:6] = -axis
        ray = self._rays(sights)
        along = (seen * ray).sum(-1) / (ray * ray).sum(-1)
        inward = np.stack([(axis[:, :2] * ray[:, :2]).sum(-1) for axis in across], -1)
        slopes[..., 6] = inward * along[..., None]  # a longer lens draws rays towards the middle
        flat = slopes.reshape(frames, -1, 7)
        weighted = (slopes * weight[..., None, None]).reshape(frames, -1, 7).swapaxes(1, 2)
        normal, pull = weighted @ flat, (weighted @ off.reshape(frames, -1, 1))[..., 0]
        # Noise along the rays makes slopes that tell nothing of the lens.
        told = (inward**2).sum(-1) / (ray * ray).sum(-1)
        noise = float((weight * told * spread[:, None] ** 2).sum())
        return self._solve(of, normal, pull, spread, noise, focal)

    def _solve(
        self, of: slice, normal: np.ndarray, pull: np.ndarray, spread: np.ndarray, noise: float, focal: bool
    ) -> tuple[float, float]:
        """The step from the normal equations (F, 7, 7): poses are eliminated, each for itself, and the focal length is left."""
        own, shared = normal[:, :6, :6], normal[:, :6, 6]
        own = own + 1e-9 * np.trace(own, axis1=1, axis2=2)[:, None, None] / 6 * np.eye(6)
        inverse = np.zeros_like(own) if self.posed else np.linalg.inv(own)
        error = longer = 0.0
        if focal:
            bound = (shared[:, None] @ inverse @ shared[..., None])[:, 0, 0]
            stiff = float((normal[:, 6, 6] - bound).sum())
            slack = float((pull[:, 6] - (shared[:, None] @ inverse @ pull[:, :6, None])[:, 0, 0]).sum())
            whole = float(normal[:, 6, 6].sum())
            floor = 1e-12 * whole
            longer = float(np.clip(-slack / max(stiff, floor, 1e-300), -0.4, 0.4))
            signal = stiff - NOISE_MARGIN * noise
            error = float(np.sqrt((spread**2).mean() / signal)) if signal > LEAST_TOLD * whole else math.inf
        step = -(inverse @ (pull[:, :6] + shared * longer)[..., None])[..., 0]
        low, high = (math.log(limit * self.width) for limit in FOCAL_LIMITS)
        self.focal = math.exp(min(max(math.log(self.focal) + longer, low), high))
        self.position[of] += (self.rotation[of] @ step[:, 3:, None])[..., 0]
        self.rotation[of] = self.rotation[of] @ rotation_from_vector(step[:, :3])
        return error, float(max(np.abs(step[:, :3]).max(), abs(longer)))

    def _rays(self, sights: _Points) -> np.ndarray:
        """(N, 3), z = 1."""
        return np.stack(
            [sights.across / self.focal, sights.down / (self.focal * self.aspect), np.ones_like(sights.down)], -1
        )

    def _off(self, of: slice, sights: _Points) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray], np.ndarray]:
        """Points (F, N, 3) in their cameras' frames, two unit axes (N, 3) across each ray, and (F, N, 2) off along those."""
        seen = (sights.points - self.position[of][:, None]) @ self.rotation[of]
        ray = self._rays(sights)
        first = np.stack([np.ones(len(ray)), np.zeros(len(ray)), -ray[:, 0]], -1)
        second = np.cross(ray, first)
        first, second = (axis / np.linalg.norm(axis, axis=-1, keepdims=True) for axis in (first, second))
        return seen, (first, second), np.stack([(seen * first).sum(-1), (seen * second).sum(-1)], -1)

    def spread(self) -> float:
        """Standard deviation of a point from its ray along one axis, over the clip."""
        off = self._off(slice(None), self.points)[-1]
        return float(np.median(_weights((off * off).sum(-1), self.points.counted, CUTOFF)[1]))

    def median_pixels(self) -> float:
        """Median distance of the points from their rays, in pixels."""
        seen = self._off(slice(None), self.points)[0]
        places = seen[..., :2] / np.where(np.abs(seen[..., 2:]) > 1e-12, seen[..., 2:], 1e-12)
        off = (places - self._rays(self.points)[:, :2]) * [self.focal, self.focal * self.aspect]
        return float(np.median(np.linalg.norm(off, axis=-1)[self.points.counted]))

    def _poll(self) -> None:
        if self.cancel is not None and self.cancel():
            raise Cancelled("Fitting the cameras of a point map was cancelled.")


def _straight(sights: _Points, aspect: float, posed: bool, focal: float | None = None) -> tuple[np.ndarray, float]:
    """(Position, focal length) of one frame whose camera's axes are the point map's, by weighted least squares.

    With ``x - tx = u (z - tz) / f`` and ``a = 1 / f``: ``x = tx + u z a - u (tz a)``, and the same for y, which is linear.
    """
    points = sights.points[0]
    u, v = sights.across, sights.down / aspect
    zero, one = np.zeros_like(u), np.ones_like(u)
    z = points[:, 2]
    rows = np.concatenate([np.stack([one, zero, u * z, -u], -1), np.stack([zero, one, v * z, -v], -1)])
    wanted = np.concatenate([points[:, 0], points[:, 1]])
    if focal is not None:
        wanted = wanted - rows[:, 2] / focal
    free = [2] if posed else [0, 1, 3] if focal is not None else [0, 1, 2, 3]
    weight = sights.counted[0].astype(np.float64)
    found = np.zeros(4)
    for _ in range(10):
        root = np.sqrt(np.tile(weight, 2))
        found[free] = np.linalg.lstsq(rows[:, free] * root[:, None], wanted * root, rcond=None)[0]
        off = (rows[:, free] @ found[free] - wanted).reshape(2, -1)
        weight = _weights((off * off).sum(0)[None], sights.counted, 4.0)[0][0]
    inverse = 1 / focal if focal is not None else found[2]
    with np.errstate(divide="ignore", invalid="ignore"):
        position = np.array([found[0], found[1], found[3] / inverse]) if inverse else np.zeros(3)
        return np.nan_to_num(position, posinf=0.0, neginf=0.0), float(np.divide(1.0, inverse))


def _weights(square: np.ndarray, counted: np.ndarray, cutoff: float) -> tuple[np.ndarray, np.ndarray]:
    """Tukey's biweight of squared distances (F, N), each frame measured by its own median; and that standard deviation (F,)."""
    spread = np.array([np.median(of[known]) for of, known in zip(square, counted, strict=True)])
    spread = (
        np.sqrt(spread / (2 * math.log(2))) + 1e-12
    )  # the median of the squared length of two normal numbers is 2 ln 2
    share = 1 - square / (cutoff * spread[:, None]) ** 2
    return np.where(counted, np.maximum(share, 0) ** 2, 0.0), spread
