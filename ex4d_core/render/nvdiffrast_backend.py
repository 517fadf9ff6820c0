"""CUDA backend: the published renderer's own rasteriser, several frames a call.

nvdiffrast is never required and not on any registry; its licence allows non-commercial use only. What differs from the
other backends: vertices are snapped to 1/16 pixel, set-up is float32, and with ``antialias`` (released style's default,
as published) silhouettes are blended over one pixel.

Released style also repeats the published float32 arithmetic and order of faces: a depth of 100 has few bits left
between near 1e-3 and far 1e3, so rounding decides which of two surfaces near the back plate wins. (The default near and
far grow together with the scene, so that no fewer bits are left anywhere.)
"""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..camera import Intrinsics
from ..errors import EX4DError
from ..mesh import DWMesh, Style, grid_faces, unproject
from ..published import VISIBLE_ALPHA
from .backend import Backend, load_problem
from .view import Picture, Settings, View, reduce_samples, store

ELEMENTS = 2**21
"""Vertices or samples in flight: about 100 bytes each."""
MAX_FACES = 2**23
"""nvdiffrast stores at most 2^24 triangles, some of them cut in two by the near plane."""
ON_VERTEX = 1e-3
"""A sample this close to a vertex, in pixels and along each axis, lies on it."""

_lock = threading.Lock()


def one_at_a_time() -> threading.Lock:
    """Held while a device's context draws, which must not be entered twice."""
    return _lock


def _problem() -> str | None:
    if not torch.cuda.is_available():
        return "there is no NVIDIA GPU that torch can use"
    return load_problem("nvdiffrast.torch")


def _few_enough_faces(mesh: DWMesh) -> bool:
    return 2 * mesh.height * mesh.width <= MAX_FACES


def _takes(mesh: DWMesh, asked: torch.device | None) -> bool:
    """Faster than the others even with a mesh that lies on the CPU, unless that is where the work is asked for."""
    if asked is None and mesh.device.type == "cpu":
        return _few_enough_faces(mesh)
    return (asked or mesh.device).type == "cuda" and _few_enough_faces(mesh)


def _device(mesh: DWMesh, asked: torch.device | None) -> torch.device:
    if asked is not None and asked.type != "cuda":
        raise EX4DError(f"The nvdiffrast backend computes on CUDA, not on {asked}; use numba or torch there.")
    on_gpu = mesh.device if mesh.device.type == "cuda" else torch.device("cuda")
    return asked or on_gpu


