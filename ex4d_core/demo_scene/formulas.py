"""The demo scene's formulas in torch: meeting unit shapes, patterns, light, ground and sky.

What they mean is told in ``raycast``, where they are written for one ray.

Convention: a vector of N points or directions is three tensors (N,) float64, or of any shapes that broadcast; so is a colour,
0..1. Everything here is element by element, so what comes out for one ray does not depend on the others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..machine.picks import places
from .world import (
    BALL,
    BANDS,
    BOX,
    CRATE,
    CYLINDER,
    GROUND_HEIGHT,
    GROUND_RADIUS,
    MERIDIANS,
    PLAIN,
    PLAZA_CENTRE_Z,
    PLAZA_RADIUS,
    RING,
    RINGS,
    SKY_RADIUS,
    SPIRAL,
    SUN,
)

Vector = Sequence[Tensor]


def facing(normal: Vector) -> Tensor:
    """How much a surface faces the sun: the cosine between its normal and the light."""
    return normal[0] * SUN[0] + normal[1] * SUN[1] + normal[2] * SUN[2]


def lit(own: Vector, point: Vector, normal: Vector, bounce: Tensor, sun: Tensor) -> list[Tensor]:
    """Colours of points in the light of sun and sky, and in the haze of their distance."""
    x, y, z = point
    sky = 0.50 - 0.16 * normal[1] + bounce * (0.42 + 0.2 * facing(normal))
    low = 0.72 + 0.28 * smoothstep(0.0, 0.5, GROUND_HEIGHT - y)
    sky = torch.where(normal[1] > -0.99, sky * low, sky)
    haze = 0.55 * smoothstep(9.0, 34.0, (x * x + (z - PLAZA_CENTRE_Z) ** 2).sqrt_())
    clear = 1 - haze
    shades = ((0.90, 0.68, 0.95), (0.94, 0.63, 0.86), (1.06, 0.54, 0.80))
    return [clear * plane * (a * sky + b * sun) + haze * c for plane, (a, b, c) in zip(own, shades, strict=True)]


def hit(shape: int, inner: float | Tensor, o: Vector, d: Vector, least: float) -> Tensor:
    """Distance of the nearest intersection with a unit shape beyond ``least``, inf where there is none."""
    if shape == BALL:
        return _hit_ball(o, d, least)
    if shape == BOX:
        return _hit_box(o, d, least)
    if shape == RING:
        return _hit_ring(inner, o, d, least)
    return _hit_round(shape == CYLINDER, o, d, least)


def normal_at(shape: int, o: Vector, d: Vector, t: Tensor) -> list[Tensor]:
    """Normals where rays meet a unit shape, at the distance that ``hit`` gives."""
    if shape == BALL:
        return [a + t * b for a, b in zip(o, d, strict=True)]
    if shape == BOX:
        return _normal_of_box(o, d)
    if shape == RING:
        none = torch.zeros_like(t)
        return [none, torch.where(o[1] > 0, 1.0, -1.0) + none, none]
    return _normal_of_round(shape == CYLINDER, o, d, t)


def _hit_ball(o: Vector, d: Vector, least: float) -> Tensor:
    (ox, oy, oz), (dx, dy, dz) = o, d
    a, b, c = dx * dx + dy * dy + dz * dz, ox * dx + oy * dy + oz * dz, ox * ox + oy * oy + oz * oz - 1.0
    root = b * b - a * c
    half = root.clamp_min(0).sqrt_()
    t = (-b - half) / a
    t = torch.where(t <= least, (-b + half) / a, t)
    return torch.where((root > 0) & (t > least), t, math.inf)


def _hit_box(o: Vector, d: Vector, least: float) -> Tensor:
    entries, leaves, outside = zip(*(_slab(a, b) for a, b in zip(o, d, strict=True)), strict=True)
    near = torch.maximum(torch.maximum(*entries[:2]), entries[2])
    far = torch.minimum(torch.minimum(*leaves[:2]), leaves[2])
    missed = outside[0] | outside[1] | outside[2]
    return torch.where(~missed & (near <= far) & (near > least), near, math.inf)


def _slab(o: Tensor, d: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where a ray enters and leaves the space between two sides of the unit box, and whether it runs beside it."""
    parallel = d.abs() < 1e-12
    step = torch.where(parallel, 1.0, d)
    one, two = (-1.0 - o) / step, (1.0 - o) / step
    enters = torch.where(parallel, -math.inf, torch.minimum(one, two))
    leaves = torch.where(parallel, math.inf, torch.maximum(one, two))
    return enters, leaves, parallel & (o.abs() > 1.0)


