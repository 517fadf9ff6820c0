"""Quads that cover a few samples each, which nearly all do: whole strips of them at a time, every sample of their boxes.

Arithmetic on planes that stay in the cache costs next to nothing; what costs is picking elements out. So where most boxes hold
a sample, the first one of each is tested for all quads, covered or not, and only quads with more samples are picked out. Seen
from the side most boxes hold none, and all that do are picked out.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .torch_faces import expand
from .torch_scene import Scene
from .view import EDGE, TIE

MOST = 0.6
"""Share of the quads of a strip from which on the first sample is tested for all of them."""
SMALL = 4.0
"""Quads that are wider or higher, in samples, are left to ``torch_faces``."""


def draw_quads(scene: Scene, keys: Tensor, rows: int, columns: int, poll: Callable[[], None]) -> Tensor:
    """Lay the small quads into ``keys``.

    Args:
        scene: the view.
        keys: (rows*columns + 1,) int64, the largest wins; the last one is for what is not drawn.
        rows: samples of the picture from top to bottom.
        columns: and from left to right.
        poll: called once a strip; may raise.

    Returns:
        (N,) int64: the upper left vertices of the quads left to do: large ones and those through the near plane.
    """
    width = scene.width
    lines = max(1, scene.strip // width)
    left_over = []
    for top in range(0, scene.height - 1, lines):
        poll()
        bottom = min(top + lines, scene.height - 1)
        strip = _Strip(scene, top, bottom, rows, columns)
        strip.draw(keys, poll)
        left_over.append(strip.left_over())
    return torch.cat(left_over)


class _Strip:
    """Some rows of quads, as planes (rows, W-1): their corners, and the boxes of samples around them."""

    def __init__(self, scene: Scene, top: int, bottom: int, rows: int, columns: int) -> None:
        self.scene, self.rows, self.columns = scene, rows, columns
        self.first_vertex = top * scene.width
        shape = (bottom - top + 1, scene.width)
        part = slice(self.first_vertex, (bottom + 1) * scene.width)
        x, y, inverse = (plane[part].view(shape) for plane in (scene.x, scene.y, scene.inverse))
        self.planes = (x, y, inverse)
        low_x, high_x = _least(x) - EDGE, _most(x) + EDGE
        low_y, high_y = _least(y) - EDGE, _most(y) + EDGE
        # Signs instead of masks: comparisons and masks cost several times what sums and minima do.
        extent = torch.maximum(high_x - low_x, high_y - low_y)
        self.small = torch.minimum(SMALL - extent, _least(inverse))  # >= 0: small, and wholly past the near plane
        self.some = _most(inverse)  # > 0: some of it is past the near plane
        self.left, right = low_x.clamp_(min=0).ceil_(), high_x.clamp_(max=columns - 1).floor_()
        self.top, bottom_row = low_y.clamp_(min=0).ceil_(), high_y.clamp_(max=rows - 1).floor_()
        self.more_columns, self.more_rows = right - self.left, bottom_row - self.top  # >= 0 where there is a sample
        self.held = torch.minimum(self.more_columns, self.more_rows)
        self.own_valid = scene.valid[part].view(shape)[:-1, :-1] if scene.paper else None

    def draw(self, keys: Tensor, poll: Callable[[], None]) -> None:
        """Every sample of the small quads' boxes."""
        drawable = torch.minimum(self.held, self.small)
        chosen = drawable >= 0
        first = int(chosen.sum()) > MOST * chosen.numel()
        if first:
            self._draw_first(keys, drawable)
            chosen &= torch.maximum(self.more_columns, self.more_rows) > 0
        self._draw_chosen(keys, chosen.reshape(-1).nonzero()[:, 0], int(first), poll)

    def _draw_first(self, keys: Tensor, drawable: Tensor) -> None:
        """The upper left sample of every box."""
        corners = [(p[:-1, :-1], p[1:, :-1], p[:-1, 1:], p[1:, 1:]) for p in self.planes]
        count, width = drawable.shape
        face = torch.arange(count, device=keys.device)[:, None] * self.scene.width
        face = 2 * (self.first_vertex + face + torch.arange(width, device=keys.device))
        _lay(self.scene, keys, corners, self.left, self.top, drawable, face, self.own_valid, self.columns)

    def _draw_chosen(self, keys: Tensor, quad: Tensor, begin: int, poll: Callable[[], None]) -> None:
        """The samples from number ``begin`` on of some quads (N,)."""
        if not len(quad):
            return
        wide, columns = self.more_columns.reshape(-1)[quad] + 1, self.scene.width - 1
        samples = (wide * (self.more_rows.reshape(-1)[quad] + 1)).long() - begin
        for owner, number in expand(torch.full_like(quad, begin), samples, self.scene.strip):
            poll()
            at, across = quad.index_select(0, owner), wide.index_select(0, owner)
            down = ((number + 0.5) / across).floor_()
            x = self.left.reshape(-1).index_select(0, at) + (number - down * across)
            y = self.top.reshape(-1).index_select(0, at) + down
            vertex = at + torch.div(at, columns, rounding_mode="floor")
            corners = []
            for plane in self.planes:
                flat = plane.reshape(-1)
                corners.append([flat.index_select(0, vertex + step) for step in (0, columns + 1, 1, columns + 2)])
            valid = None if self.own_valid is None else self.own_valid.reshape(-1).index_select(0, at)
            face = 2 * (self.first_vertex + vertex)
            _lay(self.scene, keys, corners, x, y, None, face, valid, self.columns)

    def left_over(self) -> Tensor:
        """Upper left vertices of the quads with something in the picture that are not small."""
        # The box of a quad through the near plane is not known here.
        rest = ((self.small < 0) & (self.some > 0) & ((self.held >= 0) | (_least(self.planes[2]) < 0))).nonzero()
        return self.first_vertex + rest[:, 0] * self.scene.width + rest[:, 1]


