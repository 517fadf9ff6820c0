"""Ray casting of the demo scene: nearest surface, baked diffuse colour and exact planar depth per pixel.

Imports numba, so import it where it is used. Every solid is a unit shape under an affine map; a ray is carried into
the solid's own frame, where the intersection is a closed form and the distance along the ray stays the same. Rays are
written as ``eye + z * direction`` with a direction of unit depth, so that distance IS the planar depth.

Nothing in the colour depends on the eye, mirrors apart: light, shadow and haze are functions of the surface point alone, so
two cameras that see a point see the same colour there.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ..machine.cores import cores
from ..machine.numba_cache import njit
from .world import (
    BALL,
    BANDS,
    BOX,
    CHECKER,
    CRATE,
    CYLINDER,
    EDGE_DIFFERENCE,
    GROUND_HEIGHT,
    GROUND_RADIUS,
    MERIDIANS,
    PATCH,
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


@njit(nogil=True, inline="always", error_model="numpy")
def _smoothstep(low, high, x):
    s = min(max((x - low) / (high - low), 0.0), 1.0)
    return s * s * (3.0 - 2.0 * s)


@njit(nogil=True, error_model="numpy")
def _lattice(i, j, k):
    """A repeatable value in 0..1 for a lattice point."""
    n = (i * 374761393 + j * 668265263 + k * 2147483647) & 0xFFFFFFFF
    n = ((n ^ (n >> 13)) * 1274126177) & 0xFFFFFFFF
    return ((n ^ (n >> 16)) & 0xFFFF) / 65535.0


@njit(nogil=True, error_model="numpy")
def _noise(x, y, z):
    """Smooth value noise in 0..1 with features of about one unit."""
    i, j, k = math.floor(x), math.floor(y), math.floor(z)
    u, v, w = x - i, y - j, z - k
    u, v, w = u * u * (3 - 2 * u), v * v * (3 - 2 * v), w * w * (3 - 2 * w)
    i, j, k = int(i), int(j), int(k)
    total = 0.0
    for a in range(2):
        for b in range(2):
            for c in range(2):
                weight = (u if a else 1 - u) * (v if b else 1 - v) * (w if c else 1 - w)
                total += weight * _lattice(i + a, j + b, k + c)
    return total


@njit(nogil=True, error_model="numpy")
def _wave(x, softness):
    """A square wave of period 1 in 0..1 with soft edges; ``softness`` is the edge's share of the period."""
    return min(max(0.5 + math.sin(2 * math.pi * x) / (2 * math.pi * softness), 0.0), 1.0)


