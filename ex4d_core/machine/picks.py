"""Elements picked out of tensors: on a processor numpy does that several times as fast as torch."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def places(mask: Tensor) -> Tensor:
    """(N,) int64 where a flat mask is true."""
    if mask.device.type != "cpu":
        return mask.nonzero()[:, 0]
    return torch.from_numpy(np.flatnonzero(mask.numpy()))


def repeated(count: Tensor, total: int) -> Tensor:
    """(total,) int64: the numbers 0, 1, ... of ``count`` (N,) int64, each as often as it says; ``total`` is its sum."""
    if count.device.type != "cpu":
        return torch.repeat_interleave(count, output_size=total)
    return torch.from_numpy(np.arange(len(count)).repeat(count.numpy()))
