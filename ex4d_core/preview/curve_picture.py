"""Numbers over the frames of a clip as a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIZE = (960, 360)
LEFT, RIGHT, TOP, BOTTOM = 62, 120, 34, 36
"""Pixels around the plot."""
BACKGROUND, GRID, TEXT = (18, 20, 24), (48, 53, 62), (224, 228, 235)
COLORS = ((240, 244, 250), (96, 200, 255), (255, 150, 66), (190, 130, 255), (120, 220, 140), (255, 110, 150))
LINES = 4
"""Between the lowest and the highest number."""


def draw_curves(curves: Mapping[str, Sequence[float]], title: str) -> np.ndarray:
    """One line a series, over frames from 0 on; what is no finite number is left out of its line.

    Args:
        curves: numbers by name, at most six.
        title: above, with the unit.

    Returns:
        (H, W, 3) uint8.
    """
    width, height = SIZE
    picture = Image.new("RGB", SIZE, BACKGROUND)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(13)
    known = [value for values in curves.values() for value in values if math.isfinite(value)]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    high = high if high > low else low + 1
    last = max(1, max((len(values) for values in curves.values()), default=1) - 1)

    def place(t: int, value: float) -> tuple[float, float]:
        x = LEFT + (width - LEFT - RIGHT) * t / last
        return x, height - BOTTOM - (height - TOP - BOTTOM) * (value - low) / (high - low)

    draw.text((LEFT, 8), title if known else f"{title}: nothing differs", font=font, fill=TEXT)
    for step in range(LINES + 1):
        value = low + (high - low) * step / LINES
        y = place(0, value)[1]
        draw.line([(LEFT, y), (width - RIGHT, y)], fill=GRID)
        draw.text((LEFT - 8, y), f"{value:.4g}", font=font, fill=TEXT, anchor="rm")
    for t in (0, last):
        draw.text((place(t, low)[0], height - BOTTOM + 8), f"{t}", font=font, fill=TEXT, anchor="mt")
    draw.text(((LEFT + width - RIGHT) / 2, height - BOTTOM + 8), "frame", font=font, fill=TEXT, anchor="mt")
    for number, (name, values) in enumerate(curves.items()):
        color = COLORS[number % len(COLORS)]
        for run in _runs(values):
            points = [place(t, values[t]) for t in run]
            if len(points) > 1:
                draw.line(points, fill=color, width=2, joint="curve")
            else:
                x, y = points[0]
                draw.ellipse([x - 2, y - 2, x + 2, y + 2], fill=color)
        draw.text((width - RIGHT + 12, TOP + 18 * number), name, font=font, fill=color)
    return np.asarray(picture)


def _runs(values: Sequence[float]) -> list[list[int]]:
    """Numbers of neighbouring frames with a finite value."""
    runs: list[list[int]] = []
    for t, value in enumerate(values):
        if math.isfinite(value):
            if runs and runs[-1][-1] == t - 1:
                runs[-1].append(t)
            else:
                runs.append([t])
    return runs
