"""Faces drawn on the sphere around a camera: exact for every ray, with no picture in between.

A ray r meets the face a, b, c where the signs of r.(b x c), r.(c x a) and r.(a x b) are those of its volume a.(b x c); their sum
over the volume is one over the distance. That holds for any face, also a huge one or one behind the camera, so nothing is
clipped. Two faces that share an edge compute it from the same two vertices with opposite sign, so no ray slips between them.

With an ``eye`` offset, each column has an eye of its own, that far to the right of where the column looks: what stereo panoramas
are made of. Edges then get (o x r).(q - p) on top, and the volume loses o.(sum of the normals).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .torch_faces import expand
from .torch_scene import Surface
from .torch_shade import lay_colors, normalised, planes_of, winners
from .view import TIE

FLAT = 1e-12
"""Faces whose volume is a smaller share of their corners' distances are seen edge-on, and hold no ray."""
MARGIN = 1e-3
"""Columns and rows by which a face's box is widened; what is in it is tested exactly."""
LARGE = 0.2
"""Radians of longitude from which on a face's box is worked out from its edges."""
NARROW = 4
"""Columns up to which a row of a face's box is tested as it is."""


@dataclass(frozen=True, eq=False)
class Sphere:
    """The samples: an equirectangular grid of which every row and column has its own angle.

    Attributes:
        rows: from the zenith to the nadir.
        around: columns of the whole turn, from behind over the left, ahead (the middle) and the right to behind.
        columns: of the picture, the middle ones of these.
        sin_lon, cos_lon: (around,) float64, of each column; 0 = ahead.
        sin_lat, cos_lat: (rows,) float64, of each row; above 0 = up.
        eye: offset of the eye to the right, in scene units.
    """

    rows: int
    around: int
    columns: int
    sin_lon: Tensor
    cos_lon: Tensor
    sin_lat: Tensor
    cos_lat: Tensor
    eye: float

    @classmethod
    def of(cls, rows: int, columns: int, eye: float, device: torch.device) -> Sphere:
        """The grid of a picture of so many samples, whose rows span half a turn."""
        around = 2 * rows
        lon = (torch.arange(around, dtype=torch.float64, device=device) + 0.5) * (2 * math.pi / around) - math.pi
        lat = math.pi / 2 - (torch.arange(rows, dtype=torch.float64, device=device) + 0.5) * (math.pi / rows)
        return cls(rows, around, columns, lon.sin(), lon.cos(), lat.sin(), lat.cos(), eye)

    def rays(self, row: Tensor, turn: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x, y, z of the unit rays of samples, by row and column of the whole turn."""
        flat = self.cos_lat[row]
        return self.sin_lon[turn] * flat, -self.sin_lat[row], self.cos_lon[turn] * flat

    def crossed(self, row: Tensor, turn: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x, y, z of o x r, where o is the eye's place."""
        up = self.eye * self.sin_lat[row]
        return -self.sin_lon[turn] * up, -self.eye * self.cos_lat[row], -self.cos_lon[turn] * up


@dataclass(frozen=True, eq=False)
class Faces:
    """Faces before the camera.

    Attributes:
        number: (K,) as in `Surface`.
        values: (10, K) float64: x, y, z of b x c, of c x a and of a x b, and the volume a.(b x c). For eyes beside the axis
            (19, K): x, y, z of c - b, a - c and b - a after them.
    """

    number: Tensor
    values: Tensor

    def taken(self, index: Tensor) -> Faces:
        """Some of them."""
        return Faces(self.number.index_select(0, index), self.values.index_select(1, index))

    @property
    def normals(self) -> tuple[Tensor, ...]:
        """Three (3, K)."""
        return self.values[0:3], self.values[3:6], self.values[6:9]

    @property
    def volume(self) -> Tensor:
        """(K,)"""
        return self.values[9]

    def weights(self, sphere: Sphere, row: Tensor, turn: Tensor) -> tuple[list[Tensor], Tensor]:
        """For one sample each: three weights, none below 0 where it is met, and its distance times their sum."""
        ray, volume = sphere.rays(row, turn), self.volume
        weights = [_dot(ray, normal) for normal in self.normals]
        if sphere.eye:
            crossed = sphere.crossed(row, turn)
            weights = [w + _dot(crossed, self.values[k : k + 3]) for w, k in zip(weights, (10, 13, 16), strict=True)]
            total = self.values[0:3] + self.values[3:6] + self.values[6:9]
            volume = volume - sphere.eye * (sphere.cos_lon[turn] * total[0] - sphere.sin_lon[turn] * total[2])
        sign = volume.sign()
        return [weight * sign for weight in weights], volume.abs()


def _dot(a: tuple[Tensor, Tensor, Tensor], b: Tensor) -> Tensor:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def draw_on_sphere(surface: Surface, points: Tensor, sphere: Sphere, keys: Tensor, poll: Callable[[], None]) -> None:
    """Lay every face into ``keys``.

    Args:
        surface: what is drawn.
        points: (V, 3) float64, its vertices in the camera's frame.
        sphere: the samples.
        keys: (rows * columns,) int64, as in `draw_faces`; the largest wins.
        poll: called once a piece; may raise.
    """
    plate = torch.arange(surface.grid_faces, surface.grid_faces + 2, device=keys.device)
    quads = surface.every_quad()
    angles = _angles(points)
    for piece in torch.cat([2 * quads, 2 * quads + 1, plate]).split(surface.strip):
        poll()
        box = _boxes(points, angles, surface.corners_of_any(piece), sphere)
        faces, kept = _faces(points, piece, box, surface, sphere)
        box = box.index_select(1, kept)
        for owner, row in expand(box[2], (box[3] - box[2]).long() + 1, surface.strip):
            poll()
            owner, row, first, last = _spans(faces, box, sphere, owner, row.long())
            for span, turn in expand(first, (last - first).long() + 1, surface.strip):
                at = owner.index_select(0, span)
                _test(surface, faces.taken(at), sphere, row.index_select(0, span), turn.long(), keys)


def _test(surface: Surface, faces: Faces, sphere: Sphere, row: Tensor, turn: Tensor, keys: Tensor) -> None:
    """Samples against one face each; ``turn`` may lie beyond either end of the turn."""
    turn = torch.remainder(turn, sphere.around)
    weights, volume = faces.weights(sphere, row, turn)
    inverse = (weights[0] + weights[1] + weights[2]) / volume
    met = torch.minimum(torch.minimum(*weights[:2]), weights[2]) >= 0
    column = turn - (sphere.around - sphere.columns) // 2
    met &= (inverse >= 1 / surface.far) & (inverse <= 1 / surface.near) & (column >= 0) & (column < sphere.columns)
    at = met.nonzero()[:, 0]
    inverse, number = inverse[at], faces.number[at]
    if surface.paper:
        inverse = torch.where(surface.seen.index_select(0, number), inverse * TIE, inverse)
    key = (inverse.float().view(torch.int32).long() << 32) | (0xFFFFFFFF - number)
    keys.scatter_reduce_(0, row[at] * sphere.columns + column[at], key, "amax")


def _faces(points: Tensor, number: Tensor, box: Tensor, surface: Surface, sphere: Sphere) -> tuple[Faces, Tensor]:
    """Faces with a volume and a sample in their box, and which they are."""
    kept = ((box[1] >= box[0]) & (box[3] >= box[2])).nonzero()[:, 0]
    number = number.index_select(0, kept)
    values, flat = _values(points, surface.corners_of_any(number), sphere)
    solid = (~flat).nonzero()[:, 0]
    return Faces(number, values).taken(solid), kept.index_select(0, solid)


def _values(points: Tensor, corners: tuple[Tensor, Tensor, Tensor], sphere: Sphere) -> tuple[Tensor, Tensor]:
    """What `Faces` holds, and whether each face is edge-on."""
    a, b, c = (points.index_select(0, corner).T for corner in corners)
    normals = [_cross(p, q) for p, q in ((b, c), (c, a), (a, b))]
    volume = a[0] * normals[0][0] + a[1] * normals[0][1] + a[2] * normals[0][2]
    reach = a.norm(dim=0) * b.norm(dim=0) * c.norm(dim=0)
    rows = [*(value for normal in normals for value in normal), volume]
    sides = torch.cat([c - b, a - c, b - a]) if sphere.eye else a[:0]
    return torch.cat([torch.stack(rows), sides]), volume.abs() <= FLAT * reach


def _cross(p: Tensor, q: Tensor) -> list[Tensor]:
    """Its rounding is the same, with the other sign, for q, p: neighbours share an edge without a gap."""
    (px, py, pz), (qx, qy, qz) = p, q
    return [py * qz - pz * qy, pz * qx - px * qz, px * qy - py * qx]


def _angles(points: Tensor) -> Tensor:
    """(3, V): longitude and latitude of vertices, and their distance from the vertical axis."""
    x, y, z = points.T
    flat = torch.hypot(x, z)
    return torch.stack([torch.atan2(x, z), torch.atan2(-y, flat), flat])


def _boxes(points: Tensor, angles: Tensor, corners: tuple[Tensor, Tensor, Tensor], sphere: Sphere) -> Tensor:
    """(4, K) first and last column of the turn, first and last row, float64 whole numbers, that hold each face."""
    (lon_a, *lat_a), (lon_b, *lat_b), (lon_c, *lat_c) = (angles.index_select(1, corner) for corner in corners)
    step, other, back = _wrapped(lon_b - lon_a), _wrapped(lon_c - lon_b), _wrapped(lon_a - lon_c)
    second = step + other
    west, east = torch.minimum(step, second).clamp_(max=0), torch.maximum(step, second).clamp_(min=0)
    spread = east - west
    west, east = lon_a + west, lon_a + east
    low, flat = (torch.minimum(torch.minimum(p, q), r) for p, q, r in zip(lat_a, lat_b, lat_c, strict=True))
    high = torch.maximum(torch.maximum(lat_a[0], lat_b[0]), lat_c[0])
    turns = (second + back).abs() > 1  # around the vertical: a pole is inside
    # Between two points of one latitude a great circle rises by sin(2 lat) (their longitudes' difference)^2 / 16, to first order.
    bulge = spread.square() / 12
    large = (turns | (spread > LARGE)).nonzero()[:, 0]
    nearest = flat * spread.clamp(max=LARGE).cos() if sphere.eye else flat
    box = [west, east, low - bulge, high + bulge, nearest]
    if len(large):
        exact = _large_boxes(
            points, [corner.index_select(0, large) for corner in corners], turns[large], low[large], high[large]
        )
        for plane, value in zip((turns, *box[2:]), exact, strict=True):
            plane[large] = value
    return _samples(sphere, turns, box)


def _samples(sphere: Sphere, turns: Tensor, box: list[Tensor]) -> Tensor:
    """Boxes in radians as columns and rows."""
    west, east, low, high, nearest = box
    if sphere.eye:
        # From its eye a column sees a point at a distance d from the axis turned by asin(eye / d) and, as d / sqrt(d^2 - eye^2),
        # steeper.
        share = abs(sphere.eye) / nearest.clamp(min=1e-300)
        inside = share >= 0.999
        turned, steeper = share.clamp_(max=0.999).asin(), (1 - share.square()).rsqrt()
        west, east, turns = west - turned, east + turned, turns | inside
        low = torch.where(inside, -math.pi / 2, torch.minimum(low, torch.atan(low.tan() * steeper)))
        high = torch.where(inside, math.pi / 2, torch.maximum(high, torch.atan(high.tan() * steeper)))
    unit, step = sphere.around / (2 * math.pi), sphere.rows / math.pi
    first, last = (west + math.pi) * unit - 0.5 - MARGIN, (east + math.pi) * unit - 0.5 + MARGIN
    turns = turns | (last - first >= sphere.around - 1)
    first = torch.where(turns, 0.0, first.ceil())
    last = torch.where(turns, sphere.around - 1.0, last.floor())
    top, bottom = (math.pi / 2 - high) * step - 0.5 - MARGIN, (math.pi / 2 - low) * step - 0.5 + MARGIN
    return torch.stack([first, last, top.ceil().clamp(min=0), bottom.floor().clamp(max=sphere.rows - 1)])


def _large_boxes(
    points: Tensor, corners: list[Tensor], turns: Tensor, low: Tensor, high: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """For faces of any size: whether they go all around, the lowest and highest latitude, the distance from the axis."""
    places = [points.index_select(0, corner).T for corner in corners]
    a, b, c = places
    volume = (a * torch.stack(_cross(b, c))).sum(0)
    units = [p / p.norm(dim=0) for p in places]
    zenith = nadir = torch.ones_like(turns)
    for k in range(3):
        p, q = units[k], units[(k + 1) % 3]
        normal = torch.stack(_cross(p, q))
        # Where a great circle has its top between two corners, that counts too.
        cosine = (p * q).sum(0)
        rise_p, rise_q = cosine * p[1] - q[1], cosine * q[1] - p[1]  # towards the other end, upwards
        most = torch.atan2(torch.hypot(normal[0], normal[2]), normal[1].abs())
        high = torch.where((rise_p > 0) & (rise_q > 0), torch.maximum(high, most), high)
        low = torch.where((rise_p < 0) & (rise_q < 0), torch.minimum(low, -most), low)
        # A pole on an edge, to a millionth of a radian, counts as inside.
        side = normal[1] * volume.sign()
        zenith, nadir = zenith & (side <= 1e-6), nadir & (side >= -1e-6)
    turns = turns | zenith | nadir
    high = torch.where(zenith | (turns & ~nadir), math.pi / 2, high)
    low = torch.where(nadir | (turns & ~zenith), -math.pi / 2, low)
    flat = [p[[0, 2]].T for p in places]
    nearest = torch.stack([_from_axis(flat[k], flat[(k + 1) % 3]) for k in range(3)]).amin(0)
    return turns, low, high, nearest


def _from_axis(p: Tensor, q: Tensor) -> Tensor:
    """(K,) distance of the segments p q (K, 2) from the origin."""
    along = q - p
    share = (-(p * along).sum(1) / along.square().sum(1).clamp(min=1e-300)).clamp(0, 1)
    return (p + share[:, None] * along).norm(dim=1)


def _spans(
    faces: Faces, box: Tensor, sphere: Sphere, owner: Tensor, row: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """First and last column that each face can cover in each of its rows; rows without one are dropped."""
    first, last = box[0].index_select(0, owner), box[1].index_select(0, owner)
    wide = ((last - first) > NARROW).nonzero()[:, 0]
    if len(wide) and not sphere.eye:
        first[wide], last[wide] = _tightened(faces, sphere, owner[wide], row[wide], first[wide], last[wide])
    kept = (last >= first).nonzero()[:, 0]
    return owner[kept], row[kept], first[kept], last[kept]


def _tightened(
    faces: Faces, sphere: Sphere, owner: Tensor, row: Tensor, first: Tensor, last: Tensor
) -> tuple[Tensor, Tensor]:
    """Columns cut down to where the edges allow: in a row, an edge is A cos(lon - B) - C, so it holds one stretch of the turn."""
    unit = sphere.around / (2 * math.pi)
    middle = (first + last) / 2
    sign = faces.volume[owner].sign()
    low, high = first, last
    for x, y, z in faces.normals:
        x, y, z = x[owner] * sign, y[owner] * sign, z[owner] * sign
        reach = torch.hypot(x, z) * sphere.cos_lat[row]
        cosine = sphere.sin_lat[row] * y / reach.clamp(min=1e-300)
        half = cosine.clamp(-1, 1).acos() * unit + MARGIN
        peak = (torch.atan2(x, z) + math.pi) * unit - 0.5
        peak = middle + torch.remainder(peak - middle + sphere.around / 2, sphere.around) - sphere.around / 2
        west, east = peak - half, peak + half
        # A stretch that comes round into the box from its other end is left as it is.
        once = (west + sphere.around > last) & (east - sphere.around < first)
        low = torch.where(once, torch.maximum(low, west), low)
        high = torch.where(once, torch.minimum(high, east), high)
        high = torch.where(cosine > 1 + 1e-9, low - 1, high)
    return low.ceil(), high.floor()


def _wrapped(angle: Tensor) -> Tensor:
    """Into -pi .. pi."""
    return torch.remainder(angle + math.pi, 2 * math.pi) - math.pi


def shade_sphere(
    surface: Surface, points: Tensor, sphere: Sphere, keys: Tensor, rgb: Tensor, fade: bool, poll: Callable[[], None]
) -> tuple[Tensor, Tensor, Tensor]:
    """Look at every sample's winner.

    Args:
        surface: what was drawn.
        points: (V, 3) float64, its vertices in the camera's frame.
        sphere: the samples.
        keys: as `draw_on_sphere` fills them.
        rgb: (V, 3) uint8 colours of the vertices.
        fade: see `Settings`.
        poll: called once a piece; may raise.

    Returns:
        Colour 0..255 (rows, columns, 3) float32, mask (rows, columns) bool and distance along the ray (rows, columns)
        float32.
    """
    count = sphere.rows * sphere.columns
    color = torch.zeros((3, count), dtype=torch.float32, device=keys.device)
    mask = torch.zeros(count, dtype=torch.bool, device=keys.device)
    depth = torch.zeros(count, dtype=torch.float32, device=keys.device)
    channels = planes_of(rgb)
    for start in range(0, count, surface.strip):
        poll()
        part = slice(start, start + surface.strip)
        at, number, corners = winners(surface, keys[part])
        sample = at + start
        row = torch.div(sample, sphere.columns, rounding_mode="floor")
        turn = sample - row * sphere.columns + (sphere.around - sphere.columns) // 2
        faces = Faces(number, _values(points, corners, sphere)[0])
        weights, volume = faces.weights(sphere, row, turn)
        distance = volume / (weights[0] + weights[1] + weights[2])
        out = (color[:, part], mask[part], depth[part])
        lay_colors(surface, at, corners, normalised(weights), distance, channels, fade, out)
    shape = (sphere.rows, sphere.columns)
    return color.T.view(*shape, 3), mask.view(shape), depth.view(shape)
