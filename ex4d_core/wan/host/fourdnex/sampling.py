"""The published run of 4DNeX on a ComfyUI model: exact noise levels, UniPC, previews of both halves, cancel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ....errors import EX4DError
from ....published import FOURDNEX_CFG
from ...fourdnex import schedule
from ...fourdnex.condition import Start
from ...fourdnex.halves import to_vae_space
from ...fourdnex.settings import PUBLISHED, Run
from .. import unipc
from ..comfy_types import Conditioning, Model, Vae
from ..run import check_numbers, host_sampler, host_sigmas, run_sampler, step_callbacks
from .conditioning import PIXEL_ASPECT, Conditioned, condition
from .decoding import check_decoding, decode_halves


@dataclass(frozen=True)
class Scene:
    """What a run has made.

    Attributes:
        color: (T, H, W, 3) float32 0..1.
        points: (T, H, W, 3) float32 0..1: x, y, z in the unit cube.
        latent: {"samples": (1, 16, F, H/8, 2 W/8), ...} of both halves, for further passes.
        pixel_aspect: fy / fx of the scene's lens.
    """

    color: Tensor
    points: Tensor
    latent: dict[str, Any]
    pixel_aspect: float


def check_run(run: Run) -> None:
    """Refuse settings that no picture could be sampled with, before anything is loaded or encoded.

    Raises:
        EX4DError: no step, a shift or cfg out of range, names this ComfyUI does not know, tiles that do not fit.
    """
    import comfy.samplers

    check_numbers(run.steps, run.shift, run.cfg, FOURDNEX_CFG)
    for kind, name, known in (
        ("sampler", run.sampler, comfy.samplers.SAMPLER_NAMES),
        ("scheduler", run.scheduler, comfy.samplers.SCHEDULER_NAMES),
    ):
        if name not in (PUBLISHED, *known):
            raise EX4DError(f"This ComfyUI has no {kind} named {name!r}; take {PUBLISHED!r}.")
    check_decoding(run.decoding, run.tile)


def sample_picture(
    model: Model,
    vae: Vae,
    positive: Conditioning,
    negative: Conditioning,
    start: Start,
    run: Run,
    *,
    clip_vision: object | None = None,
) -> Scene:
    """Make a scene of a picture.

    Args:
        model: a ComfyUI ModelPatcher from ``patch.add_adapter``.
        vae: ComfyUI's VAE of Wan 2.1.
        positive: ComfyUI conditioning of what to show.
        negative: and of what to avoid; not computed at cfg 1.
        start: from ``fourdnex.condition.prepare``.
        run: settings.
        clip_vision: CLIP vision output of the picture, or None.

    Raises:
        EX4DError: before anything is encoded: see ``check_run`` and ``conditioning.check_inputs``.
    """
    check_run(run)
    ready = condition(model, vae, positive, negative, start, clip_vision=clip_vision, shift=run.shift)
    samples = sample(ready, run)
    color, points = decode_halves(vae, samples, decoding=run.decoding, tile=run.tile, backbone=start.backbone)
    return Scene(color, points, {**ready.latent, "samples": samples}, ready.latent[PIXEL_ASPECT])


def sample(ready: Conditioned, run: Run) -> Tensor:
    """The latent of both halves, (B, 16, F, H/8, 2 W/8), as ComfyUI's samplers give it."""
    solver = unipc.sampler() if run.sampler == PUBLISHED else host_sampler(run.sampler)
    callback = step_callbacks(ready.model, run.steps, 1, shown=to_vae_space)(0)
    return run_sampler(ready, run.cfg, solver, run_sigmas(ready.model, run), run.seed, callback)


def run_sigmas(model: Model, run: Run) -> Tensor:
    """Noise levels of a run on a MODEL, steps + 1 of them."""
    if run.scheduler == PUBLISHED:
        return schedule.sigmas(run.steps, run.shift)
    sampler = run.sampler if run.sampler != PUBLISHED else "uni_pc_bh2"
    return host_sigmas(model, run.steps, sampler, run.scheduler)
