"""Depth that a sensor left out here and there, filled so that a surface can be built of it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def without_gaps(depth: Tensor) -> Tensor:
    """Depth (T, H, W) in which every unknown pixel, 0, has that of the nearest known one; as it is where all is known.

    Every frame must know some.
    """
    if bool((depth > 0).all()):
        return depth
    from scipy.ndimage import distance_transform_edt

    frames = []
    for frame in depth.numpy():
        nearest = np.asarray(distance_transform_edt(frame <= 0, return_distances=False, return_indices=True))
        frames.append(torch.from_numpy(frame[nearest[0], nearest[1]]))
    return torch.stack(frames)