def _lay(
    scene: Scene,
    keys: Tensor,
    corners: list[tuple[Tensor, Tensor, Tensor, Tensor]] | list[list[Tensor]],
    x: Tensor,
    y: Tensor,
    drawable: Tensor | None,
    face: Tensor,
    valid: Tensor | None,
    columns: int,
) -> None:
    """Test one sample of each quad against both of its faces, and keep the nearer one's key where it is covered.

    Args:
        scene: the view.
        keys: as in `draw_quads`.
        corners: x, y and 1/z of the four corners: upper left, lower left, upper right, lower right.
        x: the sample's column.
        y: its row.
        drawable: below 0 where there is nothing to draw; None = all of them are.
        face: number of the first face.
        valid: paper style: whether the quad is seen.
        columns: samples in a row of the picture.
    """
    (ax, bx, cx, dx), (ay, by, cy, dy), (az, bz, cz, dz) = corners
    # Both faces seen from the lower left corner b, with the diagonal u to the upper right corner c.
    ux, uy, px, py = cx - bx, cy - by, x - bx, y - by
    cross = ux * py - uy * px
    reach = (ux.abs() + uy.abs()).mul_(EDGE)
    least = 1.0 / scene.far
    values = []
    for vx, vy, vz, other in ((ax - bx, ay - by, az - bz, az), (dx - bx, dy - by, dz - bz, dz)):
        scale = (ux * vy - uy * vx).reciprocal_()  # infinite where edge-on; then `inside` is NaN, which no test passes
        slack = (vx.abs() + vy.abs()).mul_(EDGE).add_(reach).mul_(scale.abs())
        across, along = cross * scale, (px * vy - py * vx).mul_(scale)
        inside = torch.minimum(torch.minimum(across, along), 1.0 - (across + along)).add_(slack)
        inverse = bz + along * (cz - bz) + across * vz
        low, high = torch.minimum(torch.minimum(bz, cz), other), torch.maximum(torch.maximum(bz, cz), other)
        inverse = torch.minimum(torch.maximum(inverse, low), high)
        inside = torch.minimum(inside, inverse - least)
        if drawable is not None:
            inside = torch.minimum(inside, drawable)
        values.append(torch.where(inside >= 0, inverse, 0.0))
    first, second = values
    if valid is not None:
        tie = valid * (TIE - 1.0) + 1.0
        first, second = first * tie, second * tie
    first, second = first.float(), second.float()
    value = torch.maximum(first, second)
    covered = value > 0
    low_bits = 0xFFFFFFFF - face - (second > first).long()
    key = (value.view(torch.int32).long() << 32) | low_bits
    sample = torch.where(covered, y * columns + x, float(len(keys) - 1)).long()
    keys.scatter_reduce_(0, sample.reshape(-1), key.reshape(-1), "amax")


def _least(plane: Tensor) -> Tensor:
    """The smallest of each quad's corners."""
    rows = torch.minimum(plane[:-1], plane[1:])
    return torch.minimum(rows[:, :-1], rows[:, 1:])


def _most(plane: Tensor) -> Tensor:
    """The largest of each quad's corners."""
    rows = torch.maximum(plane[:-1], plane[1:])
    return torch.maximum(rows[:, :-1], rows[:, 1:])
