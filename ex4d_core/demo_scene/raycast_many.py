"""Ray casting of many pictures of many scenes at once, for a GPU: the formulas of ``raycast``, without its short cuts.

Every ray is held against every solid and nothing waits for the device, so the time hardly depends on how many pictures there
are: some thousand operations, which a GPU works off in a tenth of a second. On a processor ``raycast`` is far faster.

Convention: F pictures of R rays are (F, R) tensors, what a picture's rays share is (F, 1); float64, as everywhere here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np
import torch
from torch import Tensor

from ..camera import Intrinsics
from ..errors import EX4DError
from . import formulas
from .scene import DemoScene
from .solids import Solid, packed
from .world import (
    BALL,
    BANDS,
    BOX,
    CHECKER,
    CONE,
    CRATE,
    CYLINDER,
    GROUND_HEIGHT,
    GROUND_RADIUS,
    MERIDIANS,
    PLAIN,
    PLAZA_CENTRE_Z,
    RING,
    RINGS,
    SPIRAL,
    SUN,
)

SHAPES = (BALL, BOX, CYLINDER, CONE, RING)
NOWHERE = np.concatenate([np.zeros((3, 3)), np.full((3, 1), 1e6)], axis=1)
"""The map into a solid that no ray meets."""


@dataclass(frozen=True)
class Things:
    """What stands in a clip's scene, solid by solid.

    Attributes:
        shape, pattern: (S,) int64.
        to_local: (T, S, 3, 4) from the world into each solid, frame by frame.
        number: (S, 6) frequency, softness, inner, bounce, grain, mirror.
        colour: (S, 6) both colours.
    """

    shape: np.ndarray
    pattern: np.ndarray
    to_local: np.ndarray
    number: np.ndarray
    colour: np.ndarray


def things_of(scene: DemoScene) -> Things:
    """The solids of a scene at all its frames.

    Raises:
        EX4DError: a scene of mirrors or of wandering light, which only the casters of single pictures draw.
    """
    if scene.look in ("shiny", "lit"):
        raise EX4DError(
            f"Many pictures at once have no mirrors and one light; a scene's look {scene.look!r} is drawn singly."
        )
    frames = [scene.things_at(t) for t in range(scene.frames)]
    shape, _, _, _, pattern, number, colour, _ = packed(frames[0])
    return Things(shape, pattern, np.stack([_into(solids) for solids in frames]), number, colour)


def _into(solids: list[Solid]) -> np.ndarray:
    """(S, 3, 4) the maps of ``packed``, all at once: they are what changes over time."""
    turn = np.array([np.eye(3) if each.rotation is None else each.rotation for each in solids]).swapaxes(1, 2)
    turn = turn / np.array([each.half for each in solids])[:, :, None]
    centre = np.array([each.centre for each in solids])[:, :, None]
    return np.concatenate([turn, -turn @ centre], axis=2)


def pictures(
    things: Sequence[Things],
    world_to_camera: np.ndarray,
    lens: Intrinsics,
    *,
    samples: int = 1,
    device: torch.device | str = "cpu",
    fused: bool = False,
) -> tuple[Tensor, Tensor]:
    """Colour and depth of every frame of some clips.

    Args:
        things: of each clip; all of the same number of frames T.
        world_to_camera: (clips, T, 4, 4).
        lens: of all cameras.
        samples: rays per pixel side, everywhere; DemoScene takes more than one only where the picture has an edge.
        device: where it is computed, and where the result stays.
        fused: compile what is done for each solid: most of a minute on an H200, for each number and size of pictures, after
            which they take a tenth of the time. Colours may then round to another level.

    Returns:
        Colour (clips, T, H, W, 3) uint8, and planar depth (clips, T, H, W) float32 at the pixels' centres.
    """
    with torch.no_grad(), torch.device(device):
        scene = _Scenes(things, torch.device(device), fused)
        poses = torch.as_tensor(world_to_camera, dtype=torch.float64, device=device).flatten(0, 1)
        size = (len(things), -1, lens.height, lens.width)
        places = [(step + 0.5) / samples for step in range(samples)]
        total, depth = torch.zeros(()), None
        for v, u in product(places, places):
            colour, found = _cast(scene, poses, lens, u, v)
            total = total + colour
            depth = found if (u, v) == (0.5, 0.5) else depth
        if depth is None:
            depth = _cast(scene, poses, lens, 0.5, 0.5, colour=False)[1]
        # Through float32, as the others: what lies between two levels must round alike.
        shown = (255 * (total / samples**2).float().double() + 0.5).to(torch.uint8)
        return shown.view(*size, 3), depth.float().view(size)


class _Scenes:
    """The solids of all frames F, in slots that are of one shape in every scene; a slot that a scene leaves empty is nowhere."""

    def __init__(self, things: Sequence[Things], device: torch.device, fused: bool) -> None:
        self.fused = fused
        self.slots: list[int] = []
        maps, numbers, colours, patterns = [], [], [], []
        for shape in SHAPES:
            places = [np.flatnonzero(each.shape == shape) for each in things]
            for slot in range(max(map(len, places))):
                self.slots.append(shape)
                there = [place[slot] if slot < len(place) else None for place in places]
                rows = [
                    np.broadcast_to(NOWHERE, (len(each.to_local), 3, 4)) if i is None else each.to_local[:, i]
                    for each, i in zip(things, there, strict=True)
                ]
                maps.append(np.concatenate(rows))
                numbers.append([np.ones(6) if i is None else each.number[i] for each, i in zip(things, there)])
                colours.append([np.zeros(6) if i is None else each.colour[i] for each, i in zip(things, there)])
                patterns.append([PLAIN if i is None else each.pattern[i] for each, i in zip(things, there)])
        repeats = len(things[0].to_local)

        def spread(values: list) -> Tensor:
            """(slots, clips, ...) to (F, slots, ...) on the device."""
            return torch.from_numpy(np.repeat(np.swapaxes(np.array(values), 0, 1), repeats, axis=0)).to(device)

        self.to_local = torch.from_numpy(np.stack(maps, axis=1)).to(device)
        self.number, self.colour, self.pattern = spread(numbers), spread(colours), spread(patterns)
        # For the loops over slots: laid out alike however many slots there are, or it would be compiled for each count.
        self.each = [
            (shape, self.to_local[:, slot].contiguous(), self.number[:, slot, 2:3].contiguous(), torch.tensor(slot))
            for slot, shape in enumerate(self.slots)
        ]

    def nearest(self, eye: list[Tensor], d: list[Tensor]) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Of each ray: distance to the first solid, or inf; its slot, or -1; the normal there, in the solid."""
        best = torch.full_like(d[0], math.inf)
        which, normal = torch.full_like(best, -1, dtype=torch.long), [torch.zeros_like(best) for _ in range(3)]
        step = _fused(_nearer) if self.fused else _nearer
        for shape, to_local, inner, slot in self.each:
            best, which, normal = step(shape, to_local, inner, slot, eye, d, best, which, normal)
        return best, which, normal

    def in_shadow(self, point: list[Tensor]) -> Tensor:
        """(F, R) bool: where a solid stands between the point and the sun."""
        dark = torch.zeros_like(point[0], dtype=torch.bool)
        step = _fused(_darker) if self.fused else _darker
        for shape, to_local, inner, _ in self.each:
            dark = step(shape, to_local, inner, point, dark)
        return dark


