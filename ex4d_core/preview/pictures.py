"""Single pictures for the eye: at another size, as JPEG and back. By Pillow and torch, which every ComfyUI has."""

from __future__ import annotations

import io

import numpy as np
import torch

from ..errors import EX4DError


def shrink(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """A picture (H, W) or (H, W, C) at another size, as a rule a smaller one: (height, width) or (height, width, C).

    Args:
        picture: uint8; float32 too where it has no channels.
        width: of the result, in pixels.
        height: likewise.
    """
    from PIL import Image

    # Averaging whole pixels first and interpolating the rest is several times faster than averaging fractions of pixels.
    step = max(1, min(picture.shape[0] // height, picture.shape[1] // width))
    if step > 1:
        rows, columns = picture.shape[0] // step * step, picture.shape[1] // step * step
        picture = np.asarray(Image.fromarray(picture[:rows, :columns]).reduce(step))
    if picture.shape[:2] == (height, width):
        return picture
    planes = torch.from_numpy(np.array(picture, copy=not picture.flags.writeable))
    planes = planes[None, None] if picture.ndim == 2 else planes.permute(2, 0, 1)[None]
    planes = torch.nn.functional.interpolate(planes, (height, width), mode="bilinear", antialias=True)[0]
    return (planes[0] if picture.ndim == 2 else planes.permute(1, 2, 0)).numpy()


def jpeg(rgb: np.ndarray, quality: int) -> bytes:
    """A picture (H, W, 3) uint8 as JPEG without chroma subsampling; quality 1..100."""
    from PIL import Image

    data = io.BytesIO()
    Image.fromarray(rgb).save(data, "JPEG", quality=quality, subsampling="4:4:4")
    return data.getvalue()


def from_jpeg(data: bytes) -> np.ndarray:
    """(H, W, 3) uint8.

    Raises:
        EX4DError: no JPEG, or one that ends too early.
    """
    from PIL import Image

    try:
        return np.asarray(Image.open(io.BytesIO(data), formats=["JPEG"]).convert("RGB"))
    except (OSError, SyntaxError) as error:
        raise EX4DError(f"A picture of {len(data)} bytes cannot be read as JPEG: {error}.") from error
