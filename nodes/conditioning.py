"""Colour and mask made ready for any stock sampler, and the inputs that both samplers' nodes share."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from comfy_api.latest import io
from torch import Tensor

from ..ex4d_core import published
from ..ex4d_core.errors import EX4DError
from ..ex4d_core.wan.backbone import WAN21_I2V
from ..ex4d_core.wan.clip import NothingSeen, PreparedClip, prepare_clip
from ..ex4d_core.wan.host.comfy_types import Conditioning, Model, Vae
from ..ex4d_core.wan.settings import EROSIONS, FITS, ClipSettings
from . import previews
from .schema import choice_problem, schema

log = logging.getLogger(__name__)

CLIP = ClipSettings()
"""Gives the widgets their defaults."""
SEEN = "Connect the 'seen' output of Render Color + Mask."
NO_TILES = "off"
TILES = [NO_TILES, "256", "512"]
SHIFT_TIP = f"How much of the run is spent on the rough picture. {published.SAMPLER_SHIFT:g} is the published value."

MODEL = io.Model.Input("model", tooltip="Wan2.1 I2V with the adapter, from EX-4D Adapter Loader.")
VAE = io.Vae.Input("vae", tooltip="The Wan 2.1 VAE.")
COLOR = io.Image.Input(
    "color",
    tooltip="The rendered colour video, from Render Color + Mask. Its first frame is the view of the source camera.",
)
MASK = io.Mask.Input("mask", tooltip="What was seen, from Render Color + Mask (output seen): 1 = seen, 0 = hole.")
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


def side_input(side: str) -> io.Int.Input:
    """Width or height of the result."""
    tooltip = (
        f"{side.title()} of the result in pixels, a multiple of {WAN21_I2V.side}. 0 keeps the clip's. "
        f"EX-4D was trained at {published.WIDTH}."
    )
    return io.Int.Input(side, default=0, min=0, max=4096, step=WAN21_I2V.side, tooltip=tooltip)


CLIP_INPUTS = [
    io.Int.Input(
        "frames",
        default=0,
        min=0,
        max=4097,
        tooltip="Frames to make: 4n + 1, such as 49. 0 takes the clip's own, leaving out the last one to three where "
        "it is not 4n + 1. Another count picks evenly from the clip.",
    ),
    side_input("width"),
    side_input("height"),
    io.Combo.Input(
        "fit",
        options=list(FITS),
        tooltip="What happens when the size differs: stretch squashes the picture as the published code does, crop "
        "keeps its proportions and cuts the edges.",
    ),
    io.Combo.Input(
        "erosion",
        options=list(EROSIONS),
        tooltip="Widens the holes a little, so that stretched edges of the render are not taken for picture. random: 2 "
        "to 8 pixels per frame, as the published code does; fixed: the size below; off: the mask as it is.",
    ),
    io.Int.Input("erosion_size", default=CLIP.kernel, min=1, max=64, tooltip="Pixels, for erosion: fixed."),
    io.Int.Input(
        "erosion_seed",
        default=CLIP.seed,
        min=0,
        max=0xFFFFFFFF,
        tooltip="Which random sizes are drawn, for erosion: random.",
    ),
]
"""How colour and mask become a clip; ``prepare`` takes their values."""


def prepare(color: Tensor, mask: Tensor, *, erosion_size: int, erosion_seed: int, **settings: Any) -> PreparedClip:
    """The clip of the values of ``CLIP_INPUTS``; its notes go to the log, and by ``clip_lines`` to the node."""
    try:
        clip = prepare_clip(color[..., :3], mask, kernel=erosion_size, seed=erosion_seed, **settings)
    except NothingSeen as error:
        raise EX4DError(f"{error} {SEEN}") from error
    if clip.inverted:
        clip = replace(clip, notes=(*clip.notes, SEEN))
    for note in clip.notes:
        log.warning("EX-4D: %s", note)
    return clip


def clip_lines(clip: PreparedClip, clip_vision: object | None) -> list[str]:
    """What a node shows of the clip that it has prepared: its numbers, and everything that is worth a word."""
    from ..ex4d_core.wan.host.conditioning import NO_VISION

    missing = [] if clip_vision is not None else [NO_VISION]
    return [f"{clip.frames} frames, {clip.width}x{clip.height}", *clip.notes, *missing]


def tile_size(choice: str) -> int:
    """Pixels of a VAE tile, 0 for none."""
    if choice not in TILES:
        raise EX4DError(f"vae_tiles must be one of {', '.join(TILES)}, got {choice!r}.")
    return 0 if choice == NO_TILES else int(choice)


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
            has_intermediate_output=True,
            inputs=[
                MODEL,
                io.Conditioning.Input("positive", tooltip="Text prompt (umt5-xxl, CLIP type wan)."),
                io.Conditioning.Input("negative", tooltip="What to avoid. Not computed at cfg 1."),
                VAE,
                COLOR,
                MASK,
                CLIP_VISION,
                *CLIP_INPUTS,
                io.Float.Input(
                    "shift",
                    default=published.SAMPLER_SHIFT,
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
    def validate_inputs(
        cls, fit: str | None = None, erosion: str | None = None, vae_tiles: str | None = None
    ) -> bool | str:
        return choice_problem(cls, fit=fit, erosion=erosion, vae_tiles=vae_tiles) or True

    @classmethod
    def execute(
        cls,
        model: Model,
        positive: Conditioning,
        negative: Conditioning,
        vae: Vae,
        color: Tensor,
        mask: Tensor,
        shift: float,
        batch_size: int,
        vae_tiles: str,
        clip_vision_output: object | None = None,
        **clip_settings: Any,
    ) -> io.NodeOutput:
        from ..ex4d_core.wan.host import conditioning
        from .progress import Job

        conditioning.check_inputs(model, vae)
        conditioning.check_vision(clip_vision_output)
        tile = tile_size(vae_tiles)
        clip = prepare(color, mask, **clip_settings)
        with Job() as job:
            ready = conditioning.condition(
                model,
                vae,
                positive,
                negative,
                clip,
                clip_vision=clip_vision_output,
                shift=shift,
                tile=tile,
                batch=batch_size,
                progress=job.progress,
            )
        ui = previews.ui_text(*clip_lines(clip, clip_vision_output))
        return io.NodeOutput(ready.model, ready.positive, ready.negative, ready.latent, ui=ui)


NODES = [EX4DConditioning]
