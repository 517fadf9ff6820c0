# pyright: reportIndexIssue=false, reportArgumentType=false, reportGeneralTypeIssues=false, reportCallIssue=false
"""The two long loops of `torch_triangles`, compiled by Triton: samples of faces, and walks along viewing rays.

Arithmetic is float64, and products are rounded before they are added, as there: a sample on an edge is on the same side. Loops
are written with while: Triton's interpreter takes no range up to a tensor with numpy 2.4 and newer.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from . import view
from .triton_kernels import EDGE, LOW, _between, _covered

ALIKE = tl.constexpr(view.ALIKE)
LARGE = tl.constexpr(256)
"""Faces whose box holds more samples are left to others: the lanes of a program wait for the largest."""
BLOCK = 64
HEAD, CAMERA = tl.constexpr(6), tl.constexpr(16)


def draw(placed: Tensor, faces: Tensor, hole: Tensor, farthest: float, keys: Tensor) -> Tensor:
    """Lay small faces into ``keys``, and list the others.

    Args:
        placed: (V, 3) float64 column, row, 1/z; 1/z < 0 in front of the near plane.
        faces: (F, 3).
        hole: (rows, columns) bool, the samples that count.
        farthest: 1/z of the far plane.
        keys: (rows * columns,) int64, the largest so far; written.

    Returns:
        (N,) int64 numbers of faces that were left out for their size.
    """
    rows, columns = hole.shape
    count = len(faces)
    rest = torch.empty(count, dtype=torch.int32, device=faces.device)
    listed = torch.zeros(1, dtype=torch.int32, device=faces.device)
    limit = torch.tensor([farthest], dtype=torch.float64, device=faces.device)
    _draw[(triton.cdiv(count, BLOCK),)](
        placed.contiguous(), faces.contiguous(), hole.contiguous().view(torch.uint8), keys, rest, listed, limit,
        count, rows, columns, BLOCK=BLOCK, num_warps=2, enable_fp_fusion=False,
    )  # fmt: skip
    return rest[: int(listed)].long()


def walk(
    sample: Tensor,
    z: Tensor,
    numbers: Tensor,
    own: tuple[Tensor, Tensor, Tensor],
    others: tuple[Tensor, Tensor],
    columns: int,
    steps: int,
) -> Tensor:
    """Which rays pass through something solid before what they find; see `numba_triangles.clear`.

    Args:
        sample: (N,) int64, row * columns + column.
        z: (N,) float64, depth of what is found.
        numbers: (6 + (1 + K) * 16,) float64: fx, fy, cx, cy of the viewing camera, near, tolerance; then of the frame and
            every witness fx, fy, cx, cy in cells and its pose (3, 4) from the viewing camera.
        own: front, back (h, w) float32 and moving (h, w) bool of the frame.
        others: front, back (K, h, w) float32 of the witnesses.
        columns: of the picture.
        steps: of a walk, at most.

    Returns:
        (N,) bool.
    """
    front, back, moving = (plane.contiguous() for plane in own)
    height, width = front.shape
    blocked = torch.zeros(len(sample), dtype=torch.uint8, device=sample.device)
    _walk[(triton.cdiv(len(sample), BLOCK),)](
        sample, z, numbers, front, back, moving.view(torch.uint8), *(plane.contiguous() for plane in others), blocked,
        len(sample), columns, height, width, len(others[0]), steps, BLOCK=BLOCK, num_warps=2, enable_fp_fusion=False,
    )  # fmt: skip
    return blocked.view(torch.bool)


@triton.jit
def _draw(
    placed, faces, hole, keys, rest, listed, limit, count, rows, columns, BLOCK: tl.constexpr,
):  # fmt: skip
    face = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    live = face < count
    a = tl.load(faces + face * 3, mask=live, other=0).to(tl.int64) * 3
    b = tl.load(faces + face * 3 + 1, mask=live, other=0).to(tl.int64) * 3
    c = tl.load(faces + face * 3 + 2, mask=live, other=0).to(tl.int64) * 3
    az, bz, cz = tl.load(placed + a + 2), tl.load(placed + b + 2), tl.load(placed + c + 2)
    ax, bx, cx = tl.load(placed + a), tl.load(placed + b), tl.load(placed + c)
    ay, by, cy = tl.load(placed + a + 1), tl.load(placed + b + 1), tl.load(placed + c + 1)
    # Whole numbers only of what lies in the picture: far outside they would not fit.
    left = tl.ceil(tl.minimum(tl.maximum(tl.minimum(tl.minimum(ax, bx), cx) - EDGE, 0.0), 1.0 * columns)).to(tl.int32)
    right = tl.floor(tl.maximum(tl.minimum(tl.maximum(tl.maximum(ax, bx), cx) + EDGE, columns - 1.0), -1.0)).to(
        tl.int32
    )
    top = tl.ceil(tl.minimum(tl.maximum(tl.minimum(tl.minimum(ay, by), cy) - EDGE, 0.0), 1.0 * rows)).to(tl.int32)
    bottom = tl.floor(tl.maximum(tl.minimum(tl.maximum(tl.maximum(ay, by), cy) + EDGE, rows - 1.0), -1.0)).to(tl.int32)
    ux, uy, uz = bx - ax, by - ay, bz - az
    vx, vy, vz = cx - ax, cy - ay, cz - az
    area = ux * vy - uy * vx
    used = live & (tl.minimum(tl.minimum(az, bz), cz) > 0.0) & (left <= right) & (top <= bottom) & (area != 0.0)
    wide, high = right - left + 1, bottom - top + 1
    box = tl.where(used, wide.to(tl.int64) * high, 0)
    large = box > LARGE
    # One lane at a time adds to the counter; the order of the list does not matter.
    place = tl.atomic_add(listed + face * 0, 1, mask=large)
    tl.store(rest + place, face, mask=large)
    drawn = used & (box <= LARGE)
    box = tl.where(drawn, box, 0).to(tl.int32)
    wide = tl.where(drawn, wide, 1)
    scale = 1.0 / tl.where(area != 0.0, area, 1.0)
    slack = EDGE * (tl.abs(ux) + tl.abs(uy) + tl.abs(vx) + tl.abs(vy)) * tl.abs(scale)
    farthest = tl.load(limit)
    number = LOW - face.to(tl.int64)
    most = tl.max(box, axis=0)
    step = most * 0
    while step < most:
        down = step // wide
        y = top + down
        x = left + (step - down * wide)
        index = y * columns + x
        here = drawn & (step < box)
        here = here & (tl.load(hole + index, mask=here, other=0) != 0)
        px, py = x.to(tl.float64) - ax, y.to(tl.float64) - ay
        s, t = (px * vy - py * vx) * scale, (ux * py - uy * px) * scale
        inverse = _between(az + s * uz + t * vz, az, bz, cz)
        here = here & _covered(s, t, slack) & (inverse >= farthest)
        bits = inverse.to(tl.float32).to(tl.int32, bitcast=True).to(tl.int64) & ALIKE
        tl.atomic_max(keys + index, (bits << 32) | number, mask=here, sem="relaxed")
        step += 1


@triton.jit
def _moved(camera, x, y, z):
    """A place of the viewing camera's frame in that of a camera."""
    there_x = tl.load(camera + 4) * x + tl.load(camera + 5) * y + tl.load(camera + 6) * z + tl.load(camera + 7)
    there_y = tl.load(camera + 8) * x + tl.load(camera + 9) * y + tl.load(camera + 10) * z + tl.load(camera + 11)
    there_z = tl.load(camera + 12) * x + tl.load(camera + 13) * y + tl.load(camera + 14) * z + tl.load(camera + 15)
    return there_x, there_y, there_z


