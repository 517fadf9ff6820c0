"""The one place where colours from 0 to 1 become bytes, so that every step rounds alike and refuses the same types; and
the names of colours that mark holes.
"""

from __future__ import annotations

import re

import numpy as np
import torch
from torch import Tensor

from .errors import EX4DError

PIECE = 2**20
"""Values rounded at a time; their floats stay in a processor's cache."""
HOLE_COLORS: dict[str, tuple[float, float, float]] = {
    "black": (0.0, 0.0, 0.0),
    "grey": (0.5, 0.5, 0.5),
    "magenta": (1.0, 0.0, 1.0),
    "white": (1.0, 1.0, 1.0),
}
"""What marks a hole in the colour video, RGB 0..1, by name. Black: EX-4D. Grey: VACE, which takes 0.5 for nothing given.
Magenta: LoRAs of the CrossView kind, which know holes by their colour and take no mask."""


def hole_color_of(name: str) -> tuple[float, float, float]:
    """The RGB 0..1 of a hole colour: one of `HOLE_COLORS`, or as #rrggbb.

    Raises:
        EX4DError: another text.

    Example:
        >>> hole_color_of("#ff8000")
        (1.0, 0.5019607843137255, 0.0)
    """
    if not isinstance(name, str):
        raise EX4DError(f"A hole colour is a name or #rrggbb, got {name!r}.")
    if name in HOLE_COLORS:
        return HOLE_COLORS[name]
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", name.strip()):
        raise EX4DError(f"A hole colour is one of {', '.join(HOLE_COLORS)}, or #rrggbb as in #00b140; got '{name}'.")
    red, green, blue = bytes.fromhex(name.strip()[1:])
    return red / 255, green / 255, blue / 255


def lay_into_holes(color: Tensor, mask: Tensor, hole_color: tuple[float, float, float]) -> None:
    """Write one colour, in place, where a mask is 0; seen pixels stay as they are.

    Args:
        color: (T, H, W, 3) float 0..1 or uint8.
        mask: (T, H, W), 0 = hole.
        hole_color: RGB 0..1.
    """
    value = torch.tensor(hole_color, dtype=torch.float32, device=color.device)
    value = to_uint8(value) if color.dtype == torch.uint8 else value.to(color.dtype)
    for frame, seen in zip(color, mask, strict=True):
        frame[seen == 0] = value


def to_uint8(values: Tensor) -> Tensor:
    """Colours or masks as 0..255.

    Args:
        values: floats 0..1 (clamped, halves rounded up; what is not a number has no byte: see `uint8_array`), bool, or
            uint8, which passes through.

    Raises:
        EX4DError: another type. Of other integers nothing tells whether they reach to 1, 255 or 65535.
    """
    check_picture_type(values)
    if values.dtype == torch.uint8:
        return values
    if values.dtype == torch.bool:
        return values.to(torch.uint8) * 255
    result = torch.empty(values.shape, dtype=torch.uint8, device=values.device)
    # Piece by piece: whole-clip floats on the way cost more time than the arithmetic.
    for given, made in zip(values.reshape(-1).split(PIECE), result.view(-1).split(PIECE), strict=True):
        made.copy_((given.float() * 255.0).add_(0.5).clamp_(0, 255))
    return result


def uint8_array(picture: Tensor | np.ndarray) -> np.ndarray:
    """One picture as 0..255 in numpy's memory; `to_uint8` for what comes from outside.

    Args:
        picture: of any shape, float 0..1 (clamped, halves rounded up), bool or uint8, on any device.

    Raises:
        EX4DError: NaN or infinite values, or another type.
    """
    check_picture_type(picture)
    if isinstance(picture, np.ndarray):
        if picture.dtype == np.uint8:
            return picture
        # A copy in numpy's own types: torch knows neither long floats, nor the other byte order, nor read-only memory.
        picture = torch.from_numpy(picture.astype(np.bool_ if picture.dtype == np.bool_ else np.float32, order="C"))
    picture = picture.detach()
    if picture.is_floating_point():
        picture = picture.float()
        # A finite sum has only finite terms, and costs a fraction of looking at each; large values may overflow it.
        if not (torch.isfinite(picture.sum()) or torch.isfinite(picture).all()):
            raise EX4DError("The pictures contain values that are not numbers (NaN or infinite).")
    return to_uint8(picture).cpu().numpy()


def check_picture_type(values: Tensor | np.ndarray, what: str = "Pictures") -> None:
    """Refuse what has no agreed meaning as colours or masks.

    Args:
        values: what was given.
        what: its name in the message, in the plural.

    Raises:
        EX4DError: anything but floating point, bool and uint8.
    """
    if isinstance(values, np.ndarray):
        known = values.dtype.kind == "f" or values.dtype in (np.uint8, np.bool_)
    else:
        known = values.is_floating_point() or values.dtype in (torch.uint8, torch.bool)
    if not known:
        name = str(values.dtype).removeprefix("torch.")
        raise EX4DError(f"{what} are uint8 (0..255), bool or floating point (0..1), got {name}. Convert them first.")
