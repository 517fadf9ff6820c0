"""What a backend is given and what it fills: one view per output frame, one picture buffer for the clip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..camera import Intrinsics
from ..machine.buffers import empty

EDGE = 1e-6
"""Faces reach this far, in pixels, beyond their edges, so that no sample on an edge is lost between two of them."""
ALIKE = 0xFFFFFF00
"""Bits of a triangle's inverse depth, float32, that count: of surfaces within 3e-5 of each other the first is in front, so that
pieces of one surface never flicker where they lie over each other."""
TIE = 1.0 + 2.0**-20
"""Visible faces are this much closer in the depth test, so that a sample on the edge of an occluded face is seen."""
FRONT = 0.05
"""Samples of one pixel whose depths differ by less than this share lie on one surface."""


@dataclass(frozen=True, eq=False)
class View:
    """One picture to take.

    Attributes:
        output: frame of the output it becomes.
        source: frame of the mesh it shows.
        source_to_camera: (4, 4) float64, OpenCV, from the frame of the source camera there to the viewing camera's.
        intrinsics: the viewing camera, for the rendered size.
    """

    output: int
    source: int
    source_to_camera: np.ndarray
    intrinsics: Intrinsics


@dataclass(frozen=True, eq=False)
class Picture:
    """Buffers for the whole clip, all on one device.

    Attributes:
        color: (T, H, W, 3) float32 0..1 or uint8; black in holes.
        mask: (T, H, W) float32 0 or 1, or uint8 0 or 255; 1 = seen.
        depth: (T, H, W) float32 planar depth of the viewing camera; 0 in holes.
    """

    color: Tensor
    mask: Tensor
    depth: Tensor

    @classmethod
    def empty(cls, frames: int, height: int, width: int, dtype: torch.dtype, device: torch.device | str) -> Picture:
        """Uninitialised buffers."""
        color, mask = (empty((frames, height, width, *channels), dtype, device) for channels in ((3,), ()))
        return cls(color, mask, empty((frames, height, width), torch.float32, device))

    @property
    def height(self) -> int:
        """Rows."""
        return self.mask.shape[1]

    @property
    def width(self) -> int:
        """Columns."""
        return self.mask.shape[2]

    @property
    def is_uint8(self) -> bool:
        """Colours 0..255 instead of 0..1."""
        return self.color.dtype == torch.uint8


@dataclass(frozen=True)
class Settings:
    """How to render.

    Attributes:
        near, far: planar depth range that is drawn.
        supersample: samples per pixel and axis.
        antialias: blend silhouettes as the published renderer does (nvdiffrast only).
        fade: released style: colours fade to black towards occluded vertices, as published; False = they keep their own.
        device: where to compute.
        frame_done: a backend calls it after each finished frame, in the caller's thread; it may raise.
        poll: a backend calls it at least every second, in the caller's thread; it raises Cancelled.
    """

    near: float
    far: float
    supersample: int
    antialias: bool
    fade: bool
    device: torch.device
    frame_done: Callable[[], None]
    poll: Callable[[], None]


def rounding(released: bool) -> float:
    """What a colour 0..255 gets added before it is cut to a whole number: truncated as published in released style, else
    rounded. The little that truncation adds keeps a source pixel that comes back as 99.9999 from becoming 99.
    """
    return 1e-3 if released else 0.5


def quantise(color: Tensor, released: bool) -> Tensor:
    """Colours 0..255 in float to uint8; see `rounding`."""
    return (color + rounding(released)).clamp_(0, 255).to(torch.uint8)


def reduce_samples(color: Tensor, mask: Tensor, depth: Tensor, factor: int) -> tuple[Tensor, Tensor, Tensor]:
    """Supersampled frames to pixels.

    A pixel is seen when at least half of its samples are, and its colour is their mean. Its depth is that of the front
    surface: the harmonic mean of the samples that lie within `FRONT` of the nearest one. Inverse depth is linear over
    a plane's picture, so a slanted surface gives the depth at the pixel's centre, and an edge no depth in mid-air.

    Args:
        color: (N, H*factor, W*factor, 3) float.
        mask: (N, H*factor, W*factor) bool.
        depth: (N, H*factor, W*factor) float32, 0 where not seen.
        factor: samples per pixel and axis.

    Returns:
        (N, H, W, 3), (N, H, W) bool, (N, H, W).
    """
    if factor == 1:
        return color, mask, depth
    # Adding up a pixel's first samples, then all second ones, is two to three times faster than torch's sums over blocks.
    steps = range(factor)
    parts = [(slice(None), slice(row, None, factor), slice(column, None, factor)) for row in steps for column in steps]
    count = torch.zeros(mask[parts[0]].shape, device=mask.device)
    total, nearest = count.new_zeros((*count.shape, 3)), torch.zeros_like(count)
    inverses = []
    for part in parts:
        inside = mask[part]
        count += inside
        total += torch.where(inside[..., None], color[part], 0.0)
        inverses.append(torch.where(inside, depth[part].reciprocal(), 0.0))
        torch.maximum(nearest, inverses[-1], out=nearest)
    members, front = torch.zeros_like(count), torch.zeros_like(count)
    limit = nearest / (1.0 + FRONT)
    for inverse in inverses:
        on_front = inverse >= limit
        members += on_front
        front += inverse * on_front
    seen = count * 2 >= factor * factor
    color = torch.where(seen[..., None], total / count.clamp(min=1)[..., None], 0.0)
    return color, seen, torch.where(seen, members / front, 0.0)


def store(picture: Picture, frames: slice | int, color: Tensor, mask: Tensor, depth: Tensor, released: bool) -> None:
    """Write rendered frames (colour 0..255 float, mask bool, depth) into the clip's buffers, in their type."""
    color = color * mask[..., None]
    if picture.is_uint8:
        picture.color[frames] = quantise(color, released)
        picture.mask[frames] = mask.to(torch.uint8) * 255
    else:
        picture.color[frames] = (color / 255.0).clamp_(0, 1)
        picture.mask[frames] = mask.float()
    picture.depth[frames] = torch.where(mask, depth, 0.0)