def render(mesh: DWMesh, views: list[View], picture: Picture, settings: Settings) -> None:
    """Fill the picture's frames of ``views``; see `render_color_mask`."""
    size = mesh.height * mesh.width
    if not _few_enough_faces(mesh):
        raise EX4DError(f"A mesh of {mesh.width}x{mesh.height} is too fine for nvdiffrast; use backend torch or numba.")
    rows, columns = picture.height * settings.supersample, picture.width * settings.supersample
    batch = max(1, min(16, ELEMENTS // max(size, rows * columns)))
    with torch.cuda.device(settings.device):
        for start in range(0, len(views), batch):
            settings.poll()
            some = views[start : start + batch]
            with one_at_a_time():
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
    clip = _clip_positions(mesh, views, settings)
    context, faces, topology = _shared(mesh.height, mesh.width, mesh.style, device)
    raster, _ = dr.rasterize(context, clip, faces, (rows, columns), grad_db=False)
    # Clip space's w is the depth.
    values, _ = dr.interpolate(_attributes(mesh, sources, clip[..., 3]), raster, faces)
    color, z = values[..., :4].contiguous(), values[..., 4]
    if mesh.style == "paper":
        color = color * _visible(mesh, sources, faces, clip, raster)[..., None]
    if settings.antialias:
        color = dr.antialias(color, raster, clip, faces, topology_hash=topology)
    mask = color[..., 3] > VISIBLE_ALPHA
    if not settings.fade:
        # Colour is premultiplied with opacity, over black: what is seen gets back its own.
        color = color * (255.0 / color[..., 3:].clamp(min=VISIBLE_ALPHA))
    # Blending can leave a seen pixel over the background, where no face gives it a depth: take the far plane's.
    z = torch.where(raster[..., 3] > 0, z, settings.far)
    return color[..., :3], mask, z


def _clip_positions(mesh: DWMesh, views: list[View], settings: Settings) -> Tensor:
    """Homogeneous clip space (n, V, 4) float32; row 0 of the picture at y = -1, w = depth."""
    if len({mesh.lens(view.source) for view in views}) > 1:
        return torch.cat([_clip_positions(mesh, [view], settings) for view in views])
    lens = mesh.lens(views[0].source)
    depth = mesh.depth[[view.source for view in views]].to(settings.device)
    projections = np.stack([clip_matrix(view.intrinsics, settings.near, settings.far) for view in views])
    poses = np.stack([view.source_to_camera for view in views])
    if mesh.style == "paper":
        points = unproject(depth, lens, mesh.pixel_offset).flatten(1, 2)
        matrix = torch.from_numpy(projections @ poses).to(depth.device)
        return (points @ matrix[..., :3].mT + matrix[:, None, :, 3]).float().contiguous()
    x = (torch.arange(mesh.width, dtype=torch.float32, device=depth.device) - lens.cx) / lens.fx
    y = (torch.arange(mesh.height, dtype=torch.float32, device=depth.device) - lens.cy) / lens.fy
    matrix = torch.from_numpy(projections.astype(np.float32) @ poses.astype(np.float32)).to(depth.device)
    columns = matrix.double()[:, None, None].unbind(-1)
    # One float32 rounding a term, as a float32 matrix product does it; a real one could be switched to TF32 by anybody.
    clip = (depth * x)[..., None] * columns[0].float()
    clip = ((depth * y[:, None]).double()[..., None] * columns[1] + clip).float()
    clip = (depth.double()[..., None] * columns[2] + clip).float()
    return (columns[3] + clip).float().flatten(1, 2).contiguous()


def clip_matrix(lens: Intrinsics, near: float, far: float) -> np.ndarray:
    """(4, 4) float64, camera space to clip space."""
    return np.array(
        [
            [2 * lens.fx / lens.width, 0, 2 * lens.cx / lens.width - 1, 0],
            [0, 2 * lens.fy / lens.height, 2 * lens.cy / lens.height - 1, 0],
            [0, 0, (far + near) / (far - near), -2 * far * near / (far - near)],
            [0, 0, 1, 0],
        ]
    )


def _attributes(mesh: DWMesh, sources: list[int], z: Tensor) -> Tensor:
    """Per vertex: RGB and alpha 0..255, depth. Invisible vertices are transparent black in released style."""
    rgb = mesh.rgb[sources].to(z.device).reshape(len(sources), -1, 3).float()
    alpha = torch.full_like(z, 255.0)
    if mesh.style == "released":
        valid = mesh.vertex_valid(sources).to(z.device)
        rgb, alpha = rgb * valid[..., None], alpha * valid
    return torch.cat([rgb, alpha[..., None], z[..., None]], dim=-1).contiguous()


def _visible(mesh: DWMesh, sources: list[int], faces: Tensor, clip: Tensor, raster: Tensor) -> Tensor:
    """Paper style: samples (n, rows, columns) whose face is visible, or that lie on a vertex of a visible face.

    At the source camera every sample lies on a vertex, and the fill rule gives it to any of six faces.
    """
    valid = mesh.quad_face_valid(sources).to(raster.device).reshape(len(sources), -1)
    frames = torch.arange(len(sources), device=raster.device)[:, None, None]
    face = raster[..., 3].long() - 1
    over_pixels = (face >= 0) & (face < valid.shape[1])
    face = face.clamp(0, valid.shape[1] - 1)
    weights = torch.stack([raster[..., 0], raster[..., 1], 1.0 - raster[..., 0] - raster[..., 1]], -1)
    vertex = faces[face, weights.argmax(-1)].long()
    touched = mesh.vertex_valid(sources).to(raster.device)[frames, vertex]
    return over_pixels & (valid[frames, face] | (touched & _on_vertex(clip[frames, vertex])))


def _on_vertex(clip: Tensor) -> Tensor:
    """Where the position (n, rows, columns, 4) given for each sample is the sample's own, (n, rows, columns) bool."""
    _, rows, columns, _ = clip.shape
    x = (clip[..., 0] / clip[..., 3] + 1.0) * (columns / 2) - 0.5
    y = (clip[..., 1] / clip[..., 3] + 1.0) * (rows / 2) - 0.5
    x -= torch.arange(columns, device=clip.device)
    y -= torch.arange(rows, device=clip.device)[:, None]
    return (x.abs() < ON_VERTEX) & (y.abs() < ON_VERTEX)


@lru_cache(maxsize=4)
def _shared(height: int, width: int, style: Style, device: torch.device) -> tuple[Any, Tensor, Any]:
    """The device's context, the faces there, and their topology for antialiasing.

    Both styles draw the released faces: paper style's fan is coplanar with their two back faces and never visible.
    Released style has the published order: all upper left faces first, each named from its second vertex.
    """
    import nvdiffrast.torch as dr

    faces = grid_faces(height, width, "released")
    if style == "released":
        upper, lower, plate = faces[:-2:2], faces[1:-2:2], faces[-2:]
        faces = torch.cat([upper[:, [1, 0, 2]], lower[:, [0, 2, 1]], plate])
    faces = faces.to(device).contiguous()
    return shared_context(device), faces, dr.antialias_construct_topology_hash(faces)


@lru_cache(maxsize=8)
def shared_context(device: torch.device) -> Any:
    """The device's context, one for all that draw there."""
    import nvdiffrast.torch as dr

    return dr.RasterizeCudaContext(device=device)


BACKEND = Backend(
    name="nvdiffrast",
    needs="an NVIDIA GPU and nvdiffrast built from its repository",
    problem=_problem,
    takes=_takes,
    device=_device,
    render=render,
)
