"""The adapter of 4DNeX on a ComfyUI MODEL: LoRA as ordinary weight patches, the rest while a forward runs.

Nothing of the model is replaced. Inside one wrapper the tokens of both halves get their vectors, both halves get the same
places across (rotary embedding), and the network is told whole timesteps.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ....errors import EX4DError
from ....published import FOURDNEX_SHIFT
from ...backbone import WAN21_I2V
from ...fourdnex import schedule
from ...fourdnex.checkpoint import Adapter, check_fits
from ...fourdnex.halves import check_columns
from ..comfy_types import Executor, Model
from ..forwards import Forwards, Hook, wrap
from ..model import FOURDNEX, KEYS, add_pairs, check_alone, check_whole_picture, model_size_of, shown
from ..windows import FRAMES, check_context_windows, only_frames

log = logging.getLogger(__name__)

KEY = KEYS[FOURDNEX]
OTHER_PICTURES = {"reference_latent": "a reference picture", "context_latents": "reference pictures"}
"""What else newer hosts hand to Wan beside the noisy latent; 4DNeX knows none of it."""


@dataclass(frozen=True)
class Carried:
    """What a MODEL knows of the adapter that it carries.

    Attributes:
        source: its files.
    """

    source: str


def add_adapter(model: Model, adapter: Adapter, lora_strength: float) -> Model:
    """A clone of a MODEL that carries 4DNeX.

    Args:
        model: a ComfyUI ModelPatcher of Wan2.1 I2V.
        adapter: the checked files.
        lora_strength: 1 as trained, 0 leaves the LoRA out.

    Raises:
        EX4DError: another model, one that carries an adapter already, or files that do not fit it.
    """
    check_fits(adapter, model_size_of(model, FOURDNEX))
    check_alone(model, adapter.source)
    patched = add_pairs(model, adapter.lora, adapter.source, lora_strength) if lora_strength else model.clone()
    patched.set_attachments(KEY, Carried(adapter.source))
    halves = Halves(adapter.vectors)
    wrap(patched, KEY, outer_sample=halves.around_run, diffusion_model=halves.around_forward)
    return patched


def check_carries(model: Model) -> None:
    """Refuse a MODEL without the adapter of 4DNeX."""
    model_size_of(model, FOURDNEX)
    if model.get_attachment(KEY) is None:
        raise EX4DError("MODEL carries no 4DNeX adapter; put the 4DNeX Adapter Loader between the model and this node.")


class Halves:
    """What makes Wan see two videos side by side, while it runs.

    Args:
        vectors: (2, dim), for the tokens of the left and of the right half.
    """

    def __init__(self, vectors: Tensor) -> None:
        self.vectors = vectors
        self.forwards = Forwards("4DNeX's vectors were not added", "4DNeX Adapter Loader")
        self._timesteps: dict[float, int] = {}

    def around_run(
        self, executor: Executor, noise: Tensor, latent: Any, sampler: Any, sigmas: Tensor, *args: Any, **kwargs: Any
    ) -> Any:
        """OUTER_SAMPLE wrapper: check before the model loads."""
        guider = executor.class_obj
        check_columns(noise.shape[-1])
        starts = 0
        for name, conditioning in (getattr(guider, "conds", None) or {}).items():
            for options in conditioning:
                check_whole_picture(name, options, FOURDNEX)
                starts += _check_start(name, options.get("concat_latent_image"), noise)
        if not starts:
            log.warning(
                "EX-4D: only 4DNeX's LoRA and vectors are at work; use 4DNeX Conditioning or the Wan 4DNeX Sampler for the "
                "picture to start from."
            )
        handler = guider.model_options.get("context_handler")
        check_context_windows(handler, guider.model_patcher.model, noise.shape, FOURDNEX)
        self._timesteps = schedule.corrections(sigmas, FOURDNEX_SHIFT)
        try:
            return executor(noise, latent, sampler, sigmas, *args, **kwargs)
        finally:
            self._timesteps = {}
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
        """DIFFUSION_MODEL wrapper: vectors, places and timestep of this forward."""
        options = transformer_options or {}
        check_columns(x.shape[-1])
        window = options.get("context_window")
        if window is not None and window.dim != FRAMES:
            raise EX4DError(only_frames(FOURDNEX))
        for name, what in OTHER_PICTURES.items():
            if kwargs.get(name) is not None:
                raise EX4DError(
                    f"The conditioning brings {what}, which 4DNeX was not trained with. Take that node off."
                )
        tokens = x.shape[-1] // WAN21_I2V.patch[2]
        hooks = [
            Hook("patch_embedding", "forward", _Adding(self.vectors, tokens, x)),
            Hook("rope_embedder", "forward_pre", _Repeating(tokens)),
        ]
        given = (x, self._told(timestep), context, clip_fea, time_dim_concat, options)
        return self.forwards.run(executor, hooks, given, **kwargs)

    @torch.compiler.disable()
    def _told(self, timestep: Tensor) -> Tensor:
        """The timestep that the network was trained to be told."""
        told = schedule.truncated(timestep)
        for host, right in self._timesteps.items():
            told = torch.where(timestep == host, torch.full_like(told, right), told)
        return told


class _Adding:
    """A forward hook that adds each half's vector to the patch embedding's output, in place, and counts its calls."""

    def __init__(self, vectors: Tensor, tokens: int, like: Tensor) -> None:
        left, right = vectors.to(like.device)[:, None, :, None, None, None]
        across = (1, left.shape[1], 1, 1, tokens // 2)
        self.values = torch.cat([left.expand(across), right.expand(across)], dim=-1)
        self.calls = 0

    @torch.compiler.disable()
    def __call__(self, _module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        self.calls += 1
        if output.shape[1] != self.values.shape[1] or output.shape[-1] != self.values.shape[-1]:
            raise EX4DError(f"The tokens are {shown(output)}, but 4DNeX's vectors are made for {shown(self.values)}.")
        return output.add_(self.values.to(output.dtype))


class _Repeating:
    """A forward pre-hook that gives the right half the places of the left one, and counts its calls.

    Places (..., F H W, 3) lie in the order frame, row, column. Repeating them, rather than counting anew, leaves it to the
    host how the places of a video are scaled or shifted.
    """

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens
        self.calls = 0

    @torch.compiler.disable()
    def __call__(self, _module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        self.calls += 1
        places, *rest = inputs
        if places.shape[-2] % self.tokens:
            raise EX4DError(
                f"Wan's {places.shape[-2]} places do not lie in rows of {self.tokens}; another patch changes them. Remove it."
            )
        rows = places.unflatten(-2, (-1, self.tokens))[..., : self.tokens // 2, :]
        return (torch.cat([rows, rows], dim=-2).flatten(-3, -2), *rest)


def _check_start(name: str, image: Tensor | None, noise: Tensor) -> int:
    """1 for a start image of the latent's size, 0 for none; another size would be resized across the middle."""
    if image is None:
        return 0
    if image.shape[-2:] != noise.shape[-2:]:
        raise EX4DError(
            f"The {name} conditioning starts from a latent of {image.shape[-1]}x{image.shape[-2]}, but {noise.shape[-1]}x"
            f"{noise.shape[-2]} is to be sampled, and 4DNeX's halves cannot be resized together. Use the latent that comes out "
            "of 4DNeX Conditioning."
        )
    return 1
