# pyright: reportPossiblyUnboundVariable=false
# Of the kernels: what a first test of z0 sets, the later ones read.
"""Machine code that draws triangles of any mesh: for `visibility`, and to fill the holes of a picture from a scene's memory.
`numba_kernels` draws the DW-Mesh itself.

Imports numba, so import it where it is used.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from ..machine.numba_cache import njit
from .recollection import PASSES, STOPPED
from .view import ALIKE, EDGE

TILE = 4
"""Cells a side of the squares whose nearest surface is kept: what passes before that is stepped over at once."""

_compile = njit(nogil=True, error_model="numpy")
_inline = numba.njit(inline="always", error_model="numpy")


@_compile
def place(points, pose, lens, near, placed):
    """Where points (V, 3) are in the picture: placed (V, 3) float64 column, row, 1/z; 1/z = -1 in front of ``near``."""
    for i in range(points.shape[0]):
        x, y, z = float(points[i, 0]), float(points[i, 1]), float(points[i, 2])
        cz = pose[2, 0] * x + pose[2, 1] * y + pose[2, 2] * z + pose[2, 3]
        if cz > near:
            inverse = 1.0 / cz
            cx = pose[0, 0] * x + pose[0, 1] * y + pose[0, 2] * z + pose[0, 3]
            cy = pose[1, 0] * x + pose[1, 1] * y + pose[1, 2] * z + pose[1, 3]
            placed[i, 0] = lens[0] * cx * inverse + lens[2]
            placed[i, 1] = lens[1] * cy * inverse + lens[3]
            placed[i, 2] = inverse
        else:
            placed[i, 2] = -1.0


@_compile
def draw(placed, faces, farthest, seen, keys, stop):
    """Write the nearest face of every sample that is not ``seen`` into ``keys``. Faces through the near plane are left out."""
    rows, columns = keys.shape
    keys[:] = np.uint64(0)
    for f in range(faces.shape[0]):
        if f & 0xFFFF == 0 and stop[0] != 0:
            return
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        az, bz, cz = placed[a, 2], placed[b, 2], placed[c, 2]
        if az <= 0.0 or bz <= 0.0 or cz <= 0.0:
            continue
        ax, ay = placed[a, 0], placed[a, 1]
        bx, by = placed[b, 0], placed[b, 1]
        cx, cy = placed[c, 0], placed[c, 1]
        x0, x1 = min(ax, bx, cx) - EDGE, max(ax, bx, cx) + EDGE
        y0, y1 = min(ay, by, cy) - EDGE, max(ay, by, cy) + EDGE
        if x1 < 0.0 or y1 < 0.0 or x0 > columns - 1 or y0 > rows - 1:
            continue
        left, right = math.ceil(max(0.0, x0)), math.floor(min(columns - 1.0, x1))
        top, bottom = math.ceil(max(0.0, y0)), math.floor(min(rows - 1.0, y1))
        if left > right or top > bottom:
            continue
        ux, uy, vx, vy = bx - ax, by - ay, cx - ax, cy - ay
        area = ux * vy - uy * vx
        if area == 0.0:
            continue
        scale = 1.0 / area
        slack = EDGE * (abs(ux) + abs(uy) + abs(vx) + abs(vy)) * abs(scale)
        low, high = min(az, bz, cz), max(az, bz, cz)
        uz, vz = bz - az, cz - az
        number = np.uint64(np.uint32(0xFFFFFFFF) - np.uint32(f))
        for y in range(top, bottom + 1):
            py = y - ay
            for x in range(left, right + 1):
                if seen[y, x] != 0:
                    continue
                px = x - ax
                s, t = (px * vy - py * vx) * scale, (ux * py - uy * px) * scale
                if s >= -slack and t >= -slack and s + t <= 1.0 + slack:
                    inverse = min(max(az + s * uz + t * vz, low), high)
                    if inverse >= farthest:
                        nearness = np.float32(inverse).view(np.uint32) & np.uint32(ALIKE)
                        key = (np.uint64(nearness) << np.uint64(32)) | number
                        if key > keys[y, x]:
                            keys[y, x] = key


@_inline
def _shares(placed, faces, face, x, y):
    """Area on the picture, depth, and the corners' shares of the surface at a sample."""
    a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
    ax, ay = placed[a, 0], placed[a, 1]
    ux, uy, vx, vy = placed[b, 0] - ax, placed[b, 1] - ay, placed[c, 0] - ax, placed[c, 1] - ay
    area = ux * vy - uy * vx
    px, py = x - ax, y - ay
    s, t = max((px * vy - py * vx) / area, 0.0), max((ux * py - uy * px) / area, 0.0)
    r = max(1.0 - s - t, 0.0)
    wa, wb, wc = r * placed[a, 2], s * placed[b, 2], t * placed[c, 2]
    norm = 1.0 / (wa + wb + wc)
    return area, (r + s + t) * norm, wa * norm, wb * norm, wc * norm