def _normal_of_box(o: Vector, d: Vector) -> list[Tensor]:
    entries = [_slab(a, b)[0] for a, b in zip(o, d, strict=True)]
    second = entries[1] > entries[0]
    third = entries[2] > torch.maximum(entries[0], entries[1])
    sides = (~(second | third), second & ~third, third)
    return [
        torch.where(side, torch.where(part > 0, -1.0, 1.0), 0.0).double() for side, part in zip(sides, d, strict=True)
    ]


def _hit_ring(inner: float | Tensor, o: Vector, d: Vector, least: float) -> Tensor:
    (ox, oy, oz), (dx, dy, dz) = o, d
    crosses = dy.abs() > 1e-12
    t = -oy / torch.where(crosses, dy, 1.0)
    x, z = ox + t * dx, oz + t * dz
    radius = x * x + z * z
    return torch.where(crosses & (t > least) & (inner * inner < radius) & (radius < 1.0), t, math.inf)


def _hit_round(cylinder: bool, o: Vector, d: Vector, least: float) -> Tensor:
    """A cylinder or a cone, tip up: its cross-section has the radius p + q * y."""
    (ox, oy, oz), (dx, dy, dz) = o, d
    p, q = (1.0, 0.0) if cylinder else (0.5, 0.5)
    if cylinder:
        a, b, c = dx * dx + dz * dz, ox * dx + oz * dz, ox * ox + oz * oz - 1.0
    else:
        r, s = p + q * oy, q * dy
        a, b, c = dx * dx + dz * dz - s * s, ox * dx + oz * dz - r * s, ox * ox + oz * oz - r * r
    root = b * b - a * c
    there = (root > 0) & (a.abs() > 1e-14)
    half, divisor = root.clamp_min(0).sqrt_(), torch.where(there, a, 1.0)
    best = math.inf
    for t in ((-b - half) / divisor, (-b + half) / divisor):
        on_it = there & (t > least) & (t < best) & ((oy + t * dy).abs() <= 1.0)
        best = torch.where(on_it, t, best)
    crosses, *caps = _caps(oy, dy)
    for cap, t in zip((-1.0, 1.0), caps, strict=True):
        x, z, rim = ox + t * dx, oz + t * dz, p + q * cap
        if rim > 0:
            best = torch.where(crosses & (t > least) & (t < best) & (x * x + z * z < rim * rim), t, best)
    return best


