"""Where the camera of a point map is at each frame, from what stands still in it.

4DNeX moves every frame by an amount that it does not tell, so lens and turns follow from each frame alone
(``pointmap.fit``), but positions do not. Yet a point that stands still is one point: wherever it is seen in two frames, those
frames' amounts differ by the difference of its coordinates. Points are followed through the pictures, and the difference that
most of them agree on is the camera's; what moves by itself disagrees.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from ..errors import EX4DError
from ..pointmap import PointMap
from ..pointmap.fit import FittedCameras
from .camera import AGREEING, FEWEST, Progress, grey_frames
from .tracks import Tracks, follow_points

SMALLEST_WIDTH = 480
"""Pixels to which smaller pictures are enlarged, by a whole factor, before points are followed."""
EDGE = 1.1
"""A point between pixels whose depths differ by more than this factor lies on the edge of something."""
WIDE = 3.0
"""Standard deviations of a coordinate's difference within which points agree."""
LEAST_SPREAD = 1e-4
"""Of a coordinate, as a share of the points' extent: of exact maps too, between pixels."""
STARTS = 400
"""Differences that are tried as the one that most agree on."""
REFINED = 20
"""Steps of reweighting, all frames together."""


@dataclass(frozen=True, eq=False)
class Background:
    """The cameras' positions, and what they rest on.

    Attributes:
        position: (T, 3) float64, of each frame's camera, in the point map's unit and axes, from the first frame's; 0 throughout
            where there is trouble.
        trouble: why positions cannot be told, as a sentence; None where they were.
        used: share of the sights of followed points that agree.
        tracks: the points followed, in the point map's pixels.
        still: (N,) bool, those that stand still, on which the positions rest.
    """

    position: np.ndarray
    trouble: str | None
    used: float
    tracks: Tracks
    still: np.ndarray


def positions_from_background(
    pointmap: PointMap,
    cameras: FittedCameras,
    *,
    background: torch.Tensor | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Background:
    """Positions from points that stand still.

    Args:
        pointmap: of "cube" space, with its own pictures as colours.
        cameras: its lens and turns.
        background: (T, H, W) or (1, H, W) float or bool, above 0.5 where things stand still; None = most points do.
        progress: called with (steps done, steps).
        cancel: polled once a step.

    Raises:
        EX4DError: a mask of another shape, or OpenCV is not installed.
        Cancelled: ``cancel`` returned True.
    """
    frames, height, width = pointmap.valid.shape
    if background is not None and (background.shape[0] not in (1, frames) or background.shape[1:] != (height, width)):
        raise EX4DError(
            f"The mask of the still background is {tuple(background.shape)}; expected {(frames, height, width)}, the point map's "
            "frames and pixels."
        )
    step = Progress(frames + 2, progress, cancel)
    grey = grey_frames(pointmap.colors)
    factor = -(-SMALLEST_WIDTH // width)
    tracks = follow_points(_enlarged(grey, factor), progress=step, cancel=cancel)
    position = tracks.position / factor
    sights = np.full((len(tracks), frames, 3), np.nan)
    for t in range(frames):
        allowed = None if background is None else background[t % len(background)].cpu().numpy() > 0.5
        sights[:, t] = _points_at(pointmap, cameras, t, position[:, t], allowed)
    step()
    tracks = Tracks(position.astype(np.float32), tracks.anchor)
    agreed = _agreed(sights, cameras)
    step.finish()
    if isinstance(agreed, str):
        return Background(np.zeros((frames, 3)), agreed, 0.0, tracks, np.zeros(len(tracks), bool))
    moved, still, used = agreed
    # q + moved stands still; the camera stands at q = position.
    path = cameras.position + moved
    return Background(path - path[0], None, used, tracks, still)


def _enlarged(grey: np.ndarray, factor: int) -> np.ndarray:
    if factor == 1:
        return grey
    from ..machine import extras

    cv2 = extras.load("cv2", "Following points through a clip")
    height, width = grey.shape[1:]
    size = (width * factor, height * factor)
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC) for frame in grey])


def _points_at(
    pointmap: PointMap, cameras: FittedCameras, t: int, places: np.ndarray, allowed: np.ndarray | None
) -> np.ndarray:
    """(N, 3) points of the map at places (N, 2) between pixels, put onto their rays; NaN at edges, extremes and where masked."""
    height, width = pointmap.valid.shape[1:]
    result = np.full((len(places), 3), np.nan)
    at = places - 0.5
    inside = (at > 0).all(1) & (at < [width - 1, height - 1]).all(1)  # NaN is not
    number = np.flatnonzero(inside)
    at = at[number]
    corner = np.floor(at).astype(int)
    share = at - corner
    rows, columns = corner[:, 1, None] + np.array([0, 0, 1, 1]), corner[:, 0, None] + np.array([0, 1, 0, 1])
    weight = np.stack([(1 - share[:, 0]), share[:, 0]], 1)[:, [0, 1, 0, 1]]
    weight = weight * np.stack([(1 - share[:, 1]), share[:, 1]], 1)[:, [0, 0, 1, 1]]
    points = pointmap.points[t].cpu().numpy()[rows, columns].astype(np.float64)
    known = pointmap.valid[t].cpu().numpy()[rows, columns].all(1)
    if allowed is not None:
        known &= allowed[rows, columns].all(1)
    low, high = cameras.ends[:, t]
    known &= ((points > low) | cameras.walls[0, t]).all((1, 2)) & ((points < high) | cameras.walls[1, t]).all((1, 2))
    depth = (points - cameras.position[t]) @ cameras.rotation[t][:, 2]
    known &= (depth > 0).all(1)
    depth = np.where(depth > 0, depth, 1.0)
    known &= depth.max(1) < EDGE * depth.min(1)
    z = 1 / (weight / depth).sum(1)  # inverse depth is linear over a plane
    lens = cameras.lens
    ray = np.stack(
        [(places[number, 0] - lens.cx) / lens.fx, (places[number, 1] - lens.cy) / lens.fy, np.ones(len(z))], 1
    )
    placed = (z[:, None] * ray) @ cameras.rotation[t].T + cameras.position[t]
    result[number] = np.where(known[:, None], placed, np.nan)
    return result


