"""The network's building blocks, run on stock diffusers modules but in pieces that fit a memory budget.

Everything here is exact: the same sums as the modules' own ``forward``, in another order and grouping.

* Activations are (T, C, H, W) in channels-last memory, so that a frame's pixels are rows of channels: attention tokens,
  2D convolutions and temporal convolutions all read the same memory without transposing it.
* GroupNorm is split into statistics and a scale + offset per channel. Temporal norms share statistics over all frames,
  yet can then be applied to a band of positions at a time. A convolution's bias before a norm becomes part of the offset.
* A (3, 1, 1) convolution over time is a 2D convolution over an image of T rows and one column per position.
* Cross-attention to ONE token weighs that token with 1: it is to_out(to_v(token)), whatever the queries are.
* Blending spatial and temporal features, a*x + (1-a)*(x + f), is x + (1-a)*f.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import attend
from .memory import Execution
from .rows import (
    add_bias,
    add_residual,
    gated_gelu,
    group_norm_affine,
    image_of,
    layer_norm,
    rows_of,
    scale_offset,
    time_kernel,
)

MAX_ELEMENTS = 2**31 - 1
"""Convolutions and copies index with 32 bits."""


@dataclass(frozen=True)
class Source:
    """Frames that are made when they are read: a tensor's, a concatenation, an upsampled picture.

    ``read(first, last)`` gives (last - first, C, H, W) of ``dtype``; ``size`` is (H, W); ``modules`` are the weights it
    needs.
    """

    read: Callable[[int, int], Tensor]
    size: tuple[int, int]
    dtype: torch.dtype
    modules: tuple[nn.Module, ...] = ()


def source_of(x: Tensor) -> Source:
    """The frames of a tensor."""
    return Source(lambda first, last: x[first:last], (x.shape[2], x.shape[3]), x.dtype)


def conv2d(conv: nn.Conv2d, x: Tensor, *, bias: bool = True) -> Tensor:
    """A stock convolution, optionally leaving its bias to what comes next."""
    weight, offset = weights_of(conv, x, bias=bias)
    return F.conv2d(x, weight, offset, _pair(conv.stride), _pair(conv.padding), _pair(conv.dilation))


def linear(layer: nn.Linear, x: Tensor) -> Tensor:
    """A stock linear layer."""
    return F.linear(x, *weights_of(layer, x))


def weights_of(layer: Any, x: Tensor, *, bias: bool = True) -> tuple[Tensor, Tensor | None]:
    """Weight and bias in the type that is worked in: the encoder's float32 weights can work in float16."""
    offset = layer.bias if bias else None
    return layer.weight.to(x.dtype), None if offset is None else offset.to(x.dtype)


