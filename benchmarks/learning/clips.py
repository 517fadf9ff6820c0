"""Films of drawn scenes: what stands there, how one camera moves, and the pictures, cast on the device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

import numpy as np
from torch import Tensor

from ex4d_core.camera import invert_pose, look_at
from ex4d_core.demo_scene import DemoScene
from ex4d_core.demo_scene.arranged import BENCHMARK_SEEDS, props
from ex4d_core.demo_scene.raycast_many import Things, pictures, things_of

from .lens import FINER, soft

BASE_SEEDS, CLIP_SEEDS, HELD_SEEDS = range(10_000, 400_000), range(400_000, 500_000), range(500_000, 600_000)
"""Scenes that the base, the adapters and nobody has seen; those of the benchmark of geometry are others still."""
assert HELD_SEEDS.stop <= BENCHMARK_SEEDS.start
ROOM = 0.35
"""Scene units that a camera keeps from everything on the plaza."""
TRIES = 40
AT_ONCE = 64
"""Clips cast together: some ten gigabytes on the device."""


@dataclass(frozen=True)
class Camera:
    """How the camera of a clip is drawn.

    Attributes:
        start: azimuth of its first frame is within +-start degrees of the source view's.
        turn: it goes on by up to +-turn degrees.
        still: share of cameras that do not move.
        around: share of those that go from the source view around what stands in the middle, as the judged ones do.
    """

    start: float
    turn: float
    still: float
    around: float = 0.0


@dataclass(frozen=True)
class Clips:
    """Some clips.

    Attributes:
        frames: (n, T, H, W, 3) uint8, as the network sees them.
        fine: (n, T, 2H, 2W, 3) uint8, as they were cast.
        depth: (n, T, 2H, 2W) float32.
        paths: (n, T, 4, 4), cameras in the scene's world.
    """

    frames: Tensor
    fine: Tensor
    depth: Tensor
    paths: np.ndarray


def scene(size: int, frames: int, seed: int) -> DemoScene:
    """The scene of one seed, at the size that it is cast in."""
    return DemoScene(FINER * size, FINER * size, frames, seed=seed)


def clear(path: np.ndarray, seed: int) -> bool:
    """Whether the cameras (T, 4, 4) of a path stand in nothing, and nothing stands before their lens."""
    eyes = np.stack([invert_pose(pose)[[0, 2], 3] for pose in path])
    for prop in props(seed):
        reach = max(prop.half[0], prop.half[2]) + prop.reach + ROOM
        if (np.linalg.norm(eyes - prop.place, axis=1) < reach).any():
            return False
    return True


def arc(frames: int, pivot: np.ndarray, ends: Iterable[tuple[float, float]], eased: bool) -> np.ndarray:
    """Cameras (T, 4, 4) that look at a point, between two (azimuth, elevation, distance); degrees."""
    way = np.linspace(0, 1, frames)
    way = way * way * (3 - 2 * way) if eased else way
    azimuth, elevation, distance = (first + (last - first) * way for first, last in ends)
    turn, rise = np.radians(azimuth), np.radians(elevation)
    flat = distance * np.cos(rise)
    eyes = pivot + np.stack([flat * np.sin(turn), -distance * np.sin(rise), -flat * np.cos(turn)], axis=-1)
    return np.stack([look_at(eye, pivot) for eye in eyes])


def draw_path(seed: int, frames: int, camera: Camera) -> np.ndarray:
    """The camera of one clip, drawn by the seed of its scene: (T, 4, 4) in the scene's own world."""
    rng = np.random.default_rng([17, seed])
    path = _drawn(rng, frames, camera)
    for _ in range(TRIES - 1):
        if clear(path, seed):
            break
        path = _drawn(rng, frames, camera)
    return path


def _drawn(rng: np.random.Generator, frames: int, camera: Camera) -> np.ndarray:
    return _around(rng, frames) if rng.random() < camera.around else _anywhere(rng, frames, camera)


def _around(rng: np.random.Generator, frames: int) -> np.ndarray:
    radius = rng.uniform(2.3, 3.3)
    ends = (0.0, rng.uniform(-100, 100)), (0.0, 0.0), (radius, radius)
    return arc(frames, np.array([0.0, 0.0, radius]), ends, False)


def _anywhere(rng: np.random.Generator, frames: int, camera: Camera) -> np.ndarray:
    pivot = np.array([rng.uniform(-0.4, 0.4), rng.uniform(-0.2, 0.3), rng.uniform(2.4, 4.6)])
    azimuth, distance = rng.uniform(-camera.start, camera.start), rng.uniform(2.2, 4.8)
    low = rng.uniform(-4, 20) if rng.random() < 0.7 else 0.0
    moves = rng.random() >= camera.still
    ends = (
        (azimuth, azimuth + moves * rng.uniform(-camera.turn, camera.turn)),
        (low, low + moves * rng.uniform(-6, 6) * (low > 0)),
        (distance, distance * rng.uniform(0.8, 1.25) ** moves),
    )
    return arc(frames, pivot, ends, bool(rng.random() < 0.5))


def prepare_clip(seed: int, size: int, frames: int, camera: Camera) -> tuple[Things, np.ndarray]:
    """What the ray caster needs of a clip; runs in a process of its own."""
    return things_of(scene(size, frames, seed)), draw_path(seed, frames, camera)


def film(
    pool: Executor,
    seeds: Sequence[int],
    size: int,
    frames: int,
    camera: Camera,
    device: str,
    *,
    fused: bool = False,
) -> Iterator[Clips]:
    """The clips of some seeds, some at a time, on the device; ``fused`` is worth its compilation from some thousands on."""
    job = partial(prepare_clip, size=size, frames=frames, camera=camera)
    ready: list[tuple[Things, np.ndarray]] = []
    for number, each in enumerate(pool.map(job, seeds, chunksize=4), 1):
        ready.append(each)
        if len(ready) == AT_ONCE or number == len(seeds):
            things, paths = zip(*ready, strict=True)
            ready = []
            yield cast(things, paths, size, device, fused=fused)


def cast(
    things: Sequence[Things], paths: Sequence[np.ndarray], size: int, device: str, *, fused: bool = False
) -> Clips:
    """The clips of up to ``AT_ONCE`` scenes and cameras, on the device."""
    count, frames = len(things), len(paths[0])
    lens = scene(size, frames, 0).intrinsics
    more = AT_ONCE - count if fused else 0  # what is compiled is compiled for one number of clips
    poses = np.stack([*paths, *[paths[0]] * more])
    fine, depth = pictures([*things, *[things[0]] * more], poses, lens, device=device, fused=fused)
    return Clips(soft(fine[:count]), fine[:count], depth[:count], poses[:count])


def relative(path: np.ndarray) -> np.ndarray:
    """Cameras in the world of the first of them."""
    return path @ invert_pose(path[0])
