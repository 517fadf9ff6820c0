"""The still surfaces of some frames as one: from each frame what it saw best, and nothing twice.

Which frame shows a place of the world is settled here, once for the whole shot: nothing can pop. The frame that resolves the
place finest has it (its lens, distance and angle), by steps of `FINER`; among equals the one that is nearest to the middle of
the clip.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .rims import rims
from .sights import Sights
from .stillness import Rule
from .surface import whole_quads

FINER = 2.0
"""Pixels on the same surface, in those of another frame, that make a frame the better one."""
SLANTED = 0.05
"""Least cosine of the angle between a surface and the view: flatter is as flat as this."""


@dataclass(frozen=True, eq=False)
class Layer:
    """Triangles in the world.

    Attributes:
        points: (V, 3) float32.
        colors: (V, 3) uint8.
        faces: (F, 3) int32, wound so that they face the camera that saw them.
        source: (V,) int64, the pixel that each point is, or lies on: frame * height * width + index.
    """

    points: Tensor
    colors: Tensor
    faces: Tensor
    source: Tensor

    @classmethod
    def nothing(cls, device: torch.device) -> Layer:
        """No triangle."""
        return cls(
            torch.zeros((0, 3), device=device),
            torch.zeros((0, 3), dtype=torch.uint8, device=device),
            torch.zeros((0, 3), dtype=torch.int32, device=device),
            torch.zeros(0, dtype=torch.int64, device=device),
        )

    def without_rims(self) -> Layer:
        """Only the quads between pixels' centres; each of the others lies on one pixel (`rims`)."""
        first, second = (self.source[self.faces[:, k].long()] for k in (0, 1))
        return replace(self, faces=self.faces[first != second])


def fuse(sights: Sights, frames: Sequence[int], still: Tensor, rule: Rule, step: Callable[[], None]) -> Layer:
    """The layer of some frames.

    Args:
        sights: the clip.
        frames: K frames, the first among equals first.
        still: (K, H, W) bool, their pixels that may be taken.
        rule: what counts as one surface.
        step: called 2 K times; may raise.
    """
    mesh, tolerance = sights.mesh, 2 * rule.depth
    quads = [whole_quads(mesh.depth[k], rule.step) & _all_corners(still[i]) for i, k in enumerate(frames)]
    usable = [_touched(q) for q in quads]
    normals = [_normals(sights, k) for k in frames]
    own = [_fineness(sights, k, sights.points(k).reshape(-1, 3), normals[i]) for i, k in enumerate(frames)]
    best = []
    for i, k in enumerate(frames):
        step()
        points = sights.points(k).reshape(-1, 3)
        better = torch.zeros(mesh.height * mesh.width, dtype=torch.bool, device=mesh.device)
        for j, other in enumerate(frames):
            if j != i:
                theirs = _fineness(sights, other, points, normals[i])
                finer = theirs > own[i] if j > i else theirs >= own[i]
                better |= finer & _shown(sights, other, points, quads[j], tolerance)
        best.append(usable[i] & ~better.reshape(usable[i].shape))
    # Two frames may each leave a place to the other, where its fineness is on the edge of a step: the first takes it.
    for i, k in enumerate(frames):
        step()
        points = sights.points(k).reshape(-1, 3)
        taken = best[i].reshape(-1).clone()
        for j, other in enumerate(frames):
            if j != i:
                taken |= _shown(sights, other, points, quads[j] & _any_corner(best[j]), tolerance)
        best[i] = best[i] | (usable[i] & ~taken.reshape(usable[i].shape))
    pieces = [_piece(sights, k, quads[i] & _any_corner(best[i])) for i, k in enumerate(frames)]
    return _joined_up(pieces + [_rim(sights, k, quads[i], best[i], rule.step) for i, k in enumerate(frames)])


def _shown(sights: Sights, t: int, points: Tensor, quads: Tensor, tolerance: float) -> Tensor:
    """(N,) bool, points that lie on some of a frame's quads, (H-1, W-1) bool."""
    look = sights.look(points, t)
    depth = sights.mesh.depth[t].reshape(-1)[look.pixel]
    close = (depth - look.depth).abs() <= tolerance * look.depth
    return look.within & close & quads.reshape(-1)[look.quad(sights.mesh.width) * look.within]