@njit(nogil=True, error_model="numpy")
def _hit_unit_shape(shape, inner, o, d, least):  # noqa: C901, a kernel: one branch a shape
    """Nearest intersection beyond ``least``: (distance or inf, local normal x, y, z)."""
    ox, oy, oz = o
    dx, dy, dz = d
    best, nx, ny, nz = math.inf, 0.0, 0.0, 0.0
    if shape == BALL:
        a, b, c = dx * dx + dy * dy + dz * dz, ox * dx + oy * dy + oz * dz, ox * ox + oy * oy + oz * oz - 1.0
        root = b * b - a * c
        if root > 0:
            root = math.sqrt(root)
            t = (-b - root) / a
            if t <= least:
                t = (-b + root) / a
            if t > least:
                best, nx, ny, nz = t, ox + t * dx, oy + t * dy, oz + t * dz
    elif shape == BOX:
        near, far, axis = -math.inf, math.inf, 0
        for k in range(3):
            ok, dk = o[k], d[k]
            if abs(dk) < 1e-12:
                if abs(ok) > 1.0:
                    return math.inf, 0.0, 0.0, 0.0
                continue
            t0, t1 = (-1.0 - ok) / dk, (1.0 - ok) / dk
            if t0 > t1:
                t0, t1 = t1, t0
            if t0 > near:
                near, axis = t0, k
            far = min(far, t1)
        if near <= far and near > least:
            best = near
            sign = -1.0 if d[axis] > 0 else 1.0
            nx, ny, nz = (sign if axis == 0 else 0.0), (sign if axis == 1 else 0.0), (sign if axis == 2 else 0.0)
    elif shape == RING:
        if abs(dy) > 1e-12:
            t = -oy / dy
            x, z = ox + t * dx, oz + t * dz
            radius = x * x + z * z
            if t > least and inner * inner < radius < 1.0:
                best, ny = t, (1.0 if oy > 0 else -1.0)
    else:
        # Both have a round cross-section of radius r(y) = p + q * y: a cylinder p = 1, q = 0, a cone (tip up) 1/2, 1/2.
        p, q = (1.0, 0.0) if shape == CYLINDER else (0.5, 0.5)
        r, s = p + q * oy, q * dy
        a, b, c = dx * dx + dz * dz - s * s, ox * dx + oz * dz - r * s, ox * ox + oz * oz - r * r
        root = b * b - a * c
        if root > 0 and abs(a) > 1e-14:
            root = math.sqrt(root)
            for sign in (-1.0, 1.0):
                t = (-b + sign * root) / a
                y = oy + t * dy
                if least < t < best and -1.0 <= y <= 1.0:
                    best, nx, ny, nz = t, ox + t * dx, -q * (p + q * y), oz + t * dz
        if abs(dy) > 1e-12:
            for cap in (-1.0, 1.0):
                t = (cap - oy) / dy
                x, z, rim = ox + t * dx, oz + t * dz, p + q * cap
                if least < t < best and x * x + z * z < rim * rim:
                    best, nx, ny, nz = t, 0.0, cap, 0.0
    return best, nx, ny, nz


@njit(nogil=True, inline="always", error_model="numpy")
def _to_local(m, x, y, z, translate):
    return (
        m[0, 0] * x + m[0, 1] * y + m[0, 2] * z + translate * m[0, 3],
        m[1, 0] * x + m[1, 1] * y + m[1, 2] * z + translate * m[1, 3],
        m[2, 0] * x + m[2, 1] * y + m[2, 2] * z + translate * m[2, 3],
    )


@njit(nogil=True, error_model="numpy")
def _in_shadow(x, y, z, solids):
    """True where a solid stands between the point and the sun."""
    shape, to_local, _, from_sun, _, number, _, _ = solids
    across = x * SUN_RIGHT[0] + y * SUN_RIGHT[1] + z * SUN_RIGHT[2]
    up = x * SUN_UP[0] + y * SUN_UP[1] + z * SUN_UP[2]
    along = x * SUN[0] + y * SUN[1] + z * SUN[2]
    for i in range(len(shape)):
        da, db, radius = from_sun[i, 0] - across, from_sun[i, 1] - up, from_sun[i, 3]
        if da * da + db * db > radius * radius or from_sun[i, 2] - along < -radius:
            continue
        o = _to_local(to_local[i], x, y, z, 1.0)
        d = _to_local(to_local[i], SUN[0], SUN[1], SUN[2], 0.0)
        if _hit_unit_shape(shape[i], number[i, 2], o, d, 1e-5)[0] < math.inf:
            return True
    return False


@njit(nogil=True, error_model="numpy")
def _pattern(material, frequency, softness, p, n):
    """Share of the second colour at a local point of a solid."""
    x, y, z = p
    if material == MERIDIANS:
        return _wave(math.atan2(x, z) / (2 * math.pi) * frequency, softness)
    if material == BANDS:
        return _wave(y * frequency, softness)
    if material == SPIRAL:
        return _wave(math.atan2(x, z) / math.pi + y * frequency, softness)
    if material == RINGS:
        return _wave(math.sqrt(x * x + z * z) * frequency, softness)
    if material in (CHECKER, CRATE):
        if abs(n[0]) > 0.5:
            u, v = y, z
        elif abs(n[1]) > 0.5:
            u, v = x, z
        else:
            u, v = x, y
        if material == CRATE and max(abs(u), abs(v)) > 0.84:
            return 1.0
        a, b = _wave(u * frequency, softness), _wave(v * frequency, softness)
        return a + b - 2 * a * b
    return 0.0


