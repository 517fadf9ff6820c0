"""The demo scene filmed by a camera that stands still: what never moves is cast once, and then only what a frame changes.

A ray shows something else where it meets something that moves, and where that shades what the ray meets, whose colour in the
shade is known as well; all others show what they showed without these things. The pictures are ``raycast_torch``'s to the bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ..machine.picks import places
from ..machine.torch_threads import side_by_side
from . import formulas
from .formulas import Vector
from .raycast_torch import RAYS, Camera, Scene, edges, from_the_sun, levels, mean

Packed = tuple[np.ndarray, ...]
MOST_PIXELS = 1 << 20
"""Of a picture that is kept: its rays take some 150 bytes each."""


class StillCamera:
    """One camera and what it sees of the things that never move.

    Args:
        eye, to_world, k, size, samples: as in ``raycast.picture``.
        solids: all that stands there, as ``solids.packed`` gives it.
        moves: (solids,) whether each of them moves, ever.
    """

    def __init__(
        self,
        eye: np.ndarray,
        to_world: np.ndarray,
        k: np.ndarray,
        solids: Packed,
        moves: Sequence[bool],
        size: tuple[int, int],
        samples: int,
    ) -> None:
        self.place, self.size, self.samples = (eye, to_world, k, size), size, samples
        stays = ~np.array(moves)
        self.moving, still = torch.from_numpy(np.flatnonzero(~stays)), torch.from_numpy(np.flatnonzero(stays))
        *of_solids, light = solids
        camera = self._camera((*(part[stays] for part in of_solids), light))
        everything = torch.arange(size[0] * size[1])
        self.through_centres = _Rays(camera, still, everything, 1, torch.float32)
        self.centres = torch.stack(self.through_centres.colour, 1)
        self.picture_of_centres = levels(self.centres.double())
        self.is_edge = self._edges(self.centres)
        self.edge = places(self.is_edge) if samples > 1 else everything[:0]
        self.through_edges = _Rays(camera, still, self.edge, samples, torch.float64)
        self.picture = self.picture_of_centres.clone()
        self.picture[self.edge] = self.through_edges.levels_of(self.through_edges.colour)

    def frame(self, solids: Packed) -> tuple[Tensor, Tensor]:
        """Colour (H, W, 3) uint8 and planar depth (H, W) float32 of one frame, with all that stands there in it."""
        distance = self.through_centres.distance
        if not len(self.moving):
            return self._shaped(self.picture, distance)
        camera = self._camera(solids)
        movers = Movers(camera, self.moving)
        rays, colour, hit, t = self.through_centres.changed(movers)
        centres, depth, picture = self.centres.clone(), distance.clone(), self.picture_of_centres.clone()
        changed = torch.stack(colour, 1)
        centres[rays], picture[rays], depth[hit] = changed, levels(changed.double()), t
        if self.samples > 1:
            self._smooth(camera, movers, self._edges(centres), picture)
        return self._shaped(picture, depth)

    def _smooth(self, camera: Camera, movers: Movers, edge: Tensor, picture: Tensor) -> None:
        """Write the mean colours of those pixels of a frame that are at edges."""
        known = edge & self.is_edge
        picture[known] = self.picture[known]
        still_edge = known.index_select(0, self.edge)
        rays, colour, _, _ = self.through_edges.changed(movers, still_edge)
        pixels = places(still_edge & self.through_edges.any_of(rays))
        through = [plane.scatter(0, rays, part) for plane, part in zip(self.through_edges.colour, colour, strict=True)]
        picture[self.edge.index_select(0, pixels)] = self.through_edges.levels_of(through, pixels)
        for part in places(edge & ~self.is_edge).split(max(1, RAYS // self.samples**2)):
            picture[part] = levels(camera.smooth(part, self.samples))

    def _shaped(self, picture: Tensor, distance: Tensor) -> tuple[Tensor, Tensor]:
        width, height = self.size
        return picture.view(height, width, 3), distance.float().view(height, width)

    def _camera(self, solids: Packed) -> Camera:
        eye, to_world, k, size = self.place
        return Camera(eye, to_world, k, size, Scene(solids))

    def _edges(self, centres: Tensor) -> Tensor:
        width, height = self.size
        return edges(centres.view(height, width, 3)).view(-1)


class Movers:
    """Those of a frame's solids that move.

    Attributes:
        scene: all solids.
        lists: by shape, the solids that rays through each tile may touch.
        near: (tiles,) whether there are any.
        by_shape: by shape, their numbers.
    """

    def __init__(self, camera: Camera, solids: Tensor) -> None:
        self.scene = camera.scene
        self.lists = self.scene.by_shape(camera.touches, solids)
        self.near = camera.touches.index_select(0, solids).any(0)
        self.by_shape = [(shape, of_shape.solids) for shape, of_shape in self.lists]


class _Rays:
    """The rays through some pixels, and what they meet that stands still.

    Attributes:
        colour: three planes (N,), 0..1.
        distance: (N,) planar depths.
        lit: (L,) numbers of the rays that meet what the sun shines on, in their order to the sun's right.
        in_shade: three planes (L,), their colours where it does not.
    """

    def __init__(self, camera: Camera, still: Tensor, pixels: Tensor, samples: int, dtype: torch.dtype) -> None:
        """``still``: the numbers that the camera's solids have among all."""
        self.samples, self.eye, self.dtype = samples**2, camera.eye, dtype
        u, v = camera.places(pixels, samples)
        self.tile, self.direction = camera.tile(u, v), camera.direction(u, v)
        parts = side_by_side(partial(self._cast, camera), range(0, max(1, len(u)), RAYS))
        self.distance, which, self.lit, *planes = (torch.cat(found) for found in zip(*parts, strict=True))
        # The last place is that of ground and sky, before which anything comes that is met where they are.
        self.which = torch.cat([still, still.new_full((1,), torch.iinfo(still.dtype).max)])[which]
        self.colour = planes[:3]
        sees = from_the_sun(planes[3:6])
        order = sees[0].argsort()
        self.lit = self.lit[order]
        self.in_shade, self.lifted, self.sees = (
            [plane[order] for plane in vector] for vector in (planes[6:], planes[3:6], sees)
        )

    def _cast(self, camera: Camera, begin: int) -> tuple[Tensor, ...]:
        """Of some rays: distances, solids' numbers, which are lit; in planes: colours, lit places, their colours in shade."""
        part = slice(begin, begin + RAYS)
        scene, d = camera.scene, [axis[part] for axis in self.direction]
        t, which, ground = camera.nearest(d, self.tile[part])
        surface = (which >= 0) | ground
        above, below = places(~surface), places(surface)
        d_above, d_below = ([axis.index_select(0, at) for axis in d] for at in (above, below))
        t_above = formulas.sky_distance(self.eye, d_above)
        t.scatter_(0, above, t_above)
        met = scene.met_at(self.eye, d_below, t.index_select(0, below), which.index_select(0, below))
        bright, points = scene.in_sun(met)
        in_sun, in_shade = scene.lit(d_below, met, scene.sunlight(met, bright), torch.zeros_like(met.bounce))
        colour = [torch.empty_like(t) for _ in range(3)]
        formulas.lay(colour, above, camera.sky(d_above, t_above))
        formulas.lay(colour, below, in_sun)
        lit = begin + below.index_select(0, bright)
        in_shade = (plane.index_select(0, bright) for plane in in_shade)
        return t, which, lit, *self._kept(colour), *points, *self._kept(in_shade)

    def _kept(self, colour: Iterator[Tensor] | Vector) -> list[Tensor]:
        return [plane.clamp(0, 1).to(self.dtype) for plane in colour]

    def changed(self, movers: Movers, wanted: Tensor | None = None) -> tuple[Tensor, list[Tensor], Tensor, Tensor]:
        """Rays that show something else where these things are.

        Args:
            movers: the things.
            wanted: (pixels,) bool, of which pixels; None = of all.

        Returns:
            Their numbers (M,), their colours in three planes (M,); numbers (K,) of those that meet these things, and distances.
        """
        near = movers.near.index_select(0, self.tile)
        if wanted is not None:
            near.view(self.samples, -1).logical_and_(wanted)
        parts = [self._hit(movers, part) for part in places(near).split(RAYS)]
        hit, t, *colour = (torch.cat(found) for found in zip(*parts, strict=True))
        shows_still = torch.ones(len(self.tile), dtype=torch.bool)
        shows_still[hit] = False
        if wanted is not None:
            shows_still.view(self.samples, -1).logical_and_(wanted)
        lit = self._shaded(movers)
        lit = lit.index_select(0, places(shows_still.index_select(0, self.lit.index_select(0, lit))))
        rays = torch.cat([hit, self.lit.index_select(0, lit)])
        shaded = [plane.index_select(0, lit) for plane in self.in_shade]
        return rays, [torch.cat(both) for both in zip(colour, shaded, strict=True)], hit, t

    def _hit(self, movers: Movers, rays: Tensor) -> tuple[Tensor, ...]:
        """Of rays (N,) those that meet these things first: their numbers, distances, and three planes of colours."""
        d = [axis.index_select(0, rays) for axis in self.direction]
        t, which = movers.scene.nearest(movers.lists, self.eye, d, self.tile.index_select(0, rays))
        still = self.distance.index_select(0, rays)
        # Of solids that are met at the same place the first counts.
        first = (t < still) | ((t == still) & (which < self.which.index_select(0, rays)))
        hit = places(first)
        d, t = [axis.index_select(0, hit) for axis in d], t.index_select(0, hit)
        colour = movers.scene.surface(self.eye, d, t, which.index_select(0, hit))
        return rays.index_select(0, hit), t, *self._kept(colour)

    def _shaded(self, movers: Movers) -> Tensor:
        """Places in ``lit`` of the rays whose light these things take."""
        scene, found = movers.scene, [self.lit[:0]]
        right, up, along = self.sees
        for shape, solids in movers.by_shape:
            where, which = [], []
            for number in solids.tolist():
                x, y, z = (plane[number] for plane in scene.sun_places)
                reach = scene.sun_radius[number]
                begin, end = torch.searchsorted(right, torch.stack([x - reach, x + reach])).tolist()
                part = slice(begin, end)
                inside = (right[part] - x).square_().add_((up[part] - y).square_()) <= reach * reach
                before = places(inside.logical_and_(along[part] - z <= reach))
                where.append(before.add_(begin))
                which.append(torch.full_like(before, number))
            if where:
                found.append(scene.shaded(shape, self.lifted, torch.cat(where), torch.cat(which)))
        return torch.cat(found).unique()

    def any_of(self, rays: Tensor) -> Tensor:
        """(pixels,) bool: those that any of some rays goes through."""
        through = torch.zeros(len(self.tile), dtype=torch.bool)
        through[rays] = True
        first, *others = through.view(self.samples, -1)
        for other in others:
            first = first | other
        return first

    def levels_of(self, colour: Vector, pixels: Tensor | None = None) -> Tensor:
        """(P, 3) uint8 mean colours of all pixels, or of some, where their rays have these colours."""
        planes = (plane.view(self.samples, -1) for plane in colour)
        if pixels is not None:
            planes = (plane.index_select(1, pixels) for plane in planes)
        return levels(torch.stack([mean(plane) for plane in planes], 1))
