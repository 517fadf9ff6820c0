"""The demo scene filmed by a camera that stands still: what never moves is cast once, and then only what a frame changes.

A pixel is cast anew where one of its rays meets something that moves, or where that shades what the ray meets; all others
show what they showed without these things. The pictures are ``raycast_torch``'s to the bit, in less than half of the time.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ..machine.picks import places
from ..machine.torch_threads import side_by_side
from . import formulas
from .raycast_torch import RAYS, Camera, Scene, edges, from_the_sun, levels

Packed = tuple[np.ndarray, ...]
MOST_PIXELS = 1 << 20
"""Of a picture that is kept: its rays take some 100 bytes each."""


class StillCamera:
    """One camera and what it sees of the things that never move.

    Args:
        eye, to_world, k, size, samples: as in ``raycast.picture``.
        still: what never moves, as ``solids.packed`` gives it.
    """

    def __init__(
        self, eye: np.ndarray, to_world: np.ndarray, k: np.ndarray, still: Packed, size: tuple[int, int], samples: int
    ) -> None:
        self.place, self.size, self.samples = (eye, to_world, k, size), size, samples
        camera = self._camera(still)
        everything = torch.arange(size[0] * size[1])
        self.centres = torch.cat([colour for colour, _ in side_by_side(camera.look, everything.split(RAYS))])
        self.through_centres = _Rays(camera, everything, 1)
        shown = self.centres.double()
        self.picture_of_centres = levels(shown)
        self.is_edge = self._edges(self.centres)
        self.edge = places(self.is_edge) if samples > 1 else everything[:0]
        self.through_edges = _Rays(camera, self.edge, samples)
        if len(self.edge):
            parts = self.edge.split(self._pixels_at_once)
            shown[self.edge] = torch.cat(side_by_side(partial(camera.smooth, samples=samples), parts))
        self.picture = levels(shown)

    def frame(self, solids: Packed, moving: Packed) -> tuple[Tensor, Tensor]:
        """Colour (H, W, 3) uint8 and planar depth (H, W) float32 of one frame.

        Args:
            solids: all that stands there, as ``solids.packed`` gives it.
            moving: of these, what ``still`` lacks.
        """
        if not len(moving[0]):
            return self._shaped(self.picture, self.through_centres.distance)
        camera, movers = self._camera(solids), self._camera(moving)
        centres, depth = self.centres.clone(), self.through_centres.distance.clone()
        changed = places(_any(self.through_centres.touched(movers)))
        for part in changed.split(RAYS):
            centres[part], depth[part] = camera.look(part)
        picture = self.picture_of_centres.clone()
        picture[changed] = levels(centres[changed].double())
        if self.samples > 1:
            edge = self._edges(centres)
            stays = edge.clone()
            stays[self.edge] &= ~_any(self.through_edges.touched(movers))
            kept, again = places(stays & self.is_edge), places(edge & ~(stays & self.is_edge))
            picture[kept] = self.picture[kept]
            for part in again.split(self._pixels_at_once):
                picture[part] = levels(camera.smooth(part, self.samples))
        return self._shaped(picture, depth)

    def _shaped(self, picture: Tensor, distance: Tensor) -> tuple[Tensor, Tensor]:
        width, height = self.size
        return picture.view(height, width, 3), distance.float().view(height, width)

    @property
    def _pixels_at_once(self) -> int:
        return max(1, RAYS // self.samples**2)

    def _camera(self, solids: Packed) -> Camera:
        eye, to_world, k, size = self.place
        return Camera(eye, to_world, k, size, Scene(solids))

    def _edges(self, centres: Tensor) -> Tensor:
        width, height = self.size
        return edges(centres.view(height, width, 3)).view(-1)


class _Rays:
    """The rays through some pixels, and where they meet what stands still."""

    def __init__(self, camera: Camera, pixels: Tensor, samples: int) -> None:
        self.samples, self.eye = samples**2, camera.eye
        u, v = camera.places(pixels, samples)
        self.tile, self.direction = camera.tile(u, v), camera.direction(u, v)
        parts = side_by_side(partial(self._met, camera), range(0, len(u), RAYS))
        distance, lit, lifted = zip(*parts, strict=True) if parts else ((u,), (u.long(),), ((u, u, u),))
        self.distance, self.lit = torch.cat(distance), torch.cat(lit)
        self.lifted = [torch.cat(axes) for axes in zip(*lifted, strict=True)]
        self.sees = from_the_sun(self.lifted)

    def _met(self, camera: Camera, begin: int) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Of some rays: distances, numbers of those that meet what the sun shines on, and these places."""
        end = begin + RAYS
        d = [axis[begin:end] for axis in self.direction]
        t, which, ground = camera.nearest(d, self.tile[begin:end])
        t = torch.where(t < math.inf, t, formulas.sky_distance(camera.eye, d))
        surface = places((which >= 0) | ground)
        met = camera.scene.met_at(
            camera.eye, [axis[surface] for axis in d], t.index_select(0, surface), which.index_select(0, surface)
        )
        bright, points = camera.scene.in_sun(met.point, met.normal)
        return t, begin + surface.index_select(0, bright), points

    def touched(self, movers: Camera) -> Tensor:
        """(samples * samples, pixels) bool: the rays that show something else where these things are."""
        touched = torch.zeros(len(self.tile), dtype=torch.bool)
        near = places(movers.near.index_select(0, self.tile))
        for part in near.split(RAYS):
            d = [axis.index_select(0, part) for axis in self.direction]
            still = self.distance.index_select(0, part)
            for ray, _, t in movers.scene.met(movers.lists, self.eye, d, self.tile.index_select(0, part)):
                first = places(t <= still.index_select(0, ray))
                touched[part.index_select(0, ray.index_select(0, first))] = True
        for begin in range(0, len(self.lit), RAYS):
            end = begin + RAYS
            dark = movers.scene.in_shadow(*([axis[begin:end] for axis in axes] for axes in (self.lifted, self.sees)))
            touched[self.lit[begin:end].index_select(0, places(dark))] = True
        return touched.view(self.samples, -1)


def _any(touched: Tensor) -> Tensor:
    """(N,) bool of (samples * samples, N): whether any of a pixel's rays is touched."""
    first, *others = touched
    for other in others:
        first = first | other
    return first
