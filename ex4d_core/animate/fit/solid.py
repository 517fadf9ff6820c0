"""A mesh as the fit holds it: around its own middle, in units of its own size, with what it was taken from remembered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ...camera import Intrinsics
from ...render.backend import load_problem
from ...render.view import Settings
from ...render.visibility import Seen, seen_compiled, seen_torch
from ..meshes import TriangleMesh

NEAR, FAR = 1e-2, 1e3
"""Planar depth that is drawn, in units of a solid's size: its distance is a few of them."""


@dataclass(frozen=True, eq=False)
class Solid:
    """A mesh around its middle.

    Attributes:
        points: (V, 3) float64, the mean of its surface at 0, as large as 1 (root mean square distance from there).
        faces: (F, 3) int32.
        colors: (V, 3) 0..1 of the vertices; None without.
        own: (4, 4) from the mesh's axes to these.
        reach: of the farthest point.
        mean_radius: of a disc as large as its mean silhouette.
        samples: (N, 3) points evenly on its surface.
    """

    points: np.ndarray
    faces: np.ndarray
    colors: np.ndarray | None
    own: np.ndarray
    reach: float
    mean_radius: float
    samples: np.ndarray

    def seen(self, points: np.ndarray, lens: Intrinsics) -> Seen:
        """What a camera sees of the mesh with its vertices at points (V, 3) of the camera's frame."""
        return look(points, self.faces, lens)

    def depth(self, points: np.ndarray, lens: Intrinsics) -> np.ndarray:
        """(H, W) float64 planar depth, 0 where nothing is."""
        seen = self.seen(points, lens)
        plane = np.zeros(lens.height * lens.width)
        plane[seen.sample.numpy()] = seen.depth.numpy()
        return plane.reshape(lens.height, lens.width)


def look(points: np.ndarray, faces: np.ndarray, lens: Intrinsics, unit: float = 1.0) -> Seen:
    """What a camera sees of a mesh with vertices (V, 3) in its frame, from `NEAR` to `FAR` in units of ``unit``."""
    rasterise = seen_compiled if load_problem("numba") is None else seen_torch
    settings = Settings(NEAR * unit, FAR * unit, 1, False, False, torch.device("cpu"), _nothing, _nothing)
    return rasterise(torch.from_numpy(points), torch.from_numpy(faces), lens, settings)


def _nothing() -> None:
    return None


def solid_of(mesh: TriangleMesh, samples: int = 300, seed: int = 0) -> Solid:
    """A mesh around its middle."""
    vertices = mesh.vertices.astype(np.float64)
    corners = vertices[mesh.faces]
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    areas = np.maximum(areas, 1e-30)
    middles = corners.mean(1)
    centre = np.average(middles, axis=0, weights=areas)
    size = float(np.sqrt(np.average(((middles - centre) ** 2).sum(1), weights=areas))) or 1.0
    own = np.eye(4) / size
    own[:3, 3] = -centre / size
    own[3, 3] = 1.0
    points = (vertices - centre) / size
    rng = np.random.default_rng(seed)
    face = rng.choice(len(areas), samples, p=areas / areas.sum())
    share = rng.dirichlet((1, 1, 1), samples)
    chosen = (share[..., None] * points[mesh.faces[face]]).sum(1)
    used = points[np.unique(mesh.faces)]
    return Solid(
        points,
        mesh.faces,
        None if mesh.colors is None else mesh.colors.astype(np.float64),
        own,
        float(np.linalg.norm(used, axis=1).max()),
        float(np.sqrt(areas.sum() / size**2 / 4 / np.pi)),
        chosen,
    )
