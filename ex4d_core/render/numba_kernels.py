# pyright: reportPossiblyUnboundVariable=false
# Of the kernels: what a first test of "seen" sets, the later ones read.
"""The numba backend's machine code: a visibility-buffer rasteriser over the depth grid.

Per frame two passes. `rasterise` walks the depth grid row by row: it unprojects, projects and applies the occlusion
rule while the row is in cache, and writes for every sample one 64-bit key, the float32 bits of 1/z above the inverted
face index, of which the largest wins. `shade` looks at each sample's winner once. Vertices never exist in memory.

All set-up is float64 and edges reach `EDGE` of a pixel beyond the triangle, so that samples exactly on a vertex or an
edge, as at the source camera, are never lost between faces.

Imports numba, so import it where it is used.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from ..machine.numba_cache import njit
from ..published import VISIBLE_ALPHA
from .view import EDGE, TIE

SMALL = 8.0
"""Quads that are wider or higher, in pixels, are filled by row spans."""

_compile = njit(nogil=True, error_model="numpy")
_inline = numba.njit(inline="always", error_model="numpy")


@_inline
def _to_camera(depth, i, j, rays, pose):
    z = float(depth[i, j])
    x = z * ((j - rays[2]) * rays[0])
    y = z * ((i - rays[3]) * rays[1])
    return (
        pose[0, 0] * x + pose[0, 1] * y + pose[0, 2] * z + pose[0, 3],
        pose[1, 0] * x + pose[1, 1] * y + pose[1, 2] * z + pose[1, 3],
        pose[2, 0] * x + pose[2, 1] * y + pose[2, 2] * z + pose[2, 3],
    )


@_inline
def _corners(face, height, width):
    """Grid positions of a face's vertices: (i0, j0, i1, j1, i2, j2)."""
    quads = 2 * (height - 1) * (width - 1)
    if face >= quads:
        if face == quads:
            return 0, width - 1, 0, 0, height - 1, width - 1
        return height - 1, width - 1, 0, 0, height - 1, 0
    i, j = divmod(face >> 1, width - 1)
    if face & 1 == 0:
        return i, j, i + 1, j, i, j + 1
    return i + 1, j, i + 1, j + 1, i, j + 1


@_inline
def _put(keys, y, x, inverse, face):
    key = (np.uint64(np.float32(inverse).view(np.uint32)) << np.uint64(32)) | np.uint64(
        np.uint32(0xFFFFFFFF) - np.uint32(face)
    )
    if key > keys[y, x]:
        keys[y, x] = key


