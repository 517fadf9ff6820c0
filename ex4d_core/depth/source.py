"""What an opened depth file is, whatever it is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from ..errors import EX4DError

Kind = Literal["depth", "disparity"]
"""Planar z, larger = farther; or disparity of any scale, larger = nearer."""
KINDS: tuple[Kind, ...] = get_args(Kind)

GIVE_THE_KIND = (
    "'{}' does not say whether its values are depth or disparity. Give the kind: disparity (brighter = nearer) "
    "or depth (brighter = farther)."
)


class UnknownKind(EX4DError):
    """Depth and disparity look alike, and a file does not say which it holds; the caller can."""


@dataclass(frozen=True)
class DepthSource:
    """A depth file, opened.

    Attributes:
        kind: "depth" (planar z, larger = farther) or "disparity" (larger = nearer, any scale).
        frames: number of maps; None where a video does not say.
        width, height: size of the maps in pixels.
        maps: yields every map in order, (H, W) of any number type; a sample of depth without a surface is infinite.
        matrix: intrinsics in pixels of the maps, (3, 3), or (T, 3, 3) one a map; None where not known.
        path: for messages.
        disparity_range: (min, max) of the disparity that depth was made from; None where not known.
        pixel_aspect: above 1 where the picture was squeezed into maps of this width.
    """

    kind: Kind
    frames: int | None
    width: int
    height: int
    maps: Callable[[], Iterator[np.ndarray]]
    matrix: np.ndarray | None
    path: str
    disparity_range: tuple[float, float] | None = None
    pixel_aspect: float = 1.0

    def of_kind(self, kind: Kind) -> DepthSource:
        """The same file with its numbers taken as another kind."""
        return replace(self, kind=kind)
