"""From rendered colour and mask to the final video."""

from __future__ import annotations

import logging

import comfy.samplers
from comfy_api.latest import io

from ..ex4d_core.errors import EX4DError
from .schema import schema

FULL, FEW_STEPS = "full", "few steps"
PUBLISHED = "published"
EROSIONS = ["random", "fixed", "off"]
NO_TILES = "off"
TILES = [NO_TILES, "256", "512"]


def clip_inputs() -> list:
    """Inputs that say how colour and mask become a clip; shared by both nodes."""
    return [
        io.Int.Input(
            "frames",
            default=0,
            min=0,
            max=4097,
            tooltip="Frames to make: 4n + 1, such as 49. 0 takes the clip's own, leaving out the last one to three where "
            "it is not 4n + 1. Another count picks evenly from the clip.",
        ),
        io.Int.Input(
            "width",
            default=0,
            min=0,
            max=4096,
            step=16,
            tooltip="Width of the result in pixels, a multiple of 16. 0 keeps the clip's. EX-4D was trained at 512.",
        ),
        io.Int.Input(
            "height",
            default=0,
            min=0,
            max=4096,
            step=16,
            tooltip="Height of the result in pixels, a multiple of 16. 0 keeps the clip's. EX-4D was trained at 512.",
        ),
        io.Combo.Input(
            "fit",
            options=["stretch", "crop"],
            tooltip="What happens when the size differs: stretch squashes the picture as the published code does, crop "
            "keeps its proportions and cuts the edges.",
        ),
        io.Combo.Input(
            "erosion",
            options=EROSIONS,
            tooltip="Widens the holes a little, so that stretched edges of the render are not taken for picture. random: 2 "
            "to 8 pixels per frame, as the published code does; fixed: the size below; off: the mask as it is.",
        ),
        io.Int.Input("erosion_size", default=5, min=1, max=64, tooltip="Pixels, for erosion: fixed."),
        io.Int.Input(
            "erosion_seed",
            default=0,
            min=0,
            max=0xFFFFFFFF,
            tooltip="Which random sizes are drawn, for erosion: random.",
        ),
    ]


def clip_of(color, mask, frames, width, height, fit, erosion, erosion_size, erosion_seed):
    """The prepared clip; its notes go to the log."""
    from ..ex4d_core.wan.clip import prepare_clip

    clip = prepare_clip(
        color[..., :3],
        mask,
        frames=frames,
        width=width,
        height=height,
        fit=fit,
        erosion=erosion,
        kernel=erosion_size,
        seed=erosion_seed,
    )
    for note in clip.notes:
        logging.warning("EX-4D: %s", note)
    return clip


COLOR = io.Image.Input("color", tooltip="The rendered colour video, from Render Color + Mask. Its first frame is the view "
                       "of the source camera.")  # fmt: skip
MASK = io.Mask.Input("mask", tooltip="What was seen, from Render Color + Mask (output seen): 1 = seen, 0 = hole.")
VAE = io.Vae.Input("vae", tooltip="The Wan 2.1 VAE.")
MODEL = io.Model.Input("model", tooltip="Wan2.1 I2V with the adapter, from EX-4D Adapter Loader.")
CLIP_VISION = io.ClipVisionOutput.Input(
    "clip_vision_output",
    optional=True,
    tooltip="CLIP Vision Encode of the first frame (clip_vision_h, crop: none). Without it the model knows less about "
    "the look of the scene.",
)
TILE = io.Combo.Input(
    "vae_tiles",
    options=TILES,
    tooltip="Encode and decode in tiles of this many pixels. Saves memory, takes longer; seams are blended.",
)
SHIFT_TIP = "How much of the run is spent on the rough picture. 5 is the published value."


