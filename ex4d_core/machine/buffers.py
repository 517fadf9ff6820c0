"""The one place where memory of a clip's size comes from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def empty(shape: Sequence[int], dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> Tensor:
    """An uninitialised tensor, for results that are as large as a clip.

    On the CPU it lies in numpy's memory: Linux gives numpy large pages where it can, and first touches then cost a tenth
    of what they do in torch's, which is more than most of the arithmetic here.

    Args:
        shape: sizes of its axes.
        dtype: any of torch's; those that numpy does not know (bfloat16) take torch's memory.
        device: where it lies.
    """
    if torch.device(device).type != "cpu" or dtype == torch.bfloat16:
        return torch.empty(tuple(shape), dtype=dtype, device=device)
    return torch.from_numpy(np.empty(tuple(shape), torch.empty(0, dtype=dtype).numpy().dtype))
