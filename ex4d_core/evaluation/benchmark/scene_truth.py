"""All that a case of a benchmark tells of one range, for judging a single video by it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ...errors import EX4DError
from ..adherence import Asked, radius_of
from ..occlusion import Hidden
from .behind import hidden_behind
from .cases import TARGET, read_source, read_target


@dataclass(frozen=True, eq=False)
class SceneTruth:
    """What a result should be, (T, H, W, 3) uint8; the shot, and what must stay hidden, None where the set has no depth."""

    truth: Tensor
    asked: Asked | None
    hidden: Hidden | None


def scene_truth(file: Path) -> SceneTruth:
    """Of a case's ``target_<range>.npz``, with the source.npz beside it.

    Raises:
        EX4DError: another file, or one that is missing or damaged.
    """
    span = file.stem.removeprefix(TARGET)
    if not file.stem.startswith(TARGET) or file.suffix != ".npz":
        raise EX4DError(f"A scene is a case's {TARGET}<range>.npz, got '{file.name}'.")
    source = read_source(file.parent.parent, file.parent.name)
    truth = read_target(file.parent.parent, file.parent.name, span)
    if not (source.has_depth and truth.has_depth):
        return SceneTruth(truth.rgb, None, None)
    asked = Asked(truth.path, truth.depth, radius_of(source.depth))
    return SceneTruth(truth.rgb, asked, hidden_behind(source, truth))
