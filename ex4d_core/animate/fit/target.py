"""What a mesh is fitted to in one frame: the mask's surroundings on a small grid, with its outline, depth and colours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...camera import Intrinsics
from ...errors import EX4DError

SIDE = 96
"""Pixels of the grid, both ways."""
MARGIN = 1.5
"""The grid's side as a multiple of the mask's longer side."""
FEWEST_PIXELS = 30
"""A mask of fewer tells no view."""
SECOND = 0.5
"""Of two parts that do not touch, how large the second may be beside the first: an object may be hidden in the middle."""
COARSE = 64
"""Cells, both ways, in which parts are told apart."""
FULLEST = 0.98
"""Share of the picture from which a mask tells no outline."""


@dataclass(frozen=True, eq=False)
class Target:
    """One frame around its mask, on a grid of `SIDE` pixels whose centres have whole numbers.

    Attributes:
        lens: the frame's, for this grid.
        step: pixels of the frame that one of the grid is wide.
        cover: (S, S) float32 0..1, how much of each pixel is the object.
        known: (S, S) bool, pixels that lie in the frame.
        depth: (S, S) float32 of the object, 0 where it is not known; None without any.
        colors: (3, S, S) float32 0..1; None without.
        outline: (C, 2) float64 column and row where the cover crosses one half.
        normal: (C, 2) unit vectors out of the object there.
        distance: (S, S) float32 pixels to the outline, > 0 outside of the object.
    """

    lens: Intrinsics
    step: int
    cover: np.ndarray
    known: np.ndarray
    depth: np.ndarray | None
    colors: np.ndarray | None
    outline: np.ndarray
    normal: np.ndarray
    distance: np.ndarray


def make_target(
    mask: np.ndarray, lens: Intrinsics, depth: np.ndarray | None, image: np.ndarray | None, frame: int
) -> Target:
    """A frame's target.

    Args:
        mask: (H, W) float 0..1.
        lens: of the frame, for this size.
        depth: (H, W) planar depth > 0, or None.
        image: (H, W, 3) float 0..1, or None.
        frame: its number, for what is said of it.

    Raises:
        EX4DError: a mask that is empty or full.
    """
    inside = mask > 0.5
    pixels = int(inside.sum())
    if pixels < FEWEST_PIXELS:
        raise EX4DError(
            f"The mask of frame {frame} is empty: {pixels} pixels are of the object, expected at least {FEWEST_PIXELS}. "
            "Mask the object there, or leave that frame's mesh out."
        )
    if pixels > FULLEST * inside.size:
        raise EX4DError(
            f"The mask of frame {frame} is full: it takes in the whole picture and shows no outline. Mask the object alone; "
            "where the mask is white around it, invert it."
        )
    second = _share_of_second(inside)
    if second > SECOND:
        raise EX4DError(
            f"The mask of frame {frame} holds two objects that do not touch, the second {100 * second:.0f} % as large as the "
            "first. Mask one object."
        )
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    longer = max(np.ptp(rows), np.ptp(columns)) + 1
    step = max(1, int(np.ceil(MARGIN * longer / SIDE)))
    top = (rows[0] + rows[-1] + 1 - step * SIDE) // 2
    left = (columns[0] + columns[-1] + 1 - step * SIDE) // 2
    window = _Window(int(top), int(left), step)
    small = Intrinsics(lens.fx / step, lens.fy / step, (lens.cx - left) / step, (lens.cy - top) / step, SIDE, SIDE)
    cover = window.mean(mask)
    known = window.mean(np.ones(mask.shape, np.float32)) > 0.99
    outline = crossings(cover, known)
    if not len(outline):
        raise EX4DError(f"The mask of frame {frame} has no outline inside the picture. Mask the object alone.")
    distance = signed_distance(cover, outline)
    normal = _gradient_at(distance, outline)
    if depth is not None:
        usable = inside & np.isfinite(depth) & (depth > 0)
        share = window.mean(usable.astype(np.float32))
        depth = np.where(
            (share > 0.5) & (cover > 0.9), window.mean(np.where(usable, depth, 0)) / np.maximum(share, 1e-6), 0.0
        ).astype(np.float32)
    colors = None if image is None else np.stack([window.mean(image[..., k]) for k in range(3)])
    return Target(small, step, cover, known, depth, colors, outline, normal, distance)


def _share_of_second(inside: np.ndarray) -> float:
    """How large the second largest part of a mask is beside the largest; parts a 64th of the picture apart are one."""
    row, column = np.nonzero(inside)
    step = max(1, int(np.ceil(max(inside.shape) / COARSE)))
    count = np.zeros((inside.shape[0] // step + 3, inside.shape[1] // step + 3))
    np.add.at(count, (row // step + 1, column // step + 1), 1)
    there = count > 0
    label = np.where(there, np.arange(1, there.size + 1).reshape(there.shape), 0)
    while True:
        spread = label.copy()
        for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, -1), (1, -1), (-1, 1)):
            spread = np.maximum(spread, np.roll(label, (dy, dx), (0, 1)))
        spread = np.where(there, spread, 0)
        if (spread == label).all():
            break
        label = spread
    sizes = np.sort(np.bincount(label[there], count[there]))[::-1]
    return float(sizes[1] / sizes[0]) if len(sizes) > 1 else 0.0


@dataclass(frozen=True)
class _Window:
    """A square of the frame, which may reach beyond it."""

    top: int
    left: int
    step: int

    def mean(self, plane: np.ndarray) -> np.ndarray:
        """(S, S) float32 means over the blocks of a plane (H, W), which is 0 outside of the frame."""
        side = SIDE * self.step
        cut = np.zeros((side, side), np.float32)
        height, width = plane.shape
        top, left = max(self.top, 0), max(self.left, 0)
        bottom, right = min(self.top + side, height), min(self.left + side, width)
        cut[top - self.top : bottom - self.top, left - self.left : right - self.left] = plane[top:bottom, left:right]
        return cut.reshape(SIDE, self.step, SIDE, self.step).mean((1, 3))


def crossings(cover: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(C, 2) places, column and row, between neighbouring known pixels where the cover crosses one half."""
    found = []
    for axis in (0, 1):
        first, second = (cover[:-1], cover[1:]) if axis == 0 else (cover[:, :-1], cover[:, 1:])
        both = (known[:-1] & known[1:]) if axis == 0 else (known[:, :-1] & known[:, 1:])
        row, column = np.nonzero(both & ((first > 0.5) != (second > 0.5)))
        a, b = first[row, column].astype(np.float64), second[row, column].astype(np.float64)
        share = (0.5 - a) / (b - a)
        place = [column + 0.0, row + share] if axis == 0 else [column + share, row + 0.0]
        found.append(np.stack(place, 1))
    return np.concatenate(found)


