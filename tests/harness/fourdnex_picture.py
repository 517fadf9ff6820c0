"""Draws the picture of 4DNeX's help pages: the demo scene as colour and as points, in the form that 4DNeX makes.

The geometry is exact; no network has made it. ``python tests/harness/fourdnex_picture.py``
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

TARGET = ROOT / "web" / "docs" / "4dnex.jpg"
WIDTH, HEIGHT, GAP = 720, 480, 8
FARTHEST, CUT = 12.0, 0.02


def points_of(depth: np.ndarray, lens) -> np.ndarray:
    """(T, H, W, 3) in 0..1: the points of a still camera's (T, H, W) depth, as 4DNeX was trained to store them."""
    from harness.points import in_the_cube, unprojected

    still = np.tile(np.eye(4), (len(depth), 1, 1))
    return in_the_cube(unprojected(np.minimum(depth, FARTHEST), lens, still), CUT)[0]


def main() -> None:
    """Write the picture."""
    from ex4d_core.demo_scene import DemoScene

    scene = DemoScene(WIDTH, HEIGHT, 49, samples=2)
    color, depth = (values.numpy() for values in scene.frame(12))
    gap = np.full((HEIGHT, GAP, 3), 40, np.uint8)
    points = points_of(depth[None], scene.intrinsics)[0]
    picture = np.concatenate([color, gap, np.rint(points * 255).astype(np.uint8)], axis=1)
    small = Image.fromarray(picture).resize((picture.shape[1] // 2, HEIGHT // 2), Image.Resampling.LANCZOS)
    small.save(TARGET, quality=88)


if __name__ == "__main__":
    main()
