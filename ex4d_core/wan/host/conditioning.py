"""From a prepared clip to what any stock sampler takes: patched MODEL, conditioning, empty latent."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...errors import EX4DError
from .. import schedule
from ..clip import PreparedClip, color_images, mask_images, start_images
from .patch import add_prior, check_context_windows, prior_encoder, wan_geometry

TEXT_TOKENS = 512
"""Text embeddings are padded with zeros to this length; Wan was trained so."""
MIN_TILE, TILE_STEP = 64, 32
"""Sides of VAE tiles in pixels: a quarter of a tile overlaps the next, in whole latents."""


@dataclass(frozen=True)
class Conditioned:
    """What a stock sampler takes.

    Attributes:
        model: the MODEL with the prior of this clip.
        positive, negative: ComfyUI conditioning with the first frame as the image to start from.
        latent: {"samples": zeros (B, 16, F, H/8, W/8)}.
    """

    model: Any
    positive: list
    negative: list
    latent: dict[str, Tensor]


def condition(
    model: Any,
    vae: Any,
    positive: list,
    negative: list,
    clip: PreparedClip,
    *,
    clip_vision: Any = None,
    shift: float = schedule.SHIFT,
    tile: int = 0,
    batch: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Conditioned:
    """Encode a clip and bind it to a model and its conditioning.

    Args:
        model: a ComfyUI ModelPatcher from ``patch.add_adapter``.
        vae: ComfyUI's VAE of Wan 2.1.
        positive, negative: ComfyUI conditioning.
        clip: from ``clip.prepare_clip``.
        clip_vision: CLIP vision output of the clip's first frame, or None.
        shift: schedule shift to set on the model; 0 leaves the model's own.
        tile: side of VAE tiles in pixels; 0 encodes whole frames.
        batch: how many videos one run makes.
        progress: called with (encodings done, encodings).

    Raises:
        EX4DError: before anything is encoded: see ``check_inputs``, ``check_text``, ``check_encoding``.
    """
    needs_prior = check_inputs(model, vae)
    check_text("positive", positive)
    check_text("negative", negative)
    check_encoding(model, clip, shift=shift, tile=tile, batch=batch)
    steps = [start_images] + ([color_images, mask_images] if needs_prior else [])
    latents = []
    for done, images in enumerate(steps):
        if progress is not None:
            progress(done, len(steps))
        latents.append(encode(vae, images(clip), tile))
    if progress is not None:
        progress(len(steps), len(steps))
    patched = add_prior(model, latents[1], latents[2]) if needs_prior else model.clone()
    if shift:
        set_shift(patched, shift)
    if clip_vision is None:
        logging.warning("EX-4D: no CLIP vision output is connected; the published run gives the model the first frame.")
    values = _start_values(latents[0], clip_vision)
    import comfy.model_management

    shape = (batch, *latents[0].shape[1:])
    empty = torch.zeros(shape, device=comfy.model_management.intermediate_device())
    return Conditioned(patched, _with(positive, values), _with(negative, values), {"samples": empty})


def check_inputs(model: Any, vae: Any) -> bool:
    """Refuse a MODEL or VAE that EX-4D cannot use; True where the adapter has a prior to encode for."""
    wan_geometry(model)
    needs_prior = prior_encoder(model) is not None
    check_vae(vae)
    return needs_prior


def check_vae(vae: Any) -> None:
    """Refuse another VAE than Wan 2.1's."""
    channels, dimensions = getattr(vae, "latent_channels", None), getattr(vae, "latent_dim", None)
    if (channels, dimensions) != (16, 3):
        raise EX4DError(
            f"VAE has {channels} latent channels over {dimensions} dimensions; EX-4D needs the Wan 2.1 VAE (16 over 3), "
            "for example wan_2.1_vae.safetensors."
        )


def check_tile(tile: int) -> None:
    """Refuse VAE tiles too small to overlap in whole latents; 0, whole frames, is fine."""
    if tile and (tile < MIN_TILE or tile % TILE_STEP):
        raise EX4DError(
            f"VAE tiles have sides of at least {MIN_TILE} pixels, in steps of {TILE_STEP}, got {tile}; 0 takes whole frames."
        )


def check_text(name: str, conditioning: list) -> None:
    """Refuse conditioning that is empty or of another text encoder; ``name`` is its input's."""
    if not conditioning:
        raise EX4DError(f"The {name} conditioning is empty; connect a text encode node (umt5-xxl, type wan).")
    for text, _ in conditioning:
        if text.shape[-1] != 4096:
            raise EX4DError(
                f"The {name} conditioning is {text.shape[-1]} wide; Wan takes 4096 (umt5-xxl, CLIP type wan)."
            )


def check_encoding(model: Any, clip: PreparedClip, *, shift: float, tile: int, batch: int = 1) -> None:
    """Refuse settings of ``condition`` that are out of range, and context windows that would not work on this clip."""
    if shift:
        schedule.check_shift(shift)
    check_tile(tile)
    if batch < 1:
        raise EX4DError(f"A run makes at least one video, got a batch of {batch}.")
    shape = (batch, 16, clip.latent_frames, clip.height // 8, clip.width // 8)
    check_context_windows(model.model_options.get("context_handler"), shape)


def encode(vae: Any, images: Tensor, tile: int = 0) -> Tensor:
    """VAE latent (1, 16, F, H/8, W/8) of images (T, H, W, 3) in ComfyUI's 0..1, not yet normalised."""
    if not tile:
        return vae.encode(images)
    return vae.encode_tiled(images, tile_x=tile, tile_y=tile, overlap=tile // 4)


def decode(vae: Any, samples: Tensor, tile: int = 0) -> Tensor:
    """Images (B, T, H, W, 3) in 0..1 of a latent batch."""
    if not tile:
        return vae.decode(samples)
    return vae.decode_tiled(samples, tile_x=tile // 8, tile_y=tile // 8, overlap=tile // 32)


def set_shift(model: Any, shift: float) -> None:
    """Give a MODEL (in place) the flow-matching schedule of this shift, as ComfyUI's ModelSamplingSD3 node does."""
    import comfy.model_sampling

    class FlowSampling(comfy.model_sampling.ModelSamplingDiscreteFlow, comfy.model_sampling.CONST):
        pass

    sampling = FlowSampling(model.model.model_config)
    sampling.set_parameters(shift=shift, multiplier=1000)
    model.add_object_patch("model_sampling", sampling)


def pad_text(text: Tensor) -> Tensor:
    """Text embedding (B, L, 4096) with zeros up to 512 tokens; longer ones stay."""
    return torch.nn.functional.pad(text, (0, 0, 0, max(0, TEXT_TOKENS - text.shape[1])))


def _start_values(image: Tensor, clip_vision: Any) -> dict[str, Any]:
    """Only latent frame 0 is given: ComfyUI's mask is 0 where the image is known."""
    mask = torch.ones((1, 1, *image.shape[2:]), dtype=image.dtype, device=image.device)
    mask[:, :, 0] = 0.0
    values: dict[str, Any] = {"concat_latent_image": image, "concat_mask": mask}
    if clip_vision is not None:
        values["clip_vision_output"] = clip_vision
    return values


def _with(conditioning: list, values: dict[str, Any]) -> list:
    return [[pad_text(text), {**options, **values}] for text, options in conditioning]
