"""The adapter on a ComfyUI MODEL: LoRA as ordinary weight patches, the prior as something added to the tokens.

Nothing of the model is replaced. While a forward runs, a hook on Wan's patch embedding adds the prior to its output;
weights, keys, other patches, block replacements and LoRAs stay what they were.
"""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import EX4DError
from ..backbone import WAN21_I2V, ModelSize
from ..checkpoint import Adapter, check_fits
from ..models import WanModel, identify
from ..prior import PriorEncoder
from .comfy_types import Executor, Model
from .internals import internals_of_the_host

log = logging.getLogger(__name__)

Wrapper = Callable[..., Any]
"""Called in place of one of ComfyUI's functions, with an executor that goes on to it, and that function's arguments."""
KEY = "ex4d"
"""Under which the adapter keeps its wrappers, its settings and its encoder in a ModelPatcher."""
FRAMES = 2
"""Axis of a latent (B, C, F, H/8, W/8) along which its frames lie."""
ONLY_FRAMES = f"Context windows over anything but the frames do not work with EX-4D; set dim to {FRAMES}."
IN_SEGMENTS = "Take the node off and let the Wan EX-4D Sampler render the clip in segments."
PARTS_OF_THE_PICTURE = (
    ("area", "an area", "Conditioning (Set Area)"),
    ("mask", "a mask", "Conditioning (Set Mask)"),
)
"""Options by which ComfyUI binds conditioning to a part of the picture: key, what it is, which node sets it."""
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


def model_size_of(model: Model) -> ModelSize:
    """Sizes of a MODEL, or a refusal, by its maker's name, of one that the adapter cannot work on.

    They are ComfyUI's own reading of the weights: quantised ones may be stored in other shapes.
    """
    import comfy.model_base

    base, network = model.model, network_of(model)
    size = ModelSize(network.dim, network.ffn_dim, len(network.blocks), network.patch_embedding.weight.shape[1])
    known = wan_model_of(model)
    plain = type(base) is comfy.model_base.WAN21 and network.model_type == "i2v"
    if not plain or (known is not None and known.use == "refused"):
        name = known.name if known is not None and known.use == "refused" else f"a {type(base).__name__} variant of Wan"
        raise EX4DError(
            f"MODEL is {name} ({size.blocks} blocks, width {size.dim}, {size.in_channels} input channels); "
            f"EX-4D needs {WAN21_I2V.name}."
        )
    return size


def wan_model_of(model: Model) -> WanModel | None:
    """Which of Wan's published layouts a MODEL has, None for one that is not known; refuses what is no Wan at all."""
    network = network_of(model)
    names = [f"{name}." for name, _ in network.named_modules()] + [name for name, _ in network.named_parameters()]
    return identify(names, network.patch_embedding.weight.shape[1], network.out_dim)


def network_of(model: Model) -> Any:
    """The network inside of a MODEL; refuses what is no Wan."""
    import comfy.model_base

    base = model.model
    network = getattr(base, "diffusion_model", None)
    if not isinstance(base, comfy.model_base.WAN21) or getattr(network, "patch_embedding", None) is None:
        raise EX4DError(f"MODEL is a {type(base).__name__}; EX-4D needs {WAN21_I2V.name}.")
    return network


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
        _wrap(patched, outer_sample=_warn_without_videos)
    return patched


