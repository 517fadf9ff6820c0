"""Disparity, inverse and metric depth to planar depth, the checks, and resizing that keeps edges.

Convention: depth is planar z > 0 (OpenCV camera), (T, H, W); disparity and inverse depth grow towards the camera.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import EX4DError
from ..machine.buffers import empty
from ..published import (
    BORDER_DEPTH,
    DEPTH_LIMITS,
    DEPTH_NUMERATOR,
    DISPARITY_SCALE,
    NEAREST_DEPTH,
    SMALLEST_DISPARITY,
)

EDGE_TOLERANCE = 0.03
"""Samples are one surface where their inverse depths, extended to one point, differ by less than this share."""


def brightness(images: Tensor) -> Tensor:
    """What grey pictures show: the mean of their channels.

    Args:
        images: (T, H, W, C).

    Returns:
        (T, H, W) float32.
    """
    clip = torch.as_tensor(images).float()
    if clip.device.type != "cpu":
        return clip.mean(-1)
    # As a product with equal weights it is read once, in order; a mean over so short an axis takes five times as long.
    weights = clip.new_full((clip.shape[-1],), 1 / clip.shape[-1])
    return torch.matmul(clip, weights, out=empty(clip.shape[:-1]))


def depth_from_disparity(disparity: Tensor, *, in_place: bool = False) -> Tensor:
    """The published conversion of a disparity clip to depth.

    Args:
        disparity: (T, H, W), any affine scale, larger = nearer. Normalised over the whole clip here.
        in_place: write the depth over a float32 ``disparity``, which saves a clip's memory.

    Returns:
        (T, H, W) float32 planar depth from 2.564 (nearest) to 10000 (farthest).

    Raises:
        EX4DError: not three-dimensional, empty, NaN or infinite values, or the same value everywhere.

    Source: the published depth step, 10000 / max(3900 d, 1e-5) clipped to 1e-4..1e4, d in 0..1.

    Example:
        >>> depth_from_disparity(torch.tensor([[[0.0, 0.5, 1.0]]]))
        tensor([[[1.0000e+04, 5.1282e+00, 2.5641e+00]]])
    """
    depth = _normalised(disparity, "disparity", in_place)
    for frame in depth:
        torch.div(
            frame.new_tensor(DEPTH_NUMERATOR), frame.mul_(DISPARITY_SCALE).clamp_(min=SMALLEST_DISPARITY), out=frame
        )
        frame.clamp_(*DEPTH_LIMITS)
    return depth


def depth_from_inverse(inverse: Tensor, *, near: float = NEAREST_DEPTH, far: float = BORDER_DEPTH) -> Tensor:
    """Relative inverse depth (most monocular depth networks) to depth between ``near`` and ``far``.

    Args:
        inverse: (T, H, W), any affine scale, larger = nearer. Its largest value of the clip becomes ``near``, its
            smallest ``far``.
        near: scene units, above 0.
        far: scene units, above ``near``.

    Returns:
        (T, H, W) float32 planar depth in near..far.

    Raises:
        EX4DError: a bad clip (see ``depth_from_disparity``) or a bad range.
    """
    _check_range(near, far)
    depth = _normalised(inverse, "inverse depth")
    for frame in depth:
        frame.mul_(1 / near - 1 / far).add_(1 / far).reciprocal_()
    return depth


def depth_from_metric(depth: Tensor, *, near: float | None = None, far: float | None = None) -> Tensor:
    """Metric (or otherwise linear) depth, optionally brought to EX-4D's scale.

    The whole clip is multiplied by ONE factor, which changes the unit and not the shape of the scene.

    Args:
        depth: (T, H, W) planar z > 0. Infinite or zero samples are taken as sky if ``far`` is given.
        near: the depth that the nearest sample of the clip gets, for example ``published.NEAREST_DEPTH``; None keeps the unit.
        far: samples beyond it are set to it, after scaling; None leaves them.

    Returns:
        (T, H, W) float32 planar depth.

    Raises:
        EX4DError: NaN, no positive sample, sky without ``far``, one depth everywhere, or a bad range.
    """
    _check_range(1e-6 if near is None else near, math.inf if far is None else far)
    clip = _clip_tensor(depth, "depth")
    if torch.isnan(clip).any():
        raise EX4DError("The depth contains NaN; fill or mask those samples in the depth source first.")
    solid = torch.isfinite(clip) & (clip > 0)
    if not bool(solid.any()):
        raise EX4DError("The depth has no positive finite sample; check that the right channel and scale were read.")
    scale = 1.0 if near is None else near / float(clip[solid].min())
    clip = clip * scale
    if far is not None:
        clip = torch.where(solid, clip, far).clamp_(max=far)
    return check_depth(clip)


def check_depth(
    depth: Tensor, frames: int | None = None, height: int | None = None, width: int | None = None
) -> Tensor:
    """The depth as float32, or a clear error.

    Args:
        depth: (T, H, W) planar depth.
        frames: what the video has; None is not checked.
        height: likewise, in pixels.
        width: likewise.

    Returns:
        (T, H, W) float32, contiguous, on the device of ``depth``; the same tensor where it already is that.

    Raises:
        EX4DError: another shape, NaN, infinite, zero or negative values, or one value everywhere.
    """
    clip = _clip_tensor(depth, "depth")
    if frames is not None and clip.shape[0] != frames:
        raise EX4DError(
            f"The depth has {clip.shape[0]} frames and the video {frames}; give one depth map per frame "
            "(same start, frame count and frame rate)."
        )
    if (height is not None and clip.shape[1] != height) or (width is not None and clip.shape[2] != width):
        raise EX4DError(
            f"The depth is {clip.shape[2]}x{clip.shape[1]} and the video {width or clip.shape[2]}x"
            f"{height or clip.shape[1]}; resize it with resize_depth, which keeps object edges sharp."
        )
    low, high = (float(v) for v in torch.aminmax(clip))
    if math.isnan(low) or math.isnan(high):
        raise EX4DError("The depth contains NaN; fill or mask those samples in the depth source first.")
    if math.isinf(low) or math.isinf(high):
        raise EX4DError("The depth contains infinite values; clip the sky to a far distance first, for example 100.")
    if low <= 0:
        raise EX4DError(
            f"Depth must be positive, the smallest value is {low:g}; if zero means far away, the clip is disparity or "
            "inverse depth and must be converted as that, and if it means not measured, fill those samples first."
        )
    if low == high and clip.numel() > 1:
        raise EX4DError(f"The depth is {low:g} everywhere, which is no scene; check the depth source.")
    return clip.contiguous()


def resize_depth(depth: Tensor, height: int, width: int) -> Tensor:
    """Depth on another pixel grid without values between foreground and background at edges.

    Works on inverse depth, in which planes are linear over the image. Each of the four samples around an output pixel
    is extended to that pixel along its own slope (minmod: the smaller of its two one-sided differences, so a slope
    never crosses an edge). The nearest sample decides the surface; the bilinear mean runs over those that agree with
    it within ``EDGE_TOLERANCE``. Smooth surfaces are thus interpolated to second order, and edges stay steps.

    Args:
        depth: (T, H, W) planar depth, finite and > 0.
        height: new rows; the field of view stays the same (pixel centres at +0.5).
        width: new columns.

    Returns:
        (T, height, width) float32.

    Raises:
        EX4DError: bad depth (``check_depth``) or a size below one pixel.
    """
    clip = check_depth(depth)
    if height < 1 or width < 1:
        raise EX4DError(f"Depth can be resized to 1x1 pixels or more, got {width}x{height}.")
    if (height, width) == tuple(clip.shape[1:]):
        return clip
    # One frame at a time: the dozen intermediate maps then stay in the cache and the memory bound is one frame's.
    resized = empty((len(clip), height, width), clip.dtype, clip.device)
    for source, target in zip(clip, resized, strict=True):
        target.copy_(_resize_frame(source.reciprocal(), height, width).reciprocal_())
    return resized


def _resize_frame(inverse: Tensor, height: int, width: int) -> Tensor:
    rows, row_weight = _taps(inverse.shape[0], height, inverse.device)
    columns, column_weight = _taps(inverse.shape[1], width, inverse.device)
    slope_y, slope_x = _minmod_slope(inverse, 0), _minmod_slope(inverse, 1)

    extended, weights = [], []
    for a in range(2):
        # Distance from the sample to the output pixel; a = 0 is the sample above, a = 1 the one below.
        dy = (row_weight - a)[:, None]
        along_rows = torch.addcmul(inverse[rows[a]], slope_y[rows[a]], dy)
        slope_along_rows = slope_x[rows[a]]
        for b in range(2):
            dx = (column_weight - b)[None, :]
            column = columns[b]
            extended.append(
                torch.addcmul(along_rows.index_select(1, column), slope_along_rows.index_select(1, column), dx)
            )
            weights.append((1 - dy.abs()) * (1 - dx.abs()))
    candidates, bilinear = torch.stack(extended), torch.stack(weights)

    below, right = row_weight[:, None] > 0.5, column_weight[None, :] > 0.5
    nearest = torch.where(
        below, torch.where(right, candidates[3], candidates[2]), torch.where(right, candidates[1], candidates[0])
    )
    tolerance = torch.maximum(candidates.abs(), nearest.abs()).mul_(EDGE_TOLERANCE).clamp_(min=1e-12)
    # A weight that falls to zero smoothly, so that a surface near the tolerance does not flicker between frames.
    kept = ((candidates - nearest) / tolerance).square_().neg_().add_(1).clamp_(min=0).mul_(bilinear)
    result = (kept * candidates).sum(0) / kept.sum(0)
    # Extending by a slope may not leave the range of the input (half a sample beyond a corner could).
    return result.clamp_(inverse.min(), inverse.max())


def _taps(size: int, new_size: int, device: torch.device) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Indices of the samples before and after each output pixel, and the position between them in 0..1."""
    position = (torch.arange(new_size, dtype=torch.float64, device=device) + 0.5) * (size / new_size) - 0.5
    position = position.clamp_(0, size - 1)
    first = position.floor().clamp_(max=max(size - 2, 0)).long()
    return (first, (first + 1).clamp_(max=size - 1)), (position - first).float()


