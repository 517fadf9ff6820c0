"""The network: noisy latent, mask and start image go in, the velocity comes out."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from ...wan.backbone import WAN21_I2V
from ...wan.prior import PriorEncoder
from .again import Offload, run_again
from .block import Block, Head
from .geometry import HEAD_WIDTH, Geometry
from .kept import Checkpointing
from .layers import Linear
from .rotary import rotation, timestep_embedding
from .streaming import Streaming

PATCH = WAN21_I2V.patch


class ImageEmbedding(nn.Module):
    """CLIP's tokens of the start image at the network's width."""

    def __init__(self, clip_width: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Sequential(
            nn.LayerNorm(clip_width),
            Linear(clip_width, clip_width),
            nn.GELU(),
            Linear(clip_width, width),
            nn.LayerNorm(width),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, 257, clip width) to (B, 257, width)."""
        return self.proj(tokens.to(next(self.proj.parameters()).dtype))


class Wan(nn.Module):
    """Wan2.1 image-to-video with the published names of its tensors.

    Args:
        geometry: its sizes.

    Attributes:
        checkpointing: what blocks keep for the backward pass; the results are the same to the bit.
        residual: type of the stream that blocks add to, float32 in the published numerics.
        prior: the prior encoder, once `add_adapter` has given it one.
        streaming: fetches weights that wait in the computer's memory, where some do; needs checkpointing that is full or
            offloaded.
    """

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        size = geometry.size
        self.geometry = geometry
        self.checkpointing: Checkpointing = "off"
        self.residual = torch.float32
        self.patch_embedding = nn.Conv3d(size.in_channels, size.dim, PATCH, stride=PATCH)
        self.text_embedding = nn.Sequential(
            Linear(geometry.text_width, size.dim), nn.GELU(approximate="tanh"), Linear(size.dim, size.dim)
        )
        self.time_embedding = nn.Sequential(
            Linear(geometry.time_width, size.dim), nn.SiLU(), Linear(size.dim, size.dim)
        )
        self.time_projection = nn.Sequential(nn.SiLU(), Linear(size.dim, 6 * size.dim))
        self.img_emb = ImageEmbedding(geometry.clip_width, size.dim)
        self.blocks = nn.ModuleList(Block(size.dim, size.ffn_dim, geometry.heads) for _ in range(size.blocks))
        self.head = Head(size.dim, geometry.out_channels * PATCH[0] * PATCH[1] * PATCH[2])
        self.prior: PriorEncoder | None = None
        self.streaming: Streaming | None = None
        self._offload: Offload | None = None

    def forward(
        self,
        x: Tensor,
        timestep: Tensor,
        text: Tensor,
        clip: Tensor,
        prior: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """The predicted velocity.

        Args:
            x: (B, 36, F, H, W): noisy latent, mask of the start image, its latent.
            timestep: (B,), 0..1000.
            text: (B, 512, text width), padded with zeros.
            clip: (B, 257, clip width), CLIP's tokens of the start image.
            prior: colour and mask latents, (B, 16, F, H, W) each; a network without an adapter has no use for them.

        Returns:
            (B, 16, F, H, W) in the type of the weights.
        """
        tokens = self.patch_embedding(x.to(self.patch_embedding.weight.dtype)).to(self.residual)
        if prior is not None and self.prior is not None:
            tokens = tokens + self._prior_tokens(self.prior, *prior)
        grid = (tokens.shape[2], tokens.shape[3], tokens.shape[4])
        turn = rotation(grid, HEAD_WIDTH, x.device)
        time = self.time_embedding(timestep_embedding(timestep, self.geometry.time_width))
        steps = self.time_projection(time).unflatten(1, (6, -1))
        context = self.text_embedding(text), self.img_emb(clip)
        tokens = tokens.flatten(2).transpose(1, 2)
        for block in self.blocks:
            tokens = self._run(block, tokens, steps, turn, context)
        return patches_to_latent(self.head(tokens, time), grid)

    def _prior_tokens(self, encoder: PriorEncoder, color: Tensor, mask: Tensor) -> Tensor:
        # In the network's own type, as autocast would have it; the encoder keeps its weights.
        dtype = self.patch_embedding.weight.dtype
        with torch.autocast(color.device.type, dtype, enabled=dtype != torch.float32):
            kind = next(encoder.parameters()).dtype
            return encoder(color.to(kind), mask.to(kind)).to(self.residual)

    def _run(self, block: nn.Module, tokens: Tensor, *inputs: object) -> Tensor:
        if not torch.is_grad_enabled():
            return self._fetched(block, tokens, *inputs, backwards=False)
        if self.checkpointing == "offloaded" or (self.checkpointing == "full" and self.streaming is not None):
            if self.checkpointing == "offloaded" and self._offload is None:
                self._offload = Offload(tokens.device)
            offload = self._offload if self.checkpointing == "offloaded" else None
            return run_again(partial(self._fetched, block), tokens, *inputs, offload=offload)
        return block(tokens, *inputs, self.checkpointing)

    def _fetched(self, block: nn.Module, tokens: Tensor, *inputs: object, backwards: bool) -> Tensor:
        if self.streaming is not None:
            self.streaming.fetch(block, backwards=backwards)
        return block(tokens, *inputs)


def patches_to_latent(values: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """(B, tokens, patch values * C) to (B, C, F, H, W); within a token the channels come last."""
    batch, _, width = values.shape
    channels = width // (PATCH[0] * PATCH[1] * PATCH[2])
    parts = values.view(batch, *grid, *PATCH, channels).permute(0, 7, 1, 4, 2, 5, 3, 6)
    return parts.reshape(batch, channels, *(count * step for count, step in zip(grid, PATCH)))
