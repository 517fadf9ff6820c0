"""The demo scene's numbers that its solids and both ray casters share: kinds of shapes and patterns, ground, sky, sun."""

from __future__ import annotations

import math

BALL, BOX, CYLINDER, CONE, RING = range(5)
PLAIN, MERIDIANS, BANDS, SPIRAL, CHECKER, CRATE, RINGS = range(7)

SUBJECT = (0.0, 0.06, 3.62)
"""Centre of the ringed ball, a natural point to orbit around."""

STEADY = (0.0, 0.0, 0.0, 1.0)
"""Light as in the demo: share of the sun that patches of shade take, how far they have moved (x, z), the factor of the sun."""
PATCH = 0.9
"""Patches of shade a scene unit, about."""

GROUND_HEIGHT = 1.32  # y of the ground below the source camera (y points down)
GROUND_RADIUS = 24.0
PLAZA_RADIUS = 5.6
PLAZA_CENTRE_Z = 3.62
SKY_RADIUS = 60.0
SUN = (-0.5606, -0.7008, -0.4411)  # towards the light, a unit vector: upper left, behind the source camera
SUN_RIGHT = (-SUN[2] / math.hypot(SUN[0], SUN[2]), 0.0, SUN[0] / math.hypot(SUN[0], SUN[2]))
SUN_UP = (
    SUN[1] * SUN_RIGHT[2] - SUN[2] * SUN_RIGHT[1],
    SUN[2] * SUN_RIGHT[0] - SUN[0] * SUN_RIGHT[2],
    SUN[0] * SUN_RIGHT[1] - SUN[1] * SUN_RIGHT[0],
)
EDGE_DIFFERENCE = 0.035  # neighbouring centre samples that differ by more are supersampled
TILE = 32
"""Pixels a side of the squares whose rays share one list of solids that they may touch."""
