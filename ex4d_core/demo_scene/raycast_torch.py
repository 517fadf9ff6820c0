"""Ray casting of the demo scene by torch alone, for machines without numba: many rays at a time, the same formulas.

Depths agree with ``raycast`` to float32, colours to a level of 255 but for single pixels at borders, where the two round to
different sides. A step of torch costs as much as some thousand of its numbers, so rays are not held against one solid after
the other: all that may meet any solid of one shape are worked off together, each with that solid's numbers beside it.

Convention: a vector of N rays is three tensors (N,) float64, or three numbers that all rays share.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor

from ..machine.picks import places, repeated
from ..machine.torch_threads import one_thread, side_by_side
from . import formulas
from .formulas import Vector
from .world import (
    EDGE_DIFFERENCE,
    GROUND_HEIGHT,
    GROUND_RADIUS,
    PATCH,
    PLAIN,
    PLAZA_CENTRE_Z,
    RING,
    SUN,
    SUN_RIGHT,
    SUN_UP,
)

RAYS = 1 << 16
"""Cast at once on a thread: enough that the number of steps does not count."""
TILE = 16
"""Pixels a side of the squares whose rays share one list of solids that they may touch."""
SUN_CELLS = 96
"""Squares a side, across the sun's view of the scene, that tell which solids can shade a point."""


