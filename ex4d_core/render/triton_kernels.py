# pyright: reportIndexIssue=false, reportArgumentType=false, reportGeneralTypeIssues=false
"""The triton backend's kernels: a visibility-buffer rasteriser over the depth grid, many frames a launch.

Four steps. `project` brings every vertex to the picture. `draw_quads` gives a lane to each quad and walks the samples of its
box, all lanes of a program in step; quads with a large box, or through the near plane, are put on a list. `draw_faces` takes
their faces from the list, a program for some rows of each, the lanes along the row. `shade` looks at each sample's winner.

Loops are written with while: Triton's interpreter takes no range up to a tensor with numpy 2.4 and newer.

As in the other backends all set-up is float64, the nearest face of a sample is the largest 64-bit key (float32 bits of 1/z
above the inverted face number), and edges reach `EDGE` of a pixel beyond the triangle. A face is numbered 2 * (its quad's upper
left vertex) + (1 for the lower right one of the two); the two faces of the back plate come after all others.

A frame's numbers are a row of ``views`` (float64): 1/fx, 1/fy, cx, cy of the source camera with vertex (0, 0) at the origin;
fx, fy, cx, cy of the viewing camera with sample (0, 0) at the origin; source to viewing camera, 12 numbers by rows; near, 1/far.
"""

from __future__ import annotations

import triton
import triton.language as tl

from . import view

VIEW = 22
"""Numbers of a view."""
SMALL = tl.constexpr(6.0)
"""Quads that are wider or higher, in samples, go to the list."""
EDGE = tl.constexpr(view.EDGE)
TIE = tl.constexpr(view.TIE)
LOW = tl.constexpr(0xFFFFFFFF)


@triton.jit
def _to_camera(depth, vertex, live, views, width):
    """A vertex in the viewing camera's frame."""
    row = vertex // width
    z = tl.load(depth + vertex, mask=live, other=1.0).to(tl.float64)
    x = z * (((vertex - row * width).to(tl.float64) - tl.load(views + 2)) * tl.load(views + 0))
    y = z * ((row.to(tl.float64) - tl.load(views + 3)) * tl.load(views + 1))
    cx = tl.load(views + 8) * x + tl.load(views + 9) * y + tl.load(views + 10) * z + tl.load(views + 11)
    cy = tl.load(views + 12) * x + tl.load(views + 13) * y + tl.load(views + 14) * z + tl.load(views + 15)
    cz = tl.load(views + 16) * x + tl.load(views + 17) * y + tl.load(views + 18) * z + tl.load(views + 19)
    return cx, cy, cz


@triton.jit
def project(depth, source, views, grid, height, width, VIEW: tl.constexpr, BLOCK: tl.constexpr):
    """x, y and 1/z of every vertex; 0, 0 and -1 for what is not in front of the near plane.

    depth (T, H, W) float32; source (F,) int64 frame of the mesh; grid (F, 3, H*W) float64, written.
    """
    frame = tl.program_id(1)
    count = height * width
    vertex = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    live = vertex < count
    views += frame * VIEW
    cx, cy, cz = _to_camera(depth + tl.load(source + frame) * count, vertex, live, views, width)
    seen = cz > tl.load(views + 20)
    inverse = 1.0 / tl.where(seen, cz, 1.0)
    x = tl.load(views + 4) * cx * inverse + tl.load(views + 6)
    y = tl.load(views + 5) * cy * inverse + tl.load(views + 7)
    grid += frame.to(tl.int64) * 3 * count
    tl.store(grid + vertex, tl.where(seen, x, 0.0), mask=live)
    tl.store(grid + count + vertex, tl.where(seen, y, 0.0), mask=live)
    tl.store(grid + 2 * count + vertex, tl.where(seen, inverse, -1.0), mask=live)


@triton.jit
def _covered(across, along, slack):
    return (across >= -slack) & (along >= -slack) & (across + along <= 1.0 + slack)


@triton.jit
def _between(value, a, b, c):
    low = tl.minimum(tl.minimum(a, b), c)
    high = tl.maximum(tl.maximum(a, b), c)
    return tl.minimum(tl.maximum(value, low), high)


@triton.jit
def _key(inverse, face):
    bits = inverse.to(tl.float32).to(tl.int32, bitcast=True).to(tl.int64)
    return (bits << 32) | (LOW - face.to(tl.int64))


