"""Brute force: every ray against every triangle in float64. Slow, and short enough to be believed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ex4d_core.camera import Intrinsics
from ex4d_core.mesh import DWMesh


@dataclass(frozen=True)
class Truth:
    """`clear` marks samples whose answer does not hang on rounding: off every edge, nearest face alone, off thresholds."""

    color: np.ndarray  # (H, W, 3) 0..255, black in holes
    mask: np.ndarray  # (H, W) bool
    depth: np.ndarray  # (H, W), 0 in holes
    clear: np.ndarray  # (H, W) bool


def ray_trace(
    mesh: DWMesh, t: int, world_to_camera: np.ndarray, camera: Intrinsics, near: float = 1e-3, far: float = 1e3
) -> Truth:
    """The mesh's own vertices, faces, validity and colours, seen by rays through the pixel centres."""
    vertices = mesh.vertices_in_camera(t).double().numpy() @ world_to_camera[:3, :3].T + world_to_camera[:3, 3]
    faces = mesh.faces.numpy()
    valid = mesh.face_valid(t).numpy()
    colors, alpha = mesh.vertex_colors(t).double().numpy(), mesh.vertex_alpha(t).double().numpy()
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    # A ray d meets the plane of a, b, c at depth volume / (n . d); its weights are the three signed sub-volumes.
    normals = np.stack([np.cross(b, c), np.cross(c, a), np.cross(a, b)])
    volume = np.einsum("fk,fk->f", a, normals[0])
    x = (np.arange(camera.width) + 0.5 - camera.cx) / camera.fx
    y = (np.arange(camera.height) + 0.5 - camera.cy) / camera.fy
    rays = np.stack(np.broadcast_arrays(x[None], y[:, None], 1.0), -1).reshape(-1, 3)

    color, mask = np.zeros((len(rays), 3)), np.zeros(len(rays), bool)
    depth, clear = np.zeros(len(rays)), np.zeros(len(rays), bool)
    for index, ray in enumerate(rays):
        with np.errstate(divide="ignore", invalid="ignore"):
            volumes = normals @ ray
            inverse = volumes.sum(0) / volume
            weights = volumes / volume / inverse
            z = 1.0 / inverse
        # Weights divided by their gradient in pixels would be distances; at these sizes 1e-4 of a weight is enough.
        hits = np.isfinite(z) & (z >= near) & (z <= far)
        inside = hits & (weights > 1e-4).all(0)
        possible = hits & (weights > -1e-4).all(0)
        order = np.flatnonzero(possible)[np.argsort(z[possible])]
        if len(order) == 0:
            clear[index] = True
            continue
        front = order[0]
        tied = len(order) > 1 and z[order[1]] < z[front] * (1 + 1e-5)
        clear[index] = inside[front] and not tied
        weight, corner = weights[:, front], faces[front]
        if mesh.style == "released":
            opacity = 255.0 * (weight @ alpha[corner])
            mask[index] = opacity > 125.0
            clear[index] &= abs(opacity - 125.0) > 1e-2
        else:
            mask[index] = valid[front]
        if mask[index]:
            color[index], depth[index] = weight @ colors[corner], z[front]
    shape = (camera.height, camera.width)
    return Truth(color.reshape(*shape, 3), mask.reshape(shape), depth.reshape(shape), clear.reshape(shape))
