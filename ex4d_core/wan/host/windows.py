"""ComfyUI's context windows, which make a clip in parts: where they work with an adapter, and where they are refused."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ...errors import EX4DError
from .internals import internals_of_the_host
from .model import EX4D

FRAMES = 2
"""Axis of a latent (B, C, F, H/8, W/8) along which its frames lie."""
INSTEAD = {EX4D: "let the Wan EX-4D Sampler render the clip in segments"}
"""What an adapter offers in place of windows that do not work."""


def only_frames(adapter: str = EX4D) -> str:
    """The sentence for windows over anything but the frames."""
    return f"Context windows over anything but the frames do not work with {adapter}; set dim to {FRAMES}."


def in_segments(adapter: str = EX4D) -> str:
    """What to do where windows do not work, a sentence."""
    return f"Take the node off and {INSTEAD[adapter]}." if adapter in INSTEAD else "Take the node off."


def check_context_windows(handler: Any, model: Any, shape: Sequence[int], adapter: str = EX4D) -> None:
    """Refuse stock context windows on hosts that do not cut Wan's image conditioning along with the latent.

    Asked of the handler itself, with a tensor of the latent's frame count, rather than of a version number.

    Args:
        handler: the MODEL's context handler, or None.
        model: ComfyUI's BaseModel that will be sampled.
        shape: (B, 16, F, H/8, W/8) of the latent to sample.
        adapter: what it is called.
    """
    if not all(hasattr(handler, name) for name in ("get_context_windows", "get_resized_cond", "context_length", "dim")):
        return
    if shape[handler.dim] <= handler.context_length:
        return
    if handler.dim != FRAMES:
        raise EX4DError(only_frames(adapter))
    frames = shape[FRAMES]
    latent = torch.zeros(1, 1, frames, 1, 1)
    window = handler.get_context_windows(model, latent, {})[0]
    if _cut(handler, model, latent, window, adapter).shape[FRAMES] == frames:
        otherwise = f", or take the node off and {INSTEAD[adapter]}" if adapter in INSTEAD else ", or take the node off"
        raise EX4DError(
            f"This ComfyUI's context windows do not cut Wan's image conditioning; update ComfyUI{otherwise}."
        )


def _cut(handler: Any, model: Any, latent: Tensor, window: Any, adapter: str) -> Tensor:
    """What a window gets of an image conditioning as long as the latent, asked of a copy of the handler."""
    import comfy.conds

    asked = copy.copy(handler)
    conditioning = [{"model_conds": {"c_concat": comfy.conds.CONDNoiseShape(latent)}}]
    with internals_of_the_host("context windows", in_segments(adapter)):
        # ComfyUI 0.18 and later hand the cutting on to the model, which the handler knows only once it has begun to sample.
        asked._model = model
        return asked.get_resized_cond(conditioning, latent, window)[0]["model_conds"]["c_concat"].cond
