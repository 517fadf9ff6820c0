"""Norms, residuals and gates on (frames, rows, channels), fused on CUDA where Triton is there, plain torch elsewhere.

A row is one pixel of one frame. Images (T, C, H, W) in channels-last memory are such rows without a copy.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Affine = tuple[Tensor, Tensor]
"""Scale and offset of every channel, each (frames or 1, C) float32."""


def rows_of(x: Tensor) -> Tensor:
    """(T, C, H, W) to (T, H*W, C), without a copy where the memory is channels-last."""
    return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, x.shape[1])


def image_of(rows: Tensor, height: int, width: int) -> Tensor:
    """(T, H*W, C) to (T, C, H, W) in channels-last memory, without a copy."""
    return rows.reshape(rows.shape[0], height, width, -1).permute(0, 3, 1, 2)


def group_norm_affine(
    bands: Sequence[Tensor], norm: nn.GroupNorm, shift: Tensor | None = None, *, joint: bool = False
) -> Affine:
    """GroupNorm of ``x + shift`` as a scale and an offset for ``x``.

    Args:
        bands: x as (T, Pi, C) parts; their positions together are the frames'.
        norm: its groups, epsilon and weights.
        shift: (C,) added to every row before the norm, or None.
        joint: statistics over all frames together (temporal blocks) instead of each frame's own.
    """
    mean, variance = _channel_statistics(bands)
    if shift is not None:
        mean = mean + shift.float()
    frames, channels = mean.shape
    groups = norm.num_groups
    mean_g = mean.view(frames, groups, -1)
    variance_g = variance.view(frames, groups, -1)
    if joint:
        mean_g = mean_g.transpose(0, 1).reshape(1, groups, -1)
        variance_g = variance_g.transpose(0, 1).reshape(1, groups, -1)
    centre = mean_g.mean(-1, keepdim=True)
    total = variance_g.mean(-1, keepdim=True) + (mean_g - centre).square().mean(-1, keepdim=True)
    inverse = torch.rsqrt(total + norm.eps)
    scale = (norm.weight.float().view(1, groups, -1) * inverse).reshape(-1, channels)
    offset = norm.bias.float() - centre.expand(-1, -1, channels // groups).reshape(-1, channels) * scale
    if shift is not None:
        offset = offset + shift.float() * scale
    return scale, offset


def scale_offset(x: Tensor, affine: Affine, *, silu: bool = False) -> Tensor:
    """``x * scale + offset`` of (n, P, C), then SiLU if asked; a new dense tensor of x's dtype."""
    fused = kernels(x)
    if fused is not None:
        x = _dense_rows(x)
        out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        fused.scale_offset(x, *(part.contiguous() for part in affine), out, silu)
        return out
    out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    # Mixed types are computed in float32 and stored in x's, in one pass.
    torch.addcmul(affine[1][:, None, :], x, affine[0][:, None, :], out=out)
    return F.silu(out, inplace=True) if silu else out


def add_residual(x: Tensor, residual: Tensor, bias: Tensor, out: Tensor, weight: Tensor | None = None) -> None:
    """``out = residual + weight * (x + bias)`` of (n, P, C); bias (n or 1, C); ``out`` may be either input."""
    fused = kernels(x)
    if fused is not None and all(_is_dense(t) for t in (x, residual, out)):
        one = weight if weight is not None else torch.ones(1, dtype=torch.float32, device=x.device)
        fused.add_residual(x, residual, bias.contiguous(), one, out)
        return
    x = x + bias[:, None, :].to(x.dtype)
    if weight is None:
        torch.add(residual, x, out=out)
    else:
        torch.addcmul(residual, x, weight.to(x.dtype), out=out)


def add_bias(x: Tensor, bias: Tensor, out: Tensor) -> None:
    """``out = x + bias`` of (n, H, W, C) pictures, each any part of a larger one whose channels lie side by side; bias (C,)."""
    fused = kernels(x)
    if fused is None:
        torch.add(x, bias, out=out)
    else:
        fused.add_bias(x, bias, out)


def layer_norm(x: Tensor, norm: nn.LayerNorm) -> Tensor:
    """LayerNorm over the channels of a dense tensor."""
    fused = kernels(x)
    if fused is None or norm.bias is None or x.shape[-1] > 4096:
        return norm(x)
    out = torch.empty_like(x)
    channels = x.shape[-1]
    fused.layer_norm(x.view(-1, channels), norm.weight, norm.bias, norm.eps, out.view(-1, channels))
    return out