@cache
def _fused(step: Callable) -> Callable:
    return torch.compile(step, dynamic=False)


def _nearer(
    shape: int,
    to_local: Tensor,
    inner: Tensor,
    slot: Tensor,
    eye: list[Tensor],
    d: list[Tensor],
    best: Tensor,
    which: Tensor,
    normal: list[Tensor],
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """What is nearest, once a slot's solids, all of one shape, are held against the rays."""
    o, towards = _local(to_local, eye, 1.0), _local(to_local, d, 0.0)
    t = formulas.hit(shape, inner, o, towards, 1e-4)
    closer = t < best
    there = formulas.normal_at(shape, o, towards, t)
    normal = [torch.where(closer, new, old) for new, old in zip(there, normal, strict=True)]
    return torch.where(closer, t, best), torch.where(closer, slot, which), normal


def _darker(shape: int, to_local: Tensor, inner: Tensor, point: list[Tensor], dark: Tensor) -> Tensor:
    """What is in shadow, once a slot's solids are held against the rays from points to the sun."""
    t = formulas.hit(shape, inner, _local(to_local, point, 1.0), _local(to_local, SUN, 0.0), 1e-5)
    return dark | (t < math.inf)


def _local(to_local: Tensor, vector: Sequence[Tensor | float], translate: float) -> list[Tensor]:
    """Points (``translate`` 1) or directions (0) in solids (F, 3, 4)."""
    m, (x, y, z) = to_local[..., None], vector
    return [m[:, row, 0] * x + m[:, row, 1] * y + m[:, row, 2] * z + translate * m[:, row, 3] for row in range(3)]


def _cast(
    scene: _Scenes, poses: Tensor, lens: Intrinsics, u: float, v: float, *, colour: bool = True
) -> tuple[Tensor, Tensor]:
    """Colours (F, R, 3) 0..1 and planar depths (F, R) of the rays through one place of every pixel."""
    rows, columns = torch.meshgrid(
        (torch.arange(lens.height, dtype=torch.float64) + v - lens.cy) / lens.fy,
        (torch.arange(lens.width, dtype=torch.float64) + u - lens.cx) / lens.fx,
        indexing="ij",
    )
    turn = poses[:, :3, :3].mT
    eye = list((-turn @ poses[:, :3, 3:]).unbind(1))
    x, y = columns.reshape(1, -1), rows.reshape(1, -1)
    d = [turn[:, i, :1] * x + turn[:, i, 1:2] * y + turn[:, i, 2:] for i in range(3)]
    best, which, normal = scene.nearest(eye, d)
    down = d[1] > 1e-9
    t = torch.where(down, (GROUND_HEIGHT - eye[1]) / torch.where(down, d[1], 1.0), math.inf)
    ground = down & (t > 1e-4) & (t < best)
    ground &= (eye[0] + t * d[0]) ** 2 + (eye[2] + t * d[2] - PLAZA_CENTRE_Z) ** 2 < GROUND_RADIUS**2
    which = torch.where(ground, -1, which)
    sky = (which < 0) & ~ground
    best = torch.where(ground, t, torch.where(sky, formulas.sky_distance(eye, d), best))
    if not colour:
        return best, best
    point = [e + best * part for e, part in zip(eye, d, strict=True)]
    seen = _surface(scene, point, which, normal)
    heaven = torch.stack(formulas.sky_colour(*point), -1)
    return torch.where(sky[..., None], heaven, seen).clamp_(0, 1), best


def _surface(scene: _Scenes, point: list[Tensor], which: Tensor, normal: list[Tensor]) -> Tensor:
    """(F, R, 3) colours of points on solids, and on the ground where the slot is -1."""
    frame = torch.arange(len(which))[:, None]
    slot = which.clamp_min(0)
    m = scene.to_local[frame, slot]
    number, colour, pattern = scene.number[frame, slot], scene.colour[frame, slot], scene.pattern[frame, slot]
    p = [m[..., i, 0] * point[0] + m[..., i, 1] * point[1] + m[..., i, 2] * point[2] + m[..., i, 3] for i in range(3)]
    share = torch.zeros_like(point[0])
    for material in (MERIDIANS, BANDS, SPIRAL, RINGS, CHECKER, CRATE):
        drawn = formulas.pattern(material, number[..., 0], number[..., 1], p, normal)
        share = torch.where(pattern == material, drawn, share)
    grain = number[..., 4]
    tone = 1.0 + 0.16 * (formulas.noise(grain * p[0] + 11, grain * p[2] + 3, grain * p[1] + 5) - 0.5)
    own = (tone * torch.lerp(colour[..., i], colour[..., i + 3], share) for i in range(3))
    on_ground = which < 0
    floor = formulas.ground_colour(point[0].flatten(), point[2].flatten())
    own = [torch.where(on_ground, ground.view_as(plane), plane) for ground, plane in zip(floor, own, strict=True)]
    turned = [m[..., 0, i] * normal[0] + m[..., 1, i] * normal[1] + m[..., 2, i] * normal[2] for i in range(3)]
    length = (turned[0] ** 2 + turned[1] ** 2 + turned[2] ** 2).sqrt_()
    up = (0.0, -1.0, 0.0)
    world = [torch.where(on_ground, axis, part / length) for axis, part in zip(up, turned, strict=True)]
    point = [point[0], torch.where(on_ground, GROUND_HEIGHT, point[1]), point[2]]
    bounce = torch.where(on_ground, 0.0, number[..., 3])
    facing = formulas.facing(world)
    dark = scene.in_shadow([part + 1e-4 * n for part, n in zip(point, world, strict=True)])
    sun = torch.where((facing > 0) & ~dark, facing * (1 - bounce), 0.0)
    return torch.stack(formulas.lit(own, point, world, bounce, sun), -1)