@triton.jit
def draw_quads(
    grid, valid, views, keys, left_over, count_over, height, width, rows, columns,
    PAPER: tl.constexpr, VIEW: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Lay small quads into ``keys``, and the others on the list.

    valid (F, H*W) uint8, paper style: of the quad to the lower right; keys (F, rows*columns) int64;
    left_over (F, H*W) int32 and count_over (F,) int32, written: upper left vertices.
    """
    frame = tl.program_id(1)
    count = height * width
    vertex = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    live = (vertex < count - width) & (vertex % width != width - 1)
    base = grid + frame.to(tl.int64) * 3 * count + vertex
    ax = tl.load(base, mask=live, other=0.0)
    cx = tl.load(base + 1, mask=live, other=0.0)
    bx = tl.load(base + width, mask=live, other=0.0)
    dx = tl.load(base + width + 1, mask=live, other=0.0)
    base += count
    ay = tl.load(base, mask=live, other=0.0)
    cy = tl.load(base + 1, mask=live, other=0.0)
    by = tl.load(base + width, mask=live, other=0.0)
    dy = tl.load(base + width + 1, mask=live, other=0.0)
    base += count
    az = tl.load(base, mask=live, other=-1.0)
    cz = tl.load(base + 1, mask=live, other=-1.0)
    bz = tl.load(base + width, mask=live, other=-1.0)
    dz = tl.load(base + width + 1, mask=live, other=-1.0)
    least = tl.minimum(tl.minimum(az, bz), tl.minimum(cz, dz))
    most = tl.maximum(tl.maximum(az, bz), tl.maximum(cz, dz))
    x0 = tl.minimum(tl.minimum(ax, bx), tl.minimum(cx, dx)) - EDGE
    x1 = tl.maximum(tl.maximum(ax, bx), tl.maximum(cx, dx)) + EDGE
    y0 = tl.minimum(tl.minimum(ay, by), tl.minimum(cy, dy)) - EDGE
    y1 = tl.maximum(tl.maximum(ay, by), tl.maximum(cy, dy)) + EDGE
    # Whole numbers only of what lies in the picture: far outside they would not fit.
    left = tl.ceil(tl.minimum(tl.maximum(x0, 0.0), 1.0 * columns)).to(tl.int32)
    right = tl.floor(tl.maximum(tl.minimum(x1, columns - 1.0), -1.0)).to(tl.int32)
    top = tl.ceil(tl.minimum(tl.maximum(y0, 0.0), 1.0 * rows)).to(tl.int32)
    bottom = tl.floor(tl.maximum(tl.minimum(y1, rows - 1.0), -1.0)).to(tl.int32)
    crossing = live & (least < 0.0) & (most > 0.0)
    whole = live & (least > 0.0) & (left <= right) & (top <= bottom)
    small = (x1 - x0 <= SMALL) & (y1 - y0 <= SMALL)

    rest = crossing | (whole & ~small)
    # One lane at a time adds to the counter; the order of the list does not matter.
    place = tl.atomic_add(count_over + frame + vertex * 0, 1, mask=rest)
    tl.store(left_over + frame.to(tl.int64) * count + place, vertex, mask=rest)

    drawn = whole & small
    farthest = tl.load(views + frame * VIEW + 21)
    tie = ax * 0.0 + 1.0
    if PAPER:
        tie = tl.where(tl.load(valid + frame.to(tl.int64) * count + vertex, mask=live, other=0) != 0, TIE, tie)
    # Both faces seen from the lower left corner b, with the diagonal u to the upper right corner c.
    ux, uy, uz = cx - bx, cy - by, cz - bz
    vx, vy, vz = ax - bx, ay - by, az - bz
    wx, wy, wz = dx - bx, dy - by, dz - bz
    area1, area2 = ux * vy - uy * vx, ux * wy - uy * wx
    scale1 = 1.0 / tl.where(area1 != 0.0, area1, 1.0)
    scale2 = 1.0 / tl.where(area2 != 0.0, area2, 1.0)
    reach = EDGE * (tl.abs(ux) + tl.abs(uy))
    slack1 = (reach + EDGE * (tl.abs(vx) + tl.abs(vy))) * tl.abs(scale1)
    slack2 = (reach + EDGE * (tl.abs(wx) + tl.abs(wy))) * tl.abs(scale2)
    face = 2 * vertex
    keys += frame.to(tl.int64) * rows * columns
    high = tl.max(tl.where(drawn, bottom - top + 1, 0), axis=0)
    wide = tl.max(tl.where(drawn, right - left + 1, 0), axis=0)
    step = high * 0
    while step < high * wide:
        down = step // wide
        sample_x, sample_y = left + (step - down * wide), top + down
        here = drawn & (sample_x <= right) & (sample_y <= bottom)
        px, py = sample_x.to(tl.float64) - bx, sample_y.to(tl.float64) - by
        cross = ux * py - uy * px
        along1, across1 = (px * vy - py * vx) * scale1, cross * scale1
        along2, across2 = (px * wy - py * wx) * scale2, cross * scale2
        inverse1 = _between(bz + along1 * uz + across1 * vz, az, bz, cz)
        inverse2 = _between(bz + along2 * uz + across2 * wz, bz, cz, dz)
        first = here & (area1 != 0.0) & _covered(across1, along1, slack1) & (inverse1 >= farthest)
        second = here & (area2 != 0.0) & _covered(across2, along2, slack2) & (inverse2 >= farthest)
        key = tl.maximum(
            tl.where(first, _key(inverse1 * tie, face), 0), tl.where(second, _key(inverse2 * tie, face + 1), 0)
        )
        tl.atomic_max(keys + sample_y * columns + sample_x, key, mask=first | second, sem="relaxed")
        step += 1


@triton.jit
def _corners(face, height, width):
    """Vertices of a face, those of the back plate among them."""
    count = height * width
    upper_left, lower = face >> 1, face & 1
    first, second, third = upper_left + lower * width, upper_left + lower + width, upper_left + 1
    plate, last = face >= 2 * count, face > 2 * count
    first = tl.where(plate, tl.where(last, count - 1, width - 1), first)
    second = tl.where(plate, 0, second)
    third = tl.where(plate, tl.where(last, count - width, count - 1), third)
    return first, second, third


@triton.jit
def _grown(low, high, inside, crosses, value, at_cut):
    """A range that also holds a corner past the near plane, and the point where an edge meets that plane."""
    low = tl.minimum(low, tl.minimum(tl.where(inside, value, 1e30), tl.where(crosses, at_cut, 1e30)))
    high = tl.maximum(high, tl.maximum(tl.where(inside, value, -1e30), tl.where(crosses, at_cut, -1e30)))
    return low, high


@triton.jit
def _bound(start, stop, a, rest):
    """The part of a row, from sample ``start`` to ``stop``, on which a * x + rest >= 0."""
    at = -rest / tl.where(a != 0.0, a, 1.0)
    start = tl.where(a > 0.0, tl.maximum(start, at), start)
    stop = tl.where(a < 0.0, tl.minimum(stop, at), stop)
    return start, tl.where((a == 0.0) & (rest < 0.0), -1.0, stop)


@triton.jit
def draw_faces(
    depth, source, valid, views, keys, left_over, count_over, height, width, rows, columns,
    PAPER: tl.constexpr, VIEW: tl.constexpr, PROGRAMS: tl.constexpr, PARTS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Lay the faces of the listed quads, and the back plate, into ``keys``: every face by ``PARTS`` programs."""
    frame = tl.program_id(2)
    part = tl.program_id(1)
    count = height * width
    depth += tl.load(source + frame) * count
    views += frame * VIEW
    valid += frame.to(tl.int64) * count
    keys += frame.to(tl.int64) * rows * columns
    left_over += frame.to(tl.int64) * count
    lanes = tl.arange(0, BLOCK)
    fx, fy, ox, oy = tl.load(views + 4), tl.load(views + 5), tl.load(views + 6), tl.load(views + 7)
    near, farthest = tl.load(views + 20), tl.load(views + 21)
    listed = tl.load(count_over + frame)
    number = tl.program_id(0)
    while number < 2 * listed + 2:
        on_plate = number >= 2 * listed
        quad = tl.load(left_over + (number >> 1), mask=~on_plate, other=0)
        face = tl.where(on_plate, 2 * count + number - 2 * listed, 2 * quad + (number & 1))
        first, second, third = _corners(face, height, width)
        ax, ay, az = _to_camera(depth, first, first >= 0, views, width)
        bx, by, bz = _to_camera(depth, second, second >= 0, views, width)
        cx, cy, cz = _to_camera(depth, third, third >= 0, views, width)
        n0x, n0y, n0z = by * cz - bz * cy, bz * cx - bx * cz, bx * cy - by * cx
        n1x, n1y, n1z = cy * az - cz * ay, cz * ax - cx * az, cx * ay - cy * ax
        n2x, n2y, n2z = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
        volume = ax * n0x + ay * n0y + az * n0z
        in_a, in_b, in_c = az > near, bz > near, cz > near
        ia = 1.0 / tl.where(in_a, az, 1.0)
        ib = 1.0 / tl.where(in_b, bz, 1.0)
        ic = 1.0 / tl.where(in_c, cz, 1.0)
        # Only the box needs the points where edges meet the near plane.
        cut_ab, cut_bc, cut_ca = in_a != in_b, in_b != in_c, in_c != in_a
        sab = (near - az) / tl.where(cut_ab, bz - az, 1.0)
        sbc = (near - bz) / tl.where(cut_bc, cz - bz, 1.0)
        sca = (near - cz) / tl.where(cut_ca, az - cz, 1.0)
        x0, x1 = _grown(
            near * 0.0 + 1e30, near * 0.0 - 1e30, in_a, cut_ab, fx * ax * ia, fx * (ax + sab * (bx - ax)) / near
        )
        x0, x1 = _grown(x0, x1, in_b, cut_bc, fx * bx * ib, fx * (bx + sbc * (cx - bx)) / near)
        x0, x1 = _grown(x0, x1, in_c, cut_ca, fx * cx * ic, fx * (cx + sca * (ax - cx)) / near)
        y0, y1 = _grown(
            near * 0.0 + 1e30, near * 0.0 - 1e30, in_a, cut_ab, fy * ay * ia, fy * (ay + sab * (by - ay)) / near
        )
        y0, y1 = _grown(y0, y1, in_b, cut_bc, fy * by * ib, fy * (by + sbc * (cy - by)) / near)
        y0, y1 = _grown(y0, y1, in_c, cut_ca, fy * cy * ic, fy * (cy + sca * (ay - cy)) / near)
        x0, x1, y0, y1 = x0 + ox, x1 + ox, y0 + oy, y1 + oy
        low = tl.minimum(tl.where(in_a, ia, 1e30), tl.minimum(tl.where(in_b, ib, 1e30), tl.where(in_c, ic, 1e30)))
        high = tl.maximum(tl.where(in_a, ia, 0.0), tl.maximum(tl.where(in_b, ib, 0.0), tl.where(in_c, ic, 0.0)))
        high = tl.where(in_a & in_b & in_c, high, 1.0 / near)
        left = tl.ceil(tl.minimum(tl.maximum(x0 - EDGE, 0.0), 1.0 * columns))
        right = tl.floor(tl.maximum(tl.minimum(x1 + EDGE, columns - 1.0), -1.0))
        top = tl.ceil(tl.minimum(tl.maximum(y0 - EDGE, 0.0), 1.0 * rows)).to(tl.int32)
        bottom = tl.floor(tl.maximum(tl.minimum(y1 + EDGE, rows - 1.0), -1.0)).to(tl.int32)
        flat = volume == 0.0
        unit = 1.0 / tl.where(flat, 1.0, volume)
        bottom = tl.where(flat, -1, bottom)
        # Edge functions over 1/z: e = A x + B y + C at sample (x, y); their sum is 1/z itself.
        a0, a1, a2 = n0x * unit / fx, n1x * unit / fx, n2x * unit / fx
        b0, b1, b2 = n0y * unit / fy, n1y * unit / fy, n2y * unit / fy
        c0, c1, c2 = n0z * unit - a0 * ox - b0 * oy, n1z * unit - a1 * ox - b1 * oy, n2z * unit - a2 * ox - b2 * oy
        sa, sb, sc = a0 + a1 + a2, b0 + b1 + b2, c0 + c1 + c2
        tie = near * 0.0 + 1.0
        if PAPER:
            tie = tl.where(~on_plate & (tl.load(valid + quad) != 0), TIE, tie)
        row = top + part
        while row <= bottom:
            y = row.to(tl.float64)
            start, stop = _bound(left, right, a0, b0 * y + c0 + EDGE * (tl.abs(a0) + tl.abs(b0)))
            start, stop = _bound(start, stop, a1, b1 * y + c1 + EDGE * (tl.abs(a1) + tl.abs(b1)))
            start, stop = _bound(start, stop, a2, b2 * y + c2 + EDGE * (tl.abs(a2) + tl.abs(b2)))
            start, stop = _bound(start, stop, -sa, 1.0 / near - (sb * y + sc))
            begin = tl.ceil(tl.minimum(start, 1.0 * columns)).to(tl.int32)
            end = tl.floor(tl.maximum(stop, -1.0)).to(tl.int32)
            chunk = begin
            while chunk <= end:
                x = chunk + lanes
                inverse = tl.minimum(tl.maximum(sa * x.to(tl.float64) + (sb * y + sc), low), high)
                here = (x <= end) & (inverse >= farthest)
                tl.atomic_max(keys + row * columns + x, _key(inverse * tie, face + x * 0), mask=here, sem="relaxed")
                chunk += BLOCK
            row += PARTS
        number += PROGRAMS


@triton.jit
def shade(
    depth, rgb, source, valid, views, keys, color, mask, out_depth, height, width, rows, columns, visible_alpha,
    PAPER: tl.constexpr, FADE: tl.constexpr, VIEW: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Colour 0..255 (F, rows*columns, 3) float32, mask (F, rows*columns) uint8 and depth (F, rows*columns) float32."""
    frame = tl.program_id(1)
    count = height * width
    samples = rows * columns
    sample = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    live = sample < samples
    shift = tl.load(source + frame) * count
    depth += shift
    rgb += shift * 3
    views += frame * VIEW
    valid += frame.to(tl.int64) * count
    at = frame.to(tl.int64) * samples + sample
    key = tl.load(keys + at, mask=live, other=0)
    seen = live & (key != 0)
    face = tl.where(seen, LOW - (key & LOW), 0)
    if PAPER:
        on_grid = seen & (face < 2 * count)
        seen = on_grid & (tl.load(valid + (face >> 1), mask=on_grid, other=0) != 0)
        face = tl.where(seen, face, 0)
    first, second, third = _corners(face, height, width)
    ax, ay, az = _to_camera(depth, first, seen, views, width)
    bx, by, bz = _to_camera(depth, second, seen, views, width)
    cx, cy, cz = _to_camera(depth, third, seen, views, width)
    row = sample // columns
    ray_x = ((sample - row * columns).to(tl.float64) - tl.load(views + 6)) / tl.load(views + 4)
    ray_y = (row.to(tl.float64) - tl.load(views + 7)) / tl.load(views + 5)
    w0 = ray_x * (by * cz - bz * cy) + ray_y * (bz * cx - bx * cz) + (bx * cy - by * cx)
    w1 = ray_x * (cy * az - cz * ay) + ray_y * (cz * ax - cx * az) + (cx * ay - cy * ax)
    w2 = ray_x * (ay * bz - az * by) + ray_y * (az * bx - ax * bz) + (ax * by - ay * bx)
    total = w0 + w1 + w2
    norm = 1.0 / tl.where(total != 0.0, total, 1.0)
    # A sample up to 1e-6 px outside its face takes the colour of the nearest point on it.
    w0, w1, w2 = tl.maximum(w0 * norm, 0.0), tl.maximum(w1 * norm, 0.0), tl.maximum(w2 * norm, 0.0)
    total = w0 + w1 + w2
    norm = 1.0 / tl.where(total != 0.0, total, 1.0)
    w0, w1, w2 = w0 * norm, w1 * norm, w2 * norm
    z = w0 * az + w1 * bz + w2 * cz
    if not PAPER:
        w0 = w0 * tl.load(valid + first, mask=seen, other=0).to(tl.float64)
        w1 = w1 * tl.load(valid + second, mask=seen, other=0).to(tl.float64)
        w2 = w2 * tl.load(valid + third, mask=seen, other=0).to(tl.float64)
        total = w0 + w1 + w2
        seen = seen & (total * 255.0 > visible_alpha)
        if not FADE:
            norm = 1.0 / tl.where(seen, total, 1.0)
            w0, w1, w2 = w0 * norm, w1 * norm, w2 * norm
    tl.store(mask + at, seen.to(tl.uint8), mask=live)
    tl.store(out_depth + at, tl.where(seen, z, 0.0).to(tl.float32), mask=live)
    for channel in tl.static_range(3):
        mixed = w0 * tl.load(rgb + first * 3 + channel, mask=seen, other=0).to(tl.float64)
        mixed += w1 * tl.load(rgb + second * 3 + channel, mask=seen, other=0).to(tl.float64)
        mixed += w2 * tl.load(rgb + third * 3 + channel, mask=seen, other=0).to(tl.float64)
        tl.store(color + at * 3 + channel, tl.where(seen, mixed, 0.0).to(tl.float32), mask=live)


@triton.jit
def check(value, COUNT: tl.constexpr):
    """Set to 1 what is 0: shows whether kernels can be built here."""
    at = value + tl.arange(0, COUNT)
    tl.store(at, tl.load(at) + 1.0)
