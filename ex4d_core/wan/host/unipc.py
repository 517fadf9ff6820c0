"""The published solver of 4DNeX as one of ComfyUI's samplers, for any flow-matching model and any noise levels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .. import unipc

NAME = "unipc (published)"
"""What the sampler is called among ComfyUI's own."""


def sampler() -> Any:
    """A SAMPLER."""
    import comfy.samplers

    return comfy.samplers.KSAMPLER(_run)


@torch.no_grad()
def _run(
    model: Any, x: Tensor, sigmas: Tensor, extra_args: dict[str, Any] | None = None, callback: Any = None,
    disable: bool | None = None,
) -> Tensor:  # fmt: skip
    """One run, called by ComfyUI as it calls its own samplers' functions."""
    from tqdm.auto import tqdm  # which ComfyUI itself shows its steps with

    levels = [float(sigma) for sigma in sigmas]
    if len(levels) < 2:
        return x
    batch = x.new_ones(len(x))

    def denoise(noisy: Tensor, sigma: float) -> Tensor:
        return model(noisy, sigma * batch, **(extra_args or {}))

    def observe(step: int, noisy: Tensor, clean: Tensor) -> None:
        if callback is not None:
            callback({"x": noisy, "i": step, "sigma": sigmas[step], "sigma_hat": sigmas[step], "denoised": clean})
        bar.update()

    with tqdm(total=len(levels) - 1, disable=disable) as bar:
        return unipc.sample(denoise, _noise(model, x, levels[0]), levels, observe)


def _noise(model: Any, x: Tensor, sigma: float) -> Tensor:
    """The published run begins with noise as it is, while ComfyUI multiplies it by the first level.

    Only of a run that begins with nothing but noise: what continues another one's sample is left alone.
    """
    latent = getattr(model, "latent_image", None)
    return x / sigma if latent is not None and not bool(torch.count_nonzero(latent)) else x
