"""Reading the colour and mask videos that ``recon`` or the published code has written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import EX4DError
from ..machine import opencv


def read_color_and_mask(color: str | Path, mask: str | Path | None) -> tuple[Tensor, Tensor]:
    """A rendered pair.

    Args:
        color: a video, or the lossless ``frames_*.npz`` of ``recon --save_frames``, which holds both.
        mask: the mask video, white = seen; None only for an .npz.

    Returns:
        colour (T, H, W, 3) uint8 and mask (T, H, W) uint8 0..255.
    """
    color = Path(color)
    if color.suffix == ".npz":
        frames, seen = _npz(color)
        return frames, _video(Path(mask))[..., 0] if mask is not None else seen
    if mask is None:
        raise EX4DError("A colour video needs its mask video beside it: give --mask_video.")
    return _video(color), _video(Path(mask))[..., 0]


def _video(path: Path) -> Tensor:
    """(T, H, W, 3) uint8, decoded as the published code does (by OpenCV), so that its results can be repeated."""
    cv2 = opencv.load()
    if not path.is_file():
        raise EX4DError(f"There is no video at {path}.")
    capture, frames = cv2.VideoCapture(str(path)), []
    try:
        while True:
            there, frame = capture.read()
            if not there:
                break
            frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
    finally:
        capture.release()
    if not frames:
        raise EX4DError(f"{path.name} holds no frame that can be decoded; render it again.")
    return torch.from_numpy(np.stack(frames))


def _npz(path: Path) -> tuple[Tensor, Tensor]:
    try:
        with np.load(path, allow_pickle=False) as data:
            color, mask = data["color"], data["mask"]
    except (OSError, KeyError, ValueError) as error:
        raise EX4DError(
            f"{path} cannot be read as frames (color and mask), as recon --save_frames writes them."
        ) from error
    return torch.from_numpy(color), torch.from_numpy(mask)
