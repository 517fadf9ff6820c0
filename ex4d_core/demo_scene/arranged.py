"""Other scenes from the demo scene's kit: what stands where, its colours and its motion, drawn from a seed.

One seed is one scene, on every machine. Ground and sky are the ray caster's own and the same in all; what lies between is
drawn: a subject where the demo's ringed ball is, props around it on the plaza that never touch each other, thin poles and hoops,
and the demo's trees, hills and clouds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, get_args

import numpy as np

from .world import BALL, BANDS, BOX, CHECKER, CONE, CRATE, CYLINDER, MERIDIANS, PLAIN, RING, RINGS, SPIRAL, SUBJECT
from .world import GROUND_HEIGHT as GROUND

BENCHMARK_SEEDS = range(1_000_000, 1_001_000)
"""Of scenes that results are judged on; nothing may be trained on or tuned to them."""
Look = Literal["usual", "thin", "shiny", "lit", "rapid", "plain"]
LOOKS: tuple[Look, ...] = get_args(Look)
"""What makes a scene hard: poles and hoops of a pixel or two, mirrors, light that wanders and wavers, motion that is thrice as
fast and of everything, or surfaces without texture."""
MIRROR, RAPID = 0.6, 3
"""Share of their colour that mirrors reflect; how many rounds of the loop things make that move rapidly."""
PROPS, THIN, THIN_ALL = (4, 7), (2, 4), (14, 20)
"""How many there are, both ends included; thin ones where a scene is of those."""
PLACES = ((-3.4, 3.4), (2.9, 8.5))
"""Where props stand, left to right and near to far."""
CLEAR = 0.25
"""Scene units between any two of them."""
PATTERNS = (PLAIN, MERIDIANS, BANDS, SPIRAL, CHECKER, CRATE)
TRIES = 60
MOTIONS = ("still", "spin", "hop", "orbit", "slide")
MOVING = MOTIONS[2:]
THICK, THIN_HOOP = 0.06, 0.95
"""The thickest pole's radius; a thin hoop's inner radius, as a share of its own."""


@dataclass(frozen=True)
class Prop:
    """One thing on the plaza, at rest; ``motion`` moves it around there over the loop."""

    shape: int
    place: tuple[float, float]
    lift: float
    half: tuple[float, float, float]
    colour: tuple[float, float, float]
    second: tuple[float, float, float]
    pattern: int
    frequency: float
    turn: float
    tilt: float
    inner: float
    motion: str
    reach: float


@lru_cache(maxsize=64)
def props(seed: int, look: Look = "usual") -> tuple[Prop, ...]:
    """Everything that stands on the plaza of one seed's scene."""
    rng = np.random.default_rng([20_250_606, seed])
    thin = THIN_ALL if look == "thin" else THIN
    drawn = [
        _subject(rng),
        *(_prop(rng) for _ in range(rng.integers(PROPS[0], PROPS[1] + 1))),
        *(_thin(rng) for _ in range(rng.integers(thin[0], thin[1] + 1))),
    ]
    drawn = [_looking(prop, look, number) for number, prop in enumerate(drawn)]
    placed = [drawn[0]]
    for one in drawn[1:]:
        for _ in range(TRIES):
            place = (float(rng.uniform(*PLACES[0])), float(rng.uniform(*PLACES[1])))
            if all(math.dist(place, other.place) > _radius(one) + _radius(other) + CLEAR for other in placed):
                placed.append(replace(one, place=place))
                break
    return tuple(placed)


def _looking(prop: Prop, look: Look, number: int) -> Prop:
    """A prop as its scene's look has it."""
    if look == "thin" and prop.shape == CYLINDER and prop.half[0] <= THICK:
        return replace(prop, half=(prop.half[0] / 3, prop.half[1], prop.half[2] / 3))
    if look == "thin" and prop.shape == RING:
        return replace(prop, inner=THIN_HOOP)
    if look == "rapid":
        return replace(prop, motion=MOVING[number % len(MOVING)], reach=max(prop.reach, 0.3))
    return replace(prop, pattern=PLAIN) if look == "plain" else prop


def _radius(prop: Prop) -> float:
    return max(prop.half[0], prop.half[2]) + (prop.reach if prop.motion in ("orbit", "slide") else 0.0)


def _subject(rng: np.random.Generator) -> Prop:
    size = float(rng.uniform(0.45, 0.8))
    shape = int(rng.choice([BALL, BOX, CONE, CYLINDER]))
    tall = size * float(rng.uniform(0.8, 1.3))
    lift = float(rng.uniform(0.0, 0.25))
    return _drawn(rng, shape, (SUBJECT[0], SUBJECT[2]), lift, (size, tall, size))


def _prop(rng: np.random.Generator) -> Prop:
    size = float(rng.uniform(0.18, 0.48))
    shape = int(rng.choice([BALL, BOX, CONE, CYLINDER]))
    tall = size * float(rng.uniform(0.7, 2.0)) if shape != BALL else size
    return _drawn(rng, shape, (0.0, 0.0), 0.0, (size, tall, size * float(rng.uniform(0.7, 1.3))))


def _thin(rng: np.random.Generator) -> Prop:
    if rng.random() < 0.35:
        size = float(rng.uniform(0.35, 0.7))
        hoop = _drawn(rng, RING, (0.0, 0.0), float(rng.uniform(0.0, 0.3)), (size, size, size))
        return replace(hoop, tilt=math.pi / 2, pattern=RINGS, inner=float(rng.uniform(0.80, 0.92)))
    radius, tall = float(rng.uniform(0.025, THICK)), float(rng.uniform(0.6, 1.3))
    return replace(_drawn(rng, CYLINDER, (0.0, 0.0), 0.0, (radius, tall, radius)), motion="still")


def _drawn(
    rng: np.random.Generator, shape: int, place: tuple[float, float], lift: float, half: tuple[float, float, float]
) -> Prop:
    first, second = _colour(rng), _colour(rng)
    return Prop(
        shape,
        place,
        lift,
        half,
        first,
        second,
        int(rng.choice(PATTERNS)),
        float(rng.uniform(1.0, 5.0)) if shape != BALL else float(rng.integers(3, 8)),
        float(rng.uniform(0, 2 * math.pi)),
        0.0,
        0.0,
        str(rng.choice(MOTIONS)),
        float(rng.uniform(0.15, 0.4)),
    )


def _colour(rng: np.random.Generator) -> tuple[float, float, float]:
    """Bright enough to be told from its shadow: hue, saturation and value as red, green and blue."""
    hue, saturation, value = rng.uniform(0, 6), rng.uniform(0.15, 0.85), rng.uniform(0.35, 1.0)
    red, green, blue = (
        value * (1 - saturation * max(0.0, min((k + hue) % 6, 4 - (k + hue) % 6, 1.0))) for k in (5, 3, 1)
    )
    return float(red), float(green), float(blue)


def placed(prop: Prop, turn: float) -> tuple[tuple[float, float, float], float]:
    """Where a prop's centre is at ``turn`` (0 to 2 pi of the loop), and how far it has turned around the vertical."""
    x, z = prop.place
    rise = prop.half[0] if prop.shape == RING else prop.half[1]
    y = GROUND - rise - prop.lift
    angle = prop.turn
    if prop.motion == "spin":
        angle += turn
    elif prop.motion == "hop":
        y -= prop.reach * abs(math.sin(turn))
    elif prop.motion == "orbit":
        x, z = x + prop.reach * (math.cos(turn) - 1) / 2, z + prop.reach * math.sin(turn) / 2
    elif prop.motion == "slide":
        x += prop.reach * math.sin(turn)
    return (x, y, z), angle