def _fineness(sights: Sights, t: int, points: Tensor, normals: Tensor) -> Tensor:
    """How many pixels a frame has on a piece of the surface, in steps of `FINER`: (N,) whole numbers."""
    towards = sights.eye(t) - points
    distance2 = towards.square().sum(-1)
    cosine = ((towards * normals).sum(-1) * distance2.rsqrt()).clamp_(min=SLANTED)
    lens = sights.mesh.lens(t)
    return (lens.fx * lens.fy * cosine / distance2).log_().div_(math.log(FINER)).floor_()


def _normals(sights: Sights, t: int) -> Tensor:
    """(H*W, 3) unit normals of the surface at every pixel, towards the camera."""
    points = sights.points(t)
    across = torch.zeros_like(points)
    down = torch.zeros_like(points)
    across[:, 1:-1] = points[:, 2:] - points[:, :-2]
    down[1:-1] = points[2:] - points[:-2]
    return torch.nn.functional.normalize(torch.linalg.cross(down, across).reshape(-1, 3), dim=-1)


def _all_corners(pixels: Tensor) -> Tensor:
    return pixels[:-1, :-1] & pixels[1:, :-1] & pixels[:-1, 1:] & pixels[1:, 1:]


def _any_corner(pixels: Tensor) -> Tensor:
    return pixels[:-1, :-1] | pixels[1:, :-1] | pixels[:-1, 1:] | pixels[1:, 1:]


def _touched(quads: Tensor) -> Tensor:
    """Pixels that are a corner of some quad."""
    height, width = quads.shape
    pixels = quads.new_zeros((height + 1, width + 1))
    for i in (0, 1):
        for j in (0, 1):
            pixels[i : i + height, j : j + width] |= quads
    return pixels


def _piece(sights: Sights, t: int, quads: Tensor) -> Layer:
    mesh = sights.mesh
    width = mesh.width
    pixel = _touched(quads).reshape(-1).nonzero()[:, 0]
    number = torch.zeros(mesh.height * width, dtype=torch.int32, device=mesh.device)
    number[pixel] = torch.arange(len(pixel), dtype=torch.int32, device=mesh.device)
    rows, columns = quads.nonzero(as_tuple=True)
    first = rows * width + columns
    upper_left, lower_left, upper_right, lower_right = (number[first + d] for d in (0, width, 1, width + 1))
    faces = torch.stack([upper_left, lower_left, upper_right, lower_left, lower_right, upper_right], -1).reshape(-1, 3)
    points = sights.points(t, mesh.pixel_offset).reshape(-1, 3)[pixel]
    return Layer(points, mesh.rgb[t].reshape(-1, 3)[pixel], faces, pixel + t * mesh.height * width)


def _rim(sights: Sights, t: int, quads: Tensor, pixels: Tensor, step: float) -> Layer:
    mesh = sights.mesh
    found = rims(sights.surface(t), quads, pixels, step)
    pixel = found.pixel.repeat_interleave(4)
    first = 4 * torch.arange(len(found.pixel), dtype=torch.int32, device=mesh.device)
    upper_left, upper_right, lower_left, lower_right = (first + k for k in range(4))
    faces = torch.stack([upper_left, lower_left, upper_right, lower_left, lower_right, upper_right], -1).reshape(-1, 3)
    points = sights.places(
        found.row.reshape(-1), found.column.reshape(-1), found.depth.reshape(-1), t, mesh.pixel_offset
    )
    return Layer(points, mesh.rgb[t].reshape(-1, 3)[pixel], faces, pixel + t * mesh.height * mesh.width)


def _joined_up(pieces: list[Layer]) -> Layer:
    base, faces = 0, []
    for piece in pieces:
        faces.append(piece.faces + base)
        base += len(piece.points)
    return Layer(
        torch.cat([p.points for p in pieces]),
        torch.cat([p.colors for p in pieces]),
        torch.cat(faces),
        torch.cat([p.source for p in pieces]),
    )
