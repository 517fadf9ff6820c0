"""What a viewer's eyes have to do: disparity in shares of the picture's width, and when it is too much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from ..camera import Intrinsics
from .rig import Rig

BEFORE, BEHIND, BUDGET = 1.0, 2.0, 3.0
"""Percent of the width that most shots may reach before and behind the screen, and between the two. Source: BSkyB, "Technical
Guidelines for Plano Stereoscopic (3D) Programme Content", for screens of 46 to 70 inches, which also grants single shots 2.5
and 4 percent. For a head set or a cinema other bounds hold."""
OUTLIERS = 0.01
"""Share of a frame's pixels that is left out at either end, so that no single pixel tells."""
SAMPLED = 2**16
"""Pixels of a frame that are looked at, about."""


@dataclass(frozen=True)
class Disparity:
    """How far apart the two eyes see things: right minus left, in percent of the picture's width; above 0 = behind the screen.

    Attributes:
        nearest: of what is nearest in the whole clip.
        farthest: of what is farthest.
        nearest_frame, farthest_frame: where.
        comfortable: eye distance, in the rig's unit, that would keep the bounds; None where they are kept.
    """

    nearest: float
    farthest: float
    nearest_frame: int
    farthest_frame: int
    comfortable: float | None

    def lines(self) -> list[str]:
        """For people: the numbers, and a warning where they are uncomfortable."""
        told = [
            f"disparity {self.nearest:+.2f} % of the width (frame {self.nearest_frame}) to {self.farthest:+.2f} % (frame "
            f"{self.farthest_frame}); above 0 = behind the screen"
        ]
        if self.comfortable is not None:
            told.append(
                f"Uncomfortable on a TV: most shots keep within -{BEFORE:g} and +{BEHIND:g} %, {BUDGET:g} % in all (BSkyB). An "
                f"eye distance of {self.comfortable:.3g} would, or another convergence."
            )
        return told


def measure_disparity(depth: Tensor, lenses: Sequence[Intrinsics], rig: Rig) -> Disparity | None:
    """Disparity of a clip from the depth of one of its eyes.

    Args:
        depth: (T, H, W) planar depth of either eye; 0 = hole.
        lenses: T lenses, for that size.
        rig: that it was rendered with.

    Returns:
        None where nothing was seen at all.
    """
    rows = []
    for t, (frame, lens) in enumerate(zip(depth, lenses, strict=True)):
        step = max(1, int((frame.numel() / SAMPLED) ** 0.5))
        seen = frame[::step, ::step]
        inverse = seen[seen > 0].reciprocal().sort().values
        if len(inverse):
            cut = int(OUTLIERS * len(inverse))
            unit = 100 * lens.fx * rig.distance / lens.width
            ends = [unit * (1 / rig.convergence - float(inverse[at])) for at in (len(inverse) - 1 - cut, cut)]
            rows.append((*ends, t))
    if not rows:
        return None
    nearest, farthest = min(rows), max(rows, key=lambda row: row[1])
    scale = min(_share(BEFORE, -nearest[0]), _share(BEHIND, farthest[1]), _share(BUDGET, farthest[1] - nearest[0]))
    comfortable = scale * rig.eye_distance if scale < 1 else None
    return Disparity(nearest[0], farthest[1], nearest[2], farthest[2], comfortable)


def _share(bound: float, reached: float) -> float:
    return bound / reached if reached > bound else 1.0
