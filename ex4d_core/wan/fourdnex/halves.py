"""Two videos side by side in one: colour in the left half of every row, points in the right half."""

from __future__ import annotations

import torch
from torch import Tensor

from ...errors import EX4DError
from ...published import FOURDNEX_OFFSET, FOURDNEX_SCALE
from ..backbone import WAN21_I2V, Backbone


def check_columns(columns: int, backbone: Backbone = WAN21_I2V) -> None:
    """Refuse a latent whose width has no middle between two tokens.

    Args:
        columns: of the whole latent.
        backbone: whose tokens.
    """
    step = 2 * backbone.patch[2]
    if columns < step or columns % step:
        raise EX4DError(
            f"A latent of 4DNeX holds colour and points side by side, each of whole tokens: its columns are a multiple of "
            f"{step}, got {columns}. Use the latent that comes out of 4DNeX Conditioning."
        )


def split(values: Tensor) -> tuple[Tensor, Tensor]:
    """(colour, points): the left and the right half of the last axis, as views."""
    middle = values.shape[-1] // 2
    return values[..., :middle], values[..., middle:]


def to_vae_space(latent: Tensor) -> Tensor:
    """What the network makes, as the VAE knows it: its right half scaled and shifted back; both normalised.

    Args:
        latent: (B, 16, F, H/8, 2 W/8), normalised.

    Source: point maps were encoded alone in training, and their latents z given to the network as (z + 0.13) / 1.70.
    """
    color, points = split(latent)
    return torch.cat([color, points * FOURDNEX_SCALE + FOURDNEX_OFFSET], dim=-1)