@_compile
def locate(placed, faces, keys, sample, face, weights, depth, front):
    """List the samples that show a face, in the order of the picture: the face, its corners' shares, depth, which side."""
    low = np.uint64(0xFFFFFFFF)
    columns, n = keys.shape[1], 0
    for y in range(keys.shape[0]):
        for x in range(columns):
            key = keys[y, x]
            if key != np.uint64(0):
                number = np.int64(low - (key & low))
                area, z, wa, wb, wc = _shares(placed, faces, number, x, y)
                sample[n], face[n], depth[n], front[n] = y * columns + x, number, z, area < 0.0
                weights[n, 0], weights[n, 1], weights[n, 2] = wa, wb, wc
                n += 1


@_compile
def resolve(placed, faces, keys, found):
    """The depth of every sample's nearest face in ``found``; 0 where there is none, or where it shows its back."""
    low = np.uint64(0xFFFFFFFF)
    for y in range(keys.shape[0]):
        for x in range(keys.shape[1]):
            found[y, x] = 0.0
            key = keys[y, x]
            if key != np.uint64(0):
                area, z, _, _, _ = _shares(placed, faces, np.int64(low - (key & low)), x, y)
                if area < 0.0:
                    found[y, x] = z


@_compile
def paint(placed, faces, colors, keys, found, scale, guard, full, color, mask, depth, remembered):
    """Colour, mask and depth of the samples that were ``found``, and the mask of these alone."""
    low = np.uint64(0xFFFFFFFF)
    for y in range(keys.shape[0]):
        for x in range(keys.shape[1]):
            if found[y, x] <= 0.0:
                remembered[y, x] = 0
                continue
            face = np.int64(low - (keys[y, x] & low))
            _, z, wa, wb, wc = _shares(placed, faces, face, x, y)
            a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
            remembered[y, x] = full
            mask[y, x] = full
            depth[y, x] = z
            for k in range(3):
                value = wa * colors[a, k] + wb * colors[b, k] + wc * colors[c, k]
                color[y, x, k] = min(value + guard, 255.0) * scale


@_inline
def _solid(fronts, backs, cells, q, tolerance, near, rx, ry, along, solid):
    """Whether a place on a viewing ray is inside a witness's solid, or ``solid`` already, and no witness saw through it.

    The matrices are read number by number: a view of a part of an array is counted, which takes as long as all of the
    arithmetic.
    """
    px, py = rx * along, ry * along
    for k in range(fronts.shape[0]):
        w = k + 1
        kz = q[w, 2, 0] * px + q[w, 2, 1] * py + q[w, 2, 2] * along + q[w, 2, 3]
        if kz > near:
            kx = (q[w, 0, 0] * px + q[w, 0, 1] * py + q[w, 0, 2] * along + q[w, 0, 3]) / kz
            ky = (q[w, 1, 0] * px + q[w, 1, 1] * py + q[w, 1, 2] * along + q[w, 1, 3]) / kz
            column, row = cells[w, 0] * kx + cells[w, 2], cells[w, 1] * ky + cells[w, 3]
            if -1.0 < row < fronts.shape[1] and -1.0 < column < fronts.shape[2]:
                i, j = int(row), int(column)
                front = fronts[k, i, j]
                if kz < front * (1.0 - tolerance):
                    return False
                solid |= kz > front * (1.0 + tolerance) and kz < backs[k, i, j] * (1.0 + tolerance)
    return solid


