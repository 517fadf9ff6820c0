"""Ray casting of the demo scene by torch alone, for machines without numba: many rays at a time, the same formulas.

What they mean is told in ``raycast``, where they are written for one ray. Depths agree to float32, colours to a level of
255 but for single pixels at borders, where the two round to different sides.

Convention: a vector of N rays is three tensors (N,) float64, or three numbers that all rays share.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ..machine.cores import cores
from ..machine.torch_threads import side_by_side
from .world import (
    BALL,
    BANDS,
    BOX,
    CRATE,
    CYLINDER,
    EDGE_DIFFERENCE,
    GROUND_HEIGHT,
    GROUND_RADIUS,
    MERIDIANS,
    PATCH,
    PLAIN,
    PLAZA_CENTRE_Z,
    PLAZA_RADIUS,
    RING,
    RINGS,
    SKY_RADIUS,
    SPIRAL,
    SUN,
    SUN_RIGHT,
    SUN_UP,
    TILE,
)

Vector = Sequence[Tensor]
RAYS = 1 << 18
"""Cast at once, on all threads: their memory is some 100 MB."""
SUN_CELLS = 96
"""Squares a side, across the sun's view of the scene, that tell which solids can shade a point."""


def picture(
    eye: np.ndarray,
    to_world: np.ndarray,
    k: np.ndarray,
    solids: tuple[np.ndarray, ...],
    size: tuple[int, int],
    samples: int,
) -> tuple[np.ndarray, np.ndarray]:
    """See ``raycast.picture``."""
    width, height = size
    scene = _Scene(solids)
    camera = _Camera(eye, to_world, k, width, height, scene)
    columns = torch.arange(width, dtype=torch.float64) + 0.5
    rows_at_once = max(1, min(RAYS // cores() // width, -(-height // cores())))

    def band(top: int) -> tuple[Tensor, Tensor]:
        rows = torch.arange(top, min(top + rows_at_once, height), dtype=torch.float64) + 0.5
        v, u = torch.meshgrid(rows, columns, indexing="ij")
        colour, distance = camera.cast(u.reshape(-1), v.reshape(-1))
        return colour.reshape(len(rows), width, 3).float(), distance.reshape(len(rows), width).float()

    bands = side_by_side(band, range(0, height, rows_at_once))
    centres, depth = (torch.cat(parts) for parts in zip(*bands, strict=True))
    shown = centres.double()
    if samples > 1:
        edges = _edges(centres).nonzero()
        parts = edges.split(max(1, min(RAYS // cores() // samples**2, -(-len(edges) // cores()))))
        for pixels, colour in zip(parts, side_by_side(partial(camera.smooth, samples=samples), parts), strict=True):
            shown[pixels[:, 0], pixels[:, 1]] = colour
    return (255 * shown + 0.5).to(torch.uint8).numpy(), depth.numpy()


class _Scene:
    """The solids as torch reads them, and the squares of the sun's view that each of them can shade."""

    def __init__(self, solids: tuple[np.ndarray, ...]) -> None:
        shape, to_local, bounds, from_sun, pattern, number, colour, light = solids
        self.light: list[float] = light.tolist()
        self.count = len(shape)
        self.shape, self.pattern = shape.tolist(), pattern.tolist()
        self.to_local: list[list[list[float]]] = to_local.tolist()
        self.bounds, self.from_sun = torch.from_numpy(bounds), torch.from_numpy(from_sun)
        self.number, self.colour = number.tolist(), colour.tolist()
        self.sun = [torch.tensor(part, dtype=torch.float64) for part in SUN]
        self.sun_in_solids = [self.local(i, self.sun, 0.0) for i in range(self.count)]
        low = (self.from_sun[:, :2] - self.from_sun[:, 3:]).amin(0)
        high = (self.from_sun[:, :2] + self.from_sun[:, 3:]).amax(0)
        self.sun_low, self.sun_cell = low, (high - low) / SUN_CELLS
        cells = torch.arange(SUN_CELLS, dtype=torch.float64)
        away = []
        for axis in (0, 1):  # how far each solid's centre is from the nearest point of each row or column of squares
            near = self.sun_low[axis] + cells * self.sun_cell[axis]
            centre = self.from_sun[:, axis, None]
            away.append((near - centre).clamp_min(0) + (centre - near - self.sun_cell[axis]).clamp_min(0))
        reach = self.from_sun[:, 3, None, None] * (1 + 1e-9)
        self.shades = (away[0][:, :, None] ** 2 + away[1][:, None, :] ** 2 <= reach**2).reshape(self.count, -1)

    def local(self, i: int, vector: Vector, translate: float) -> list[Tensor]:
        """A point (``translate`` 1) or direction (0) in the solid's own frame."""
        m, (x, y, z) = self.to_local[i], vector
        return [row[0] * x + row[1] * y + row[2] * z + translate * row[3] for row in m]

    def in_shadow(self, point: Vector) -> Tensor:
        """(N,) bool: where a solid stands between the point and the sun."""
        x, y, z = point
        across, up, along = (x * axis[0] + y * axis[1] + z * axis[2] for axis in (SUN_RIGHT, SUN_UP, SUN))
        column, row = (
            ((value - self.sun_low[axis]) / self.sun_cell[axis]).floor_().clamp_(0, SUN_CELLS - 1).long()
            for axis, value in enumerate((across, up))
        )
        cell = column * SUN_CELLS + row
        dark = torch.zeros(len(x), dtype=torch.bool)
        cells = _Cells(cell, SUN_CELLS**2)
        for i in range(self.count):
            points = cells.members(self.shades[i])
            before = along.index_select(0, points) <= self.from_sun[i, 2] + self.from_sun[i, 3]
            points = points.index_select(0, before.nonzero()[:, 0])
            if not len(points):
                continue
            o = self.local(i, [part.index_select(0, points) for part in point], 1.0)
            t, _ = _hit(self.shape[i], self.number[i][2], o, self.sun_in_solids[i], 1e-5)
            dark[points[t < math.inf]] = True
        return dark


class _Cells:
    """Elements sorted by the cell they lie in, so that those of some cells are found without a look at all others."""

    def __init__(self, cell: Tensor, count: int) -> None:
        ordered, self.order = cell.sort()
        self.starts = torch.searchsorted(ordered, torch.arange(count + 1))

    def members(self, chosen: Tensor) -> Tensor:
        """(N,) the elements in the chosen cells, (cells,) bool."""
        cells = chosen.nonzero()[:, 0]
        begin = self.starts.index_select(0, cells)
        count = self.starts.index_select(0, cells + 1) - begin
        step = begin - (count.cumsum(0) - count)
        place = torch.repeat_interleave(step, count)
        return self.order.index_select(0, place.add_(torch.arange(len(place))))


class _Camera:
    """Casts the rays of one camera's pixels."""

    def __init__(
        self, eye: np.ndarray, to_world: np.ndarray, k: np.ndarray, width: int, height: int, scene: _Scene
    ) -> None:
        self.eye = [torch.tensor(part, dtype=torch.float64) for part in eye]
        self.to_world, self.k, self.scene = to_world.tolist(), k.tolist(), scene
        self.tiles = -(-width // TILE)
        self.touches = self._touches(width, height)

    def direction(self, u: Tensor, v: Tensor) -> list[Tensor]:
        """Of unit depth, in the world, through points of the picture."""
        fx, fy, cx, cy = self.k
        x, y = (u - cx) / fx, (v - cy) / fy
        return [row[0] * x + row[1] * y + row[2] for row in self.to_world]

    def _touches(self, width: int, height: int) -> Tensor:
        """(solids, tiles) bool: whether a ray through the tile can touch the solid's bounding ball."""
        left, top = torch.arange(0, width, TILE).double(), torch.arange(0, height, TILE).double()
        right, bottom = (left + TILE).clamp_max(width), (top + TILE).clamp_max(height)

        def through(u: Tensor, v: Tensor) -> Tensor:
            v, u = torch.meshgrid(v, u, indexing="ij")
            rays = torch.stack(self.direction(u.reshape(-1), v.reshape(-1)))
            return rays / rays.norm(dim=0)

        axis = through((left + right) / 2, (top + bottom) / 2)
        corners = [through(u, v) for u in (left, right) for v in (top, bottom)]
        spread = torch.stack([(corner * axis).sum(0).clamp(-1, 1).acos() for corner in corners]).amax(0)
        towards = self.scene.bounds[:, :3] - torch.stack(self.eye)
        distance = towards.norm(dim=1)
        radius = self.scene.bounds[:, 3]
        between = ((towards @ axis) / distance[:, None]).clamp(-1, 1).acos()
        inside = (distance <= radius)[:, None]
        return inside | (between <= spread + (radius / distance).clamp_max(1).asin()[:, None])

    def cast(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Colours (N, 3) 0..1 and planar depths (N,) of rays through points of the picture."""
        d = self.direction(u, v)
        tile = (v / TILE).long() * self.tiles + (u / TILE).long()
        best, which, normal = self._nearest(d, tile)
        ground = self._ground(d, best)
        colour = torch.empty((len(u), 3), dtype=torch.float64)
        sky = ((which < 0) & ~ground).nonzero()[:, 0]
        if len(sky):
            d_sky = [part[sky] for part in d]
            best[sky] = t = _sky_distance(self.eye, d_sky)
            colour[sky] = _sky_colour(*(e + t * part for e, part in zip(self.eye, d_sky, strict=True)))
        surface = ((which >= 0) | ground).nonzero()[:, 0]
        if len(surface):
            which[ground] = -1
            t = best[surface]
            point = [e + t * part[surface] for e, part in zip(self.eye, d, strict=True)]
            colour[surface] = self._surface(
                point, which[surface], [part[surface] for part in normal], [part[surface] for part in d]
            )
        return colour.clamp_(0, 1), best

    def smooth(self, pixels: Tensor, samples: int) -> Tensor:
        """(N, 3): the mean colour of samples x samples rays through each pixel (row, column)."""
        rows, columns = pixels.double().T
        at = (torch.arange(samples, dtype=torch.float64) + 0.5) / samples
        v = rows[:, None, None] + at[:, None].expand(samples, samples)
        u = columns[:, None, None] + at.expand(samples, samples)
        colour, _ = self.cast(u.reshape(-1), v.reshape(-1))
        # In turn, as raycast does: a mean that lies between two levels must round alike.
        total, *others = colour.reshape(len(pixels), samples**2, 3).unbind(1)
        for other in others:
            total = total + other
        return total / samples**2

    def _nearest(self, d: Vector, tile: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Distance (inf where none is hit), number of the solid, and normal in its own frame."""
        best = torch.full((len(tile),), math.inf, dtype=torch.float64)
        which = torch.full((len(tile),), -1)
        normal = [torch.zeros_like(best) for _ in range(3)]
        tiles = _Cells(tile, self.touches.shape[1])
        for i in range(self.scene.count):
            rays = tiles.members(self.touches[i])
            if not len(rays):
                continue
            o = self.scene.local(i, self.eye, 1.0)
            t, n = _hit(
                self.scene.shape[i],
                self.scene.number[i][2],
                o,
                self.scene.local(i, [p.index_select(0, rays) for p in d], 0.0),
                1e-4,
            )
            closer = (t < best.index_select(0, rays)).nonzero()[:, 0]
            if not len(closer):
                continue
            rays = rays.index_select(0, closer)
            best[rays], which[rays] = t.index_select(0, closer), i
            for part, value in zip(normal, n, strict=True):
                part[rays] = value.index_select(0, closer) if value.ndim else value
        return best, which, normal

    def _ground(self, d: Vector, best: Tensor) -> Tensor:
        """(N,) bool: where the ground is nearer than any solid; its distance is put into ``best`` there."""
        x, y, z = self.eye
        down = d[1] > 1e-9
        t = torch.where(down, (GROUND_HEIGHT - y) / torch.where(down, d[1], 1.0), math.inf)
        near = down & (t > 1e-4) & (t < best)
        far = (x + t * d[0]) ** 2 + (z + t * d[2] - PLAZA_CENTRE_Z) ** 2
        near &= far < GROUND_RADIUS**2
        best[near] = t[near]
        return near

    def _surface(self, point: Vector, which: Tensor, normal: Vector, d: Vector) -> Tensor:
        """(N, 3) colours of points on solids, and on the ground where the solid's number is -1."""
        count = len(which)
        own = torch.empty((count, 3), dtype=torch.float64)
        world_normal = [torch.zeros(count, dtype=torch.float64) for _ in range(3)]
        bounce, mirror = torch.zeros(count, dtype=torch.float64), torch.zeros(count, dtype=torch.float64)
        for i in which.unique().tolist():
            at = (which == i).nonzero()[:, 0]
            here = [part[at] for part in point]
            if i < 0:
                own[at] = _ground_colour(here[0], here[2])
                world_normal[1][at] = -1.0
                point[1][at] = GROUND_HEIGHT
                continue
            n = [part[at] for part in normal]
            own[at] = self._painted(i, here, n)
            m = self.scene.to_local[i]  # normals are carried back by the transpose of the map into the solid
            turned = [m[0][axis] * n[0] + m[1][axis] * n[1] + m[2][axis] * n[2] for axis in range(3)]
            length = (turned[0] ** 2 + turned[1] ** 2 + turned[2] ** 2).sqrt_()
            for part, value in zip(world_normal, turned, strict=True):
                part[at] = value / length
            bounce[at], mirror[at] = self.scene.number[i][3], self.scene.number[i][5]
        lit, shiny = (
            _lit(own, point, world_normal, bounce, self._sun(point, world_normal, bounce)),
            mirror.nonzero()[:, 0],
        )
        if len(shiny):
            p, n, ray = ([part[shiny] for part in vector] for vector in (point, world_normal, d))
            along = 2 * (ray[0] * n[0] + ray[1] * n[1] + ray[2] * n[2])
            shown = _surroundings(p, [part - along * part_n for part, part_n in zip(ray, n, strict=True)])
            share = mirror[shiny, None]
            lit[shiny] = (1 - share) * lit[shiny] + share * shown
        return lit

    def _painted(self, i: int, point: Vector, normal: Vector) -> Tensor:
        """(N, 3) colours of points on one solid, unlit."""
        frequency, softness, _, _, grain, _ = self.scene.number[i]
        p = self.scene.local(i, point, 1.0)
        share = _pattern(self.scene.pattern[i], frequency, softness, p, normal)
        tone = 1.0 + 0.16 * (_noise(grain * p[0] + 11, grain * p[2] + 3, grain * p[1] + 5) - 0.5)
        first, second = self.scene.colour[i][:3], self.scene.colour[i][3:]
        return torch.stack([tone * (a * (1 - share) + b * share) for a, b in zip(first, second, strict=True)], 1)

    def _sun(self, point: Vector, normal: Vector, bounce: Tensor) -> Tensor:
        """(N,) how much of the sun falls on points."""
        facing = _facing(normal)
        sun = torch.zeros_like(facing)
        bright = (facing > 0).nonzero()[:, 0]
        lifted = [part[bright] + 1e-4 * n[bright] for part, n in zip(point, normal, strict=True)]
        bright = bright[~self.scene.in_shadow(lifted)]
        strength, across, along, gain = self.scene.light
        sun[bright] = facing[bright] * (1 - bounce[bright]) * gain
        if strength > 0:
            patches = _noise(PATCH * point[0][bright] + across, PATCH * point[2][bright] + along)
            sun[bright] *= 1 - strength * _smoothstep(0.45, 0.6, patches)
        return sun


def _facing(normal: Vector) -> Tensor:
    return normal[0] * SUN[0] + normal[1] * SUN[1] + normal[2] * SUN[2]


def _lit(own: Tensor, point: Vector, normal: Vector, bounce: Tensor, sun: Tensor) -> Tensor:
    """(N, 3) colours of points in the light of sun and sky, and in the haze of their distance."""
    x, y, z = point
    sky = 0.50 - 0.16 * normal[1] + bounce * (0.42 + 0.2 * _facing(normal))
    low = 0.72 + 0.28 * _smoothstep(0.0, 0.5, GROUND_HEIGHT - y)
    sky = torch.where(normal[1] > -0.99, sky * low, sky)
    haze = 0.55 * _smoothstep(9.0, 34.0, (x * x + (z - PLAZA_CENTRE_Z) ** 2).sqrt())
    shades = ((0.90, 0.68, 0.95), (0.94, 0.63, 0.86), (1.06, 0.54, 0.80))
    return torch.stack(
        [(1 - haze) * own[:, channel] * (a * sky + b * sun) + haze * c for channel, (a, b, c) in enumerate(shades)], 1
    )


def _hit(shape: int, inner: float, o: Vector, d: Vector, least: float) -> tuple[Tensor, list[Tensor]]:
    """Nearest intersection with a unit shape beyond ``least``: distance or inf, and the normal (of hits alone)."""
    if shape == BALL:
        return _hit_ball(o, d, least)
    if shape == BOX:
        return _hit_box(o, d, least)
    if shape == RING:
        return _hit_ring(inner, o, d, least)
    return _hit_round(shape == CYLINDER, o, d, least)


def _hit_ball(o: Vector, d: Vector, least: float) -> tuple[Tensor, list[Tensor]]:
    (ox, oy, oz), (dx, dy, dz) = o, d
    a, b, c = dx * dx + dy * dy + dz * dz, ox * dx + oy * dy + oz * dz, ox * ox + oy * oy + oz * oz - 1.0
    root = b * b - a * c
    half = root.clamp_min(0).sqrt_()
    t = (-b - half) / a
    t = torch.where(t <= least, (-b + half) / a, t)
    t = torch.where((root > 0) & (t > least), t, math.inf)
    return t, [ox + t * dx, oy + t * dy, oz + t * dz]


def _hit_box(o: Vector, d: Vector, least: float) -> tuple[Tensor, list[Tensor]]:
    near, far, axis, outside = torch.tensor(-math.inf), torch.tensor(math.inf), torch.tensor(0), torch.tensor(False)
    near, far = near.double(), far.double()
    for k in range(3):
        parallel = d[k].abs() < 1e-12
        outside = outside | (parallel & (o[k].abs() > 1.0))
        step = torch.where(parallel, 1.0, d[k])
        one, two = (-1.0 - o[k]) / step, (1.0 - o[k]) / step
        enters = torch.where(parallel, -math.inf, torch.minimum(one, two))
        leaves = torch.where(parallel, math.inf, torch.maximum(one, two))
        axis = torch.where(enters > near, k, axis)
        near, far = torch.maximum(near, enters), torch.minimum(far, leaves)
    t = torch.where(~outside & (near <= far) & (near > least), near, math.inf)
    return t, [torch.where(axis == k, torch.where(d[k] > 0, -1.0, 1.0), 0.0).double() for k in range(3)]


def _hit_ring(inner: float | Tensor, o: Vector, d: Vector, least: float) -> tuple[Tensor, list[Tensor]]:
    (ox, oy, oz), (dx, dy, dz) = o, d
    crosses = dy.abs() > 1e-12
    t = -oy / torch.where(crosses, dy, 1.0)
    x, z = ox + t * dx, oz + t * dz
    radius = x * x + z * z
    t = torch.where(crosses & (t > least) & (inner * inner < radius) & (radius < 1.0), t, math.inf)
    none = torch.zeros((), dtype=torch.float64)
    return t, [none, torch.where(oy > 0, 1.0, -1.0).double(), none]


def _hit_round(cylinder: bool, o: Vector, d: Vector, least: float) -> tuple[Tensor, list[Tensor]]:
    """A cylinder or a cone, tip up: its cross-section has the radius p + q * y."""
    (ox, oy, oz), (dx, dy, dz) = o, d
    p, q = (1.0, 0.0) if cylinder else (0.5, 0.5)
    r, s = p + q * oy, q * dy
    a, b, c = dx * dx + dz * dz - s * s, ox * dx + oz * dz - r * s, ox * ox + oz * oz - r * r
    root = b * b - a * c
    there = (root > 0) & (a.abs() > 1e-14)
    half, divisor = root.clamp_min(0).sqrt_(), torch.where(there, a, 1.0)
    best = torch.full_like(root, math.inf)
    for sign in (-1.0, 1.0):
        t = (-b + sign * half) / divisor
        y = oy + t * dy
        best = torch.where(there & (least < t) & (t < best) & (y >= -1.0) & (y <= 1.0), t, best)
    y = oy + best * dy
    normal = [ox + best * dx, -q * (p + q * y), oz + best * dz]
    crosses = dy.abs() > 1e-12
    divisor = torch.where(crosses, dy, 1.0)
    for cap in (-1.0, 1.0):
        t = (cap - oy) / divisor
        x, z, rim = ox + t * dx, oz + t * dz, p + q * cap
        nearer = crosses & (least < t) & (t < best) & (x * x + z * z < rim * rim)
        best = torch.where(nearer, t, best)
        normal = [
            torch.where(nearer, 0.0, normal[0]),
            torch.where(nearer, cap, normal[1]),
            torch.where(nearer, 0.0, normal[2]),
        ]
    return best, normal


def _smoothstep(low: Tensor | float, high: Tensor | float, x: Tensor) -> Tensor:
    s = ((x - low) / (high - low)).clamp(0.0, 1.0)
    return s * s * (3.0 - 2.0 * s)


def _wave(x: Tensor, softness: float | Tensor) -> Tensor:
    return (0.5 + torch.sin(2 * math.pi * x) / (2 * math.pi * softness)).clamp_(0.0, 1.0)


def _noise(x: Tensor, z: Tensor, y: Tensor | None = None) -> Tensor:
    """Smooth value noise in 0..1 with features of about one unit; y is 0 where it is left out."""
    corners = [(1.0, torch.zeros((), dtype=torch.long))]
    for value, factor in zip((x, y, z), (374761393, 668265263, 2147483647), strict=True):
        if value is None:
            continue
        low = value.floor()
        u = value - low
        u = u * u * (3 - 2 * u)
        key = low.long() * factor
        ends = ((1 - u, key), (u, key + factor))
        corners = [(weight * share, code + more) for weight, code in corners for share, more in ends]
    total = torch.zeros_like(x)
    for weight, code in corners:
        n = code & 0xFFFFFFFF
        n = ((n ^ (n >> 13)) * 1274126177) & 0xFFFFFFFF
        total += weight * (((n ^ (n >> 16)) & 0xFFFF).double() / 65535.0)
    return total


def _pattern(material: int, frequency: float | Tensor, softness: float | Tensor, p: Vector, n: Vector) -> Tensor:
    x, y, z = p
    if material == MERIDIANS:
        return _wave(torch.atan2(x, z) / (2 * math.pi) * frequency, softness)
    if material == BANDS:
        return _wave(y * frequency, softness)
    if material == SPIRAL:
        return _wave(torch.atan2(x, z) / math.pi + y * frequency, softness)
    if material == RINGS:
        return _wave((x * x + z * z).sqrt() * frequency, softness)
    if material == PLAIN:
        return torch.zeros_like(x)
    sideways, upright = n[0].abs() > 0.5, n[1].abs() > 0.5
    u = torch.where(sideways, y, x)
    v = torch.where(sideways | upright, z, y)
    a, b = _wave(u * frequency, softness), _wave(v * frequency, softness)
    share = a + b - 2 * a * b
    return torch.where(torch.maximum(u.abs(), v.abs()) > 0.84, 1.0, share) if material == CRATE else share


def _ground_colour(x: Tensor, z: Tensor) -> Tensor:
    colour = torch.empty((len(x), 3), dtype=torch.float64)
    grain = _noise(5 * x, 5 * z) - 0.5
    u, v = x, z - PLAZA_CENTRE_Z
    radius = (u * u + v * v).sqrt()
    plaza = radius < PLAZA_RADIUS
    inside, outside = plaza.nonzero()[:, 0], (~plaza).nonzero()[:, 0]
    colour[inside] = _plaza_colour(u[inside], v[inside], radius[inside], grain[inside])
    patches = _noise(0.55 * x[outside] + 7, 0.55 * z[outside]) - 0.5
    tone = 1.0 + 0.30 * patches + 0.10 * grain[outside]
    colour[outside] = tone[:, None] * torch.tensor([0.56, 0.70, 0.42], dtype=torch.float64)
    return colour


def _plaza_colour(u: Tensor, v: Tensor, radius: Tensor, grain: Tensor) -> Tensor:
    rings = radius / 0.7
    spokes = torch.atan2(u, v) / (2 * math.pi) * torch.where(rings < 2, 12.0, 24.0)
    a, b = _wave(rings * 0.5, 0.05), _wave(spokes * 0.5 + 0.11, 0.05)
    share = torch.where(radius < 0.7, 1.0, a + b - 2 * a * b)
    rim = radius > PLAZA_RADIUS - 0.22
    tone = 1.0 + 0.10 * grain
    channels = ((0.72, 0.93, 0.11), (0.44, 0.86, 0.20), (0.36, 0.74, 0.22))
    return torch.stack([torch.where(rim, edge, slab - joint * share) * tone for edge, slab, joint in channels], 1)


def _surroundings(point: Vector, d: Vector) -> Tensor:
    """(N, 3): what mirrors at points show along directions; see ``raycast``."""
    down = d[1] > 1e-9
    t = (GROUND_HEIGHT - point[1]) / torch.where(down, d[1], 1.0)
    x, z = point[0] + t * d[0], point[2] + t * d[2]
    ground = down & (x * x + (z - PLAZA_CENTRE_Z) ** 2 < GROUND_RADIUS**2)
    below, above = ground.nonzero()[:, 0], (~ground).nonzero()[:, 0]
    colour = torch.empty((len(x), 3), dtype=torch.float64)
    colour[below] = _ground_colour(x[below], z[below])
    p, ray = [part[above] for part in point], [part[above] for part in d]
    t = _sky_distance(p, ray)
    colour[above] = _sky_colour(*(part + t * step for part, step in zip(p, ray, strict=True)))
    return colour


def _sky_distance(eye: Vector, d: Vector) -> Tensor:
    a, b = d[0] * d[0] + d[1] * d[1] + d[2] * d[2], eye[0] * d[0] + eye[1] * d[1] + eye[2] * d[2]
    c = eye[0] * eye[0] + eye[1] * eye[1] + eye[2] * eye[2] - SKY_RADIUS**2
    return (-b + (b * b - a * c).sqrt_()) / a


def _sky_colour(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    elevation = torch.rad2deg(torch.asin(-y / SKY_RADIUS))
    azimuth = torch.atan2(x, z)
    h = _smoothstep(-1.0, 30.0, elevation)
    glow_x, glow_y = torch.rad2deg(azimuth) - 15.0, elevation - 12.0
    spread = glow_x * glow_x + glow_y * glow_y
    glow = torch.exp(-spread / 160.0)
    disc = 1 - _smoothstep(2.3, 2.5, spread.sqrt())

    def heights(level: float, *waves: tuple[float, float, float]) -> Tensor:
        total = torch.full_like(azimuth, level)
        for size, count, phase in waves:
            total += size * torch.sin(count * azimuth + phase)
        return total

    far = heights(4.6, (1.7, 5, 0.4), (0.9, 13, 0.0), (0.35, 31, 1.0))
    near = heights(2.5, (1.1, 7, 2.2), (0.6, 17, 1.0), (0.2, 43, 0.0))
    mountains = [1 - _smoothstep(ridge - 0.08, ridge + 0.08, elevation) for ridge in (far, near)]
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
    return torch.stack(colours, 1)


def _edges(colour: Tensor) -> Tensor:
    """(H, W) bool: where a neighbour above, below, left or right differs by more than EDGE_DIFFERENCE."""
    edge = torch.zeros(colour.shape[:2], dtype=torch.bool)
    for one, two in (
        ((slice(1, None), slice(None)), (slice(None, -1), slice(None))),
        ((slice(None), slice(1, None)), (slice(None), slice(None, -1))),
    ):
        differs = ((colour[one] - colour[two]).abs().double() > EDGE_DIFFERENCE).any(-1)
        edge[one] |= differs
        edge[two] |= differs
    return edge