@triton.jit
def _clipped(low, high, slope, room):
    """The part of a way on which slope * share <= room."""
    at = room / tl.where(slope != 0.0, slope, 1.0)
    low = tl.where(slope < 0.0, tl.maximum(low, at), low)
    high = tl.where(slope > 0.0, tl.minimum(high, at), high)
    return low, tl.where((slope == 0.0) & (room < 0.0), -1.0, high)


@triton.jit
def _walk(
    sample, z, numbers, front, back, moving, fronts, backs, blocked, count, columns, height, width, witnesses, steps,
    BLOCK: tl.constexpr,
):  # fmt: skip
    n = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    live = n < count
    near, tolerance = tl.load(numbers + 4), tl.load(numbers + 5)
    beyond = 1.0 + tolerance
    at = tl.load(sample + n, mask=live, other=0)
    row = at // columns
    rx = ((at - row * columns).to(tl.float64) - tl.load(numbers + 2)) / tl.load(numbers + 0)
    ry = (row.to(tl.float64) - tl.load(numbers + 3)) / tl.load(numbers + 1)
    begin = rx * 0.0 + near
    end = tl.load(z + n, mask=live, other=1.0) * (1.0 - 1.5 * tolerance)
    own = numbers + HEAD
    ax, ay, az = _moved(own, rx, ry, 1.0)
    ox, oy, oz = tl.load(own + 7), tl.load(own + 11), tl.load(own + 15)
    ax, ay, az = ax - ox, ay - oy, az - oz
    z0, z1 = oz + begin * az, oz + end * az
    walks = live & ((z0 > near) | (z1 > near))
    at_near = (near - oz) / tl.where(az != 0.0, az, 1.0)
    begin, end = tl.where(z0 <= near, at_near, begin), tl.where(z1 <= near, at_near, end)
    z0, z1 = tl.maximum(z0, near), tl.maximum(z1, near)
    fx, fy, cx, cy = tl.load(own + 0), tl.load(own + 1), tl.load(own + 2), tl.load(own + 3)
    u0, v0 = fx * (ox + begin * ax) / z0 + cx, fy * (oy + begin * ay) / z0 + cy
    du, dv = fx * (ox + end * ax) / z1 + cx - u0, fy * (oy + end * ay) / z1 + cy - v0
    # The part of the way that is in the picture.
    low, high = _clipped(rx * 0.0, rx * 0.0 + 1.0, -du, u0)
    low, high = _clipped(low, high, du, rx * 0.0 + width - 1e-6 - u0)  # a whole number less 1e-6 would be float32
    low, high = _clipped(low, high, -dv, v0)
    low, high = _clipped(low, high, dv, rx * 0.0 + height - 1e-6 - v0)
    walks = walks & (low < high)
    length = tl.where(walks, tl.maximum(tl.abs(du), tl.abs(dv)) * (high - low), 0.0)
    # As a float first: no whole number holds every length.
    taken_steps = tl.minimum(length, steps - 2.0).to(tl.int32) + 2
    way = (taken_steps - 1).to(tl.float64)
    i0 = 1.0 / z0
    di = 1.0 / z1 - i0
    hit = n < 0
    going = walks
    most = tl.max(tl.where(walks, taken_steps, 0), axis=0)
    step = most * 0
    while step < most:
        share = low + (high - low) * step / way
        depth = 1.0 / (i0 + share * di)
        i, j = v0 + share * dv, u0 + share * du
        here = going & (step < taken_steps) & (i >= 0.0) & (j >= 0.0) & (i < height) & (j < width)
        cell = tl.where(here, i, 0.0).to(tl.int32) * width + tl.where(here, j, 0.0).to(tl.int32)
        here = here & (depth > tl.load(front + cell, mask=here, other=0.0) * beyond)
        if tl.max(here.to(tl.int32), axis=0) > 0:
            solid = here & (depth < tl.load(back + cell, mask=here, other=0.0) * beyond)
            certain = solid & (tl.load(moving + cell, mask=here, other=0) != 0)
            straight = tl.abs(az) > 1e-9
            along = tl.where(straight, (depth - oz) / tl.where(straight, az, 1.0), begin + share * (end - begin))
            free = here & (n < 0)
            other = 0
            while other < witnesses:
                camera = numbers + HEAD + CAMERA * (other + 1)
                qx, qy, qz = _moved(camera, rx * along, ry * along, along)
                ahead = here & (qz > near)
                unit = 1.0 / tl.where(ahead, qz, 1.0)
                column = tl.load(camera + 0) * qx * unit + tl.load(camera + 2)
                line = tl.load(camera + 1) * qy * unit + tl.load(camera + 3)
                inside = ahead & (line > -1.0) & (column > -1.0) & (line < height) & (column < width)
                place = tl.where(inside, line, 0.0).to(tl.int32) * width + tl.where(inside, column, 0.0).to(tl.int32)
                place += other * height * width
                first = tl.load(fronts + place, mask=inside, other=0.0)
                last = tl.load(backs + place, mask=inside, other=0.0)
                free = free | (inside & (qz < first * (1.0 - tolerance)))
                solid = solid | (inside & (qz > first * beyond) & (qz < last * beyond))
                other += 1
            hit = hit | certain | (solid & (free == 0))
            going = going & (hit == 0)
        step = tl.where(tl.max(going.to(tl.int32), axis=0) > 0, step + 1, most)
    tl.store(blocked + n, hit.to(tl.uint8), mask=live)
