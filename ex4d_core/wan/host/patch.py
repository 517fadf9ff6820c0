"""The adapter on a ComfyUI MODEL: LoRA as ordinary weight patches, the prior as something added to the tokens.

Nothing of the model is replaced. While a forward runs, a hook on Wan's patch embedding adds the prior to its output;
weights, keys, other patches, block replacements and LoRAs stay what they were.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import EX4DError
from ..checkpoint import Adapter, check_fits
from ..prior import PriorEncoder
from .comfy_types import Executor, Model
from .forwards import Forwards, Hook, unwrap, wrap
from .model import EX4D, KEYS, add_pairs, check_alone, check_whole_picture, model_size_of, shown
from .windows import FRAMES, check_context_windows, in_segments, only_frames

log = logging.getLogger(__name__)

KEY = KEYS[EX4D]
"""Under which the adapter keeps its wrappers, its settings and its encoder in a ModelPatcher."""
SIGMA_TOLERANCE = 1e-4
"""A bound of the prior's span may be exactly a step's noise level, computed another way."""


@dataclass(frozen=True)
class PriorSettings:
    """How strongly and when the prior is added.

    Attributes:
        strength: factor on the prior; 1 as trained, 0 leaves it out.
        start, end: part of the run in which it is added, 0 = first step, 1 = last.
    """

    strength: float = 1.0
    start: float = 0.0
    end: float = 1.0

    def __post_init__(self) -> None:
        if not math.isfinite(self.strength):
            raise EX4DError(f"The prior's strength must be a number, got {self.strength}; 1 is as trained.")
        if not 0 <= self.start < self.end <= 1:
            raise EX4DError(
                f"The prior is added from start to end, 0 <= start < end <= 1; got {self.start} and {self.end}. "
                "0 and 1 are the whole run."
            )


@dataclass(frozen=True)
class Carried:
    """What a MODEL knows of the adapter that it carries.

    Attributes:
        source: the adapter's file.
        prior: settings of its prior.
    """

    source: str
    prior: PriorSettings


def add_adapter(model: Model, adapter: Adapter, lora_strength: float, prior: PriorSettings) -> Model:
    """A clone of a MODEL that carries the adapter.

    Args:
        model: a ComfyUI ModelPatcher of Wan2.1 I2V.
        adapter: the checked file.
        lora_strength: 1 as trained, 0 leaves the LoRA out.
        prior: settings of the prior; it takes effect once ``add_prior`` has given the videos.

    Raises:
        EX4DError: another model, one that carries an adapter already, or an adapter that does not fit it, or lacks a part
            whose strength is not 0.
    """
    check_fits(adapter, model_size_of(model))
    check_parts(adapter, lora_strength, prior)
    check_alone(model, adapter.source)
    patched = add_lora(model, adapter, lora_strength) if lora_strength else model.clone()
    patched.set_attachments(KEY, Carried(adapter.source, prior))
    if adapter.prior:
        patched.set_additional_models(KEY, [_managed(adapter)])
        wrap(patched, KEY, outer_sample=_warn_without_videos)
    return patched


def check_parts(adapter: Adapter, lora_strength: float, prior: PriorSettings) -> None:
    """Refuse an adapter that lacks a part whose strength is not 0."""
    if lora_strength and not adapter.lora:
        raise EX4DError(
            f"{adapter.source} holds only the prior encoder. Choose the complete file, name this one as the prior file "
            "beside a LoRA file, or set the LoRA strength to 0."
        )
    if prior.strength and not adapter.prior:
        raise EX4DError(
            f"{adapter.source} holds only the LoRA. Choose the complete file, name a second file with the prior encoder, "
            "or set the prior strength to 0."
        )


def add_lora(model: Model, adapter: Adapter, strength: float) -> Model:
    """A clone with the adapter's LoRA as weight patches."""
    return add_pairs(model, adapter.lora, adapter.source, strength)


def prior_encoder(model: Model) -> Model | None:
    """The encoder's own ModelPatcher, or None where the adapter has none; refuses a MODEL without the adapter."""
    if model.get_attachment(KEY) is None:
        raise EX4DError("MODEL carries no EX-4D adapter; put the EX-4D Adapter Loader between the model and this node.")
    return next(iter(model.get_additional_models_with_key(KEY)), None)


def add_prior(model: Model, color: Tensor, mask: Tensor) -> Model:
    """A clone of a MODEL with the adapter, bound to the videos of one clip.

    Args:
        model: from ``add_adapter``.
        color: (1, 16, F, H/8, W/8) VAE latent of the masked colour video, as ComfyUI's VAE returns it (not yet
            normalised).
        mask: likewise of the doubly scaled mask.
    """
    encoder, settings = prior_encoder(model), model.get_attachment(KEY).prior
    patched = model.clone()
    if encoder is None or settings.strength == 0:
        unwrap(patched, KEY, "OUTER_SAMPLE")
        return patched
    latent_format = model.get_model_object("latent_format")
    prior = Prior(encoder, latent_format.process_in(color.float()), latent_format.process_in(mask.float()), settings)
    wrap(patched, KEY, outer_sample=prior.around_run, diffusion_model=prior.around_forward)
    return patched