@njit(nogil=True, error_model="numpy")
def _lit(r, g, b, x, y, z, nx, ny, nz, bounce, solids):
    """Diffuse sunlight with a shadow, sky light from above, haze with the distance from the plaza."""
    facing = nx * SUN[0] + ny * SUN[1] + nz * SUN[2]
    sun = 0.0
    if facing > 0 and not _in_shadow(x + 1e-4 * nx, y + 1e-4 * ny, z + 1e-4 * nz, solids):
        light = solids[7]
        sun = facing * (1 - bounce) * light[3]
        if light[0] > 0:
            shade = _smoothstep(0.45, 0.6, _noise(PATCH * x + light[1], 0.0, PATCH * z + light[2]))
            sun *= 1 - light[0] * shade
    sky = 0.50 - 0.16 * ny + bounce * (0.42 + 0.2 * facing)
    # Less sky light reaches what stands low on the ground.
    if ny > -0.99:
        sky *= 0.72 + 0.28 * _smoothstep(0.0, 0.5, GROUND_HEIGHT - y)
    haze = 0.55 * _smoothstep(9.0, 34.0, math.sqrt(x * x + (z - PLAZA_CENTRE_Z) ** 2))
    r = (1 - haze) * r * (0.90 * sky + 0.68 * sun) + haze * 0.95
    g = (1 - haze) * g * (0.94 * sky + 0.63 * sun) + haze * 0.86
    b = (1 - haze) * b * (1.06 * sky + 0.54 * sun) + haze * 0.80
    return r, g, b


@njit(nogil=True, error_model="numpy")
def _ground_colour(x, z):
    u, v = x, z - PLAZA_CENTRE_Z
    radius = math.sqrt(u * u + v * v)
    grain = _noise(5 * x, 0.0, 5 * z) - 0.5
    if radius < PLAZA_RADIUS:
        # Rings of slabs, twice as many outside as inside so that they stay about square.
        rings = radius / 0.7
        spokes = math.atan2(u, v) / (2 * math.pi) * (12 if rings < 2 else 24)
        a, b = _wave(rings * 0.5, 0.05), _wave(spokes * 0.5 + 0.11, 0.05)
        share = a + b - 2 * a * b
        if radius < 0.7:
            share = 1.0
        tone = 1.0 + 0.10 * grain
        if radius > PLAZA_RADIUS - 0.22:
            return 0.72 * tone, 0.44 * tone, 0.36 * tone
        return (
            (0.93 - 0.11 * share) * tone,
            (0.86 - 0.20 * share) * tone,
            (0.74 - 0.22 * share) * tone,
        )
    patches = _noise(0.55 * x + 7, 0.0, 0.55 * z) - 0.5
    tone = 1.0 + 0.30 * patches + 0.10 * grain
    return 0.56 * tone, 0.70 * tone, 0.42 * tone