@_compile
def rasterise(depth, rays, pose, lens, near, far, limit, max_jump, paper, keys, valid, row, across, stop):
    """Fill ``keys`` with the nearest face of every sample, ``valid`` with the visible quads (paper) or vertices."""
    height, width = depth.shape
    keys[:] = np.uint64(0)
    valid[:] = 1
    farthest = 1.0 / far
    for i in range(height):
        if stop[0] != 0:
            return
        new, old = i & 1, (i & 1) ^ 1
        ray_y = (i - rays[3]) * rays[1]
        # Unproject and project this row; keep the squared lengths of its edges for the angle test.
        before_x = before_y = before_z = 0.0
        for j in range(width):
            z = float(depth[i, j])
            x, y = z * ((j - rays[2]) * rays[0]), z * ray_y
            across[new, j] = (x - before_x) ** 2 + (y - before_y) ** 2 + (z - before_z) ** 2
            before_x, before_y, before_z = x, y, z
            cz = pose[2, 0] * x + pose[2, 1] * y + pose[2, 2] * z + pose[2, 3]
            if cz > near:
                inverse = 1.0 / cz
                cx = pose[0, 0] * x + pose[0, 1] * y + pose[0, 2] * z + pose[0, 3]
                cy = pose[1, 0] * x + pose[1, 1] * y + pose[1, 2] * z + pose[1, 3]
                row[new, j, 0] = lens[0] * cx * inverse + lens[2]
                row[new, j, 1] = lens[1] * cy * inverse + lens[3]
                row[new, j, 2] = inverse
            else:
                row[new, j, 2] = -1.0
        if i == 0:
            continue
        above_y = (i - 1 - rays[3]) * rays[1]
        down = 0.0
        for j in range(width):
            # Right edge of the quad that ends in this column.
            a, b = float(depth[i - 1, j]), float(depth[i, j])
            ray_x = (j - rays[2]) * rays[0]
            last = down
            down = ((a - b) * ray_x) ** 2 + (a * above_y - b * ray_y) ** 2 + (a - b) ** 2
            if j == 0:
                continue
            left_x = (j - 1 - rays[2]) * rays[0]
            c, d = float(depth[i - 1, j - 1]), float(depth[i, j - 1])
            diagonal = (a * ray_x - d * left_x) ** 2 + (a * above_y - d * ray_y) ** 2 + (a - d) ** 2
            first = _angle_passes(across[old, j], last, diagonal, limit)
            second = _angle_passes(across[new, j], down, diagonal, limit)
            tie = 1.0
            if paper:
                first = first and max(a, c, d) - min(a, c, d) <= max_jump
                second = second and max(a, b, d) - min(a, b, d) <= max_jump
                if first and second:
                    tie = TIE
                else:
                    valid[i - 1, j - 1] = 0
            else:
                if not first:
                    valid[i - 1, j - 1] = valid[i, j - 1] = valid[i - 1, j] = 0
                if not second:
                    valid[i, j - 1] = valid[i, j] = valid[i - 1, j] = 0
            face = 2 * ((i - 1) * (width - 1) + j - 1)
            if _small_quad(row, old, new, j, farthest, tie, keys, face):
                continue
            _large_triangle(depth, rays, pose, lens, near, farthest, tie, keys, face)
            _large_triangle(depth, rays, pose, lens, near, farthest, tie, keys, face + 1)
    quads = 2 * (height - 1) * (width - 1)
    # Paper style's fan is coplanar with these two faces and occluded throughout, so they stand for it.
    for face in range(quads, quads + 2):
        _large_triangle(depth, rays, pose, lens, near, farthest, 1.0, keys, face)


@_inline
def _angle_passes(e0, e1, e2, limit):
    short = min(e0, e1, e2)
    long = max(e0, e1, e2)
    middle = e0 + e1 + e2 - short - long
    excess = middle + long - short
    return excess * excess <= limit * middle * long


@_inline
def _small_quad(row, old, new, j, farthest, tie, keys, face):
    """Draw both faces of a projected quad by testing every sample of their common box.

    Returns False where they have to be drawn one by one: the box is large, or the quad meets the near plane.
    """
    ax, ay, az = row[old, j - 1, 0], row[old, j - 1, 1], row[old, j - 1, 2]
    bx, by, bz = row[new, j - 1, 0], row[new, j - 1, 1], row[new, j - 1, 2]
    cx, cy, cz = row[old, j, 0], row[old, j, 1], row[old, j, 2]
    dx, dy, dz = row[new, j, 0], row[new, j, 1], row[new, j, 2]
    if az <= 0.0 or bz <= 0.0 or cz <= 0.0 or dz <= 0.0:
        return az <= 0.0 and bz <= 0.0 and cz <= 0.0 and dz <= 0.0
    rows, columns = keys.shape
    x0, x1 = min(min(ax, bx), min(cx, dx)) - EDGE, max(max(ax, bx), max(cx, dx)) + EDGE
    y0, y1 = min(min(ay, by), min(cy, dy)) - EDGE, max(max(ay, by), max(cy, dy)) + EDGE
    if x1 < 0.0 or y1 < 0.0 or x0 > columns - 1 or y0 > rows - 1:
        return True
    if x1 - x0 > SMALL or y1 - y0 > SMALL:
        return False
    left, right = math.ceil(max(0.0, x0)), math.floor(min(columns - 1.0, x1))
    top, bottom = math.ceil(max(0.0, y0)), math.floor(min(rows - 1.0, y1))
    if left > right or top > bottom:
        return True
    # Both faces seen from the lower left vertex b, with the diagonal u to the upper right vertex c.
    ux, uy, uz = cx - bx, cy - by, cz - bz
    vx, vy, vz = ax - bx, ay - by, az - bz
    wx, wy, wz = dx - bx, dy - by, dz - bz
    area1, area2 = ux * vy - uy * vx, ux * wy - uy * wx
    scale1 = 1.0 / area1 if area1 != 0.0 else 0.0
    scale2 = 1.0 / area2 if area2 != 0.0 else 0.0
    reach = EDGE * (abs(ux) + abs(uy))
    slack1 = (reach + EDGE * (abs(vx) + abs(vy))) * abs(scale1) if area1 != 0.0 else -1.0
    slack2 = (reach + EDGE * (abs(wx) + abs(wy))) * abs(scale2) if area2 != 0.0 else -1.0
    low1, high1 = min(az, min(bz, cz)), max(az, max(bz, cz))
    low2, high2 = min(dz, min(bz, cz)), max(dz, max(bz, cz))
    for y in range(top, bottom + 1):
        py = y - by
        for x in range(left, right + 1):
            px = x - bx
            cross = ux * py - uy * px
            along1, across1 = (px * vy - py * vx) * scale1, cross * scale1
            if across1 >= -slack1 and along1 >= -slack1 and along1 + across1 <= 1.0 + slack1:
                inverse = min(max(bz + along1 * uz + across1 * vz, low1), high1)
                if inverse >= farthest:
                    _put(keys, y, x, inverse * tie, face)
            along2, across2 = (px * wy - py * wx) * scale2, cross * scale2
            if across2 >= -slack2 and along2 >= -slack2 and along2 + across2 <= 1.0 + slack2:
                inverse = min(max(bz + along2 * uz + across2 * wz, low2), high2)
                if inverse >= farthest:
                    _put(keys, y, x, inverse * tie, face + 1)
    return True