def _caps(oy: Tensor, dy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Whether a ray crosses the planes y = -1 and y = 1, and at which distances."""
    crosses = dy.abs() > 1e-12
    divisor = torch.where(crosses, dy, 1.0)
    return crosses, (-1.0 - oy) / divisor, (1.0 - oy) / divisor


def _normal_of_round(cylinder: bool, o: Vector, d: Vector, t: Tensor) -> list[Tensor]:
    p, q = (1.0, 0.0) if cylinder else (0.5, 0.5)
    crosses, top, bottom = _caps(o[1], d[1])
    on_top, on_bottom = crosses & (t == top), crosses & (t == bottom)
    cap = on_top | on_bottom
    y = -q * (p + q * (o[1] + t * d[1]))
    return [
        torch.where(cap, 0.0, o[0] + t * d[0]),
        torch.where(on_top, -1.0, torch.where(on_bottom, 1.0, y)),
        torch.where(cap, 0.0, o[2] + t * d[2]),
    ]


def smoothstep(low: Tensor | float, high: Tensor | float, x: Tensor) -> Tensor:
    """From 0 at ``low`` to 1 at ``high``, level at both ends."""
    s = ((x - low) / (high - low)).clamp(0.0, 1.0)
    return s * s * (3.0 - 2.0 * s)


def wave(x: Tensor, softness: float | Tensor) -> Tensor:
    """A square wave of period 1 in 0..1 with soft edges; ``softness`` is the edge's share of the period."""
    return (0.5 + torch.sin(2 * math.pi * x) / (2 * math.pi * softness)).clamp_(0.0, 1.0)


def noise(x: Tensor, z: Tensor, y: Tensor | None = None) -> Tensor:
    """Smooth value noise in 0..1 with features of about one unit; y is 0 where it is left out.

    Lattice points are hashed in int32, whose products wrap as those of ``raycast`` do under its mask of 32 bits.
    """
    corners: list[tuple[Tensor, Tensor]] = []
    for value, factor in zip((x, y, z), (374761393, 668265263, 2147483647), strict=True):
        if value is None:
            continue
        low = value.floor()
        u = value - low
        u = u * u * (3 - 2 * u)
        key = low.to(torch.int32).mul_(factor)
        ends = [(1 - u, key), (u, key + factor)]
        more = [(weight * share, code + other) for weight, code in corners for share, other in ends]
        corners = more or ends
    total = torch.zeros_like(x)
    for weight, code in corners:
        n = (code ^ (code >> 13 & 0x7FFFF)) * 1274126177
        n = (n ^ (n >> 16)) & 0xFFFF
        total += weight * (n.double() / 65535.0)
    return total


def pattern(material: int, frequency: float | Tensor, softness: float | Tensor, p: Vector, n: Vector) -> Tensor:
    """Share of the second colour at points of solids, in their own frames."""
    x, y, z = p
    if material == MERIDIANS:
        return wave(torch.atan2(x, z) / (2 * math.pi) * frequency, softness)
    if material == BANDS:
        return wave(y * frequency, softness)
    if material == SPIRAL:
        return wave(torch.atan2(x, z) / math.pi + y * frequency, softness)
    if material == RINGS:
        return wave((x * x + z * z).sqrt() * frequency, softness)
    if material == PLAIN:
        return torch.zeros_like(x)
    sideways, upright = n[0].abs() > 0.5, n[1].abs() > 0.5
    u = torch.where(sideways, y, x)
    v = torch.where(sideways | upright, z, y)
    a, b = wave(u * frequency, softness), wave(v * frequency, softness)
    share = a + b - 2 * a * b
    return torch.where(torch.maximum(u.abs(), v.abs()) > 0.84, 1.0, share) if material == CRATE else share


def ground_colour(x: Tensor, z: Tensor) -> list[Tensor]:
    """Of points (N,) on the ground, unlit."""
    grain = noise(5 * x, 5 * z) - 0.5
    v = z - PLAZA_CENTRE_Z
    radius = (x * x + v * v).sqrt_()
    plaza = radius < PLAZA_RADIUS
    inside, outside = places(plaza), places(~plaza)
    colour = [torch.empty_like(x) for _ in range(3)]
    if len(inside):
        parts = (values.index_select(0, inside) for values in (x, v, radius, grain))
        lay(colour, inside, _plaza_colour(*parts))
    if len(outside):
        far_x, far_z, far_grain = (values.index_select(0, outside) for values in (x, z, grain))
        patches = noise(0.55 * far_x + 7, 0.55 * far_z) - 0.5
        tone = 1.0 + 0.30 * patches + 0.10 * far_grain
        lay(colour, outside, [tone * share for share in (0.56, 0.70, 0.42)])
    return colour


def lay(planes: Vector, at: Tensor, values: Vector) -> None:
    """Write values into some places (N,) of planes."""
    for plane, value in zip(planes, values, strict=True):
        plane.scatter_(0, at, value)


def _plaza_colour(u: Tensor, v: Tensor, radius: Tensor, grain: Tensor) -> list[Tensor]:
    rings = radius / 0.7
    spokes = torch.atan2(u, v) / (2 * math.pi) * torch.where(rings < 2, 12.0, 24.0)
    a, b = wave(rings * 0.5, 0.05), wave(spokes * 0.5 + 0.11, 0.05)
    share = torch.where(radius < 0.7, 1.0, a + b - 2 * a * b)
    rim = radius > PLAZA_RADIUS - 0.22
    tone = 1.0 + 0.10 * grain
    channels = ((0.72, 0.93, 0.11), (0.44, 0.86, 0.20), (0.36, 0.74, 0.22))
    return [torch.where(rim, edge, slab - joint * share) * tone for edge, slab, joint in channels]


def surroundings(point: Vector, d: Vector) -> list[Tensor]:
    """What mirrors at points (N,) show along directions; see ``raycast``."""
    down = d[1] > 1e-9
    t = (GROUND_HEIGHT - point[1]) / torch.where(down, d[1], 1.0)
    x, z = point[0] + t * d[0], point[2] + t * d[2]
    ground = down & (x * x + (z - PLAZA_CENTRE_Z) ** 2 < GROUND_RADIUS**2)
    below, above = places(ground), places(~ground)
    colour = [torch.empty_like(x) for _ in range(3)]
    lay(colour, below, ground_colour(x[below], z[below]))
    p, ray = [part[above] for part in point], [part[above] for part in d]
    t = sky_distance(p, ray)
    lay(colour, above, sky_colour(*(part + t * step for part, step in zip(p, ray, strict=True))))
    return colour


def sky_distance(eye: Vector, d: Vector) -> Tensor:
    """Distance of the sky's sphere from inside it."""
    a, b = d[0] * d[0] + d[1] * d[1] + d[2] * d[2], eye[0] * d[0] + eye[1] * d[1] + eye[2] * d[2]
    c = eye[0] * eye[0] + eye[1] * eye[1] + eye[2] * eye[2] - SKY_RADIUS**2
    return (-b + (b * b - a * c).sqrt_()) / a


def sky_colour(x: Tensor, y: Tensor, z: Tensor) -> list[Tensor]:
    """Of points on the sky's sphere: a gradient, the sun's glow and two ranges of mountains."""
    elevation = torch.rad2deg(torch.asin(-y / SKY_RADIUS))
    azimuth = torch.atan2(x, z)
    h = smoothstep(-1.0, 30.0, elevation)
    glow_x, glow_y = torch.rad2deg(azimuth) - 15.0, elevation - 12.0
    spread = glow_x * glow_x + glow_y * glow_y
    glow = torch.exp(-spread / 160.0)
    disc = 1 - smoothstep(2.3, 2.5, spread.sqrt())

    def heights(level: float, *waves: tuple[float, float, float]) -> Tensor:
        total = torch.full_like(azimuth, level)
        for size, count, phase in waves:
            total += size * torch.sin(count * azimuth + phase)
        return total

    far = heights(4.6, (1.7, 5, 0.4), (0.9, 13, 0.0), (0.35, 31, 1.0))
    near = heights(2.5, (1.1, 7, 2.2), (0.6, 17, 1.0), (0.2, 43, 0.0))
    mountains = [1 - smoothstep(ridge - 0.08, ridge + 0.08, elevation) for ridge in (far, near)]
    channels = (
        (0.99 - 0.52 * h + 0.10 * glow, 1.0, 0.78, 0.62),
        (0.87 - 0.16 * h + 0.10 * glow, 0.97, 0.70, 0.62),
        (0.76 + 0.13 * h + 0.02 * glow, 0.86, 0.76, 0.68),
    )
    colours = []
    for channel, *covers in channels:
        for share, cover in zip((disc, *mountains), covers, strict=True):
            channel = channel + share * (cover - channel)
        colours.append(channel)
    return colours
