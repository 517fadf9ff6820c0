"""Films of drawn scenes: what stands there, how one camera moves, and the pictures, cast on the device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ex4d_core.camera import invert_pose, look_at
from ex4d_core.demo_scene import DemoScene
from ex4d_core.demo_scene.arranged import BENCHMARK_SEEDS, props
from ex4d_core.demo_scene.raycast_many import Things, pictures, things_of

BASE_SEEDS, CLIP_SEEDS, HELD_SEEDS = range(10_000, 400_000), range(400_000, 500_000), range(500_000, 600_000)
"""Scenes that the base, the adapters and nobody has seen; those of the benchmark of geometry are others still."""
assert HELD_SEEDS.stop <= BENCHMARK_SEEDS.start
ROOM = 0.35
"""Scene units that a camera keeps from everything on the plaza."""
TRIES = 40
AT_ONCE = 64
"""Clips cast together: some gigabytes on the device."""


def scene(size: int, frames: int, seed: int) -> DemoScene:
    """The scene of one seed."""
    return DemoScene(size, size, frames, seed=seed)


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


def draw_path(seed: int, frames: int, *, start: float, turn: float, still: float) -> np.ndarray:
    """The camera of one clip: (T, 4, 4) in the scene's own world.

    Args:
        seed: of the scene and of the camera.
        frames: T.
        start: azimuth of its first frame is within +-start degrees of the source view's.
        turn: it goes on by up to +-turn degrees.
        still: share of cameras that do not move.
    """
    rng = np.random.default_rng([17, seed])
    for _ in range(TRIES):
        pivot = np.array([rng.uniform(-0.4, 0.4), rng.uniform(-0.2, 0.3), rng.uniform(2.4, 4.6)])
        azimuth, distance = rng.uniform(-start, start), rng.uniform(2.2, 4.8)
        low = rng.uniform(-4, 20) if rng.random() < 0.7 else 0.0
        moves = rng.random() >= still
        ends = (
            (azimuth, azimuth + moves * rng.uniform(-turn, turn)),
            (low, low + moves * rng.uniform(-6, 6) * (low > 0)),
            (distance, distance * rng.uniform(0.8, 1.25) ** moves),
        )
        path = arc(frames, pivot, ends, bool(rng.random() < 0.5))
        if clear(path, seed):
            break
    return path


def prepare_clip(seed: int, size: int, frames: int, camera: dict[str, float]) -> tuple[Things, np.ndarray]:
    """What the ray caster needs of a clip; runs in a process of its own."""
    return things_of(scene(size, frames, seed)), draw_path(seed, frames, **camera)


def film(
    pool: Executor, seeds: Iterable[int], size: int, frames: int, camera: dict[str, float], device: str, samples: int
) -> Iterator[tuple[Tensor, Tensor, np.ndarray]]:
    """Clips, some at a time: colour (n, T, H, W, 3) uint8, depth (n, T, H, W), cameras (n, T, 4, 4)."""
    lens = scene(size, frames, 0).intrinsics
    job = partial(prepare_clip, size=size, frames=frames, camera=camera)
    ready: list[tuple[Things, np.ndarray]] = []
    seeds = list(seeds)
    for number, each in enumerate(pool.map(job, seeds, chunksize=4), 1):
        ready.append(each)
        if len(ready) == AT_ONCE or number == len(seeds):
            things, paths = zip(*ready, strict=True)
            ready = []
            yield *pictures(things, np.stack(paths), lens, samples=samples, device=device), np.stack(paths)


def relative(path: np.ndarray) -> np.ndarray:
    """Cameras in the world of the first of them."""
    return path @ invert_pose(path[0])


def film_held(
    pool: Executor, seeds: list[int], paths: list[np.ndarray], size: int, frames: int, device: str, samples: int
) -> tuple[Tensor, Tensor]:
    """The scenes of some seeds from given cameras: colour and depth, on the CPU."""
    things = list(pool.map(things_of, [scene(size, frames, seed) for seed in seeds]))
    lens = scene(size, frames, 0).intrinsics
    parts = [
        pictures(things[n : n + AT_ONCE], np.stack(paths[n : n + AT_ONCE]), lens, samples=samples, device=device)
        for n in range(0, len(seeds), AT_ONCE)
    ]
    colour, depth = (torch.cat(each).cpu() for each in zip(*parts, strict=True))
    return colour, depth
