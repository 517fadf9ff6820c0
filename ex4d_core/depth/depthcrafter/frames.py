"""Frames as the networks take them: working size, scale, and the picture that CLIP sees."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import EX4DError
from ...machine.buffers import empty
from ...published import DEPTH_SIZE_LIMIT
from ..convert import resize_depth

CLIP_SIZE = 224
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

SIZE_STEP = 64


def working_size(height: int, width: int, limit: int = DEPTH_SIZE_LIMIT) -> tuple[int, int]:
    """The size at which depth is estimated: multiples of 64, the long side at most ``limit``.

    Args:
        height: of the video, in pixels.
        width: likewise.
        limit: longest side in pixels, >= 64.

    Returns:
        (height, width) in pixels.

    Raises:
        EX4DError: a limit below 64.
    """
    if limit < SIZE_STEP:
        raise EX4DError(
            f"The size limit must be at least {SIZE_STEP} pixels, got {limit}; {DEPTH_SIZE_LIMIT} is the published one."
        )
    rounded = [max(SIZE_STEP, round(side / SIZE_STEP) * SIZE_STEP) for side in (height, width)]
    if max(rounded) > limit:
        scale = limit / max(height, width)
        largest = limit // SIZE_STEP * SIZE_STEP
        rounded = [
            min(largest, max(SIZE_STEP, round(side * scale / SIZE_STEP) * SIZE_STEP)) for side in (height, width)
        ]
    return rounded[0], rounded[1]


def check_frames(frames: Tensor) -> Tensor:
    """(T, H, W, 3) frames, or a clear error."""
    frames = torch.as_tensor(frames)
    if frames.ndim != 4 or frames.shape[-1] != 3 or 0 in frames.shape:
        raise EX4DError(
            f"DepthCrafter needs frames of shape (frames, height, width, 3) with at least one frame, "
            f"got {tuple(frames.shape)}."
        )
    if frames.dtype != torch.uint8 and not frames.dtype.is_floating_point:
        raise EX4DError(f"DepthCrafter needs frames as float 0..1 or uint8, got {frames.dtype}.")
    return frames


def signed_frames(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Some frames at the working size.

    Args:
        frames: (n, H, W, 3) float 0..1 or uint8 0..255.
        size: (height, width) of the result.

    Returns:
        (n, 3, height, width) float32 in -1..1.
    """
    x = frames.float() / 255 if frames.dtype == torch.uint8 else frames.float()
    x = x.permute(0, 3, 1, 2).contiguous()
    if tuple(x.shape[2:]) != size:
        x = F.interpolate(x, size=size, mode="bilinear", align_corners=False, antialias=True).clamp_(0, 1)
    return x * 2 - 1


def shrink_for_clip(signed: Tensor) -> Tensor:
    """(n, 3, H, W) in -1..1 to (n, 3, 224, 224): Gaussian blur against aliasing, then bicubic, corners aligned.

    Source: Stable Video Diffusion's image conditioning; sigma = (shrink factor - 1) / 2, a kernel of 4 sigma made odd.
    """
    for axis, size in ((2, signed.shape[2]), (3, signed.shape[3])):
        sigma = max((size / CLIP_SIZE - 1) / 2, 0.001)
        taps = int(max(4 * sigma, 3))
        taps += 1 - taps % 2
        signed = _blur(signed, axis, taps, sigma)
    return F.interpolate(signed, size=(CLIP_SIZE, CLIP_SIZE), mode="bicubic", align_corners=True)


def clip_pixels(signed: Tensor) -> Tensor:
    """(n, 3, H, W) in -1..1 to CLIP's normalised 224x224 input."""
    unit = (shrink_for_clip(signed) + 1) / 2
    mean, std = (unit.new_tensor(v)[:, None, None] for v in (CLIP_MEAN, CLIP_STD))
    return (unit - mean) / std


def restore_size(disparity: Tensor, height: int, width: int) -> Tensor:
    """Disparity on the video's own pixel grid, object edges kept as steps.

    Args:
        disparity: (T, h, w) float32, any range.
        height: of the result, in pixels.
        width: likewise.

    Returns:
        (T, height, width) float32 within the range of the input.
    """
    if tuple(disparity.shape[1:]) == (height, width):
        return disparity
    low, high = (float(v) for v in torch.aminmax(disparity))
    if not low < high:
        return disparity.new_full((disparity.shape[0], height, width), low)
    # resize_depth works on inverse depth and calls two samples one surface when they agree relatively. The offset
    # keeps the farthest background from falling apart into steps of its noise.
    offset = 0.05 * (high - low) - low
    restored = empty((len(disparity), height, width), disparity.dtype, disparity.device)
    for frame, result in zip(disparity, restored, strict=True):
        resized = resize_depth((frame[None] + offset).reciprocal(), height, width)[0]
        torch.sub(resized.reciprocal_(), offset, out=result).clamp_(low, high)
    return restored


def _blur(image: Tensor, axis: int, taps: int, sigma: float) -> Tensor:
    positions = torch.arange(taps, dtype=image.dtype, device=image.device) - taps // 2
    kernel = torch.exp(-(positions**2) / (2 * sigma * sigma))
    kernel = kernel / kernel.sum()
    half = taps // 2
    padding = (0, 0, half, half) if axis == 2 else (half, half, 0, 0)
    shape = (1, 1, taps, 1) if axis == 2 else (1, 1, 1, taps)
    # Reflecting needs more pixels than it pads; a 64-pixel side is never blurred by more than three taps.
    padded = F.pad(image, padding, mode="reflect" if half < image.shape[axis] else "replicate")
    channels = image.shape[1]
    return F.conv2d(padded, kernel.reshape(shape).expand(channels, 1, -1, -1), groups=channels)


def preview_disparity(latents: Tensor) -> Tensor:
    """A rough disparity picture of latents without decoding them, for a live view.

    Args:
        latents: (n, 4, h, w), as denoised, any scale of about unit variance.

    Returns:
        (n, h, w) float32 in 0..1, an eighth of the working size.
    """
    # How much each latent channel of Stable Diffusion's autoencoder brightens the picture.
    brightness = latents.new_tensor((0.301, 0.352, 0.055, -0.397)).float()
    grey = torch.einsum("nchw,c->nhw", latents.float(), brightness)
    low = grey.min()  # not aminmax, which MPS may lack
    span = float(grey.max() - low)
    return (grey - low) / span if math.isfinite(span) and span > 0 else torch.zeros_like(grey)
