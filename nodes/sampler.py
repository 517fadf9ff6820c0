"""From rendered colour and mask to the final video: the published schedule, and the whole run in one node."""

from __future__ import annotations

from typing import Any

import comfy.samplers
from comfy_api.latest import io
from torch import Tensor

from ..ex4d_core import published
from ..ex4d_core.errors import EX4DError
from ..ex4d_core.wan.host.comfy_types import Conditioning, Model, TextEncoder, Vae
from ..ex4d_core.wan.settings import PUBLISHED, SAMPLER, Run
from . import previews
from .conditioning import (
    CLIP_INPUTS,
    CLIP_VISION,
    COLOR,
    MASK,
    MODEL,
    SHIFT_TIP,
    TILE,
    VAE,
    clip_lines,
    prepare,
    tile_size,
)
from .schema import choice_problem, schema

FULL, FEW_STEPS = "full", "few steps"
MODES = [FULL, FEW_STEPS]
RUN = Run()
"""Gives the widgets their defaults."""

SHIFT = io.Float.Input("shift", default=RUN.shift, min=0.01, max=100.0, step=0.01, tooltip=SHIFT_TIP)
STEPS = io.Int.Input(
    "steps",
    default=RUN.steps,
    min=1,
    max=10000,
    tooltip=f"Sampling steps. {published.SAMPLER_STEPS} is the published count.",
)


