"""The network's building blocks, run on stock diffusers modules but in pieces that fit a memory budget.

Everything here is exact: the same sums as the modules' own ``forward``, in another order and grouping.

* Activations are (T, C, H, W) in channels-last memory, so that a frame's pixels are rows of channels: attention tokens,
  2D convolutions and temporal convolutions all read the same memory without transposing it.
* GroupNorm is split into statistics and a scale + offset per channel. Temporal norms share statistics over all frames,
  yet can then be applied to a few frames at a time. A convolution's bias before a norm becomes part of the offset.
* A (3, 1, 1) convolution over time is a 2D convolution over an image of T rows and H*W columns.
* Cross-attention to ONE token weighs that token with 1: it is to_out(to_v(token)), whatever the queries are.
* Blending spatial and temporal features, a*x + (1-a)*(x + f), is x + (1-a)*f.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .memory import Execution

MAX_ELEMENTS = 2**31 - 1
"""Convolutions and copies index with 32 bits."""

MAX_ATTENTION_BATCH = 32768
"""Scaled dot-product attention fails at a batch of 65,536 and more."""


@dataclass(frozen=True)
class Source:
    """Frames that are made when they are read: a tensor's, a concatenation, an upsampled picture.

    ``read(first, last)`` gives (last - first, C, H, W); ``size`` is (H, W); ``modules`` are the weights it needs.
    """

    read: Callable[[int, int], Tensor]
    size: tuple[int, int]
    modules: tuple[nn.Module, ...] = ()


def source_of(x: Tensor) -> Source:
    """The frames of a tensor."""
    return Source(lambda first, last: x[first:last], (x.shape[2], x.shape[3]))


# --- norms -----------------------------------------------------------------------------------------------------------


def rows_of(x: Tensor) -> Tensor:
    """(T, C, H, W) to (T, H*W, C), without a copy where the memory is channels-last."""
    return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, x.shape[1])


def image_of(rows: Tensor, height: int, width: int) -> Tensor:
    """(T, H*W, C) to (T, C, H, W) in channels-last memory, without a copy."""
    return rows.reshape(rows.shape[0], height, width, -1).permute(0, 3, 1, 2)


def norm_affine(x: Tensor, norm: nn.GroupNorm, shift: Tensor | None = None, *, joint: bool) -> tuple[Tensor, Tensor]:
    """GroupNorm of ``x + shift`` as a scale and an offset for ``x``.

    Args:
        x: (T, C, H, W).
        norm: its groups, epsilon and weights.
        shift: (C,) added to every pixel before the norm, or None.
        joint: statistics over all frames together (temporal blocks) instead of each frame's own.

    Returns:
        scale, offset: (T or 1, C) float32.
    """
    mean, variance = _channel_statistics(rows_of(x))
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
    weight = norm.weight.float().view(1, groups, -1)
    scale = (weight * inverse).reshape(-1, channels)
    offset = norm.bias.float() - centre.expand(-1, -1, channels // groups).reshape(-1, channels) * scale
    if shift is not None:
        offset = offset + shift.float() * scale
    return scale, offset


def apply_affine(x: Tensor, scale: Tensor, offset: Tensor, *, silu: bool) -> Tensor:
    """``x * scale + offset`` (then SiLU) for (n, C, H, W) and scale, offset of (n or 1, C), in x's dtype."""
    rows = rows_of(x)
    fused = _kernels(x)
    if fused is not None:
        out = torch.empty_like(rows, memory_format=torch.contiguous_format)
        fused.scale_offset(rows.contiguous(), scale.contiguous(), offset.contiguous(), out, silu)
    else:
        out = rows.float() * scale[:, None, :]
        out += offset[:, None, :]
        if silu:
            out = F.silu(out, inplace=True)
        out = out.to(x.dtype)
    return image_of(out, x.shape[2], x.shape[3])


def norm_silu(x: Tensor, norm: nn.GroupNorm, shift: Tensor | None = None, *, silu: bool = True) -> Tensor:
    """GroupNorm of each frame's ``x + shift``, then SiLU."""
    return apply_affine(x, *norm_affine(x, norm, shift, joint=False), silu=silu)


