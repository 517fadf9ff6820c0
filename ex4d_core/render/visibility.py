"""Which triangle of any mesh is seen at each sample, and where on it: the rasterisers of ``numba_triangles``,
``torch_triangles`` and nvdiffrast behind one function. Colours are looked up afterwards, once for all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..camera import Intrinsics
from .view import Settings

JUST_BEYOND = 1e-6
"""Share of the near plane's depth by which what is cut off there ends behind it."""


@dataclass(frozen=True, eq=False)
class Seen:
    """The samples of one picture that show a triangle, N of them, in the order of the picture.

    Attributes:
        sample: (N,) int64, row * columns + column.
        face: (N,) int64.
        weights: (N, 3) float64 >= 0, the shares of the face's corners at the surface; they add up to 1.
        depth: (N,) float64 planar depth.
        front: (N,) bool, the side is seen from which the face's corners run counter-clockwise.
    """

    sample: Tensor
    face: Tensor
    weights: Tensor
    depth: Tensor
    front: Tensor


Rasterise = Callable[[Tensor, Tensor, Intrinsics, Settings], Seen]
"""Points (V, 3) float64 in the camera's frame, faces (F, 3), the lens of the samples, and the settings."""


def in_camera(points: Tensor, pose: np.ndarray) -> Tensor:
    """(V, 3) float64 points moved by a (4, 4) pose."""
    to_camera = torch.from_numpy(np.asarray(pose, np.float64)).to(points.device)
    return points.double() @ to_camera[:3, :3].T + to_camera[:3, 3]


def placed(points: Tensor, lens: Intrinsics, near: float) -> Tensor:
    """Points (V, 3) of the camera's frame on the picture: column and row on pixels' centres, 1/z; -1 in front of ``near``."""
    x, y, z = points.unbind(-1)
    inverse = torch.where(z > near, z, 1.0).reciprocal()
    columns, rows = lens.fx * x * inverse + lens.cx - 0.5, lens.fy * y * inverse + lens.cy - 0.5
    return torch.stack([columns, rows, torch.where(z > near, inverse, -1.0)], -1)


def seen_compiled(points: Tensor, faces: Tensor, lens: Intrinsics, settings: Settings) -> Seen:
    """`Seen` by the compiled rasteriser, on the processor."""
    from . import numba_triangles as kernels

    points, faces, cut = _cut_at_near(points, faces, settings.near)
    corners = placed(points, lens, settings.near).contiguous().numpy(), faces.int().contiguous().numpy()
    keys = np.empty((lens.height, lens.width), np.uint64)
    kernels.draw(*corners, 1.0 / settings.far, np.zeros(keys.shape, np.uint8), keys, np.zeros(1, np.uint8))
    count = int(np.count_nonzero(keys))
    sample, face = np.empty(count, np.int64), np.empty(count, np.int64)
    weights, depth, front = np.empty((count, 3)), np.empty(count), np.empty(count, np.bool_)
    kernels.locate(*corners, keys, sample, face, weights, depth, front)
    return cut.undone(Seen(*(torch.from_numpy(part) for part in (sample, face, weights, depth, front))))


def seen_torch(points: Tensor, faces: Tensor, lens: Intrinsics, settings: Settings) -> Seen:
    """`Seen` in plain torch, on any device with float64."""
    from .torch_triangles import nearest, shares

    points, faces, cut = _cut_at_near(points, faces.long(), settings.near)
    corners = placed(points, lens, settings.near)
    everywhere = torch.ones((lens.height, lens.width), dtype=torch.bool, device=points.device)
    sample, face = nearest(corners, faces, everywhere, settings)
    area, depth, weights = shares(corners, faces[face], sample, lens.width)
    return cut.undone(Seen(sample, face, weights.T.contiguous(), depth, area < 0))


