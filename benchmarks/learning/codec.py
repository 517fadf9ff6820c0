"""A small honest stand-in for Wan's VAE: 4x4 pixels of a frame as 16 numbers, the principal components of such patches."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

SIDE, CHANNELS = 4, 16
WHITEN = 0.5
"""Power of each component's deviation that it is divided by: 0 leaves pixels' own scale, 1 makes all components alike loud."""


@dataclass(frozen=True)
class Codec:
    """Linear both ways; what the components leave out is lost.

    Attributes:
        mean: (48,) of patches, values -1..1.
        basis: (16, 48), orthonormal rows.
        scale: (16,) that components are divided by.
    """

    mean: Tensor
    basis: Tensor
    scale: Tensor

    def encode(self, pictures: Tensor) -> Tensor:
        """(..., T, H, W, 3) in -1..1 to (..., 16, T, H / 4, W / 4)."""
        *lead, height, width, _ = pictures.shape
        rows, columns = height // SIDE, width // SIDE
        patches = pictures.reshape(*lead, rows, SIDE, columns, SIDE, 3).transpose(-4, -3).flatten(-3)
        return ((patches - self.mean) @ self.basis.T / self.scale).movedim(-1, -4)

    def decode(self, latents: Tensor) -> Tensor:
        """(..., 16, T, h, w) to (..., T, 4 h, 4 w, 3), clamped to -1..1."""
        patches = latents.movedim(-4, -1) * self.scale @ self.basis + self.mean
        *lead, rows, columns, _ = patches.shape
        pictures = patches.view(*lead, rows, columns, SIDE, SIDE, 3).transpose(-4, -3)
        return pictures.reshape(*lead, rows * SIDE, columns * SIDE, 3).clamp(-1, 1)


def fit(pictures: Tensor) -> Codec:
    """The codec of (N, T, H, W, 3) pictures in -1..1."""
    plain = Codec(*(torch.zeros(48), torch.eye(48), torch.ones(48)))
    plain = Codec(*(part.to(pictures.device) for part in (plain.mean, plain.basis, plain.scale)))
    patches = plain.encode(pictures).movedim(1, -1).reshape(-1, 48).double()
    values, vectors = torch.linalg.eigh(torch.cov(patches.T))
    deviation = values.flip(0)[:CHANNELS].clamp_min(1e-8).sqrt()
    scale = deviation**WHITEN
    scale = scale * (deviation / scale).square().mean().sqrt()  # latents of unit power, as Wan's are
    return Codec(patches.mean(0).float(), vectors.flip(1)[:, :CHANNELS].T.float().contiguous(), scale.float())


def as_values(pictures: Tensor) -> Tensor:
    """uint8 to -1..1."""
    return pictures.float() / 127.5 - 1
