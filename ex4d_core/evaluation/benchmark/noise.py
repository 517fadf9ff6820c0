"""Exact depth spoilt in four ways, each a dial: what depth networks get wrong, in amounts that are known."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from ...depth.refine import Mend, mended
from ...errors import EX4DError

COARSE = 4
"""Cells a side of the smooth field by which depth is scaled."""
BLOB = 9
"""Pixels a side of what has no depth."""


@dataclass(frozen=True)
class DepthNoise:
    """How much of each; all zero leaves depth as it is.

    Attributes:
        scale: standard deviation of a smooth factor's logarithm, over the picture, the same in every frame.
        flicker: standard deviation of the logarithm of a factor drawn anew for every frame.
        blur: pixels over which depth is averaged at edges (a Gaussian's sigma): surfaces in mid-air.
        holes: share of the picture, in blobs, whose depth is lost and takes the frame's median.
        mends: what is mended afterwards, see `ex4d_core.depth.refine`.
    """

    scale: float = 0.0
    flicker: float = 0.0
    blur: float = 0.0
    holes: float = 0.0
    mends: tuple[Mend, ...] = ()

    def __post_init__(self) -> None:
        for part in fields(self)[:-1]:
            most = {"blur": 16.0}.get(part.name, 1.0)
            if not 0 <= getattr(self, part.name) <= most:
                raise EX4DError(
                    f"Depth noise: {part.name} lies between 0 and {most:g}, got {getattr(self, part.name)}."
                )

    @property
    def none(self) -> bool:
        """Whether depth stays exact."""
        return not any(vars(self).values())


def spoilt(depth: Tensor, noise: DepthNoise, seed: int = 0) -> Tensor:
    """Depth (T, H, W) with noise, and mended after it; the same for the same seed."""
    if noise.none:
        return depth
    return mended(_noisy(depth, noise, seed), noise.mends)


def _noisy(depth: Tensor, noise: DepthNoise, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    frames, height, width = depth.shape
    field = torch.randn((1, 1, COARSE, COARSE), generator=generator)
    factors = torch.randn(frames, generator=generator)
    logarithm = depth.log()
    if noise.blur > 0:
        logarithm = _blurred(logarithm, noise.blur)
    if noise.scale > 0:
        smooth = F.interpolate(field, (height, width), mode="bicubic", align_corners=True)[0]
        logarithm = logarithm + noise.scale * smooth
    logarithm = logarithm + noise.flicker * factors[:, None, None]
    result = logarithm.exp()
    if noise.holes > 0:
        points = torch.rand((frames, 1, height, width), generator=generator) < noise.holes / BLOB**2
        lost = F.max_pool2d(points.float(), BLOB, stride=1, padding=BLOB // 2)[:, 0] > 0
        median = result.flatten(1).median(1).values
        result = torch.where(lost, median[:, None, None], result)
    return result


def _blurred(values: Tensor, sigma: float) -> Tensor:
    reach = max(1, round(3 * sigma))
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float32)
    window = torch.exp(-(offsets**2) / (2 * sigma**2))
    window /= window.sum()
    planes = F.pad(values[:, None], (reach, reach, reach, reach), mode="replicate")
    return F.conv2d(F.conv2d(planes, window[None, None, None]), window[None, None, :, None])[:, 0]
