"""Any mesh of triangles filmed along a camera path: colour, mask and depth, as `render_color_mask` gives them of a DW-Mesh, and
both laid into one picture by depth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from ..camera import Intrinsics
from ..errors import EX4DError
from ..pixels import hole_color_of, lay_into_holes
from ..trajectory import Trajectory, relative_to_source
from .choose import backend_problem
from .color_mask import LARGEST_SIDE, OUT_DTYPES, OutDtype
from .frames import affordable_threads, draw_on_threads, watched
from .view import Picture, Settings, View, reduce_samples, store
from .visibility import Rasterise, Seen, in_camera, seen_compiled, seen_nvdiffrast, seen_torch

TriangleBackend = Literal["nvdiffrast", "numba", "torch"]
TRIANGLE_BACKENDS: tuple[TriangleBackend, ...] = get_args(TriangleBackend)
"""In the order of "auto", which takes the first that runs on the device."""
RASTERISERS: dict[TriangleBackend, Rasterise] = {
    "nvdiffrast": seen_nvdiffrast,
    "numba": seen_compiled,
    "torch": seen_torch,
}
GREY = 178.0
"""Of a mesh without colours, before it is shaded by how it is turned."""
NEAR_SHARE, FAR_SHARE = 1e-3, 1e3
"""Near and far, as shares of the mesh's own size: nothing of it is cut off that a camera outside of it could see."""
BYTES = 150
"""A sample holds on its way to a colour."""


@dataclass(frozen=True, eq=False)
class Triangles:
    """A mesh that may move, with what it is painted with: a texture, else colours of vertices, else grey, shaded by its angle.

    Attributes:
        vertices: (T, V, 3) float in the world: the frame of the source camera at its first frame.
        faces: (F, 3) integers; a face's front is the side from which its corners run counter-clockwise. Both sides are drawn.
        colors: (V, 3) uint8, or None.
        texture: (H, W, 3) uint8, or None.
        uv: (F, 3, 2) float 0..1, where each face's corners are in the texture, from its upper left corner; with a texture.

    Raises:
        EX4DError: shapes that do not belong together, numbers that are not finite, or faces without vertices.
    """

    vertices: Tensor
    faces: Tensor
    colors: Tensor | None = None
    texture: Tensor | None = None
    uv: Tensor | None = None

    def __post_init__(self) -> None:
        shape, faces = tuple(self.vertices.shape), tuple(self.faces.shape)
        if len(shape) != 3 or shape[2] != 3 or not shape[0] or len(faces) != 2 or faces[1] != 3:
            raise EX4DError(f"Triangles need vertices (T, V, 3) and faces (F, 3), got {shape} and {faces}.")
        if not bool(torch.isfinite(self.vertices).all()):
            raise EX4DError("The mesh has vertices that are not finite numbers. Clean it up before it is rendered.")
        if faces[0] and not 0 <= int(self.faces.min()) <= int(self.faces.max()) < shape[1]:
            raise EX4DError(f"The mesh has faces that name vertices it does not have; it has {shape[1]}.")
        if self.colors is not None and tuple(self.colors.shape) != (shape[1], 3):
            raise EX4DError(f"A mesh of {shape[1]} vertices takes as many colours, got {tuple(self.colors.shape)}.")
        if (self.texture is None) != (self.uv is None):
            raise EX4DError(
                "A texture needs the place of every face in it, and these places a texture; one is missing."
            )
        if self.uv is not None and tuple(self.uv.shape) != (*faces, 2):
            raise EX4DError(f"A mesh of {faces[0]} faces takes places ({faces[0]}, 3, 2), got {tuple(self.uv.shape)}.")
        if self.uv is not None and not bool(torch.isfinite(self.uv).all()):
            raise EX4DError("The mesh has places in its texture that are not finite numbers. Unwrap it again.")

    @property
    def frames(self) -> int:
        """Of the mesh's motion; 1 = it stands still."""
        return len(self.vertices)

    def to(self, device: torch.device | str) -> Triangles:
        """The same on another device."""
        parts = (self.vertices, self.faces, self.colors, self.texture, self.uv)
        return Triangles(*(None if part is None else part.to(device) for part in parts))  # type: ignore[arg-type]


