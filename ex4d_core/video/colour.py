"""From a decoded frame's own colours to upright RGB, and the scaler's numbers for colour."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from ..pixels import uint8_array
from .fit import PicturePlacement
from .source import Orientation

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.reformatter import VideoReformatter

SCALING = 0x4 | 0x2000 | 0x4000 | 0x40000
"""libswscale flags: bicubic, full chroma in and out, exact rounding; without the last three colours are 3/255 off."""
MPEG_RANGE, JPEG_RANGE = 1, 2
BT709, BT601 = 1, 5
SCALER_MATRIX = {1: BT709, 4: 4, 5: BT601, 6: BT601, 7: 7, 9: 9, 10: 9}
"""From the frame's colour matrix tag (ITU-T H.273) to libswscale's number."""


def upright_rgb(
    frame: VideoFrame | torch.Tensor | np.ndarray,
    turned: Orientation,
    placement: PicturePlacement,
    scaler: VideoReformatter,
) -> np.ndarray:
    """The frame as RGB uint8 (scaled_height, scaled_width, 3), upright, with its own colour matrix and range."""
    from av import VideoFrame

    if not isinstance(frame, VideoFrame):
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(uint8_array(frame)), format="rgb24")
    width, height = placement.scaled_width, placement.scaled_height
    matrix, full_range = colour_of(frame)
    picture = scaler.reformat(
        frame,
        width=height if turned.transposed else width,
        height=width if turned.transposed else height,
        format="rgb24",
        src_colorspace=matrix,
        # RGB has no matrix of its own; PyAV 14 ignores all of this where both sides look alike.
        dst_colorspace=BT709 if matrix != BT709 else BT601,
        interpolation=SCALING,
        src_color_range=JPEG_RANGE if full_range else MPEG_RANGE,
        dst_color_range=JPEG_RANGE,
    ).to_ndarray()
    return turned.upright(picture)


def colour_of(frame: VideoFrame) -> tuple[int, bool]:
    """(libswscale matrix number, full range?) of a frame; untagged video is BT.709 from 720 lines on, else BT.601."""
    name = frame.format.name
    hd = frame.width >= 1280 or frame.height > 576
    matrix = SCALER_MATRIX.get(int(frame.colorspace), BT709 if hd else BT601)
    if frame.format.is_rgb or name.startswith(("yuvj", "pal", "gray", "mono", "ya")):
        return matrix, int(frame.color_range) != MPEG_RANGE or frame.format.is_rgb
    return matrix, int(frame.color_range) == JPEG_RANGE