@_compile
def _large_triangle(depth, rays, pose, lens, near, farthest, tie, keys, face):  # noqa: C901, a kernel
    """Draw a triangle by row spans of its homogeneous edge functions: the near plane needs no clipping."""
    rows, columns = keys.shape
    i0, j0, i1, j1, i2, j2 = _corners(face, depth.shape[0], depth.shape[1])
    ax, ay, az = _to_camera(depth, i0, j0, rays, pose)
    bx, by, bz = _to_camera(depth, i1, j1, rays, pose)
    cx, cy, cz = _to_camera(depth, i2, j2, rays, pose)
    n0x, n0y, n0z = by * cz - bz * cy, bz * cx - bx * cz, bx * cy - by * cx
    n1x, n1y, n1z = cy * az - cz * ay, cz * ax - cx * az, cx * ay - cy * ax
    n2x, n2y, n2z = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
    volume = ax * n0x + ay * n0y + az * n0z
    if volume == 0.0:
        return
    x0, x1, y0, y1, low, high = 1e30, -1e30, 1e30, -1e30, 1e30, -1e30
    px, py, pz = (ax, bx, cx), (ay, by, cy), (az, bz, cz)
    for q in range(3):
        r = q + 1 if q < 2 else 0
        if pz[q] > near:
            inverse = 1.0 / pz[q]
            sx, sy = lens[0] * px[q] * inverse + lens[2], lens[1] * py[q] * inverse + lens[3]
            x0, x1, y0, y1 = min(x0, sx), max(x1, sx), min(y0, sy), max(y1, sy)
            low, high = min(low, inverse), max(high, inverse)
        if (pz[q] > near) != (pz[r] > near):
            # Only the box needs the point where the edge meets the near plane.
            s, inverse = (near - pz[q]) / (pz[r] - pz[q]), 1.0 / near
            sx = lens[0] * (px[q] + s * (px[r] - px[q])) * inverse + lens[2]
            sy = lens[1] * (py[q] + s * (py[r] - py[q])) * inverse + lens[3]
            x0, x1, y0, y1 = min(x0, sx), max(x1, sx), min(y0, sy), max(y1, sy)
            high = inverse
    if x1 < -EDGE or y1 < -EDGE or x0 > columns - 1 + EDGE or y0 > rows - 1 + EDGE:
        return
    left, right = float(math.ceil(max(0.0, x0 - EDGE))), float(math.floor(min(columns - 1.0, x1 + EDGE)))
    top, bottom = math.ceil(max(0.0, y0 - EDGE)), math.floor(min(rows - 1.0, y1 + EDGE))
    # Edge functions over 1/z: e = A x + B y + C at sample (x, y); their sum is 1/z itself.
    gx, gy, gz = 1.0 / (volume * lens[0]), 1.0 / (volume * lens[1]), 1.0 / volume
    a0, b0 = n0x * gx, n0y * gy
    a1, b1 = n1x * gx, n1y * gy
    a2, b2 = n2x * gx, n2y * gy
    c0 = n0z * gz - a0 * lens[2] - b0 * lens[3]
    c1 = n1z * gz - a1 * lens[2] - b1 * lens[3]
    c2 = n2z * gz - a2 * lens[2] - b2 * lens[3]
    az_, bz_, cz_ = a0 + a1 + a2, b0 + b1 + b2, c0 + c1 + c2
    for y in range(top, bottom + 1):
        start, stop = left, right
        for q in range(4):
            if q == 0:
                a, rest = a0, b0 * y + c0 + EDGE * (abs(a0) + abs(b0))
            elif q == 1:
                a, rest = a1, b1 * y + c1 + EDGE * (abs(a1) + abs(b1))
            elif q == 2:
                a, rest = a2, b2 * y + c2 + EDGE * (abs(a2) + abs(b2))
            else:
                a, rest = -az_, 1.0 / near - (bz_ * y + cz_)
            if a > 0.0:
                start = max(start, -rest / a)
            elif a < 0.0:
                stop = min(stop, -rest / a)
            elif rest < 0.0:
                stop = -1.0
        if not start <= stop:  # nor where one is not a number
            continue
        base = bz_ * y + cz_
        for x in range(math.ceil(start), math.floor(stop) + 1):
            inverse = min(max(az_ * x + base, low), high)
            if inverse >= farthest:
                _put(keys, y, x, inverse * tie, face)