@one_thread()
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
    camera = Camera(eye, to_world, k, size, Scene(solids))
    parts = side_by_side(camera.look, torch.arange(width * height).split(RAYS))
    centres, distance = (torch.cat(found) for found in zip(*parts, strict=True))
    shown = centres.double()
    edge = places(edges(centres.view(height, width, 3)).view(-1))
    if samples > 1 and len(edge):
        parts = edge.split(max(1, RAYS // samples**2))
        shown[edge] = torch.cat(side_by_side(partial(camera.smooth, samples=samples), parts))
    return levels(shown).view(height, width, 3).numpy(), distance.float().view(height, width).numpy()


def levels(colour: Tensor) -> Tensor:
    """Colours 0..1 as bytes."""
    return (255 * colour + 0.5).to(torch.uint8)


def edges(colour: Tensor) -> Tensor:
    """(H, W) bool: where a neighbour above, below, left or right differs by more than EDGE_DIFFERENCE."""
    # The largest float32 that is not above it: a difference of float32 is beyond the one where it is beyond the other.
    most = float(np.nextafter(np.float32(EDGE_DIFFERENCE), np.float32(0)))
    assert most < EDGE_DIFFERENCE < float(np.float32(EDGE_DIFFERENCE))
    edge = torch.zeros(colour.shape[:2], dtype=torch.bool)
    for one, two in (
        ((slice(1, None), slice(None)), (slice(None, -1), slice(None))),
        ((slice(None), slice(1, None)), (slice(None), slice(None, -1))),
    ):
        differs = ((colour[one] - colour[two]).abs_() > most).any(-1)
        edge[one] |= differs
        edge[two] |= differs
    return edge


def mean(values: Tensor) -> Tensor:
    """(N,) of (samples, N), added in turn, as raycast does: a mean that lies between two levels must round alike."""
    total, *others = values
    for other in others:
        total = total + other
    return total / len(values)


@dataclass(frozen=True, eq=False)
class Met:
    """Where rays (N,) meet surfaces.

    Attributes:
        point, normal: in the world, (N,) each.
        which: (N,) the solid's number, -1 on the ground.
        bounce: (N,) how much light the surface lets through, rather than throws back.
        ground, solids: numbers of the rays that meet the one and the others.
        solid: (solids,) which one.
        local: (solids,) normals in that solid's frame.
    """

    point: Vector
    normal: Vector
    which: Tensor
    bounce: Tensor
    ground: Tensor
    solids: Tensor
    solid: Tensor
    local: Vector


def from_the_sun(point: Vector) -> list[Tensor]:
    """Points as the sun sees them: to its right, upwards, and towards it."""
    return [
        (point[0] * axis[0]).add_(point[1], alpha=axis[1]).add_(point[2], alpha=axis[2])
        for axis in (SUN_RIGHT, SUN_UP, SUN)
    ]


class Lists:
    """For every cell of a grid the solids of one shape that it may meet."""

    def __init__(self, meets: Tensor, solids: Tensor) -> None:
        """``meets``: (solids, cells) bool; ``solids``: (solids,) their numbers."""
        self.solids = solids
        self.count = meets.sum(0)
        self.start = self.count.cumsum(0) - self.count
        self.solid = solids[meets.T.nonzero()[:, 1]]

    def pairs(self, cell: Tensor) -> tuple[Tensor, Tensor]:
        """Elements (P,), of those that lie in cells (N,), and a solid (P,) that each of them may meet."""
        count = self.count.index_select(0, cell)
        ends = count.cumsum(0)
        element = repeated(count, int(ends[-1]) if len(ends) else 0)
        place = (self.start.index_select(0, cell) - ends).add_(count).index_select(0, element)
        return element, self.solid.index_select(0, place.add_(torch.arange(len(place))))


class Scene:
    """The solids as torch reads them, and the squares of the sun's view that each of them can shade."""

    def __init__(self, solids: tuple[np.ndarray, ...]) -> None:
        shape, to_local, bounds, from_sun, pattern, number, colour, light = map(torch.from_numpy, solids)
        self.light: list[float] = light.tolist()
        self.shape, self.pattern = shape, pattern
        self.of_shape = {int(kind): places(shape == kind) for kind in shape.unique()}
        self.patterns: list[int] = pattern.unique().tolist()
        # Three rows of four numbers, each of all solids; a tensor's own rows would have to be made anew each time.
        self.maps = [list(row) for row in to_local.permute(1, 2, 0).contiguous()]
        self.bounds, self.from_sun = bounds, from_sun
        *self.sun_places, radius = from_sun.T.contiguous()
        self.sun_radius = radius * (1 + 1e-9)
        self.frequency, self.softness, self.inner, self.bounce, self.grain, self.mirror = number.T.contiguous()
        self.first, self.second = colour.T.contiguous().split(3)
        self.sun = [m[0] * SUN[0] + m[1] * SUN[1] + m[2] * SUN[2] for m in self.maps]

    def directions(self, vector: Vector, solid: Tensor) -> list[Tensor]:
        """Directions (P,) in the frames of solids (P,)."""
        x, y, z = vector
        rows = ([part.index_select(0, solid) for part in row[:3]] for row in self.maps)
        return [a.mul_(x).add_(b.mul_(y)).add_(c.mul_(z)) for a, b, c in rows]

    def points(self, vector: Vector, solid: Tensor) -> list[Tensor]:
        """Points (P,) in the frames of solids (P,)."""
        turned = self.directions(vector, solid)
        return [part.add_(row[3].index_select(0, solid)) for part, row in zip(turned, self.maps, strict=True)]

    @cached_property
    def _shades(self) -> Tensor:
        """(solids, squares) bool: which solids can shade what lies in each square of the sun's view."""
        low, step = self._squares
        centre, radius = self.from_sun[:, :2], self.from_sun[:, 3:]
        cells = torch.arange(SUN_CELLS, dtype=torch.float64)
        away = []
        for axis in (0, 1):  # how far each solid's centre is from the nearest point of each row or column of squares
            near = low[axis] + cells * step[axis] - centre[:, axis, None]
            away.append(near.clamp_min(0) + (-near - step[axis]).clamp_min(0))
        meets = away[0][:, :, None] ** 2 + away[1][:, None, :] ** 2 <= (radius[:, :, None] * (1 + 1e-9)) ** 2
        return meets.reshape(len(centre), -1)

    @cached_property
    def _squares(self) -> tuple[Tensor, Tensor]:
        """Corner and sides of the squares' grid, over all solids."""
        centre, radius = self.from_sun[:, :2], self.from_sun[:, 3:]
        low, high = (centre - radius).amin(0), (centre + radius).amax(0)
        return low, (high - low) / SUN_CELLS

    @cached_property
    def _shading(self) -> tuple[Tensor, list[tuple[int, Lists]]]:
        """Whether there is anything between each square and the sun, and what, by shape."""
        return self._shades.any(0), self.by_shape(self._shades)

    def by_shape(self, meets: Tensor, among: Tensor | None = None) -> list[tuple[int, Lists]]:
        """For every shape its solids by cell, where ``meets`` (solids, cells) has some; of all, or of some numbers."""
        shapes = self.of_shape
        if among is not None:
            shapes = {kind: among.index_select(0, places(self.shape[among] == kind)) for kind in shapes}
        return [(kind, Lists(meets[solids], solids)) for kind, solids in shapes.items()]

    def in_shadow(self, point: Vector, sees: Vector, own: Tensor) -> Tensor:
        """(N,) bool: where a solid stands between points and the sun.

        Args:
            point: (N,) a little above surfaces that face the sun.
            sees: the same as `from_the_sun` has them.
            own: (N,) the solid that each lies on, which cannot shade it, being convex; -1 = none.
        """
        column, row = (
            (value - low).div_(step).floor_().clamp_(0, SUN_CELLS - 1)
            for value, low, step in zip(sees, *self._squares, strict=False)
        )
        cell = column.mul_(SUN_CELLS).add_(row).long()
        dark = torch.zeros(len(cell), dtype=torch.bool)
        any_there, lists = self._shading
        below = places(any_there.index_select(0, cell))
        cell, own, *sees = (values.index_select(0, below) for values in (cell, own, *sees))
        point = [part.index_select(0, below) for part in point]
        for shape, of_shape in lists:
            where, solid = of_shape.pairs(cell)
            # A solid's ball is a circle to the sun; most squares are larger than what stands in them.
            right, up, along = (
                part.index_select(0, where).sub_(centre.index_select(0, solid))
                for part, centre in zip(sees, self.sun_places, strict=True)
            )
            reach = self.sun_radius.index_select(0, solid)
            inside = right.square_().add_(up.square_()) <= reach * reach
            before = inside.logical_and_(along <= reach).logical_and_(solid != own.index_select(0, where))
            chosen = places(before)
            where = self.shaded(shape, point, where.index_select(0, chosen), solid.index_select(0, chosen))
            dark[below.index_select(0, where)] = True
        return dark

    def shaded(self, shape: int, point: Vector, where: Tensor, solid: Tensor) -> Tensor:
        """Of pairs (P,) of places and solids of one shape: the numbers of points (N,) that these solids shade."""
        if not len(where):
            return where
        o = self.points([part.index_select(0, where) for part in point], solid)
        towards = [part.index_select(0, solid) for part in self.sun]
        t = formulas.hit(shape, self._inner(shape, solid), o, towards, 1e-5)
        return where.index_select(0, places(t < math.inf))

    def nearest(
        self, lists: Sequence[tuple[int, Lists]], eye: Vector, d: Vector, cell: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Of rays (N,) through cells of ``lists``: distance, inf where none is hit, and the solid's number, else -1."""
        best = torch.full((len(cell),), math.inf, dtype=torch.float64)
        found = list(self.met(lists, eye, d, cell))
        which = torch.full((len(cell),), -1)
        if found:
            ray, solid, t = (torch.cat(parts) for parts in zip(*found, strict=True))
            best.scatter_reduce_(0, ray, t, "amin")
            # Of solids that are met at the same place the first counts.
            first = places(t == best.index_select(0, ray))
            which.scatter_reduce_(
                0, ray.index_select(0, first), solid.index_select(0, first), "amin", include_self=False
            )
        return best, which

    def met(
        self, lists: Sequence[tuple[int, Lists]], eye: Vector, d: Vector, cell: Tensor
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """By shape: numbers of rays, the solid that each of them hits, and where."""
        starts = [m[0] * eye[0] + m[1] * eye[1] + m[2] * eye[2] + m[3] for m in self.maps]
        for shape, of_shape in lists:
            ray, solid = of_shape.pairs(cell)
            if not len(ray):
                continue
            o = [part.index_select(0, solid) for part in starts]
            towards = self.directions([part.index_select(0, ray) for part in d], solid)
            t = formulas.hit(shape, self._inner(shape, solid), o, towards, 1e-4)
            hit = places(t < math.inf)
            yield ray.index_select(0, hit), solid.index_select(0, hit), t.index_select(0, hit)

    def _inner(self, shape: int, solid: Tensor) -> Tensor | float:
        return self.inner.index_select(0, solid) if shape == RING else 0.0

    def surface(self, eye: Vector, d: Vector, t: Tensor, which: Tensor) -> list[Tensor]:
        """Colours of what rays (N,) meet at distances t, on solids, and on the ground where the solid's number is -1."""
        met = self.met_at(eye, d, t, which)
        return self.lit(d, met, self.sunlight(met, self.in_sun(met)[0]))[0]

    def lit(self, d: Vector, met: Met, *suns: Tensor) -> list[list[Tensor]]:
        """Colours of what rays (N,) along d meet, once for each of some lights of the sun (N,)."""
        own = self._own(met)
        colours = [formulas.lit(own, met.point, met.normal, met.bounce, sun) for sun in suns]
        shiny = places(self.mirror.index_select(0, met.solid))
        if len(shiny):
            share, shiny = self.mirror[met.solid[shiny]], met.solids[shiny]
            p, n, ray = ([part[shiny] for part in vector] for vector in (met.point, met.normal, d))
            along = 2 * (ray[0] * n[0] + ray[1] * n[1] + ray[2] * n[2])
            shown = formulas.surroundings(p, [part - along * part_n for part, part_n in zip(ray, n, strict=True)])
            for colour in colours:
                for plane, part in zip(colour, shown, strict=True):
                    plane[shiny] = (1 - share) * plane[shiny] + share * part
        return colours

    def _own(self, met: Met) -> list[Tensor]:
        """Colours of surfaces (N,), unlit."""
        own = [torch.empty_like(met.bounce) for _ in range(3)]
        if len(met.ground):
            x, z = (met.point[axis].index_select(0, met.ground) for axis in (0, 2))
            formulas.lay(own, met.ground, formulas.ground_colour(x, z))
        if len(met.solids):
            here = [part.index_select(0, met.solids) for part in met.point]
            formulas.lay(own, met.solids, self._painted(here, met.local, met.solid))
        return own

    def met_at(self, eye: Vector, d: Vector, t: Tensor, which: Tensor) -> Met:
        """Where rays (N,) meet solids, and the ground where the solid's number is -1."""
        point = [e + t * part for e, part in zip(eye, d, strict=True)]
        ground, solids = places(which < 0), places(which >= 0)
        solid = which.index_select(0, solids)
        local = self._normals(eye, [part.index_select(0, solids) for part in d], t.index_select(0, solids), solid)
        normal = [torch.zeros_like(t) for _ in range(3)]
        formulas.lay(normal, solids, self._turned_back(local, solid))
        normal[1].index_fill_(0, ground, -1.0)
        point[1].index_fill_(0, ground, GROUND_HEIGHT)
        bounce = torch.zeros_like(t).scatter_(0, solids, self.bounce.index_select(0, solid))
        return Met(point, normal, which, bounce, ground, solids, solid, local)

    def in_sun(self, met: Met) -> tuple[Tensor, list[Tensor]]:
        """Which places on surfaces (N,) the sun falls on, and these places, lifted a little off their surface."""
        bright = places(formulas.facing(met.normal) > 0)
        lifted = [(p + 1e-4 * n).index_select(0, bright) for p, n in zip(met.point, met.normal, strict=True)]
        clear = places(~self.in_shadow(lifted, from_the_sun(lifted), met.which.index_select(0, bright)))
        return bright.index_select(0, clear), [part.index_select(0, clear) for part in lifted]

    def _normals(self, eye: Vector, d: Vector, t: Tensor, solid: Tensor) -> list[Tensor]:
        """In the solids' own frames, where rays meet them."""
        normal = [torch.empty_like(t) for _ in range(3)]
        starts = [m[0] * eye[0] + m[1] * eye[1] + m[2] * eye[2] + m[3] for m in self.maps]
        shapes = self.shape.index_select(0, solid)
        for shape in self.of_shape:
            at = places(shapes == shape)
            if not len(at):
                continue
            these = solid.index_select(0, at)
            o = [part.index_select(0, these) for part in starts]
            towards = self.directions([part.index_select(0, at) for part in d], these)
            formulas.lay(normal, at, formulas.normal_at(shape, o, towards, t.index_select(0, at)))
        return normal

    def _turned_back(self, local: Vector, solid: Tensor) -> list[Tensor]:
        """Unit normals in the world: they are carried back by the transpose of the map into the solid."""
        x, y, z = local
        columns = ([row[axis].index_select(0, solid) for row in self.maps] for axis in range(3))
        turned = [a.mul_(x).add_(b.mul_(y)).add_(c.mul_(z)) for a, b, c in columns]
        length = (turned[0] ** 2 + turned[1] ** 2 + turned[2] ** 2).sqrt_()
        return [part / length for part in turned]

    def _painted(self, point: Vector, normal: Vector, solid: Tensor) -> list[Tensor]:
        """Colours of points on solids, unlit."""
        p = self.points(point, solid)
        share = torch.zeros_like(p[0])
        kinds = self.pattern.index_select(0, solid)
        for kind in self.patterns:
            at = places(kinds == kind)
            if kind == PLAIN or not len(at):
                continue
            these = solid.index_select(0, at)
            frequency, softness = (values.index_select(0, these) for values in (self.frequency, self.softness))
            here, facing = ([part.index_select(0, at) for part in vector] for vector in (p, normal))
            share.scatter_(0, at, formulas.pattern(kind, frequency, softness, here, facing))
        grain = self.grain.index_select(0, solid)
        tone = 1.0 + 0.16 * (formulas.noise(grain * p[0] + 11, grain * p[2] + 3, grain * p[1] + 5) - 0.5)
        rest = 1 - share
        return [
            tone * (first.index_select(0, solid) * rest + second.index_select(0, solid) * share)
            for first, second in zip(self.first, self.second, strict=True)
        ]

    def sunlight(self, met: Met, bright: Tensor) -> Tensor:
        """(N,) how much of the sun falls on surfaces, which it reaches in the places ``bright``."""
        strength, across, along, gain = self.light
        facing = formulas.facing(met.normal)
        light = facing.index_select(0, bright) * (1 - met.bounce.index_select(0, bright)) * gain
        if strength > 0:
            x, z = (met.point[axis].index_select(0, bright) for axis in (0, 2))
            patches = formulas.noise(PATCH * x + across, PATCH * z + along)
            light *= 1 - strength * formulas.smoothstep(0.45, 0.6, patches)
        return torch.zeros_like(facing).scatter_(0, bright, light)


class Camera:
    """Casts the rays of one camera's pixels."""

    def __init__(
        self, eye: np.ndarray, to_world: np.ndarray, k: np.ndarray, size: tuple[int, int], scene: Scene
    ) -> None:
        self.eye = [torch.tensor(part, dtype=torch.float64) for part in eye]
        self.to_world, self.k, self.scene = to_world.tolist(), k.tolist(), scene
        self.width, self.height = size
        self.tiles = -(-self.width // TILE)
        self.touches = self._touches()
        """(solids, tiles) bool: whether a ray through the tile can touch the solid's bounding ball."""
        self.lists = scene.by_shape(self.touches)

    def direction(self, u: Tensor, v: Tensor) -> list[Tensor]:
        """Of unit depth, in the world, through points of the picture."""
        fx, fy, cx, cy = self.k
        x, y = (u - cx) / fx, (v - cy) / fy
        return [row[0] * x + row[1] * y + row[2] for row in self.to_world]

    def _touches(self) -> Tensor:
        left, top = torch.arange(0, self.width, TILE).double(), torch.arange(0, self.height, TILE).double()
        right, bottom = (left + TILE).clamp_max(self.width), (top + TILE).clamp_max(self.height)

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

    def look(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Through the centres of pixels (N,): colours (N, 3) float32 0..1 and planar depths (N,)."""
        colour, distance = self.cast(*self.places(pixels, 1))
        return torch.stack([plane.float() for plane in colour], 1), distance

    def smooth(self, pixels: Tensor, samples: int) -> Tensor:
        """(N, 3) float64: the mean colour of samples x samples rays through each of the pixels (N,)."""
        colour, _ = self.cast(*self.places(pixels, samples))
        return torch.stack([mean(plane.view(samples**2, len(pixels))) for plane in colour], 1)

    def places(self, pixels: Tensor, samples: int) -> tuple[Tensor, Tensor]:
        """Columns and rows (samples * samples * N,) that are looked through, of pixels (N,) counted row by row."""
        row = torch.div(pixels, self.width, rounding_mode="floor")
        at = (torch.arange(samples, dtype=torch.float64) + 0.5) / samples
        shape = (samples, samples, len(pixels))
        v = (row + at[:, None, None]).expand(shape).reshape(-1)
        u = ((pixels - row * self.width) + at[:, None]).expand(shape).reshape(-1)
        return u, v

    def cast(self, u: Tensor, v: Tensor) -> tuple[list[Tensor], Tensor]:
        """Colours 0..1 and planar depths (N,) of rays through points of the picture."""
        d = self.direction(u, v)
        best, which, ground = self.nearest(d, self.tile(u, v))
        above = places((which < 0) & ~ground)
        if len(above) == len(u):
            best = formulas.sky_distance(self.eye, d)
            return self.sky(d, best), best
        if not len(above):
            return [plane.clamp_(0, 1) for plane in self.scene.surface(self.eye, d, best, which)], best
        d_sky = [part.index_select(0, above) for part in d]
        t = formulas.sky_distance(self.eye, d_sky)
        best.scatter_(0, above, t)
        colour = [torch.empty_like(best) for _ in range(3)]
        formulas.lay(colour, above, self.sky(d_sky, t))
        below = places((which >= 0) | ground)
        d_below = [part.index_select(0, below) for part in d]
        surface = self.scene.surface(self.eye, d_below, best.index_select(0, below), which.index_select(0, below))
        formulas.lay(colour, below, surface)
        return [plane.clamp_(0, 1) for plane in colour], best

    def tile(self, u: Tensor, v: Tensor) -> Tensor:
        """(N,) which tile places of the picture lie in."""
        return (v / TILE).long().mul_(self.tiles).add_((u / TILE).long())

    def nearest(self, d: Vector, tile: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of rays (N,): distance, inf for the sky; the solid's number, else -1; and whether it is the ground."""
        best, which = self.scene.nearest(self.lists, self.eye, d, tile)
        ground = self._ground(d, best)
        return best, which.masked_fill_(ground, -1), ground

    def sky(self, d: Vector, t: Tensor) -> list[Tensor]:
        """Colours 0..1 of the sky where rays (N,) meet it."""
        colour = formulas.sky_colour(*(e + t * part for e, part in zip(self.eye, d, strict=True)))
        return [plane.clamp_(0, 1) for plane in colour]

    def _ground(self, d: Vector, best: Tensor) -> Tensor:
        """(N,) bool: where the ground is nearer than any solid; its distance is put into ``best`` there."""
        x, y, z = self.eye
        down = d[1] > 1e-9
        t = torch.where(down, (GROUND_HEIGHT - y) / torch.where(down, d[1], 1.0), math.inf)
        far = (x + t * d[0]) ** 2 + (z + t * d[2] - PLAZA_CENTRE_Z) ** 2
        near = down & (t > 1e-4) & (t < best) & (far < GROUND_RADIUS**2)
        torch.where(near, t, best, out=best)
        return near
