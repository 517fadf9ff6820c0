"""Draws the picture of 4DNeX's help pages: the demo scene as colour and as points, in the form that 4DNeX makes.

The geometry is exact; no network has made it. ``python tests/harness/fourdnex_picture.py``
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "web" / "docs" / "4dnex.jpg"
WIDTH, HEIGHT, GAP = 720, 480, 8


def points_of(depth: np.ndarray, focal: float) -> np.ndarray:
    """(H, W, 3) in 0..1: points of one frame, clipped to their 2..98 percentile on each axis and fitted into the cube."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    points = np.stack([(columns - WIDTH / 2) / focal * depth, (rows - HEIGHT / 2) / focal * depth, depth], axis=-1)
    low, high = np.percentile(points, [2, 98], axis=(0, 1))
    points = points.clip(low, high)
    return (points - (low + high) / 2) / (high - low).max() + 0.5


def main() -> None:
    """Write the picture."""
    sys.path.insert(0, str(ROOT))
    from ex4d_core.demo_scene import DemoScene

    scene = DemoScene(WIDTH, HEIGHT, 49, samples=2)
    color, depth = (values.numpy() for values in scene.frame(12))
    gap = np.full((HEIGHT, GAP, 3), 40, np.uint8)
    points = points_of(np.minimum(depth, 12.0), scene.intrinsics.fx)
    picture = np.concatenate([color, gap, np.rint(points * 255).astype(np.uint8)], axis=1)
    small = Image.fromarray(picture).resize((picture.shape[1] // 2, HEIGHT // 2), Image.Resampling.LANCZOS)
    small.save(TARGET, quality=88)


if __name__ == "__main__":
    main()
