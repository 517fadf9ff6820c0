"""One topology whose faces vanish where they are occluded: for formats that can only move vertices, they shrink to a point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .simplify import Surface


@dataclass(frozen=True, eq=False)
class Collapsing:
    """A surface whose vertices are doubled where faces beside each other vanish at different frames.

    Attributes:
        vertices: (N,) int32, the surface's vertex that each is a copy of.
        faces: (F, 3) int32 indices of them.
        anchors: (N,) int32, the surface's vertex that each lies at while its faces are occluded.
        patterns: (P, B) uint8 bits of the frames in which a vertex' faces are occluded; see ``Surface.hidden``.
        pattern: (N,) which of them is the vertex' own.
    """

    vertices: np.ndarray
    faces: np.ndarray
    anchors: np.ndarray
    patterns: np.ndarray
    pattern: np.ndarray

    def at(self, k: int, positions: np.ndarray) -> np.ndarray:
        """Where the vertices are at the k-th frame.

        Args:
            k: the frame.
            positions: (V, 3) of the surface's vertices there.
        """
        occluded = ((self.patterns[:, k // 8] >> (k % 8)) & 1 == 1)[self.pattern]
        return positions[np.where(occluded, self.anchors, self.vertices)]


def collapsing(surface: Surface) -> Collapsing:
    """Give every face vertices that it shares only with faces that are occluded at the same frames.

    Such faces that hang together shrink to one point among them, so that they are gone, and do not fly far where a
    program goes smoothly from frame to frame.
    """
    patterns, of_face = np.unique(surface.hidden, axis=0, return_inverse=True)
    of_face = of_face.reshape(-1)
    corners = surface.faces.astype(np.int64) + len(surface.vertices) * of_face[:, None].astype(np.int64)
    copies, index = np.unique(corners, return_inverse=True)
    faces = index.reshape(-1, 3).astype(np.int32)
    vertices, pattern = copies % len(surface.vertices), copies // len(surface.vertices)
    vanishes = np.asarray(patterns.any(axis=1))[of_face]
    first = _first_of_part(faces[vanishes], len(copies))
    return Collapsing(
        vertices.astype(np.int32), faces, vertices[first].astype(np.int32), patterns, pattern.astype(np.int32)
    )


def _first_of_part(faces: np.ndarray, count: int) -> np.ndarray:
    """For every vertex the lowest number among those that hang together with it by faces."""
    lowest = np.arange(count)
    while True:
        of_faces = lowest[faces].min(axis=1)
        now = lowest.copy()
        np.minimum.at(now, faces.reshape(-1), np.repeat(of_faces, 3))
        now = now[now]  # whoever is lower already knows one that is lower still
        if (now == lowest).all():
            return lowest
        lowest = now


def moving_positions(
    shape: Collapsing, frames: int, positions: Callable[[int], np.ndarray], target: np.ndarray | None = None
) -> np.ndarray:
    """(frames, N, 3) float32 positions of all frames; ``positions(k)`` gives the surface's vertices at the k-th."""
    moved = np.empty((frames, len(shape.vertices), 3), np.float32) if target is None else target
    for k in range(frames):
        moved[k] = shape.at(k, positions(k))
    return moved
