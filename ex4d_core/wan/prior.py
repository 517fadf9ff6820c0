"""The prior encoder: masked colour and seen mask, as latents, become something to add to Wan's tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from .backbone import WAN21_I2V


class Operations(Protocol):
    """Where the layers come from: torch.nn, or ComfyUI's casting operations, whose weights may wait on another device."""

    @property
    def Conv3d(self) -> Callable[..., nn.Module]:
        """A three-dimensional convolution."""
        ...


class PriorEncoder(nn.Module):
    """Three 1x1x1 convolutions and a patch embedding over the two latents side by side.

    Parameter names are those of the published checkpoint.

    Args:
        latent_channels: of each latent; 16 for Wan 2.1.
        hidden: channels between the convolutions (1024 in the published adapter).
        dim: width of Wan's tokens (5120 for the 14B model).
        operations: what provides the convolutions.
        dtype: of the weights; None for torch's default.
        device: likewise.
    """

    def __init__(
        self,
        latent_channels: int,
        hidden: int,
        dim: int,
        *,
        operations: Operations = nn,
        dtype: torch.dtype | None = None,
        device: torch.device | None = None,
    ) -> None:
        super().__init__()
        like = {"dtype": dtype, "device": device}
        patch = WAN21_I2V.patch
        self.latent_encoder = nn.Sequential(
            operations.Conv3d(2 * latent_channels, hidden, 1, **like),
            nn.SiLU(),
            operations.Conv3d(hidden, hidden, 1, **like),
            nn.SiLU(),
            operations.Conv3d(hidden, hidden, 1, **like),
        )
        self.latent_patch_embedding = operations.Conv3d(hidden, dim, patch, stride=patch, **like)

    @classmethod
    def from_state_dict(cls, state: dict[str, Tensor], *, operations: Operations = nn) -> PriorEncoder:
        """Sizes are read from the tensors; every key must fit. ``checkpoint.parse_adapter`` has checked them."""
        first, patch = state["latent_encoder.0.weight"], state["latent_patch_embedding.weight"]
        encoder = cls(first.shape[1] // 2, first.shape[0], patch.shape[0], operations=operations, dtype=first.dtype)
        encoder.load_state_dict(state, strict=True)
        return encoder.eval().requires_grad_(False)

    def forward(self, color: Tensor, mask: Tensor) -> Tensor:
        """What is added to the tokens.

        Args:
            color: (B, C, F, H/8, W/8) latent of the masked colour video, normalised to Wan's latent space.
            mask: (B, C, F, H/8, W/8) latent of the doubly scaled mask video, likewise.

        Returns:
            (B, dim, F, H/16, W/16), in the order of Wan's patch embedding.

        Source: the camera encoder of the published code.
        """
        # No layer looks across frames, so one frame at a time gives the same numbers in a fraction of the memory.
        frames = [
            self.latent_patch_embedding(self.latent_encoder(torch.cat([c, m], dim=1)))
            for c, m in zip(color.split(1, dim=2), mask.split(1, dim=2), strict=True)
        ]
        return torch.cat(frames, dim=2)