def _agreed(sights: np.ndarray, cameras: FittedCameras) -> tuple[np.ndarray, np.ndarray, float] | str:
    """What each frame is to be moved by (T, 3), which points stand still, and the share of sights that agree; or the trouble."""
    frames = sights.shape[1]
    seen = np.isfinite(sights[..., 0])
    extent = float(np.ptp(cameras.ends, axis=0).max())
    spread = max(cameras.spread, LEAST_SPREAD * extent) * 2**0.5
    pairs, gap = [], 1
    while gap < frames:
        for early in range(frames - gap):
            both = seen[:, early] & seen[:, early + gap]
            if both.sum() >= FEWEST // 2:
                difference = sights[both, early] - sights[both, early + gap]
                moved, count = _most_agree(difference, WIDE * spread)
                if count >= AGREEING * len(difference) or gap == 1:
                    pairs.append((early, early + gap, moved, count))
        gap *= 2
    linked = {0}
    for early, late, _, _ in pairs:  # neighbours come first and in order
        if early in linked:
            linked.add(late)
    if len(linked) < frames:
        lost = next(t for t in range(frames) if t not in linked)
        return f"Too few points can be followed from frame {lost - 1} to {lost} to tell how the camera moved."
    moved = _least_squares(frames, pairs)
    return _refined(sights, seen, moved, spread)


def _most_agree(difference: np.ndarray, within: float) -> tuple[np.ndarray, float]:
    """The difference (3,) that most of (N, 3) agree on, and how many do."""
    draw = np.random.default_rng(0).permutation(len(difference))[:STARTS]
    square = ((difference[draw, None] - difference[None]) ** 2).sum(-1) / within**2
    best = difference[draw[np.exp(-square).sum(1).argmax()]]
    weight = np.zeros(len(difference))
    for _ in range(20):
        weight = np.exp(-((difference - best) ** 2).sum(-1) / within**2)
        best = (weight[:, None] * difference).sum(0) / weight.sum()
    return best, float((weight > np.exp(-1.0)).sum())


def _least_squares(frames: int, pairs: list[tuple[int, int, np.ndarray, float]]) -> np.ndarray:
    """(T, 3) amounts whose differences are those of the pairs, each by its weight; the first is 0."""
    rows, wanted = np.zeros((len(pairs), frames)), np.zeros((len(pairs), 3))
    for row, (early, late, moved, count) in enumerate(pairs):
        rows[row, [early, late]] = -(count**0.5), count**0.5
        wanted[row] = moved * count**0.5
    result = np.zeros((frames, 3))
    result[1:] = np.linalg.lstsq(rows[:, 1:], wanted, rcond=None)[0]
    return result


def _refined(
    sights: np.ndarray, seen: np.ndarray, moved: np.ndarray, spread: float
) -> tuple[np.ndarray, np.ndarray, float] | str:
    """All frames at once: each point that stands still has one place, each frame one amount (reweighted least squares)."""
    often = seen.sum(1) >= 2
    sights, seen, numbers = np.nan_to_num(sights[often]), seen[often], np.flatnonzero(often)
    weight = np.zeros(seen.shape)
    for _ in range(REFINED):
        placed = sights + moved
        # The median of a point's places is where most of its sights put it.
        middle = np.nanmedian(np.where(seen[..., None], placed, np.nan), axis=1, keepdims=True)
        square = ((placed - middle) ** 2).sum(-1) / (WIDE * spread) ** 2
        weight = np.where(seen, np.maximum(1 - square / 3, 0) ** 2, 0.0)
        weight[(weight > 0).sum(1) < 2] = 0
        total = np.maximum(weight.sum(1), 1e-12)
        # Points are eliminated: what is left couples the frames.
        laplace = np.diag(weight.sum(0)) - (weight / total[:, None]).T @ weight
        pull = (weight[..., None] * ((weight[..., None] * sights).sum(1) / total[:, None])[:, None]).sum(0)
        pull -= (weight[..., None] * sights).sum(0)
        before, moved = moved, np.zeros_like(moved)
        moved[1:] = np.linalg.lstsq(laplace[1:, 1:], pull[1:], rcond=None)[0]
        if np.abs(moved - before).max() < 1e-3 * spread:
            break
    used = float((weight > 0).sum() / max(1, seen.sum()))
    least = int((weight > 0).sum(0).min())
    if least < FEWEST // 2 or used < AGREEING:
        return (
            f"{100 * used:.0f} % of the followed points agree on how the camera moved, {least} in the frame that has fewest: "
            "too few stand still."
        )
    still = np.zeros(len(often), bool)
    still[numbers] = (weight > 0).sum(1) >= 2
    return moved, still, used
