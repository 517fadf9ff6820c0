"""Fused GPU kernels for channels-last activations. Optional: every one has a torch twin in ``norms``/``layers``.

PyTorch's own GroupNorm on CUDA turns channels-last tensors back into channels-first copies, and each bias, activation
and residual is a pass over memory of its own. At 576x1024 those passes cost as much as the convolutions.

All tensors are seen as (frames, rows, channels) with channels contiguous; statistics are float32.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

BLOCK_CHANNELS = 64
BLOCK_ROWS = 64
ROWS_PER_STATISTIC = 1024


def channel_moments(x: Tensor, mean: Tensor, squares: Tensor) -> None:
    """Mean and sum of squared deviations of every channel in blocks of ``ROWS_PER_STATISTIC`` rows.

    Args:
        x: (frames, rows, channels).
        mean, squares: (frames, blocks, channels) float32, written.
    """
    frames, rows, channels = x.shape
    grid = (mean.shape[1], triton.cdiv(channels, BLOCK_CHANNELS), frames)
    _channel_moments[grid](x, mean, squares, rows, channels, ROWS_PER_STATISTIC, BLOCK_ROWS, BLOCK_CHANNELS)


def scale_offset(x: Tensor, scale: Tensor, offset: Tensor, out: Tensor, silu: bool) -> None:
    """``out = x * scale + offset``, then SiLU if asked.

    Args:
        x, out: (frames, rows, channels).
        scale, offset: (frames or 1, channels) float32.
    """
    frames, rows, channels = x.shape
    step = channels if scale.shape[0] > 1 else 0
    grid = (triton.cdiv(rows, BLOCK_ROWS), triton.cdiv(channels, BLOCK_CHANNELS), frames)
    _scale_offset[grid](x, scale, offset, out, rows, channels, step, silu, BLOCK_ROWS, BLOCK_CHANNELS)


def add_residual(x: Tensor, residual: Tensor, bias: Tensor, weight: Tensor, out: Tensor) -> None:
    """``out = residual + weight * (x + bias)``; ``out`` may be ``x`` or ``residual``.

    Args:
        x, residual, out: (rows, channels).
        bias: (channels,).
        weight: one number as a tensor.
    """
    rows, channels = x.shape
    grid = (triton.cdiv(rows, BLOCK_ROWS), triton.cdiv(channels, BLOCK_CHANNELS))
    _add_residual[grid](x, residual, bias, weight, out, rows, channels, BLOCK_ROWS, BLOCK_CHANNELS)


def gated_gelu(x: Tensor, out: Tensor) -> None:
    """``out = x[:, :n] * gelu(x[:, n:])``.

    Args:
        x: (rows, 2 n), contiguous.
        out: (rows, n).
    """
    rows, channels = out.shape
    grid = (triton.cdiv(rows, BLOCK_ROWS), triton.cdiv(channels, BLOCK_CHANNELS))
    _gated_gelu[grid](x, out, rows, channels, BLOCK_ROWS, BLOCK_CHANNELS)


@triton.jit
def _channel_moments(
    x, mean, squares, rows, channels, per_block: tl.constexpr, block_rows: tl.constexpr, block_channels: tl.constexpr
):
    block, column, frame = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    c = column * block_channels + tl.arange(0, block_channels)
    inside = c < channels
    first = block * per_block
    last = tl.minimum(first + per_block, rows)
    base = x + frame.to(tl.int64) * rows * channels
    # Deviations from the block's first row keep the squares small where a channel's mean is far from zero.
    pilot = tl.load(base + first.to(tl.int64) * channels + c, mask=inside, other=0.0).to(tl.float32)
    total = tl.zeros((block_rows, block_channels), tl.float32)
    total_squares = tl.zeros((block_rows, block_channels), tl.float32)
    for step in range(0, per_block, block_rows):
        r = first + step + tl.arange(0, block_rows)
        mask = (r < last)[:, None] & inside[None, :]
        v = tl.load(base + r.to(tl.int64)[:, None] * channels + c[None, :], mask=mask, other=0.0).to(tl.float32)
        v = tl.where(mask, v - pilot[None, :], 0.0)
        total += v
        total_squares += v * v
    count = (last - first).to(tl.float32)
    s = tl.sum(total, 0)
    q = tl.sum(total_squares, 0)
    where = (frame.to(tl.int64) * tl.num_programs(0) + block) * channels + c
    tl.store(mean + where, pilot + s / count, mask=inside)
    tl.store(squares + where, q - s * s / count, mask=inside)


@triton.jit
def _scale_offset(
    x,
    scale,
    offset,
    out,
    rows,
    channels,
    step,
    silu: tl.constexpr,
    block_rows: tl.constexpr,
    block_channels: tl.constexpr,
):
    frame = tl.program_id(2)
    r = tl.program_id(0) * block_rows + tl.arange(0, block_rows)
    c = tl.program_id(1) * block_channels + tl.arange(0, block_channels)
    inside = c < channels
    mask = (r < rows)[:, None] & inside[None, :]
    where = frame.to(tl.int64) * rows * channels + r.to(tl.int64)[:, None] * channels + c[None, :]
    a = tl.load(scale + frame * step + c, mask=inside, other=0.0)
    b = tl.load(offset + frame * step + c, mask=inside, other=0.0)
    y = tl.load(x + where, mask=mask, other=0.0).to(tl.float32) * a[None, :] + b[None, :]
    if silu:
        y = y * tl.sigmoid(y)
    tl.store(out + where, y.to(out.dtype.element_ty), mask=mask)


@triton.jit
def _add_residual(
    x, residual, bias, weight, out, rows, channels, block_rows: tl.constexpr, block_channels: tl.constexpr
):
    r = tl.program_id(0) * block_rows + tl.arange(0, block_rows)
    c = tl.program_id(1) * block_channels + tl.arange(0, block_channels)
    mask = (r < rows)[:, None] & (c < channels)[None, :]
    where = r.to(tl.int64)[:, None] * channels + c[None, :]
    b = tl.load(bias + c, mask=c < channels, other=0.0).to(tl.float32)
    w = tl.load(weight).to(tl.float32)
    y = tl.load(x + where, mask=mask, other=0.0).to(tl.float32) + b[None, :]
    y = tl.load(residual + where, mask=mask, other=0.0).to(tl.float32) + w * y
    tl.store(out + where, y.to(out.dtype.element_ty), mask=mask)


@triton.jit
def _gated_gelu(x, out, rows, channels, block_rows: tl.constexpr, block_channels: tl.constexpr):
    r = tl.program_id(0) * block_rows + tl.arange(0, block_rows)
    c = tl.program_id(1) * block_channels + tl.arange(0, block_channels)
    mask = (r < rows)[:, None] & (c < channels)[None, :]
    row = r.to(tl.int64)[:, None]
    value = tl.load(x + row * 2 * channels + c[None, :], mask=mask, other=0.0).to(tl.float32)
    gate = tl.load(x + row * 2 * channels + channels + c[None, :], mask=mask, other=0.0).to(tl.float32)
    y = value * 0.5 * gate * (1.0 + tl.erf(gate * 0.7071067811865476))
    tl.store(out + row * channels + c[None, :], y.to(out.dtype.element_ty), mask=mask)
