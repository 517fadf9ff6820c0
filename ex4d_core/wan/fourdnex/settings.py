"""Settings of a run of 4DNeX; the defaults are the published ones. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ... import published

Decoding = Literal["joint", "apart"]
DECODINGS: tuple[Decoding, ...] = get_args(Decoding)
"""How the two halves of a latent become pictures: in one piece as published, where they bleed into each other at the seam, or
each alone, as points and pictures were encoded for training."""

PUBLISHED = "published"
"""Name of the exact published sampler and schedule among the host's own."""


@dataclass(frozen=True)
class Run:
    """Settings of a sampling run.

    Attributes:
        seed: of the noise, drawn on the CPU for both halves at once.
        steps, cfg, shift: at cfg 1 the negative prompt is not computed.
        sampler: ``PUBLISHED`` for its UniPC, or one of ComfyUI's sampler names.
        scheduler: ``PUBLISHED`` for its exact noise levels, or one of ComfyUI's scheduler names.
        decoding: how the halves are decoded.
        tile: side of VAE tiles in pixels, for halves decoded apart; 0 = whole frames.
    """

    seed: int = published.FOURDNEX_SEED
    steps: int = published.FOURDNEX_STEPS
    cfg: float = published.FOURDNEX_CFG
    shift: float = published.FOURDNEX_SHIFT
    sampler: str = PUBLISHED
    scheduler: str = PUBLISHED
    decoding: Decoding = "joint"
    tile: int = 0
