"""Faces one by one, whatever their size and also through the near plane: faces to lines, lines to spans, spans to samples.

Faces, lines and samples are worked off in pieces of fixed size, so random depth, whose faces cover the whole picture
each, costs time and not memory. Nothing is approximated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from ..machine.picks import places, repeated
from .torch_scene import Scene
from .view import EDGE, TIE

TINY = 1e-200
"""In place of a slope of 0."""


def draw_faces(scene: Scene, faces: Tensor, keys: Tensor, rows: int, columns: int, poll: Callable[[], None]) -> None:
    """Lay faces into ``keys``.

    Args:
        scene: the view.
        faces: (N,) int64, numbered as in `Scene`; those of the back plate may be among them.
        keys: (rows*columns,) int64, the largest wins.
        rows: samples of the picture from top to bottom.
        columns: and from left to right.
        poll: called once a piece; may raise.
    """
    for piece in faces.split(scene.strip):
        poll()
        face, box = _boxes(scene, piece, rows, columns)
        face, box, edges, inverse_range = _edges(scene, face, box)
        # A face is cut along its longer side, into fewer and longer spans.
        tall = box[3] - box[2] > box[1] - box[0]
        for upright, chosen in ((False, ~tall), (True, tall)):
            at = places(chosen)
            if len(at):
                its_box, its_range = ([_taken(v, at) for v in values] for values in (box, inverse_range))
                its_edges = [(_taken(a, at), _taken(b, at), _taken(c, at)) for a, b, c in edges]
                _draw_spans(scene, _taken(face, at), its_box, its_edges, its_range, keys, columns, upright, poll)


def _draw_spans(
    scene: Scene,
    face: Tensor,
    box: list[Tensor],
    edges: list[Edge],
    inverse_range: list[Tensor],
    keys: Tensor,
    columns: int,
    upright: bool,
    poll: Callable[[], None],
) -> None:
    """Lay faces into ``keys`` line by line: rows of the picture, or columns of it where ``upright``."""
    if upright:  # rows and columns change places
        box, edges = [*box[2:], *box[:2]], [(b, a, c) for a, b, c in edges]
    line_step, step = (1, columns) if upright else (columns, 1)
    bounds = _bounds(scene, edges)
    # Visible faces are a little closer.
    share = scene.seen.index_select(0, face).double().mul_(TIE - 1.0).add_(1.0) if scene.paper else None
    low_bits = 0xFFFFFFFF - face
    for owner, line in expand(box[2], (box[3] - box[2]).long() + 1, scene.strip):
        poll()
        owner, line, first, last = _spans(bounds, box, owner, line)
        slope, rest = _taken(edges[3][0], owner), _taken(edges[3][1], owner).mul_(line).add_(_taken(edges[3][2], owner))
        low, high = (_taken(value, owner) for value in inverse_range)
        # 1/z is held to the face's own range, at both ends of a span and so between them.
        begin, end = (torch.minimum(torch.maximum(rest + slope * at, low), high) for at in (first, last))
        steps = last - first
        slope = (end - begin).div_(steps.clamp(min=1.0))
        if share is not None:
            scale = _taken(share, owner)
            begin, slope = begin.mul_(scale), slope.mul_(scale)
        sample = line.mul_(line_step).add_(first, alpha=step).long()
        own = (begin, slope, sample, _taken(low_bits, owner))
        for span, number in expand(torch.zeros_like(sample), steps.long() + 1, scene.strip):
            inverse, slope, sample, low_bits_there = (_taken(value, span) for value in own)
            inverse.addcmul_(slope, number.double())
            if scene.reaches_far:
                inverse.mul_(inverse >= 1.0 / scene.far)
            key = inverse.float().view(torch.int32).long().bitwise_left_shift_(32).bitwise_or_(low_bits_there)
            keys.scatter_reduce_(0, sample.add_(number, alpha=step), key, "amax")


def _boxes(scene: Scene, face: Tensor, rows: int, columns: int) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Faces whose box holds a sample, with (left, right, top, bottom) as whole numbers in float64."""
    corners = scene.corners_of_any(face)
    xs, ys, inverses = ([_taken(plane, c) for c in corners] for plane in (scene.x, scene.y, scene.inverse))
    seen = [inverse > 0 for inverse in inverses]
    everything = seen[0] & seen[1] & seen[2]
    limits = _limits(_low(*xs), _high(*xs), _low(*ys), _high(*ys), rows, columns)
    keep = everything & (limits[0] <= limits[1]) & (limits[2] <= limits[3])
    chosen = places(keep)
    limits = tuple(_taken(v, chosen) for v in limits)
    crossing = places((seen[0] | seen[1] | seen[2]) & ~everything)
    if not len(crossing):
        return _taken(face, chosen), limits
    more, crossing = _crossing_boxes(scene, [c[crossing] for c in corners], rows, columns, crossing)
    merged = tuple(torch.cat([a, b]) for a, b in zip(limits, more, strict=True))
    return face[torch.cat([chosen, crossing])], merged