def gated_gelu(x: Tensor) -> Tensor:
    """First half of the channels times GELU of the second, of dense (rows, 2 n)."""
    fused = kernels(x)
    if fused is None:
        value, gate = x.chunk(2, dim=-1)
        return value * F.gelu(gate)
    out = torch.empty((x.shape[0], x.shape[1] // 2), dtype=x.dtype, device=x.device)
    fused.gated_gelu(x, out)
    return out


def _channel_statistics(bands: Sequence[Tensor]) -> Affine:
    """Mean and variance of each frame's channels, (T, C) float32 each."""
    parts = [_block_statistics(band) for band in bands]
    means, squares = (torch.cat(list(part), 1) if len(parts) > 1 else part[0] for part in zip(*(p[:2] for p in parts)))
    if means.shape[1] == 1:
        return means[:, 0], squares[:, 0] / bands[0].shape[1]
    counts = torch.tensor([count for part in parts for count in part[2]], dtype=torch.float32)
    counts = counts.to(means.device, non_blocking=True)  # which would wait for all that is queued
    total = sum(band.shape[1] for band in bands)
    share = (counts / total)[:, None]
    mean = (means * share).sum(1)
    variance = squares.sum(1) / total + ((means - mean[:, None]).square() * share).sum(1)
    return mean, variance


def _block_statistics(rows: Tensor) -> tuple[Tensor, Tensor, list[int]]:
    """Means and sums of squared deviations of blocks of rows, (T, blocks, C) float32 each, and how many rows a block has."""
    frames, count, channels = rows.shape
    fused = kernels(rows)
    if fused is None:
        mean, variance = _plain_statistics(rows)
        return mean[:, None], variance[:, None] * count, [count]
    size = fused.ROWS_PER_STATISTIC
    blocks = -(-count // size)
    means = torch.empty((frames, blocks, channels), dtype=torch.float32, device=rows.device)
    squares = torch.empty_like(means)
    fused.channel_moments(_dense_rows(rows), means, squares)
    return means, squares, [size] * (blocks - 1) + [count - (blocks - 1) * size]


def _plain_statistics(rows: Tensor) -> Affine:
    """Mean and variance of each frame's channels, without kernels."""
    if rows.dtype == torch.float32:
        variance, mean = torch.var_mean(rows, dim=1, correction=0)
        return mean, variance
    # Sums in float32 without a float32 copy; the difference of squares is exact enough for half-precision input.
    mean = rows.sum(1, dtype=torch.float32) / rows.shape[1]
    norm = torch.linalg.vector_norm(rows, dim=1, dtype=torch.float32)
    return mean, (norm.square() / rows.shape[1] - mean.square()).clamp_(min=0)


def _is_dense(x: Tensor) -> bool:
    return x.stride(2) == 1 and x.stride(1) == x.shape[2]


def _dense_rows(x: Tensor) -> Tensor:
    return x if _is_dense(x) else x.contiguous()


_fused: Any = None
_fused_tried = False


def kernels(x: Tensor) -> Any:
    """The Triton kernels where they can run on ``x``, else None."""
    global _fused, _fused_tried
    if not x.is_cuda:
        return None
    if not _fused_tried:
        _fused_tried = True
        try:
            from . import kernels as module

            probe = torch.randn((2, 70, 32), device=x.device)
            module.scale_offset(probe, probe[:1, 0], probe[:1, 1], torch.empty_like(probe), True)
            module.layer_norm(probe[0], probe[0, 0], probe[0, 1], 1e-5, torch.empty_like(probe[0]))
            _fused = module
        except Exception as error:  # no Triton, no compiler, an unsupported card: torch does it, only slower
            logging.getLogger(__name__).info("DepthCrafter runs without Triton kernels: %s", error)
    return _fused


_over_time: Any = None
_over_time_tried = False


def time_kernel(x: Tensor) -> Any:
    """The kernel of convolutions over time where it can run on ``x``, else None: half precision, which tensor cores take."""
    global _over_time, _over_time_tried
    if x.dtype != torch.float16 or kernels(x) is None:
        return None
    if not _over_time_tried:
        _over_time_tried = True
        try:
            _over_time = _tried_time_kernel(x.device)
        except Exception as error:  # a card whose compiler or memory on the chip does not take its tiles: cuDNN does it
            logging.getLogger(__name__).info("DepthCrafter runs without its kernel over time: %s", error)
    return _over_time


def _tried_time_kernel(device: torch.device) -> Any:
    """The kernel, once its largest tile has run; None on cards before Ampere, where its compiler can end the process."""
    if torch.version.hip is None and torch.cuda.get_device_capability(device) < (8, 0):
        return None
    from . import time_kernel as module

    probe = torch.zeros((2, 70, 128), dtype=torch.float16, device=device)
    module.conv_over_time(probe, probe.new_zeros((128, 3, 128)), torch.empty_like(probe))
    return module
