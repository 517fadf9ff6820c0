"""The fine fit: a pose moved by least squares until the mesh's outline lies on the mask's, its surface on the depth and its
colours on the picture's.

Residuals are pixels of the target's grid. A small motion is a turn around the mesh's middle, a growth, and a shift as a share of
the middle's distance: seven numbers. Without depth one of their combinations, nearer and smaller, changes nothing in the picture;
it is left where it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...camera import rotation_from_vector
from .solid import Solid
from .target import Target, sampled

FARTHEST = 6.0
"""Pixels beyond which an error counts no more."""
DEPTH_WEIGHT = 0.5
"""Of depth beside the outline."""
COLOR_WEIGHT = 0.25
COLOR_PIXELS = 20.0
"""Pixels that an error of 1 in a channel counts for."""
MOST = 500
"""Samples of depth and colour taken of a picture."""
GRAZING = 0.25
"""Cosine of the angle to the surface below which its depth tells little."""
DAMPING = 1e-3


@dataclass(frozen=True, eq=False)
class Fit:
    """How well a pose fits.

    Attributes:
        pose: (4, 4) similarity from the solid's axes to the camera.
        cost: mean of the errors in pixels of the grid, each at most `FARTHEST`, weighted: what is minimised.
        outline: mean distance of the two outlines in pixels of the grid, both ways, each at most `FARTHEST`.
        iou: of mesh and mask, where the frame is known.
        depth: mean distance of the surfaces in pixels of the grid; NaN without depth.
    """

    pose: np.ndarray
    cost: float
    outline: float
    iou: float
    depth: float


@dataclass(frozen=True, eq=False)
class _Rows:
    """Residuals (N,) in pixels, and how they change with the seven numbers (N, 7)."""

    error: np.ndarray
    slope: np.ndarray
    weight: float


def refine(solid: Solid, target: Target, pose: np.ndarray, steps: int, width: float) -> Fit:
    """Move a pose to where it fits best.

    Args:
        solid: the mesh.
        target: the frame.
        pose: (4, 4) where to begin.
        steps: at most so many.
        width: pixels of error that count half, at the beginning; it shrinks to a fifth.
    """
    best: Fit | None = None
    for step in range(steps + 1):
        rows, fit = _look(solid, target, pose)
        if best is None or fit.cost < best.cost:
            best = fit
        if step == steps or not rows:
            break
        share = width * 0.2 ** (step / max(steps - 1, 1))
        motion = _solved(rows, share)
        pose = _moved(pose, motion, keep_distance=target.depth is None)
        if np.abs(motion).max() < 1e-5:
            break
    assert best is not None
    return best


def judge(solid: Solid, target: Target, pose: np.ndarray) -> Fit:
    """How well a pose fits as it is."""
    return _look(solid, target, pose)[1]


def _solved(rows: list[_Rows], width: float) -> np.ndarray:
    normal, right = np.zeros((7, 7)), np.zeros(7)
    for row in rows:
        if not len(row.error):
            continue
        # Cauchy's weights, and each kind of error counted as a mean.
        weight = row.weight / (1 + (row.error / width) ** 2) / len(row.error)
        normal += (row.slope * weight[:, None]).T @ row.slope
        right -= row.slope.T @ (weight * row.error)
    normal += np.diag(DAMPING * np.diag(normal) + 1e-6 * max(np.trace(normal), 1e-9))
    motion = np.linalg.solve(normal, right)
    return motion * min(1.0, 0.35 / max(np.abs(motion).max(), 1e-12))


def _moved(pose: np.ndarray, motion: np.ndarray, keep_distance: bool) -> np.ndarray:
    middle = pose[:3, 3]
    distance = np.linalg.norm(middle)
    result = np.eye(4)
    result[:3, :3] = np.exp(motion[3]) * rotation_from_vector(motion[:3]) @ pose[:3, :3]
    result[:3, 3] = middle + motion[4:] * distance
    if result[2, 3] < 0.1 * distance:  # never behind the camera
        result[:3, 3] = middle
    if keep_distance:
        result[:3] *= distance / np.linalg.norm(result[:3, 3])
    return _similar(result)


def _similar(pose: np.ndarray) -> np.ndarray:
    """Rounding taken out of a similarity."""
    u, s, v = np.linalg.svd(pose[:3, :3])
    result = pose.copy()
    result[:3, :3] = s.mean() * u @ v
    return result


def _look(solid: Solid, target: Target, pose: np.ndarray) -> tuple[list[_Rows], Fit]:
    points = solid.points @ pose[:3, :3].T + pose[:3, 3]
    seen = solid.seen(points, target.lens)
    side = target.cover.shape[0]
    sample, face = seen.sample.numpy(), seen.face.numpy()
    corners = points[solid.faces[face]]
    places = (seen.weights.numpy()[..., None] * corners).sum(1)
    index = np.full(side * side, -1)
    index[sample] = np.arange(len(sample))
    there = (index >= 0).reshape(side, side)
    mask = (target.cover > 0.5) & target.known
    both, either = int((there & mask).sum()), int(((there & target.known) | mask).sum())
    iou = both / max(either, 1)
    if not len(sample):
        return [], Fit(pose, 4 * FARTHEST, FARTHEST, 0.0, float("nan"))
    rows = _outline_rows(target, pose, index.reshape(side, side), places)
    outline = float(np.mean([_bounded(row.error) for row in rows]))
    cost, total = 2 * outline, 2.0
    depth = float("nan")
    inside = mask.ravel()[sample]
    if target.depth is not None:
        row = _depth_rows(target, pose, sample, places, corners, inside)
        depth = _bounded(row.error)
        rows.append(row)
        cost, total = cost + DEPTH_WEIGHT * depth, total + DEPTH_WEIGHT
    if target.colors is not None and solid.colors is not None:
        own = (seen.weights.numpy()[..., None] * solid.colors[solid.faces[face]]).sum(1)
        row = _color_rows(target, pose, sample, places, own, inside)
        rows.append(row)
        cost, total = cost + COLOR_WEIGHT * _bounded(row.error), total + COLOR_WEIGHT
    return rows, Fit(pose, float(cost / total), outline, iou, depth)


def _bounded(error: np.ndarray) -> float:
    return float(np.minimum(np.abs(error), FARTHEST).mean()) if len(error) else FARTHEST


def _outline_rows(target: Target, pose: np.ndarray, index: np.ndarray, places: np.ndarray) -> list[_Rows]:
    """The mesh's outline on the mask's, and the mask's on the mesh's."""
    there = index >= 0
    found = []
    for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        beside = np.ones_like(there)
        inner = (slice(max(-dy, 0), there.shape[0] - max(dy, 0)), slice(max(-dx, 0), there.shape[1] - max(dx, 0)))
        outer = (slice(max(dy, 0), there.shape[0] - max(-dy, 0)), slice(max(dx, 0), there.shape[1] - max(-dx, 0)))
        beside[inner] = there[outer] | ~target.known[outer]
        row, column = np.nonzero(there & ~beside & target.known)
        # The edge lies somewhere between the two centres: on average in the middle.
        found.append(np.stack([column + dx / 2, row + dy / 2, index[row, column]], 1))
    edge = np.concatenate(found)
    if not len(edge):
        empty = _Rows(np.zeros(0), np.zeros((0, 7)), 1.0)
        return [empty, _Rows(np.full(len(target.outline), FARTHEST), np.zeros((len(target.outline), 7)), 1.0)]
    spot, owner = edge[:, :2], edge[:, 2].astype(np.int64)
    motion = _picture_motion(target, pose, places[owner])
    error, slope = sampled(target.distance, spot)
    mine = _Rows(error, (slope[:, None] @ motion)[:, 0], 1.0)
    nearest = (((target.outline[:, None] - spot[None]) ** 2).sum(2)).argmin(1)
    apart = spot[nearest] - target.outline
    along = (apart * target.normal).sum(1)
    length = np.linalg.norm(apart, axis=1)
    # Across the outline only; how far away it is as a whole tells whether that is to be believed.
    theirs = np.where(length > FARTHEST, np.sign(along) * length, along)
    return [mine, _Rows(theirs, (target.normal[:, None] @ motion[nearest])[:, 0], 1.0)]


def _space_motion(pose: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(N, 3, 7) how places of the mesh move in the camera's frame."""
    arm = places - pose[:3, 3]
    x, y, z = arm.T
    zero = np.zeros_like(x)
    turn = np.stack([np.stack([zero, z, -y], 1), np.stack([-z, zero, x], 1), np.stack([y, -x, zero], 1)], 1)
    shift = np.broadcast_to(np.eye(3) * np.linalg.norm(pose[:3, 3]), (len(x), 3, 3))
    return np.concatenate([turn, arm[..., None], shift], 2)