def _crossing_boxes(
    scene: Scene, corners: list[Tensor], rows: int, columns: int, face: Tensor
) -> tuple[tuple[Tensor, ...], Tensor]:
    """The same for faces through the near plane: the box of their part beyond it."""
    xs, ys = [], []
    fx, fy, cx, cy = scene.lens
    for a, b in zip(corners, corners[1:] + corners[:1], strict=True):
        inside, beyond = scene.inverse[a] > 0, scene.inverse[b] > 0
        crosses = inside != beyond
        p, q = scene.points(a), scene.points(b)
        share = (scene.near - p[:, 2]) / torch.where(crosses, q[:, 2] - p[:, 2], 1.0)
        cut = p + share[:, None] * (q - p)
        xs += [
            torch.where(inside, scene.x[a], math.nan),
            torch.where(crosses, fx * cut[:, 0] / scene.near + cx, math.nan),
        ]
        ys += [
            torch.where(inside, scene.y[a], math.nan),
            torch.where(crosses, fy * cut[:, 1] / scene.near + cy, math.nan),
        ]
    x, y = torch.stack(xs), torch.stack(ys)
    low = [v.nan_to_num(nan=math.inf).amin(0) for v in (x, y)]
    high = [v.nan_to_num(nan=-math.inf).amax(0) for v in (x, y)]
    limits = _limits(low[0], high[0], low[1], high[1], rows, columns)
    keep = (limits[0] <= limits[1]) & (limits[2] <= limits[3])
    return tuple(v[keep] for v in limits), face[keep]


def _limits(left: Tensor, right: Tensor, top: Tensor, bottom: Tensor, rows: int, columns: int) -> tuple[Tensor, ...]:
    return (
        (left - EDGE).clamp_(min=0).ceil_(),
        (right + EDGE).clamp_(max=columns - 1).floor_(),
        (top - EDGE).clamp_(min=0).ceil_(),
        (bottom + EDGE).clamp_(max=rows - 1).floor_(),
    )


Edge = tuple[Tensor, Tensor, Tensor]
"""A, B and C, each (K,), of e = A x + B y + C at a sample (x, y)."""


