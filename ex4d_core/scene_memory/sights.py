"""A clip's frames as witnesses: where they saw points, and what each of them can say about a point in the world."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..camera import Intrinsics, invert_pose
from ..mesh import DWMesh, unproject

FARTHEST = 0.985
"""Depth from this share of the back plate's on is no place: it was cut off there."""


@dataclass(frozen=True, eq=False)
class Sights:
    """The clip as the memory takes it: always on pixel centres, whatever the mesh's style draws.

    Attributes:
        mesh: the clip's surfaces and colours.
        poses: (T, 4, 4) float64 world_to_camera of the source camera.
        inside: (H, W) bool, pixels that hold scene; the outermost ring of a mesh is its border.
    """

    mesh: DWMesh
    poses: np.ndarray
    inside: Tensor

    @classmethod
    def of(cls, mesh: DWMesh) -> Sights:
        """Of a mesh whose source camera moves, or stands still."""
        still = np.broadcast_to(np.eye(4), (mesh.frames, 4, 4))
        poses = still if mesh.source_camera is None else mesh.source_camera.world_to_camera.astype(np.float64)
        inside = torch.zeros((mesh.height, mesh.width), dtype=torch.bool, device=mesh.device)
        inside[1:-1, 1:-1] = True
        return cls(mesh, poses, inside)

    def with_depth(self, frames: Sequence[int], depth: Tensor) -> Sights:
        """The same with another depth, (K, H, W), in some frames."""
        whole = self.mesh.depth.clone()
        whole[list(frames)] = depth
        return replace(self, mesh=replace(self.mesh, depth=whole))

    @property
    def frames(self) -> int:
        """Number of frames T."""
        return self.mesh.frames

    def known(self, t: int) -> Tensor:
        """(H, W) bool, pixels of a frame whose depth is a place."""
        return self.inside & (self.mesh.depth[t] < FARTHEST * self.mesh.border_depth)

    def surface(self, t: int) -> Tensor:
        """(H, W) depth of a frame; the border ring is no sight and takes its neighbours'."""
        depth = self.mesh.depth[t].clone()
        for ring, inside in ((0, 1), (-1, -2)):
            depth[ring] = depth[inside]
            depth[:, ring] = depth[:, inside]
        return depth

    def points(self, t: int, pixel_offset: float = 0.5) -> Tensor:
        """(H, W, 3) float32 in the world: what the pixels of a frame show."""
        points = unproject(self.mesh.depth[t], self.mesh.lens(t), pixel_offset)
        return self.to_world(points, t).float()

    def places(self, row: Tensor, column: Tensor, depth: Tensor, t: int, pixel_offset: float = 0.5) -> Tensor:
        """(N, 3) float32 in the world: what a frame has between its pixels, (N,) each; whole rows and columns are its pixels."""
        lens = self.mesh.lens(t)
        x, y = (column + (pixel_offset - lens.cx)) / lens.fx, (row + (pixel_offset - lens.cy)) / lens.fy
        return self.to_world(torch.stack([x * depth, y * depth, depth], -1), t).float()

    def to_world(self, points: Tensor, t: int) -> Tensor:
        """Points (..., 3) from the frame of the source camera at ``t``."""
        pose = torch.from_numpy(invert_pose(self.poses[t])).to(points)
        return points @ pose[:3, :3].T + pose[:3, 3]

    def eye(self, t: int) -> Tensor:
        """(3,) float32, where the source camera was."""
        return torch.from_numpy(invert_pose(self.poses[t])[:3, 3]).float().to(self.mesh.device)

    def look(self, points: Tensor, t: int) -> Look:
        """Where a frame has points of the world, (N, 3) float32."""
        x, y, z = transform(points, self.poses[t])
        lens: Intrinsics = self.mesh.lens(t)
        scale = torch.where(z > 0, z, torch.inf).reciprocal_()
        column = x.mul_(scale).mul_(lens.fx).add_(lens.cx)
        row = y.mul_(scale).mul_(lens.fy).add_(lens.cy)
        width, height = self.mesh.width, self.mesh.height
        within = (z > 0) & (column >= 1) & (column < width - 1) & (row >= 1) & (row < height - 1)
        pixel = row.clamp_(0, height - 1).long().mul_(width).add_(column.clamp_(0, width - 1).long())
        return Look(within, pixel, z, row, column)


@dataclass(frozen=True, eq=False)
class Look:
    """Points as one frame has them, each (N,): in the picture or not, the pixel's index, the depth they would have, and their
    place on the picture, in pixels.
    """

    within: Tensor
    pixel: Tensor
    depth: Tensor
    row: Tensor
    column: Tensor

    def quad(self, width: int) -> Tensor:
        """Index among the (H-1, W-1) quads between pixels' centres; of those that are ``within``."""
        return (self.row - 0.5).long().mul_(width - 1).add_((self.column - 0.5).long())


def transform(points: Tensor, pose: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
    """x, y, z of points (N, 3) under a pose (4, 4)."""
    x, y, z = points.unbind(-1)
    a = [[float(v) for v in row] for row in pose[:3]]
    return tuple(x * r[0] + y * r[1] + (z * r[2] + r[3]) for r in a)  # type: ignore[return-value]


@dataclass(frozen=True, eq=False)
class Testimony:
    """What one frame saw at every pixel, (H*W,), and around it: ranges over 3x3 pixels, (H*W,) or (H*W, 3) uint8, so that what
    lies between two pixels is no contradiction.
    """

    depth: Tensor
    nearest: Tensor
    darkest: Tensor
    brightest: Tensor

    @classmethod
    def of(cls, sights: Sights, t: int, levels: int) -> Testimony:
        """Of one frame; ``levels`` of 255 are added to the range of colours on both sides."""
        depth = sights.surface(t)
        color = sights.mesh.rgb[t].permute(2, 0, 1).float()
        darkest, brightest = -highest(-color) - levels, highest(color) + levels
        return cls(
            depth.reshape(-1),
            -highest(-depth[None])[0].reshape(-1),
            *(part.clamp_(0, 255).reshape(3, -1).T.contiguous().to(torch.uint8) for part in (darkest, brightest)),
        )


def highest(planes: Tensor) -> Tensor:
    """The largest value in the 3x3 pixels around each, (C, H, W)."""
    wide = F.max_pool2d(planes[None], (1, 3), 1, (0, 1))
    return F.max_pool2d(wide, (3, 1), 1, (1, 0))[0]
