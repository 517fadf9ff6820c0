"""Quads that cover a few samples each, which nearly all do: every sample of their boxes, on the processor.

Arithmetic on planes that stay in the cache costs next to nothing; what costs is picking elements out, choosing between two
by a mask, and rows that do not lie one after the other. So the boxes of a strip of the grid are found on flat planes, in which
a quad is its upper left vertex and those of the last column are none; quads whose box holds a sample are picked out once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .torch_scene import Scene
from .view import EDGE

SMALL = 4.0
"""Quads between whose outermost samples there are more steps than this, across or down, are left to ``torch_faces``."""


def draw_quads(scene: Scene, keys: Tensor, rows: int, columns: int, poll: Callable[[], None]) -> Tensor:
    """Lay the small quads into ``keys``.

    Args:
        scene: the view, on the processor.
        keys: (rows*columns,) int64, the largest wins; the upper half is 0 where nothing is drawn.
        rows: samples of the picture from top to bottom.
        columns: and from left to right.
        poll: called once a strip; may raise.

    Returns:
        (N,) int64: the upper left vertices of the quads left to do: large ones and those through the near plane.
    """
    lines = max(1, scene.strip // scene.width)
    left_over = []
    for top in range(0, scene.height - 1, lines):
        poll()
        boxes = _boxes(scene, top, min(top + lines, scene.height - 1), rows, columns)
        left_over.append(boxes.first_vertex + boxes.others)
        for vertex, x, y in _samples(boxes, 2 * scene.strip):
            poll()
            _lay(scene, keys, boxes.first_vertex + vertex, x, y, columns)
    return torch.from_numpy(np.concatenate(left_over))


@dataclass(frozen=True, eq=False)
class _Boxes:
    """The samples around each quad of a strip: (N,) planes by the quad's upper left vertex, whole numbers in float32.

    Attributes:
        first_vertex: number of the strip's first vertex.
        small: int64 numbers of the quads to be drawn here.
        others: and of those that are to be drawn elsewhere.
        left, top: the first sample.
        more_columns, more_rows: how many follow it.
    """

    first_vertex: int
    small: np.ndarray
    others: np.ndarray
    left: np.ndarray
    top: np.ndarray
    more_columns: np.ndarray
    more_rows: np.ndarray


def _boxes(scene: Scene, top: int, bottom: int, rows: int, columns: int) -> _Boxes:
    """Of the quads below the vertex rows from ``top`` to ``bottom``."""
    width = scene.width
    part = slice(top * width, (bottom + 1) * width)
    left, right = _limits(scene.x[part], width)
    upper, lower = _limits(scene.y[part], width)
    extent = torch.maximum(right - left, lower - upper).numpy()
    left.clamp_(min=0)
    upper.clamp_(min=0)
    more_columns, more_rows = right.clamp_(max=columns - 1).sub_(left), lower.clamp_(max=rows - 1).sub_(upper)
    held = torch.minimum(more_columns, more_rows).numpy()
    held[width - 1 :: width] = -1.0
    large = (held >= 0) & (extent > SMALL)
    inverse = scene.inverse[part]
    if bool(inverse.amin() < 0):  # the box of a quad through the near plane is not known here
        beyond = _of_quads(torch.minimum, inverse, width).numpy() < 0
        crossing = beyond & (_of_quads(torch.maximum, inverse, width).numpy() > 0)
        crossing[width - 1 :: width] = False
        held[beyond] = -1.0
        large = (large & ~beyond) | crossing
    held[large] = -1.0
    small = np.flatnonzero(held >= 0)
    planes = (plane.numpy() for plane in (left, upper, more_columns, more_rows))
    return _Boxes(top * width, small, np.flatnonzero(large), *planes)


def _limits(place: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """First and last sample, as float32, within `EDGE` of every quad along one side of the picture."""
    # What is done to the least of four is done to each vertex once, and the rest with numbers half as long.
    low, high = (place - EDGE).ceil_().float(), (place + EDGE).floor_().float()
    return _of_quads(torch.minimum, low, width), _of_quads(torch.maximum, high, width)


def _of_quads(choose: Callable[[Tensor, Tensor], Tensor], plane: Tensor, width: int) -> Tensor:
    """The least or most of each quad's corners, of a flat plane of vertices."""
    rows = choose(plane[:-width], plane[width:])
    return choose(rows[:-1], rows[1:])


