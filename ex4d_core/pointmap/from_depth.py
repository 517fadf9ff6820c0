"""The point map of a depth clip: where every pixel's centre lies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..camera import DEFAULT_FPS, Intrinsics, invert_pose
from ..depth import DepthClip
from ..errors import EX4DError
from ..machine.buffers import empty
from ..machine.memory import check_memory
from .clip import PointMap


def points_from_depth(
    depth: Tensor,
    lenses: Sequence[Intrinsics],
    colors: Tensor,
    *,
    world_to_camera: np.ndarray | None = None,
    valid: Tensor | None = None,
    fps: float = DEFAULT_FPS,
) -> PointMap:
    """Points on the rays through the pixels' centres.

    Args:
        depth: (T, H, W) planar depth > 0.
        lenses: T lenses for (W, H).
        colors: (T, H, W, 3) float 0..1 or uint8.
        world_to_camera: (T, 4, 4) of the camera that filmed, OpenCV; None = it does not move.
        valid: (T, H, W) bool; None = every pixel.
        fps: frames a second.

    Returns:
        World points, in the depth's unit.

    Raises:
        EX4DError: more memory than there is, or shapes that do not belong together.
    """
    frames, height, width = depth.shape
    check_memory(16 * frames * height * width, "The points of this clip", "Ask for fewer frames or a smaller size.")
    points = empty((frames, height, width, 3), torch.float32)
    for t, lens in enumerate(lenses):
        z = depth[t].cpu().double()
        x = (torch.arange(width, dtype=torch.float64) + 0.5 - lens.cx) / lens.fx
        y = (torch.arange(height, dtype=torch.float64) + 0.5 - lens.cy) / lens.fy
        seen = torch.stack([z * x, z * y[:, None], z], -1)
        if world_to_camera is not None:
            to_world = torch.from_numpy(invert_pose(np.asarray(world_to_camera[t], np.float64)))
            seen = seen @ to_world[:3, :3].T + to_world[:3, 3]
        points[t] = seen
    known = torch.ones(depth.shape, dtype=torch.bool) if valid is None else valid.cpu()
    aspect = lenses[0].fy / lenses[0].fx
    return PointMap(points, known, colors.cpu(), "world", fps, aspect)


def points_of_clip(images: Tensor, depth: DepthClip, *, fps: float = DEFAULT_FPS) -> PointMap:
    """The points of a clip and its depth.

    Args:
        images: (T, H, W, 3) of the depth's own size.
        depth: with its lens; the default one where it knows none.
        fps: frames a second.

    Raises:
        EX4DError: pictures of another count or size.
    """
    frames, height, width = depth.depth.shape
    if tuple(images.shape[:3]) != (frames, height, width):
        raise EX4DError(
            f"The pictures are {tuple(images.shape[:3])} (frames, height, width), the depth {(frames, height, width)}. Both need "
            "the same."
        )
    source = depth.source_camera
    lens = depth.intrinsics or Intrinsics.default(width, height)
    lenses = [lens] * frames if source is None or source.intrinsics is None else source.intrinsics
    poses = None if source is None else source.world_to_camera
    return points_from_depth(depth.depth, lenses, images[..., :3], world_to_camera=poses, fps=fps)
