"""Where the two eyes of a camera path are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from ..camera import Intrinsics, is_finite
from ..errors import EX4DError
from ..trajectory import Trajectory

Unit = Literal["scene units", "mm"]
UNITS: tuple[Unit, ...] = get_args(Unit)
Hero = Literal["both", "left", "right"]
HEROES: tuple[Hero, ...] = get_args(Hero)
EYES_APART_MM = 63.0
"""Mean distance of the pupils of adults (Dodgson, "Variation and extrema of human interpupillary distance", 2004)."""


@dataclass(frozen=True)
class Rig:
    """Two parallel cameras whose pictures are shifted, so that nothing is keystoned.

    Attributes:
        eye_distance: between the two cameras, > 0.
        unit: of ``eye_distance``: scene units, or millimetres where the scene's unit is the metre (metric depth).
        convergence: distance, in scene units, that lies on the screen; what is nearer stands before it. Infinity = parallel
            pictures, everything before the screen.
        hero: which eye stands on the path itself; "both" puts one on either side of it.

    Raises:
        EX4DError: an eye distance that is not above 0, a convergence that is not ahead of the camera, an unknown choice.
    """

    eye_distance: float
    unit: Unit = "scene units"
    convergence: float = float("inf")
    hero: Hero = "both"

    def __post_init__(self) -> None:
        if not is_finite(self.eye_distance) or self.eye_distance <= 0:
            raise EX4DError(
                f"The eyes must be apart, but eye_distance is {self.eye_distance}. Give more than 0: about a thirtieth of the "
                f"nearest distance, or {EYES_APART_MM:g} mm where the depth is in metres."
            )
        if not self.convergence > 0:
            raise EX4DError(
                f"A convergence of {self.convergence} lies behind the camera or in it. Give the distance ahead of it that is to "
                "lie on the screen."
            )
        for name, value, choices in (("unit", self.unit, UNITS), ("hero", self.hero, HEROES)):
            if value not in choices:
                raise EX4DError(f"{name} is one of {', '.join(choices)}; got {value!r}.")

    @property
    def distance(self) -> float:
        """Between the eyes, in scene units."""
        return self.eye_distance / 1000 if self.unit == "mm" else self.eye_distance

    @property
    def offsets(self) -> tuple[float, float]:
        """Of the left and the right eye from the path, to the right, in scene units."""
        left = {"both": -0.5, "left": 0.0, "right": -1.0}[self.hero] * self.distance
        return left, left + self.distance


def two_eyes(path: Trajectory, rig: Rig, shown: tuple[int, ...] | None = None) -> tuple[Trajectory, Trajectory]:
    """The left and the right eye's path.

    Both look where the path looks. An eye that stands ``offset`` to the right of the path has its principal point moved by
    ``fx * offset / convergence``, which brings what lies at that distance to the same place in both pictures.

    Args:
        path: with a lens for every frame (``Trajectory.for_scene``).
        rig: where the eyes are.
        shown: frames of the clip that the path shows, kept since the eyes have no document; None = its own numbers.

    Returns:
        Two paths of poses and lenses, in the path's own frame of reference.

    Raises:
        EX4DError: a path without lenses.

    Example:
        >>> path = Trajectory.preset("static", frames=1).for_scene(Intrinsics.default(512, 512))
        >>> left, right = two_eyes(path, Rig(0.1, convergence=2.0))
        >>> left.world_to_camera[0, 0, 3], left.intrinsics[0].cx, right.intrinsics[0].cx
        (np.float32(0.05), 243.5, 268.5)
    """
    if path.intrinsics is None:
        raise EX4DError("Two eyes need a path with a lens for every frame; give it the scene's first (for_scene).")
    return _eye(path, rig.offsets[0], rig.convergence, shown), _eye(path, rig.offsets[1], rig.convergence, shown)


def _eye(path: Trajectory, offset: float, convergence: float, shown: tuple[int, ...] | None) -> Trajectory:
    poses = path.world_to_camera.astype(np.float64)
    poses[:, 0, 3] -= offset
    assert path.intrinsics is not None
    lenses = tuple(_shifted(lens, offset / convergence) for lens in path.intrinsics)
    return replace(path, world_to_camera=poses, intrinsics=lenses, path=None, shown=shown)


def _shifted(lens: Intrinsics, tangent: float) -> Intrinsics:
    return replace(lens, cx=lens.cx + lens.fx * tangent)
