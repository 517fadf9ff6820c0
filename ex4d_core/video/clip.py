"""Decoded frames, and where they came from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..machine.buffers import empty
from .fit import PicturePlacement
from .source import VideoInfo


@dataclass(frozen=True)
class VideoClip:
    """Decoded frames.

    Attributes:
        frames: uint8 tensor (T, H, W, 3), RGB.
        fps: frames per second.
        path: where it came from.
        start_seconds: time of the first frame in the source's own clock, for cutting its audio.
        has_audio: whether the source has a sound track.
        source_frames: for each frame its number in the source, for reading what belongs to it (depth).
        info: what the source is; None for clips that were not read from one.
        placement: how the source's pictures were fitted; None likewise.
    """

    frames: torch.Tensor
    fps: float
    path: str
    start_seconds: float = 0.0
    has_audio: bool = False
    source_frames: tuple[int, ...] = ()
    info: VideoInfo | None = None
    placement: PicturePlacement | None = None

    def __len__(self) -> int:
        return int(self.frames.shape[0])

    def images(self) -> torch.Tensor:
        """The frames as float32 0..1, (T, H, W, 3)."""
        images = empty(self.frames.shape)
        for image, frame in zip(images.numpy(), self.frames.numpy(), strict=True):
            np.divide(frame, np.float32(255), out=image, dtype=np.float32)
        return images
