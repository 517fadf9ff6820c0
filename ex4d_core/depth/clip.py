"""The depth of a clip as it travels between the steps."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from ..camera import Intrinsics
from ..errors import EX4DError
from ..published import BORDER_DEPTH, DEPTH_LIMITS, NEAREST_LIMITS
from ..trajectory import Trajectory, check_source_camera, source_camera_of
from .convert import check_depth, depth_from_disparity, resize_depth, value_range


@dataclass(frozen=True)
class DepthClip:
    """Planar depth of every frame, with what is known about its camera.

    Attributes:
        depth: (T, H, W) float32, planar z > 0 in scene units, OpenCV frame.
        intrinsics: the projection the depth was made with, for (W, H); None where the source does not know it.
        disparity_range: (min, max) of the raw disparity before it was normalised, where the depth came from disparity.
        source_camera: where the source camera is at each frame, in the depth's unit and in the world of its first frame;
            with its lens at each frame where that changes, for (W, H). None where it does not move, or nobody knows.

    Raises:
        EX4DError: depth that is not finite, positive and varying, intrinsics of another image size, or a source camera
            that does not belong to this clip (``check_source_camera``).
    """

    depth: torch.Tensor
    intrinsics: Intrinsics | None = None
    disparity_range: tuple[float, float] | None = None
    source_camera: Trajectory | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", check_depth(self.depth))
        _, height, width = self.depth.shape
        if self.intrinsics is not None and (self.intrinsics.width, self.intrinsics.height) != (width, height):
            raise EX4DError(
                f"The intrinsics are for {self.intrinsics.width}x{self.intrinsics.height} pixels and the depth has "
                f"{width}x{height}; use Intrinsics.resized(width, height) or resize the depth."
            )
        if self.source_camera is not None:
            check_source_camera(self.source_camera, len(self), (width, height))

    def with_source_camera(self, path: Trajectory) -> DepthClip:
        """The same clip filmed by a camera that moves.

        Args:
            path: one pose a frame, in the depth's unit; a longer one is cut. It is moved so that the first frame is the
                world, and its lenses, where it has any, take the place of the clip's.

        Raises:
            EX4DError: fewer frames than the depth has, or lenses of another shape.
        """
        height, width = self.depth.shape[1:]
        source = source_camera_of(path, len(self), (width, height), self.intrinsics)
        lens = self.intrinsics if source.intrinsics is None else source.intrinsics[0]
        return replace(self, intrinsics=lens, source_camera=source)

    @classmethod
    def from_disparity(
        cls, disparity: torch.Tensor, intrinsics: Intrinsics | None = None, *, in_place: bool = False
    ) -> DepthClip:
        """A disparity clip by the published conversion, with the range it had.

        Args:
            disparity: (T, H, W), any affine scale, larger = nearer.
            intrinsics: the projection it was made with, for (W, H).
            in_place: see ``depth_from_disparity``.

        Raises:
            EX4DError: see ``depth_from_disparity``, and intrinsics of another image size.
        """
        span = value_range(disparity, "disparity")  # before it is written over
        return cls(depth_from_disparity(disparity, in_place=in_place), intrinsics, span)

    @property
    def border_depth(self) -> float:
        """Where the mesh's back plate belongs.

        Depth from disparity: 100, as published, which hides what lies farther. Any other depth keeps everything in front
        of the plate: it stands at 100 as well where the depth begins like published depth and ends before that, else at
        1.05 times the farthest sample. Depth that reaches the published limit of 10000 is taken as from disparity.
        """
        if self.disparity_range is not None:
            return BORDER_DEPTH
        return border_of(*(float(v) for v in torch.aminmax(self.depth)))

    def share_beyond(self, distance: float) -> float:
        """Share of the samples, 0..1, that lie farther than a distance: what a back plate there cuts off."""
        return int(torch.count_nonzero(self.depth > distance)) / self.depth.numel()

    def __len__(self) -> int:
        return self.depth.shape[0]

    def resized(self, height: int, width: int) -> DepthClip:
        """The same clip on another pixel grid; object edges stay sharp (``resize_depth``)."""
        if (height, width) == tuple(self.depth.shape[1:]):
            return self
        intrinsics = None if self.intrinsics is None else self.intrinsics.resized(width, height)
        source = None if self.source_camera is None else self.source_camera.resized(width, height)
        depth = resize_depth(self.depth, height, width)
        return replace(self, depth=depth, intrinsics=intrinsics, source_camera=source)


def border_of(nearest: float, farthest: float) -> float:
    """Where the back plate belongs behind depth from ``nearest`` to ``farthest``; see `DepthClip.border_depth`."""
    at_limit = 0.999 * DEPTH_LIMITS[1] <= farthest <= DEPTH_LIMITS[1]
    if NEAREST_LIMITS[0] <= nearest <= NEAREST_LIMITS[1] and (farthest <= BORDER_DEPTH or at_limit):
        return BORDER_DEPTH
    return 1.05 * farthest
