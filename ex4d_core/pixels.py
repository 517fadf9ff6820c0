"""The one place where colours from 0 to 1 become bytes, so that every step rounds alike."""

from __future__ import annotations

import torch
from torch import Tensor


def to_uint8(values: Tensor) -> Tensor:
    """Colours or masks as 0..255.

    Args:
        values: floats 0..1 (clamped, halves rounded up), bool, or uint8, which passes through.
    """
    if values.dtype == torch.uint8:
        return values
    if values.dtype == torch.bool:
        return values.to(torch.uint8) * 255
    return (values.float() * 255.0).add_(0.5).clamp_(0, 255).to(torch.uint8)