@_inline
def _nearest_around(front):
    """(rows, columns) the nearest surface in every square of `TILE` cells and the eight around it."""
    height, width = front.shape
    rows, columns = (height + TILE - 1) // TILE, (width + TILE - 1) // TILE
    nearest = np.full((rows, columns), np.inf, np.float32)
    for i in range(height):
        for j in range(width):
            nearest[i // TILE, j // TILE] = min(nearest[i // TILE, j // TILE], front[i, j])
    around = nearest.copy()
    for i in range(rows):
        for j in range(columns):
            for y in range(max(0, i - 1), min(rows, i + 2)):
                for x in range(max(0, j - 1), min(columns, j + 2)):
                    around[i, j] = min(around[i, j], nearest[y, x])
    return around


@_compile
def _passes_solid(  # noqa: C901, a kernel
    front, back, moving, fronts, backs, cells, to_witness, tolerance, lens, near, steps, nearest, x, y, depth
):  # fmt: skip
    """Whether the ray of a sample passes through something solid before it is at ``depth``; arguments as of `clear`.

    It is walked in even steps of the frame's own picture, from where it enters that to what is remembered. A place is free where
    the frame saw through it. Else it is solid inside the frame's or a witness's solid, unless a witness saw through; where the
    frame's solid moves, no witness knows.
    """
    height, width = front.shape
    m, beyond = to_witness, 1.0 + tolerance
    rx, ry = (x - lens[2]) / lens[0], (y - lens[3]) / lens[1]
    begin, end = near, depth * (1.0 - 1.5 * tolerance)
    fx, fy, cx, cy = cells[0, 0], cells[0, 1], cells[0, 2], cells[0, 3]
    ax = m[0, 0, 0] * rx + m[0, 0, 1] * ry + m[0, 0, 2]
    ay = m[0, 1, 0] * rx + m[0, 1, 1] * ry + m[0, 1, 2]
    az = m[0, 2, 0] * rx + m[0, 2, 1] * ry + m[0, 2, 2]
    z0, z1 = m[0, 2, 3] + begin * az, m[0, 2, 3] + end * az
    if z0 <= near and z1 <= near:
        z0 = z1 = -1.0
    if z0 <= near < z1:
        begin = (near - m[0, 2, 3]) / az
        z0 = near
    elif z1 <= near < z0:
        end = (near - m[0, 2, 3]) / az
        z1 = near
    count, low, high = 1, 0.0, 1.0
    if z0 > 0.0:
        u0, v0 = (
            fx * (m[0, 0, 3] + begin * ax) / z0 + cx,
            fy * (m[0, 1, 3] + begin * ay) / z0 + cy,
        )
        u1, v1 = (
            fx * (m[0, 0, 3] + end * ax) / z1 + cx,
            fy * (m[0, 1, 3] + end * ay) / z1 + cy,
        )
        du, dv = u1 - u0, v1 - v0
        # The part of the way that is in the picture.
        for q in range(4):
            if q == 0:
                slope, room = -du, u0
            elif q == 1:
                slope, room = du, width - 1e-6 - u0
            elif q == 2:
                slope, room = -dv, v0
            else:
                slope, room = dv, height - 1e-6 - v0
            if slope < 0.0:
                low = max(low, room / slope)
            elif slope > 0.0:
                high = min(high, room / slope)
            elif room < 0.0:
                high = -1.0
        if low < high:
            count = int(min(steps - 2.0, max(abs(du), abs(dv)) * (high - low))) + 2
        else:
            z0 = -1.0
    if z0 <= 0.0:
        return False
    i0, i1 = 1.0 / z0, 1.0 / z1
    hop = max(1, int(TILE * (count - 1) / max(max(abs(du), abs(dv)) * (high - low), 1e-9)))
    n = 0
    while n < count:
        w = low + (high - low) * n / (count - 1)
        z = 1.0 / (i0 + w * (i1 - i0))
        j, i = int(u0 + w * du), int(v0 + w * dv)
        n += 1
        if i < 0 or j < 0 or i >= height or j >= width:
            continue
        ahead = low + (high - low) * min(n + hop - 2, count - 1) / (count - 1)
        if max(z, 1.0 / (i0 + ahead * (i1 - i0))) <= nearest[i // TILE, j // TILE] * beyond:
            n += hop - 1
            continue
        if z <= front[i, j] * beyond:
            continue
        solid = z < back[i, j] * beyond
        # Where it is along the viewing ray: the witness's depth is linear in that.
        along = (z - m[0, 2, 3]) / az if abs(az) > 1e-9 else begin + w * (end - begin)
        if (solid and moving[i, j] != 0) or _solid(
            fronts, backs, cells, to_witness, tolerance, near, rx, ry, along, solid
        ):
            return True
    return False


@_inline
def _as_around(found, told, spacing, y, x, tolerance):
    """What the rays around one were told, where all were told the same and it ends as near as these or, of those that were
    stopped, as far; else 0. They are ``spacing`` samples apart.
    """
    top, left = y // spacing * spacing, x // spacing * spacing
    bottom = top if top == y else top + spacing
    right = left if left == x else left + spacing
    if bottom >= found.shape[0] or right >= found.shape[1]:
        return 0
    same = told[top, left]
    if told[top, right] != same or told[bottom, left] != same or told[bottom, right] != same:
        return 0
    a, b, c, d = found[top, left], found[top, right], found[bottom, left], found[bottom, right]
    if same == PASSES and found[y, x] <= max(max(a, b), max(c, d)) * (1.0 + tolerance):
        return PASSES
    if same == STOPPED and found[y, x] >= min(min(a, b), min(c, d)) * (1.0 - tolerance):
        return STOPPED
    return 0


@_compile
def clear(
    front, back, moving, fronts, backs, cells, to_witness, tolerance, lens, near, steps, spacing, found, stop
):  # fmt: skip
    """Forget what is seen through something solid.

    Rays are walked ``spacing`` samples apart first, then between these at half of that, and so on to every sample; those that lie
    between others which all pass, or are all stopped, are told the same without a walk (`_as_around`).

    Args:
        front: (h, w) where the solids of the frame itself begin.
        back: (h, w) where they end.
        moving: (h, w) uint8, which of them move.
        fronts: (K, h, w) where the witnesses' begin.
        backs: (K, h, w) where those end.
        cells: (1 + K, 4) fx, fy, cx, cy of the frame and the witnesses in cells.
        to_witness: (1 + K, 3, 4) from the viewing camera.
        tolerance: share of depth by which a place may lie behind a surface and be on it.
        lens: of the viewing camera, on samples.
        near: depth where the walk begins.
        steps: of a walk, at most.
        spacing: samples between the first rays, a power of two.
        found: (rows, columns) depth of what is remembered; becomes 0.
        stop: (1,) uint8.
    """
    rows, columns = found.shape
    told, nearest = np.zeros(found.shape, np.uint8), _nearest_around(front)
    apart = spacing
    while apart > 0:
        for y in range(0, rows, apart):
            if stop[0] != 0:
                return
            for x in range(0, columns, apart):
                if found[y, x] <= 0.0 or told[y, x] != 0:
                    continue
                answer = 0 if apart == spacing else _as_around(found, told, 2 * apart, y, x, tolerance)
                if answer == 0:
                    solid = _passes_solid(
                        front, back, moving, fronts, backs, cells, to_witness, tolerance, lens, near, steps, nearest,
                        x, y, found[y, x],
                    )  # fmt: skip
                    answer = STOPPED if solid else PASSES
                told[y, x] = answer
        apart //= 2
    for y in range(rows):
        for x in range(columns):
            if told[y, x] == STOPPED:
                found[y, x] = 0.0
