"""Attention of the video's tokens to one another, and to text and start image."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from .layers import Linear, RMSNorm
from .rotary import rotate


class Projections(nn.Module):
    """Queries, keys and values; queries and keys are normalised over all heads together."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.o = (Linear(width, width) for _ in range(4))
        self.norm_q, self.norm_k = RMSNorm(width), RMSNorm(width)

    def split(self, x: Tensor) -> Tensor:
        """(B, tokens, width) to (B, tokens, heads, channels)."""
        return x.unflatten(-1, (self.heads, -1))


class SelfAttention(Projections):
    """All tokens to all tokens, turned by their positions."""

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        """(B, tokens, width) to the same; ``turn`` of `rotary.rotation`."""
        q = rotate(self.split(self.norm_q(self.q(x))), turn)
        k = rotate(self.split(self.norm_k(self.k(x))), turn)
        return self.o(attend(q, k, self.split(self.v(x))))


class CrossAttention(Projections):
    """The tokens to the text and, with keys and values of their own, to the start image; the two results are added."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(width, heads)
        self.k_img, self.v_img = Linear(width, width), Linear(width, width)
        self.norm_k_img = RMSNorm(width)

    def forward(self, x: Tensor, context: tuple[Tensor, Tensor]) -> Tensor:
        """(B, tokens, width) to the same; the context is (B, 512, width) of text and (B, 257, width) of the image."""
        text, image = context
        q = self.split(self.norm_q(self.q(x)))
        seen = attend(q, self.split(self.norm_k_img(self.k_img(image))), self.split(self.v_img(image)))
        read = attend(q, self.split(self.norm_k(self.k(text))), self.split(self.v(text)))
        return self.o(read + seen)


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Scaled dot-product attention over (B, tokens, heads, channels); returns (B, tokens, heads * channels)."""
    out = functional.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
    return out.transpose(1, 2).flatten(2)
