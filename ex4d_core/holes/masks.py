"""Erosion and dilation of seen masks, equal to cv2.erode and cv2.dilate with a k x k box.

Convention: masks are (T, H, W), 1 (or 255, or True) = seen, 0 = hole. Eroding grows the holes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from numbers import Integral

import torch
from torch import Tensor

from ..errors import EX4DError
from ..machine.buffers import empty
from ..pixels import hole_color_of, lay_into_holes
from ..published import EROSION

MOST_PIXELS = 64
"""By which holes can be grown or feathered, for models other than EX-4D."""


def erode(mask: Tensor, kernel: int | Sequence[int]) -> Tensor:
    """Shrink what is seen: every pixel becomes the smallest value of the k x k box around it.

    Outside the image nothing is a hole. An even box reaches one pixel farther up and left, as in OpenCV.

    Args:
        mask: (T, H, W), float, uint8 or bool, 1 = seen.
        kernel: side of the box in pixels, >= 1; one for all frames or one per frame.

    Returns:
        (T, H, W), same dtype and device.

    Raises:
        EX4DError: another shape, a side below 1, or a wrong number of sides.

    Source: the published preprocessing erodes each frame with k in 2..8 (``random_kernels``).

    Example:
        >>> erode(torch.tensor([[[1, 1, 1, 0, 1]]], dtype=torch.uint8), 3)
        tensor([[[1, 1, 0, 0, 0]]], dtype=torch.uint8)
    """
    return _box_filter(mask, kernel, torch.minimum)


def dilate(mask: Tensor, kernel: int | Sequence[int]) -> Tensor:
    """Grow what is seen: every pixel becomes the largest value of the k x k box around it. See ``erode``."""
    return _box_filter(mask, kernel, torch.maximum)


def grow_holes(color: Tensor, mask: Tensor, pixels: int, hole_color: str = "black") -> Tensor:
    """Take a rim of seen pixels away around every hole, and give it the holes' colour.

    Args:
        color: (T, H, W, 3), float 0..1 or uint8; written to.
        mask: (T, H, W), float, uint8 or bool, 1 = seen.
        pixels: width of the rim, 0..64, diagonals included: `erode` with a box of 2 * pixels + 1.
        hole_color: as in `render_color_mask`.

    Returns:
        The smaller mask, (T, H, W), same dtype and device.

    Raises:
        EX4DError: another number of pixels, colour, or shape.
    """
    filling = hole_color_of(hole_color)
    _check_pixels("Holes can be grown", pixels)
    if color.shape != (*mask.shape, 3):
        raise EX4DError(f"Colour {tuple(color.shape)} and mask {tuple(mask.shape)} are of different clips.")
    if pixels == 0:
        return mask
    result = empty(mask.shape, mask.dtype, mask.device)
    for t in range(len(mask)):  # a frame at a time: the passes on the way need several copies
        result[t] = erode(mask[t : t + 1], 2 * pixels + 1)[0]
    lay_into_holes(color, result, filling)
    return result


def feather(mask: Tensor, pixels: int) -> Tensor:
    """Let a mask fall in equal steps towards every hole, over seen pixels: no part of a hole becomes seen.

    Args:
        mask: (T, H, W), float, uint8 or bool, 1 (or 255, True) = seen, 0 = hole.
        pixels: width of the ramp, 0..64, by the same box as `erode`: d pixels from a hole the mask is d / (pixels + 1).

    Returns:
        (T, H, W), same device; float32 for bool, else the same dtype.

    Raises:
        EX4DError: another number of pixels or shape.

    Example:
        >>> feather(torch.tensor([[[0.0, 1.0, 1.0, 1.0]]]), 1)
        tensor([[[0.0000, 0.5000, 1.0000, 1.0000]]])
    """
    _check_pixels("A mask can be feathered", pixels)
    if mask.dtype == torch.bool:
        mask = mask.float()
    if pixels == 0:
        return mask
    result = empty(mask.shape, mask.dtype, mask.device)
    for t in range(len(mask)):
        level = mask[t : t + 1]
        total = level.float()
        for _ in range(pixels):
            level = erode(level, 3)  # boxes of 3, one after the other, are one of 3, 5, 7 ...
            total = total + level
        ramp = total / (pixels + 1)
        result[t] = (ramp if mask.is_floating_point() else ramp.round_())[0]
    return result


def _check_pixels(what: str, pixels: int) -> None:
    if not isinstance(pixels, Integral) or not 0 <= pixels <= MOST_PIXELS:
        raise EX4DError(f"{what} by 0 to {MOST_PIXELS} whole pixels, got {pixels}.")


def random_kernels(frames: int, seed: int, low: int = EROSION[0], high: int = EROSION[1]) -> tuple[int, ...]:
    """One box side per frame, uniform in low..high (both included), the same for the same seed.

    Source: the published preprocessing draws from 2..8, unseeded.
    """
    if not 1 <= low <= high:
        raise EX4DError(f"Kernel sides need 1 <= low <= high, got low={low} and high={high}.")
    generator = random.Random(seed)
    return tuple(generator.randint(low, high) for _ in range(frames))


def _box_filter(mask: Tensor, kernel: int | Sequence[int], pick: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    if mask.ndim != 3:
        raise EX4DError(f"A mask clip has shape (frames, height, width), got {tuple(mask.shape)}.")
    if isinstance(kernel, int | Integral):
        return _box_filter_frames(mask, int(kernel), pick)
    if len(kernel) != mask.shape[0]:
        raise EX4DError(f"Got {len(kernel)} kernel sides for {mask.shape[0]} mask frames; give one or one per frame.")
    result = empty(mask.shape, mask.dtype, mask.device)
    for t, side in enumerate(kernel):
        result[t] = _box_filter_frames(mask[t : t + 1], int(side), pick)[0]
    return result


def _box_filter_frames(mask: Tensor, side: int, pick: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    if side < 1:
        raise EX4DError(f"A kernel side must be at least 1 pixel, got {side}.")
    # A box is separable, and the end padding repeats the edge, which no minimum or maximum notices.
    return _line_filter(_line_filter(mask, side, 1, pick), side, 2, pick)


def _line_filter(mask: Tensor, side: int, dim: int, pick: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Running minimum or maximum over ``side`` pixels along ``dim`` by doubling: log2(side) passes, any dtype."""
    size = mask.shape[dim]
    before = min(side // 2, size - 1)
    after = min(side - 1 - side // 2, size - 1)
    index = torch.arange(-before, size + after, device=mask.device).clamp_(0, size - 1)
    line, reach, wanted = mask.index_select(dim, index), 1, before + after + 1
    while reach < wanted:
        step = min(reach, wanted - reach)
        length = line.shape[dim] - step
        line = pick(line.narrow(dim, 0, length), line.narrow(dim, step, length))
        reach += step
    return line
