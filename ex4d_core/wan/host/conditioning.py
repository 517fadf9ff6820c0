"""From a prepared clip to what any stock sampler takes: patched MODEL, conditioning, empty latent."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...errors import EX4DError
from ...published import SAMPLER_SHIFT
from .. import schedule
from ..backbone import WAN21_I2V, Backbone
from ..clip import PreparedClip, color_images, mask_images, start_images
from .comfy_types import Conditioning, Model, Vae
from .model import EX4D, check_whole_picture, model_size_of
from .patch import add_prior, prior_encoder
from .windows import check_context_windows

log = logging.getLogger(__name__)

NO_VISION = "No CLIP vision output is connected; the published run gives the model the first frame."
VIDEO_DIMENSIONS = 3
"""Of a VAE's latent: frames, rows, columns."""


@dataclass(frozen=True)
class Conditioned:
    """What a stock sampler takes.

    Attributes:
        model: the MODEL with the prior of this clip.
        positive, negative: ComfyUI conditioning with the first frame as the image to start from.
        latent: {"samples": zeros (B, 16, F, H/8, W/8)}.
    """

    model: Model
    positive: Conditioning
    negative: Conditioning
    latent: dict[str, Tensor]


def condition(
    model: Model,
    vae: Vae,
    positive: Conditioning,
    negative: Conditioning,
    clip: PreparedClip,
    *,
    clip_vision: object | None = None,
    shift: float = SAMPLER_SHIFT,
    tile: int = 0,
    batch: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Conditioned:
    """Encode a clip and bind it to a model and its conditioning.

    Args:
        model: a ComfyUI ModelPatcher from ``patch.add_adapter``.
        vae: ComfyUI's VAE of Wan 2.1.
        positive: ComfyUI conditioning of what to show.
        negative: and of what to avoid.
        clip: from ``clip.prepare_clip``.
        clip_vision: CLIP vision output of the clip's first frame, or None.
        shift: schedule shift to set on the model; 0 leaves the model's own.
        tile: side of VAE tiles in pixels; 0 encodes whole frames.
        batch: how many videos one run makes.
        progress: called with (encodings done, encodings).

    Raises:
        EX4DError: before anything is encoded: see ``check_inputs``, ``check_text``, ``check_vision``, ``check_encoding``;
            or a VAE that gives other latents than it says.
    """
    needs_prior = check_inputs(model, vae, clip.backbone)
    check_text("positive", positive, clip.backbone)
    check_text("negative", negative, clip.backbone)
    check_vision(clip_vision, clip.backbone)
    check_encoding(model, clip, shift=shift, tile=tile, batch=batch)
    steps = [start_images] + ([color_images, mask_images] if needs_prior else [])
    latents = []
    for done, images in enumerate(steps):
        if progress is not None:
            progress(done, len(steps))
        latents.append(encode(vae, images(clip), tile, clip.backbone))
        check_latent(latents[-1], clip)
    if progress is not None:
        progress(len(steps), len(steps))
    patched = add_prior(model, latents[1], latents[2]) if needs_prior else model.clone()
    if shift:
        set_shift(patched, shift, clip.backbone)
    if clip_vision is None:
        log.warning("EX-4D: %s", NO_VISION)
    values = _start_values(latents[0], clip_vision)
    import comfy.model_management

    shape = (batch, *latents[0].shape[1:])
    empty = torch.zeros(shape, device=comfy.model_management.intermediate_device())
    texts = [with_values(text, values, clip.backbone) for text in (positive, negative)]
    return Conditioned(patched, texts[0], texts[1], {"samples": empty})


def check_inputs(model: Model, vae: Vae, backbone: Backbone = WAN21_I2V) -> bool:
    """Refuse a MODEL or VAE that EX-4D cannot use; True where the adapter has a prior to encode for."""
    model_size_of(model)
    needs_prior = prior_encoder(model) is not None
    check_vae(vae, backbone)
    return needs_prior


def check_vae(vae: Vae, backbone: Backbone = WAN21_I2V, adapter: str = EX4D) -> None:
    """Refuse another VAE than the backbone's."""
    channels, dimensions = getattr(vae, "latent_channels", None), getattr(vae, "latent_dim", None)
    if (channels, dimensions) != (backbone.latent_channels, VIDEO_DIMENSIONS):
        raise EX4DError(
            f"VAE has {channels} latent channels over {dimensions} dimensions; {adapter} needs the Wan 2.1 VAE "
            f"({backbone.latent_channels} over {VIDEO_DIMENSIONS}), for example wan_2.1_vae.safetensors."
        )


def check_text(name: str, conditioning: Conditioning, backbone: Backbone = WAN21_I2V, adapter: str = EX4D) -> None:
    """Refuse conditioning that is empty or of another text encoder; ``name`` is its input's."""
    wanted = f"{backbone.text_width} ({backbone.text_encoder}, CLIP type wan)"
    if not conditioning:
        raise EX4DError(f"The {name} conditioning is empty; Wan takes text embeddings of width {wanted}.")
    for text, options in conditioning:
        if not isinstance(text, Tensor) or text.ndim != 3:
            given = f"of shape {tuple(text.shape)}" if isinstance(text, Tensor) else f"a {type(text).__name__}"
            raise EX4DError(f"The {name} conditioning is {given}; Wan takes (1, tokens, {wanted}).")
        if text.shape[-1] != backbone.text_width:
            raise EX4DError(f"The {name} conditioning is {text.shape[-1]} wide; Wan takes {wanted}.")
        check_whole_picture(name, options, adapter)


def check_vision(clip_vision: object | None, backbone: Backbone = WAN21_I2V) -> None:
    """Refuse what another CLIP vision encoder has seen; None, no encoder at all, is fine.

    The tokens of two pictures may lie behind each other, as ComfyUI's node for a first and a last frame has them.
    """
    if clip_vision is None:
        return
    wanted = f"{backbone.vision_tokens} tokens of width {backbone.vision_width} ({backbone.vision_encoder})"
    tokens = getattr(clip_vision, "penultimate_hidden_states", None)
    if not isinstance(tokens, Tensor):
        raise EX4DError(f"The CLIP vision output holds no penultimate hidden states; Wan takes {wanted}.")
    fits = tokens.ndim == 3 and 0 not in tokens.shape and tokens.shape[1] % backbone.vision_tokens == 0
    if not fits or tokens.shape[2] != backbone.vision_width:
        shape = "x".join(str(size) for size in tokens.shape[1:])
        raise EX4DError(
            f"The CLIP vision output is of another encoder ({shape}, tokens x width); Wan takes {wanted}. Load that one with "
            "Load CLIP Vision."
        )


def check_latent(latent: Tensor, clip: PreparedClip) -> None:
    """Refuse what a VAE has made of a clip where it is no latent of the clip's."""
    wanted = clip.latent_shape()
    if tuple(latent.shape) != wanted:
        raise EX4DError(
            f"VAE made a latent of shape {tuple(latent.shape)} of the clip, expected {wanted}; load the Wan 2.1 VAE."
        )


def check_encoding(model: Model, clip: PreparedClip, *, shift: float, tile: int, batch: int = 1) -> None:
    """Refuse settings of ``condition`` that are out of range, and context windows that would not work on this clip."""
    if shift:
        schedule.check_shift(shift)
    clip.backbone.check_tile(tile)
    if batch < 1:
        raise EX4DError(f"A run makes at least one video, got a batch of {batch}.")
    check_context_windows(model.model_options.get("context_handler"), model.model, clip.latent_shape(batch))


def encode(vae: Vae, images: Tensor, tile: int = 0, backbone: Backbone = WAN21_I2V) -> Tensor:
    """VAE latent (1, 16, F, H/8, W/8) of images (T, H, W, 3) in ComfyUI's 0..1, not yet normalised."""
    if not tile:
        return vae.encode(images)
    return vae.encode_tiled(images, tile_x=tile, tile_y=tile, overlap=tile // backbone.tile_overlap)


def decode(vae: Vae, samples: Tensor, tile: int = 0, backbone: Backbone = WAN21_I2V) -> Tensor:
    """Images (B, T, H, W, 3) in 0..1 of a latent batch."""
    if not tile:
        return vae.decode(samples)
    side = tile // backbone.space_stride
    return vae.decode_tiled(samples, tile_x=side, tile_y=side, overlap=side // backbone.tile_overlap)


def set_shift(model: Model, shift: float, backbone: Backbone = WAN21_I2V) -> None:
    """Give a MODEL (in place) the flow-matching schedule of this shift, as ComfyUI's ModelSamplingSD3 node does."""
    import comfy.model_sampling

    class FlowSampling(comfy.model_sampling.ModelSamplingDiscreteFlow, comfy.model_sampling.CONST):
        pass

    sampling = FlowSampling(model.model.model_config)
    sampling.set_parameters(shift=shift, multiplier=backbone.timesteps)
    model.add_object_patch("model_sampling", sampling)


def pad_text(text: Tensor, tokens: int = WAN21_I2V.text_tokens) -> Tensor:
    """Text embedding (B, L, width) with zeros up to ``tokens``, as Wan was trained; longer ones stay."""
    return torch.nn.functional.pad(text, (0, 0, 0, max(0, tokens - text.shape[1])))


def _start_values(image: Tensor, clip_vision: object | None) -> dict[str, Any]:
    """Only latent frame 0 is given: ComfyUI's mask is 0 where the image is known."""
    mask = torch.ones((1, 1, *image.shape[2:]), dtype=image.dtype, device=image.device)
    mask[:, :, 0] = 0.0
    values: dict[str, Any] = {"concat_latent_image": image, "concat_mask": mask}
    if clip_vision is not None:
        values["clip_vision_output"] = clip_vision
    return values


def with_values(conditioning: Conditioning, values: dict[str, Any], backbone: Backbone) -> Conditioning:
    """Conditioning with its texts padded and these options more."""
    return [[pad_text(text, backbone.text_tokens), {**options, **values}] for text, options in conditioning]