@_compile
def shade(depth, rgb, rays, pose, lens, paper, fade, keys, valid, scale, guard, full, color, mask, out_depth):
    """Colour, mask and depth of every sample from its winning face."""
    height, width = depth.shape
    rows, columns = keys.shape
    quads = 2 * (height - 1) * (width - 1)
    low = np.uint64(0xFFFFFFFF)
    for y in range(rows):
        ray_y = (y - lens[3]) / lens[1]
        for x in range(columns):
            key = keys[y, x]
            face = np.int64(low - (key & low))
            seen = key != np.uint64(0)
            if seen:
                i0, j0, i1, j1, i2, j2 = _corners(face, height, width)
                if paper:
                    # The third vertex is the quad's upper right one.
                    seen = face < quads and valid[i2, j2 - 1] != 0
            if seen:
                ax, ay, az = _to_camera(depth, i0, j0, rays, pose)
                bx, by, bz = _to_camera(depth, i1, j1, rays, pose)
                cx, cy, cz = _to_camera(depth, i2, j2, rays, pose)
                ray_x = (x - lens[2]) / lens[0]
                e0 = ray_x * (by * cz - bz * cy) + ray_y * (bz * cx - bx * cz) + (bx * cy - by * cx)
                e1 = ray_x * (cy * az - cz * ay) + ray_y * (cz * ax - cx * az) + (cx * ay - cy * ax)
                e2 = ray_x * (ay * bz - az * by) + ray_y * (az * bx - ax * bz) + (ax * by - ay * bx)
                norm = 1.0 / (e0 + e1 + e2)
                # A sample up to 1e-6 px outside its face takes the colour of the nearest point on it.
                w0, w1, w2 = max(e0 * norm, 0.0), max(e1 * norm, 0.0), max(e2 * norm, 0.0)
                norm = 1.0 / (w0 + w1 + w2)
                w0, w1, w2 = w0 * norm, w1 * norm, w2 * norm
                z = w0 * az + w1 * bz + w2 * cz
                if not paper:
                    w0, w1, w2 = w0 * valid[i0, j0], w1 * valid[i1, j1], w2 * valid[i2, j2]
                    seen = (w0 + w1 + w2) * 255.0 > VISIBLE_ALPHA
                    if seen and not fade:
                        norm = 1.0 / (w0 + w1 + w2)
                        w0, w1, w2 = w0 * norm, w1 * norm, w2 * norm
            if seen:
                mask[y, x] = full
                out_depth[y, x] = z
                for k in range(3):
                    value = w0 * rgb[i0, j0, k] + w1 * rgb[i1, j1, k] + w2 * rgb[i2, j2, k]
                    color[y, x, k] = min(value + guard, 255.0) * scale
            else:
                mask[y, x] = 0
                out_depth[y, x] = 0.0
                color[y, x, 0] = color[y, x, 1] = color[y, x, 2] = 0
