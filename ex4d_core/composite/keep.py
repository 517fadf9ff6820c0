"""Keep seen pixels: the rendered colour laid over the generated video, which takes on its colours first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import Cancelled, EX4DError
from ..machine.buffers import empty
from ..pixels import check_picture_type
from .match import Cells, cell_means, corrected, fit_corrections
from .settings import KeepSettings, check_settings
from .weight import FADING, kept_share

LEFT_OUT = 3
"""Frames by which a generated video may be shorter than the render: models take 4n + 1, and leave out the last ones."""
ANOTHER_SHOT = 16 / 255
"""Cells' colours that still differ by more once they are matched are worth a word."""


@dataclass(frozen=True, eq=False)
class Kept:
    """What came of it.

    Attributes:
        images: (T, H, W, C), dtype, device and further channels of the generated video.
        share: (T, H, W) float32, how much of each pixel is the rendered colour; 0 in holes.
        correction: (T, 4, 3) float64, what was added to the generated colours (``match.fit_corrections``).
        notes: what an artist should know, one sentence each.
    """

    images: Tensor
    share: Tensor
    correction: np.ndarray
    notes: tuple[str, ...] = ()

    def shifts(self) -> np.ndarray:
        """(T,) by how much mid grey was moved at most, in levels of 255."""
        return 255 * np.abs(self.correction[:, 0]).max(axis=1)


def keep_seen_pixels(
    result: Tensor,
    color: Tensor,
    seen: Tensor,
    settings: KeepSettings | None = None,
    *,
    quality: Tensor | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Kept:
    """Lay the rendered colour over a generated video where the source was seen well.

    Args:
        result: (T, H, W, 3 or more) float 0..1 or uint8, the generated video; further channels (alpha) pass.
        color: (T, H, W, 3 or more) float 0..1 or uint8, the render that it was made from; up to three more frames than the
            result are left out.
        seen: (T, H, W) float 0..1, uint8 0 | 255 or bool; at least half = seen.
        settings: strength, feather, blend and colour match; None = the defaults.
        quality: (T, H, W) float 0..1, how well each pixel was seen (``render.seen_quality``); None = all the same.
        progress: called with (steps done, steps): one a frame, two where colours are matched.
        cancel: polled before each step.

    Returns:
        The video with its parts. Without colour match, pixels in holes are the result's, bit for bit. Where no pixel was
        seen in any frame, the result itself.

    Raises:
        EX4DError: sizes or counts that differ, integers other than uint8, settings out of range.
        Cancelled: ``cancel`` returned True.

    Memory: the result once more, four bytes a pixel and frame for the share, and 120 bytes a pixel for the frame in work.

    Example:
        >>> result, color = torch.full((1, 32, 32, 3), 0.5), torch.full((1, 32, 32, 3), 0.25)
        >>> seen = torch.ones(1, 32, 32)
        >>> seen[:, :, 16:] = 0  # a hole
        >>> settings = KeepSettings(blend="hard", match_color=False)
        >>> kept = keep_seen_pixels(result, color * seen[..., None], seen, settings)
        >>> kept.images[0, 0, 0], kept.images[0, 0, 31]
        (tensor([0.2500, 0.2500, 0.2500]), tensor([0.5000, 0.5000, 0.5000]))
    """
    settings = settings or KeepSettings()
    check_settings(settings)
    notes = check_pair(result, color, seen, quality)
    frames = len(result)
    steps, done = frames * (2 if settings.match_color else 1), 0

    def step() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, steps)

    def known(t: int) -> tuple[Tensor, Tensor | None]:
        if cancel is not None and cancel():
            raise Cancelled("Keeping seen pixels was cancelled.")
        levels = _floats(seen[t].to(result.device))
        return levels, None if quality is None else quality[t].to(result.device)

    correction = np.zeros((frames, 4, 3))
    if not any(bool((_floats(frame) >= 0.5).any()) for frame in seen[:frames]):
        nothing = "Nothing was seen in any frame, so the video is returned as it is."
        return Kept(result, torch.zeros(result.shape[:3], device=result.device), correction, (*notes, nothing))
    if settings.match_color:
        clip: list[Cells] = []
        for t in range(frames):
            levels, good = known(t)
            well = levels >= 0.5 if good is None else (levels >= 0.5) & (good >= FADING[0])
            clip.append(cell_means(_floats(result[t, ..., :3]), _floats(color[t, ..., :3].to(result.device)), well))
            step()
        correction, left = fit_corrections(clip)
        if left > ANOTHER_SHOT:
            notes.append(
                f"What was seen still differs from the video by {255 * left:.0f} levels of 255: check that it was made from "
                "this render, with the same frames and fit."
            )
    images = empty(result.shape, result.dtype, result.device)
    shares = empty(result.shape[:3], torch.float32, result.device)
    for t in range(frames):
        levels, good = known(t)
        torch.mul(kept_share(levels, good, settings.feather, settings.blend), settings.strength, out=shares[t])
        images[t] = result[t]
        pixels = _floats(result[t, ..., :3])
        if settings.match_color:
            pixels = corrected(pixels, correction[t])
            images[t, ..., :3] = _like(pixels, result)
        _lay_over(images[t], pixels, _floats(color[t, ..., :3].to(result.device)), shares[t])
        step()
    return Kept(images, shares, correction, tuple(notes))


