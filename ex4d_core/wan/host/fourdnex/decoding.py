"""From a sampled latent of both halves to colour frames and points."""

from __future__ import annotations

import torch
from torch import Tensor

from ....errors import EX4DError
from ...backbone import WAN21_I2V, Backbone
from ...fourdnex.halves import check_columns, split, to_vae_space
from ...fourdnex.settings import DECODINGS, Decoding
from ..comfy_types import Vae
from ..conditioning import check_vae, decode
from ..model import FOURDNEX


def check_decoding(decoding: str, tile: int, backbone: Backbone = WAN21_I2V) -> None:
    """Refuse settings that no latent could be decoded with.

    Raises:
        EX4DError: an unknown choice, tiles too small, or tiles over the seam.
    """
    if decoding not in DECODINGS:
        raise EX4DError(f"The halves are decoded {' or '.join(DECODINGS)}, got {decoding!r}.")
    backbone.check_tile(tile)
    if tile and decoding != "apart":
        raise EX4DError(
            "VAE tiles lie anywhere across the seam of the two halves, so they work only where the halves are decoded apart. "
            "Choose apart, or no tiles."
        )


def check_latent(samples: Tensor, video: int = 0, backbone: Backbone = WAN21_I2V) -> None:
    """Refuse what is no latent of both halves, or a video that it does not hold."""
    if samples.ndim != 5 or samples.shape[1] != backbone.latent_channels:
        raise EX4DError(
            f"The latent has shape {tuple(samples.shape)}; 4DNeX's is (videos, {backbone.latent_channels}, frames, rows, "
            "columns)."
        )
    check_columns(samples.shape[-1], backbone)
    if not 0 <= video < len(samples):
        raise EX4DError(f"The latent holds {len(samples)} videos, counted from 0; asked for was number {video}.")


def decode_halves(
    vae: Vae,
    samples: Tensor,
    *,
    decoding: Decoding = "joint",
    tile: int = 0,
    video: int = 0,
    backbone: Backbone = WAN21_I2V,
) -> tuple[Tensor, Tensor]:
    """Colour frames and points of one video.

    Args:
        vae: ComfyUI's VAE of Wan 2.1.
        samples: (B, 16, F, H/8, 2 W/8) as ComfyUI's samplers give them, not normalised.
        decoding: "joint" decodes both halves in one piece, "apart" each alone.
        tile: side of VAE tiles in pixels, for "apart"; 0 decodes whole frames.
        video: which of the batch.
        backbone: whose latent it is.

    Returns:
        (colour, points), both (T, H, W, 3) float32 in 0..1.

    Raises:
        EX4DError: see ``check_decoding`` and ``check_latent``; another VAE.
    """
    check_decoding(decoding, tile, backbone)
    check_latent(samples, video, backbone)
    check_vae(vae, backbone, FOURDNEX)
    latent = shown_latent(samples[video : video + 1])
    if decoding == "joint":
        both = _frames(decode(vae, latent, tile, backbone))
        middle = both.shape[2] // 2
        return both[:, :, :middle].contiguous(), both[:, :, middle:].contiguous()
    color, points = (_frames(decode(vae, half.contiguous(), tile, backbone)) for half in split(latent))
    return color, points


def shown_latent(samples: Tensor) -> Tensor:
    """A latent of ComfyUI's with its right half as the VAE knows points."""
    import comfy.latent_formats

    space = comfy.latent_formats.Wan21()
    return space.process_out(to_vae_space(space.process_in(samples)))


def _frames(images: Tensor) -> Tensor:
    """(T, H, W, 3) float32 of (B, T, H, W, 3) or (T, H, W, 3)."""
    return images.reshape(-1, *images.shape[-3:]).to(torch.float32)
