"""The choices that masks leave, each with what the paper says of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ...errors import EX4DError

PlainKind = Literal["rendering", "tracking", "both", "random", "visible_mesh"]
"""``rendering``: what the clip's mesh hides from a camera that moves around it. ``tracking``: blocks that follow the
motion. ``both``: a pixel is seen where both say so. For comparison, as in the paper's table 3: ``random``, blocks that
follow nothing, and ``visible_mesh``, a mesh without its hidden faces, which is our reading of "without DW-Mesh"."""
MaskKind = Literal["mixed"] | PlainKind
MASK_KINDS: tuple[MaskKind, ...] = ("mixed", *get_args(PlainKind))

Sweep = Literal["mixed", "published", "from_source", "uniform"]
"""Where the camera of a rendering mask goes. ``published``: from -90 to 90 degrees over the clip (section 3.2).
``from_source``: from the source's view to an angle drawn from that range, so that the first frame is complete, as the
sampler has it. ``uniform``: every frame its own angle (A.3). ``mixed``: the first two, half and half."""
SWEEPS: tuple[Sweep, ...] = get_args(Sweep)

Dilation = Literal["seen", "holes", "off"]
"""What the 5x5 dilation of A.3 grows. It is meant to drop single noisy pixels and to keep the large holes, which growing
what is seen does; the sentence can also be read the other way."""
DILATIONS: tuple[Dilation, ...] = get_args(Dilation)


@dataclass(frozen=True)
class MaskSettings:
    """How masks are made.

    Attributes:
        kind: one kind for every clip, or "mixed", drawn for each by the shares below.
        rendering_share, tracking_share, both_share: of the three kinds in "mixed"; the paper says only that both kinds
            matter. They are compared with one another and need not add up to 1.
        sweep: where the camera of a rendering mask goes.
        angle: largest angle of the sweep, degrees.
        dilation: what the box of the dilation grows.
        kernel: its side in pixels.
        grid: least and greatest number of tracked points along a side; the paper's.
        hidden_share: least and greatest share of the points that are hidden.
        block: least and greatest side of a hidden block, in cells of the grid.
    """

    kind: MaskKind = "mixed"
    rendering_share: float = 0.5
    tracking_share: float = 0.4
    both_share: float = 0.1
    sweep: Sweep = "mixed"
    angle: float = 90.0
    dilation: Dilation = "seen"
    kernel: int = 5
    grid: tuple[int, int] = (10, 50)
    hidden_share: tuple[float, float] = (0.2, 0.6)
    block: tuple[float, float] = (0.6, 1.6)

    def __post_init__(self) -> None:
        for name, value, choices in (
            ("kind", self.kind, MASK_KINDS),
            ("sweep", self.sweep, SWEEPS),
            ("dilation", self.dilation, DILATIONS),
        ):
            if value not in choices:
                raise EX4DError(f"{name} must be one of {', '.join(choices)}, got {value!r}.")
        shares = self.shares
        if min(shares) < 0 or sum(shares) <= 0:
            raise EX4DError(f"The shares of mask kinds must not be negative and one must be positive, got {shares}.")
        if not 0 < self.angle <= 180:
            raise EX4DError(f"The sweep's angle must lie between 0 and 180 degrees, got {self.angle:g}.")
        if self.kernel < 1:
            raise EX4DError(f"The dilation's box must be at least 1 pixel wide, got {self.kernel}.")
        for name, (low, high), least, most in (
            ("grid", self.grid, 2, 200),
            ("hidden_share", self.hidden_share, 0, 1),
            ("block", self.block, 0, 100),
        ):
            if not least <= low <= high <= most:
                raise EX4DError(f"{name} must be two rising numbers of {least} to {most}, got {low} and {high}.")

    @property
    def shares(self) -> tuple[float, float, float]:
        """Of rendering, tracking and both."""
        return self.rendering_share, self.tracking_share, self.both_share