def conv_over_time(conv: nn.Conv3d, rows: Tensor, *, bias: bool = True) -> Tensor:
    """A (3, 1, 1) convolution of dense (T, P, C) rows, zeros before the first frame and after the last."""
    fused = time_kernel(rows)
    if fused is not None and fused.takes(rows, conv.out_channels) and not bias:
        out = torch.empty((*rows.shape[:2], conv.out_channels), dtype=rows.dtype, device=rows.device)
        fused.conv_over_time(rows, _taps(conv), out)
        return out
    image = rows[None].permute(0, 3, 1, 2)
    out = F.conv2d(image, conv.weight.squeeze(-1), conv.bias if bias else None, padding=(conv.weight.shape[2] // 2, 0))
    return out.permute(0, 2, 3, 1)[0]


def add_conv_over_time(conv: Any, rows: Tensor, residual: Tensor, share: Tensor) -> None:
    """``residual += share * conv_over_time(rows)``, bias included; residual (T, P, C) with dense rows, overwritten."""
    fused = time_kernel(rows)
    if fused is not None and fused.takes(rows, residual.shape[2]):
        fused.conv_over_time(rows, _taps(conv), residual, (conv.bias, share))
        return
    add_residual(conv_over_time(conv, rows, bias=False), residual, conv.bias[None], residual, share)


def _taps(conv: nn.Conv3d) -> Tensor:
    """(O, taps, C) weights of a convolution over time."""
    return conv.weight[:, :, :, 0, 0].transpose(1, 2).contiguous()


def norm_silu(x: Tensor, norm: nn.GroupNorm, shift: Tensor | None = None, *, silu: bool = True) -> Tensor:
    """GroupNorm of each frame's ``x + shift``, then SiLU, of (n, C, H, W)."""
    rows = rows_of(x)
    return image_of(scale_offset(rows, group_norm_affine([rows], norm, shift), silu=silu), x.shape[2], x.shape[3])


def spatial_resnet(block: Any, source: Source, frames: int, embedding: Tensor | None, run: Execution) -> Tensor:
    """A 2D residual block over frames that are read, worked on and written a few at a time.

    Args:
        block: diffusers' ResnetBlock2D.
        source: (frames, Cin, H, W).
        frames: how many.
        embedding: (1, E) time embedding, or None.
        run: where and in what pieces.

    Returns:
        (frames, Cout, H, W), a new channels-last tensor.
    """
    with run.weights(block, *source.modules):
        shift = _with_embedding(block, embedding)
        bias = block.conv2.bias if block.conv_shortcut is None else block.conv2.bias + block.conv_shortcut.bias
        out = torch.empty((frames, *source.size, block.out_channels), dtype=source.dtype, device=bias.device)
        # In and out, their normed copies, and the convolution's own working copy.
        numbers = (3 * block.in_channels + 4 * block.out_channels) * source.size[0] * source.size[1]
        for first, last in run.pieces(frames, numbers * out.element_size(), MAX_ELEMENTS, numbers // 2):
            x = source.read(first, last)
            h = conv2d(block.conv1, norm_silu(x, block.norm1), bias=False)
            h = conv2d(block.conv2, norm_silu(h, block.norm2, shift), bias=False)
            if block.conv_shortcut is not None:
                x = conv2d(block.conv_shortcut, x, bias=False)
            add_residual(rows_of(h), rows_of(x), bias[None], rows_of(out[first:last].permute(0, 3, 1, 2)))
            run.poll()
    return out.permute(0, 3, 1, 2)


def temporal_resnet(block: Any, x: Tensor, embedding: Tensor | None, weight: Tensor, run: Execution) -> Tensor:
    """``x + weight * f(x)`` with f a residual block over time, written into ``x``, a band of positions at a time.

    Args:
        block: diffusers' TemporalResnetBlock of as many channels out as in.
        x: (T, C, H, W) channels-last, overwritten.
        embedding: (1, E) time embedding, or None.
        weight: share of the temporal branch, a tensor of one number.
        run: where and in what pieces.
    """
    rows = rows_of(x)
    frames, positions, channels = rows.shape
    with run.weights(block):
        shift = _with_embedding(block, embedding)
        column = frames * channels
        bands = run.pieces(positions, 4 * column * x.element_size(), MAX_ELEMENTS, column)
        affine = group_norm_affine([rows], block.norm1, joint=True)
        hidden = []
        for first, last in bands:
            hidden.append(conv_over_time(block.conv1, scale_offset(rows[:, first:last], affine, silu=True), bias=False))
            run.poll()
        affine = group_norm_affine(hidden, block.norm2, shift, joint=True)
        for first, last in bands:
            normed = scale_offset(hidden.pop(0), affine, silu=True)
            add_conv_over_time(block.conv2, normed, rows[:, first:last], weight)
            del normed
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


def downsampled(conv: Any, source: Source, frames: int, run: Execution) -> Tensor:
    """A strided convolution of each frame, a few frames at a time."""
    with run.weights(conv, *source.modules):
        numbers = 2 * conv.in_channels * source.size[0] * source.size[1]
        pieces = run.pieces(frames, numbers * source.dtype.itemsize, MAX_ELEMENTS, numbers // 2)
        parts = [conv2d(conv, source.read(first, last)) for first, last in pieces]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def upsampled(upsampler: Any, x: Tensor) -> Source:
    """Twice the size: nearest pixel, then the convolution, when read.

    A (3, 3) convolution reads two rows and columns of the small picture, whichever of the four pixels of the large one it makes.
    So each of the four is a (2, 2) convolution of the small picture, whose weights are sums of the stock ones.
    """
    conv = upsampler.conv
    _, _, height, width = x.shape

    def read(first: int, last: int) -> Tensor:
        part = x[first:last]
        bias = conv.bias.to(part.dtype)
        shape = (last - first, height, 2, width, 2, conv.out_channels)
        out = torch.empty(shape, dtype=x.dtype, device=x.device)
        for (row, column), taps in zip(_PHASES, _phase_weights(conv.weight)):
            # Padded by one on every side, it has a row and a column more than are needed.
            made = F.conv2d(part, taps.to(part.dtype), padding=1).permute(0, 2, 3, 1)
            add_bias(made[:, row : row + height, column : column + width], bias, out[:, :, row, :, column])
        return image_of(out.view(last - first, -1, conv.out_channels), 2 * height, 2 * width)

    return Source(read, (2 * height, 2 * width), x.dtype, (conv,))


_PHASES = ((0, 0), (0, 1), (1, 0), (1, 1))
"""Row and column of each pixel that one of the small picture becomes."""


def _phase_weights(weight: Tensor) -> list[Tensor]:
    """(O, I, 3, 3) weights on a doubled picture as four (O, I, 2, 2) on the small one, in the order of ``_PHASES``."""
    weight = weight.float()
    upper, middle, lower = weight.unbind(2)
    rows = (torch.stack([upper, middle + lower], 2), torch.stack([upper + middle, lower], 2))
    phases = []
    for row, column in _PHASES:
        left, centre, right = rows[row].unbind(3)
        pair = [left, centre + right] if column == 0 else [left + centre, right]
        phases.append(torch.stack(pair, 3).contiguous(memory_format=torch.channels_last))
    return phases


def self_attention(attention: Any, tokens: Tensor, *, over_time: bool = False) -> Tensor:
    """Self-attention with its output projection, before the residual.

    Args:
        attention: diffusers' Attention.
        tokens: (n, S, C) normed tokens.
        over_time: tokens are (T, P, C), attended over T at each of the P positions.

    Returns:
        Like ``tokens``.
    """
    parts = [weights_of(layer, tokens) for layer in (attention.to_q, attention.to_k, attention.to_v)]
    biases = [bias for _, bias in parts if bias is not None]
    weight = torch.cat([part for part, _ in parts])
    qkv = F.linear(tokens, weight, torch.cat(biases) if biases else None).unflatten(-1, (3, attention.heads, -1))
    order = (1, 2, 0, 3) if over_time else (0, 2, 1, 3)
    out = attend(*(part.permute(order) for part in qkv.unbind(2)))
    out = out.permute(2, 0, 1, 3) if over_time else out.transpose(1, 2)
    return linear(attention.to_out[0], out.reshape(tokens.shape))


def single_token_attention(attention: Any, token: Tensor) -> Tensor:
    """Cross-attention to one token, (n, 1, D) to (n, C): the softmax of one score is 1."""
    return attention.to_out[0](attention.to_v(token))[:, 0]


def add_feed_forward(feed_forward: Any, norm: nn.LayerNorm, tokens: Tensor, run: Execution) -> None:
    """``tokens += feed_forward(norm(tokens))`` by rows; tokens (n, S, C) dense, overwritten."""
    rows = tokens.view(-1, tokens.shape[-1])
    gate, out = feed_forward.net[0], feed_forward.net[2]
    wide = gate.proj.weight.shape[0]
    row_bytes = (wide * 3 // 2 + 2 * rows.shape[1]) * rows.element_size()
    for first, last in run.pieces(rows.shape[0], row_bytes, MAX_ELEMENTS, wide):
        piece = rows[first:last]
        piece += out(gated_gelu(gate.proj(layer_norm(piece, norm))))


def spatiotemporal_transformer(block: Any, x: Tensor, tokens: Tensor, run: Execution) -> Tensor:
    """diffusers' TransformerSpatioTemporalModel with one image token per frame, written into ``x``.

    Args:
        block: the module.
        x: (T, C, H, W), overwritten.
        tokens: (T, 1, D); each frame sees its own, the attention over time the first.
        run: where and in what pieces.
    """
    frames, channels, height, width = x.shape
    positions = height * width
    with run.weights(block):
        place = block.time_proj(torch.arange(frames, device=x.device)).to(x.dtype)
        place = block.time_pos_embed(place).float()
        one = torch.ones((1, channels), dtype=torch.float32, device=x.device)
        share = temporal_share(block.time_mixer, run).to(x.dtype)
        hidden = torch.empty((frames, positions, channels), dtype=x.dtype, device=x.device)
        frame_bytes = 7 * positions * channels * x.element_size()
        pieces = run.pieces(frames, frame_bytes, MAX_ELEMENTS, 3 * positions * channels)
        for first, last in pieces:
            hidden[first:last] = block.proj_in(rows_of(norm_silu(x[first:last], block.norm, silu=False)))
        for spatial, temporal in zip(block.transformer_blocks, block.temporal_transformer_blocks):
            own = single_token_attention(spatial.attn2, tokens)
            for first, last in pieces:
                part = hidden[first:last]
                seen = self_attention(spatial.attn1, layer_norm(part, spatial.norm1))
                add_residual(seen, part, own[first:last], part)
                del seen
                add_feed_forward(spatial.ff, spatial.norm3, part, run)
                run.poll()
            shared = single_token_attention(temporal.attn2, tokens[:1])
            column_bytes = 8 * frames * channels * x.element_size()
            for first, last in run.pieces(positions, column_bytes, MAX_ELEMENTS, 3 * frames * channels):
                part = hidden[:, first:last]
                mixed = scale_offset(part, (one, place))
                add_feed_forward(temporal.ff_in, temporal.norm_in, mixed, run)
                seen = self_attention(temporal.attn1, layer_norm(mixed, temporal.norm1), over_time=True)
                add_residual(seen, mixed, shared, mixed)
                del seen
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


def _with_embedding(block: Any, embedding: Tensor | None) -> Tensor:
    """The first convolution's bias, plus the time embedding that is added to its result."""
    if block.time_emb_proj is None or embedding is None:
        return block.conv1.bias
    return block.conv1.bias + block.time_emb_proj(F.silu(embedding))[0]


def _pair(value: Any) -> Sequence[int]:
    return value if isinstance(value, (tuple, list)) else (value, value)