def check_alone(model: Model, source: str) -> None:
    """Refuse a second adapter: its LoRA would be added to the first one's, while its prior would replace it."""
    carried = model.get_attachment(KEY)
    if carried is not None:
        raise EX4DError(
            f"MODEL carries an EX-4D adapter already ({carried.source}); {source} cannot be added to it. Keep one of the two."
        )


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
    """A clone with the LoRA as weight patches of ComfyUI's own, so merging, offloading, fp8 and GGUF work as ever."""
    import comfy.lora

    state = {}
    for module, (down, up) in adapter.lora.items():
        state[f"diffusion_model.{module}.lora_down.weight"] = down
        state[f"diffusion_model.{module}.lora_up.weight"] = up
    patches = comfy.lora.load_lora(state, comfy.lora.model_lora_keys_unet(model.model, {}), log_missing=False)
    patched = model.clone()
    applied = patched.add_patches(patches, strength)
    if len(applied) != len(adapter.lora):
        raise EX4DError(
            f"Only {len(applied)} of {len(adapter.lora)} LoRA modules of {adapter.source} found their place in MODEL. "
            f"Load {WAN21_I2V.name}."
        )
    return patched


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
        patched.remove_wrappers_with_key(_wrapper_kind("OUTER_SAMPLE"), KEY)
        return patched
    latent_format = model.get_model_object("latent_format")
    prior = Prior(encoder, latent_format.process_in(color.float()), latent_format.process_in(mask.float()), settings)
    _wrap(patched, outer_sample=prior.around_run, diffusion_model=prior.around_forward)
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
        self._computed: set[object] = set()

    def around_run(self, executor: Executor, noise: Tensor, *args: Any, **kwargs: Any) -> Any:
        """OUTER_SAMPLE wrapper: check before the model loads, free afterwards."""
        guider = executor.class_obj
        if noise.shape[1:] != self.color.shape[1:]:
            raise EX4DError(
                f"The latent to sample is {_shape(noise)}, but the EX-4D videos were prepared for {_shape(self.color)} "
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
            self._computed.clear()

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
        """DIFFUSION_MODEL wrapper: for this forward, add the prior right after the patch embedding.

        A wrapper that caches (EasyCache) may leave the forward out, and give back what an earlier one of this run, with the
        prior, has left. One that computes something else in its place is refused.
        """
        options = transformer_options or {}
        # Also outside the span the hook is there: a compiled forward must meet the same hooks at every step.
        adding = _Adding(self._prior_of(options, x), self._strength_at(options), time_dim_concat is not None)
        executor.original = forward = _Reached(executor.original)
        handle = executor.class_obj.patch_embedding.register_forward_hook(adding)
        try:
            result = executor(x, timestep, context, clip_fea, time_dim_concat, options, **kwargs)
        finally:
            handle.remove()
        asked = set(options.get("uuids") or options.get("cond_or_uncond") or [None])
        if adding.calls:
            self._computed |= asked
        elif forward.reached or not asked <= self._computed:
            raise EX4DError(
                "The EX-4D prior was not added: another patch replaces Wan's forward (or a compiled one was reused). "
                "Remove that patch, or compile the model after the EX-4D Adapter Loader."
            )
        return result

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
            raise EX4DError(ONLY_FRAMES)
        # The window's own way of cutting: newer hosts lay one frame more in front, and keep some frames in every window.
        kept = {"retain_index_list": self._retained} if self._retained else {}
        part = window.get_tensor(encoded, **kept)
        if part.shape[FRAMES] != x.shape[FRAMES]:
            raise EX4DError(
                f"A context window of this ComfyUI has {x.shape[FRAMES]} frames, but takes {part.shape[FRAMES]} of the EX-4D "
                f"prior. {IN_SEGMENTS}"
            )
        return part


class _Reached:
    """Wan's own forward, which notes that it was called: not where a wrapper leaves it out."""

    def __init__(self, forward: Callable[..., Any]) -> None:
        self.forward, self.reached = forward, False

    @torch.compiler.disable(recursive=False)
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.reached = True
        return self.forward(*args, **kwargs)


class _Adding:
    """A forward hook that adds the prior to the patch embedding's output, in place, and counts its calls."""

    def __init__(self, prior: Tensor, strength: float, may_be_longer: bool) -> None:
        self.prior, self.strength, self.may_be_longer = prior, strength, may_be_longer
        self.calls = 0

    @torch.compiler.disable
    def __call__(self, _module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        self.calls += 1
        if not self.strength:
            return output
        tokens = output[:, :, : self.prior.shape[FRAMES]] if self.may_be_longer else output
        if tokens.shape[1:] != self.prior.shape[1:]:
            raise EX4DError(f"The tokens are {_shape(tokens)}, but the EX-4D prior is {_shape(self.prior)}.")
        tokens.add_(self.prior, alpha=self.strength)
        return output


def check_whole_picture(name: str, options: Mapping[str, Any]) -> None:
    """Refuse a conditioning that holds for a part of the picture; ``name`` is its input's, "positive" or "negative"."""
    for key, kind, made_by in PARTS_OF_THE_PICTURE:
        if options.get(key) is not None:
            raise EX4DError(
                f"The {name} conditioning is bound to {kind} ({made_by}); EX-4D works on the whole picture only. Take that "
                "node off."
            )


def check_context_windows(handler: Any, model: Any, shape: Sequence[int]) -> None:
    """Refuse stock context windows on hosts that do not cut Wan's image conditioning along with the latent.

    Asked of the handler itself, with a tensor of the latent's frame count, rather than of a version number.

    Args:
        handler: the MODEL's context handler, or None.
        model: ComfyUI's BaseModel that will be sampled.
        shape: (B, 16, F, H/8, W/8) of the latent to sample.
    """
    if not all(hasattr(handler, name) for name in ("get_context_windows", "get_resized_cond", "context_length", "dim")):
        return
    if shape[handler.dim] <= handler.context_length:
        return
    if handler.dim != FRAMES:
        raise EX4DError(ONLY_FRAMES)
    frames = shape[FRAMES]
    latent = torch.zeros(1, 1, frames, 1, 1)
    window = handler.get_context_windows(model, latent, {})[0]
    if _cut(handler, model, latent, window).shape[FRAMES] == frames:
        raise EX4DError(
            "This ComfyUI's context windows do not cut Wan's image conditioning; update ComfyUI, or take the node off and "
            "let the Wan EX-4D Sampler render the clip in segments."
        )


def _cut(handler: Any, model: Any, latent: Tensor, window: Any) -> Tensor:
    """What a window gets of an image conditioning as long as the latent, asked of a copy of the handler."""
    import comfy.conds

    asked = copy.copy(handler)
    conditioning = [{"model_conds": {"c_concat": comfy.conds.CONDNoiseShape(latent)}}]
    with internals_of_the_host("context windows", IN_SEGMENTS):
        # ComfyUI 0.18 and later hand the cutting on to the model, which the handler knows only once it has begun to sample.
        asked._model = model
        return asked.get_resized_cond(conditioning, latent, window)[0]["model_conds"]["c_concat"].cond


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


def _wrap(model: Model, *, outer_sample: Wrapper, diffusion_model: Wrapper | None = None) -> None:
    for kind, wrapper in (("OUTER_SAMPLE", outer_sample), ("DIFFUSION_MODEL", diffusion_model)):
        model.remove_wrappers_with_key(_wrapper_kind(kind), KEY)
        if wrapper is not None:
            model.add_wrapper_with_key(_wrapper_kind(kind), KEY, wrapper)


def _wrapper_kind(name: str) -> str:
    import comfy.patcher_extension

    return getattr(comfy.patcher_extension.WrappersMP, name)


def _warn_without_videos(executor: Executor, *args: Any, **kwargs: Any) -> Any:
    log.warning("EX-4D: only the LoRA is at work; use EX-4D Conditioning or the Wan EX-4D Sampler for the prior.")
    return executor(*args, **kwargs)


def _shape(values: Tensor) -> str:
    return "x".join(str(size) for size in values.shape[1:])
