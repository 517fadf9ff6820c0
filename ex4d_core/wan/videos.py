"""Reading the colour and mask videos that ``recon`` or the published code has written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..errors import EX4DError
from ..machine.buffers import empty
from ..storage.npz import NpzFrames
from ..video.colour import BT601, BT709, SCALER_MATRIX
from ..video.video_file import open_container, packets_of

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.reformatter import VideoReformatter


def read_color_and_mask(color: str | Path, mask: str | Path | None) -> tuple[Tensor, Tensor]:
    """A rendered pair.

    Args:
        color: a video, or the lossless ``frames_*.npz`` of ``recon --save_frames``, which holds both.
        mask: the mask video, white = seen; None only for an .npz.

    Returns:
        colour (T, H, W, 3) uint8 and mask (T, H, W) uint8 0..255.

    Raises:
        EX4DError: a file that is missing, damaged or of another kind, or no mask.
    """
    color = Path(color)
    if color.suffix.lower() == ".npz":
        return _npz_array(color, "color"), _npz_array(color, "mask") if mask is None else _video(Path(mask))[..., 0]
    if mask is None:
        raise EX4DError(f"'{color}' is a video and has no mask with it; expected the mask video as well.")
    return _video(color), _video(Path(mask))[..., 0]


def _video(path: Path) -> Tensor:
    """(T, H, W, 3) uint8: the pixels that OpenCV gives the published code, so that its results can be repeated.

    OpenCV takes every video for BT.601, from version 5 on unless it is tagged; a tag, as ``recon`` writes it, is followed.
    """
    from av.error import FFmpegError
    from av.video.reformatter import VideoReformatter

    if not path.is_file():
        raise EX4DError(f"There is no video at {path}.")
    scaler, frames = VideoReformatter(), []
    with open_container(path) as container:
        try:
            for stream in container.streams.video[:1]:
                if stream.codec_context is None:
                    raise EX4DError(f"'{path}' is coded in a way that cannot be decoded here. Re-export it as H.264.")
                for packet in packets_of(container, stream):
                    frames += [_rgb(frame, scaler) for frame in packet.decode()]
        except FFmpegError as error:
            raise EX4DError(
                f"'{path}' is damaged after {len(frames)} frames ({error.strerror or error}). Render it again."
            ) from error
    if not frames:
        raise EX4DError(f"'{path}' holds no frame that can be decoded. Render it again.")
    return torch.from_numpy(np.stack(frames))


def _rgb(frame: VideoFrame, scaler: VideoReformatter) -> np.ndarray:
    matrix = SCALER_MATRIX.get(int(frame.colorspace), BT601)
    other = BT709 if matrix != BT709 else BT601  # PyAV 14 takes a matrix only where the two differ
    return scaler.reformat(frame, format="rgb24", src_colorspace=matrix, dst_colorspace=other).to_ndarray()


def _npz_array(path: Path, key: str) -> Tensor:
    """One of the two arrays that ``recon --save_frames`` writes, frame by frame into its place."""
    expected = {"color": "(frames, height, width, 3)", "mask": "(frames, height, width)"}[key]
    with NpzFrames(path, (key,)) as array:
        fits = len(array.shape) == 4 and array.shape[3] == 3 if key == "color" else len(array.shape) == 3
        if not fits or 0 in array.shape or array.dtype != np.uint8:
            raise EX4DError(
                f"'{key}' in '{path}' is {array.dtype} {array.shape}; expected uint8 {expected}. Render the "
                "frames again."
            )
        result = empty(array.shape, torch.uint8)
        for target, frame in zip(result.numpy(), array.frames(), strict=True):
            target[...] = frame
    return result
