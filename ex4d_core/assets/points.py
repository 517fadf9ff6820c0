"""A clip's mesh as points: what it saw, a point for every pixel."""

from __future__ import annotations

import torch

from ..camera import DEFAULT_FPS
from ..mesh import DWMesh, spread_to_vertices
from ..pointmap import PointMap
from ..pointmap.from_depth import points_from_depth


def points_of_mesh(mesh: DWMesh, *, fps: float = DEFAULT_FPS) -> PointMap:
    """The points of a mesh that some face which is not occluded touches, on their pixels' centres.

    The outermost ring, pulled back to close the surface, has none. Released style draws its surface half a pixel up and left;
    points stay where the depth says.

    Args:
        mesh: the clip's mesh.
        fps: frames a second.

    Raises:
        EX4DError: more memory than there is, or a frame of which nothing is seen.
    """
    valid = torch.stack([~spread_to_vertices(~mesh.quad_face_valid(t)) for t in range(mesh.frames)])
    valid[:, [0, -1]] = False
    valid[:, :, [0, -1]] = False
    lenses = [mesh.lens(t) for t in range(mesh.frames)]
    poses = None if mesh.source_camera is None else mesh.source_camera.world_to_camera
    return points_from_depth(mesh.depth, lenses, mesh.rgb, world_to_camera=poses, valid=valid, fps=fps)