def render_triangles(
    triangles: Triangles,
    trajectory: Trajectory,
    lens: Intrinsics,
    *,
    source_camera: Trajectory | None = None,
    size: tuple[int, int] | None = None,
    backend: str = "auto",
    device: torch.device | str | None = None,
    supersample: int = 1,
    hole_color: str = "black",
    near: float | None = None,
    far: float | None = None,
    out_dtype: OutDtype = "float32",
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Colour, mask and depth of a mesh along a camera path.

    Frame t of the path shows frame t of the mesh, or the one that the path's times name; a mesh that stands still serves a path
    of any length. Every backend gives the same picture, nvdiffrast to a sixteenth of a pixel at edges.

    Args:
        triangles: what is filmed.
        trajectory: T poses, as `render_color_mask` takes them.
        lens: the scene's, which the path takes where it has none of its own.
        source_camera: where the source camera moves: its path over the mesh's frames, on which the trajectory rides.
        size: (width, height) of the output; None = the lens's.
        backend: "auto" or one of `TRIANGLE_BACKENDS`.
        device: where to compute and leave the result; None = where the mesh lies.
        supersample: samples per pixel and axis, 1..4.
        hole_color: what lies around the mesh; a name or #rrggbb.
        near: planar depth closer than this is cut off; None = a thousandth of the mesh's size.
        far: planar depth beyond this is cut off; None = a thousand times its size or its farthest point.
        out_dtype: "float32" (0..1) or "uint8" (0..255).
        progress: called with (frames done, frames).
        cancel: polled at least every second; True raises Cancelled.

    Returns:
        color (T, H, W, 3), mask (T, H, W), 1 = the mesh is there, depth (T, H, W) float32, 0 where it is not.

    Raises:
        EX4DError: frame counts that do not fit, bad parameters, a backend that is not there.
        Cancelled: ``cancel`` returned True.
    """
    at = torch.device(device) if device is not None else triangles.vertices.device
    rasterise = RASTERISERS[choose_triangle_backend(backend, at)]
    width, height = _checked(size or (lens.width, lens.height), supersample, out_dtype)
    background = hole_color_of(hole_color)
    views = _views(triangles, trajectory, lens, source_camera, width * supersample, height * supersample)
    reach = float((triangles.vertices.amax((0, 1)) - triangles.vertices.amin((0, 1))).norm()) or 1.0
    distance = float(triangles.vertices.norm(dim=-1).max())
    picture = Picture.empty(len(views), height, width, torch.uint8 if out_dtype == "uint8" else torch.float32, at)
    frame_done, poll = watched(len(views), progress, cancel)
    near, far = near or NEAR_SHARE * reach, far or FAR_SHARE * max(reach, distance)
    settings = Settings(near, far, supersample, False, False, at, frame_done, poll)
    mesh = triangles.to(at)

    def draw(view: View) -> None:
        _draw(mesh, view, rasterise, picture, settings)

    _draw_all(draw, views, rasterise, picture, settings)
    if background != (0.0, 0.0, 0.0):
        lay_into_holes(picture.color, picture.mask, background)
    return picture.color, picture.mask, picture.depth


def choose_triangle_backend(backend: str, device: torch.device) -> TriangleBackend:
    """The rasteriser for a device: "auto" takes nvdiffrast on CUDA where it is there, numba on the processor, else torch.

    Raises:
        EX4DError: one that is unknown, or cannot run here or there.
    """
    fits: dict[TriangleBackend, bool] = {
        "nvdiffrast": device.type == "cuda",
        "numba": device.type == "cpu",
        "torch": device.type != "mps",
    }
    if backend == "auto":
        able: list[TriangleBackend] = [
            name for name in TRIANGLE_BACKENDS if fits[name] and backend_problem(name) is None
        ]
        return able[0] if able else "torch"
    if backend not in TRIANGLE_BACKENDS:
        raise EX4DError(f"Unknown backend {backend!r} for triangles; choose auto, {', '.join(TRIANGLE_BACKENDS)}.")
    chosen = TRIANGLE_BACKENDS[TRIANGLE_BACKENDS.index(backend)]
    if not fits[chosen]:
        raise EX4DError(f"The {chosen} backend does not draw triangles on {device}; leave the choice at auto.")
    if (problem := backend_problem(chosen)) is not None:
        raise EX4DError(f"The {chosen} backend cannot run here: {problem}. Leave the choice at auto.")
    return chosen


def nearer_of(
    first: tuple[Tensor, Tensor, Tensor], second: tuple[Tensor, Tensor, Tensor], margin: float = 0.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Two renderings of one camera in one picture: at each pixel what lies nearer.

    Args:
        first: colour (T, H, W, 3), mask (T, H, W) and depth (T, H, W), as the renderers give them.
        second: likewise, of the same types.
        margin: share of depth by which the first may lie behind the second and is still shown: an object laid over its own
            picture in a DW-Mesh lies as deep as that.

    Raises:
        EX4DError: pictures of different shapes or types.
    """
    if first[0].shape != second[0].shape or first[0].dtype != second[0].dtype:
        raise EX4DError(
            f"Two renderings are laid into one where both have the same size and type, got {tuple(first[0].shape)} "
            f"{first[0].dtype} and {tuple(second[0].shape)} {second[0].dtype}."
        )
    shown = nearer(first, second, margin)
    return (
        torch.where(shown[..., None], first[0], second[0]),
        torch.where(shown, first[1], second[1]),
        torch.where(shown, first[2], second[2]),
    )


def nearer(first: tuple[Tensor, Tensor, Tensor], second: tuple[Tensor, Tensor, Tensor], margin: float = 0.0) -> Tensor:
    """(T, H, W) bool, where `nearer_of` shows the first."""
    return (first[1] > 0) & ((second[1] == 0) | (first[2] <= second[2] * (1.0 + margin)))


def _checked(size: tuple[int, int], supersample: int, out_dtype: str) -> tuple[int, int]:
    width, height = (int(side) for side in size)
    if not (1 <= width <= LARGEST_SIDE and 1 <= height <= LARGEST_SIDE):
        raise EX4DError(f"The output size must lie between 1 and {LARGEST_SIDE} pixels a side, got {width}x{height}.")
    if supersample not in (1, 2, 3, 4):
        raise EX4DError(f"supersample must be 1, 2, 3 or 4, got {supersample}.")
    if out_dtype not in OUT_DTYPES:
        raise EX4DError(f"out_dtype must be {' or '.join(map(repr, OUT_DTYPES))}, got {out_dtype!r}.")
    return width, height


def _views(
    triangles: Triangles, path: Trajectory, lens: Intrinsics, source: Trajectory | None, columns: int, rows: int
) -> list[View]:
    shown = path.shown_frames(triangles.frames)
    along = source.part(shown if triangles.frames > 1 else range(len(path))) if source is not None else None
    path = path.for_scene(lens, along)
    poses = relative_to_source(path, along)
    if along is not None:
        poses = poses @ along.world_to_camera.astype("float64")
    lenses = path.intrinsics or (lens,) * len(path)
    return [View(t, frame, poses[t], lenses[t].fitted(columns, rows)) for t, frame in enumerate(shown)]


def _draw_all(
    draw: Callable[[View], None], views: list[View], rasterise: Rasterise, picture: Picture, settings: Settings
) -> None:
    if rasterise is seen_compiled:
        samples = picture.height * picture.width * settings.supersample**2
        draw_on_threads(draw, views, affordable_threads(len(views), BYTES * samples), settings, lambda: None)
        return
    for view in views:
        settings.poll()
        draw(view)
        settings.frame_done()


def _draw(mesh: Triangles, view: View, rasterise: Rasterise, picture: Picture, settings: Settings) -> None:
    points = in_camera(mesh.vertices[view.source], view.source_to_camera)
    lens = view.intrinsics
    seen = rasterise(points, mesh.faces, lens, settings)
    color = torch.zeros((lens.height * lens.width, 3), device=points.device)
    mask = torch.zeros(lens.height * lens.width, dtype=torch.bool, device=points.device)
    depth = torch.zeros(lens.height * lens.width, device=points.device)
    color[seen.sample], mask[seen.sample] = colors_of(mesh, points, seen).float(), True
    depth[seen.sample] = seen.depth.float()
    shape = (1, lens.height, lens.width)
    pixels = reduce_samples(color.view(*shape, 3), mask.view(shape), depth.view(shape), settings.supersample)
    store(picture, slice(view.output, view.output + 1), *pixels, released=False)


def colors_of(mesh: Triangles, points: Tensor, seen: Seen) -> Tensor:
    """(N, 3) float64 colours 0..255 of what is seen of a mesh whose vertices (V, 3) lie in the camera's frame."""
    corners = mesh.faces[seen.face].long()
    if mesh.texture is not None and mesh.uv is not None:
        return looked_up(mesh.texture, (seen.weights[..., None] * mesh.uv[seen.face].double()).sum(1))
    if mesh.colors is not None:
        return (seen.weights[..., None] * mesh.colors[corners].double()).sum(1)
    a, b, c = (points[corners[:, k]] for k in range(3))
    normal = torch.nn.functional.normalize(torch.linalg.cross(b - a, c - a), dim=-1)
    place = torch.nn.functional.normalize((seen.weights[..., None] * torch.stack([a, b, c], 1)).sum(1), dim=-1)
    facing = (normal * place).sum(-1).abs()
    return (GREY * (0.35 + 0.65 * facing))[:, None].expand(-1, 3)


def looked_up(picture: Tensor, uv: Tensor) -> Tensor:
    """(N, C) float64, a picture (H, W, C) at places (N, 2) 0..1 from its upper left corner, linear between pixels' centres."""
    height, width = picture.shape[:2]
    x = (uv[:, 0].double() * width - 0.5).clamp(0, width - 1)
    y = (uv[:, 1].double() * height - 0.5).clamp(0, height - 1)
    left, top = x.floor().long().clamp(max=max(width - 2, 0)), y.floor().long().clamp(max=max(height - 2, 0))
    right, bottom = (left + 1).clamp(max=width - 1), (top + 1).clamp(max=height - 1)
    fx, fy = (x - left)[:, None], (y - top)[:, None]
    flat = picture.reshape(-1, picture.shape[2])
    a, b, c, d = (flat[row * width + column].double() for row in (top, bottom) for column in (left, right))
    upper, lower = a * (1 - fx) + b * fx, c * (1 - fx) + d * fx
    return upper * (1 - fy) + lower * fy