class EX4DScheduler(io.ComfyNode):
    """The published noise levels, exact for any number of steps."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="EX4DScheduler",
            display_name="EX-4D Scheduler",
            description="The published schedule for SamplerCustom and SamplerCustomAdvanced, exact for any number of steps. "
            "ComfyUI's simple scheduler agrees only where the steps divide 1000.",
            search_aliases=["ex4d", "sigmas", "wan scheduler", "flow match"],
            inputs=[
                STEPS,
                SHIFT,
            ],
            outputs=[io.Sigmas.Output(display_name="sigmas", tooltip="Noise levels from 1 to 0.")],
        )

    @classmethod
    def execute(cls, steps: int, shift: float) -> io.NodeOutput:
        from ..ex4d_core.wan.schedule import sigmas

        return io.NodeOutput(sigmas(steps, shift))


class WanEX4DSampler(io.ComfyNode):
    """The whole published run in one node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..ex4d_core.wan.prompts import NEGATIVE_PROMPT, PROMPT

        return schema(
            node_id="WanEX4DSampler",
            display_name="Wan EX-4D Sampler",
            description="Renders the final video from colour and mask with Wan2.1 and the EX-4D adapter, as published: "
            "Euler, 25 steps, cfg 5, shift 5. Clips longer than a segment are made in overlapping segments.",
            search_aliases=["ex4d", "ex-4d", "wan sampler", "re-shoot", "camera control", "video to video"],
            has_intermediate_output=True,
            inputs=[
                MODEL,
                VAE,
                COLOR,
                MASK,
                io.Conditioning.Input(
                    "positive", optional=True, tooltip="Text prompt (umt5-xxl, CLIP type wan). Or connect clip."
                ),
                io.Conditioning.Input(
                    "negative", optional=True, tooltip="What to avoid; not computed at cfg 1. Or connect clip."
                ),
                io.Clip.Input(
                    "clip",
                    optional=True,
                    tooltip="Text encoder (umt5-xxl, type wan) for the prompts below, where positive or negative is not "
                    "connected.",
                ),
                CLIP_VISION,
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate=True,
                    tooltip="The same seed gives the same video.",
                ),
                io.Combo.Input(
                    "mode",
                    options=MODES,
                    tooltip="full: steps and cfg as below. few steps: for a model with a distilled LoRA (lightx2v, CausVid): "
                    "few_steps steps at cfg 1, where the negative prompt costs no time.",
                ),
                STEPS,
                io.Float.Input(
                    "cfg",
                    default=RUN.cfg,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    tooltip="How strictly the prompt is followed. 5 is the published value; 1 halves the time.",
                ),
                io.Int.Input("few_steps", default=4, min=1, max=100, tooltip="Steps in mode: few steps."),
                SHIFT,
                io.Combo.Input(
                    "sampler_name",
                    options=[SAMPLER, *(name for name in comfy.samplers.SAMPLER_NAMES if name != SAMPLER)],
                    tooltip=f"How each step is taken. {SAMPLER} is the published one.",
                ),
                io.Combo.Input(
                    "scheduler",
                    options=[PUBLISHED, *comfy.samplers.SCHEDULER_NAMES],
                    tooltip=f"How noise falls from step to step. {PUBLISHED} is exact for any number of steps.",
                ),
                *CLIP_INPUTS,
                io.Int.Input(
                    "segment_frames",
                    default=RUN.segment,
                    min=0,
                    max=4097,
                    tooltip="Longest piece made at once: 4n + 1. Longer clips are made in overlapping segments of this "
                    f"length; {published.FRAMES} is what EX-4D was trained on. 0 makes any length at once.",
                ),
                io.Int.Input(
                    "segment_overlap",
                    default=RUN.overlap,
                    min=1,
                    max=1024,
                    tooltip="Frames that neighbouring segments share: the next one starts from them, and they are blended.",
                ),
                TILE,
                io.String.Input(
                    "prompt",
                    default=PROMPT,
                    multiline=True,
                    optional=True,
                    tooltip="Used with clip, where positive is not connected. This is the published prompt; naming what the "
                    "scene shows helps.",
                ),
                io.String.Input(
                    "negative_prompt",
                    default=NEGATIVE_PROMPT,
                    multiline=True,
                    optional=True,
                    tooltip="Used with clip, where negative is not connected. This is the published one.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="frames", tooltip="The final video."),
                io.Latent.Output(display_name="latent", tooltip="Its latent, for further passes."),
            ],
        )

    @classmethod
    def validate_inputs(
        cls,
        mode: str | None = None,
        sampler_name: str | None = None,
        scheduler: str | None = None,
        fit: str | None = None,
        erosion: str | None = None,
        vae_tiles: str | None = None,
    ) -> bool | str:
        choices = {"mode": mode, "sampler_name": sampler_name, "scheduler": scheduler}
        return choice_problem(cls, fit=fit, erosion=erosion, vae_tiles=vae_tiles, **choices) or True

    @classmethod
    def execute(
        cls,
        model: Model,
        vae: Vae,
        color: Tensor,
        mask: Tensor,
        seed: int,
        mode: str,
        steps: int,
        cfg: float,
        few_steps: int,
        shift: float,
        sampler_name: str,
        scheduler: str,
        segment_frames: int,
        segment_overlap: int,
        vae_tiles: str,
        positive: Conditioning | None = None,
        negative: Conditioning | None = None,
        clip: TextEncoder | None = None,
        clip_vision_output: object | None = None,
        prompt: str = "",
        negative_prompt: str = "",
        **clip_settings: Any,
    ) -> io.NodeOutput:
        from ..ex4d_core.wan.host import conditioning, sampling

        if problem := choice_problem(cls, mode=mode):
            raise EX4DError(problem)
        run = Run(
            seed=seed,
            steps=few_steps if mode == FEW_STEPS else steps,
            cfg=1.0 if mode == FEW_STEPS else cfg,
            shift=shift,
            sampler=sampler_name,
            scheduler=scheduler,
            segment=segment_frames,
            overlap=segment_overlap,
            tile=tile_size(vae_tiles),
        )
        # Everything that can be refused is refused before the text encoder is loaded.
        conditioning.check_inputs(model, vae)
        check_texts(positive=positive, negative=negative, clip=clip)
        conditioning.check_vision(clip_vision_output)
        sampling.check_run(run)
        prepared = prepare(color, mask, **clip_settings)
        sampling.plan(model, prepared, run)
        texts = [
            encode_text(clip, text) if given is None else given
            for given, text in ((positive, prompt), (negative, negative_prompt))
        ]
        images, samples = sampling.sample_clip(
            model, vae, texts[0], texts[1], prepared, run, clip_vision=clip_vision_output
        )
        ui = previews.ui_text(*clip_lines(prepared, clip_vision_output))
        return io.NodeOutput(images, {"samples": samples}, ui=ui)


def check_texts(
    *,
    positive: Conditioning | None,
    negative: Conditioning | None,
    clip: TextEncoder | None,
    adapter: str = "EX-4D",
) -> None:
    """Each text is connected, and Wan's, or can be encoded; ``adapter`` is what the messages call it."""
    from ..ex4d_core.wan.host.conditioning import check_text

    for name, conditioning in (("positive", positive), ("negative", negative)):
        if conditioning is not None:
            check_text(name, conditioning, adapter=adapter)
        elif clip is None:
            raise EX4DError(
                f"Connect {name}, or connect clip (umt5-xxl, type wan) to use the {name} prompt of this node."
            )


def encode_text(clip: TextEncoder | None, text: str) -> Conditioning:
    """ComfyUI conditioning of a prompt; ``check_texts`` has seen to it that there is an encoder."""
    assert clip is not None
    return clip.encode_from_tokens_scheduled(clip.tokenize(text))


NODES = [EX4DScheduler, WanEX4DSampler]
