"""A point map as the depth of a clip: in a scene's unit, with its lens and the path of its camera, on the sampler's pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..camera import Intrinsics, invert_pose, pose_from
from ..depth import DepthClip, depth_from_metric, resize_depth
from ..errors import EX4DError
from ..machine.buffers import empty
from ..published import BORDER_DEPTH
from ..trajectory import Trajectory
from ..video.fit import Fit, PicturePlacement, place
from .clip import PointMap
from .depth import depth_along_rays
from .fit import FittedCameras
from .sky import nearest_sky

PATCH, PATCHES = 8, 60
"""Pixels a side, at most, of the patches by whose mean depth the nearest is told, and so many along the shorter side of the
picture at least: single points before the lens are noise."""


@dataclass(frozen=True, eq=False)
class RegisteredClip:
    """Pictures and depth of a clip, on one pixel grid.

    Attributes:
        images: (T, H, W, 3) uint8.
        depth: with the lens, and the source camera's path where the point map tells one.
        confidence: (T, H, W) float32, 0..1, how far the depth can be trusted (`depth_along_rays`); 0 in sky (`nearest_sky`).
        scale: scene units of the depth per unit of the point map.
        pixel_aspect: height of a pixel's view over its width, as `PointMap`'s; 1 = square pixels.
        sky: share of the point map's pixels whose points were found to be sky.
    """

    images: Tensor
    depth: DepthClip
    confidence: Tensor
    scale: float
    pixel_aspect: float = 1.0
    sky: float = 0.0

    def fitted(self, size: tuple[int, int], fit: Fit = "crop") -> RegisteredClip:
        """The same clip in a frame of another size: pictures, depth, lens and confidence together.

        Args:
            size: (width, height) in pixels; the picture keeps its shape, and pixels are square afterwards.
            fit: "crop", "pad" (bars are black, at the largest depth, their confidence 0) or "stretch" (pixels are square only by
                chance).
        """
        lens = self.depth.intrinsics
        assert lens is not None  # `register` gives one
        if size == (lens.width, lens.height) and abs(self.pixel_aspect - 1) < 1e-6:
            return self
        shape = lens.width / lens.height * self.pixel_aspect
        placement = place((lens.width, lens.height), size, fit, aspect=shape)
        inner = lens.resized(placement.scaled_width, placement.scaled_height)
        placed = Intrinsics(inner.fx, inner.fy, inner.cx + placement.left, inner.cy + placement.top, *size)
        depth = _in_frame(
            resize_depth(self.depth.depth, inner.height, inner.width), placement, float(self.depth.depth.max())
        )
        source = self.depth.source_camera
        clip = DepthClip(depth, placed, source_camera=source)
        images = _in_frame(_resized(self.images, inner.height, inner.width), placement, 0)
        confidence = _in_frame(_nearest(self.confidence, inner.height, inner.width), placement, 0)
        return RegisteredClip(images, clip, confidence, self.scale, sky=self.sky)

    def moge_geometry(self) -> dict[str, Any]:
        """What the core's MoGe nodes pass on, of these frames: points in each frame's own camera, depth, mask, lens, pictures.

        Points and depth are infinite where the depth has no confidence, as those nodes do with what they mask.
        """
        lens, depth = self.depth.intrinsics, self.depth.depth
        assert lens is not None
        across = (torch.arange(lens.width) + 0.5 - lens.cx) / lens.fx
        down = (torch.arange(lens.height) + 0.5 - lens.cy) / lens.fy
        known = self.confidence > 0
        shown = torch.where(known, depth, torch.inf)
        points = torch.stack([depth * across, depth * down[:, None], depth], -1)
        points.masked_fill_(~known[..., None], torch.inf)
        shares = torch.tensor([[1 / lens.width], [1 / lens.height], [1.0]]) * torch.from_numpy(lens.matrix()).float()
        return {
            "points": points,
            "depth": shown,
            "intrinsics": shares.expand(len(depth), 3, 3).clone(),
            "mask": known,
            "image": self.images.float() / 255,
        }


def register(
    pointmap: PointMap,
    cameras: FittedCameras,
    *,
    depth: Tensor | None = None,
    position: np.ndarray | None = None,
    near: float | None = None,
    far: float = BORDER_DEPTH,
    find_sky: bool = True,
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> RegisteredClip:
    """A point map as pictures and depth, with its cameras.

    Args:
        pointmap: T frames.
        cameras: theirs (`fit_cameras`).
        depth: (T, H, W) in the point map's unit; None = along the cameras' rays, which also tells how far to trust it.
        position: (T, 3) where the cameras stand in the point map's unit and axes; None = "world" maps tell it, and of others the
            camera only turns. A "camera" map knows no path at all.
        near: depth that the nearest trusted point of the clip gets, ``published.NEAREST_DEPTH`` for EX-4D; None keeps the map's
            own unit.
        far: where pixels without a point go, and what lies beyond.
        find_sky: whether points that are found to be sky have no confidence. Their depth stays what it is.
        progress: called with (frames done, frames).
        cancel: polled once a frame.

    Returns:
        The clip on the point map's pixels.

    Raises:
        EX4DError: no point lies before its camera, or ``near`` is not in front of ``far``.
        Cancelled: ``cancel`` returned True.
    """
    if not 0 < (1e-6 if near is None else near) < far:
        raise EX4DError(f"near ({near}) must be above 0 and smaller than far ({far}).")
    if depth is None:
        depth, confidence = depth_along_rays(pointmap, cameras, progress=progress, cancel=cancel)
    else:
        confidence = (pointmap.valid.cpu() & (depth > 0)).float()
    sky = _without_sky(pointmap, depth, confidence) if find_sky else 0.0
    nearest = _nearest_depth(depth, confidence > 0)
    scale = 1.0 if near is None else near / nearest
    scaled = empty(depth.shape)
    for frame, target in zip(depth, scaled, strict=True):
        target.copy_(frame).masked_fill_(frame <= 0, torch.inf)  # behind the camera: no more known than sky
        target.clamp_(min=nearest).mul_(scale)
    clip = DepthClip(depth_from_metric(scaled, far=far), cameras.lens)
    if pointmap.space != "camera":
        clip = clip.with_source_camera(_path(pointmap, cameras, position, scale))
    return RegisteredClip(pointmap.colors.cpu(), clip, confidence, scale, pointmap.pixel_aspect, sky)


def _without_sky(pointmap: PointMap, depth: Tensor, confidence: Tensor) -> float:
    """Takes the sky's confidence, in place; returns the sky's share of the pixels."""
    limit = nearest_sky(pointmap, depth)
    if limit is None:
        return 0.0
    count = 0
    for of, sure in zip(depth, confidence, strict=True):
        sky = (of >= limit) & (of < torch.inf)
        sure.masked_fill_(sky, 0)
        count += int(sky.sum())
    return count / depth.numel()


def _nearest_depth(depth: Tensor, sure: Tensor) -> float:
    """The depth that counts as the clip's nearest: of patches that are known throughout, the least mean."""
    sure = sure if bool(sure.any()) else torch.isfinite(depth) & (depth > 0)
    if not bool(sure.any()):
        raise EX4DError(
            "No point of this point map lies before its camera. Its axes must be x right, y down, z forward; turn them if "
            "they are others."
        )
    side = min(PATCH, max(1, min(depth.shape[1:]) // PATCHES))
    nearest = torch.inf
    for of, known in zip(depth, sure, strict=True):
        planes = torch.stack([torch.where(known, of, 0.0), known.float()])[None]
        mean, share = torch.nn.functional.avg_pool2d(planes, side)[0]
        if bool((share == 1).any()):
            nearest = min(nearest, float(mean[share == 1].min()))
    return nearest if nearest < torch.inf else float(depth[sure].median())


def _path(pointmap: PointMap, cameras: FittedCameras, position: np.ndarray | None, scale: float) -> Trajectory:
    """The source camera in the scene's unit and the world of its first frame."""
    if position is None:
        told = pointmap.space == "world"
        position = cameras.position if told else np.zeros_like(cameras.position)
    to_world = invert_pose(pose_from(cameras.rotation, (position - position[0]) * scale))
    home = invert_pose(to_world[0])
    return Trajectory(invert_pose(home @ to_world), fps=pointmap.fps, frame_of_reference="world")


def _in_frame(values: Tensor, placement: PicturePlacement, filled: float) -> Tensor:
    """(T, h, w, ...) scaled pictures in their frame; what they leave free is ``filled``."""
    if values.shape[1:3] == (placement.height, placement.width):
        return values
    frame, picture = placement.windows()
    result = empty((len(values), placement.height, placement.width, *values.shape[3:]), values.dtype).fill_(filled)
    result[:, frame[0], frame[1]] = values[:, picture[0], picture[1]]
    return result


def _resized(images: Tensor, height: int, width: int) -> Tensor:
    """(T, height, width, 3) uint8, a frame at a time; smaller ones are averaged."""
    if images.shape[1:3] == (height, width):
        return images
    result = empty((len(images), height, width, 3), torch.uint8)
    for frame, target in zip(images, result, strict=True):
        planes = frame.permute(2, 0, 1)[None].float()
        planes = torch.nn.functional.interpolate(planes, (height, width), mode="bicubic", antialias=True)
        target.copy_(planes[0].permute(1, 2, 0).add_(0.5).clamp_(0, 255))
    return result


def _nearest(values: Tensor, height: int, width: int) -> Tensor:
    """(T, height, width), the nearest pixel's."""
    rows = ((torch.arange(height) + 0.5) * values.shape[1] / height).long()
    columns = ((torch.arange(width) + 0.5) * values.shape[2] / width).long()
    return values[:, rows][:, :, columns]