def check_pair(result: Tensor, color: Tensor, seen: Tensor, quality: Tensor | None = None) -> list[str]:
    """Refuse what does not belong together; what to tell of what does.

    Raises:
        EX4DError: as ``keep_seen_pixels``.
    """
    for name, images in (("generated video", result), ("rendered colour", color)):
        if images.ndim != 4 or images.shape[-1] < 3 or 0 in images.shape:
            raise EX4DError(f"The {name} has shape (frames, height, width, 3), got {tuple(images.shape)}.")
        check_picture_type(images, f"The frames of the {name}")
    for name, values in (("mask", seen), ("quality", quality)):
        if values is not None and tuple(values.shape) != tuple(color.shape[:3]):
            raise EX4DError(
                f"The rendered colour has {_told(color)}, the {name} is {tuple(values.shape)}; both must come from the "
                "same render."
            )
    if result.shape[1:3] != color.shape[1:3]:
        raise EX4DError(
            f"The generated video is {result.shape[2]}x{result.shape[1]} and the rendered colour "
            f"{color.shape[2]}x{color.shape[1]}. Render at the size that the video is made in, or scale the video back."
        )
    missing = len(color) - len(result)
    if not 0 <= missing <= LEFT_OUT:
        raise EX4DError(
            f"The generated video has {len(result)} frames and the rendered colour {len(color)}. Keep the frames that the "
            "video was made from: all of them (the sampler's frames at 0), one for one."
        )
    for name, images in (("generated video", result), ("rendered colour", color)):
        if images.is_floating_point() and not bool(torch.isfinite(images.sum())):
            wrong = next((t for t, frame in enumerate(images) if not bool(torch.isfinite(frame).all())), None)
            if wrong is not None:
                raise EX4DError(
                    f"Frame {wrong} of the {name} holds values that are not numbers (NaN or infinite). Make it again."
                )
    if not missing:
        return []
    return [
        f"The render has {len(color)} frames and the video {len(result)}: the render's last {missing} are left out."
    ]


def _lay_over(target: Tensor, below: Tensor, color: Tensor, share: Tensor) -> None:
    """The colour over what is below, (H, W, 3) floats, into the target; pixels without a share are not touched."""
    part = share[..., None]
    # Exact at both ends, which a + w (b - a) is not.
    mixed = below * (1 - part) + color * part
    target[..., :3] = torch.where(part > 0, _like(mixed, target), target[..., :3])


def _floats(values: Tensor) -> Tensor:
    """uint8, bool or any float as float32 0..1."""
    return values.float() / 255 if values.dtype == torch.uint8 else values.float()


def _like(pixels: Tensor, example: Tensor) -> Tensor:
    """Floats 0..1 in the type of another picture."""
    if example.dtype == torch.uint8:
        return (pixels * 255).round_().clamp_(0, 255).to(torch.uint8)
    return pixels.to(example.dtype)


def _told(images: Tensor) -> str:
    return f"{images.shape[0]} frames of {images.shape[2]}x{images.shape[1]}"
