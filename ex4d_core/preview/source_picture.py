"""A picture of a solved source camera: the points that were followed over a frame, and the camera's path from above."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from ..trajectory import Trajectory
from .path_picture import draw_trajectory
from .pictures import shrink

HEIGHT = 460
"""Pixels of both halves."""
PATH_WIDTH = 720
STILL, MOVING = (110, 232, 148), (255, 96, 150)
"""Colours of points that stand still and of those that move by themselves, or were of no use."""
DIMMED = 0.55
"""Brightness of the frame beneath, so that the tracks stand out."""


def draw_source_camera(
    frame: np.ndarray,
    position: np.ndarray,
    still: np.ndarray,
    camera: Trajectory,
    *,
    points: np.ndarray | None = None,
    colors: np.ndarray | None = None,
    radius: float | None = None,
) -> np.ndarray:
    """Draws what a solution rests on, and what came of it.

    Args:
        frame: (H, W, 3) uint8, the clip's first.
        position: (N, T, 2) places of the points, pixels with centres at +0.5; NaN where a point is not seen.
        still: (N,) bool, those that the solution rests on.
        camera: the source camera.
        points: (M, 3) of the scene, world; None = no scene.
        colors: (M, 3) uint8, theirs.
        radius: scale of the scene; None = the path's own.

    Returns:
        (460, w, 3) uint8: the frame with every track from its first to its last place, beside the path in two views.
    """
    height, width = frame.shape[:2]
    scale = HEIGHT / height
    picture = Image.fromarray((shrink(frame, round(width * scale), HEIGHT) * DIMMED).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for kind, color in ((False, MOVING), (True, STILL)):
        for track in position[still == kind]:
            line = track[np.isfinite(track[:, 0])] * scale
            if len(line) < 2:
                continue
            draw.line([tuple(point) for point in line.tolist()], fill=color, width=1)
            x, y = line[-1].tolist()
            draw.ellipse((x - 1.5, y - 1.5, x + 1.5, y + 1.5), fill=color)
    path = draw_trajectory(camera, points=points, colors=colors, radius=radius, size=(PATH_WIDTH, HEIGHT))
    return np.concatenate([np.asarray(picture), path], axis=1)
