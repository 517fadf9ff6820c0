"""The one place where colours from 0 to 1 become bytes, so that every step rounds alike."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .errors import EX4DError

PIECE = 2**20
"""Values rounded at a time; their floats stay in a processor's cache."""


def to_uint8(values: Tensor) -> Tensor:
    """Colours or masks as 0..255.

    Args:
        values: floats 0..1 (clamped, halves rounded up), bool, or uint8, which passes through.
    """
    if values.dtype == torch.uint8:
        return values
    if values.dtype == torch.bool:
        return values.to(torch.uint8) * 255
    result = torch.empty(values.shape, dtype=torch.uint8, device=values.device)
    # Piece by piece: whole-clip floats on the way cost more time than the arithmetic.
    for given, made in zip(values.reshape(-1).split(PIECE), result.view(-1).split(PIECE), strict=True):
        made.copy_((given.float() * 255.0).add_(0.5).clamp_(0, 255))
    return result


def uint8_array(frame: Tensor | np.ndarray) -> np.ndarray:
    """Float 0..1 (clamped), bool or uint8 to uint8.

    Raises:
        EX4DError: NaN or infinite values, or another integer type.
    """
    if isinstance(frame, Tensor):
        frame = frame.detach().cpu()
        frame = (frame.float() if frame.is_floating_point() else frame).numpy()
    if frame.dtype == np.uint8:
        return frame
    if frame.dtype.kind == "f":
        frame = frame.astype(np.float32)
        if not np.isfinite(frame).all():
            raise EX4DError("The pictures contain values that are not numbers (NaN or infinite).")
    elif frame.dtype != np.bool_:
        raise EX4DError(f"Pictures are uint8, bool or float 0..1, got {frame.dtype}.")
    return to_uint8(torch.from_numpy(np.ascontiguousarray(frame))).numpy()
