"""A picture with the faces of a mesh drawn over it."""

from __future__ import annotations

import numpy as np

SHORT_SIDE = 720
"""Pixels that the drawing has at least on its shorter side, so that small faces can be told apart."""
LINE, STRENGTH = (255, 255, 255), 0.45


def draw_wireframe(picture: np.ndarray, points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """The picture, enlarged where it is small, under the edges of faces.

    Args:
        picture: (H, W, 3) uint8.
        points: (V, 2) places in it, 0..1 from the upper left corner.
        faces: (F, 3) indices of them.

    Returns:
        (h, w, 3) uint8.
    """
    from PIL import Image, ImageDraw

    height, width = picture.shape[:2]
    times = max(1, -(-SHORT_SIDE // min(height, width)))
    size = width * times, height * times
    ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    ends = np.unique(np.sort(ends, axis=1), axis=0)
    lines = (points * size)[ends].reshape(-1, 4)
    mask = Image.new("L", size)
    draw = ImageDraw.Draw(mask)
    for line in lines.tolist():
        draw.line(line, fill=round(255 * STRENGTH))
    shown = Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC)
    shown.paste(LINE, (0, 0, *size), mask)
    return np.asarray(shown)
