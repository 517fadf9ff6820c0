"""Coloured points and faces as PLY, binary little-endian."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import EX4DError
from ..mesh import DWMesh
from ..storage.ply import colored_vertices, write_ply
from ..storage.staging import staged_file
from .scene import AssetScene
from .simplify import Surface


def save_ply(path: str | Path, mesh: DWMesh, frame: int = 0) -> None:
    """Write one frame of a mesh as it is, back plate included; the file appears under its name only when it is whole.

    Args:
        path: target.
        mesh: the mesh; vertices are written in the world, the source camera's first frame (OpenCV: x right, y down, z forward).
        frame: which one; its occluded vertices are black, as published.

    Raises:
        EX4DError: no such frame, or a disk that refuses.
    """
    if not 0 <= frame < mesh.frames:
        raise EX4DError(f"The mesh has frames 0 to {mesh.frames - 1}; frame {frame} was asked for.")
    comment = "DW-Mesh of EX-4D; OpenCV camera frame: x right, y down, z forward"
    positions, colors = mesh.vertices_in_world(frame).cpu().numpy(), mesh.vertex_colors(frame).cpu().numpy()
    with staged_file(path) as part:
        write_ply(part, colored_vertices(positions, colors), mesh.faces.cpu().numpy(), comments=[comment])


def save_surface(path: str | Path, scene: AssetScene, surface: Surface, k: int = 0) -> None:
    """Write what one frame sees of a surface: a colour at every vertex, y up, in the scene's unit.

    Args:
        path: target.
        scene: what the surface belongs to.
        surface: the faces.
        k: which of the surface's frames.
    """
    frame = surface.frames[k]
    used, index = np.unique(surface.faces[surface.visible(k)], return_inverse=True)
    vertices = surface.vertices[used]
    colors = scene.picture(frame).reshape(-1, 3)[vertices]
    rows = colored_vertices(scene.positions(frame, vertices), colors)
    with staged_file(path) as part:
        write_ply(part, rows, index.reshape(-1, 3), comments=["EX-4D; y up, the camera looks along -z"])
