# pyright: reportIndexIssue=false, reportArgumentType=false
"""Fused GPU kernels for channels-last activations. Optional: every one has a torch twin in ``rows``.

PyTorch's own GroupNorm on CUDA turns channels-last tensors back into channels-first copies, each bias, activation and
residual is a pass over memory of its own, and its LayerNorm is slow on short rows. At 576x1024 that costs as much as
the convolutions and products themselves.

All tensors are (frames, rows, channels) with dense rows; only the step from frame to frame is free, so that a tensor may
be a band of positions of every frame. Arithmetic is float32.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

ROWS_PER_STATISTIC = 1024
TILE = 4096


def channel_moments(x: Tensor, mean: Tensor, squares: Tensor) -> None:
    """Mean and sum of squared deviations of every channel in blocks of ``ROWS_PER_STATISTIC`` rows.

    Args:
        x: (frames, rows, channels).
        mean: (frames, blocks, channels) float32, written.
        squares: the same.
    """
    frames, rows, channels = x.shape
    width, height = _tile(channels)
    grid = (mean.shape[1], triton.cdiv(channels, width), frames)
    _channel_moments[grid](x, x.stride(0), mean, squares, rows, channels, ROWS_PER_STATISTIC, height, width)


def scale_offset(x: Tensor, scale: Tensor, offset: Tensor, out: Tensor, silu: bool) -> None:
    """``out = x * scale + offset``, then SiLU if asked.

    Args:
        x: (frames, rows, channels).
        scale: (frames or 1, channels) float32, dense.
        offset: the same.
        out: like ``x``, written.
        silu: whether SiLU follows.
    """
    frames, rows, channels = x.shape
    width, height = _tile(channels)
    steps = [channels if t.shape[0] > 1 else 0 for t in (scale, offset)]
    grid = (triton.cdiv(rows, height), triton.cdiv(channels, width), frames)
    _scale_offset[grid](
        x, x.stride(0), scale, steps[0], offset, steps[1], out, out.stride(0), rows, channels, silu, height, width
    )


def add_residual(x: Tensor, residual: Tensor, bias: Tensor, weight: Tensor, out: Tensor) -> None:
    """``out = residual + weight * (x + bias)``; ``out`` may be ``x`` or ``residual``.

    Args:
        x: (frames, rows, channels).
        residual: the same.
        bias: (frames or 1, channels), dense.
        weight: one number as a tensor.
        out: like ``x``, written.
    """
    frames, rows, channels = x.shape
    width, height = _tile(channels)
    step = channels if bias.shape[0] > 1 else 0
    strides = (x.stride(0), residual.stride(0), out.stride(0))
    grid = (triton.cdiv(rows, height), triton.cdiv(channels, width), frames)
    _add_residual[grid](x, residual, bias, weight, out, *strides, step, rows, channels, height, width)


def add_bias(x: Tensor, bias: Tensor, out: Tensor) -> None:
    """``out = x + bias``: pictures of which each may be a part of a larger one, or every other pixel of it.

    Args:
        x: (frames, height, width, channels), channels side by side.
        bias: (channels,), dense.
        out: like ``x``, written.
    """
    frames, height, width, channels = x.shape
    tile, pixels = _tile(channels)
    grid = (triton.cdiv(height * width, pixels), triton.cdiv(channels, tile), frames)
    x_steps, out_steps = ((t.stride(0), t.stride(1), t.stride(2)) for t in (x, out))
    _add_bias[grid](x, bias, out, *x_steps, *out_steps, height * width, width, channels, pixels, tile)


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float, out: Tensor) -> None:
    """LayerNorm of dense (rows, channels)."""
    rows, channels = x.shape
    width = triton.next_power_of_2(channels)
    height = max(1, TILE // width)
    _layer_norm[(triton.cdiv(rows, height),)](x, weight, bias, eps, out, rows, channels, height, width)


def gated_gelu(x: Tensor, out: Tensor) -> None:
    """``out = x[:, :n] * gelu(x[:, n:])`` of dense (rows, 2 n) and (rows, n)."""
    rows, channels = out.shape
    width, height = _tile(channels)
    _gated_gelu[(triton.cdiv(rows, height), triton.cdiv(channels, width))](x, out, rows, channels, height, width)


def _tile(channels: int) -> tuple[int, int]:
    """Channels and rows that one program works on."""
    width = 128 if channels % 128 == 0 else 64
    return width, TILE // width


@triton.jit
def _channel_moments(
    x,
    x_step,
    mean,
    squares,
    rows,
    channels,
    per_block: tl.constexpr,
    block_rows: tl.constexpr,
    block_channels: tl.constexpr,
):
    block, column, frame = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    c = column * block_channels + tl.arange(0, block_channels)
    inside = c < channels
    first = block * per_block
    last = tl.minimum(first + per_block, rows)
    base = x + frame.to(tl.int64) * x_step
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
    x_step,
    scale,
    scale_step,
    offset,
    offset_step,
    out,
    out_step,
    rows,
    channels,
    silu: tl.constexpr,
    block_rows: tl.constexpr,
    block_channels: tl.constexpr,
):
    frame = tl.program_id(2).to(tl.int64)
    r = tl.program_id(0) * block_rows + tl.arange(0, block_rows)
    c = tl.program_id(1) * block_channels + tl.arange(0, block_channels)
    inside = c < channels
    mask = (r < rows)[:, None] & inside[None, :]
    where = r.to(tl.int64)[:, None] * channels + c[None, :]
    a = tl.load(scale + frame * scale_step + c, mask=inside, other=0.0)
    b = tl.load(offset + frame * offset_step + c, mask=inside, other=0.0)
    y = tl.load(x + frame * x_step + where, mask=mask, other=0.0).to(tl.float32) * a[None, :] + b[None, :]
    if silu:
        y = y * tl.sigmoid(y)
    tl.store(out + frame * out_step + where, y.to(out.dtype.element_ty), mask=mask)


@triton.jit
def _add_residual(
    x,
    residual,
    bias,
    weight,
    out,
    x_step,
    residual_step,
    out_step,
    bias_step,
    rows,
    channels,
    block_rows: tl.constexpr,
    block_channels: tl.constexpr,
):
    frame = tl.program_id(2).to(tl.int64)
    r = tl.program_id(0) * block_rows + tl.arange(0, block_rows)
    c = tl.program_id(1) * block_channels + tl.arange(0, block_channels)
    inside = c < channels
    mask = (r < rows)[:, None] & inside[None, :]
    where = r.to(tl.int64)[:, None] * channels + c[None, :]
    b = tl.load(bias + frame * bias_step + c, mask=inside, other=0.0).to(tl.float32)
    w = tl.load(weight).to(tl.float32)
    y = tl.load(x + frame * x_step + where, mask=mask, other=0.0).to(tl.float32) + b[None, :]
    y = tl.load(residual + frame * residual_step + where, mask=mask, other=0.0).to(tl.float32) + w * y
    tl.store(out + frame * out_step + where, y.to(out.dtype.element_ty), mask=mask)


@triton.jit
def _add_bias(
    x,
    bias,
    out,
    x_frame,
    x_row,
    x_column,
    out_frame,
    out_row,
    out_column,
    count,
    width,
    channels,
    block_pixels: tl.constexpr,
    block_channels: tl.constexpr,
):
    frame = tl.program_id(2).to(tl.int64)
    p = tl.program_id(0) * block_pixels + tl.arange(0, block_pixels)
    c = tl.program_id(1) * block_channels + tl.arange(0, block_channels)
    inside = c < channels
    mask = (p < count)[:, None] & inside[None, :]
    row, column = (p // width).to(tl.int64), (p % width).to(tl.int64)
    there = frame * x_frame + row * x_row + column * x_column
    here = frame * out_frame + row * out_row + column * out_column
    b = tl.load(bias + c, mask=inside, other=0.0).to(tl.float32)
    y = tl.load(x + there[:, None] + c[None, :], mask=mask, other=0.0).to(tl.float32) + b[None, :]
    tl.store(out + here[:, None] + c[None, :], y.to(out.dtype.element_ty), mask=mask)


@triton.jit
def _layer_norm(x, weight, bias, eps, out, rows, channels, block_rows: tl.constexpr, block_channels: tl.constexpr):
    r = tl.program_id(0).to(tl.int64) * block_rows + tl.arange(0, block_rows)
    c = tl.arange(0, block_channels)
    inside = c < channels
    mask = (r < rows)[:, None] & inside[None, :]
    where = r[:, None] * channels + c[None, :]
    v = tl.load(x + where, mask=mask, other=0.0).to(tl.float32)
    centred = tl.where(mask, v - (tl.sum(v, 1) / channels)[:, None], 0.0)
    inverse = tl.rsqrt(tl.sum(centred * centred, 1) / channels + eps)
    w = tl.load(weight + c, mask=inside, other=0.0).to(tl.float32)
    b = tl.load(bias + c, mask=inside, other=0.0).to(tl.float32)
    y = centred * inverse[:, None] * w[None, :] + b[None, :]
    tl.store(out + where, y.to(out.dtype.element_ty), mask=mask)


@triton.jit
def _gated_gelu(x, out, rows, channels, block_rows: tl.constexpr, block_channels: tl.constexpr):
    r = tl.program_id(0).to(tl.int64) * block_rows + tl.arange(0, block_rows)
    c = tl.program_id(1) * block_channels + tl.arange(0, block_channels)
    mask = (r < rows)[:, None] & (c < channels)[None, :]
    where = r[:, None] * 2 * channels + c[None, :]
    value = tl.load(x + where, mask=mask, other=0.0).to(tl.float32)
    gate = tl.load(x + where + channels, mask=mask, other=0.0).to(tl.float32)
    y = value * 0.5 * gate * (1.0 + tl.erf(gate * 0.7071067811865476))
    tl.store(out + r[:, None] * channels + c[None, :], y.to(out.dtype.element_ty), mask=mask)
