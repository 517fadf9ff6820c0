"""Whether a result was filmed along the path that was asked for: points followed through it, its camera solved from them and
the depth that the path's cameras see, and that camera held against the path.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..camera import invert_pose
from ..mesh import DWMesh, build_dw_mesh
from ..published import PIVOT_MARGIN
from ..render import render_color_mask
from ..solve import solve_source_camera
from ..trajectory import Trajectory


@dataclass(frozen=True, eq=False)
class Asked:
    """The shot that was asked for.

    Attributes:
        path: T cameras with their lenses.
        depth: (T, H, W) planar depth that they see; 0 where it is not known.
        radius: of the scene, in its units; positions are told as a share of it.
    """

    path: Trajectory
    depth: Tensor
    radius: float


@dataclass(frozen=True)
class Adherence:
    """How far the result's camera is off the path, frame by frame, its first frame apart.

    Attributes:
        degrees: between the two rotations.
        shares: between the two positions, as shares of the radius.
        trouble: why the camera could not be found, as a sentence; None where it was.
    """

    degrees: list[float]
    shares: list[float]
    trouble: str | None


def asked_of(
    depth: Tensor,
    path: Trajectory,
    source_camera: Trajectory | None = None,
    *,
    cancel: Callable[[], bool] | None = None,
) -> Asked:
    """The shot along a path through a clip whose depth is known.

    Args:
        depth: (T, H, W) planar depth of the clip.
        path: T poses, as the renderers take them.
        source_camera: of the clip; None = it does not move.
        cancel: polled once a frame.

    Raises:
        EX4DError: frame counts that do not fit, depth that is no depth.
        Cancelled: ``cancel`` returned True.
    """
    colours = torch.zeros((1, 1, 1, 3), dtype=torch.uint8).expand(*depth.shape, 3)
    return asked_along(
        build_dw_mesh(colours, depth, style="paper", source_camera=source_camera, cancel=cancel), path, cancel=cancel
    )


def asked_along(mesh: DWMesh, path: Trajectory, *, cancel: Callable[[], bool] | None = None) -> Asked:
    """The shot along a path through a mesh.

    Args:
        mesh: of the clip.
        path: as the renderers take it.
        cancel: polled once a frame.

    Raises:
        EX4DError: frame counts that do not fit.
        Cancelled: ``cancel`` returned True.
    """
    from ..render import source_along, with_lenses
    from ..trajectory import in_the_world

    path = with_lenses(path, mesh)
    _, _, seen = render_color_mask(mesh, path, keep_first_frame=False, out_dtype="uint8", cancel=cancel)
    return Asked(in_the_world(path, source_along(path, mesh)), seen, mesh.radius)


def radius_of(depth: Tensor) -> float:
    """Of a scene, as camera paths take it: the nearest depth of the clip's first frame, and a margin."""
    return float(depth[0][depth[0] > 0].min()) + PIVOT_MARGIN


def adherence(
    result: Tensor,
    asked: Asked,
    *,
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Adherence:
    """Hold a result's camera against the path.

    Its first frame is taken to be filmed from where the path begins; what moves by itself is left out by the solve.

    Args:
        result: (T, H, W, 3) uint8.
        asked: of the same length and size; its lens must not change.
        progress: called with (steps done, steps).
        cancel: polled once a step.

    Raises:
        EX4DError: OpenCV is not installed.
        Cancelled: ``cancel`` returned True.
    """
    lenses = asked.path.intrinsics
    assert lenses is not None
    if len(set(lenses)) > 1:
        return Adherence([], [], "The path's lens changes, which one picture cannot tell from a camera that moves.")
    if len(result) < 2:
        return Adherence([], [], "One frame has no motion.")
    known = torch.where(asked.depth > 0, asked.depth, torch.nan)
    found = solve_source_camera(result, known, lenses[0], progress=progress, cancel=cancel)
    if found.trouble is not None:
        return Adherence([], [], found.trouble)
    wanted = asked.path.world_to_camera.astype(np.float64)
    wanted = wanted @ invert_pose(wanted[0])
    solved = found.camera.world_to_camera.astype(np.float64)
    away = np.linalg.norm(_positions(solved) - _positions(wanted), axis=1) / asked.radius
    return Adherence(_degrees(solved, wanted)[1:].tolist(), away[1:].tolist(), None)


def _positions(poses: np.ndarray) -> np.ndarray:
    """(T, 3) where cameras stand."""
    return -np.einsum("tji,tj->ti", poses[:, :3, :3], poses[:, :3, 3])


def _degrees(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """(T,) angle between rotations, exact for small ones: from the chord, as a cosine near 1 has no digits."""
    chord = np.linalg.norm(one[:, :3, :3] - two[:, :3, :3], axis=(1, 2)) / np.sqrt(8)
    return 2 * np.degrees(np.arcsin(np.clip(chord, 0, 1)))