def _channel_statistics(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of each frame's channels, (T, C) float32, of (T, P, C)."""
    fused = _kernels(rows)
    if fused is None:
        parts = [torch.var_mean(frame.float(), dim=0, correction=0) for frame in rows]
        return torch.stack([mean for _, mean in parts]), torch.stack([variance for variance, _ in parts])
    frames, count, channels = rows.shape
    size = fused.ROWS_PER_STATISTIC
    blocks = -(-count // size)
    means = torch.empty((frames, blocks, channels), dtype=torch.float32, device=rows.device)
    squares = torch.empty_like(means)
    fused.channel_moments(rows.contiguous(), means, squares)
    if blocks == 1:
        return means[:, 0], squares[:, 0] / count
    share = torch.full((blocks, 1), size / count, dtype=torch.float32, device=rows.device)
    share[-1] = (count - (blocks - 1) * size) / count
    mean = (means * share).sum(1)
    variance = squares.sum(1) / count + ((means - mean[:, None]).square() * share).sum(1)
    return mean, variance


# --- convolutions and residual blocks --------------------------------------------------------------------------------


def conv2d(conv: nn.Conv2d, x: Tensor, *, bias: bool = True) -> Tensor:
    """A stock convolution, optionally leaving its bias to what comes next."""
    return F.conv2d(
        x, conv.weight, conv.bias if bias else None, _pair(conv.stride), _pair(conv.padding), _pair(conv.dilation)
    )


def conv_over_time(conv: nn.Conv3d, x: Tensor, *, bias: bool = True) -> Tensor:
    """A (3, 1, 1) convolution of (n, C, H, W) frames, zeros before the first and after the last."""
    frames, _, height, width = x.shape
    plane = rows_of(x)[None].permute(0, 3, 1, 2)
    out = F.conv2d(plane, conv.weight.squeeze(-1), conv.bias if bias else None, padding=(conv.weight.shape[2] // 2, 0))
    return image_of(out.permute(0, 2, 3, 1).reshape(frames, height * width, -1), height, width)


def add_residual(x: Tensor, residual: Tensor, bias: Tensor, out: Tensor, weight: Tensor | None = None) -> Tensor:
    """``out = residual + weight * (x + bias)`` for (n, C, H, W), bias (C,); ``out`` may be either input."""
    fused = _kernels(x)
    if fused is not None and all(_is_rows(t) for t in (x, residual, out)):
        channels = x.shape[1]
        one = weight if weight is not None else torch.ones(1, dtype=torch.float32, device=x.device)
        fused.add_residual(*(rows_of(t).view(-1, channels) for t in (x, residual)), bias, one, _flat(out))
        return out
    x = x + bias[None, :, None, None]
    return torch.add(residual, x if weight is None else x * weight.to(x.dtype), out=out)


def spatial_resnet(block: Any, source: Source, frames: int, embedding: Tensor | None, run: Execution) -> Tensor:
    """A 2D residual block over frames that are read, worked on and written a few at a time.

    Args:
        block: diffusers' ResnetBlock2D.
        source: (frames, Cin, H, W).
        embedding: (1, E) time embedding, or None.

    Returns:
        (frames, Cout, H, W), a new tensor.
    """
    with run.weights(block, *source.modules):
        shift = block.conv1.bias
        if block.time_emb_proj is not None:
            shift = shift + block.time_emb_proj(F.silu(embedding))[0]

        def piece(first: int, last: int) -> Tensor:
            x = source.read(first, last)
            h = conv2d(block.conv1, norm_silu(x, block.norm1), bias=False)
            h = conv2d(block.conv2, norm_silu(h, block.norm2, shift), bias=False)
            if block.conv_shortcut is None:
                return add_residual(h, x, block.conv2.bias, out=h)
            x = conv2d(block.conv_shortcut, x)
            return add_residual(h, x, block.conv2.bias, out=h)

        # In and out, their normed copies, and the convolution's own working copy.
        channels = 3 * block.in_channels + 4 * block.out_channels
        return _by_frames(piece, frames, channels, block.conv1.weight.element_size(), source, run)


def temporal_resnet(block: Any, x: Tensor, embedding: Tensor | None, weight: Tensor, run: Execution) -> Tensor:
    """``x + weight * f(x)`` with f a residual block over time, written into ``x``.

    Args:
        block: diffusers' TemporalResnetBlock of as many channels out as in.
        x: (T, C, H, W), overwritten.
        embedding: (1, E) time embedding, or None.
        weight: share of the temporal branch, a tensor of one number.
    """
    frames, channels, height, width = x.shape
    with run.weights(block):
        shift = block.conv1.bias
        if block.time_emb_proj is not None:
            shift = shift + block.time_emb_proj(F.silu(embedding))[0]
        pieces = run.pieces(frames, 4 * channels * height * width * x.element_size(), MAX_ELEMENTS, x[0].numel())

        def convolve(conv: nn.Conv3d, of: Tensor, affine: tuple[Tensor, Tensor], first: int, last: int) -> Tensor:
            before, after = max(first - 1, 0), min(last + 1, frames)
            normed = apply_affine(of[before:after], *affine, silu=True)
            return conv_over_time(conv, normed, bias=False)[first - before : last - before]

        affine = norm_affine(x, block.norm1, joint=True)
        if len(pieces) == 1:
            hidden = convolve(block.conv1, x, affine, 0, frames)
        else:
            hidden = torch.empty_like(x, memory_format=torch.channels_last)
            for first, last in pieces:
                hidden[first:last] = convolve(block.conv1, x, affine, first, last)
                run.poll()
        affine = norm_affine(hidden, block.norm2, shift, joint=True)
        for first, last in pieces:
            change = convolve(block.conv2, hidden, affine, first, last)
            add_residual(change, x[first:last], block.conv2.bias, out=x[first:last], weight=weight)
            run.poll()
    return x


def spatiotemporal_resnet(block: Any, source: Source, frames: int, embedding: Tensor | None, run: Execution) -> Tensor:
    """diffusers' SpatioTemporalResBlock: each frame's block, then the block over time."""
    x = spatial_resnet(block.spatial_res_block, source, frames, embedding, run)
    return temporal_resnet(block.temporal_res_block, x, embedding, temporal_share(block.time_mixer, run), run)


def temporal_share(mixer: Any, run: Execution) -> Tensor:
    """How much of the temporal branch an AlphaBlender takes, a float32 tensor of one number."""
    with run.weights(mixer):
        alpha = torch.sigmoid(mixer.mix_factor.float())
        return alpha if mixer.switch_spatial_to_temporal_mix else 1 - alpha


def resample(conv: Any, source: Source, frames: int, channels: int, run: Execution) -> Tensor:
    """A convolution that changes the size of each frame, a few frames at a time."""
    with run.weights(conv, *source.modules):
        element = conv.weight.element_size()
        return _by_frames(lambda a, b: conv2d(conv, source.read(a, b)), frames, channels, element, source, run)


def upsampled(upsampler: Any, x: Tensor) -> Source:
    """Twice the size: nearest pixel, then the convolution, when read."""
    conv = upsampler.conv

    def read(first: int, last: int) -> Tensor:
        return conv2d(conv, F.interpolate(x[first:last], scale_factor=2.0, mode="nearest"))

    return Source(read, (2 * x.shape[2], 2 * x.shape[3]), (conv,))


def _by_frames(
    piece: Callable[[int, int], Tensor], frames: int, channels: int, element: int, source: Source, run: Execution
) -> Tensor:
    """``piece`` over all frames, collected in one channels-last tensor; ``channels`` and ``element`` size the pieces."""
    numbers = channels * source.size[0] * source.size[1]
    pieces = run.pieces(frames, numbers * element, MAX_ELEMENTS, numbers // 2)
    if len(pieces) == 1:
        return piece(0, frames).contiguous(memory_format=torch.channels_last)
    out = None
    for start, stop in pieces:
        part = piece(start, stop)
        if out is None:
            shape = (frames, *part.shape[1:])
            out = torch.empty(shape, dtype=part.dtype, device=part.device, memory_format=torch.channels_last)
        out[start:stop] = part
        run.poll()
    assert out is not None
    return out


# --- attention -------------------------------------------------------------------------------------------------------


def self_attention(attention: Any, tokens: Tensor, *, over_time: bool = False) -> Tensor:
    """Self-attention before the output projection's residual.

    Args:
        attention: diffusers' Attention.
        tokens: (n, S, C) normed tokens. ``over_time``: (T, P, C), attended over T at each of the P positions.

    Returns:
        Like ``tokens``.
    """
    weights = torch.cat([attention.to_q.weight, attention.to_k.weight, attention.to_v.weight])
    bias = attention.to_q.bias
    if bias is not None:
        bias = torch.cat([bias, attention.to_k.bias, attention.to_v.bias])
    heads = attention.heads
    qkv = F.linear(tokens, weights, bias).unflatten(-1, (3, heads, -1))
    order = (1, 2, 0, 3) if over_time else (0, 2, 1, 3)
    query, key, value = (part.permute(order) for part in qkv.unbind(2))
    parts = [
        F.scaled_dot_product_attention(q, k, v)
        for q, k, v in zip(*(part.split(MAX_ATTENTION_BATCH) for part in (query, key, value)))
    ]
    out = parts[0] if len(parts) == 1 else torch.cat(parts)
    out = out.permute(2, 0, 1, 3) if over_time else out.transpose(1, 2)
    return attention.to_out[0](out.reshape(tokens.shape))


def single_token_attention(attention: Any, token: Tensor) -> Tensor:
    """Cross-attention to one token, (n, 1, D) to (n, 1, C): the softmax of one score is 1."""
    return attention.to_out[0](attention.to_v(token))


def add_feed_forward(feed_forward: Any, norm: nn.LayerNorm, tokens: Tensor, run: Execution) -> None:
    """``tokens += feed_forward(norm(tokens))`` by rows; tokens (n, S, C) contiguous, overwritten."""
    rows = tokens.view(-1, tokens.shape[-1])
    gate, out = feed_forward.net[0], feed_forward.net[2]
    wide = gate.proj.weight.shape[0]
    row_bytes = (wide * 3 // 2 + 2 * rows.shape[1]) * rows.element_size()
    for first, last in run.pieces(rows.shape[0], row_bytes, MAX_ELEMENTS, wide):
        piece = rows[first:last]
        piece += out(_gated(gate, norm(piece)))


def _gated(gate: Any, rows: Tensor) -> Tensor:
    both = gate.proj(rows)
    fused = _kernels(both)
    if fused is None:
        value, control = both.chunk(2, dim=-1)
        return value * F.gelu(control)
    out = torch.empty((both.shape[0], both.shape[1] // 2), dtype=both.dtype, device=both.device)
    fused.gated_gelu(both, out)
    return out


def spatiotemporal_transformer(block: Any, x: Tensor, tokens: Tensor, run: Execution) -> Tensor:
    """diffusers' TransformerSpatioTemporalModel with one image token per frame, written into ``x``.

    Args:
        block: the module.
        x: (T, C, H, W), overwritten.
        tokens: (T, 1, D); each frame sees its own, the attention over time the first.
    """
    frames, channels, height, width = x.shape
    positions = height * width
    with run.weights(block):
        place = block.time_proj(torch.arange(frames, device=x.device)).to(x.dtype)
        place = block.time_pos_embed(place)[:, None, :]
        hidden = torch.empty((frames, positions, channels), dtype=x.dtype, device=x.device)
        share = temporal_share(block.time_mixer, run).to(x.dtype)
        frame_bytes = 7 * positions * channels * x.element_size()
        pieces = run.pieces(frames, frame_bytes, MAX_ELEMENTS, 3 * positions * channels)
        for first, last in pieces:
            hidden[first:last] = block.proj_in(rows_of(norm_silu(x[first:last], block.norm, silu=False)))
        for spatial, temporal in zip(block.transformer_blocks, block.temporal_transformer_blocks):
            own = single_token_attention(spatial.attn2, tokens)
            for first, last in pieces:
                part = hidden[first:last]
                part += self_attention(spatial.attn1, spatial.norm1(part))
                part += own[first:last]
                add_feed_forward(spatial.ff, spatial.norm3, part, run)
                run.poll()
            shared = single_token_attention(temporal.attn2, tokens[:1])
            column_bytes = 8 * frames * channels * x.element_size()
            for first, last in run.pieces(positions, column_bytes, MAX_ELEMENTS, 3 * frames * channels):
                part = hidden[:, first:last]
                mixed = part + place
                add_feed_forward(temporal.ff_in, temporal.norm_in, mixed, run)
                mixed += self_attention(temporal.attn1, temporal.norm1(mixed), over_time=True)
                mixed += shared
                add_feed_forward(temporal.ff, temporal.norm3, mixed, run)
                part.lerp_(mixed, share)
                run.poll()
        for first, last in pieces:
            x[first:last] += image_of(block.proj_out(hidden[first:last]), height, width)
    return x


def image_attention(attention: Any, x: Tensor, run: Execution) -> Tensor:
    """The autoencoder's attention over the pixels of each frame, residual included, written into ``x``."""
    frames, channels, height, width = x.shape
    with run.weights(attention):
        frame_bytes = 8 * height * width * channels * x.element_size()
        for first, last in run.pieces(frames, frame_bytes, MAX_ELEMENTS, 3 * x[0].numel()):
            tokens = rows_of(norm_silu(x[first:last], attention.group_norm, silu=False))
            x[first:last] += image_of(self_attention(attention, tokens), height, width)
            run.poll()
    return x


# --- fused kernels ---------------------------------------------------------------------------------------------------

_fused: Any = None
_fused_tried = False


def _kernels(x: Tensor) -> Any:
    """The Triton kernels where they can run on ``x``, else None."""
    global _fused, _fused_tried
    if not x.is_cuda or _fused is False:
        return None
    if not _fused_tried:
        _fused_tried = True
        try:
            from . import kernels

            probe = torch.randn((2, 70, 32), device=x.device)
            kernels.scale_offset(probe, probe[:1, 0], probe[:1, 1], torch.empty_like(probe), True)
            kernels.channel_moments(probe, torch.empty_like(probe[:, :1]), torch.empty_like(probe[:, :1]))
            _fused = kernels
        except Exception as error:  # no Triton, no compiler, an unsupported card: torch does it, only slower
            logging.getLogger(__name__).info("DepthCrafter runs without Triton kernels: %s", error)
            _fused = False
            return None
    return _fused


def _is_rows(x: Tensor) -> bool:
    return x.permute(0, 2, 3, 1).is_contiguous()


def _flat(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def _pair(value: Any) -> Sequence[int]:
    return value if isinstance(value, (tuple, list)) else (value, value)