def seen_nvdiffrast(points: Tensor, faces: Tensor, lens: Intrinsics, settings: Settings) -> Seen:
    """`Seen` by nvdiffrast, on CUDA: vertices snapped to 1/16 pixel."""
    import nvdiffrast.torch as dr

    from .nvdiffrast_backend import clip_matrix, one_at_a_time, shared_context

    matrix = torch.from_numpy(clip_matrix(lens, settings.near, settings.far)).to(points.device)
    clip = (points @ matrix[:, :3].T + matrix[:, 3]).float()[None].contiguous()
    corners = faces.int().contiguous()
    with torch.cuda.device(settings.device), one_at_a_time():
        raster, _ = dr.rasterize(
            shared_context(settings.device), clip, corners, (lens.height, lens.width), grad_db=False
        )
    flat = raster.reshape(-1, 4)
    sample = (flat[:, 3] > 0).nonzero()[:, 0]
    face = flat[sample, 3].long() - 1
    u, v = flat[sample, 0].double(), flat[sample, 1].double()
    weights = torch.stack([u, v, 1.0 - u - v], -1).clamp_(min=0)
    weights = weights / weights.sum(-1, keepdim=True)
    a, b, c = (points[faces.long()[face, k]] for k in range(3))
    place = (weights[..., None] * torch.stack([a, b, c], 1)).sum(1)
    front = (torch.linalg.cross(b - a, c - a) * place).sum(-1) < 0
    return Seen(sample, face, weights, place[:, 2], front)


@dataclass(frozen=True, eq=False)
class _Cut:
    """Faces laid behind those of the mesh for the parts of faces that reach through the near plane.

    Attributes:
        first: number of the first of them.
        parent: (K,) int64 the faces they are parts of.
        corners: (K, 3, 3) float64 their corners as shares of the parent's corners.
    """

    first: int
    parent: Tensor
    corners: Tensor

    def undone(self, seen: Seen) -> Seen:
        """Parts told as places on their parents."""
        if not len(self.parent):
            return seen
        part = (seen.face >= self.first).nonzero()[:, 0]
        own = seen.face[part] - self.first
        face, weights = seen.face.clone(), seen.weights.clone()
        face[part] = self.parent[own]
        weights[part] = (seen.weights[part][:, None] @ self.corners[own])[:, 0]
        return Seen(seen.sample, face, weights, seen.depth, seen.front)


def _cut_at_near(points: Tensor, faces: Tensor, near: float) -> tuple[Tensor, Tensor, _Cut]:
    """Points and faces with the parts behind the near plane of faces that cross it; rasterisers drop what crosses."""
    z = points[:, 2]
    none = _Cut(len(faces), z.new_zeros(0, dtype=torch.int64), z.new_zeros((0, 3, 3)))
    if not len(faces) or bool((z > near).all()):
        return points, faces, none
    behind = (z > near)[faces.long()]
    count = behind.sum(1)
    parents, shares = [], []
    for inside in (1, 2):
        parent = (count == inside).nonzero()[:, 0]
        # Turned so that the corner that is alone on its side comes first.
        alone = (behind[parent] == (inside == 1)).int().argmax(1)
        turn = (alone[:, None] + torch.arange(3, device=z.device)) % 3
        depth = z[faces[parent].long().gather(1, turn)]
        edge = near * (1.0 + JUST_BEYOND)
        eye = torch.eye(3, dtype=points.dtype, device=z.device)
        first = eye[0].expand(len(parent), 3)
        on_edge = []
        for other in (1, 2):
            share = ((edge - depth[:, 0]) / (depth[:, other] - depth[:, 0])).clamp(0, 1)[:, None]
            on_edge.append(first + share * (eye[other] - eye[0]))
        second, third = (eye[k].expand(len(parent), 3) for k in (1, 2))
        triangles = (
            [(first, *on_edge)] if inside == 1 else [(on_edge[0], second, third), (on_edge[0], third, on_edge[1])]
        )
        for triangle in triangles:
            turned = torch.stack(triangle, 1)
            back = torch.zeros_like(turned).scatter_(2, turn[:, None].expand_as(turned), turned)
            parents.append(parent)
            shares.append(back)
    parent, corners = torch.cat(parents), torch.cat(shares)
    if not len(parent):
        return points, faces, none
    new = (corners @ points[faces[parent].long()]).reshape(-1, 3)
    numbers = torch.arange(len(points), len(points) + len(new), device=z.device, dtype=faces.dtype).view(-1, 3)
    return torch.cat([points, new]), torch.cat([faces, numbers]), _Cut(len(faces), parent, corners)