@njit(nogil=True, error_model="numpy")
def _sky_colour(x, y, z):
    """Gradient, sun glow and two mountain ranges on the sky sphere."""
    elevation = math.degrees(math.asin(-y / SKY_RADIUS))
    azimuth = math.atan2(x, z)
    h = _smoothstep(-1.0, 30.0, elevation)
    r, g, b = 0.99 - 0.52 * h, 0.87 - 0.16 * h, 0.76 + 0.13 * h
    glow_x, glow_y = math.degrees(azimuth) - 15.0, elevation - 12.0
    glow = math.exp(-(glow_x * glow_x + glow_y * glow_y) / 160.0)
    r, g, b = r + 0.10 * glow, g + 0.10 * glow, b + 0.02 * glow
    disc = 1 - _smoothstep(2.3, 2.5, math.sqrt(glow_x * glow_x + glow_y * glow_y))
    r, g, b = r + disc * (1.0 - r), g + disc * (0.97 - g), b + disc * (0.86 - b)
    far = 4.6 + 1.7 * math.sin(5 * azimuth + 0.4) + 0.9 * math.sin(13 * azimuth) + 0.35 * math.sin(31 * azimuth + 1)
    near = 2.5 + 1.1 * math.sin(7 * azimuth + 2.2) + 0.6 * math.sin(17 * azimuth + 1) + 0.2 * math.sin(43 * azimuth)
    m = 1 - _smoothstep(far - 0.08, far + 0.08, elevation)
    r, g, b = r + m * (0.78 - r), g + m * (0.70 - g), b + m * (0.76 - b)
    m = 1 - _smoothstep(near - 0.08, near + 0.08, elevation)
    r, g, b = r + m * (0.62 - r), g + m * (0.62 - g), b + m * (0.68 - b)
    return r, g, b


@njit(nogil=True, error_model="numpy")
def _surroundings(x, y, z, dx, dy, dz):
    """What a mirror at a point shows that way: ground in full sky light, or sky; no other things."""
    if dy > 1e-9:
        t = (GROUND_HEIGHT - y) / dy
        u, w = x + t * dx, z + t * dz
        if u * u + (w - PLAZA_CENTRE_Z) ** 2 < GROUND_RADIUS**2:
            return _ground_colour(u, w)
    a, b = dx * dx + dy * dy + dz * dz, x * dx + y * dy + z * dz
    t = (-b + math.sqrt(b * b - a * (x * x + y * y + z * z - SKY_RADIUS**2))) / a
    return _sky_colour(x + t * dx, y + t * dy, z + t * dz)


@njit(nogil=True, error_model="numpy")
def _cast(eye, d, solids, candidates, count):
    """Colour and distance of the nearest surface along ``eye + t * d``."""
    shape, to_local, _, _, material, number, colour, _ = solids
    best, which, nx, ny, nz = math.inf, -1, 0.0, 0.0, 0.0
    for c in range(count):
        i = candidates[c]
        lo = _to_local(to_local[i], eye[0], eye[1], eye[2], 1.0)
        ld = _to_local(to_local[i], d[0], d[1], d[2], 0.0)
        t, a, b, e = _hit_unit_shape(shape[i], number[i, 2], lo, ld, 1e-4)
        if t < best:
            best, which, nx, ny, nz = t, i, a, b, e
    if d[1] > 1e-9:
        t = (GROUND_HEIGHT - eye[1]) / d[1]
        if 1e-4 < t < best:
            x, z = eye[0] + t * d[0], eye[2] + t * d[2]
            if x * x + (z - PLAZA_CENTRE_Z) ** 2 < GROUND_RADIUS**2:
                r, g, b = _ground_colour(x, z)
                r, g, b = _lit(r, g, b, x, GROUND_HEIGHT, z, 0.0, -1.0, 0.0, 0.0, solids)
                return r, g, b, t
    if which < 0:
        a, b = d[0] * d[0] + d[1] * d[1] + d[2] * d[2], eye[0] * d[0] + eye[1] * d[1] + eye[2] * d[2]
        c = eye[0] * eye[0] + eye[1] * eye[1] + eye[2] * eye[2] - SKY_RADIUS**2
        t = (-b + math.sqrt(b * b - a * c)) / a
        r, g, b = _sky_colour(eye[0] + t * d[0], eye[1] + t * d[1], eye[2] + t * d[2])
        return r, g, b, t
    x, y, z = eye[0] + best * d[0], eye[1] + best * d[1], eye[2] + best * d[2]
    m = to_local[which]
    p = _to_local(m, x, y, z, 1.0)
    share = _pattern(material[which], number[which, 0], number[which, 1], p, (nx, ny, nz))
    grain = number[which, 4]
    tone = 1.0 + 0.16 * (_noise(grain * p[0] + 11, grain * p[1] + 5, grain * p[2] + 3) - 0.5)
    r = tone * (colour[which, 0] * (1 - share) + colour[which, 3] * share)
    g = tone * (colour[which, 1] * (1 - share) + colour[which, 4] * share)
    b = tone * (colour[which, 2] * (1 - share) + colour[which, 5] * share)
    # Normals are carried back by the transpose of the map into the solid.
    wx = m[0, 0] * nx + m[1, 0] * ny + m[2, 0] * nz
    wy = m[0, 1] * nx + m[1, 1] * ny + m[2, 1] * nz
    wz = m[0, 2] * nx + m[1, 2] * ny + m[2, 2] * nz
    length = math.sqrt(wx * wx + wy * wy + wz * wz)
    wx, wy, wz = wx / length, wy / length, wz / length
    r, g, b = _lit(r, g, b, x, y, z, wx, wy, wz, number[which, 3], solids)
    mirror = number[which, 5]
    if mirror > 0:
        along = 2 * (d[0] * wx + d[1] * wy + d[2] * wz)
        mr, mg, mb = _surroundings(x, y, z, d[0] - along * wx, d[1] - along * wy, d[2] - along * wz)
        r, g, b = (1 - mirror) * r + mirror * mr, (1 - mirror) * g + mirror * mg, (1 - mirror) * b + mirror * mb
    return r, g, b, best


