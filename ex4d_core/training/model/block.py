"""One transformer block, and the head: both are modulated by the timestep."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .attention import CrossAttention, SelfAttention
from .kept import Kept, checkpointed
from .layers import LayerNorm, Linear

EPS = 1e-6


class Block(nn.Module):
    """Self-attention, cross-attention, feed-forward, each added to the residual stream.

    The stream and the modulation are in the type of the stream: float32 in the published numerics, bfloat16 where
    memory counts. Linear layers compute in the type of their weights.
    """

    def __init__(self, width: int, ffn_width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = LayerNorm(width, EPS, elementwise_affine=False)
        self.self_attn = SelfAttention(width, heads)
        self.norm3 = LayerNorm(width, EPS)
        self.cross_attn = CrossAttention(width, heads)
        self.norm2 = LayerNorm(width, EPS, elementwise_affine=False)
        self.ffn = nn.Sequential(Linear(width, ffn_width), nn.GELU(approximate="tanh"), Linear(ffn_width, width))
        self.modulation = nn.Parameter(torch.zeros(1, 6, width))

    def forward(
        self,
        x: Tensor,
        time: Tensor,
        turn: tuple[Tensor, Tensor],
        context: tuple[Tensor, Tensor],
        kept: Kept = "off",
    ) -> Tensor:
        """The residual stream after the block.

        Args:
            x: (B, tokens, width).
            time: (B, 6, width): shift, scale and gate of the self-attention, then of the feed-forward.
            turn: of `rotary.rotation`.
            context: embedded text and image, of `CrossAttention`.
            kept: of what is computed, for the backward pass.
        """
        return checkpointed(self._compute, kept, x, time, turn, context)

    def _compute(self, x: Tensor, time: Tensor, turn: tuple[Tensor, Tensor], context: tuple[Tensor, Tensor]) -> Tensor:
        shift, scale, gate, ffn_shift, ffn_scale, ffn_gate = modulated(self.modulation, time, x.dtype)
        x = x + gate * self.self_attn(self.norm1(x) * (1 + scale) + shift, turn)
        x = x + self.cross_attn(self.norm3(x), context)
        return x + ffn_gate * self.ffn(self.norm2(x) * (1 + ffn_scale) + ffn_shift)


class Head(nn.Module):
    """From tokens to the values of their patches."""

    def __init__(self, width: int, values: int) -> None:
        super().__init__()
        self.norm = LayerNorm(width, EPS, elementwise_affine=False)
        self.head = Linear(width, values)
        self.modulation = nn.Parameter(torch.zeros(1, 2, width))

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """(B, tokens, width) and (B, width) to (B, tokens, values)."""
        shift, scale = modulated(self.modulation, time[:, None], x.dtype)
        return self.head(self.norm(x) * (1 + scale) + shift)


def modulated(own: Tensor, time: Tensor, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """The layer's own modulation and the timestep's, added: one (B, 1, width) tensor for each of its rows."""
    return (own.to(dtype) + time.to(dtype)).split(1, dim=1)
