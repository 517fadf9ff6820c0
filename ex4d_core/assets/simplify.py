"""Fewer faces for all frames of a clip at once: one topology over the pixel grid, fine where any frame needs it.

Right triangles over the grid are halved at the middle of their longest edge until every frame is met ("right-triangulated
irregular networks", Evans, Kirkpatrick and Townsend 2001; without cracks, since a vertex is taken only with those that
its triangles hang on, as Lindstrom et al. 1996). Vertices are samples of the depth, so that what is taken is exact.

A vertex is worth the largest miss, over all frames, of leaving it out, in pixels: how far the surface would be off as seen
from the side (relative depth times focal length), and how far a picture laid on it would slip (a straight line in space is
not evenly spread in the picture). Where a triangle holds both seen and occluded surface in some frame, splitting comes
first, and the more pixels and frames it saves the sooner: so the union of all frames' depth edges stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import Cancelled, EX4DError
from ..mesh import DWMesh, grid_faces

TILE = 32
"""Cells along the largest triangles' short sides."""
LEAST_FACES = 100
LEAST_SIDE = 4
"""Vertices a side of the smallest mesh: the outermost ring is the border's."""
EDGE = 1000.0
"""Worth from which on a vertex is one of a depth edge; misses are clipped below it."""
WORD = 64
"""Frames whose occlusion one number holds, a bit each."""

Progress = Callable[[int, int], None]
Cancel = Callable[[], bool]