def signed_distance(cover: np.ndarray, outline: np.ndarray) -> np.ndarray:
    """(S, S) float32 distance to the nearest place of the outline, < 0 inside."""
    grid = np.arange(SIDE, dtype=np.float32)
    x, y = outline.astype(np.float32).T
    distance = np.empty(cover.shape, np.float32)
    across = (grid[:, None] - x) ** 2
    for row in range(SIDE):
        distance[row] = (across + (row - y) ** 2).min(1)
    return np.where(cover > 0.5, -1, 1) * np.sqrt(distance)


def sampled(plane: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A plane (S, S) at places (N, 2), column and row: values (N,) and their slopes (N, 2), linear between centres."""
    size = np.array(plane.shape[::-1])
    at = np.clip(places, 0, size - 1 - 1e-6)
    cell = at.astype(np.int64)
    fx, fy = (at - cell).T
    j, i = cell.T
    a, b, c, d = plane[i, j], plane[i, j + 1], plane[i + 1, j], plane[i + 1, j + 1]
    value = (a * (1 - fx) + b * fx) * (1 - fy) + (c * (1 - fx) + d * fx) * fy
    slope = np.stack([(b - a) * (1 - fy) + (d - c) * fy, (c - a) * (1 - fx) + (d - b) * fx], 1)
    return value, slope


def _gradient_at(distance: np.ndarray, places: np.ndarray) -> np.ndarray:
    # The distance has a crease on the outline itself: its slope is taken on both sides.
    slope = sum(sampled(np.roll(distance, (dy, dx), (0, 1)), places)[1] for dy in (-1, 0, 1) for dx in (-1, 0, 1))
    return slope / np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-9)
