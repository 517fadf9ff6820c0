"""What the sampler is conditioned on: colour and mask videos made ready for the VAE, exactly as in the published code."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..errors import EX4DError
from ..holes.masks import erode, random_kernels
from ..pixels import to_uint8
from ..published import SEEN_LEVEL
from .backbone import WAN21_I2V, Backbone
from .resize import resize
from .settings import EROSIONS, FITS, ClipSettings, Erosion, Fit

FIRST_FRAME_SEEN = 0.98
"""EX-4D was trained with the whole source view in the first frame; less than this share of it is worth a word."""


class NothingSeen(EX4DError):
    """No pixel of the mask is seen; a border that knows where masks come from adds what to do about it."""


@dataclass(frozen=True)
class PreparedClip:
    """A clip as the sampler takes it.

    Attributes:
        color: (T, H, W, 3) uint8, black where nothing was seen.
        seen: (T, H, W) bool, after erosion.
        notes: what was changed on the way or is unusual, one sentence each, for the user.
        backbone: the family of models that it is cut for.
        inverted: the mask looks like one of holes; a border that knows where masks come from adds what to do about it.
    """

    color: Tensor
    seen: Tensor
    notes: tuple[str, ...] = ()
    backbone: Backbone = WAN21_I2V
    inverted: bool = False

    @property
    def frames(self) -> int:
        """Number of frames, 4n + 1."""
        return self.color.shape[0]

    @property
    def height(self) -> int:
        """In pixels, a multiple of the backbone's side (16)."""
        return self.color.shape[1]

    @property
    def width(self) -> int:
        """In pixels, a multiple of the backbone's side (16)."""
        return self.color.shape[2]

    def latent_shape(self, batch: int = 1) -> tuple[int, int, int, int, int]:
        """(B, C, F, H/8, W/8) of its latent."""
        return self.backbone.latent_shape(self.frames, self.height, self.width, batch)

    def part(self, start: int, stop: int) -> PreparedClip:
        """Frames start..stop-1."""
        return replace(self, color=self.color[start:stop], seen=self.seen[start:stop])

    def with_frames(self, frames: Tensor) -> PreparedClip:
        """The clip whose first frames are given complete: (N, H, W, 3) float 0..1, all of it seen."""
        color, seen = self.color.clone(), self.seen.clone()
        color[: len(frames)] = to_uint8(frames)
        seen[: len(frames)] = True
        return replace(self, color=color, seen=seen)


def prepare_clip(
    color: Tensor,
    seen: Tensor,
    *,
    frames: int = 0,
    width: int = 0,
    height: int = 0,
    fit: Fit = "stretch",
    erosion: Erosion = "random",
    kernel: int = 5,
    seed: int = 0,
    backbone: Backbone = WAN21_I2V,
) -> PreparedClip:
    """Pick frames, fit to size, erode the mask, threshold it, and blacken the holes of the colour video.

    Args:
        color: (T, H, W, 3) uint8 or float 0..1.
        seen: (T, H, W) uint8, bool or float 0..1; 1 = seen.
        frames: 0 takes as many as fit (4n + 1); another 4n + 1 picks that many evenly, repeating the last frame of a
            shorter clip.
        width: pixels, a multiple of 16; 0 keeps the clip's.
        height: likewise.
        fit: "stretch" squashes as in the published code, "crop" keeps proportions and cuts the middle out.
        erosion: "random" takes a box of 2..8 pixels per frame from ``seed``, "fixed" one of ``kernel``, "off" none.
        kernel: side of the fixed box in pixels.
        seed: which random boxes are drawn.
        backbone: gives the rule for counts and sides.

    Returns:
        The prepared clip.

    Raises:
        EX4DError: different lengths or sizes, an empty clip, NaN, sizes or counts that do not fit.
        NothingSeen: not one pixel is seen.

    Source: load_video_frames and load_mask_frames of the published code (seeded here): resize, erode, threshold at
    half, then multiply.
    """
    settings = ClipSettings(frames, width, height, fit, erosion, kernel, seed)
    check_settings(settings, backbone)
    check_clip(color, seen)
    width, height = width or color.shape[2], height or color.shape[1]
    backbone.check_size(width, height)
    index, notes = pick_frames(len(color), frames, backbone)
    # A clip taken as it is need not be copied.
    picked = slice(len(index)) if index == list(range(len(index))) else index
    color, seen = _fit(to_uint8(color[picked]), to_uint8(seen[picked]), width, height, fit)
    if erosion != "off":
        seen = erode(seen, random_kernels(len(seen), seed) if erosion == "random" else kernel)
    valid = seen >= SEEN_LEVEL
    if not bool(valid.any()):
        raise NothingSeen(
            "The mask shows no seen pixel in any frame, so there is nothing to go by. Seen is 1 (white), a hole is 0; "
            "invert the mask where it is the other way round."
        )
    share = float(valid[0].float().mean())
    # Of the source view itself everything is seen, so next to nothing of it is a hole.
    inverted = share < 1 - FIRST_FRAME_SEEN
    if inverted:
        notes.append(
            f"This looks like an inverted mask: {share:.0%} of the first frame is seen, where EX-4D expects the complete "
            "source view. Seen is 1 (white), a hole is 0."
        )
    elif share < FIRST_FRAME_SEEN:
        notes.append(
            f"Only {share:.0%} of the first frame is seen; EX-4D expects the complete source view there. Start the "
            "camera path at the source view."
        )
    return PreparedClip(color * valid[..., None], valid, tuple(notes), backbone, inverted)


