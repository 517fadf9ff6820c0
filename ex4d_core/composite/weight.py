"""How much of each pixel the rendered colour takes: all of it where it was seen well, nothing in holes, a fade between.

The fade lies inside what was seen and never reaches into a hole. A hole's fade is no wider than twice the hole: around a
speck it would cost more good pixels than the seam that it hides.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..holes.distance import distance_to_holes
from ..holes.masks import dilate, erode
from .settings import Blend

WELL = 0.5
"""Source pixels for each pixel of the picture, along the direction of which there are fewest, from which on a surface was
seen well: half of the picture's own resolution."""
FADING = (0.25, 0.75)
"""Between these, "soft" fades it in; below, its colours too are not measured."""
SOFTER = 2
"""Times the feather over which "soft" fades."""


def kept_share(seen: Tensor, quality: Tensor | None, feather: int, blend: Blend) -> Tensor:
    """The share of the rendered colour in each pixel of one frame.

    Args:
        seen: (H, W) float 0..1; below half is a hole, and from there on it is multiplied with the share.
        quality: (H, W) float, how well each was seen (``render.seen_quality``); None = all the same.
        feather: pixels.
        blend: "soft" or "hard".

    Returns:
        (H, W) float32 0..1; 0 in every hole.
    """
    known = seen >= 0.5
    share = seen.float() * known
    if quality is not None and blend == "hard":
        known = known & (quality >= WELL)
    if not bool(known.any()):
        return torch.zeros_like(share)
    reach = feather * SOFTER if blend == "soft" else feather
    share = torch.where(known, share, 0.0) * _faded(known, reach)
    if quality is not None and blend == "soft":
        low, high = FADING
        share *= smoothstep((quality - low) / (high - low))
    return share


def smoothstep(x: Tensor) -> Tensor:
    """From 0 at 0 to 1 at 1, level at both ends."""
    x = x.clamp(0, 1)
    return x * x * (3 - 2 * x)


def _faded(known: Tensor, reach: int) -> Tensor:
    """0 in what is not known, rising to 1 over ``reach`` pixels; over less beside small holes."""
    result = known.float()
    if not reach or bool(known.all()):
        return result
    thickness = 1
    while True:
        wide = min(reach, 2 * thickness)
        far = distance_to_holes(_opened(known, thickness), wide + 1)
        result = torch.minimum(result, smoothstep(far / (wide + 1)))
        if wide == reach:
            return result
        thickness = 2 * thickness + 1


def _opened(known: Tensor, thickness: int) -> Tensor:
    """What is known together with holes thinner than ``thickness`` pixels."""
    return known if thickness == 1 else erode(dilate(known[None], thickness), thickness)[0]
