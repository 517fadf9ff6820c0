"""Which pixels show what stands still: confirmed by other frames, and contradicted by none of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from .bodies import over_surface
from .sights import Sights, Testimony
from .surface import STEP

Strictness = Literal["strict", "normal", "loose"]
STRICTNESS: tuple[Strictness, ...] = get_args(Strictness)


@dataclass(frozen=True)
class Rule:
    """When a frame confirms or contradicts another.

    Attributes:
        depth: share by which depths may differ and still agree.
        color: levels of 255 by which a colour may leave the range of the pixels around.
        seen_through: share of the frames that saw a place, of which so many may have seen something behind it.
        recoloured: share of those who agree in depth that may have seen another colour.
        witnesses: frames that have to agree, at least.
        step: share of depth up to which neighbouring pixels are on one surface.
    """

    depth: float
    color: int
    seen_through: float
    recoloured: float
    witnesses: int
    step: float = STEP


RULES: dict[Strictness, Rule] = {
    "strict": Rule(depth=0.01, color=16, seen_through=0.0, recoloured=0.1, witnesses=3),
    "normal": Rule(depth=0.01, color=20, seen_through=0.02, recoloured=0.2, witnesses=2),
    "loose": Rule(depth=0.04, color=40, seen_through=0.1, recoloured=0.3, witnesses=1),
}


@dataclass(frozen=True, eq=False)
class Judgement:
    """Pixels of K frames.

    Attributes:
        still: (K, H, W) bool, confirmed and not contradicted.
        moved: (K, H, W) bool, contradicted, with the surface around these pixels. Neither: nobody else saw it.
        contradicted: (K, H, W) bool.
        depth: (K, H, W) float32, the geometric mean of a pixel's depth and of what the frames that agree with it say it is.
    """

    still: Tensor
    moved: Tensor
    contradicted: Tensor
    depth: Tensor


def judge(
    sights: Sights, frames: Sequence[int], rule: Rule, step: Callable[[], None], known: Tensor | None = None
) -> Judgement:
    """What stands still in some frames; every frame of the clip is asked.

    A thing that rests for half of the clip is contradicted by the other half, and so is never taken to be still.

    Args:
        sights: the clip.
        frames: K of its frames, whose pixels are judged.
        rule: what counts.
        step: called once a frame asked; may raise.
        known: (K, h, w) bool of a coarser grid, what is already known to move in these frames.
    """
    size = sights.mesh.height * sights.mesh.width
    points = [sights.points(t).reshape(-1, 3) for t in frames]
    colors = [sights.mesh.rgb[t].reshape(-1, 3) for t in frames]
    agree, through, other = (
        torch.zeros((len(frames), size), dtype=torch.int16, device=sights.mesh.device) for _ in range(3)
    )
    away = torch.zeros((len(frames), size), device=sights.mesh.device)  # sum of the logarithms of depths over this one
    for witness in range(sights.frames):
        step()
        told = Testimony.of(sights, witness, rule.color)
        for k, t in enumerate(frames):
            if t == witness:
                continue
            look = sights.look(points[k], witness)
            theirs = told.depth[look.pixel]
            same = look.within & ((theirs - look.depth).abs() <= rule.depth * look.depth)
            behind = look.within & (told.nearest[look.pixel] > (1 + rule.depth) * look.depth)
            alike = ((colors[k] >= told.darkest[look.pixel]) & (colors[k] <= told.brightest[look.pixel])).all(-1)
            agree[k] += same & alike
            away[k] += torch.where(same & alike, theirs / look.depth, 1).log_()
            other[k] += same & ~alike
            through[k] += behind
    seen = agree + other
    contradicted = (through > rule.seen_through * seen) | (other > rule.recoloured * seen)
    contradicted = contradicted.reshape(len(frames), *sights.inside.shape)
    still, moved = [], []
    for k, t in enumerate(frames):
        whole = over_surface(contradicted[k], sights.surface(t), None if known is None else known[k], rule.step)
        confirmed = (agree[k] >= min(rule.witnesses, sights.frames - 1)).reshape(sights.inside.shape)
        moved.append(whole)
        still.append(confirmed & ~whole & sights.known(t))
    if sights.frames == 1:  # nobody else saw anything
        still = [torch.zeros_like(part) for part in still]
    factor = (away / (agree + 1)).exp_().reshape(contradicted.shape)
    mean = torch.stack([sights.mesh.depth[t] for t in frames]) * factor
    return Judgement(torch.stack(still), torch.stack(moved), contradicted, mean)