def _edges(
    scene: Scene, face: Tensor, box: tuple[Tensor, ...]
) -> tuple[Tensor, tuple[Tensor, ...], list[Edge], tuple[Tensor, Tensor]]:
    """Homogeneous edge functions over 1/z of every face that is not edge-on.

    Returns:
        The faces kept, their boxes, the functions of the three edges and their sum, which is 1/z itself, and the range of
        1/z over each face.
    """
    fx, fy, cx, cy = scene.lens
    a, b, c = (scene.coordinates(v) for v in scene.corners_of_any(face))
    normals = [_cross(b, c), _cross(c, a), _cross(a, b)]
    scale = (a[0] * normals[0][0] + a[1] * normals[0][1] + a[2] * normals[0][2]).reciprocal_()
    near, far = (torch.minimum, torch.maximum)
    nearest, farthest = near(near(a[2], b[2]), c[2]), far(far(a[2], b[2]), c[2])
    high, low = nearest.clamp(min=scene.near).reciprocal_(), farthest.reciprocal_()
    edges = []
    for x, y, z in normals:
        ea, eb = x.mul_(scale).div_(fx), y.mul_(scale).div_(fy)
        edges.append((ea, eb, z.mul_(scale).sub_(ea, alpha=cx).sub_(eb, alpha=cy)))
    edges.append(tuple(one + two + three for one, two, three in zip(*edges, strict=True)))
    keep = places((edges[3][0] + edges[3][1] + edges[3][2]).abs_() < math.inf)
    edges = [(_taken(a, keep), _taken(b, keep), _taken(c, keep)) for a, b, c in edges]
    return _taken(face, keep), tuple(_taken(v, keep) for v in box), edges, (_taken(low, keep), _taken(high, keep))


def _cross(p: Sequence[Tensor], q: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    (px, py, pz), (qx, qy, qz) = p, q
    return py * qz - pz * qy, pz * qx - px * qz, px * qy - py * qx


def _bounds(scene: Scene, edges: list[Edge]) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """What each edge leaves of a line y: x from p y + q on, and up to r y + s."""
    bounds = []
    for number, (a, b, c) in enumerate(edges):
        if number < 3:
            c = c + (a.abs() + b.abs()).mul_(EDGE)
        elif scene.crossed:  # 1/z stays behind the near plane's
            a, b, c = -a, -b, 1.0 / scene.near - c
        else:
            break
        # Along a line an edge bounds x from one side. Where it runs along the line it leaves all of it, or none.
        left = a >= 0
        scale = torch.where(a == 0, TINY, a).reciprocal_().neg_()
        p, q = b * scale, c * scale
        bounds.append(
            (
                torch.where(left, p, 0.0),
                torch.where(left, q, -math.inf),
                torch.where(left, 0.0, p),
                torch.where(left, math.inf, q),
            )
        )
    return bounds


def _spans(
    bounds: list[tuple[Tensor, Tensor, Tensor, Tensor]], box: list[Tensor], owner: Tensor, y: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """First and last sample that each face covers in each of its lines; lines without one are dropped."""
    first, last = _taken(box[0], owner), _taken(box[1], owner)
    for p, q, r, s in bounds:
        torch.maximum(first, _taken(p, owner).mul_(y).add_(_taken(q, owner)), out=first)
        torch.minimum(last, _taken(r, owner).mul_(y).add_(_taken(s, owner)), out=last)
    first, last = first.ceil_(), last.floor_()
    keep = places(last >= first)
    return _taken(owner, keep), _taken(y, keep), _taken(first, keep), _taken(last, keep)


def _taken(values: Tensor, index: Tensor) -> Tensor:
    """``values[index]``, several times as fast on the processor."""
    return values.index_select(0, index)


def expand(start: Tensor, count: Tensor, budget: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Ranges to elements, about ``budget`` at a time: yields (index of the range, start + position in it)."""
    if not len(count):
        return
    ends = count.cumsum(0)
    total = int(ends[-1])
    begin, done = 0, 0
    while done < total:
        stop = len(count)
        if total - done > budget:
            stop = max(int(torch.searchsorted(ends, done + budget, right=True)), begin + 1)
        reached = total if stop == len(count) else int(ends[stop - 1])
        owner = repeated(count[begin:stop], reached - done)
        first = start[begin:stop] - (ends[begin:stop] - count[begin:stop])
        element = torch.arange(done, reached, device=count.device) + _taken(first, owner)
        yield owner.add_(begin), element
        begin, done = stop, reached


def _low(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    return torch.minimum(torch.minimum(a, b), c)


def _high(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    return torch.maximum(torch.maximum(a, b), c)
