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


def is_large(x: Tensor) -> bool:
    """Whether a tensor is laid into a file when it is set aside."""
    return x.numel() * x.element_size() > LARGE


def set_aside(x: Tensor) -> Tensor:
    """A tensor in host memory, where a small one may be there already; one above ``LARGE`` is copied into a temporary file.

    The system reads such a file's parts when they are asked for and may forget them again, where the temporary folder is on a
    disk. The file goes with the tensor.

    Args:
        x: (n, ...) of a type that numpy knows, so not bfloat16; on any device; copied item by item.

    Raises:
        EX4DError: the disk of the temporary folder is full, or it cannot be written.
    """
    if not is_large(x):
        return x.cpu()
    with write_errors(Path(tempfile.gettempdir())), tempfile.TemporaryFile() as file:
        # Written, not mapped and filled: a full disk then is an error, and not the end of the process.
        for item in x:
            file.write(item.contiguous().cpu().numpy().data)
        file.flush()
        dtype = torch.empty(0, dtype=x.dtype).numpy().dtype
        return torch.from_numpy(np.memmap(file, dtype, mode="c", shape=tuple(x.shape)))
