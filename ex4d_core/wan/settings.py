"""Settings of a generated video and their choices; the defaults of a run are the published ones. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from .. import published

Fit = Literal["stretch", "crop"]
FITS: tuple[Fit, ...] = get_args(Fit)
"""What happens to a clip of another size: squashed as in the published code, or its middle cut out in proportion."""

Erosion = Literal["random", "fixed", "off"]
EROSIONS: tuple[Erosion, ...] = get_args(Erosion)
"""How far the holes are widened: by a random box per frame as in the published code, by one fixed box, not at all."""

Dtype = Literal["default", "float8_e4m3fn", "bfloat16", "float16"]
DTYPES: tuple[Dtype, ...] = get_args(Dtype)
"""What the model's weights are held in; "default" leaves it to ComfyUI."""

SAMPLER = "euler"
"""The published sampler, as ComfyUI calls it."""
PUBLISHED = "published"
"""Name of the exact published schedule among the host's own."""


@dataclass(frozen=True)
class ClipSettings:
    """How colour and mask become a clip: the settings of ``clip.prepare_clip``, which explains them."""

    frames: int = 0
    width: int = 0
    height: int = 0
    fit: Fit = "stretch"
    erosion: Erosion = "random"
    kernel: int = 5
    seed: int = 0


@dataclass(frozen=True)
class Run:
    """Settings of a sampling run; the defaults are the published ones.

    Attributes:
        seed: of the noise, drawn on the CPU; segment k takes seed + k.
        steps, cfg, shift: at cfg 1 the negative prompt is not computed.
        sampler: one of ComfyUI's sampler names.
        scheduler: ``PUBLISHED`` for the exact sigmas, or one of ComfyUI's scheduler names.
        segment: frames of a segment, 4n + 1; 0 = any length in one piece.
        overlap: frames that neighbouring segments share.
        tile: side of VAE tiles in pixels; 0 = whole frames.
    """

    seed: int = 0
    steps: int = published.SAMPLER_STEPS
    cfg: float = published.SAMPLER_CFG
    shift: float = published.SAMPLER_SHIFT
    sampler: str = SAMPLER
    scheduler: str = PUBLISHED
    segment: int = published.FRAMES
    overlap: int = 9
    tile: int = 0
