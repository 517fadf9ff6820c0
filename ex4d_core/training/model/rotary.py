"""Positions: the angles by which queries and keys turn, and the sinusoidal embedding of a timestep."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

THETA = 10_000
"""Longest wavelength of both; Wan2.1's network."""


@lru_cache(maxsize=8)
def rotation(grid: tuple[int, int, int], width: int, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Cosine and sine of every token's angles; kept, since a copy to a GPU at every call would make the processor wait for it.

    The channels of a head are shared out: rows and columns get a third each, rounded down to pairs, time the rest.
    Angles are made in float64; the rotation itself in float32 real arithmetic differs from the published float64 complex
    one by 1.7e-6 of the prediction.

    Args:
        grid: tokens along time, height and width.
        width: channels of a head.
        device: where the result lies.

    Returns:
        Two (tokens, 1, width / 2) float32 tensors, tokens in the order of the flattened grid.
    """
    side = 2 * (width // 6)
    axes = []
    with torch.inference_mode(False):  # what is kept also goes into gradients
        for axis, (count, channels) in enumerate(zip(grid, (width - 2 * side, side, side))):
            frequency = THETA ** (-torch.arange(0, channels, 2, dtype=torch.float64) / channels)
            angle = torch.outer(torch.arange(count, dtype=torch.float64), frequency)
            shape = [1, 1, 1, channels // 2]
            shape[axis] = count
            axes.append(angle.view(shape).expand(*grid, channels // 2))
        angles = torch.cat(axes, dim=-1).flatten(0, 2)[:, None]
        return angles.cos().float().to(device), angles.sin().float().to(device)


def rotate(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Turn neighbouring pairs of channels.

    Args:
        x: (B, tokens, heads, width).
        turn: of `rotation`.

    Returns:
        As ``x``, in its type; the arithmetic is float32.
    """
    cosine, sine = turn
    real, imaginary = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    turned = torch.stack([real * cosine - imaginary * sine, real * sine + imaginary * cosine], dim=-1)
    return turned.flatten(-2).to(x.dtype)


def timestep_embedding(timestep: Tensor, width: int) -> Tensor:
    """(B, width) float64: cosines, then sines, of (B,) timesteps at falling frequencies.

    In float64 as in the published network; float32 costs 1e-6 of the loss.
    """
    half = width // 2
    frequency = THETA ** (-torch.arange(half, dtype=torch.float64, device=timestep.device) / half)
    angles = torch.outer(timestep.double(), frequency)
    return torch.cat([angles.cos(), angles.sin()], dim=-1)
