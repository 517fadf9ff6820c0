"""What stands in the demo scene at a moment: a ringed ball on a plinth with two moons around it, a hopping crate, a
portal of columns, trees, a balloon, clouds and hills. Ground and sky are the ray caster's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import compress

import numpy as np

from . import arranged
from .world import (
    BALL,
    BANDS,
    BOX,
    CHECKER,
    CONE,
    CRATE,
    CYLINDER,
    MERIDIANS,
    PLAIN,
    PLAZA_CENTRE_Z,
    RING,
    RINGS,
    SPIRAL,
    STEADY,
    SUBJECT,
    SUN,
    SUN_RIGHT,
    SUN_UP,
)
from .world import GROUND_HEIGHT as GROUND

CREAM, SAND, CORAL, BRICK = (0.98, 0.93, 0.83), (0.90, 0.80, 0.66), (0.94, 0.44, 0.33), (0.74, 0.32, 0.27)
NAVY, TEAL, MUSTARD, PINK = (0.16, 0.22, 0.36), (0.14, 0.60, 0.57), (0.95, 0.76, 0.33), (0.95, 0.62, 0.62)
PINE, FERN, TRUNK, WHITE = (0.20, 0.44, 0.36), (0.34, 0.56, 0.38), (0.45, 0.31, 0.24), (1.0, 0.98, 0.96)


@dataclass(frozen=True)
class Solid:
    """A unit shape, stretched by ``half``, turned by ``rotation`` (solid to world) and moved to ``centre``."""

    shape: int
    centre: tuple[float, float, float]
    half: tuple[float, float, float]
    colour: tuple[float, float, float]
    second: tuple[float, float, float] = WHITE
    pattern: int = PLAIN
    frequency: float = 1.0
    softness: float = 0.03
    rotation: np.ndarray | None = None
    inner: float = 0.0  # of a ring, as a share of its radius
    bounce: float = 0.0  # of light inside a cloud: 1 is lit from everywhere
    grain: float = 3.0
    mirror: float = 0.0  # share of the colour that it reflects of ground and sky


def at(time: float, visitor: bool = False) -> list[Solid]:
    """Everything but ground and sky at ``time`` in 0..1 of the loop; the visitor does not come back in it."""
    turn = 2 * math.pi * time
    things = [*_sculpture(turn), *_crate(turn), *_portal(), *_trees(), *_balloon(turn), *_clouds(turn), *_hills()]
    return [*things, *_visitor(time)] if visitor else things


def drawn_from(seed: int, time: float, look: arranged.Look = "usual") -> list[Solid]:
    """What stands in the scene of one seed at ``time`` in 0..1 of the loop, but ground and sky."""
    turn = 2 * math.pi * time
    things = []
    for prop in arranged.props(seed, look):
        centre, angle = arranged.placed(prop, arranged.RAPID * turn if look == "rapid" else turn)
        spin = _rotation_y(angle) @ _rotation_x(prop.tilt)
        things.append(
            Solid(
                prop.shape, centre, prop.half, prop.colour, prop.second, prop.pattern, prop.frequency, 0.06, spin,
                inner=prop.inner, grain=0 if look == "plain" else 5, mirror=arranged.MIRROR if look == "shiny" else 0,
            )
        )  # fmt: skip
    if look == "plain":
        things.append(Solid(CYLINDER, (0, GROUND - 0.01, PLAZA_CENTRE_Z), (5.5, 0.01, 5.5), CREAM, grain=0))
    return [*things, *_trees(), *_clouds(turn), *_hills()]


def light_of(look: arranged.Look, time: float) -> tuple[float, float, float, float]:
    """The light at ``time`` in 0..1 of the loop, see `world.STEADY`: patches of shade that wander, and a sun that wavers."""
    if look != "lit":
        return STEADY
    turn = 2 * math.pi * time
    return 0.85, 1.5 * math.sin(turn), 1.5 * math.cos(turn), 1.0 + 0.25 * math.sin(5 * turn)


def stays(things: Callable[[float], list[Solid]]) -> list[bool]:
    """Of everything in its order, whether it is the same at every time, and does not turn in its place either."""
    times = [things(time) for time in (0.0, 0.37, 0.81)]
    return [all(_same(one, other) for other in others) for one, *others in zip(*times, strict=True)]


def unmoved(things: Callable[[float], list[Solid]]) -> list[Solid]:
    """What stays."""
    return list(compress(things(0.0), stays(things)))


def _same(one: Solid, other: Solid) -> bool:
    values = (vars(solid).values() for solid in (one, other))
    return all(np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b for a, b in zip(*values, strict=True))


def _sculpture(turn: float) -> list[Solid]:
    centre = np.array(SUBJECT)
    tilt = _rotation_z(0.30) @ _rotation_x(0.36)
    solids = [
        Solid(CYLINDER, (0, GROUND - 0.05, SUBJECT[2]), (0.68, 0.05, 0.68), SAND),
        Solid(CYLINDER, (0, GROUND - 0.32, SUBJECT[2]), (0.48, 0.27, 0.48), CREAM, BRICK, BANDS, 1.0, 0.05),
        Solid(
            BALL, _at(centre), (0.58, 0.58, 0.58), CORAL, CREAM, MERIDIANS, 6, 0.05, tilt @ _rotation_y(-turn), grain=5
        ),
        Solid(RING, _at(centre), (1.02, 1.02, 1.02), MUSTARD, NAVY, RINGS, 8.0, 0.08, tilt, inner=0.70, grain=9),
    ]
    for radius, size, phase, lean, colour, second in (
        (0.88, 0.13, 2.0, 0.95, TEAL, CREAM),
        (1.02, 0.10, 4.6, -0.75, PINK, NAVY),
    ):
        orbit = _rotation_z(lean) @ _rotation_y(turn + phase)
        solids.append(
            Solid(
                BALL, _at(centre + orbit @ np.array([0.0, 0.0, radius])), (size, size, size), colour, second, BANDS, 1.5, 0.12,
                orbit,
            )
        )  # fmt: skip
    return solids


def _crate(turn: float) -> list[Solid]:
    hop = 0.42 * abs(math.sin(turn))
    spin = _rotation_y(0.5 + turn / 2)
    return [
        Solid(BOX, (1.62, GROUND - 0.34 - hop, 5.2), (0.34, 0.34, 0.34), TEAL, CREAM, CRATE, 1.25, 0.05, spin),
        Solid(BALL, (-1.55, GROUND - 0.26, 4.9), (0.26, 0.26, 0.26), MUSTARD, CORAL, MERIDIANS, 4, 0.05,
               _rotation_z(2 * turn) @ _rotation_x(1.1)),
    ]  # fmt: skip


def _visitor(time: float) -> list[Solid]:
    """A cart on two wheels; it rests in the first half and is gone a little before the end."""
    left = max(0.0, time - 0.5) * 2
    x, z = 1.05 + 9.0 * left * left, 4.4
    roll = _rotation_x(math.pi / 2) @ _rotation_y(-(x / 0.16))
    return [
        Solid(BOX, (x, GROUND - 0.44, z), (0.36, 0.22, 0.24), PINK, NAVY, CHECKER, 1.5, 0.06),
        Solid(CYLINDER, (x - 0.2, GROUND - 0.16, z), (0.16, 0.26, 0.16), NAVY, MUSTARD, MERIDIANS, 5, 0.05, roll),
        Solid(CYLINDER, (x + 0.2, GROUND - 0.16, z), (0.16, 0.26, 0.16), NAVY, MUSTARD, MERIDIANS, 5, 0.05, roll),
    ]


def _portal() -> list[Solid]:
    solids = []
    for x in (-3.15, -1.85):
        solids += [
            Solid(BOX, (x, GROUND - 0.12, 7.4), (0.36, 0.12, 0.36), SAND),
            Solid(CYLINDER, (x, GROUND - 1.32, 7.4), (0.24, 1.10, 0.24), CREAM, CORAL, SPIRAL, 2.0, 0.05),
            Solid(BOX, (x, GROUND - 2.48, 7.4), (0.33, 0.08, 0.33), SAND),
        ]
    beam = _rotation_z(math.pi / 2)  # its stripes run along the solid's own y
    solids.append(Solid(BOX, (-2.5, GROUND - 2.70, 7.4), (0.15, 1.15, 0.36), NAVY, MUSTARD, BANDS, 3.5, 0.05, beam))
    return solids


def _trees() -> list[Solid]:
    solids = []
    for x, z, size, colour in (
        (-4.6, 10.2, 1.15, PINE), (-0.9, 11.6, 0.95, FERN), (0.5, 13.2, 1.2, PINE), (2.9, 8.4, 0.82, FERN),
        (4.1, 10.6, 1.25, PINE), (-6.6, 13.0, 1.3, FERN), (6.6, 13.6, 1.2, FERN),
    ):  # fmt: skip
        solids.append(Solid(CYLINDER, (x, GROUND - 0.2 * size, z), (0.10 * size, 0.2 * size, 0.10 * size), TRUNK))
        for height, radius in ((0.85, 0.62), (1.40, 0.50), (1.90, 0.36)):
            centre = (x, GROUND - height * size, z)
            half = (radius * size, 0.50 * size, radius * size)
            solids.append(Solid(CONE, centre, half, colour, FERN if colour == PINE else MUSTARD, BANDS, 1.0, 0.6))
    return solids


def _balloon(turn: float) -> list[Solid]:
    x, y, z = 2.35, -2.25 + 0.25 * math.sin(turn), 9.2
    spin = _rotation_y(turn / 4)
    return [
        Solid(BALL, (x, y, z), (0.92, 1.0, 0.92), NAVY, PINK, MERIDIANS, 8, 0.04, spin, grain=5),
        Solid(CONE, (x, y + 1.02, z), (0.52, 0.36, 0.52), PINK, rotation=_rotation_x(math.pi)),
        Solid(BOX, (x, y + 1.52, z), (0.17, 0.13, 0.17), TRUNK, SAND, CHECKER, 2.0, 0.1, spin),
    ]


def _clouds(turn: float) -> list[Solid]:
    solids = []
    for x, y, z, size in ((-9.0, -7.6, 27.0, 1.5), (1.5, -10.2, 33.0, 1.7), (12.5, -6.4, 36.0, 1.6)):
        drift = x + 0.9 * math.sin(turn)
        for dx, dy, radius in ((-1.5, 0.25, 0.8), (0.0, 0.0, 1.2), (1.4, 0.2, 0.9)):
            half = (1.35 * radius * size, 0.72 * radius * size, radius * size)
            solids.append(Solid(BALL, (drift + dx * size, y + dy * size, z), half, WHITE, bounce=0.75, grain=2))
    return solids


def _hills() -> list[Solid]:
    return [
        Solid(BALL, (x, GROUND + 1.2, z), half, colour, grain=9)
        for x, z, half, colour in (
            (-11.0, 21.0, (7.5, 3.6, 4.0), FERN),
            (-1.0, 24.5, (8.0, 2.9, 4.0), PINE),
            (11.5, 22.0, (8.0, 3.9, 4.0), FERN),
        )
    ]  # fmt: skip


def packed(solids: list[Solid], light: tuple[float, float, float, float] = STEADY) -> tuple[np.ndarray, ...]:
    """The arrays that the ray caster reads, one row a solid.

    Shape; map from the world into the solid; bounding ball; that ball as the sun sees it (right, up, towards the sun,
    radius); pattern; numbers; colours; and the light, which is of all.
    """
    to_local = np.empty((len(solids), 3, 4))
    bounds = np.empty((len(solids), 4))
    for i, solid in enumerate(solids):
        rotation = np.eye(3) if solid.rotation is None else solid.rotation
        to_local[i, :, :3] = rotation.T / np.array(solid.half)[:, None]
        to_local[i, :, 3] = -to_local[i, :, :3] @ np.array(solid.centre)
        x, y, z = solid.half
        radius = {
            BALL: max(x, y, z),
            BOX: math.sqrt(x * x + y * y + z * z),
            RING: max(x, z),
        }.get(solid.shape, math.hypot(max(x, z), y))
        bounds[i] = (*solid.centre, radius)
    return (
        np.array([solid.shape for solid in solids], np.int64),
        to_local,
        bounds,
        np.column_stack([bounds[:, :3] @ np.array([SUN_RIGHT, SUN_UP, SUN]).T, bounds[:, 3]]),
        np.array([solid.pattern for solid in solids], np.int64),
        np.array([(s.frequency, s.softness, s.inner, s.bounce, s.grain, s.mirror) for s in solids], np.float64),
        np.array([(*solid.colour, *solid.second) for solid in solids], np.float64),
        np.array(light, np.float64),
    )


def _at(point: np.ndarray) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in point)
    return x, y, z


def _rotation_x(angle: float) -> np.ndarray:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[1.0, 0, 0], [0, c, -s], [0, s, c]])


def _rotation_y(angle: float) -> np.ndarray:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, 0, s], [0, 1.0, 0], [-s, 0, c]])


def _rotation_z(angle: float) -> np.ndarray:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