class EX4DConditioning(io.ComfyNode):
    """Everything a stock sampler needs for one clip."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="EX4DConditioning",
            display_name="EX-4D Conditioning",
            description="Prepares colour and mask for any stock sampler: widens the holes, encodes both videos, starts from "
            "the first frame. For the published run in a KSampler take euler, simple, 25 steps, cfg 5.",
            search_aliases=["ex4d", "ex-4d", "wan image to video", "camera control", "i2v conditioning"],
            inputs=[
                MODEL,
                io.Conditioning.Input("positive", tooltip="Text prompt (umt5-xxl, CLIP type wan)."),
                io.Conditioning.Input("negative", tooltip="What to avoid. Not computed at cfg 1."),
                VAE,
                COLOR,
                MASK,
                CLIP_VISION,
                *clip_inputs(),
                io.Float.Input(
                    "shift",
                    default=5.0,
                    min=0.0,
                    max=100.0,
                    step=0.01,
                    tooltip=SHIFT_TIP + " 0 leaves what the model has, for example from ModelSamplingSD3.",
                ),
                io.Int.Input("batch_size", default=1, min=1, max=64, tooltip="Videos made in one run."),
                TILE,
            ],
            outputs=[
                io.Model.Output(display_name="model", tooltip="The model bound to this clip; give it to the sampler."),
                io.Conditioning.Output(display_name="positive", tooltip="For the sampler."),
                io.Conditioning.Output(display_name="negative", tooltip="For the sampler."),
                io.Latent.Output(display_name="latent", tooltip="Empty, of the right size; give it to the sampler."),
            ],
        )

    @classmethod
    def execute(
        cls,
        model,
        positive,
        negative,
        vae,
        color,
        mask,
        frames,
        width,
        height,
        fit,
        erosion,
        erosion_size,
        erosion_seed,
        shift,
        batch_size,
        vae_tiles,
        clip_vision_output=None,
    ) -> io.NodeOutput:
        from ..ex4d_core.wan.conditioning import check, condition
        from .progress import Job

        check(model, vae, positive, negative)
        clip = clip_of(color, mask, frames, width, height, fit, erosion, erosion_size, erosion_seed)
        with Job() as job:
            ready = condition(
                model,
                vae,
                positive,
                negative,
                clip,
                clip_vision=clip_vision_output,
                shift=shift,
                tile=tile_size(vae_tiles),
                batch=batch_size,
                progress=job.progress,
            )
        return io.NodeOutput(ready.model, ready.positive, ready.negative, ready.latent)


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
                io.Int.Input(
                    "steps", default=25, min=1, max=10000, tooltip="Sampling steps. 25 is the published count."
                ),
                io.Float.Input("shift", default=5.0, min=0.01, max=100.0, step=0.01, tooltip=SHIFT_TIP),
            ],
            outputs=[io.Sigmas.Output(display_name="sigmas", tooltip="Noise levels from 1 to 0.")],
        )

    @classmethod
    def execute(cls, steps, shift) -> io.NodeOutput:
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
                    options=[FULL, FEW_STEPS],
                    tooltip="full: steps and cfg as below. few steps: for a model with a distilled LoRA (lightx2v, CausVid): "
                    "few_steps steps at cfg 1, where the negative prompt costs no time.",
                ),
                io.Int.Input(
                    "steps", default=25, min=1, max=10000, tooltip="Sampling steps. 25 is the published count."
                ),
                io.Float.Input(
                    "cfg",
                    default=5.0,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    tooltip="How strictly the prompt is followed. 5 is the published value; 1 halves the time.",
                ),
                io.Int.Input("few_steps", default=4, min=1, max=100, tooltip="Steps in mode: few steps."),
                io.Float.Input("shift", default=5.0, min=0.01, max=100.0, step=0.01, tooltip=SHIFT_TIP),
                io.Combo.Input(
                    "sampler_name",
                    options=["euler", *(name for name in comfy.samplers.SAMPLER_NAMES if name != "euler")],
                    tooltip="How each step is taken. euler is the published one.",
                ),
                io.Combo.Input(
                    "scheduler",
                    options=[PUBLISHED, *comfy.samplers.SCHEDULER_NAMES],
                    tooltip="How noise falls from step to step. published is exact for any number of steps.",
                ),
                *clip_inputs(),
                io.Int.Input(
                    "segment_frames",
                    default=49,
                    min=0,
                    max=4097,
                    tooltip="Longest piece made at once: 4n + 1. Longer clips are made in overlapping segments of this "
                    "length; 49 is what EX-4D was trained on. 0 makes any length at once.",
                ),
                io.Int.Input(
                    "segment_overlap",
                    default=9,
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
    def execute(
        cls,
        model,
        vae,
        color,
        mask,
        seed,
        mode,
        steps,
        cfg,
        few_steps,
        shift,
        sampler_name,
        scheduler,
        frames,
        width,
        height,
        fit,
        erosion,
        erosion_size,
        erosion_seed,
        segment_frames,
        segment_overlap,
        vae_tiles,
        positive=None,
        negative=None,
        clip=None,
        clip_vision_output=None,
        prompt="",
        negative_prompt="",
    ) -> io.NodeOutput:
        from ..ex4d_core.wan import patch, sampling

        patch.wan_geometry(model)
        patch.prior_encoder(model)
        prepared = clip_of(color, mask, frames, width, height, fit, erosion, erosion_size, erosion_seed)
        run = sampling.Run(
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
        positive = positive if positive is not None else encode_text(clip, prompt, "positive")
        negative = negative if negative is not None else encode_text(clip, negative_prompt, "negative")
        images, samples = sampling.sample_clip(
            model, vae, positive, negative, prepared, run, clip_vision=clip_vision_output
        )
        return io.NodeOutput(images, {"samples": samples})


def encode_text(clip, text: str, name: str) -> list:
    """ComfyUI conditioning of a prompt."""
    if clip is None:
        raise EX4DError(f"Connect {name}, or connect clip (umt5-xxl, type wan) to use the {name} prompt of this node.")
    return clip.encode_from_tokens_scheduled(clip.tokenize(text))


def tile_size(choice: str) -> int:
    """Pixels of a VAE tile, 0 for none."""
    return 0 if choice == NO_TILES else int(choice)


NODES = [EX4DConditioning, EX4DScheduler, WanEX4DSampler]