@njit(nogil=True, error_model="numpy")
def _direction(to_world, k, u, v):
    x, y = (u - k[2]) / k[0], (v - k[3]) / k[1]
    return (
        to_world[0, 0] * x + to_world[0, 1] * y + to_world[0, 2],
        to_world[1, 0] * x + to_world[1, 1] * y + to_world[1, 2],
        to_world[2, 0] * x + to_world[2, 1] * y + to_world[2, 2],
    )


@njit(nogil=True, error_model="numpy")
def _tile_candidates(eye, to_world, k, u0, v0, u1, v1, bounds, candidates):
    """Solids whose bounding ball a ray through the tile can touch; returns their number."""
    axis = _direction(to_world, k, 0.5 * (u0 + u1), 0.5 * (v0 + v1))
    norm = math.sqrt(axis[0] ** 2 + axis[1] ** 2 + axis[2] ** 2)
    spread = 0.0
    for u, v in ((u0, v0), (u0, v1), (u1, v0), (u1, v1)):
        d = _direction(to_world, k, u, v)
        length = math.sqrt(d[0] ** 2 + d[1] ** 2 + d[2] ** 2)
        cosine = (d[0] * axis[0] + d[1] * axis[1] + d[2] * axis[2]) / (length * norm)
        spread = max(spread, math.acos(min(cosine, 1.0)))
    count = 0
    for i in range(len(bounds)):
        x, y, z = bounds[i, 0] - eye[0], bounds[i, 1] - eye[1], bounds[i, 2] - eye[2]
        distance = math.sqrt(x * x + y * y + z * z)
        if distance > bounds[i, 3]:
            cosine = (x * axis[0] + y * axis[1] + z * axis[2]) / (distance * norm)
            if math.acos(min(max(cosine, -1.0), 1.0)) > spread + math.asin(bounds[i, 3] / distance):
                continue
        candidates[count] = i
        count += 1
    return count