class Prior:
    """The prior of one clip: encoded on the first forward of a run, kept on the device, freed when the run ends.

    Args:
        encoder: ModelPatcher of the PriorEncoder; ComfyUI loads it along with the model it is attached to.
        color, mask: (1, 16, F, H/8, W/8) normalised latents.
        settings: strength and span.
    """

    def __init__(self, encoder: Model, color: Tensor, mask: Tensor, settings: PriorSettings) -> None:
        self.encoder, self.color, self.mask, self.settings = encoder, color, mask, settings
        self.encodings = 0
        self._encoded: Tensor | None = None
        self._span: tuple[float, float] | None = None
        self._retained: list[int] = []
        self.forwards = Forwards("The EX-4D prior was not added", "EX-4D Adapter Loader")

    def around_run(self, executor: Executor, noise: Tensor, *args: Any, **kwargs: Any) -> Any:
        """OUTER_SAMPLE wrapper: check before the model loads, free afterwards."""
        guider = executor.class_obj
        if noise.shape[1:] != self.color.shape[1:]:
            raise EX4DError(
                f"The latent to sample is {shown(noise)}, but the EX-4D videos were prepared for {shown(self.color)} "
                "(channels x frames x height x width). Use the latent that comes out of EX-4D Conditioning."
            )
        for name, conditioning in (getattr(guider, "conds", None) or {}).items():
            for options in conditioning:
                check_whole_picture(name, options)
        handler = guider.model_options.get("context_handler")
        check_context_windows(handler, guider.model_patcher.model, noise.shape)
        self._retained = list(getattr(handler, "cond_retain_index_list", None) or [])
        self._span = self._sigmas_of_span(guider.model_patcher.get_model_object("model_sampling"))
        try:
            return executor(noise, *args, **kwargs)
        finally:
            self._encoded = self._span = None
            self._retained = []
            self.forwards.forget()

    @torch.compiler.disable(recursive=False)
    def around_forward(
        self,
        executor: Executor,
        x: Tensor,
        timestep: Tensor,
        context: Tensor,
        clip_fea: Tensor | None = None,
        time_dim_concat: Tensor | None = None,
        transformer_options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """DIFFUSION_MODEL wrapper: for this forward, add the prior right after the patch embedding."""
        options = transformer_options or {}
        # Also outside the span the hook is there: a compiled forward must meet the same hooks at every step.
        adding = _Adding(self._prior_of(options, x), self._strength_at(options), time_dim_concat is not None)
        hook = Hook("patch_embedding", "forward", adding)
        return self.forwards.run(executor, [hook], (x, timestep, context, clip_fea, time_dim_concat, options), **kwargs)

    def _sigmas_of_span(self, sampling: Any) -> tuple[float, float] | None:
        """(highest, lowest) noise level at which the prior is added; None = always."""
        start, end = self.settings.start, self.settings.end
        if start <= 0 and end >= 1:
            return None
        return float(sampling.percent_to_sigma(start)), float(sampling.percent_to_sigma(end))

    def _strength_at(self, options: dict[str, Any]) -> float:
        if self._span is None:
            return self.settings.strength
        sigma = float(options["sigmas"][0])
        inside = self._span[1] - SIGMA_TOLERANCE <= sigma <= self._span[0] + SIGMA_TOLERANCE
        return self.settings.strength if inside else 0.0

    @torch.compiler.disable()
    def _prior_of(self, options: dict[str, Any], x: Tensor) -> Tensor:
        """(1, dim, F, H/16, W/16) for the latent frames that this forward works on."""
        encoded = self._encoded
        if encoded is None or encoded.device != x.device or encoded.dtype != x.dtype:
            # float32 whatever the model's: it runs once, and half precision could overflow.
            with torch.no_grad():
                encoded = self.encoder.model(self.color.to(x.device), self.mask.to(x.device)).to(x.dtype)
            self._encoded = encoded
            self.encodings += 1
        window = options.get("context_window")
        if window is None:
            return encoded
        if window.dim != FRAMES:
            raise EX4DError(only_frames())
        # The window's own way of cutting: newer hosts lay one frame more in front, and keep some frames in every window.
        kept = {"retain_index_list": self._retained} if self._retained else {}
        part = window.get_tensor(encoded, **kept)
        if part.shape[FRAMES] != x.shape[FRAMES]:
            raise EX4DError(
                f"A context window of this ComfyUI has {x.shape[FRAMES]} frames, but takes {part.shape[FRAMES]} of the EX-4D "
                f"prior. {in_segments()}"
            )
        return part


class _Adding:
    """A forward hook that adds the prior to the patch embedding's output, in place, and counts its calls."""

    def __init__(self, prior: Tensor, strength: float, may_be_longer: bool) -> None:
        self.prior, self.strength, self.may_be_longer = prior, strength, may_be_longer
        self.calls = 0

    @torch.compiler.disable()
    def __call__(self, _module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        self.calls += 1
        if not self.strength:
            return output
        tokens = output[:, :, : self.prior.shape[FRAMES]] if self.may_be_longer else output
        if tokens.shape[1:] != self.prior.shape[1:]:
            raise EX4DError(f"The tokens are {shown(tokens)}, but the EX-4D prior is {shown(self.prior)}.")
        tokens.add_(self.prior, alpha=self.strength)
        return output


def _managed(adapter: Adapter) -> Model:
    """The encoder inside ComfyUI's memory management."""
    import comfy.model_management
    import comfy.model_patcher
    import comfy.ops

    encoder = PriorEncoder.from_state_dict(adapter.prior, operations=comfy.ops.manual_cast)
    return comfy.model_patcher.ModelPatcher(
        encoder,
        load_device=comfy.model_management.get_torch_device(),
        offload_device=comfy.model_management.unet_offload_device(),
    )


def _warn_without_videos(executor: Executor, *args: Any, **kwargs: Any) -> Any:
    log.warning("EX-4D: only the LoRA is at work; use EX-4D Conditioning or the Wan EX-4D Sampler for the prior.")
    return executor(*args, **kwargs)
