"""One view of the mesh as the torch backend draws it: vertices projected once, kept as planes over the grid."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ..mesh import CACHED, DWMesh
from .view import TIE, Settings, View

STRIP, GPU_STRIP = CACHED, 2**20
"""Vertices, faces or samples worked on at a time, at most 500 bytes each: a processor's cache holds the one, and a GPU is
busy with the other."""


@dataclass(frozen=True, eq=False)
class Surface:
    """A frame of the mesh before a viewing camera. A face is numbered 2 * (its quad's upper left vertex) + (1 for the lower
    right one of the two); the two faces of the back plate come after all others.

    Attributes:
        height, width: vertex rows and columns.
        paper: paper style, where quads are seen or not; in released style vertices are.
        depth: (V,) float32 planar depth of the source camera.
        valid: (V,) bool; paper style: of the quad to the lower right, False in the last row and column.
        rays: 1/fx, 1/fy, cx, cy of the source camera, with vertex (0, 0) at the origin.
        pose: (3, 4) source camera to viewing camera.
        near, far: the range that is drawn.
        strip: vertices, faces or samples to work on at a time.
    """

    height: int
    width: int
    paper: bool
    depth: Tensor
    valid: Tensor
    rays: tuple[float, float, float, float]
    pose: np.ndarray
    near: float
    far: float
    strip: int

    @property
    def grid_faces(self) -> int:
        """Number of the first face of the back plate."""
        return 2 * self.height * self.width

    def every_quad(self) -> Tensor:
        """(quads,) int64: the upper left vertices of all quads."""
        numbers = torch.arange(self.height * self.width, device=self.depth.device)
        return numbers.view(self.height, self.width)[:-1, :-1].reshape(-1)

    def corners(self, face: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Vertex indices of faces over the grid."""
        upper_left, lower = face >> 1, face & 1
        first = upper_left + lower * self.width
        return first, upper_left + lower + self.width, upper_left + 1

    def corners_of_any(self, face: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The same where faces of the back plate may be among them.

        Paper style's fan is coplanar with these two faces and occluded throughout, so they stand for it.
        """
        first, second, third = self.corners(face)
        if not len(face) or int(face.amax()) < self.grid_faces:
            return first, second, third
        count, plate, last = self.height * self.width, face >= self.grid_faces, face > self.grid_faces
        first = torch.where(plate, torch.where(last, count - 1, self.width - 1), first)
        second = torch.where(plate, 0, second)
        return first, second, torch.where(plate, torch.where(last, count - self.width, count - 1), third)

    @cached_property
    def seen(self) -> Tensor:
        """(2 V + 2,) bool: whether faces are seen from where they lie; in released style whether they may be in part."""
        seen = torch.zeros(self.grid_faces + 2, dtype=torch.bool, device=self.valid.device)
        if self.paper:
            seen[:-2].view(-1, 2).copy_(self.valid[:, None])
            return seen
        below, right = self.valid[self.width :], self.valid[1:]
        either = below | right[: len(below)]
        seen[0 : 2 * len(below) : 2] = either | self.valid[: len(below)]
        seen[1 : 2 * len(below) - 1 : 2] = either[:-1] | below[1:]
        rim = self.valid[[0, self.width - 1, -self.width, -1]]
        seen[-2:] = torch.stack([rim[[0, 1, 3]].any(), rim[[0, 2, 3]].any()])
        return seen

    @cached_property
    def tie(self) -> Tensor:
        """(V,) float32, paper style: what 1/z of each quad's faces is multiplied by in the depth test."""
        return self.valid.float().mul_(TIE - 1.0).add_(1.0)

    @cached_property
    def opacity(self) -> Tensor:
        """(V,) float32, released style: 1 where a vertex is seen, else 0."""
        return self.valid.float()

    def coordinates(self, vertex: Tensor) -> tuple[Tensor, ...]:
        """x, y and z (N,) float64 of vertices in the viewing camera's frame."""
        row = torch.div(vertex, self.width, rounding_mode="floor")
        z = self.depth.index_select(0, vertex).double()
        x = (vertex - row * self.width).double().sub_(self.rays[2]).mul_(self.rays[0]).mul_(z)
        y = row.double().sub_(self.rays[3]).mul_(self.rays[1]).mul_(z)
        return tuple((a * x).add_(y, alpha=b).add_(z, alpha=c).add_(shift) for a, b, c, shift in self.pose.tolist())

    def points(self, vertex: Tensor) -> Tensor:
        """(N, 3) float64: vertices in the viewing camera's frame."""
        return torch.stack(self.coordinates(vertex), 1)


@dataclass(frozen=True, eq=False)
class Scene(Surface):
    """A pinhole view's set-up.

    Attributes:
        x, y: (V,) float64 in samples of the picture; of no meaning where ``inverse`` is negative.
        inverse: (V,) float64 1/z in the viewing camera, -1 for what is not in front of the near plane.
        lens: fx, fy, cx, cy of the viewing camera, with sample (0, 0) at the origin.
    """

    x: Tensor
    y: Tensor
    inverse: Tensor
    lens: tuple[float, float, float, float]

    @cached_property
    def inverse_float(self) -> Tensor:
        """``inverse`` in float32."""
        return self.inverse.float()

    @cached_property
    def reaches_far(self) -> bool:
        """Whether anything may lie beyond the range that is drawn."""
        least = self.inverse[self.inverse > 0].amin() if self.crossed else self.inverse.amin()
        return bool((least < 1.0 / self.far).item())

    @cached_property
    def crossed(self) -> bool:
        """Whether anything is not in front of the near plane."""
        return bool((self.inverse.amin() < 0).item())


def surface_of(mesh: DWMesh, frame: int, source_to_camera: np.ndarray, settings: Settings) -> Surface:
    """A frame of the mesh, and what of it is seen, where it is drawn."""
    device, source = settings.device, mesh.lens(frame)
    # Vertex (i, j) lies at j * 1 + offset, so the offset moves into the principal point.
    rays = (1.0 / source.fx, 1.0 / source.fy, source.cx - mesh.pixel_offset, source.cy - mesh.pixel_offset)
    paper = mesh.style == "paper"
    if paper:
        valid = torch.nn.functional.pad(mesh.quad_face_valid(frame)[..., 0], (0, 1, 0, 1))
    else:
        valid = mesh.vertex_valid(frame)
    return Surface(
        height=mesh.height,
        width=mesh.width,
        paper=paper,
        depth=mesh.depth[frame].to(device).reshape(-1),
        valid=valid.reshape(-1).to(device),
        rays=rays,
        pose=source_to_camera[:3],
        near=settings.near,
        far=settings.far,
        strip=STRIP if device.type == "cpu" else GPU_STRIP,
    )


def set_up(mesh: DWMesh, view: View, settings: Settings) -> Scene:
    """Project the mesh's vertices for a view."""
    surface = surface_of(mesh, view.source, view.source_to_camera, settings)
    camera = view.intrinsics
    # Sample (0, 0) is at the origin, so the half pixel moves into the principal point.
    lens = (float(camera.fx), float(camera.fy), camera.cx - 0.5, camera.cy - 0.5)
    depth = surface.depth.view(mesh.height, mesh.width)
    x, y, inverse = (torch.empty(depth.shape, dtype=torch.float64, device=depth.device) for _ in range(3))
    lines = max(1, surface.strip // mesh.width)
    for top in range(0, mesh.height, lines):
        part = slice(top, top + lines)
        out = (x[part], y[part], inverse[part])
        _project(depth[part], top, surface.rays, lens, view.source_to_camera, settings.near, out)
    return Scene(**vars(surface), x=x.reshape(-1), y=y.reshape(-1), inverse=inverse.reshape(-1), lens=lens)


def _project(
    depth: Tensor,
    top: int,
    rays: tuple[float, float, float, float],
    lens: tuple[float, float, float, float],
    pose: np.ndarray,
    near: float,
    out: tuple[Tensor, Tensor, Tensor],
) -> None:
    """Fill x, y and 1/z of some rows of vertices, the first of which is row ``top``."""
    rows, columns = depth.shape
    z = depth.double()
    across = (torch.arange(columns, dtype=torch.float64, device=depth.device) - rays[2]) * rays[0]
    down = (torch.arange(top, top + rows, dtype=torch.float64, device=depth.device) - rays[3]) * rays[1]
    # The lens turned into the pose: what is divided by z is the place in the picture.
    to_picture = np.array([[lens[0], 0.0, lens[2]], [0.0, lens[1], lens[3]], [0.0, 0.0, 1.0]]) @ pose[:3]
    for plane, (a, b, c, shift) in zip(out, to_picture.tolist(), strict=True):
        torch.add((b * down + c)[:, None], a * across, out=plane).mul_(z).add_(shift)
    x, y, inverse = out
    hidden = inverse <= near if bool(inverse.amin() <= near) else None
    inverse.reciprocal_()
    x.mul_(inverse)
    y.mul_(inverse)
    if hidden is not None:
        x[hidden] = y[hidden] = 0.0
        inverse[hidden] = -1.0