def _picture_motion(target: Target, pose: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(N, 2, 7) how they move in the picture, in pixels."""
    x, y, z = places.T
    zero = np.zeros_like(z)
    fx, fy = target.lens.fx, target.lens.fy
    onto = np.stack([np.stack([fx / z, zero, -fx * x / z**2], 1), np.stack([zero, fy / z, -fy * y / z**2], 1)], 1)
    return onto @ _space_motion(pose, places)


def _depth_rows(
    target: Target, pose: np.ndarray, sample: np.ndarray, places: np.ndarray, corners: np.ndarray, inside: np.ndarray
) -> _Rows:
    """The mesh's surface on the frame's, along the mesh's normals."""
    assert target.depth is not None
    given = target.depth.ravel()[sample]
    use = np.flatnonzero(inside & (given > 0))
    use = use[:: max(1, len(use) // MOST)]
    place, given = places[use], given[use]
    a, b, c = (corners[use, k] for k in range(3))
    normal = np.cross(b - a, c - a)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-30)
    ray = place / place[:, 2:]
    cosine = (normal * ray).sum(1) / np.linalg.norm(ray, axis=1)
    steep = np.abs(cosine) > GRAZING
    place, given, normal, ray = place[steep], given[steep], normal[steep], ray[steep]
    pixels = np.sqrt(target.lens.fx * target.lens.fy) / np.maximum(given, 1e-9)
    error = (normal * (place - ray * given[:, None])).sum(1) * pixels
    slope = (normal[:, None] @ _space_motion(pose, place))[:, 0] * pixels[:, None]
    return _Rows(error, slope, DEPTH_WEIGHT)


def _color_rows(
    target: Target, pose: np.ndarray, sample: np.ndarray, places: np.ndarray, own: np.ndarray, inside: np.ndarray
) -> _Rows:
    """The mesh's colours (N, 3) on the picture's, up to one gain and an offset of each channel."""
    assert target.colors is not None
    use = np.flatnonzero(inside)
    use = use[:: max(1, len(use) // MOST)]
    if len(use) < 10:
        return _Rows(np.zeros(0), np.zeros((0, 7)), COLOR_WEIGHT)
    side = target.colors.shape[2]
    spot = np.stack([sample[use] % side, sample[use] // side], 1).astype(np.float64)
    shown = [sampled(plane, spot) for plane in target.colors]
    light, slope = (np.stack(part, 1) for part in zip(*shown, strict=True))
    light, centred = light - light.mean(0), own[use] - own[use].mean(0)
    gain = np.clip((centred * light).sum() / max((centred**2).sum(), 1e-9), 0.2, 3.0)
    error = (light - gain * centred) * COLOR_PIXELS
    motion = _picture_motion(target, pose, places[use])
    return _Rows(error.ravel(), (slope @ motion).reshape(-1, 7) * COLOR_PIXELS, COLOR_WEIGHT)
