"""The three networks, walked block by block over stock diffusers modules: encoder, denoiser, decoder."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .layers import (
    Source,
    conv2d,
    conv_over_time,
    downsampled,
    image_attention,
    norm_silu,
    source_of,
    spatial_resnet,
    spatiotemporal_resnet,
    spatiotemporal_transformer,
    upsampled,
)
from .memory import Execution
from .rows import image_of, rows_of


def encode(encoder: Any, quant_conv: Any, pixels: Tensor, run: Execution) -> Tensor:
    """Most likely latents of some frames, not scaled.

    Args:
        encoder: of diffusers' AutoencoderKLTemporalDecoder.
        quant_conv: of the same.
        pixels: (n, 3, H, W) in -1..1; in float16 all is computed in that, whatever the weights are stored in.
        run: where and in what pieces.

    Returns:
        (n, 4, H/8, W/8).
    """
    frames = pixels.shape[0]
    with run.weights(encoder.conv_in):
        x = conv2d(encoder.conv_in, _channels_last(pixels))
    for block in encoder.down_blocks:
        for resnet in block.resnets:
            x = spatial_resnet(resnet, source_of(x), frames, None, run)
        for downsampler in block.downsamplers or ():
            padded = torch.nn.functional.pad(x, (0, 1, 0, 1))
            x = downsampled(downsampler.conv, source_of(padded), frames, run)
    middle = encoder.mid_block
    x = spatial_resnet(middle.resnets[0], source_of(x), frames, None, run)
    for attention, resnet in zip(middle.attentions, middle.resnets[1:]):
        if attention is not None:
            x = image_attention(attention, x, run)
        x = spatial_resnet(resnet, source_of(x), frames, None, run)
    with run.weights(encoder.conv_norm_out, encoder.conv_out, quant_conv):
        moments = conv2d(quant_conv, conv2d(encoder.conv_out, norm_silu(x, encoder.conv_norm_out)))
    return moments.chunk(2, dim=1)[0]


def denoise(
    unet: Any, latents: Tensor, timestep: float, tokens: Tensor, time_ids: tuple[float, ...], run: Execution
) -> Tensor:
    """One forward pass of the denoiser, each frame attending to its own image token.

    Args:
        unet: diffusers' UNetSpatioTemporalConditionModel with DepthCrafter's weights.
        latents: (T, 8, h, w), scaled noisy latents and conditioning; sides divisible by 8.
        timestep: ln(sigma) / 4.
        tokens: (T, 1, D) image embeddings.
        time_ids: frame rate, motion bucket, noise augmentation.
        run: where and in what pieces.

    Returns:
        (T, 4, h, w) v-prediction.
    """
    dtype = unet.conv_in.weight.dtype
    frames = latents.shape[0]
    tokens = tokens.to(dtype)
    embedding = _time_embedding(unet, timestep, time_ids, run)
    with run.weights(unet.conv_in):
        x = conv2d(unet.conv_in, _channels_last(latents.to(dtype)))

    full = x.shape[2:]

    def shelved(x: Tensor) -> Source:
        # Smaller ones are used up before the network is back at its full size, and with it at its largest need.
        return Source(run.shelve(x), (x.shape[2], x.shape[3]), x.dtype) if x.shape[2:] == full else source_of(x)

    def first(start: int, stop: int) -> Tensor:
        return conv2d(unet.conv_in, _channels_last(latents[start:stop].to(dtype)))

    # The first is quicker made again than fetched.
    again = Source(first, (full[0], full[1]), dtype, (unet.conv_in,))
    skips = [again if run.mode.skips_on_host else source_of(x)]
    for block in unet.down_blocks:
        for index, resnet in enumerate(block.resnets):
            x = spatiotemporal_resnet(resnet, source_of(x), frames, embedding, run)
            if getattr(block, "attentions", None):
                x = spatiotemporal_transformer(block.attentions[index], x, tokens, run)
            skips.append(shelved(x))
        for downsampler in block.downsamplers or ():
            x = downsampled(downsampler.conv, source_of(x), frames, run)
            skips.append(shelved(x))

    middle = unet.mid_block
    x = spatiotemporal_resnet(middle.resnets[0], source_of(x), frames, embedding, run)
    for attention, resnet in zip(middle.attentions, middle.resnets[1:]):
        x = spatiotemporal_transformer(attention, x, tokens, run)
        x = spatiotemporal_resnet(resnet, source_of(x), frames, embedding, run)

    source = source_of(x)
    for block in unet.up_blocks:
        for index, resnet in enumerate(block.resnets):
            x = spatiotemporal_resnet(resnet, _with_skip(source, skips.pop()), frames, embedding, run)
            if getattr(block, "attentions", None):
                x = spatiotemporal_transformer(block.attentions[index], x, tokens, run)
            source = source_of(x)
        for upsampler in block.upsamplers or ():
            source = upsampled(upsampler, x)

    with run.weights(unet.conv_norm_out, unet.conv_out):
        pieces = run.pieces(frames, 4 * x[0].numel() * x.element_size())
        parts = [conv2d(unet.conv_out, norm_silu(x[a:b], unet.conv_norm_out)) for a, b in pieces]
    return torch.cat(parts)


def decode(decoder: Any, latents: Tensor, run: Execution) -> Tensor:
    """Pictures of some neighbouring frames. The decoder mixes them over time, so their number changes the result.

    Args:
        decoder: of diffusers' AutoencoderKLTemporalDecoder.
        latents: (n, 4, h, w), unscaled, in the decoder's dtype.
        run: where and in what pieces.

    Returns:
        (n, 3, 8h, 8w), about -1..1.
    """
    frames = latents.shape[0]
    with run.weights(decoder.conv_in):
        x = conv2d(decoder.conv_in, _channels_last(latents))
    middle = decoder.mid_block
    x = spatiotemporal_resnet(middle.resnets[0], source_of(x), frames, None, run)
    for attention, resnet in zip(middle.attentions, middle.resnets[1:]):
        x = image_attention(attention, x, run)
        x = spatiotemporal_resnet(resnet, source_of(x), frames, None, run)
    source = source_of(x)
    for block in decoder.up_blocks:
        for resnet in block.resnets:
            x = spatiotemporal_resnet(resnet, source, frames, None, run)
            source = source_of(x)
        for upsampler in block.upsamplers or ():
            source = upsampled(upsampler, x)
    with run.weights(decoder.conv_norm_out, decoder.conv_out, decoder.time_conv_out):
        pieces = run.pieces(frames, 4 * x[0].numel() * x.element_size())
        parts = [conv2d(decoder.conv_out, norm_silu(x[a:b], decoder.conv_norm_out)) for a, b in pieces]
        rows = rows_of(torch.cat(parts))
        return image_of(conv_over_time(decoder.time_conv_out, rows), x.shape[2], x.shape[3])


def embed(encoder: Any, pixels: Tensor) -> Tensor:
    """CLIP's image embedding, (n, 3, 224, 224) normalised pixels to (n, D)."""
    return encoder(pixels).image_embeds


def _time_embedding(unet: Any, timestep: float, time_ids: tuple[float, ...], run: Execution) -> Tensor:
    """(1, E): noise level and time ids, added. Every frame of a pass has the same."""
    dtype = unet.conv_in.weight.dtype
    with run.weights(unet.time_embedding, unet.add_embedding):
        level = unet.time_proj(torch.tensor([timestep], dtype=torch.float32, device=run.device))
        ids = unet.add_time_proj(torch.tensor(time_ids, dtype=dtype, device=run.device)).reshape(1, -1)
        return unet.time_embedding(level.to(dtype)) + unet.add_embedding(ids.to(dtype))


def _with_skip(source: Source, skip: Source) -> Source:
    """Channels of a skip connection behind those of a source."""

    def read(first: int, last: int) -> Tensor:
        return torch.cat([source.read(first, last), skip.read(first, last)], dim=1)

    return Source(read, source.size, source.dtype, (*source.modules, *skip.modules))


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)
