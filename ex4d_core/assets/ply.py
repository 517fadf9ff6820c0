"""DW-Mesh to PLY: binary little-endian, one frame, coloured vertices."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import EX4DError
from ..mesh import DWMesh
from ..storage.staging import staged_file

VERTEX = np.dtype([("position", "<f4", 3), ("color", "u1", 3)])
FACE = np.dtype([("count", "u1"), ("index", "<i4", 3)])


def save_ply(path: str | Path, mesh: DWMesh, frame: int = 0) -> None:
    """Write one frame of a mesh; the file appears under its name only when it is whole.

    Args:
        path: target.
        mesh: the mesh; vertices are written in the world, the source camera's first frame (OpenCV: x right, y down, z forward).
        frame: which one; its occluded vertices are black, as published.

    Raises:
        EX4DError: no such frame, or a disk that refuses.
    """
    if not 0 <= frame < mesh.frames:
        raise EX4DError(f"The mesh has frames 0 to {mesh.frames - 1}; frame {frame} was asked for.")
    positions = mesh.vertices_in_world(frame).cpu().numpy()
    vertices = np.empty(len(positions), VERTEX)
    vertices["position"] = positions
    vertices["color"] = mesh.vertex_colors(frame).cpu().numpy()
    indices = mesh.faces.cpu().numpy()
    faces = np.empty(len(indices), FACE)
    faces["count"], faces["index"] = 3, indices
    header = (
        "ply\nformat binary_little_endian 1.0\n"
        "comment DW-Mesh of EX-4D; OpenCV camera frame: x right, y down, z forward\n"
        f"element vertex {len(vertices)}\nproperty float x\nproperty float y\nproperty float z\n"
        "property uchar red\nproperty uchar green\nproperty uchar blue\n"
        f"element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    with staged_file(path) as part, open(part, "wb") as file:
        file.write(header.encode("ascii"))
        file.write(vertices.data)
        file.write(faces.data)
