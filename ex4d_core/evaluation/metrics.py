"""How well seen pixels agree with the truth, and how much of the difference the source picture itself forces."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..demo_scene.truth import SAME_SURFACE, Truth
from ..holes.masks import erode

RIM = 5
"""Kernel that cuts hole rims off the inside of a mask: two pixels to each side."""


@dataclass(frozen=True)
class Agreement:
    """One frame against the truth. PSNR in dB over RGB, infinite where nothing differs, NaN where nothing is seen.

    Attributes:
        angle: azimuth of the camera in degrees, positive to the right.
        seen: share of the picture that is seen.
        psnr: over all seen pixels.
        psnr_inside: two pixels away from holes, on the right surface.
        psnr_limit: the same pixels looked up in the source picture with the EXACT geometry. No mesh can do better than
            about this: it is what resampling a picture of that resolution costs.
        other_surface: share of the seen pixels that show another surface than the truth.
        depth_error: median relative error of the rendered depth.
    """

    angle: float
    seen: float
    psnr: float
    psnr_inside: float
    psnr_limit: float
    other_surface: float
    depth_error: float


def compare_with_truth(color: Tensor, mask: Tensor, depth: Tensor, truth: Truth) -> list[Agreement]:
    """Compare a render with the truth from the same cameras, frame by frame.

    Args:
        color: (T, H, W, 3) uint8.
        mask: (T, H, W) uint8, 0 = hole.
        depth: (T, H, W) planar depth.
        truth: of the same path.
    """
    result = []
    for t in range(len(color)):
        pose = truth.world_to_camera[t]
        seen = mask[t] > 0
        error = _squared_error(color[t], truth.color[t])
        depth_error = (depth[t] / truth.depth[t] - 1).abs()
        right = seen & (depth_error < SAME_SURFACE)
        inside = erode(seen[None], RIM)[0] & right & truth.visible[t]
        sample = depth_error[::4, ::4][seen[::4, ::4]]
        result.append(
            Agreement(
                angle=math.degrees(math.atan2(-float(pose[2, 0]), float(pose[2, 2]))) + 0.0,  # no minus zero
                seen=float(seen.float().mean()),
                psnr=_psnr(error, seen),
                psnr_inside=_psnr(error, inside),
                psnr_limit=_psnr(_squared_error(truth.looked_up[t], truth.color[t]), inside),
                other_surface=1 - int(right.sum()) / max(1, int(seen.sum())),
                depth_error=float(sample.median()) if len(sample) else math.nan,
            )
        )
    return result


def _squared_error(a: Tensor, b: Tensor) -> Tensor:
    return (a.float() - b.float()).square_().sum(-1)


def _psnr(squared_error: Tensor, where: Tensor) -> float:
    count = int(where.sum())
    if not count:
        return math.nan
    mean = float((squared_error * where).sum(dtype=torch.float64)) / (3 * 255**2 * count)
    return -10 * math.log10(mean) if mean > 0 else math.inf
