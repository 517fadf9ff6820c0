"""What one frame of the video shows of the object, in the unit in which its mesh is bent: outline, surface and tracks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...camera import Intrinsics
from ..fit.target import Target, make_target
from ..register.pulls import Target as Surface
from ..register.pulls import target_of
from ..surface import Samples

JUMP = 0.04
"""Of the object's size: where depth steps by more between neighbours, one thing ends in front of another."""


@dataclass(frozen=True, eq=False)
class Anchors:
    """Where tracks lie on the mesh: their numbers (M,), the face (M,) of each and the shares (M, 3) of its corners."""

    tracks: np.ndarray
    face: np.ndarray
    shares: np.ndarray

    def __len__(self) -> int:
        return len(self.tracks)

    def part(self, chosen: np.ndarray) -> Anchors:
        """Some of them."""
        return Anchors(self.tracks[chosen], self.face[chosen], self.shares[chosen])

    def grown(self, more: Anchors) -> Anchors:
        """These and others."""
        pairs = ((self.tracks, more.tracks), (self.face, more.face), (self.shares, more.shares))
        return Anchors(*(np.concatenate(pair) for pair in pairs))


NO_ANCHORS = Anchors(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 3)))


@dataclass(frozen=True, eq=False)
class Shown:
    """One frame.

    Attributes:
        target: outline, cover and lens on the grid around the mask.
        around: (C, 3) unit normals, out of the object, of the planes that hold the camera and a piece of the outline: what lies
            on such a plane is seen there.
        depth: (S, S) of the object on that grid, 0 where it is not known; None without depth.
        surface: the same as points; None without depth.
        anchors: the M tracks that are seen here.
        rays: (M, 3) unit vectors from the camera to where the tracks are.
        spots: (M, 3) where they are in space, NaN where no depth tells.
    """

    target: Target
    around: np.ndarray
    depth: np.ndarray | None
    surface: Surface | None
    anchors: Anchors
    rays: np.ndarray
    spots: np.ndarray


def shown_by(
    mask: np.ndarray,
    lens: Intrinsics,
    depth: np.ndarray | None,
    frame: int,
    unit: float,
    anchors: Anchors,
    spots: np.ndarray,
) -> Shown:
    """A frame made ready.

    Args:
        mask: (H, W) float 0..1.
        lens: the frame's, for this size.
        depth: (H, W) planar depth in the scene's unit, or None.
        frame: its number, for what is said of it.
        unit: the object's size in the scene's unit.
        anchors: of tracks, M of them.
        spots: (M, 2) where these are in the picture; NaN where one is not seen.

    Raises:
        EX4DError: a mask that is empty, full, or of two objects.
    """
    target = make_target(mask, lens, depth, None, frame)
    small = target.lens
    x, y = (target.outline + 0.5).T
    across = np.stack([small.fx * target.normal[:, 0], small.fy * target.normal[:, 1]], 1)
    along = target.normal[:, 0] * (small.cx - x) + target.normal[:, 1] * (small.cy - y)
    around = np.concatenate([across, along[:, None]], 1)
    around /= np.linalg.norm(around, axis=1, keepdims=True)
    plane = None if target.depth is None else target.depth / unit
    surface = None if plane is None else _surface(plane, small)
    seen = np.flatnonzero(np.isfinite(spots).all(axis=1))
    spots = spots[seen]
    rays = np.stack([(spots[:, 0] - lens.cx) / lens.fx, (spots[:, 1] - lens.cy) / lens.fy, np.ones(len(spots))], 1)
    places = np.full(rays.shape, np.nan)
    if depth is not None and len(spots):
        column, row = np.clip(np.floor(spots), 0, np.array(mask.shape[::-1]) - 1).astype(np.int64).T
        there = (mask[row, column] > 0.5) & np.isfinite(depth[row, column]) & (depth[row, column] > 0)
        places[there] = rays[there] * depth[row, column][there, None] / unit
    rays = rays / np.linalg.norm(rays, axis=1, keepdims=True)
    return Shown(target, around, plane, surface, anchors.part(seen), rays, places)


def _surface(depth: np.ndarray, lens: Intrinsics) -> Surface:
    """The depth (S, S) as points with normals towards the camera; at its edges they count as those of a hole."""
    row, column = np.mgrid[: depth.shape[0], : depth.shape[1]]
    points = np.stack([(column + 0.5 - lens.cx) / lens.fx, (row + 0.5 - lens.cy) / lens.fy, np.ones(depth.shape)], -1)
    points = points * depth[..., None]
    there = depth > 0
    inner = there[1:-1, 1:-1] & there[1:-1, :-2] & there[1:-1, 2:] & there[:-2, 1:-1] & there[2:, 1:-1]
    right, left, below, above = depth[1:-1, 2:], depth[1:-1, :-2], depth[2:, 1:-1], depth[:-2, 1:-1]
    smooth = inner & (np.abs(right - left) < 2 * JUMP) & (np.abs(below - above) < 2 * JUMP)
    normals = np.cross(points[2:, 1:-1] - points[:-2, 1:-1], points[1:-1, 2:] - points[1:-1, :-2])
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-30)
    inside = smooth & np.roll(smooth, 1, 0) & np.roll(smooth, -1, 0) & np.roll(smooth, 1, 1) & np.roll(smooth, -1, 1)
    chosen = Samples(points[1:-1, 1:-1][smooth], normals[smooth], inside[smooth])
    return target_of(chosen, 1.0)
