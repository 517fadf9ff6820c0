"""The horizon along a camera path: level wherever it can be, and never flipped where the path crosses the vertical.

World: OpenCV frame (x right, y down, z forward). ``web/editor/poses.js`` repeats this arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

LEVELLING = 6.0
"""How fast a camera turns back to a level horizon: angle about its viewing axis per angle that this axis moves. A level
camera turns by the tangent of its elevation, so up to 80 degrees (tan = 5.7) the horizon is simply level."""

Axis = Sequence[float]


def carry_right(forward: np.ndarray) -> np.ndarray:
    """Right axes along a path of viewing directions: level, without a flip where the path passes straight up or down.

    A level horizon turns by up to 180 degrees at once where a path crosses the vertical. So the right axis is carried
    along by parallel transport (the smallest rotation from one direction to the next) and then turned towards the
    nearer level one, at most :data:`LEVELLING` times as far as the direction moved. Away from the vertical that is
    exactly level; a camera that goes over the top comes out upside down, and stays so until it comes back over.

    Args:
        forward: (N, 3) unit vectors, world frame (OpenCV, y down), in the order of the path and dense enough that
            neighbours are less than 90 degrees apart.

    Returns:
        (N, 3) unit vectors, perpendicular to ``forward``. The first is level and upright (for a vertical first
        direction: carried from the source camera's).
    """
    rights = np.empty((len(forward), 3))
    previous, right = (0.0, 0.0, 1.0), (1.0, 0.0, 0.0)
    for i, current in enumerate(forward.tolist()):
        right = _levelled(current, _transported(previous, right, current), previous if i else None)
        rights[i] = right
        previous = current
    return rights


def closed(rights: np.ndarray, forward: np.ndarray, share: np.ndarray) -> np.ndarray:
    """The right axes of a round, so that its end meets its beginning.

    Where a round goes over the top, the horizon may come back turned; that is taken out evenly along the way. Else nothing
    changes.

    Args:
        rights: (N, 3) of :func:`carry_right`.
        forward: (N, 3), the last as the first.
        share: (N,) of the round, 0 to 1.
    """
    (x, y, z), (fx, fy, fz), (ux, uy, uz) = rights[-1].tolist(), forward[-1].tolist(), rights[0].tolist()
    sx, sy, sz = fy * z - fz * y, fz * x - fx * z, fx * y - fy * x
    off = math.atan2(sx * ux + sy * uy + sz * uz, x * ux + y * uy + z * uz)
    if abs(off) < 1e-12:
        return rights
    angle = (off * share)[:, None]
    return rights * np.cos(angle) + np.cross(forward, rights) * np.sin(angle)


def _transported(previous: Axis, right: Axis, current: Axis) -> tuple[float, float, float]:
    """``right`` turned by the smallest rotation that takes ``previous`` to ``current``, kept perpendicular.

    In plain floats, since a path has few steps and numpy would be slower.
    """
    (ax, ay, az), (bx, by, bz), (rx, ry, rz) = previous, current, right
    c = ax * bx + ay * by + az * bz
    if c < -0.999999:  # straight back: every axis is as short, so turn about the camera's own vertical
        x, y, z = -rx, -ry, -rz
    else:
        vx, vy, vz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
        k = (vx * rx + vy * ry + vz * rz) / (1 + c)
        x = rx * c + vy * rz - vz * ry + vx * k
        y = ry * c + vz * rx - vx * rz + vy * k
        z = rz * c + vx * ry - vy * rx + vz * k
    dot = x * bx + y * by + z * bz
    x, y, z = x - dot * bx, y - dot * by, z - dot * bz
    norm = math.sqrt(x * x + y * y + z * z)
    return (x / norm, y / norm, z / norm)


def _levelled(forward: Axis, right: Axis, previous: Axis | None) -> tuple[float, float, float]:
    """``right`` turned about ``forward`` towards level, as far as the way from ``previous`` allows (None = upright)."""
    fx, fy, fz = forward
    x, y, z = right
    flat = math.hypot(fx, fz)
    if flat < 1e-9:
        return (x, y, z)
    ux, uz = fz / flat, -fx / flat
    if previous is None:
        return (ux, 0.0, uz)
    if x * ux + z * uz < 0:
        ux, uz = -ux, -uz
    px, py, pz = previous
    cross = math.sqrt((py * fz - pz * fy) ** 2 + (pz * fx - px * fz) ** 2 + (px * fy - py * fx) ** 2)
    reach = LEVELLING * math.atan2(cross, px * fx + py * fy + pz * fz)
    # f x right, the axis that right turns towards.
    sx, sy, sz = fy * z - fz * y, fz * x - fx * z, fx * y - fy * x
    off = math.atan2(sx * ux + sz * uz, x * ux + z * uz)
    if abs(off) <= reach + 1e-9:
        return (ux, 0.0, uz)
    cos, sin = math.cos(reach), math.copysign(math.sin(reach), off)
    return (x * cos + sx * sin, y * cos + sy * sin, z * cos + sz * sin)
