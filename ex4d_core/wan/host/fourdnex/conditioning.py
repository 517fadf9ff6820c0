"""From a picture to what any stock sampler takes: conditioning and an empty latent of both halves."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ....errors import EX4DError
from ....published import FOURDNEX_SHIFT
from ... import schedule
from ...fourdnex.condition import Start, given_mask, start_images
from ..comfy_types import Conditioning, Model, Vae, VisionEncoder
from ..conditioning import check_text, check_vae, check_vision, encode, set_shift, with_values
from ..model import FOURDNEX
from ..windows import check_context_windows
from .patch import check_carries

log = logging.getLogger(__name__)

NO_VISION = "No CLIP vision is connected; the published run shows the model the picture."
PIXEL_ASPECT = "ex4d_pixel_aspect"
"""Under which a latent carries ``Start.pixel_aspect``; samplers hand on what else a latent holds."""


@dataclass(frozen=True)
class Conditioned:
    """What a stock sampler takes.

    Attributes:
        model: the MODEL, with the schedule's shift.
        positive, negative: ComfyUI conditioning with picture and plane to start from.
        latent: {"samples": zeros (B, 16, F, H/8, 2 W/8), PIXEL_ASPECT: fy / fx}.
    """

    model: Model
    positive: Conditioning
    negative: Conditioning
    latent: dict[str, Any]


def condition(
    model: Model,
    vae: Vae,
    positive: Conditioning,
    negative: Conditioning,
    start: Start,
    *,
    clip_vision: object | None = None,
    shift: float = FOURDNEX_SHIFT,
    batch: int = 1,
) -> Conditioned:
    """Encode picture and plane in one piece, and bind them to conditioning.

    Args:
        model: from ``patch.add_adapter``.
        vae: ComfyUI's VAE of Wan 2.1.
        positive: ComfyUI conditioning of what to show; its prompt ends with ``condition.TRIGGER``.
        negative: and of what to avoid; the published run's is empty.
        start: from ``fourdnex.condition.prepare``.
        clip_vision: CLIP vision output of the picture, or None.
        shift: schedule shift to set on the model, for ComfyUI's own schedules; 0 leaves the model's own.
        batch: how many videos one run makes.

    Raises:
        EX4DError: before anything is encoded: see ``check_inputs``; or a VAE that gives other latents than it says.
    """
    check_inputs(model, vae, positive, negative, start, clip_vision=clip_vision, shift=shift, batch=batch)
    latent = encode(vae, start_images(start))
    if tuple(latent.shape) != start.latent_shape():
        raise EX4DError(
            f"VAE made a latent of shape {tuple(latent.shape)} of the picture, expected {start.latent_shape()}; load the Wan 2.1 "
            "VAE."
        )
    if clip_vision is None:
        log.warning("EX-4D: %s", NO_VISION)
    patched = model.clone()
    if shift:
        set_shift(patched, shift, start.backbone)
    values = _start_values(latent, start, clip_vision)
    import comfy.model_management

    empty = torch.zeros(start.latent_shape(batch), device=comfy.model_management.intermediate_device())
    texts = [with_values(text, values, start.backbone) for text in (positive, negative)]
    return Conditioned(patched, texts[0], texts[1], {"samples": empty, PIXEL_ASPECT: start.pixel_aspect})


def check_inputs(
    model: Model,
    vae: Vae,
    positive: Conditioning,
    negative: Conditioning,
    start: Start,
    *,
    clip_vision: object | None = None,
    shift: float = FOURDNEX_SHIFT,
    batch: int = 1,
) -> None:
    """Refuse whatever ``condition`` cannot use.

    Raises:
        EX4DError: a MODEL without the adapter, another VAE, text or vision encoder, a shift or batch out of range, or context
            windows that would not work on this size.
    """
    check_carries(model)
    check_vae(vae, start.backbone, FOURDNEX)
    for name, text in (("positive", positive), ("negative", negative)):
        check_text(name, text, start.backbone, FOURDNEX)
    check_vision(clip_vision, start.backbone)
    if shift:
        schedule.check_shift(shift)
    if batch < 1:
        raise EX4DError(f"A run makes at least one video, got a batch of {batch}.")
    check_context_windows(model.model_options.get("context_handler"), model.model, start.latent_shape(batch), FOURDNEX)


def see(encoder: VisionEncoder, start: Start) -> object:
    """CLIP vision output of the picture as published: its short side to 224 pixels, and the middle of that."""
    return encoder.encode_image(start.image[None], crop=True)


def _start_values(latent: Tensor, start: Start, clip_vision: object | None) -> dict[str, Any]:
    """ComfyUI's mask is 0 where the image is known; it keeps fractions, and gives all four channels the same."""
    mask = 1 - given_mask(start)
    values: dict[str, Any] = {"concat_latent_image": latent, "concat_mask": mask.to(latent)}
    if clip_vision is not None:
        values["clip_vision_output"] = clip_vision
    return values
