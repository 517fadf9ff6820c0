"""One run of ComfyUI's sampling from pure noise, with live previews and one progress bar: what every sampler of ours shares."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

from torch import Tensor

from ...errors import EX4DError
from .. import schedule
from .comfy_types import Conditioning, Model

StepCallback = Callable[[int, Tensor, Tensor, int], None]
"""Called with the step's number, the denoised latent, the noisy one and the number of steps."""


class Ready(Protocol):
    """What a run needs of a prepared clip or picture."""

    @property
    def model(self) -> Model:
        """The MODEL."""
        ...

    @property
    def positive(self) -> Conditioning:
        """What to show."""
        ...

    @property
    def negative(self) -> Conditioning:
        """And what to avoid."""
        ...

    @property
    def latent(self) -> dict[str, Any]:
        """The empty LATENT."""
        ...


def check_numbers(steps: int, shift: float, cfg: float, published_cfg: float) -> None:
    """Refuse no step, and a shift or cfg out of range."""
    schedule.check_steps(steps)
    schedule.check_shift(shift)
    if not math.isfinite(cfg):
        raise EX4DError(f"cfg must be a number, got {cfg}; the published value is {published_cfg:g}.")


def host_sampler(name: str) -> Any:
    """One of ComfyUI's own SAMPLERs."""
    import comfy.samplers

    return comfy.samplers.sampler_object(name)


def host_sigmas(model: Model, steps: int, sampler: str, scheduler: str) -> Tensor:
    """Noise levels of one of ComfyUI's own schedules, steps + 1 of them; it depends a little on the sampler."""
    import comfy.samplers

    names = {"sampler": sampler, "scheduler": scheduler}
    return comfy.samplers.KSampler(model, steps=steps, device="cpu", denoise=1.0, **names).sigmas


def run_sampler(ready: Ready, cfg: float, sampler: Any, sigmas: Tensor, seed: int, callback: StepCallback) -> Tensor:
    """One run from pure noise, as ComfyUI's own nodes make it; its latent."""
    import comfy.sample
    import comfy.utils

    latent = ready.latent["samples"]
    return comfy.sample.sample_custom(
        ready.model,
        comfy.sample.prepare_noise(latent, seed),
        cfg,
        sampler,
        sigmas,
        ready.positive,
        ready.negative,
        latent,
        callback=callback,
        disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
        seed=seed,
    )


def step_callbacks(
    model: Model, steps: int, parts: int, shown: Callable[[Tensor], Tensor] = lambda latent: latent
) -> Callable[[int], StepCallback]:
    """Callbacks, one per segment, that move one bar over all segments and show live previews.

    Args:
        model: whose latents they are.
        steps: of each segment.
        parts: segments.
        shown: what of a denoised latent is to be seen.
    """
    import comfy.utils
    import latent_preview

    previewer = latent_preview.get_previewer(model.load_device, model.model.latent_format)
    bar = comfy.utils.ProgressBar(steps * parts)

    def of_part(number: int) -> StepCallback:
        def callback(step: int, denoised: Tensor, _noisy: Tensor, total: int) -> None:
            preview = previewer.decode_latent_to_preview_image("JPEG", shown(denoised)) if previewer else None
            # The bar's hook raises when the user cancels.
            bar.update_absolute(number * total + step + 1, parts * total, preview)

        return callback

    return of_part
