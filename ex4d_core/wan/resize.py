"""Bilinear resizing in whole numbers, bit for bit as cv2.resize does it: the published preprocessing was trained with that."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

ONE = 2048
"""The weight 1 in OpenCV's fixed-point arithmetic."""


def resize(frames: Tensor, width: int, height: int) -> Tensor:
    """Frames or masks at another size, without smoothing when they shrink.

    Args:
        frames: (T, H, W, 3) or (T, H, W) uint8.
        width: of the result, in pixels.
        height: likewise.

    Returns:
        (T, height, width, 3) or (T, height, width) uint8, on the CPU.

    Source: OpenCV's resizeLinear for bytes; equal to versions 4.11 and 5.0 at every size tried.
    """
    shape = (len(frames), height, width, *frames.shape[3:])
    result = np.empty((*shape[:3], frames[0, 0, 0].numel()), np.uint8)
    (left, right), across = _taps(frames.shape[2], width)
    # Beyond the outermost pixel centres both are the outermost pixel. OpenCV then mixes rows with themselves, which
    # rounds, and takes columns as they are.
    across[:, left == right] = [[ONE], [0]]
    pairs, down = _taps(frames.shape[1], height)
    rows, pairs = np.unique(pairs, return_inverse=True)
    pairs = pairs.reshape(2, height)
    for frame, target in zip(frames, result, strict=True):
        # Of a frame that shrinks, only the rows that take part.
        source = frame.cpu().numpy().reshape(*frame.shape[:2], -1)[rows]
        mixed = source.take(left, 1) * across[0][:, None]
        mixed += source.take(right, 1) * across[1][:, None]
        mixed >>= 4
        upper, lower = (mixed[part] for part in pairs)
        for part, weight in ((upper, down[0]), (lower, down[1])):
            part *= weight[:, None, None]
            part >>= 16
        upper += lower
        upper += 2
        upper >>= 2
        target[:] = upper
    return torch.from_numpy(result.reshape(shape))


def _taps(size: int, wanted: int) -> tuple[np.ndarray, np.ndarray]:
    """For each pixel wanted, the two that it lies between, (2, wanted), and their weights, (2, wanted) int32."""
    at = ((np.arange(wanted) + 0.5) * (1 / (wanted / size)) - 0.5).astype(np.float32)
    first = np.floor(at).astype(np.int64)
    share = at - first.astype(np.float32)
    weights = np.rint(np.stack([1 - share, share]) * np.float32(ONE)).astype(np.int32)
    return np.stack([first, first + 1]).clip(0, size - 1), weights
