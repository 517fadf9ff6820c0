"""How much of what a clip's frames saw a render shows, and what of it is wrong: a scene's memory against exact truth."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..demo_scene import DemoScene
from ..demo_scene.truth import SAME_SURFACE, look_up
from ..holes.masks import erode
from .metrics import RIM


@dataclass(frozen=True)
class MemoryGrade:
    """Counts of pixels over any number of pictures; add them up.

    Attributes:
        pixels: in all.
        own: still surfaces that the frame's own mesh shows rightly.
        shown: those that are shown rightly with the memory.
        best: still surfaces that some frame of the clip sees, by exact visibility.
        new: pixels that came from memory.
        wrong: of these, with another depth than the truth (by 2 %).
        ghosts: of these, that show something which moves.
        inside: new pixels two pixels away from any other, on the right surface.
        error: their squared error summed, a channel's mean, of 255.
    """

    pixels: int = 0
    own: int = 0
    shown: int = 0
    best: int = 0
    new: int = 0
    wrong: int = 0
    ghosts: int = 0
    inside: int = 0
    error: float = 0.0

    def __add__(self, other: MemoryGrade) -> MemoryGrade:
        return MemoryGrade(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))

    @property
    def without_memory(self) -> float:
        """Share of the best possible."""
        return self.own / max(1, self.best)

    @property
    def with_memory(self) -> float:
        """Share of the best possible."""
        return self.shown / max(1, self.best)

    @property
    def wrong_share(self) -> float:
        """Of the new pixels."""
        return self.wrong / max(1, self.new)

    @property
    def ghost_share(self) -> float:
        """Of all pixels."""
        return self.ghosts / max(1, self.pixels)

    @property
    def psnr(self) -> float:
        """Of new pixels two pixels inside and on the right surface, dB."""
        return -10 * math.log10(self.error / max(1, self.inside) / 255**2) if self.error > 0 else math.inf


@dataclass(frozen=True, eq=False)
class Seen:
    """The truth from one camera at one frame: colour (H, W, 3), depth (H, W), and still surfaces that some frame saw."""

    color: Tensor
    depth: Tensor
    still: Tensor
    best: Tensor


def seen_by_all(scene: DemoScene, source: tuple[Tensor, Tensor], t: int, world_to_camera: np.ndarray) -> Seen:
    """The truth, and the best that any memory of all frames could show of it.

    Args:
        scene: what is filmed.
        source: ``scene.clip()``.
        t: frame.
        world_to_camera: (4, 4) of the new camera.
    """
    color, depth = scene.frame(t, world_to_camera)
    still = scene.still(t, world_to_camera)
    visible = torch.zeros_like(still)
    for s in range(scene.frames):
        to_camera = world_to_camera @ np.linalg.inv(scene.source_pose(s))
        lenses = scene.intrinsics, scene.source_lens(s)
        visible |= look_up(source[0][s], source[1][s], depth, to_camera, *lenses)[1]
    return Seen(color, depth, still, visible & still)


def grade_memory(
    color: Tensor, mask: Tensor, depth: Tensor, remembered: Tensor, moving: Tensor, truth: Seen
) -> MemoryGrade:
    """One picture with memory against the truth.

    Args:
        color: (H, W, 3) uint8.
        mask: (H, W), 0 = hole.
        depth: (H, W) planar depth.
        remembered: (H, W), 0 = not from memory.
        moving: (H, W) bool, what shows something that moves.
        truth: from the same camera at the same frame.
    """
    new = remembered > 0
    right = (mask > 0) & ((depth / truth.depth - 1).abs() < SAME_SURFACE)
    inside = erode(new[None].to(torch.uint8) * 255, RIM)[0] > 0
    inside &= right
    squared = (color.float() - truth.color.float()).square().mean(-1)
    return MemoryGrade(
        pixels=new.numel(),
        own=int((right & ~new & truth.still).sum()),
        shown=int((right & truth.still).sum()),
        best=int(truth.best.sum()),
        new=int(new.sum()),
        wrong=int((new & ~right).sum()),
        ghosts=int((new & moving).sum()),
        inside=int(inside.sum()),
        error=float(squared[inside].double().sum()),
    )