def _minmod_slope(inverse: Tensor, dim: int) -> Tensor:
    """Per-sample slope along ``dim``: the smaller one-sided difference, 0 at an extremum."""
    slope = torch.zeros_like(inverse)
    count = inverse.shape[dim]
    if count < 3:
        return slope
    difference = inverse.diff(dim=dim)
    before, after = difference.narrow(dim, 0, count - 2), difference.narrow(dim, 1, count - 2)
    smaller = torch.where(before.abs() < after.abs(), before, after)
    slope.narrow(dim, 1, count - 2).copy_(torch.where(before * after > 0, smaller, torch.zeros_like(smaller)))
    return slope


def value_range(values: Tensor, name: str) -> tuple[float, float]:
    """The smallest and the largest value of a clip (T, H, W), which errors call ``name``.

    Raises:
        EX4DError: not three-dimensional, empty, NaN or infinite values, or the same value everywhere.
    """
    low, high = (float(end) for end in torch.aminmax(_clip_tensor(values, name)))
    if not (math.isfinite(low) and math.isfinite(high)):
        raise EX4DError(f"The {name} contains NaN or infinite values; repair the depth source first.")
    if low == high:
        raise EX4DError(
            f"The {name} is {low:g} everywhere, so it holds no depth; check that the right file or output is connected."
        )
    return low, high


def _normalised(values: Tensor, name: str, in_place: bool = False) -> Tensor:
    """Min-max over the whole clip to 0..1, float32; a new tensor, unless in place."""
    clip = _clip_tensor(values, name)
    low, high = (clip.new_tensor(end) for end in value_range(clip, name))
    # A frame at a time, here and by the callers, while it is in the cache.
    normalised = clip if in_place else empty(clip.shape, clip.dtype, clip.device)
    for frame, result in zip(clip, normalised, strict=True):
        torch.sub(frame, low, out=result).div_(high - low)
    return normalised


def _clip_tensor(values: Tensor, name: str) -> Tensor:
    clip = torch.as_tensor(values)
    if clip.ndim != 3 or clip.numel() == 0:
        raise EX4DError(f"The {name} must have shape (frames, height, width), got {tuple(clip.shape)}.")
    return clip.to(torch.float32)


def _check_range(near: float, far: float) -> None:
    if not (near > 0 and far > near and math.isfinite(near)):
        raise EX4DError(f"The depth range needs 0 < near < far, got near={near:g} and far={far:g}.")
