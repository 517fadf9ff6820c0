"""Bodies that bend and squash, with the exact place of every point of their surface at every time: truth for animated meshes.

A body is a rest shape, told by its signed distance, and a smooth motion of space that carries it. Any triangulation of the rest
shape, moved, is a mesh of the body at that time whose points are known at all others. ``generated`` makes what an image-to-3D
generator would give for one frame: triangles of its own, noise, missing parts, a pose and scale of its own.

Conventions: a body at rest has y up and looks along +z; it is about 2 high. Moved points stand in the frame of the camera that
films it (OpenCV: x right, y down, z forward), `DISTANCE` in front of it. Time goes from 0 to 1 over a clip.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..errors import EX4DError
from .marching import zero_surface

KINDS = ("puppet", "walker", "jelly")
DISTANCE = 4.0
"""Of the body's middle from the camera."""
BLEND, SKIN = 0.035, 0.06
"""How softly parts run into each other, in shape and in motion."""
BODY_SEED = 20_251_129


@dataclass(frozen=True)
class Part:
    """A capsule from ``a`` to ``b``, moved by a bone."""

    a: tuple[float, float, float]
    b: tuple[float, float, float]
    radius: float
    bone: int
    color: tuple[float, float, float]


@dataclass(frozen=True)
class Bone:
    """Turns around ``axis`` through ``joint`` by ``swing`` sin(2 pi time + phase) + ``lean``, radians, and with its parent."""

    joint: tuple[float, float, float]
    axis: tuple[float, float, float]
    swing: float
    phase: float = 0.0
    lean: float = 0.0
    parent: int = -1


@dataclass(frozen=True, eq=False)
class GeneratedMesh:
    """What a generator gives for one frame, and the truth about it.

    Attributes:
        vertices: (V, 3) in axes and a unit of the mesh's own.
        faces: (F, 3) int32.
        colors: (V, 3) 0..1.
        pose: (4, 4) the similarity from there to the camera that films the body.
        rest: (V, 3) the points of the rest shape that the vertices are of, without noise.
    """

    vertices: np.ndarray
    faces: np.ndarray
    colors: np.ndarray
    pose: np.ndarray
    rest: np.ndarray


@dataclass(frozen=True)
class Flaws:
    """What is wrong with a generated mesh.

    Attributes:
        noise: standard deviation of its vertices, as a share of the body's size: half of it from vertex to vertex, half in dents.
        holes: how many there are.
        hole: their radius as a share of the body's size.
        posed: whether it stands in a pose and scale of its own.
        cells: of its grid over the body's longest side; its faces grow with the square.
    """

    noise: float = 0.003
    holes: int = 3
    hole: float = 0.03
    posed: bool = True
    cells: int = 32


PERFECT = Flaws(0.0, 0, 0.0, False)


