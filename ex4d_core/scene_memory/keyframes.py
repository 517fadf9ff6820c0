"""Which frames the memory is made of: those that together show most of what stands still."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .bodies import whole_bodies
from .sights import Sights
from .stillness import Rule, judge

PIXELS = 96 * 96
"""Of the small copy of the clip that is looked at."""
NEW = 5e-4
"""A frame that shows less than this share of a picture that no chosen frame shows is not worth it."""
AS_GOOD = 0.9
"""The first frame shows at least this share of what the one that shows most does."""


@dataclass(frozen=True, eq=False)
class Choice:
    """What the small copy told.

    Attributes:
        frames: those chosen, the ones nearer to the middle of the clip first.
        moved: (T, h, w) bool, what moves in every frame.
        still_share: share of the clip's pixels that stands still.
    """

    frames: tuple[int, ...]
    moved: Tensor
    still_share: float


def choose_frames(sights: Sights, most: int, rule: Rule, step: Callable[[], None]) -> Choice:
    """At most ``most`` frames of the clip.

    Args:
        sights: the clip.
        most: frames to choose, at least 1.
        rule: what counts as still.
        step: called T times; may raise.
    """
    small = Sights.of(sights.mesh.coarser(PIXELS))
    everything = range(small.frames)
    found = judge(small, everything, rule, step)
    moved = found.moved | whole_bodies(found.moved, torch.stack([small.surface(t) for t in everything]))
    still = (found.still & ~moved).flatten(1)
    points = torch.stack([small.points(t).reshape(-1, 3) for t in everything])
    middle = (small.frames - 1) / 2
    left, chosen = still.clone(), []
    while len(chosen) < most:
        gain = left.sum(1).tolist()
        good = [t for t in everything if gain[t] >= AS_GOOD * max(gain)]
        pick = gain.index(max(gain)) if chosen else min(good, key=lambda t: abs(t - middle))
        if gain[pick] <= NEW * still.shape[1]:
            break
        chosen.append(pick)
        left &= ~_shown(small, pick, points, still[pick], rule.depth)
        left[pick] = False
    share = float(still.float().mean()) / max(1e-9, float(small.inside.float().mean()))
    return Choice(tuple(sorted(chosen, key=lambda t: abs(t - middle))), moved, share)


def _shown(sights: Sights, t: int, points: Tensor, still: Tensor, tolerance: float) -> Tensor:
    """(T, N) bool, points of every frame that frame ``t`` shows as still."""
    look = sights.look(points.reshape(-1, 3), t)
    depth = sights.mesh.depth[t].reshape(-1)[look.pixel]
    near = (depth - look.depth).abs() <= 2 * tolerance * look.depth
    return (look.within & near & still[look.pixel]).reshape(points.shape[:2])
