"""How steadily a video moves: what its own flow leaves over from frame to frame, and its flicker. The flow is OpenCV's."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import Cancelled
from ..machine import extras

FLOW = "Flow-warp error"
"""What needs OpenCV, for its sentence."""


def flow_warp_error(
    frames: Tensor,
    guide: Tensor | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> list[float]:
    """How far each frame is from the next one carried back along the flow, where both show the same.

    Args:
        frames: (T, H, W, 3) uint8.
        guide: (T, H, W, 3) uint8, whose flow is followed: the truth where it is known; None = the video's own.
        progress: called with (pairs done, pairs).
        cancel: polled before each pair.

    Returns:
        T - 1 values: the squared difference of colours 0..1, summed over the channels and averaged over the pixels that
        are not covered; NaN where all are.

    Raises:
        EX4DError: OpenCV is not installed.
        Cancelled: ``cancel`` returned True.

    Source: Lai et al., Learning Blind Video Temporal Consistency, 2018, section 4.2; covered pixels as in Ruder, Dosovitskiy
    and Brox 2016, equation 5. The flow is dense inverse search (Kroeger et al. 2016).
    """
    cv2 = extras.load("cv2", FLOW)
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    guided = (frames if guide is None else guide).numpy()
    grey = [cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY) for frame in guided]
    pictures = frames.numpy()
    errors = []
    for t in range(len(frames) - 1):
        if cancel is not None and cancel():
            raise Cancelled
        there, back = search.calc(grey[t], grey[t + 1], None), search.calc(grey[t + 1], grey[t], None)
        errors.append(_error(cv2, pictures[t], pictures[t + 1], there, back))
        if progress is not None:
            progress(t + 1, len(frames) - 1)
    return errors


def _error(cv2: Any, frame: np.ndarray, following: np.ndarray, there: np.ndarray, back: np.ndarray) -> float:
    rows, columns = np.mgrid[: frame.shape[0], : frame.shape[1]].astype(np.float32)
    at = columns + there[..., 0], rows + there[..., 1]
    warped = cv2.remap(following.astype(np.float32), *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    returned = cv2.remap(back, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    length = (there**2).sum(-1) + (returned**2).sum(-1)
    same = ((there + returned) ** 2).sum(-1) <= 0.01 * length + 0.5
    same &= (at[0] >= 0) & (at[0] <= frame.shape[1] - 1) & (at[1] >= 0) & (at[1] <= frame.shape[0] - 1)
    squared = ((frame.astype(np.float32) - warped) ** 2).sum(-1) / 255**2
    return float(squared[same].mean(dtype=np.float64)) if same.any() else math.nan


def steps(frames: Tensor) -> list[float]:
    """T - 1 mean absolute differences of a frame and the next, in levels of 255; frames (T, H, W, 3) uint8."""
    return [difference(a, b) for a, b in pairwise(frames)]


def difference(a: Tensor, b: Tensor) -> float:
    """Mean absolute difference of two pictures of bytes, in levels of 255."""
    return float((a.float() - b.float()).abs().mean(dtype=torch.float64))


def flicker(changes: list[float]) -> float:
    """VBench's temporal flickering of the differences of `steps`: 1 = nothing changes from frame to frame.

    A moving camera lowers it too, so it says something beside the truth's alone.

    Source: Huang et al., VBench, 2024: (255 - mean absolute difference) / 255.
    """
    return 1 - sum(changes) / len(changes) / 255 if changes else math.nan


def loop_seam(frames: Tensor, changes: list[float]) -> float:
    """How many usual steps lie between the last frame and the first: about 1 where a loop closes.

    Args:
        frames: (T, H, W, 3) uint8.
        changes: of `steps`.

    Returns:
        The ratio to the median step; NaN where nothing moves, or there are fewer than three frames.
    """
    usual = float(np.median(changes)) if len(changes) > 1 else 0.0
    return difference(frames[-1], frames[0]) / usual if usual > 0 else math.nan
