"""Both eyes in one frame, as screens and players take them."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from ..errors import EX4DError
from ..machine.buffers import empty
from ..pixels import check_picture_type

Layout = Literal["side by side", "side by side half", "over under", "over under half", "anaglyph"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
DUBOIS = torch.tensor(
    [
        [[0.437, 0.449, 0.164], [-0.062, -0.062, -0.024], [-0.048, -0.050, -0.017]],
        [[-0.011, -0.032, -0.007], [0.377, 0.761, 0.009], [-0.026, -0.093, 1.234]],
    ]
)
"""(2, 3, 3): what the left and the right eye's linear RGB give to that of the anaglyph for red-cyan glasses on an LCD screen.
Source: Dubois, "Conversion of a Stereo Pair to Anaglyph with the Least-Squares Projection Method", 2009."""


def lay_out(left: Tensor, right: Tensor, layout: Layout) -> Tensor:
    """Two eyes' pictures as one.

    Args:
        left: (T, H, W, 3) float 0..1 or uint8.
        right: of the same shape and type.
        layout: "side by side" and "over under" are left or above the left eye, at full size; with "half" the frame keeps
            the size of one eye and each is squeezed; "anaglyph" is for red-cyan glasses.

    Returns:
        (T, H', W', 3) of the same type.

    Raises:
        EX4DError: eyes that differ, an unknown layout, or a side that cannot be halved.
    """
    check_eyes(left, right)
    if layout not in LAYOUTS:
        raise EX4DError(f"A stereo layout is one of {', '.join(LAYOUTS)}; got {layout!r}.")
    if layout == "anaglyph":
        return _anaglyph(left, right)
    axis = 2 if layout.startswith("side") else 1
    if not layout.endswith("half"):
        return torch.cat([left, right], axis)
    side = left.shape[axis]
    if side % 2:
        raise EX4DError(
            f"'{layout}' halves a side of {side} pixels, which is odd. Render at an even size, or take '{layout[:-5]}'."
        )
    return torch.cat([_halved(left, axis), _halved(right, axis)], axis)


def check_eyes(left: Tensor, right: Tensor) -> None:
    """Refuse two clips that are no pair of eyes.

    Raises:
        EX4DError: another shape or type, or no pictures.
    """
    for eye in (left, right):
        check_picture_type(eye)
    if left.ndim != 4 or left.shape[-1] != 3 or left.shape != right.shape or left.dtype != right.dtype:
        raise EX4DError(
            f"Two eyes are pictures of one length, size and type, got {_told(left)} and {_told(right)}. Render both at one size."
        )


def _told(eye: Tensor) -> str:
    return "x".join(map(str, eye.shape)) + f" {str(eye.dtype).removeprefix('torch.')}"


def _halved(eye: Tensor, axis: int) -> Tensor:
    """Pairs of columns or rows as their mean."""
    first, second = (eye[(slice(None),) * axis + (slice(start, None, 2),)] for start in (0, 1))
    if eye.dtype == torch.uint8:
        return ((first.short() + second + 1) >> 1).to(torch.uint8)
    return (first + second) / 2


def _anaglyph(left: Tensor, right: Tensor) -> Tensor:
    result = empty(tuple(left.shape), left.dtype, left.device)
    matrices = DUBOIS.to(left.device)
    for one, other, out in zip(left, right, result, strict=True):
        mixed = sum(_linear(eye) @ matrix.T for eye, matrix in zip((one, other), matrices, strict=True))
        assert isinstance(mixed, Tensor)
        mixed = mixed.clamp_(0, 1)
        coded = torch.where(mixed <= 0.0031308, 12.92 * mixed, 1.055 * mixed.clamp(min=1e-9) ** (1 / 2.4) - 0.055)
        out.copy_((coded * 255).round_() if out.dtype == torch.uint8 else coded)
    return result


def _linear(eye: Tensor) -> Tensor:
    """sRGB to linear light (IEC 61966-2-1)."""
    value = eye.float() / 255 if eye.dtype == torch.uint8 else eye.float().clamp(0, 1)
    return torch.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
