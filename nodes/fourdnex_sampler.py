"""From one picture to colour frames and points: the published run of 4DNeX in one node."""

from __future__ import annotations

from typing import Any

import comfy.samplers
from comfy_api.latest import io
from torch import Tensor

from ..ex4d_core.errors import EX4DError
from ..ex4d_core.wan.fourdnex.settings import PUBLISHED, Decoding, Run
from ..ex4d_core.wan.host.comfy_types import Conditioning, Model, TextEncoder, Vae, VisionEncoder
from .conditioning import tile_size
from .fourdnex import (
    CLIP_VISION,
    CLIP_VISION_OUTPUT,
    DECODING,
    FPS,
    FRAMES_AND_POINTS,
    IMAGE,
    MODEL,
    RUN,
    SHIFT,
    SIZE_INPUTS,
    STEPS,
    TILE,
    VAE,
    decoding_problem,
    result,
    start_lines,
)
from .sampler import FEW_STEPS, MODES, check_texts, encode_text
from .schema import choice_problem, schema


class WanFourDNeXSampler(io.ComfyNode):
    """The whole published run in one node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="WanFourDNeXSampler",
            display_name="Wan 4DNeX Sampler",
            description="Makes of one picture a moving scene, as colour frames and as a 3D point for every pixel, with Wan2.1 "
            "and the 4DNeX adapter, as published: UniPC, 50 steps, cfg 5, shift 3, 49 frames.",
            search_aliases=["4dnex", "image to 4d", "wan sampler", "point map", "image to video"],
            has_intermediate_output=True,
            inputs=[
                MODEL,
                VAE,
                IMAGE,
                io.Conditioning.Input(
                    "positive",
                    optional=True,
                    tooltip="Text prompt (umt5-xxl, CLIP type wan) that ends with POINTMAP_STYLE. Or connect clip.",
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
                CLIP_VISION_OUTPUT,
                io.Int.Input(
                    "seed",
                    default=RUN.seed,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate=True,
                    tooltip="The same seed gives the same scene. 42 is the published one.",
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
                    options=[PUBLISHED, *comfy.samplers.SAMPLER_NAMES],
                    tooltip="How each step is taken. published is 4DNeX's UniPC, which ComfyUI's own uni_pc is not.",
                ),
                io.Combo.Input(
                    "scheduler",
                    options=[PUBLISHED, *comfy.samplers.SCHEDULER_NAMES],
                    tooltip=f"How noise falls from step to step. {PUBLISHED} is exact for any number of steps.",
                ),
                *SIZE_INPUTS,
                DECODING,
                TILE,
                FPS,
                io.String.Input(
                    "prompt",
                    default="",
                    multiline=True,
                    optional=True,
                    tooltip="What the picture shows and what happens in it; used with clip, where positive is not connected. "
                    "POINTMAP_STYLE. is added to it.",
                ),
                io.String.Input(
                    "negative_prompt",
                    default="",
                    multiline=True,
                    optional=True,
                    tooltip="Used with clip, where negative is not connected. The published one is empty.",
                ),
            ],
            outputs=[
                *FRAMES_AND_POINTS,
                io.Latent.Output(display_name="latent", tooltip="The latent of both, for further passes."),
            ],
        )

    @classmethod
    def validate_inputs(
        cls,
        mode: str | None = None,
        sampler_name: str | None = None,
        scheduler: str | None = None,
        decoding: str | None = None,
        vae_tiles: str | None = None,
    ) -> bool | str:
        problem = choice_problem(cls, mode=mode, sampler_name=sampler_name, scheduler=scheduler)
        return problem or decoding_problem(cls, decoding, vae_tiles) or True

    @classmethod
    def execute(
        cls,
        model: Model,
        vae: Vae,
        image: Tensor,
        seed: int,
        mode: str,
        steps: int,
        cfg: float,
        few_steps: int,
        shift: float,
        sampler_name: str,
        scheduler: str,
        decoding: Decoding,
        vae_tiles: str,
        fps: float,
        positive: Conditioning | None = None,
        negative: Conditioning | None = None,
        clip: TextEncoder | None = None,
        clip_vision: VisionEncoder | None = None,
        clip_vision_output: object | None = None,
        prompt: str = "",
        negative_prompt: str = "",
        **size: Any,
    ) -> io.NodeOutput:
        from ..ex4d_core.wan.fourdnex.condition import prepare, with_trigger
        from ..ex4d_core.wan.host.conditioning import check_vae, check_vision
        from ..ex4d_core.wan.host.fourdnex import conditioning, sampling
        from ..ex4d_core.wan.host.fourdnex.patch import check_carries

        if problem := choice_problem(cls, mode=mode):
            raise EX4DError(problem)
        few = mode == FEW_STEPS
        run = Run(
            seed=seed,
            steps=few_steps if few else steps,
            cfg=1.0 if few else cfg,
            shift=shift,
            sampler=sampler_name,
            scheduler=scheduler,
            decoding=decoding,
            tile=tile_size(vae_tiles),
        )
        # Everything that can be refused is refused before an encoder is loaded.
        check_carries(model)
        check_vae(vae, adapter="4DNeX")
        check_texts(positive=positive, negative=negative, clip=clip, adapter="4DNeX")
        check_vision(clip_vision_output)
        sampling.check_run(run)
        start = prepare(image, **size)
        if positive is None:
            positive = encode_text(clip, with_trigger(prompt))
        if negative is None:
            negative = encode_text(clip, negative_prompt)
        if clip_vision_output is None and clip_vision is not None:
            clip_vision_output = conditioning.see(clip_vision, start)
        scene = sampling.sample_picture(model, vae, positive, negative, start, run, clip_vision=clip_vision_output)
        made, ui = result(
            scene.color, scene.points, fps, scene.pixel_aspect, *start_lines(start, clip_vision_output)[1:]
        )
        return io.NodeOutput(scene.color, made, scene.latent, ui=ui)


NODES: list[Any] = [WanFourDNeXSampler]
