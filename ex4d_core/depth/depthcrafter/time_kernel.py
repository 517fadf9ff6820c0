# pyright: reportIndexIssue=false, reportArgumentType=false, reportCallIssue=false
"""A convolution over time as one matrix product a tile, with the residual added as it is stored. Optional, as ``kernels``.

To cuDNN a (3, 1, 1) convolution is an unusual one, and its result is read and written once more to be added to the residual.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

TILE_ROWS = 128


def takes(x: Tensor, channels: int) -> bool:
    """Whether the kernel takes rows (T, P, C) for as many channels out: both multiples of 32, within 32 bits of indices."""
    return x.shape[2] % 32 == 0 and channels % 32 == 0 and x.shape[1] * max(x.shape[2], channels) < 2**31


def conv_over_time(x: Tensor, weight: Tensor, out: Tensor, added: tuple[Tensor, Tensor] | None = None) -> None:
    """An odd number of taps over time, zeros before the first frame and after the last.

    Args:
        x: (T, P, C) with dense rows.
        weight: (O, taps, C), dense, of x's type.
        out: (T, P, O) with dense rows, written; what it held is the residual where ``added`` is given.
        added: bias (O,) and share (one number): ``out + share * (convolution + bias)`` is stored.
    """
    frames, rows, channels = x.shape
    made, taps, _ = weight.shape
    depth = 64 if channels % 64 == 0 else 32
    width = next(size for size in (128, 64, 32) if made % size == 0)
    grid = (triton.cdiv(made, width) * frames * triton.cdiv(rows, TILE_ROWS),)
    bias, share = added if added is not None else (weight, weight)
    _conv_over_time[grid](
        x,
        x.stride(0),
        weight,
        out,
        out.stride(0),
        bias,
        share,
        frames,
        rows,
        channels,
        made,
        taps,
        added is not None,
        TILE_ROWS,
        width,
        depth,
        num_warps=8 if width == 128 else 4,
        num_stages=3,
    )


@triton.jit
def _conv_over_time(
    x,
    x_step,
    weight,
    out,
    out_step,
    bias,
    share,
    frames,
    rows,
    channels,
    made,
    taps: tl.constexpr,
    add: tl.constexpr,
    block_rows: tl.constexpr,
    block_made: tl.constexpr,
    block_depth: tl.constexpr,
):
    # Neighbouring frames of one place run at about the same time, so that each is read from memory once.
    program = tl.program_id(0)
    columns = tl.cdiv(made, block_made)
    column = program % columns
    frame = (program // columns) % frames
    r = (program // columns // frames) * block_rows + tl.arange(0, block_rows)
    n = column * block_made + tl.arange(0, block_made)
    k = tl.arange(0, block_depth)
    inside = r < rows
    steps = channels // block_depth
    total = tl.zeros((block_rows, block_made), tl.float32)
    for step in range(0, taps * steps):
        tap = step // steps
        source = frame + tap - taps // 2
        there = (source >= 0) & (source < frames)
        place = x + source.to(tl.int64) * x_step + (step - tap * steps) * block_depth
        a = tl.load(place + r[:, None] * channels + k[None, :], mask=inside[:, None] & there, other=0.0)
        b = tl.load(weight + n[None, :] * (taps * channels) + step * block_depth + k[:, None])
        total = tl.dot(a, b, total)
    where = out + frame.to(tl.int64) * out_step + r[:, None] * made + n[None, :]
    if add:
        total += tl.load(bias + n).to(tl.float32)[None, :]
        total = total * tl.load(share).to(tl.float32)
        total += tl.load(where, mask=inside[:, None], other=0.0).to(tl.float32)
    tl.store(where, total.to(out.dtype.element_ty), mask=inside[:, None])