@njit(nogil=True, error_model="numpy")
def _cast_centres(row0, row1, eye, to_world, k, solids, colour, depth):
    """Fill rows row0..row1, a row of tiles, of colour (H, W, 3) and depth (H, W) with pixel-centre samples."""
    width = depth.shape[1]
    candidates = np.empty(len(solids[0]), np.int64)
    for left in range(0, width, TILE):
        right = min(left + TILE, width)
        count = _tile_candidates(eye, to_world, k, left, row0, right, row1, solids[2], candidates)
        for row in range(row0, row1):
            for column in range(left, right):
                d = _direction(to_world, k, column + 0.5, row + 0.5)
                r, g, b, t = _cast(eye, d, solids, candidates, count)
                colour[row, column, 0] = min(max(r, 0.0), 1.0)
                colour[row, column, 1] = min(max(g, 0.0), 1.0)
                colour[row, column, 2] = min(max(b, 0.0), 1.0)
                depth[row, column] = t


@njit(nogil=True, error_model="numpy")
def _is_edge(colour, row, column):
    height, width, _ = colour.shape
    for dr, dc in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        r, c = min(max(row + dr, 0), height - 1), min(max(column + dc, 0), width - 1)
        for channel in range(3):
            if abs(colour[r, c, channel] - colour[row, column, channel]) > EDGE_DIFFERENCE:
                return True
    return False


@njit(nogil=True, error_model="numpy")
def _quantise_rows(row0, row1, eye, to_world, k, solids, samples, centres, rgb):
    """Write rows row0..row1, a row of tiles, of rgb uint8, with samples x samples rays where the picture has an edge."""
    width = centres.shape[1]
    candidates = np.empty(len(solids[0]), np.int64)
    for left in range(0, width, TILE):
        right = min(left + TILE, width)
        count = _tile_candidates(eye, to_world, k, left, row0, right, row1, solids[2], candidates)
        for row in range(row0, row1):
            for column in range(left, right):
                r, g, b = centres[row, column, 0], centres[row, column, 1], centres[row, column, 2]
                if samples > 1 and _is_edge(centres, row, column):
                    r, g, b = 0.0, 0.0, 0.0
                    for a in range(samples):
                        for c in range(samples):
                            u, v = column + (c + 0.5) / samples, row + (a + 0.5) / samples
                            d = _direction(to_world, k, u, v)
                            dr, dg, db, _ = _cast(eye, d, solids, candidates, count)
                            r += min(max(dr, 0.0), 1.0)
                            g += min(max(dg, 0.0), 1.0)
                            b += min(max(db, 0.0), 1.0)
                    r, g, b = r / samples**2, g / samples**2, b / samples**2
                rgb[row, column, 0] = int(255 * r + 0.5)
                rgb[row, column, 1] = int(255 * g + 0.5)
                rgb[row, column, 2] = int(255 * b + 0.5)


def picture(
    eye: np.ndarray,
    to_world: np.ndarray,
    k: np.ndarray,
    solids: tuple[np.ndarray, ...],
    size: tuple[int, int],
    samples: int,
) -> tuple[np.ndarray, np.ndarray]:
    """What one camera sees, on every core.

    Args:
        eye: (3,) where it stands.
        to_world: (3, 3) its rotation, camera to world.
        k: fx, fy, cx, cy in pixels.
        solids: as ``solids.packed`` gives them.
        size: (width, height) in pixels.
        samples: rays per pixel side where the picture has an edge.

    Returns:
        Colour (H, W, 3) uint8 and planar depth (H, W) float32.
    """
    width, height = size
    camera = (eye, to_world, k, solids)
    centres, depth = np.empty((height, width, 3), np.float32), np.empty((height, width), np.float32)
    rgb = np.empty((height, width, 3), np.uint8)
    bands = [(row, min(row + TILE, height)) for row in range(0, height, TILE)]
    with ThreadPoolExecutor(min(cores(), len(bands))) as pool:
        # Edges compare neighbouring rows, so every centre must be there before the second pass.
        list(pool.map(lambda band: _cast_centres(*band, *camera, centres, depth), bands))
        list(pool.map(lambda band: _quantise_rows(*band, *camera, samples, centres, rgb), bands))
    return rgb, depth
