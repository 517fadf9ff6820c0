"""Which points of a map are sky.

A network that gives every pixel a point gives the sky one too: a smooth shell behind everything. One distance for the clip, from
which on points are sky, is found where all of this holds:

* the farthest points lie together, at about one depth, with little between them and the rest;
* they are several times as far as the nearer quarter of what else the picture shows;
* they come down from the picture's upper edge;
* their colours are smooth.

None of it alone would do: a far wall is far, a ceiling comes down from the edge, and white paint is smooth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .clip import PointMap

COLUMNS, FRAMES = 128, 16
"""Of the small pictures on which it is decided, about, and so many of the clip's frames at most."""
FARTHEST = 0.98
"""Quantile of the depths that counts as the far end: 4DNeX cuts off the outer 2 %."""
THICKNESS = 1.6
"""Factor between the far end and the nearest sky: a dome's planar depth falls towards the corners, and no network keeps to it."""
FAR = 5.0
"""Least median depth of a sky, in depths of the rest's nearer quarter: 2 to 4 for walls of rooms, 8 and more for most skies."""
NEARER = 0.25
BETWEEN = 0.6
"""Most points in the next `THICKNESS` towards the camera, as a share of the sky's: more is ground that goes on and on."""
COMES_DOWN = 0.25
"""Least share of the sky above which there is nothing else: clouds, crowns and gates hide the rest from the edge."""
SMOOTH = 4.0
"""Largest median change of grey from pixel to pixel of the small pictures, in levels of 255, both directions together."""
LEAST = 0.002
"""Share of the points under which nothing is decided."""


def nearest_sky(pointmap: PointMap, depth: Tensor) -> float | None:
    """The depth from which on a point map's points are sky.

    Args:
        pointmap: T frames, the pictures upright.
        depth: (T, H, W) planar depth along its rays, in any unit (`depth_along_rays`).

    Returns:
        In the depth's unit; None where there is no sky, or none that is told from a wall.
    """
    small = _Small.of(pointmap, depth)
    seen = small.depth[small.known]
    if not len(seen):
        return None
    limit = float(seen.quantile(FARTHEST)) / THICKNESS
    sky = small.known & (small.depth >= limit)
    rest = small.known & ~sky
    count = int(sky.sum())
    if count < LEAST * len(seen) or int(rest.sum()) < LEAST * len(seen):
        return None
    far = float(small.depth[sky].median()) / float(small.depth[rest].quantile(NEARER))
    between = int((rest & (small.depth >= limit / THICKNESS)).sum()) / count
    down = int(sky.long().cumprod(dim=1).sum()) / count
    fits = far >= FAR and between <= BETWEEN and down >= COMES_DOWN and small.change_within(sky) <= SMOOTH
    return limit if fits else None


@dataclass(frozen=True, eq=False)
class _Small:
    """Depth, where it is known, and grey levels of small pictures, (t, h, w)."""

    depth: Tensor
    known: Tensor
    grey: Tensor

    @classmethod
    def of(cls, pointmap: PointMap, depth: Tensor) -> _Small:
        step = max(1, min(round(pointmap.width / COLUMNS), *depth.shape[1:]))
        frames = slice(None, None, math.ceil(len(depth) / FRAMES))
        middle = slice(step // 2, None, step)
        small = depth[frames, middle, middle].cpu()
        grey = torch.stack([F.avg_pool2d(of.float().mean(-1)[None], step)[0] for of in pointmap.colors[frames].cpu()])
        height, width = grey.shape[1:]
        small = small[:, :height, :width]
        return cls(small, torch.isfinite(small) & (small > 0), grey)

    def change_within(self, area: Tensor) -> float:
        """Median change of grey from each pixel to its right and lower neighbours, inside an area; infinite where it has none."""
        change = self.grey.diff(dim=2)[:, :-1].abs() + self.grey.diff(dim=1)[:, :, :-1].abs()
        inside = area[:, :-1, :-1] & area[:, :-1, 1:] & area[:, 1:, :-1]
        return float(change[inside].median()) if bool(inside.any()) else math.inf
