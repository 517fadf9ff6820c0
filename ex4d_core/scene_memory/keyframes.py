"""Which frames the memory is made of: those that together show most of what stands still."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .bodies import whole_bodies
from .sights import Sights, Testimony, highest
from .stillness import Rule, judge

PIXELS = 96 * 96
"""Of the small copy of the clip that is looked at."""
NEW = 5e-4
"""A frame that shows less than this share of a picture that no chosen frame shows is not worth it."""
NOISES = 2.5
"""Standard deviations of the depth's noise that are still agreement."""
MOST_NOISE = 0.2
"""Share of depth beyond which nothing is agreement."""
STANDS_OUT = 3
"""How many times what colours may differ by a pixel's surroundings do, where motion could not have gone unnoticed."""
AS_GOOD = 0.9
"""The first frame shows at least this share of what the one that shows most does."""


@dataclass(frozen=True, eq=False)
class Choice:
    """What the small copy told.

    Attributes:
        frames: those chosen, the ones nearer to the middle of the clip first.
        moved: (T, h, w) bool, what moves in every frame.
        bodies: (T, h, w) bool, those of it that move whole.
        still_share: share of the clip's pixels that stands still.
        rule: the one given, as loose in depth as the clip's own noise asks for.
    """

    frames: tuple[int, ...]
    moved: Tensor
    bodies: Tensor
    still_share: float
    rule: Rule


def choose_frames(sights: Sights, most: int, rule: Rule, step: Callable[[], None]) -> Choice:
    """At most ``most`` frames of the clip.

    Args:
        sights: the clip.
        most: frames to choose, at least 1.
        rule: what counts as still.
        step: called T times; may raise.
    """
    small = Sights.of(sights.mesh.coarser(PIXELS))
    noise = min(MOST_NOISE, NOISES * _noise(small, rule))
    rule = replace(rule, depth=max(rule.depth, noise), step=max(rule.step, noise))
    everything = range(small.frames)
    found = judge(small, everything, rule, step)
    telling = found.still & torch.stack([_stands_out(small, t, STANDS_OUT * rule.color) for t in everything])
    depth = torch.stack([small.surface(t) for t in everything])
    bodies = whole_bodies(found.contradicted, telling, depth, rule.step)
    moved = found.moved | bodies
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
    return Choice(tuple(sorted(chosen, key=lambda t: abs(t - middle))), moved, bodies, share, rule)


def _stands_out(sights: Sights, t: int, levels: float) -> Tensor:
    """(H, W) bool, pixels around which some channel's colours range over more than ``levels`` of 255."""
    color = sights.mesh.rgb[t].permute(2, 0, 1).float()
    return (highest(color) + highest(-color)).amax(0) > levels


def _noise(sights: Sights, rule: Rule) -> float:
    """Standard deviation of the share by which the depths of one place differ between neighbouring frames.

    From the median, which what moves or is hidden does not reach.
    """
    away = []
    for t in range(sights.frames - 1):
        told = Testimony.of(sights, t + 1, rule.color)
        look = sights.look(sights.points(t).reshape(-1, 3), t + 1)
        color = sights.mesh.rgb[t].reshape(-1, 3)
        alike = ((color >= told.darkest[look.pixel]) & (color <= told.brightest[look.pixel])).all(-1)
        taken = look.within & alike & sights.known(t).reshape(-1)
        away.append(((told.depth[look.pixel] - look.depth).abs() / look.depth)[taken])
    differences = torch.cat(away) if away else torch.zeros(0)
    return float(differences.median()) / 0.6745 if len(differences) else 0.0


def _shown(sights: Sights, t: int, points: Tensor, still: Tensor, tolerance: float) -> Tensor:
    """(T, N) bool, points of every frame that frame ``t`` shows as still."""
    look = sights.look(points.reshape(-1, 3), t)
    depth = sights.mesh.depth[t].reshape(-1)[look.pixel]
    near = (depth - look.depth).abs() <= 2 * tolerance * look.depth
    return (look.within & near & still[look.pixel]).reshape(points.shape[:2])
