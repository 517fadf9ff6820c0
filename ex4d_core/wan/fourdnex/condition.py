"""What 4DNeX starts from: the picture and a tilted plane of points side by side, and the mask that says how far each is given."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...errors import EX4DError
from ...pixels import to_uint8
from ...published import FOURDNEX_AREA, FOURDNEX_FRAMES
from ..backbone import WAN21_I2V, Backbone

TRIGGER = "POINTMAP_STYLE."
"""The word at the end of every caption that 4DNeX was trained with."""
SMALLEST_SIDE = 128
"""Pixels: the published rule gives less only for a picture more than twenty times as long as it is high, or the reverse."""
GREY = 0.5
"""What the VAE, which maps x to 2x - 1, sees as 0."""
POINTS_GIVEN = 0.5
"""Of latent frame 0 the mask says 1 for the picture and this for the plane."""


@dataclass(frozen=True)
class Start:
    """A picture made ready.

    Attributes:
        image: (H, W, 3) float32 0..1 of whole 8-bit levels, resized.
        frames: of the video to make, 4n + 1.
        source_size: (width, height) of the picture that was given.
        backbone: the family of models that it is cut for.
    """

    image: Tensor
    frames: int
    source_size: tuple[int, int]
    backbone: Backbone = WAN21_I2V

    @property
    def height(self) -> int:
        """Of a half, in pixels."""
        return self.image.shape[0]

    @property
    def width(self) -> int:
        """Of a half, in pixels."""
        return self.image.shape[1]

    @property
    def pixel_aspect(self) -> float:
        """fy / fx of a camera with square pixels after the resize, which is plain and squashes a little."""
        width, height = self.source_size
        return (self.height / height) / (self.width / width)

    def latent_shape(self, batch: int = 1) -> tuple[int, int, int, int, int]:
        """(B, C, F, H/8, 2 W/8) of the latent of both halves."""
        return self.backbone.latent_shape(self.frames, self.height, 2 * self.width, batch)


def half_size(width: int, height: int, backbone: Backbone = WAN21_I2V) -> tuple[int, int]:
    """Width and height of one half for a picture of this size.

    Raises:
        EX4DError: a picture without pixels, or one far longer than it is high, or the reverse.

    Source: the published rule: the area of 720x480 in the picture's proportions, sides rounded down to whole tokens.
    """
    if min(width, height) < 1:
        raise EX4DError(f"The picture has no pixels ({width}x{height}).")
    step = backbone.side
    sides = [
        round(math.sqrt(FOURDNEX_AREA * one / other)) // step * step
        for one, other in ((width, height), (height, width))
    ]
    if min(sides) < SMALLEST_SIDE:
        raise EX4DError(
            f"A picture of {width}x{height} would become {sides[0]}x{sides[1]}, too narrow for 4DNeX, which takes sides from "
            f"{SMALLEST_SIDE} pixels. Crop it."
        )
    return sides[0], sides[1]


def load_picture(path: str | os.PathLike[str]) -> Tensor:
    """A picture file, turned upright; what is transparent lies on black.

    Returns:
        (H, W, 3) uint8.

    Raises:
        EX4DError: no such file, or no picture.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as file:
            picture = ImageOps.exif_transpose(file)
            if "A" in picture.getbands() or "transparency" in picture.info:
                picture = picture.convert("RGBA")
                picture = Image.alpha_composite(Image.new("RGBA", picture.size, (0, 0, 0, 255)), picture)
            return torch.from_numpy(np.array(picture.convert("RGB")))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise EX4DError(f"'{path}' cannot be read as a picture: {error}.") from error


def prepare(
    image: Tensor, *, frames: int = FOURDNEX_FRAMES, width: int = 0, height: int = 0, backbone: Backbone = WAN21_I2V
) -> Start:
    """Resize a picture as published: plainly, whatever that does to its proportions.

    Args:
        image: (H, W, 3) or (1, H, W, 3), uint8 or float 0..1; a fourth channel is left out.
        frames: 4n + 1.
        width: of a half in pixels, a multiple of 16; 0 for both takes the published rule.
        height: likewise.
        backbone: gives the rule for counts and sides.

    Raises:
        EX4DError: several pictures, other shapes, NaN, sizes or counts that do not fit.
    """
    backbone.check_frames(frames)
    picture = _one_picture(image)
    source = picture.shape[1], picture.shape[0]
    if bool(width) != bool(height):
        raise EX4DError(f"Give both width and height, or 0 for both; got {width}x{height}.")
    size = (width, height) if width else half_size(*source, backbone)
    backbone.check_size(*size)
    return Start(_resized(to_uint8(picture), size).to(torch.float32) / 255, frames, source, backbone)


def with_trigger(prompt: str) -> str:
    """A prompt that ends as 4DNeX's captions do."""
    prompt = prompt.rstrip()
    return prompt if prompt.endswith(TRIGGER) else f"{prompt} {TRIGGER}"


def plane(width: int, height: int) -> Tensor:
    """(H, W, 3) float32 in 0..1: a tilted plane of points x, y, z, near at the bottom.

    Source: the published code; the paper's formula has z the other way round.
    """
    x, y = torch.linspace(0, 1, width), torch.linspace(0, 1, height)
    z = torch.linspace(1, 0, height)
    rows = (height, width)
    return torch.stack([x.expand(rows), y[:, None].expand(rows), z[:, None].expand(rows)], dim=-1)


def start_images(start: Start) -> Tensor:
    """(T, H, 2 W, 3) float32 in 0..1 for the VAE: picture and plane, then mid grey. To be encoded in one piece."""
    images = torch.full((start.frames, start.height, 2 * start.width, 3), GREY)
    images[0] = torch.cat([start.image, plane(start.width, start.height)], dim=1)
    return images


def given_mask(start: Start) -> Tensor:
    """(1, 1, F, H/8, 2 W/8) float32: how far each latent is given; 0 in all frames but the first."""
    _, _, frames, rows, columns = start.latent_shape()
    mask = torch.zeros(1, 1, frames, rows, columns)
    mask[:, :, 0, :, : columns // 2] = 1.0
    mask[:, :, 0, :, columns // 2 :] = POINTS_GIVEN
    return mask


def _one_picture(image: Tensor) -> Tensor:
    """(H, W, 3) of what was given."""
    if image.ndim == 4 and len(image) > 1:
        raise EX4DError(f"4DNeX starts from one picture, got {len(image)}. Choose one of them.")
    picture = image[0] if image.ndim == 4 and len(image) else image
    if picture.ndim != 3 or picture.shape[-1] not in (3, 4) or 0 in picture.shape:
        raise EX4DError(f"A picture has shape (height, width, 3), got {tuple(image.shape)}.")
    if picture.is_floating_point() and not bool(torch.isfinite(picture).all()):
        raise EX4DError("The picture holds values that are not numbers (NaN or infinite).")
    return picture[..., :3]


def _resized(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """Pillow's bicubic, which the published code uses; (H, W, 3) uint8."""
    from PIL import Image

    if (picture.shape[1], picture.shape[0]) == size:
        return picture.cpu()
    resized = Image.fromarray(picture.cpu().contiguous().numpy()).resize(size, Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(resized))
