"""CUDA backend: the published renderer's own rasteriser, several frames a call.

nvdiffrast is never required and not on any registry; its licence allows non-commercial use only. What differs from the
other backends: vertices are snapped to 1/16 pixel, set-up is float32, and with ``antialias`` (released style's default,
as published) silhouettes are blended over one pixel.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import EX4DError
from ..mesh import DWMesh, grid_faces, unproject
from .view import Picture, Settings, View, reduce_samples, store

ELEMENTS = 2**21
"""Vertices or samples in flight: about 100 bytes each."""
MAX_FACES = 2**23
"""nvdiffrast stores at most 2^24 triangles, some of them cut in two by the near plane."""
ON_VERTEX = 0.999
"""A sample with one weight above this lies on that vertex."""

_lock = threading.Lock()


def render(mesh: DWMesh, views: list[View], picture: Picture, settings: Settings) -> None:
    """Fill the picture's frames of ``views``; see `render_color_mask`."""
    size = mesh.height * mesh.width
    if 2 * size > MAX_FACES:
        raise EX4DError(f"A mesh of {mesh.width}x{mesh.height} is too fine for nvdiffrast; use backend torch or numba.")
    rows, columns = picture.height * settings.supersample, picture.width * settings.supersample
    batch = max(1, min(16, ELEMENTS // max(size, rows * columns)))
    with torch.cuda.device(settings.device):
        for start in range(0, len(views), batch):
            settings.poll()
            some = views[start : start + batch]
            with _lock:  # one context per device; it must not be entered twice
                samples = _draw(mesh, some, rows, columns, settings)
            color, mask, depth = reduce_samples(*samples, settings.supersample)
            outputs = slice(some[0].output, some[-1].output + 1)
            store(picture, outputs, color, mask, depth, released=mesh.style == "released")
            for _ in some:
                settings.frame_done()


def _draw(
    mesh: DWMesh, views: list[View], rows: int, columns: int, settings: Settings
) -> tuple[Tensor, Tensor, Tensor]:
    """Colour 0..255 (n, rows, columns, 3), mask and depth of some frames."""
    import nvdiffrast.torch as dr

    device = settings.device
    sources = [view.source for view in views]
    depth = mesh.depth[sources].to(device)
    points = unproject(depth, mesh.intrinsics, mesh.pixel_offset).reshape(len(views), -1, 3)
    poses = torch.from_numpy(np.stack([view.world_to_camera for view in views])).to(device)
    points = points @ poses[:, :3, :3].transpose(1, 2) + poses[:, None, :3, 3]
    clip = _to_clip(points, views, settings).float().contiguous()
    attributes = _attributes(mesh, sources, points[..., 2].float(), device)
    context, faces, topology = _shared(mesh.height, mesh.width, device)
    raster, _ = dr.rasterize(context, clip, faces, (rows, columns), grad_db=False)
    values, _ = dr.interpolate(attributes, raster, faces)
    color, z = values[..., :4].contiguous(), values[..., 4]
    if mesh.style == "paper":
        color = color * _visible(mesh, sources, raster)[..., None]
    if settings.antialias:
        color = dr.antialias(color, raster, clip, faces, topology_hash=topology)
    mask = color[..., 3] > 125.0
    # Blending can leave a seen pixel over the background, where no face gives it a depth: take the far plane's.
    z = torch.where(raster[..., 3] > 0, z, settings.far)
    return color[..., :3], mask, z


def _to_clip(points: Tensor, views: list[View], settings: Settings) -> Tensor:
    """Camera space (n, V, 3) to homogeneous clip space (n, V, 4), row 0 of the picture at y = -1."""
    lens = [(v.intrinsics.fx, v.intrinsics.fy, v.intrinsics.cx, v.intrinsics.cy) for v in views]
    fx, fy, cx, cy = torch.tensor(lens, dtype=torch.float64, device=points.device).T[..., None]
    width, height = views[0].intrinsics.width, views[0].intrinsics.height
    x, y, z = points.unbind(-1)
    near, far = settings.near, settings.far
    return torch.stack(
        [
            (fx * x + cx * z) * (2.0 / width) - z,
            (fy * y + cy * z) * (2.0 / height) - z,
            ((far + near) * z - 2.0 * far * near) / (far - near),
            z,
        ],
        dim=-1,
    )


def _attributes(mesh: DWMesh, sources: list[int], z: Tensor, device: torch.device) -> Tensor:
    """Per vertex: RGB and alpha 0..255, depth. Invisible vertices are transparent black in released style."""
    rgb = mesh.rgb[sources].to(device).reshape(len(sources), -1, 3).float()
    alpha = torch.full_like(z, 255.0)
    if mesh.style == "released":
        valid = mesh.vertex_valid(sources).to(device)
        rgb, alpha = rgb * valid[..., None], alpha * valid
    return torch.cat([rgb, alpha[..., None], z[..., None]], dim=-1).contiguous()


def _visible(mesh: DWMesh, sources: list[int], raster: Tensor) -> Tensor:
    """Paper style: samples (n, rows, columns) whose face is visible, or that lie on a vertex of a visible face.

    At the source camera every sample lies on a vertex, and the fill rule gives it to any of six faces.
    """
    valid = mesh.quad_face_valid(sources).to(raster.device)
    frames = torch.arange(len(sources), device=raster.device)[:, None, None]
    face = raster[..., 3].long() - 1
    quads = valid.shape[1] * valid.shape[2] * 2
    over_pixels = (face >= 0) & (face < quads)
    face = face.clamp(0, quads - 1)
    visible = valid.reshape(len(sources), -1)[frames, face]
    weights = torch.stack([raster[..., 0], raster[..., 1], 1.0 - raster[..., 0] - raster[..., 1]], -1)
    largest, corner = weights.max(-1)
    _, indices, _ = _shared(mesh.height, mesh.width, raster.device)
    vertex = indices[face, corner].long()
    touched = mesh.vertex_valid(sources).to(raster.device)
    visible = visible | ((largest > ON_VERTEX) & touched[frames, vertex])
    return visible & over_pixels


@lru_cache(maxsize=4)
def _shared(height: int, width: int, device: torch.device) -> tuple[Any, Tensor, Any]:
    """The device's context, the faces there, and their topology for antialiasing.

    Both styles share the released faces: paper style's fan is coplanar with its two back faces and never visible.
    """
    import nvdiffrast.torch as dr

    faces = grid_faces(height, width, "released").to(device).contiguous()
    return _context(device), faces, dr.antialias_construct_topology_hash(faces)


@lru_cache(maxsize=8)
def _context(device: torch.device) -> Any:
    import nvdiffrast.torch as dr

    return dr.RasterizeCudaContext(device=device)