def _samples(boxes: _Boxes, budget: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Every sample of the small quads' boxes, about ``budget`` at a time: the quad's vertex in the strip, column and row."""
    quad = boxes.small
    wide, left, top = (plane.take(quad) for plane in (boxes.more_columns, boxes.left, boxes.top))
    wide += 1
    counts = (wide * (boxes.more_rows.take(quad) + 1)).astype(np.int64)
    ends = counts.cumsum()
    begin, done = 0, 0
    while begin < len(ends):
        stop = max(int(np.searchsorted(ends, done + budget, side="right")), begin + 1)
        part, reached = slice(begin, stop), int(ends[stop - 1])
        if reached - done == stop - begin:
            yield quad[part], left[part], top[part]
        else:
            owner = np.arange(begin, stop).repeat(counts[part])
            number = (np.arange(done, reached) - (ends - counts).take(owner)).astype(np.float32)
            across = wide.take(owner)
            down = np.floor((number + np.float32(0.5)) / across)
            number -= down * across
            yield quad.take(owner), number + left.take(owner), down + top.take(owner)
        begin, done = stop, reached


def _lay(scene: Scene, keys: Tensor, vertex: np.ndarray, column: np.ndarray, row: np.ndarray, columns: int) -> None:
    """Test samples (N,) against both faces of a quad each, and keep the nearer one's key where it is covered.

    Seen from the sample the corners are a few pixels away, so that float32 tells them apart as finely as `EDGE` asks for, and a
    sample that lies on a corner lies on it exactly.
    """
    at, x, y = torch.from_numpy(vertex), torch.from_numpy(column).double(), torch.from_numpy(row).double()
    steps = (0, scene.width, 1, scene.width + 1)
    (ax, bx, cx, dx), (ay, by, cy, dy) = (
        [plane[step:].index_select(0, at).sub_(place).float() for step in steps]
        for plane, place in ((scene.x, x), (scene.y, y))
    )
    az, bz, cz, dz = (scene.inverse_float[step:].index_select(0, at) for step in steps)
    # Twice the triangles between the sample and the edges. Those of a face that covers it all have one sign.
    ab, ca, bc = _cross(ax, ay, bx, by), _cross(cx, cy, ax, ay), _cross(bx, by, cx, cy)
    bd, dc = _cross(bx, by, dx, dy), _cross(dx, dy, cx, cy)
    size = (bx - cx).abs_().add_((by - cy).abs_()).add_(ax.sub_(dx).abs_()).add_(ay.sub_(dy).abs_())
    slack = size.mul_(2 * EDGE).sub_(bc.abs())
    low, high = torch.minimum(bz, cz), torch.maximum(bz, cz)
    least = 1.0 / scene.far
    values = []
    for along, across, middle, other in ((ca, ab, bc, az), (dc, bd, bc.neg(), dz)):
        area = (along + across).add_(middle)
        # The corners b and c stand opposite the edges to c and from b; `middle` stands opposite the last one.
        inverse = (along * bz).addcmul_(across, cz).addcmul_(middle, other).div_(area)
        torch.maximum(torch.minimum(inverse, torch.maximum(high, other)), torch.minimum(low, other), out=inverse)
        outside = along.abs_().add_(across.abs_()).sub_(area.abs_()).sub_(slack)
        if scene.reaches_far:
            torch.maximum(outside, least - inverse, out=outside)
        # Faces that are edge-on have no inverse.
        values.append(inverse.mul_(outside.le_(0.0)).nan_to_num_(0.0))
    first, second = values
    if scene.paper:
        tie = scene.tie.index_select(0, at)
        first, second = first.mul_(tie), second.mul_(tie)
    low_bits = 0xFFFFFFFF - 2 * vertex
    low_bits -= (second > first).numpy()
    key = torch.maximum(first, second).view(torch.int32).long().bitwise_left_shift_(32)
    key.bitwise_or_(torch.from_numpy(low_bits))
    keys.scatter_reduce_(0, y.mul_(columns).add_(x).long(), key, "amax")


def _cross(px: Tensor, py: Tensor, qx: Tensor, qy: Tensor) -> Tensor:
    return (px * qy).addcmul_(py, qx, value=-1)
