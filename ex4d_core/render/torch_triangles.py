"""What `numba_triangles` does, on any device with float64; a frame at a time, in pieces of fixed size. In plain torch, but for
two loops that Triton compiles where it can.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..scene_memory import SceneMemory
from .recollection import PASSES, SPACING, STEPS, STOPPED, Recollection
from .triton_backend import BACKEND as TRITON
from .triton_backend import interpreted
from .view import ALIKE, EDGE, Picture, Settings, rounding

log = logging.getLogger(__name__)

SAMPLES = 2**20
"""Samples, or places on rays, in flight: about 120 bytes each."""


def recall_frame(
    memory: SceneMemory, view: Recollection, picture: Picture, remembered: Tensor, settings: Settings, released: bool
) -> None:
    """Fill the holes of one frame of the picture, and say which in ``remembered``."""
    device = picture.mask.device
    layer = memory.layer
    faces = layer.faces.to(device).long()
    placed = _place(layer.points.to(device), view, settings.near)
    hole = picture.mask[view.output] == 0
    sample, face = nearest(placed, faces, hole, settings)
    area, z, weights = shares(placed, faces[face], sample, picture.width)
    front = area < 0
    sample, face, z, weights = sample[front], face[front], z[front], weights[:, front]
    clear = ~_blocked(memory, view, sample, z, (picture.height, picture.width), settings)
    sample, face, z, weights = sample[clear], face[clear], z[clear], weights[:, clear]
    corners = layer.colors.to(device)[faces[face]].double()
    color = (weights.T[..., None] * corners).sum(1)
    full = 255 if picture.is_uint8 else 1
    if picture.is_uint8:
        color = (color + rounding(released)).clamp_(0, 255)
    else:
        color = color / 255.0
    picture.color[view.output].view(-1, 3)[sample] = color.to(picture.color.dtype)
    picture.mask[view.output].view(-1)[sample] = full
    picture.depth[view.output].view(-1)[sample] = z.float()
    remembered[view.output].view(-1)[sample] = full


def _place(points: Tensor, view: Recollection, near: float) -> Tensor:
    """(V, 3) float64 column, row, 1/z; 1/z = -1 in front of ``near``."""
    pose = torch.from_numpy(view.world_to_camera).to(points.device)
    x, y, z = (points.double() @ pose[:, :3].T + pose[:, 3]).unbind(-1)
    fx, fy, cx, cy = view.lens
    inverse = torch.where(z > near, z, 1.0).reciprocal()
    return torch.stack([fx * x * inverse + cx, fy * y * inverse + cy, torch.where(z > near, inverse, -1.0)], -1)


def nearest(placed: Tensor, faces: Tensor, hole: Tensor, settings: Settings) -> tuple[Tensor, Tensor]:
    """Samples of the holes that a face covers, as indices, and the nearest face of each."""
    keys = torch.zeros(hole.numel(), dtype=torch.int64, device=placed.device)
    kernels = compiled(placed.device)
    if kernels is None:
        _lay(keys, placed, faces, None, hole, settings)
    elif len(faces):
        rest = kernels.draw(placed, faces, hole, 1.0 / settings.far, keys)
        if len(rest):
            _lay(keys, placed, faces[rest], rest, hole, settings)
    sample = keys.nonzero()[:, 0]
    return sample, 0xFFFFFFFF - (keys[sample] & 0xFFFFFFFF)


def compiled(device: torch.device) -> Any:
    """`triton_triangles` where Triton makes its kernels for the device, else None."""
    if device.type != "cuda" and not interpreted():
        return None
    return _tried(device) if TRITON.problem() is None else None


@cache
def _tried(device: torch.device) -> Any:
    from . import triton_triangles as kernels

    try:
        corners = torch.tensor([[0.0, 0.0, 1.0], [0.0, 2.0, 1.0], [2.0, 0.0, 1.0]], dtype=torch.float64, device=device)
        hole, keys = (
            torch.ones((2, 2), dtype=torch.bool, device=device),
            torch.zeros(4, dtype=torch.int64, device=device),
        )
        kernels.draw(corners, torch.tensor([[0, 1, 2]], device=device), hole, 1e-3, keys)
        plane, none = torch.ones((2, 2), device=device), torch.ones((0, 2, 2), device=device)
        numbers = torch.ones(22, dtype=torch.float64, device=device)
        kernels.walk(keys[:1], corners[:1, 2], numbers, (plane, plane, hole), (none, none), 2, STEPS)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    except Exception as error:  # its compiler, or a card that does not take them
        log.warning("Triton cannot build the kernels of a scene's memory here, so torch does it: %s", error)
        return None
    return kernels


def _lay(keys: Tensor, placed: Tensor, faces: Tensor, numbers: Tensor | None, hole: Tensor, settings: Settings) -> None:
    """Write the nearest face of every sample of the holes into ``keys``; ``numbers`` are the faces', theirs in order if None."""
    rows, columns = hole.shape
    x, y, w = (placed[:, axis][faces] for axis in range(3))
    # Whole numbers only of what lies in the picture: far outside they would not fit.
    left = (x.amin(1) - EDGE).clamp_(0, columns).ceil_().long()
    right = (x.amax(1) + EDGE).clamp_(-1, columns - 1).floor_().long()
    top = (y.amin(1) - EDGE).clamp_(0, rows).ceil_().long()
    bottom = (y.amax(1) + EDGE).clamp_(-1, rows - 1).floor_().long()
    area = (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (y[:, 1] - y[:, 0]) * (x[:, 2] - x[:, 0])
    used = (w.amin(1) > 0) & (left <= right) & (top <= bottom) & (area != 0)
    used = used.nonzero()[:, 0]
    wide = (right - left + 1)[used]
    count = wide * (bottom - top + 1)[used]
    ends = count.cumsum(0)
    begin = 0
    while begin < len(used):
        settings.poll()
        reached = int(ends[begin - 1]) if begin else 0
        stop = max(begin + 1, int(torch.searchsorted(ends, reached + SAMPLES, right=True)))
        piece = slice(begin, stop)
        owner = torch.repeat_interleave(torch.arange(begin, min(stop, len(used)), device=placed.device), count[piece])
        position = torch.arange(len(owner), device=placed.device) + reached - (ends - count)[owner]
        f = used[owner]
        px, py = left[f] + position % wide[owner], top[f] + torch.div(position, wide[owner], rounding_mode="floor")
        index = py * columns + px
        inside = hole.reshape(-1)[index]
        f, px, py, index = f[inside], px[inside], py[inside], index[inside]
        ux, uy, vx, vy = x[f, 1] - x[f, 0], y[f, 1] - y[f, 0], x[f, 2] - x[f, 0], y[f, 2] - y[f, 0]
        scale = area[f].reciprocal()
        slack = EDGE * (ux.abs() + uy.abs() + vx.abs() + vy.abs()) * scale.abs()
        dx, dy = px - x[f, 0], py - y[f, 0]
        s, t = (dx * vy - dy * vx) * scale, (ux * dy - uy * dx) * scale
        inverse = w[f, 0] + s * (w[f, 1] - w[f, 0]) + t * (w[f, 2] - w[f, 0])
        inverse = torch.minimum(torch.maximum(inverse, w[f].amin(1)), w[f].amax(1))
        covered = (s >= -slack) & (t >= -slack) & (s + t <= 1.0 + slack) & (inverse >= 1.0 / settings.far)
        number = f if numbers is None else numbers[f]
        key = ((inverse.float().view(torch.int32).long() & ALIKE) << 32) | (0xFFFFFFFF - number)
        keys.scatter_reduce_(0, index[covered], key[covered], "amax")
        begin = stop


def shares(placed: Tensor, corners: Tensor, sample: Tensor, columns: int) -> tuple[Tensor, Tensor, Tensor]:
    """Area on the picture, depth, and (3, N) the corners' shares of the surface."""
    x, y, w = (placed[:, axis][corners] for axis in range(3))
    ux, uy, vx, vy = x[:, 1] - x[:, 0], y[:, 1] - y[:, 0], x[:, 2] - x[:, 0], y[:, 2] - y[:, 0]
    area = ux * vy - uy * vx
    dx, dy = sample % columns - x[:, 0], torch.div(sample, columns, rounding_mode="floor") - y[:, 0]
    s, t = ((dx * vy - dy * vx) / area).clamp_(min=0), ((ux * dy - uy * dx) / area).clamp_(min=0)
    r = (1.0 - s - t).clamp_(min=0)
    weights = torch.stack([r, s, t]) * w.T
    norm = weights.sum(0).reciprocal()
    return area, (r + s + t) * norm, weights * norm


def _blocked(
    memory: SceneMemory, view: Recollection, sample: Tensor, z: Tensor, size: tuple[int, int], settings: Settings
) -> Tensor:
    """(N,) bool, rays that pass through something solid before what they find; see `numba_triangles.clear`."""
    rows, columns = size
    row, column = torch.div(sample, columns, rounding_mode="floor"), sample % columns
    found = torch.zeros(rows * columns, dtype=torch.float64, device=sample.device)
    found[sample] = z.float().double()
    told = torch.zeros(rows * columns, dtype=torch.uint8, device=sample.device)
    apart = SPACING
    while apart > 0:
        due = ((row % apart == 0) & (column % apart == 0) & (told[sample] == 0)).nonzero()[:, 0]
        if apart < SPACING:
            answer = _as_around(found, told, size, 2 * apart, row[due], column[due], memory.tolerance)
            told[sample[due]] = answer
            due = due[answer == 0]
        solid = _pass_solid(memory, view, sample[due], z[due], columns, settings)
        told[sample[due]] = torch.where(solid, STOPPED, PASSES).to(torch.uint8)
        apart //= 2
    return told[sample] == STOPPED


def _as_around(
    found: Tensor, told: Tensor, size: tuple[int, int], apart: int, row: Tensor, column: Tensor, tolerance: float
) -> Tensor:
    """(N,) uint8, what rays are told by those around; see `numba_triangles`, which does the same."""
    rows, columns = size
    top, left = row - row % apart, column - column % apart
    bottom, right = torch.where(top == row, top, top + apart), torch.where(left == column, left, left + apart)
    within = (bottom < rows) & (right < columns)
    around = torch.stack([i * columns + j for i in (top, bottom) for j in (left, right)]).where(within, 0)
    answer, depth, own = told[around], found[around], found[row * columns + column]
    same = within & (answer == answer[0]).all(0)
    nearer, farther = own <= depth.amax(0) * (1.0 + tolerance), own >= depth.amin(0) * (1.0 - tolerance)
    agrees = same & torch.where(answer[0] == PASSES, nearer, farther)
    return answer[0].where(agrees, 0)


def _pass_solid(
    memory: SceneMemory, view: Recollection, sample: Tensor, z: Tensor, columns: int, settings: Settings
) -> Tensor:
    """(N,) bool, rays that pass through something solid, walked one by one."""
    kernels = compiled(sample.device)
    if kernels is not None and len(sample):
        own = tuple(plane[view.frame] for plane in (memory.solids.front, memory.solids.back, memory.moving))
        others = (memory.witnesses.front, memory.witnesses.back)
        numbers = torch.from_numpy(_numbers(view, settings.near, memory.tolerance)).to(sample.device)
        return kernels.walk(sample, z, numbers, own, others, columns, STEPS)
    result = torch.zeros(len(sample), dtype=torch.bool, device=sample.device)
    piece = max(1, SAMPLES // STEPS)
    for begin in range(0, len(sample), piece):
        settings.poll()
        part = slice(begin, begin + piece)
        result[part] = _walk(memory, view, sample[part], z[part], columns, settings.near)
    return result


def _numbers(view: Recollection, near: float, tolerance: float) -> np.ndarray:
    """What `triton_triangles.walk` takes of a view."""
    cameras = np.concatenate([view.cells, view.to_witness.reshape(len(view.cells), 12)], 1)
    return np.concatenate([[*view.lens, near, tolerance], cameras.ravel()])


def _walk(memory: SceneMemory, view: Recollection, sample: Tensor, z: Tensor, columns: int, near: float) -> Tensor:
    device, tolerance = sample.device, memory.tolerance
    fx, fy, cx, cy = view.lens
    ray = torch.stack(
        [(sample % columns - cx) / fx, (torch.div(sample, columns, rounding_mode="floor") - cy) / fy,
         torch.ones_like(z)], -1
    )  # fmt: skip
    begin, end = torch.full_like(z, near), z * (1.0 - 1.5 * tolerance)
    own = torch.from_numpy(view.to_witness[0]).to(device)
    a, o = ray @ own[:, :3].T, own[:, 3]
    z0, z1 = o[2] + begin * a[:, 2], o[2] + end * a[:, 2]
    walks = (z0 > near) | (z1 > near)
    at_near = (near - o[2]) / a[:, 2]
    begin, z0 = torch.where(z0 <= near, at_near, begin), z0.clamp(min=near)
    end, z1 = torch.where(z1 <= near, at_near, end), z1.clamp(min=near)
    k = view.cells[0]
    height, width = memory.solids.front.shape[1:]
    u0, v0 = k[0] * (o[0] + begin * a[:, 0]) / z0 + k[2], k[1] * (o[1] + begin * a[:, 1]) / z0 + k[3]
    u1, v1 = k[0] * (o[0] + end * a[:, 0]) / z1 + k[2], k[1] * (o[1] + end * a[:, 1]) / z1 + k[3]
    du, dv = u1 - u0, v1 - v0
    low, high = torch.zeros_like(z), torch.ones_like(z)
    for slope, room in ((-du, u0), (du, width - 1e-6 - u0), (-dv, v0), (dv, height - 1e-6 - v0)):
        low = torch.where(slope < 0, torch.maximum(low, room / slope), low)
        high = torch.where(slope > 0, torch.minimum(high, room / slope), high)
        walks &= (slope != 0) | (room >= 0)
    walks &= low < high
    length = torch.where(walks, torch.maximum(du.abs(), dv.abs()) * (high - low), 0.0)
    count = length.clamp_(max=STEPS - 2).long() + 2  # as a float first: a whole number cannot hold every length
    n = torch.arange(int(count.max()) if len(count) else 0, device=device)
    share = low[:, None] + (high - low)[:, None] * n / (count - 1)[:, None]
    taken = walks[:, None] & (n < count[:, None])
    depth = (1.0 / z0[:, None] + share * (1.0 / z1 - 1.0 / z0)[:, None]).reciprocal()
    j, i = (u0[:, None] + share * du[:, None]), (v0[:, None] + share * dv[:, None])
    taken &= (i >= 0) & (j >= 0) & (i < height) & (j < width)
    cell = i.nan_to_num(0, 0, 0).clamp(0, height - 1).long() * width + j.nan_to_num(0, 0, 0).clamp(0, width - 1).long()
    beyond = 1.0 + tolerance
    front, back, moving = (
        plane[view.frame].to(device).reshape(-1) for plane in (memory.solids.front, memory.solids.back, memory.moving)
    )
    row, step = (taken & (depth > front[cell] * beyond)).nonzero(as_tuple=True)
    cell, depth = cell[row, step], depth[row, step]
    solid = depth < back[cell] * beyond
    certain = solid & moving[cell]
    along = torch.where(
        a[row, 2].abs() > 1e-9,
        (depth - o[2]) / a[row, 2],
        begin[row] + share[row, step] * (end - begin)[row],
    )
    points = ray[row] * along[:, None]
    free = torch.zeros_like(solid)
    for witness in range(len(memory.frames)):
        inside, theirs, cell = _seen_by(view, witness + 1, points, near, (height, width))
        front, back = (
            plane[witness].to(device).reshape(-1)[cell] for plane in (memory.witnesses.front, memory.witnesses.back)
        )
        free |= inside & (theirs < front * (1.0 - tolerance))
        solid |= inside & (theirs > front * beyond) & (theirs < back * beyond)
    blocked = torch.zeros(len(sample), dtype=torch.bool, device=device)
    blocked[row[certain | (solid & ~free)]] = True
    return blocked


def _seen_by(
    view: Recollection, witness: int, points: Tensor, near: float, shape: tuple[int, int]
) -> tuple[Tensor, Tensor, Tensor]:
    """Points of the viewing camera's frame as a witness has them: in its picture, their depth, and their cell."""
    pose = torch.from_numpy(view.to_witness[witness]).to(points.device)
    x, y, z = (points @ pose[:, :3].T + pose[:, 3]).unbind(-1)
    k = np.asarray(view.cells[witness], np.float64)
    ahead = z > near
    scale = torch.where(ahead, z, 1.0).reciprocal()
    j, i = k[0] * x * scale + k[2], k[1] * y * scale + k[3]
    inside = ahead & (i > -1) & (j > -1) & (i < shape[0]) & (j < shape[1])
    cell = i.clamp(0, shape[0] - 1).long() * shape[1] + j.clamp(0, shape[1] - 1).long()
    return inside, z, cell