@dataclass(frozen=True, eq=False)
class Surface:
    """Faces over a mesh's grid that all frames share, and when each is occluded.

    Attributes:
        vertices: (V,) int32 vertex numbers of the mesh (row * width + column).
        faces: (F, 3) int32 indices into ``vertices``, counter-clockwise as the source camera sees them. None is
            occluded in every frame.
        hidden: (F, B) uint8: bit k % 8 of byte k // 8 is set where the face is occluded at the k-th of the frames.
        frames: the frames of the mesh that it was made for.
        error: the miss, in pixels, that 99 % of the vertices left out stay below; depth edges counted apart.
        kept: share of the seen surface, 0..1, as the source camera sees it, that its faces cover. The rest lies beside
            depth edges for which the number of faces did not suffice.
    """

    vertices: np.ndarray
    faces: np.ndarray
    hidden: np.ndarray
    frames: tuple[int, ...]
    error: float
    kept: float

    def visible(self, k: int) -> np.ndarray:
        """(F,) bool: which faces are seen at the k-th frame."""
        return (self.hidden[:, k // 8] >> (k % 8)) & 1 == 0


def surface_of(
    mesh: DWMesh,
    frames: Sequence[int],
    faces: int = 0,
    *,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Surface:
    """The surface that the source camera saw, back plate and border ring left out.

    Args:
        mesh: the clip's mesh.
        frames: which of its frames, each once.
        faces: how many faces at most; 0 = every face of the mesh that is seen in any frame.
        progress: called with (frames done, frames).
        cancel: polled once a frame; True raises Cancelled.

    Raises:
        EX4DError: a mesh below 4 x 4 vertices, a number of faces below 100, or nothing that any frame sees.
        Cancelled: ``cancel`` returned True.
    """
    if min(mesh.height, mesh.width) < LEAST_SIDE:
        raise EX4DError(f"A surface needs at least 4x4 pixels, got {mesh.width}x{mesh.height}.")
    check_faces(faces)
    numbers = tuple(frames)
    made = (
        _simplified(mesh, numbers, faces, progress, cancel) if faces else _every_face(mesh, numbers, progress, cancel)
    )
    if not len(made.faces):
        raise EX4DError("No frame of this mesh has a visible face. Lower min_angle or raise depth_jump.")
    return made


def check_faces(faces: int) -> None:
    """Refuse a number of faces that no surface can be made of.

    Raises:
        EX4DError: above 0 and below 100.
    """
    if faces < 0 or 0 < faces < LEAST_FACES:
        raise EX4DError(f"A surface needs at least {LEAST_FACES} faces (0 = all of them), got {faces}.")


def _each(frames: Sequence[int], progress: Progress | None, cancel: Cancel | None) -> Iterator[tuple[int, int]]:
    for k, frame in enumerate(frames):
        if cancel is not None and cancel():
            raise Cancelled("Simplifying the mesh was cancelled.")
        yield k, frame
        if progress is not None:
            progress(k + 1, len(frames))


def _every_face(mesh: DWMesh, frames: tuple[int, ...], progress: Progress | None, cancel: Cancel | None) -> Surface:
    quads = 2 * (mesh.height - 1) * (mesh.width - 1)
    faces = grid_faces(mesh.height, mesh.width, mesh.style)[:quads].numpy()
    hidden = np.zeros((quads, -(-len(frames) // 8)), np.uint8)
    for k, frame in _each(frames, progress, cancel):
        occluded = ~mesh.quad_face_valid(frame).cpu().numpy().reshape(-1)
        hidden[:, k // 8] |= occluded.astype(np.uint8) << np.uint8(k % 8)
    return _compact(faces, hidden, frames, 0.0, 1.0)


def _compact(
    faces: np.ndarray, hidden: np.ndarray, frames: tuple[int, ...], error: float, kept_share: float
) -> Surface:
    """Without faces that no frame sees, and without vertices that no face has."""
    never = np.zeros(hidden.shape[1], np.uint8)
    bits = np.packbits(np.ones(len(frames), bool), bitorder="little")
    never[: len(bits)] = bits
    kept = (hidden != never).any(axis=1)
    vertices, index = np.unique(faces[kept], return_inverse=True)
    return Surface(
        vertices.astype(np.int32),
        index.reshape(-1, 3).astype(np.int32),
        np.ascontiguousarray(hidden[kept]),
        frames,
        error,
        kept_share,
    )


def _simplified(
    mesh: DWMesh, frames: tuple[int, ...], faces: int, progress: Progress | None, cancel: Cancel | None
) -> Surface:
    grid = _Grid(mesh.height, mesh.width)
    words = -(-len(frames) // WORD)
    occluded = np.zeros((words, grid.down, grid.across), np.uint64)
    worth = grid.nothing()
    seen = 0
    for k, frame in _each(frames, progress, cancel):
        quads = mesh.quad_face_valid(frame).all(-1).cpu().numpy()
        seen += int(np.count_nonzero(quads[1:-1, 1:-1]))
        valid = grid.cells(quads)
        occluded[k // WORD] |= np.where(valid, np.uint64(0), np.uint64(1) << np.uint64(k % WORD))
        depth = mesh.depth[frame].cpu().numpy()[np.ix_(grid.rows, grid.columns)]
        grid.raise_to_misses(worth, 1.0 / depth, valid, mesh.lens(frame).fx)
    quarters, mixed = grid.quarters_and_mixed(occluded, len(frames))
    for level, (values, counts) in enumerate(zip(worth, mixed)):
        for value, count, area in zip(values, counts, (2.0, 1.0, 1.0)):
            np.minimum(value, EDGE / 2, out=value)
            value[count > 0] = EDGE + area * 4**level * count[count > 0]
    alone = np.concatenate([value.ravel() for values in worth for value in values])
    grid.hold_together(worth)
    taken_above, left_out = _threshold(grid, worth, grid.seen_at_all(quarters, len(frames)), faces)
    misses = alone[left_out & (alone < EDGE)]
    index, hidden = grid.triangles(worth, taken_above, quarters)
    covered = grid.area(index) @ (len(frames) - np.unpackbits(hidden, axis=1).sum(axis=1))
    error = float(np.quantile(misses, 0.99)) if len(misses) else 0.0
    return _compact(index, hidden, frames, error, min(1.0, covered / max(1, seen)))


def _threshold(grid: _Grid, worth: Levels, seen: Seen, faces: int) -> tuple[float, np.ndarray]:
    """The worth above which vertices are taken so that at most ``faces`` are seen, and which are left out by it."""
    flat = np.concatenate([value.ravel() for levels in worth for value in levels])
    steps = np.unique(flat)
    # Taking more makes more faces, so that halving finds the place; every vertex above 0 is wanted at most.
    low, high = int(np.searchsorted(steps, 0.0, side="right")) - 1, len(steps) - 1
    low = max(low, 0)
    while low < high:
        middle = (low + high) // 2
        if grid.count(worth, float(steps[middle]), seen) <= faces:
            high = middle
        else:
            low = middle + 1
    return float(steps[low]), flat <= steps[low]


Levels = list[tuple[np.ndarray, np.ndarray, np.ndarray]]
"""Finest first: values at the centres of squares, and at the middles of their horizontal and vertical edges."""
Quarters = list[np.ndarray]
"""By the squares' size, 1 first: (words, 4, rows, columns) bits of the triangles between a square's centre and its north,
east, south and west edge."""

Seen = dict[tuple[int, str, int], np.ndarray]
"""By level, kind and which: masks over the squares."""

NORTH, EAST, SOUTH, WEST = range(4)
HALVES = {True: ((NORTH, EAST), (SOUTH, WEST)), False: ((NORTH, WEST), (SOUTH, EAST))}
"""The two halves of a square beside its diagonal, which runs from the upper left in even squares, else from the upper right."""


class _Grid:
    """Square cells over the inner vertices of a mesh: whole tiles, so that its last row and column may stand for several."""

    def __init__(self, height: int, width: int) -> None:
        self.width = width
        self.rows, self.columns = (self._spread(side - 3) for side in (height, width))
        self.down, self.across = len(self.rows) - 1, len(self.columns) - 1
        self.sizes = [1 << n for n in range(1, TILE.bit_length())]
        self._shares = [tuple(_middles(lines, size) for lines in (self.rows, self.columns)) for size in self.sizes]

    @staticmethod
    def _spread(cells: int) -> np.ndarray:
        """Grid lines over ``cells`` of a mesh, whose first vertex is the border's."""
        count = -(-cells // TILE) * TILE
        return 1 + np.minimum(np.arange(count + 1), cells)

    def cells(self, quads: np.ndarray) -> np.ndarray:
        """(rows, columns) of this grid from the mesh's (H-1, W-1) quads; cells of no size take their neighbour's."""
        down, across = (np.minimum(lines[:-1], last - 2) for lines, last in zip((self.rows, self.columns), quads.shape))
        return quads[np.ix_(down, across)]

    def nothing(self) -> Levels:
        """Zeros for every vertex that can be left out."""
        levels = []
        for size in self.sizes:
            down, across = self.down // size, self.across // size
            shapes = (down, across), (down + 1, across), (down, across + 1)
            levels.append(tuple(np.zeros(shape, np.float32) for shape in shapes))
        return levels

    def raise_to_misses(self, worth: Levels, inverse: np.ndarray, valid: np.ndarray, focal: float) -> None:
        """Raise each vertex's worth to its miss in one frame.

        Args:
            worth: changed in place.
            inverse: inverse depth at the grid's vertices; linear in the picture over a flat surface.
            valid: the grid's cells that the frame sees; vertices at none of them are worth nothing.
            focal: in pixels.
        """
        touched = np.zeros(inverse.shape, bool)
        for rows in (slice(None, -1), slice(1, None)):
            for columns in (slice(None, -1), slice(1, None)):
                touched[rows, columns] |= valid
        for n, (centres, across, down) in enumerate(worth):
            size, half = self.sizes[n], self.sizes[n] // 2
            rows, columns = self._shares[n]
            corners, middles = inverse[::size, ::size], inverse[half::size, half::size]
            along, length = (rows[:, None] + columns) / 2, size * 2**0.5
            main = _misses(corners[:-1, :-1], corners[1:, 1:], middles, along, length, focal)
            along = (rows[:, None] + 1 - columns) / 2
            other = _misses(corners[:-1, 1:], corners[1:, :-1], middles, along, length, focal)
            miss = np.where(_even(centres.shape), main, other) * touched[half::size, half::size]
            np.maximum(centres, miss, out=centres)
            miss = _misses(corners[:, :-1], corners[:, 1:], inverse[::size, half::size], columns, size, focal)
            np.maximum(across, miss * touched[::size, half::size], out=across)
            miss = _misses(corners[:-1], corners[1:], inverse[half::size, ::size], rows[:, None], size, focal)
            np.maximum(down, miss * touched[half::size, ::size], out=down)

    def quarters_and_mixed(self, occluded: np.ndarray, frames: int) -> tuple[Quarters, Levels]:
        """When each triangle holds occluded surface, and in how many frames a vertex's triangles hold seen surface too.

        Args:
            occluded: (words, rows, columns) bits of the cells.
            frames: how many of the bits count.
        """
        full = _all_bits(len(occluded), frames)
        hidden = np.repeat(occluded[:, None], 4, axis=1)
        seen = hidden ^ full[:, None, None, None]
        quarters, mixed = [hidden], []
        for _ in self.sizes:
            hidden, seen = _merged(hidden), _merged(seen)
            quarters.append(hidden)
            both = [_frames_set((hidden[:, a] | hidden[:, b]) & (seen[:, a] | seen[:, b])) for a, b in _HALF_LIST]
            even = _even(both[0].shape)
            centres = np.where(even, np.maximum(both[0], both[1]), np.maximum(both[2], both[3]))
            north, east, south, west = (_frames_set(hidden[:, side] & seen[:, side]) for side in range(4))
            across = np.zeros((centres.shape[0] + 1, centres.shape[1]), np.float32)
            across[:-1], across[1:] = north, np.maximum(south, across[1:])
            across[1:-1] = np.maximum(north[1:], south[:-1])
            down = np.zeros((centres.shape[0], centres.shape[1] + 1), np.float32)
            down[:, :-1], down[:, -1] = west, east[:, -1]
            down[:, 1:-1] = np.maximum(west[:, 1:], east[:, :-1])
            mixed.append((centres.astype(np.float32), across, down))
        return quarters, mixed

    @staticmethod
    def hold_together(worth: Levels) -> None:
        """Raise each vertex to the worth of all that need it, so that any threshold gives a whole mesh."""
        finer: np.ndarray | None = None
        for centres, across, down in worth:
            if finer is not None:
                # The middle of a square's edge is a corner of the four squares of half the size beside it.
                pairs = np.maximum(finer[:, ::2], finer[:, 1::2])
                across[:-1] = np.maximum(across[:-1], pairs[::2])
                across[1:] = np.maximum(across[1:], pairs[1::2])
                pairs = np.maximum(finer[::2], finer[1::2])
                down[:, :-1] = np.maximum(down[:, :-1], pairs[:, ::2])
                down[:, 1:] = np.maximum(down[:, 1:], pairs[:, 1::2])
            for edges in (across[:-1], across[1:], down[:, :-1], down[:, 1:]):
                np.maximum(centres, edges, out=centres)
            finer = centres

    def _walk(self, worth: Levels, above: float) -> Iterator[tuple[int, str, int, np.ndarray]]:
        """The triangles, as (level, "half" or "quarter", which, mask over the squares), the largest first.

        A level is the place of a square's size in `Quarters`.
        """
        shape = worth[-1][0].shape
        halves = [np.ones(shape, bool), np.ones(shape, bool)]
        for n in range(len(self.sizes), 0, -1):
            centres, across, down = (value > above for value in worth[n - 1])
            even = _even(centres.shape)
            sides = np.zeros((4, *centres.shape), bool)
            for which, active in enumerate(halves):
                yield n, "half", which, active & ~centres
                split = active & centres
                for parity in (True, False):
                    for side in HALVES[parity][which]:
                        sides[side] |= split & (even == parity)
            finer = [np.zeros((2 * centres.shape[0], 2 * centres.shape[1]), bool) for _ in range(2)]
            splits = {NORTH: across[:-1], SOUTH: across[1:], WEST: down[:, :-1], EAST: down[:, 1:]}
            for side, split in splits.items():
                yield n, "quarter", side, sides[side] & ~split
                for row, column, which in _CHILDREN[side]:
                    finer[which][row::2, column::2] |= sides[side] & split
            halves = finer
        yield 0, "half", 0, halves[0]
        yield 0, "half", 1, halves[1]

    def area(self, faces: np.ndarray) -> np.ndarray:
        """(F,) pixels that faces (F, 3) of the mesh's vertex numbers cover in the source camera's picture."""
        row, column = faces // self.width, faces % self.width
        down, across = row[:, 1:] - row[:, :1], column[:, 1:] - column[:, :1]
        return np.abs(down[:, 0] * across[:, 1] - down[:, 1] * across[:, 0]) / 2

    @staticmethod
    def _bits(quarters: Quarters, level: int, kind: str, which: int) -> np.ndarray:
        """(words, rows, columns): when the triangles of a kind hold occluded surface."""
        bits = quarters[level]
        if kind == "quarter":
            return bits[:, which]
        if level == 0:
            return bits[:, 0]
        (a, b), (c, d) = HALVES[True][which], HALVES[False][which]
        even = _even(bits.shape[2:])
        return np.where(even, bits[:, a] | bits[:, b], bits[:, c] | bits[:, d])

    def count(self, worth: Levels, above: float, seen: Seen) -> int:
        """How many faces some frame sees when vertices above a worth are taken."""
        return sum(
            int(np.count_nonzero(mask & seen[level, kind, which]))
            for level, kind, which, mask in self._walk(worth, above)
        )

    def seen_at_all(self, quarters: Quarters, frames: int) -> Seen:
        """Which triangles some frame sees."""
        full = _all_bits(len(quarters[0]), frames)
        return {
            (level, kind, which): (self._bits(quarters, level, kind, which) != full[:, None, None]).any(axis=0)
            for level in range(len(quarters))
            for kind, count in (("half", 2), ("quarter", 4))
            for which in range(count)
        }

    def triangles(self, worth: Levels, above: float, quarters: Quarters) -> tuple[np.ndarray, np.ndarray]:
        """(F, 3) vertex numbers of the mesh, and (F, B) uint8 bits of when a face holds occluded surface."""
        faces, hidden = [], []
        for level, kind, which, mask in self._walk(worth, above):
            row, column = np.nonzero(mask)
            if not len(row):
                continue
            size = 1 << level
            even = (row + column) % 2 == 0
            corners = _QUARTER_CORNERS[which] if kind == "quarter" else None
            for parity in (True, False):
                chosen = even == parity
                points = corners or _HALF_CORNERS[parity][which]
                y, x = row[chosen], column[chosen]
                lines = [
                    (self.rows[(2 * y + dy) * size // 2] * self.width + self.columns[(2 * x + dx) * size // 2])
                    for dy, dx in points
                ]
                faces.append(np.stack(lines, axis=-1))
                hidden.append(self._bits(quarters, level, kind, which)[:, y, x].T)
        index, bits = np.concatenate(faces), np.ascontiguousarray(np.concatenate(hidden).astype("<u8"))
        # Beyond the mesh's last line they have no area.
        whole = (index[:, 0] != index[:, 1]) & (index[:, 1] != index[:, 2]) & (index[:, 2] != index[:, 0])
        return index[whole], bits.view(np.uint8).reshape(len(bits), -1)[whole]


_HALF_LIST = (*HALVES[True], *HALVES[False])
_CHILDREN = {
    NORTH: ((0, 0, 0), (0, 1, 0)),
    EAST: ((0, 1, 1), (1, 1, 0)),
    SOUTH: ((1, 0, 1), (1, 1, 1)),
    WEST: ((0, 0, 1), (1, 0, 0)),
}
"""The halves of squares of half the size that a quarter splits into: (row, column, which half)."""
_UL, _UR, _LL, _LR, _C = (0, 0), (0, 2), (2, 0), (2, 2), (1, 1)
_HALF_CORNERS = {True: ((_UL, _LR, _UR), (_UL, _LL, _LR)), False: ((_UL, _LL, _UR), (_UR, _LL, _LR))}
_QUARTER_CORNERS = ((_UL, _C, _UR), (_UR, _C, _LR), (_LR, _C, _LL), (_LL, _C, _UL))
"""(row, column) of corners in half sides of the square, in the order of the mesh's own faces."""


def _all_bits(words: int, frames: int) -> np.ndarray:
    """(words,) with the bits of every frame set."""
    return np.array([(1 << min(WORD, frames - WORD * n)) - 1 for n in range(words)], np.uint64)


def _even(shape: tuple[int, ...]) -> np.ndarray:
    return (np.arange(shape[0])[:, None] + np.arange(shape[1])) % 2 == 0


def _middles(lines: np.ndarray, size: int) -> np.ndarray:
    """Where the middle line of each square lies between its first and last, as a share; a half nearly everywhere."""
    first, middle, last = lines[:-1:size], lines[size // 2 :: size], lines[size::size]
    return np.where(last > first, (middle - first) / np.maximum(last - first, 1), 0.5).astype(np.float32)


def _misses(
    a: np.ndarray, b: np.ndarray, middle: np.ndarray, share: np.ndarray, length: float, focal: float
) -> np.ndarray:
    """Pixels by which an edge misses its middle, given by inverse depth at its ends and there.

    Args:
        a: at its one end.
        b: at its other end.
        middle: in the middle.
        share: where the middle lies from a to b in the picture, 0..1.
        length: of the edge, in pixels.
        focal: in pixels.
    """
    there = a + share * (b - a)
    side = np.abs(middle / there - 1.0) * np.float32(focal)
    slip = share * (1 - share) * np.abs(a - b) / there * np.float32(length)
    return np.maximum(side, slip)


def _merged(fine: np.ndarray) -> np.ndarray:
    """The quarters of squares of twice the size."""
    ul, ur, ll, lr = (fine[:, :, row::2, column::2] for row in (0, 1) for column in (0, 1))
    return np.stack(
        [
            ul[:, NORTH] | ul[:, EAST] | ur[:, NORTH] | ur[:, WEST],
            ur[:, EAST] | ur[:, SOUTH] | lr[:, NORTH] | lr[:, EAST],
            ll[:, SOUTH] | ll[:, EAST] | lr[:, SOUTH] | lr[:, WEST],
            ul[:, SOUTH] | ul[:, WEST] | ll[:, NORTH] | ll[:, WEST],
        ],
        axis=1,
    )


_ONES = np.array([bin(value).count("1") for value in range(256)], np.uint8)


def _frames_set(bits: np.ndarray) -> np.ndarray:
    """How many bits are set over the words, the first axis."""
    bytes_ = np.ascontiguousarray(bits).view(np.uint8).reshape(*bits.shape, 8)
    return _ONES[bytes_].sum(axis=(0, -1), dtype=np.float32)