@dataclass(frozen=True)
class Body:
    """One body, drawn by a seed: its kind's proportions, colours and motion vary with it.

    Attributes:
        kind: of ``KINDS``.
        seed: any whole number from 0 on.

    Raises:
        EX4DError: no such kind.

    Example:
        >>> body = Body("puppet", 0)
        >>> rest, faces = body.surface(24)
        >>> body.moved(rest, 0.5).shape == rest.shape
        True
    """

    kind: str
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise EX4DError(f"A body is one of {', '.join(KINDS)}; got {self.kind!r}.")

    @cached_property
    def _plan(self) -> tuple[tuple[Part, ...], tuple[Bone, ...]]:
        return PLANS[self.kind](np.random.default_rng([BODY_SEED, KINDS.index(self.kind), self.seed]))

    @cached_property
    def _travel(self) -> tuple[float, float, float]:
        """Turn over the clip, where it begins, and the way to the side."""
        rng = np.random.default_rng([BODY_SEED, 77, self.seed])
        return float(rng.uniform(-1.4, 1.4)), float(rng.uniform(-0.6, 0.6)), float(rng.uniform(-0.5, 0.5))

    @cached_property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest corner (3,) of a box around the rest shape, with some room."""
        ends = np.array([[*part.a, part.radius] for part in self._plan[0]] + [[*p.b, p.radius] for p in self._plan[0]])
        room = ends[:, 3:] + 2 * BLEND
        return (ends[:, :3] - room).min(axis=0), (ends[:, :3] + room).max(axis=0)

    @cached_property
    def size(self) -> float:
        """Diagonal of the box around the rest shape: what errors are measured against."""
        return float(np.linalg.norm(self.bounds[1] - self.bounds[0]))

    def _distances(self, points: np.ndarray) -> np.ndarray:
        """(parts, N) signed distances from each part."""
        rows = []
        for part in self._plan[0]:
            start, way = np.array(part.a), np.array(part.b) - np.array(part.a)
            along = np.clip((points - start) @ way / max(way @ way, 1e-12), 0, 1)
            rows.append(np.linalg.norm(points - start - along[:, None] * way, axis=1) - part.radius)
        return np.array(rows)

    def distance(self, points: np.ndarray) -> np.ndarray:
        """(N,) about the signed distance of points (N, 3) from the rest shape; its zero is the shape."""
        distances = self._distances(points)
        least = distances.min(axis=0)
        return least - BLEND * np.log(np.exp((least - distances) / BLEND).sum(axis=0))

    def colors(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) sRGB colours 0..1 of points (N, 3) of the rest shape: the parts' own, with stripes."""
        share = self._shares(points)
        stripes = 0.82 + 0.18 * np.tanh(
            4 * np.sin(9 * points[:, 1] + 4 * np.sin(3 * points[:, 0])) * np.cos(7 * points[:, 2])
        )
        return np.clip(share.T @ np.array([part.color for part in self._plan[0]]) * stripes[:, None], 0, 1)

    def _shares(self, points: np.ndarray) -> np.ndarray:
        """(parts, N) how much each part moves a point; they sum to 1."""
        distances = self._distances(points)
        weights = np.exp((distances.min(axis=0) - distances) / SKIN)
        return weights / weights.sum(axis=0)

    def moved(self, points: np.ndarray, time: float) -> np.ndarray:
        """Where points of the rest shape are at a time.

        Args:
            points: (N, 3) at rest.
            time: 0..1 of the clip.

        Returns:
            (N, 3) in the frame of the camera that films the body.
        """
        parts, bones = self._plan
        turns = _bone_poses(bones, time)
        shares = self._shares(points)
        blended = np.zeros((len(points), 3, 4))
        for part, share in zip(parts, shares, strict=True):
            blended += share[:, None, None] * turns[part.bone][:3]
        bent = np.einsum("nij,nj->ni", blended[:, :, :3], points) + blended[:, :, 3]
        if self.kind == "jelly":
            bent = _squashed(bent, time, self.seed)
        turn, begin, way = self._travel
        angle = begin + turn * time
        spun = bent @ _turn(np.array([0.0, 1.0, 0.0]), angle).T
        return spun * (1, -1, -1) + (way * (time - 0.5), 0.1 * math.sin(5 * time), DISTANCE)

    def surface(self, cells: int, turn: np.ndarray | None = None, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """Triangles of the rest shape.

        Args:
            cells: of the grid over the shape's longest side.
            turn: (3, 3) rotation of that grid; None = along the axes. Another grid gives other triangles of the same shape.
            shift: of the grid, in cells.

        Returns:
            (V, 3) float64 points and (F, 3) int32 faces, counter-clockwise from outside.
        """
        return zero_surface(self.distance, *self.bounds, cells, turn, shift)

    def generated(self, time: float, seed: int, flaws: Flaws | None = None) -> GeneratedMesh:
        """What a generator would give for one frame: nothing of it is shared with another frame but the shape.

        Args:
            time: 0..1 of the clip.
            seed: of this frame's flaws and triangles.
            flaws: see `Flaws`; None = the usual ones.
        """
        flaws = flaws or Flaws()
        rng = np.random.default_rng([BODY_SEED, 5, self.seed, seed])
        rest, faces = self.surface(flaws.cells, _random_turn(rng), float(rng.uniform(0, 1)))
        points = self.moved(rest, time)
        colors = self.colors(rest)
        points = points + flaws.noise * self.size * _noise(points, self.size, rng)
        kept = np.ones(len(points), bool)
        for centre in points[rng.integers(0, len(points), flaws.holes)]:
            kept &= np.linalg.norm(points - centre, axis=1) > flaws.hole * self.size
        number = np.cumsum(kept) - 1
        faces = number[faces[kept[faces].all(axis=1)]].astype(np.int32)
        points, rest, colors = points[kept], rest[kept], colors[kept]
        pose = np.eye(4)
        if flaws.posed:
            scale = float(rng.uniform(0.6, 2.5))
            pose[:3, :3] = scale * _random_turn(rng)
            pose[:3, 3] = points.mean(axis=0) + rng.uniform(-0.1, 0.1, 3)
            points = (points - pose[:3, 3]) @ np.linalg.inv(pose[:3, :3]).T
        return GeneratedMesh(points, faces, colors, pose, rest)


def _noise(points: np.ndarray, size: float, rng: np.random.Generator) -> np.ndarray:
    """(N, 3) with a variance of 1: half white, half in waves of an eighth of the body."""
    waves = np.zeros_like(points)
    for _ in range(6):
        direction = rng.normal(size=3)
        direction *= 2 * math.pi / (0.12 * size) / np.linalg.norm(direction)
        waves += np.sin(points @ direction + rng.uniform(0, 2 * math.pi))[:, None] * rng.normal(size=3)
    return math.sqrt(0.5) * (rng.normal(size=points.shape) + waves / math.sqrt(3))


def _random_turn(rng: np.random.Generator) -> np.ndarray:
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.sign(np.linalg.det(q))


def _turn(axis: np.ndarray, angle: float) -> np.ndarray:
    """(3, 3) rotation around a unit axis (Rodrigues)."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross


def _bone_poses(bones: tuple[Bone, ...], time: float) -> list[np.ndarray]:
    """(4, 4) of every bone; parents come first."""
    poses: list[np.ndarray] = []
    for bone in bones:
        axis, joint = np.array(bone.axis) / np.linalg.norm(bone.axis), np.array(bone.joint)
        local = np.eye(4)
        local[:3, :3] = _turn(axis, bone.lean + bone.swing * math.sin(2 * math.pi * time + bone.phase))
        local[:3, 3] = joint - local[:3, :3] @ joint
        poses.append(local if bone.parent < 0 else poses[bone.parent] @ local)
    return poses


def _squashed(points: np.ndarray, time: float, seed: int) -> np.ndarray:
    """Squashed to three quarters and stretched as far, wider as it gets lower, so that its volume stays; leaning and twisted."""
    beat = math.sin(2 * math.pi * time + seed)
    high = math.exp(0.28 * beat)
    x, y, z = (points * (high**-0.5, high, high**-0.5)).T
    lean = 0.25 * math.sin(2 * math.pi * time + 1.3 + seed)
    twist = 0.35 * math.sin(2 * math.pi * time + 2.1 * seed) * y
    turned_x, turned_z = x * np.cos(twist) - z * np.sin(twist), x * np.sin(twist) + z * np.cos(twist)
    return np.stack([turned_x + lean * y * np.abs(y), y, turned_z], axis=1)


def _palette(rng: np.random.Generator, count: int) -> list[tuple[float, float, float]]:
    rows = rng.uniform(0.25, 0.95, (count, 3)).tolist()
    return [(red, green, blue) for red, green, blue in rows]


def _puppet(rng: np.random.Generator) -> tuple[tuple[Part, ...], tuple[Bone, ...]]:
    long, wide, swing, phase = rng.uniform(0.9, 1.1), rng.uniform(0.9, 1.1), rng.uniform(0.8, 1.1), rng.uniform(0, 6)
    skin, shirt, trousers, shoes = _palette(rng, 4)
    bones = [
        Bone((0, -0.3, 0), (0, 0, 1), 0.12 * swing, phase),
        Bone((0, 0.55, 0), (0, 1, 0.3), 0.4 * swing, phase, 0, 0),
    ]
    parts = [
        Part((0, -0.22, 0), (0, 0.32, 0), 0.23 * wide, 0, shirt),
        Part((0, 0.74, 0), (0, 0.8, 0.03), 0.2, 1, skin),
        Part((0, 0.5, 0), (0, 0.7, 0), 0.09, 1, skin),
        Part((0, 0.72, 0.2), (0, 0.7, 0.3), 0.05, 1, shoes),
    ]
    for side in (-1, 1):
        shoulder, elbow, hand = (
            side * 0.25 * wide,
            side * (0.25 * wide + 0.36 * long),
            side * (0.25 * wide + 0.74 * long),
        )
        arm = len(bones)
        bones += [
            Bone((shoulder, 0.4, 0), (0, 0.4, 1), 0.75 * swing, phase + side, side * -0.15, 0),
            Bone((elbow, 0.4, 0), (0, side, 0.3), 0.5 * swing, phase + 2 + side, -0.5, arm),
            Bone((side * 0.14, -0.4, 0), (1, 0, 0), 0.5 * swing, phase + 1.57 * side, 0, 0),
            Bone((side * 0.17, -0.82, 0), (1, 0, 0), 0.4 * swing, phase + 2, 0.4, arm + 2),
        ]
        parts += [
            Part((shoulder, 0.4, 0), (elbow, 0.4, 0), 0.1, arm, shirt),
            Part((elbow, 0.4, 0), (hand, 0.4, 0), 0.085, arm + 1, skin),
            Part((side * 0.14, -0.4, 0), (side * 0.17, -0.82, 0), 0.13 * wide, arm + 2, trousers),
            Part((side * 0.17, -0.82, 0), (side * 0.18, -0.82 - 0.42 * long, 0), 0.1, arm + 3, trousers),
            Part((side * 0.18, -0.87 - 0.42 * long, 0), (side * 0.2, -0.87 - 0.42 * long, 0.16), 0.08, arm + 3, shoes),
        ]
    return tuple(parts), tuple(bones)


def _walker(rng: np.random.Generator) -> tuple[tuple[Part, ...], tuple[Bone, ...]]:
    long, tall, swing, phase = rng.uniform(0.9, 1.15), rng.uniform(0.9, 1.1), rng.uniform(0.8, 1.1), rng.uniform(0, 6)
    coat, belly, dark, light = _palette(rng, 4)
    bones = [
        Bone((0, 0, 0), (0, 0, 1), 0.06 * swing, 2 * phase),
        Bone((0, 0.1, 0.5 * long), (1, 0.3, 0), 0.35 * swing, phase, 0, 0),
        Bone((0, 0.08, -0.55 * long), (0.3, 1, 0), 0.7 * swing, phase + 1, 0, 0),
        Bone((0, 0.3, -0.9 * long), (0.3, 1, 0), 0.5 * swing, phase + 0.3, 0, 2),
    ]
    parts = [
        Part((0, 0, -0.45 * long), (0, 0.02, 0.45 * long), 0.26, 0, coat),
        Part((0, 0.12, 0.5 * long), (0, 0.5, 0.75 * long), 0.12, 1, coat),
        Part((0, 0.58, 0.8 * long), (0, 0.5, 1.08 * long), 0.14, 1, light),
        Part((0.12, 0.72, 0.76 * long), (0.2, 0.9, 0.74 * long), 0.05, 1, dark),
        Part((-0.12, 0.72, 0.76 * long), (-0.2, 0.86, 0.76 * long), 0.05, 1, dark),
        Part((0, 0.08, -0.6 * long), (0, 0.3, -0.9 * long), 0.075, 2, belly),
        Part((0, 0.3, -0.9 * long), (0, 0.42, -1.2 * long), 0.06, 3, dark),
    ]
    for side, end in ((-1, 1), (1, 1), (-1, -1), (1, -1)):
        hip, knee = (side * 0.2, -0.12, end * 0.4 * long), (side * 0.22, -0.12 - 0.36 * tall, end * 0.42 * long)
        foot = (knee[0], knee[1] - 0.36 * tall, knee[2] + 0.03)
        leg = len(bones)
        bones += [
            Bone(hip, (1, 0, 0), 0.5 * swing, phase + (0 if side * end > 0 else math.pi), 0, 0),
            Bone(knee, (1, 0, 0), 0.35 * swing, phase + 1 + (0 if side * end > 0 else math.pi), 0.3, leg),
        ]
        parts += [Part(hip, knee, 0.1, leg, belly), Part(knee, foot, 0.075, leg + 1, dark)]
    return tuple(parts), tuple(bones)


def _jelly(rng: np.random.Generator) -> tuple[tuple[Part, ...], tuple[Bone, ...]]:
    fat, phase = rng.uniform(0.9, 1.1), rng.uniform(0, 6)
    body, ear, foot, nose = _palette(rng, 4)
    bones = [Bone((0, 0, 0), (0, 0, 1), 0.08, phase)]
    parts = [
        Part((0, -0.2, 0), (0, 0.25, 0), 0.62 * fat, 0, body),
        Part((0, -0.05, 0.6 * fat), (0, -0.05, 0.78 * fat), 0.13, 0, nose),
    ]
    for n, side in enumerate((-1, 1)):
        bones.append(Bone((side * 0.3, 0.7, 0), (0, 0, 1), 0.35, phase + side, 0, 0))
        parts += [
            Part((side * 0.3, 0.7, 0), (side * (0.4 + 0.1 * n), 1.15, 0), 0.13, n + 1, ear),
            Part((side * 0.34, -0.75, 0.05), (side * 0.36, -0.8, 0.3), 0.16, 0, foot),
        ]
    return tuple(parts), tuple(bones)


PLANS: dict[str, Callable[[np.random.Generator], tuple[tuple[Part, ...], tuple[Bone, ...]]]] = {
    "puppet": _puppet,
    "walker": _walker,
    "jelly": _jelly,
}
