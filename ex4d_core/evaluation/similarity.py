"""How alike two pictures are, over all pixels or some: PSNR, SSIM and MS-SSIM.

Convention: pictures are (H, W, 3), regions (H, W) bool. A similarity compares windows; it belongs to the pixel in the
middle of its window, and windows that leave the picture are not counted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

REACH, SIGMA = 5, 1.5
"""Pixels from a window's middle to its edge, and its Gaussian: 11 x 11 as in the source."""
C1, C2 = 0.01**2, 0.03**2
"""Of colours 0..1."""
SCALE_POWERS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""What each scale counts in MS-SSIM, the finest first."""
SMALLEST_SIDE = (2 * REACH + 1) * 2 ** (len(SCALE_POWERS) - 1)
"""Pixels that MS-SSIM needs on each side, so that a window fits into its coarsest scale."""


@dataclass(frozen=True)
class Similarity:
    """Of two pictures over one region.

    Attributes:
        ssim: mean over the region's pixels and channels; NaN where no window lies in it.
        ms_ssim: the same over five scales; NaN also where the picture is smaller than `SMALLEST_SIDE`.
    """

    ssim: float
    ms_ssim: float


def squared_error(a: Tensor, b: Tensor) -> Tensor:
    """(H, W) float32, mean over the channels of the squared difference of colours 0..1; both (H, W, 3) uint8."""
    return (a.float() - b.float()).square_().mean(-1) / 255**2


def psnr(mean_squared_error: float) -> float:
    """In dB, of colours 0..1; infinite where nothing differs, NaN where nothing was compared.

    Example:
        >>> round(psnr(0.01), 6)
        20.0
    """
    if math.isnan(mean_squared_error):
        return math.nan
    return -10 * math.log10(mean_squared_error) if mean_squared_error > 0 else math.inf


def mean_over(values: Tensor, where: Tensor) -> float:
    """Mean of values (H, W) over a region (H, W) bool; NaN where that is empty."""
    count = int(where.sum())
    return float((values * where).sum(dtype=torch.float64)) / count if count else math.nan


def similarities(a: Tensor, b: Tensor, regions: dict[str, Tensor]) -> dict[str, Similarity]:
    """SSIM and MS-SSIM over each of several regions.

    Args:
        a: (H, W, 3) uint8, sides of 11 pixels or more.
        b: likewise.
        regions: (H, W) bool each, by name. In MS-SSIM a coarser pixel counts by how much of it lies in the region.

    Source: Wang, Bovik, Sheikh and Simoncelli 2004 (Gaussian window, sigma 1.5, population covariance), Wang, Simoncelli
    and Bovik 2003 for the scales; a negative contrast term counts as 0, as torchmetrics and pytorch-msssim have it.
    """
    x, y = (picture.permute(2, 0, 1)[None].float() / 255 for picture in (a, b))
    names = list(regions)
    weights = torch.stack([regions[name].float() for name in names])[None]
    fine: list[float] = []
    product = torch.ones(len(names), 3, dtype=torch.float64)
    scales = len(SCALE_POWERS) if min(a.shape[:2]) >= SMALLEST_SIDE else 1
    for scale in range(scales):
        similar, contrast = _maps(x, y)
        inner = weights[0, :, REACH:-REACH, REACH:-REACH]
        if scale == 0:
            fine = _weighted(similar, inner).mean(1).tolist()
        last = scale == scales - 1
        product *= _weighted(similar if last else contrast, inner).clamp(min=0) ** SCALE_POWERS[scale]
        if not last:
            x, y, weights = (F.avg_pool2d(planes, 2) for planes in (x, y, weights))
    coarse = product.mean(1).tolist() if scales > 1 else [math.nan] * len(names)
    return {name: Similarity(fine[i], coarse[i]) for i, name in enumerate(names)}


def _maps(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Similarity, and its contrast and structure alone: (3, H - 10, W - 10) each."""
    mean_x, mean_y, xx, yy, xy = _blurred(torch.cat([x, y, x * x, y * y, x * y])).unbind(0)
    own_x, own_y, both = xx - mean_x**2, yy - mean_y**2, xy - mean_x * mean_y
    contrast = (2 * both + C2) / (own_x + own_y + C2)
    return contrast * (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1), contrast


def _blurred(planes: Tensor) -> Tensor:
    """Gaussian means of the windows that lie in the picture: (N, C, H, W) to (N, C, H - 10, W - 10)."""
    offsets = torch.arange(-REACH, REACH + 1, dtype=torch.float64)
    window = torch.exp(-(offsets**2) / (2 * SIGMA**2))
    window = (window / window.sum()).float()
    batch, channels = planes.shape[:2]
    planes = planes.reshape(1, batch * channels, *planes.shape[2:])  # grouped, a quarter of the time
    for kernel in (window[None, :], window[:, None]):
        planes = F.conv2d(planes, kernel.expand(batch * channels, 1, *kernel.shape), groups=batch * channels)
    return planes.reshape(batch, channels, *planes.shape[2:])


def _weighted(values: Tensor, weights: Tensor) -> Tensor:
    """Means of values (3, H, W) under weights (N, H, W): (N, 3) float64, NaN where a weight is 0 throughout."""
    values, weights = values.double().flatten(1), weights.double().flatten(1)
    return (weights @ values.T) / weights.sum(1, keepdim=True)
