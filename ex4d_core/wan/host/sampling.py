"""The published run on a ComfyUI model: exact sigmas, Euler, previews, cancel, long clips in segments."""

from __future__ import annotations

import logging

from torch import Tensor

from ...errors import EX4DError
from ...published import SAMPLER_CFG
from .. import schedule, segments
from ..backbone import WAN21_I2V, Backbone
from ..clip import PreparedClip
from ..settings import PUBLISHED, SAMPLER, Run
from .comfy_types import Conditioning, Model, Vae
from .conditioning import Conditioned, check_encoding, condition, decode, encode
from .run import StepCallback, check_numbers, host_sampler, host_sigmas, run_sampler, step_callbacks

log = logging.getLogger(__name__)


def check_run(run: Run, backbone: Backbone = WAN21_I2V) -> None:
    """Refuse settings that no clip could be sampled with, before anything is loaded or encoded.

    Raises:
        EX4DError: no step, a shift or cfg out of range, names this ComfyUI does not know, a segment that is not 4n + 1,
            tiles too small.
    """
    import comfy.samplers

    check_numbers(run.steps, run.shift, run.cfg, SAMPLER_CFG)
    if run.sampler not in comfy.samplers.SAMPLER_NAMES:
        raise EX4DError(f"This ComfyUI has no sampler named {run.sampler!r}; the published run takes {SAMPLER}.")
    if run.scheduler not in (PUBLISHED, *comfy.samplers.SCHEDULER_NAMES):
        raise EX4DError(f"This ComfyUI has no scheduler named {run.scheduler!r}; take {PUBLISHED!r}.")
    segments.check_length(run.segment, backbone)
    backbone.check_tile(run.tile)


def plan(model: Model, clip: PreparedClip, run: Run) -> list[tuple[int, int]]:
    """(start, stop) of the pieces a clip is made in, all settings checked against it.

    One piece where stock context windows are on the model; they cut the clip themselves.

    Raises:
        EX4DError: see ``check_run``, ``conditioning.check_encoding`` and ``segments.plan``.
    """
    check_run(run, clip.backbone)
    check_encoding(model, clip, shift=run.shift, tile=run.tile)
    if model.model_options.get("context_handler") is not None:
        return [(0, clip.frames)]
    return segments.plan(clip.frames, run.segment, run.overlap, clip.backbone)


def sample_clip(
    model: Model,
    vae: Vae,
    positive: Conditioning,
    negative: Conditioning,
    clip: PreparedClip,
    run: Run,
    *,
    clip_vision: object | None = None,
) -> tuple[Tensor, Tensor]:
    """Re-shoot a clip.

    Args:
        model: a ComfyUI ModelPatcher from ``patch.add_adapter``.
        vae: ComfyUI's VAE of Wan 2.1.
        positive: ComfyUI conditioning of what to show.
        negative: and of what to avoid; not computed at cfg 1.
        clip: from ``clip.prepare_clip``.
        run: settings.
        clip_vision: CLIP vision output of the clip's first frame, or None; later segments keep it.

    Returns:
        frames (T, H, W, 3) float 0..1, and their latent (1, 16, F, H/8, W/8); of a clip in segments the latent is that
        of the joined frames.

    Raises:
        EX4DError: before anything is encoded: see ``conditioning.condition`` and ``plan``.
    """
    parts = plan(model, clip, run)
    frames = samples = None
    report = step_callbacks(model, run.steps, len(parts))
    for number, (start, stop) in enumerate(parts):
        part = clip.part(start, stop)
        if frames is not None:
            # What is finished is complete source view for the next segment: it goes on from there.
            part = part.with_frames(frames[start:])
            log.info("EX-4D: segment %d of %d, frames %d to %d", number + 1, len(parts), start, stop - 1)
        ready = condition(model, vae, positive, negative, part, clip_vision=clip_vision, shift=run.shift, tile=run.tile)
        samples = _sample(ready, run, (run.seed + number) % 2**64, report(number))
        images = _one_video(decode(vae, samples, run.tile, clip.backbone))[: stop - start]
        frames = images if frames is None else segments.join(frames, images, start)
    assert frames is not None and samples is not None
    return frames, samples if len(parts) == 1 else encode(vae, frames, run.tile, clip.backbone)


def run_sigmas(model: Model, run: Run) -> Tensor:
    """Noise levels of a run on a MODEL, steps + 1 of them."""
    if run.scheduler == PUBLISHED:
        return schedule.sigmas(run.steps, run.shift)
    return host_sigmas(model, run.steps, run.sampler, run.scheduler)


def _sample(ready: Conditioned, run: Run, seed: int, callback: StepCallback) -> Tensor:
    return run_sampler(ready, run.cfg, host_sampler(run.sampler), run_sigmas(ready.model, run), seed, callback)


def _one_video(images: Tensor) -> Tensor:
    """(T, H, W, 3) of (B, T, H, W, 3) or (T, H, W, 3)."""
    return images.reshape(-1, *images.shape[-3:]) if images.ndim == 5 else images
