"""Reading the colour and mask videos that ``recon`` or the published code has written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import EX4DError
from ..machine.buffers import empty
from ..storage.npz import NpzFrames
from ..video.colour import BT601, BT709, SCALER_MATRIX


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
    import av
    from av.error import FFmpegError
    from av.video.reformatter import VideoReformatter

    if not path.is_file():
        raise EX4DError(f"There is no video at {path}.")
    scaler, frames = VideoReformatter(), []
    try:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                matrix = SCALER_MATRIX.get(int(frame.colorspace), BT601)
                other = BT709 if matrix != BT709 else BT601  # PyAV 14 takes a matrix only where the two differ
                picture = scaler.reformat(frame, format="rgb24", src_colorspace=matrix, dst_colorspace=other)
                frames.append(picture.to_ndarray())
    except (FFmpegError, IndexError) as error:  # no stream of pictures is an IndexError
        raise EX4DError(f"{path.name} cannot be decoded as a video ({error}); render it again.") from error
    if not frames:
        raise EX4DError(f"{path.name} holds no frame that can be decoded; render it again.")
    return torch.from_numpy(np.stack(frames))


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
