"""How far each pixel lies from the nearest hole."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def distance_to_holes(known: Tensor, reach: int) -> Tensor:
    """Distance of each pixel from the nearest that is not known, between their centres.

    Args:
        known: (H, W) bool.
        reach: pixels; whatever is farther away gets this distance.

    Returns:
        (H, W) float32, 0 where not known.

    Source: the exact Euclidean distance in two passes, along rows and then over parabolas (Felzenszwalb and Huttenlocher,
    2012), as far as it reaches.
    """
    along = torch.where(known, float(reach), 0.0)
    step, done = 1, 0
    while done < reach:  # windows of growing size: what is nearest within s steps, and s steps on
        step = min(step, reach - done)
        padded = F.pad(along, (step, step), value=float(reach))
        along = torch.minimum(along, torch.minimum(padded[:, : -2 * step], padded[:, 2 * step :]) + step)
        done, step = done + step, 2 * step
    along *= along
    nearest, height = along.clone(), along.shape[0]
    for rows in range(1, min(reach, height)):
        torch.minimum(nearest[rows:], along[:-rows] + rows * rows, out=nearest[rows:])
        torch.minimum(nearest[:-rows], along[rows:] + rows * rows, out=nearest[:-rows])
    return nearest.sqrt_().clamp_(max=float(reach))