def check_settings(settings: ClipSettings, backbone: Backbone = WAN21_I2V) -> None:
    """Refuse what ``prepare_clip`` would refuse whatever the clip is; 0 for what the clip decides.

    Raises:
        EX4DError: a count that is not 4n + 1, sides that are not multiples of 16, an unknown choice, no box to erode with.
    """
    if settings.frames:
        backbone.check_frames(settings.frames)
    backbone.check_size(settings.width or backbone.side, settings.height or backbone.side)
    for name, value, choices in (("fit", settings.fit, FITS), ("erosion", settings.erosion, EROSIONS)):
        if value not in choices:
            raise EX4DError(f"{name} must be one of {', '.join(choices)}, got {value!r}.")
    if settings.erosion == "fixed" and settings.kernel < 1:
        raise EX4DError(f"Erosion takes a box of at least 1 pixel, got {settings.kernel}.")


def check_clip(color: Tensor, seen: Tensor) -> None:
    """Refuse colour and mask that do not belong together."""
    if color.ndim != 4 or color.shape[-1] != 3:
        raise EX4DError(f"The colour video has shape (frames, height, width, 3), got {tuple(color.shape)}.")
    if seen.ndim != 3:
        raise EX4DError(f"The mask video has shape (frames, height, width), got {tuple(seen.shape)}.")
    if len(color) == 0 or len(seen) == 0:
        raise EX4DError("The clip has no frames.")
    if len(color) != len(seen):
        raise EX4DError(
            f"The colour video has {len(color)} frames and the mask {len(seen)}; both must come from the same render."
        )
    if color.shape[1:3] != seen.shape[1:3]:
        raise EX4DError(
            f"The colour video is {color.shape[2]}x{color.shape[1]} and the mask {seen.shape[2]}x{seen.shape[1]}; "
            "both must come from the same render."
        )
    for name, values in (("colour video", color), ("mask", seen)):
        if values.is_floating_point() and not _finite(values):
            raise EX4DError(f"The {name} holds values that are not numbers (NaN or infinite); render it again.")


def pick_frames(count: int, frames: int, backbone: Backbone = WAN21_I2V) -> tuple[list[int], list[str]]:
    """Which frames of a clip are used, and what to tell the user about it; ``frames`` is 0 or 4n + 1."""
    if not frames:
        used = backbone.frames_within(count)
        note = [f"The clip has {count} frames; Wan takes 4n + 1, so the last {count - used} are left out."]
        return list(range(used)), note if used != count else []
    if count < frames:
        return [*range(count), *([count - 1] * (frames - count))], [
            f"The clip has {count} frames; the last one is repeated up to {frames}."
        ]
    note = [f"{frames} of the clip's {count} frames are used, evenly picked."] if count != frames else []
    return [int(i) for i in np.linspace(0, count - 1, frames, dtype=int)], note


def color_images(clip: PreparedClip) -> Tensor:
    """(T, H, W, 3) float32: the VAE, which maps x to 2x - 1, sees u8 / 255 * 2 - 1."""
    return clip.color.to(torch.float32).div_(255.0)


def mask_images(clip: PreparedClip) -> Tensor:
    """(T, H, W, 3) float32, 1 where seen and -1 in holes, so that the VAE sees +1 and -3.

    Source: the published code maps the mask from 0..1 to -1..1 twice, and was trained so.
    """
    return torch.where(clip.seen, 1.0, -1.0)[..., None].expand(-1, -1, -1, 3)


def start_images(clip: PreparedClip) -> Tensor:
    """(T, H, W, 3) float32: the first colour frame, then mid grey, which the VAE sees as 0."""
    images = torch.full((clip.frames, clip.height, clip.width, 3), 0.5)
    images[0] = color_images(clip.part(0, 1))[0]
    return images


def _finite(values: Tensor) -> bool:
    # A finite sum has only finite terms, and takes a fraction of the time. Large values may overflow it.
    return bool(torch.isfinite(values.sum())) or bool(torch.isfinite(values).all())


def _fit(color: Tensor, seen: Tensor, width: int, height: int, fit: Fit) -> tuple[Tensor, Tensor]:
    if color.shape[1:3] == (height, width):
        return color, seen
    if fit == "crop":
        rows, columns = _middle(color.shape[1], color.shape[2], height, width)
        color, seen = color[:, rows, columns], seen[:, rows, columns]
    return resize(color, width, height), resize(seen, width, height)


def _middle(height: int, width: int, to_height: int, to_width: int) -> tuple[slice, slice]:
    """The largest centred cut-out with the proportions of the target."""
    scale = min(height / to_height, width / to_width)
    h, w = min(height, round(to_height * scale)), min(width, round(to_width * scale))
    return slice((height - h) // 2, (height - h) // 2 + h), slice((width - w) // 2, (width - w) // 2 + w)
