"""A plan carried out: on pictures and mask, on the camera path, on sound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ..camera import Intrinsics
from ..errors import Cancelled, EX4DError
from ..machine.buffers import empty
from ..pixels import check_picture_type, hole_color_of, lay_into_holes
from ..trajectory import Trajectory, resampled
from ..video import PicturePlacement
from .plan import FitPlan

HALF = 0.5
"""A pixel of a hard mask is seen where at least this share of it was."""


def fit_pictures(
    color: Tensor,
    seen: Tensor | None,
    plan: FitPlan,
    *,
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> tuple[Tensor, Tensor]:
    """The clip's pictures and mask as the plan says, with the model's colour in the holes.

    Seen colour is never mixed with what lies in holes: where the size changes, only seen pixels have weight.

    Args:
        color: (T, H, W, 3) float 0..1 or uint8.
        seen: (T, H, W), 1 = seen; of one frame for the whole clip; None = all of it. A hard mask stays hard.
        plan: made for this clip.
        progress: called with (frames done, frames in all).
        cancel: polled before each frame.

    Returns:
        (N, h, w, 3) float32 colour and (N, h, w) float32 mask, on the CPU.

    Raises:
        EX4DError: another number of frames or size than the plan's, or types without meaning.
        Cancelled: ``cancel`` returned True.
    """
    _check(color, seen, plan)
    lies = plan.placement
    shape = (len(plan.frames), lies.height, lies.width)
    pictures, masks = empty((*shape, 3)), empty(shape)
    same = plan.size == (lies.width, lies.height) and lies.covers
    done: dict[int, int] = {}
    for number, frame in enumerate(plan.frames):
        if cancel is not None and cancel():
            raise Cancelled("Fitting the clip was cancelled.")
        if frame in done:  # a frame that is held
            pictures[number], masks[number] = pictures[done[frame]], masks[done[frame]]
        else:
            picture = _as_float(color[frame])
            mask = torch.ones(picture.shape[:2]) if seen is None else _as_float(seen[frame if len(seen) > 1 else 0])
            if not same:
                picture, mask = _placed(picture, mask, lies)
            pictures[number], masks[number] = picture, mask
            done[frame] = number
        if progress is not None:
            progress(number + 1, len(plan.frames))
    if seen is not None or plan.pads:
        lay_into_holes(pictures, masks, hole_color_of(plan.model.hole_color))
    return pictures, masks


def fit_path(path: Trajectory, plan: FitPlan) -> Trajectory:
    """The camera path at the plan's moments; a lens given for the clip's own pixels is cut and scaled with them.

    Raises:
        UnknownLens: the path's lens is not known without the scene.
    """
    fitted = resampled(path, plan.times, plan.fps, plan.shown)
    if fitted.intrinsics is None:
        return fitted
    return replace(fitted, intrinsics=tuple(_placed_lens(lens, plan) for lens in fitted.intrinsics))


def fit_sound(waveform: Tensor, sample_rate: int, plan: FitPlan) -> Tensor:
    """The sound that belongs to the fitted clip: cut, and silent where its last frame is held.

    Args:
        waveform: (..., samples), from the clip's first frame on.
        sample_rate: samples a second.
        plan: of the clip.

    Returns:
        (..., samples) of the plan's length.
    """
    begin, wanted = round(plan.begin * sample_rate), round(plan.seconds * sample_rate)
    cut = waveform[..., begin : begin + wanted]
    return F.pad(cut, (0, wanted - cut.shape[-1]))


def _placed(picture: Tensor, mask: Tensor, lies: PicturePlacement) -> tuple[Tensor, Tensor]:
    """One frame (H, W, 3) and its mask (H, W) in the new frame."""
    hard = bool(((mask == 0) | (mask == 1)).all())
    planes = torch.cat([picture * mask[..., None], mask[..., None]], -1).permute(2, 0, 1)[None]
    planes = F.interpolate(planes, (lies.scaled_height, lies.scaled_width), mode="bilinear", antialias=True)
    frame, window = lies.windows()
    placed = planes.new_zeros((4, lies.height, lies.width))
    placed[(slice(None), *frame)] = planes[0][(slice(None), *window)]
    weight = placed[3]
    new_picture = (placed[:3] / weight.clamp(min=1e-6)).permute(1, 2, 0).clamp_(0, 1)
    return new_picture, (weight >= HALF - 1e-4).float() if hard else weight.clamp(0, 1)


def _placed_lens(lens: Intrinsics, plan: FitPlan) -> Intrinsics:
    if (lens.width, lens.height) != plan.size:
        return lens
    lies = plan.placement
    scaled = lens.resized(lies.scaled_width, lies.scaled_height)
    return Intrinsics(scaled.fx, scaled.fy, scaled.cx + lies.left, scaled.cy + lies.top, lies.width, lies.height)


def _as_float(values: Tensor) -> Tensor:
    return values.cpu().float() / 255 if values.dtype == torch.uint8 else values.cpu().float()


def _check(color: Tensor, seen: Tensor | None, plan: FitPlan) -> None:
    if color.ndim != 4 or color.shape[3] != 3:
        raise EX4DError(f"The colour video must have shape (frames, height, width, 3), got {tuple(color.shape)}.")
    check_picture_type(color, "Colours")
    if (color.shape[2], color.shape[1]) != plan.size or max(plan.frames) >= len(color):
        raise EX4DError(
            f"The plan is for {plan.size[0]}x{plan.size[1]} and frames up to {max(plan.frames)}, the clip has {len(color)} "
            f"frames of {color.shape[2]}x{color.shape[1]}."
        )
    if seen is None:
        return
    check_picture_type(seen, "Masks")
    if seen.shape[1:] != color.shape[1:3] or len(seen) not in (1, len(color)):
        raise EX4DError(
            f"The mask must have the clip's {len(color)} frames of {color.shape[2]}x{color.shape[1]}, got {tuple(seen.shape)}; "
            "use the outputs of one render."
        )
