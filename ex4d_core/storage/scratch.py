"""Tensors too large to keep in memory beside everything else, laid into a temporary file."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .staging import write_errors

LARGE = 2**30
"""Bytes above which a tensor is laid into a file."""


def set_aside(x: Tensor) -> Tensor:
    """A copy of a tensor in host memory; one of more than ``LARGE`` bytes lies in a temporary file instead.

    The system reads such a file's parts when they are asked for and may forget them again. The file goes with the tensor.

    Args:
        x: (n, ...) any type that numpy knows, on any device; copied item by item.

    Raises:
        EX4DError: the disk of the temporary folder is full, or it cannot be written.
    """
    if x.numel() * x.element_size() <= LARGE:
        return x.cpu()
    with tempfile.TemporaryFile() as file:
        # Written, not mapped and filled: a full disk then is an error, and not the end of the process.
        with write_errors(Path(tempfile.gettempdir())):
            for item in x:
                file.write(item.contiguous().cpu().numpy().data)
            file.flush()
        dtype = torch.empty(0, dtype=x.dtype).numpy().dtype
        return torch.from_numpy(np.memmap(file, dtype, mode="c", shape=tuple(x.shape)))
