"""A 3D point and a colour for every pixel of a clip, as they travel between the steps.

Convention: axes as in the OpenCV camera, x right, y down, z forward. Pixel (row i, column j) sees its point along the ray through
(j + 0.5, i + 0.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor

from ..camera import DEFAULT_FPS, is_finite
from ..errors import EX4DError
from ..pixels import to_uint8

Space = Literal["cube", "world", "camera"]
"""Where a point map's points stand:

* "cube": as 4DNeX makes them. Axes of the first frame's camera, one unit for the clip, but every frame moved so that it fills the
  unit cube: by how much is not told, so a camera's position cannot be read from it, its turn can.
* "world": in the frame of the first frame's camera.
* "camera": each frame in its own camera's frame.
"""
SPACES: tuple[Space, ...] = get_args(Space)

ASPECTS = (0.25, 4.0)
"""Pixels may be squeezed this far; beyond, two numbers have been mixed up."""
FPS_LIMITS = (0.01, 1000.0)
LEAST_POINTS = 16
"""Points that a frame needs before it says anything about a camera."""


@dataclass(frozen=True, eq=False)
class PointMap:
    """A point for every pixel of every frame.

    Attributes:
        points: (T, H, W, 3) float32, x y z; 0 where ``valid`` is False.
        valid: (T, H, W) bool, False where a pixel has no point: sky, or numbers that are none.
        colors: (T, H, W, 3) uint8, the clip's own pictures.
        space: where the points stand, one of ``SPACES``.
        fps: frames a second.
        pixel_aspect: fy / fx of the lens: 1 = square pixels; 720x480 pixels of a 16:9 picture have 32/27, as it was squeezed.

    Raises:
        EX4DError: shapes that do not belong together, another space, no frame with enough points, or points that are all one.
    """

    points: Tensor
    valid: Tensor
    colors: Tensor
    space: Space = "cube"
    fps: float = DEFAULT_FPS
    pixel_aspect: float = 1.0

    def __post_init__(self) -> None:
        points = check_shape(self.points)
        frames = tuple(points.shape[:3])
        valid, colors = torch.as_tensor(self.valid), to_uint8(torch.as_tensor(self.colors))
        if tuple(valid.shape) != frames or valid.dtype != torch.bool:
            raise EX4DError(
                f"The validity of a point map is bool {frames}, one for every point; got {str(valid.dtype)[6:]} "
                f"{tuple(valid.shape)}."
            )
        if tuple(colors.shape) != (*frames, 3):
            raise EX4DError(f"The colours of a point map have its shape {(*frames, 3)}, got {tuple(colors.shape)}.")
        if self.space not in SPACES:
            raise EX4DError(f"The points of a point map stand in one of {', '.join(SPACES)}; got {self.space!r}.")
        _check_number("fps", self.fps, FPS_LIMITS)
        _check_number("pixel_aspect", self.pixel_aspect, ASPECTS)
        points, valid = _without_broken(points, valid.to(points.device))
        for name, value in (("points", points), ("valid", valid), ("colors", colors)):
            object.__setattr__(self, name, value)

    @classmethod
    def from_pictures(
        cls,
        xyz: Tensor,
        colors: Tensor,
        *,
        valid: Tensor | None = None,
        space: Space = "cube",
        fps: float = DEFAULT_FPS,
        source_size: tuple[int, int] | None = None,
    ) -> PointMap:
        """From a network's output.

        Args:
            xyz: (T, H, W, 3), what is not finite has no point.
            colors: (T, H, W, 3) float 0..1 or uint8.
            valid: (T, H, W) bool; None = every finite point.
            space: where the points stand, one of ``SPACES``.
            fps: frames a second.
            source_size: (width, height) of the picture before it was resized, without cropping, to W x H: its pixels were
                square, so these are not. None = these are square.
        """
        points = check_shape(xyz)
        height, width = points.shape[1:3]
        aspect = 1.0 if source_size is None else resized_aspect(source_size, (width, height))
        known = torch.ones(points.shape[:3], dtype=torch.bool) if valid is None else torch.as_tensor(valid)
        return cls(points, known.to(points.device), torch.as_tensor(colors), space, fps, aspect)

    def __len__(self) -> int:
        return self.points.shape[0]

    @property
    def height(self) -> int:
        """Rows H."""
        return self.points.shape[1]

    @property
    def width(self) -> int:
        """Columns W."""
        return self.points.shape[2]

    def part(self, frames: slice | Sequence[int]) -> PointMap:
        """Some of the frames.

        Args:
            frames: a slice, whose frames share this map's memory, or frame numbers, which copy it.

        Raises:
            EX4DError: no frame, or one that is not there.
        """
        numbers = range(len(self))[frames] if isinstance(frames, slice) else list(frames)
        if not numbers or not 0 <= min(numbers) <= max(numbers) < len(self):
            raise EX4DError(f"The point map has frames 0 to {len(self) - 1}; asked for were {frames}.")
        chosen = frames if isinstance(frames, slice) else list(frames)
        return replace(self, points=self.points[chosen], valid=self.valid[chosen], colors=self.colors[chosen])

    def without(self, area: Tensor) -> PointMap:
        """The map with no points in an area, as where sky is known to be.

        Args:
            area: bool (T, H, W), or (1, H, W) for every frame.

        Raises:
            EX4DError: another shape, or too few points are left.
        """
        frames = self.valid.shape
        if area.dtype != torch.bool or area.shape[0] not in (1, frames[0]) or area.shape[1:] != frames[1:]:
            raise EX4DError(
                f"What is left out of a point map is bool {tuple(frames)}, or one for all frames; got {str(area.dtype)[6:]} "
                f"{tuple(area.shape)}."
            )
        return replace(self, valid=self.valid & ~area.to(self.valid.device))

    def at_rate(self, fps: float) -> PointMap:
        """The same map at another rate, its memory shared.

        Raises:
            EX4DError: a rate that no map has.
        """
        _check_number("fps", fps, FPS_LIMITS)
        other = copy(self)  # nothing else changes, so nothing is checked again
        object.__setattr__(other, "fps", fps)
        return other


def resized_aspect(source_size: tuple[int, int], size: tuple[int, int]) -> float:
    """fy / fx after a picture of square pixels was resized, without cropping, from one (width, height) to another."""
    (from_width, from_height), (width, height) = source_size, size
    if min(from_width, from_height, width, height) < 1:
        raise EX4DError(f"Picture sizes are at least 1x1, got {from_width}x{from_height} and {width}x{height}.")
    return (height / from_height) / (width / from_width)


def check_shape(points: Tensor) -> Tensor:
    """Points as float32 (T, H, W, 3).

    Raises:
        EX4DError: another shape, no frames, under 2x2 pixels, or numbers without fractions.
    """
    points = torch.as_tensor(points)
    if points.ndim != 4 or points.shape[-1] != 3 or points.shape[0] < 1 or min(points.shape[1:3]) < 2:
        raise EX4DError(
            f"A point map is (frames, height, width, 3), x y z in the last axis, of at least 2x2 pixels; got "
            f"{tuple(points.shape)}."
        )
    if not points.is_floating_point():
        raise EX4DError(
            f"The points of a point map are floating point, got {str(points.dtype).removeprefix('torch.')}. Eight bits are too "
            "coarse for a lens and a camera; save the map itself, not its video."
        )
    return points.float()


def _without_broken(points: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Points that are finite, and which of them are; refused where too little is left."""
    # A finite sum has only finite terms, and costs a fraction of looking at each.
    finite = bool(torch.isfinite(points.sum())) or bool(torch.isfinite(points).all())
    good = valid if finite else torch.isfinite(points).all(-1) & valid
    counts = good.flatten(1).sum(1)
    poor = torch.nonzero(counts < LEAST_POINTS).flatten()
    if len(poor):
        raise EX4DError(
            f"Frame {int(poor[0])} of the point map has {int(counts[poor[0]])} points of {good[0].numel()} pixels; expected at "
            f"least {LEAST_POINTS}: the rest is sky or no number (NaN). Leave such frames out."
        )
    whole = int(counts.sum()) == good.numel()
    if not whole:
        points = torch.where(good[..., None], points, points.new_zeros(()))
    for number, (frame, known) in enumerate(zip(points, good, strict=True)):
        seen = frame.reshape(-1, 3) if whole else frame[known]
        if not bool((seen != seen[0]).any()):
            raise EX4DError(
                f"All points of frame {number} of the point map are one, {seen[0].tolist()}: there is no shape in it. Check what "
                "made it."
            )
    return points, good


def _check_number(name: str, value: float, limits: tuple[float, float]) -> None:
    if not is_finite(value) or not limits[0] <= value <= limits[1]:
        raise EX4DError(f"The {name} of a point map lies between {limits[0]:g} and {limits[1]:g}, got {value}.")
