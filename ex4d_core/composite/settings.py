"""Settings of keeping seen pixels, and their choices. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ..errors import EX4DError

Blend = Literal["soft", "hard"]
BLENDS: tuple[Blend, ...] = get_args(Blend)
"""soft fades the rendered colour in over twice the feather, and by degrees with how well a surface was seen; hard
takes it whole up to the feather wherever a surface was seen well enough."""
WIDEST_FEATHER = 128
"""Pixels."""


@dataclass(frozen=True)
class KeepSettings:
    """How much of the rendered colour is kept.

    Attributes:
        strength: 0 leaves the generated video as it is, 1 shows the rendered colour alone where it was seen well.
        feather: pixels from a hole over which it fades in.
        blend: one of ``BLENDS``.
        match_color: bring the generated video's colours to the rendered ones, in holes too.
    """

    strength: float = 1.0
    feather: int = 6
    blend: Blend = "soft"
    match_color: bool = True


def check_settings(settings: KeepSettings) -> None:
    """Refuse what no clip could be kept with.

    Raises:
        EX4DError: a strength outside 0..1, a feather outside 0..128, an unknown choice.
    """
    if not 0 <= settings.strength <= 1:
        raise EX4DError(f"The strength of kept pixels must lie between 0 and 1, got {settings.strength}.")
    if not 0 <= settings.feather <= WIDEST_FEATHER or settings.feather != int(settings.feather):
        raise EX4DError(
            f"The feather must be a whole number of pixels from 0 to {WIDEST_FEATHER}, got {settings.feather}."
        )
    if settings.blend not in BLENDS:
        raise EX4DError(f"blend must be one of {', '.join(BLENDS)}, got {settings.blend!r}.")
