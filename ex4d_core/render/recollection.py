"""One view of a scene's memory, as both ways of filling holes from it take it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..camera import invert_pose
from ..mesh import DWMesh
from ..scene_memory import CELL, SceneMemory
from .view import Picture, View

STEPS = 256
"""Of the walk along a ray to what is remembered, at most."""
SPACING = 2
"""Samples between the first rays that are walked, a power of two: those between them only where these do not agree."""
PASSES, STOPPED = 1, 2
"""What a ray is told; 0 while it is not."""


@dataclass(frozen=True, eq=False)
class Recollection:
    """One view of the memory.

    Attributes:
        output: frame of the output.
        frame: of the mesh.
        world_to_camera: (3, 4).
        lens: fx, fy, cx, cy of the viewing camera, on pixels' centres.
        cells: (1 + K, 4) the same of the frame's own camera and the witnesses', on the solids' cells.
        to_witness: (1 + K, 3, 4) from the viewing camera to them.
    """

    output: int
    frame: int
    world_to_camera: np.ndarray
    lens: tuple[float, float, float, float]
    cells: np.ndarray
    to_witness: np.ndarray


def recollection(memory: SceneMemory, mesh: DWMesh, view: View, picture: Picture) -> Recollection:
    """Of one view of a mesh, whose picture may be supersampled while the memory is not."""
    source = np.eye(4) if mesh.source_camera is None else mesh.source_camera.world_to_camera[view.source]
    world_to_camera = view.source_to_camera @ source.astype(np.float64)
    to_world = invert_pose(world_to_camera)
    camera = view.intrinsics.resized(picture.width, picture.height)
    poses = [source.astype(np.float64), *memory.poses]
    lenses = [mesh.lens(view.source), *memory.lenses]
    return Recollection(
        view.output,
        view.source,
        np.ascontiguousarray(world_to_camera[:3]),
        (float(camera.fx), float(camera.fy), camera.cx - 0.5, camera.cy - 0.5),
        np.array([[k.fx, k.fy, k.cx, k.cy] for k in lenses]) / CELL,
        np.ascontiguousarray(np.stack([(pose @ to_world)[:3] for pose in poses])),
    )
