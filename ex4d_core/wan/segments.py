"""Long clips: overlapping segments of the length EX-4D was trained on, each starting from the one before."""

from __future__ import annotations

import torch
from torch import Tensor

from .. import published
from ..errors import EX4DError
from .backbone import WAN21_I2V, Backbone


def plan(frames: int, length: int, overlap: int, backbone: Backbone = WAN21_I2V) -> list[tuple[int, int]]:
    """Segments of one length that cover a clip.

    Args:
        frames: of the clip.
        length: of a segment, 4n + 1; 0 = the whole clip at once.
        overlap: frames that neighbours share at least, 1 <= overlap < length.
        backbone: gives the rule for lengths.

    Returns:
        (start, stop) of each; one segment where the clip is no longer than that. The last one ends with the clip, so it
        may overlap more.
    """
    check_length(length, backbone)
    if not length or frames <= length:
        return [(0, frames)]
    if not 1 <= overlap < length:
        raise EX4DError(f"Segments of {length} frames overlap by 1 to {length - 1} frames, got {overlap}.")
    starts = [*range(0, frames - length, length - overlap), frames - length]
    return [(start, start + length) for start in starts]


def check_length(length: int, backbone: Backbone = WAN21_I2V) -> None:
    """Refuse a segment that is not 4n + 1 frames long, or only one frame; 0, the whole clip, is fine."""
    shortest = backbone.time_stride + 1
    if length and (length < shortest or not backbone.takes(length)):
        raise EX4DError(
            f"A segment has 4n + 1 frames, at least {shortest}, got {length}; {published.FRAMES} is the trained length."
        )


def join(done: Tensor, segment: Tensor, start: int) -> Tensor:
    """Append a segment's frames, cross-fading where both have them.

    Args:
        done: (N, H, W, 3) frames 0..N-1 of the clip.
        segment: (L, H, W, 3) frames start..start+L-1.
        start: first frame of the segment, < N.

    Returns:
        (start + L, H, W, 3). The first shared frame is the old one, the frame after the last shared one the new.
    """
    shared = len(done) - start
    weight = (torch.arange(shared, dtype=done.dtype, device=done.device) / shared)[:, None, None, None]
    mixed = torch.lerp(done[start:], segment[:shared].to(done), weight)
    return torch.cat([done[:start], mixed, segment[shared:].to(done)])
