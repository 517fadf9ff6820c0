"""How well the sky of a point map is told from everything else, on scenes whose truth is known.

    python benchmarks/pointmap_sky.py [--clips 40]

Skies: scenes drawn from the demo scene's kit by seed, seen through lenses and at tilts that are drawn too, stored as 4DNeX does
(outer 2 % cut off, a cube, noise). No sky: the same with the camera on the ground, rooms, and streets whose far end rises out of
the picture. Printed are the share of the sky's pixels that are still trusted and the share of the others that are taken for sky.
The recordings stand in ``benchmarks/pointmap.py``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from harness.points import in_the_cube, is_demo_sky, unprojected  # noqa: E402

from ex4d_core.camera import Intrinsics, invert_pose, rotation_from_vector  # noqa: E402
from ex4d_core.demo_scene import CAMERA_MOVES, DemoScene  # noqa: E402
from ex4d_core.demo_scene.arranged import LOOKS  # noqa: E402
from ex4d_core.errors import EX4DError  # noqa: E402
from ex4d_core.pointmap import PointMap  # noqa: E402
from ex4d_core.pointmap.fit import fit_cameras  # noqa: E402
from ex4d_core.pointmap.register import register  # noqa: E402

FRAMES, WIDTH, HEIGHT = 5, 128, 96
NOISE = (0.0, 0.001, 0.002, 0.004)
"""Of a coordinate, in cubes."""
Scene = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Colours (T, H, W, 3) uint8, points (T, H, W, 3) of the world, and which are sky (T, H, W)."""


def lens_of(rng: np.random.Generator) -> Intrinsics:
    focal = float(rng.uniform(0.6, 2.0)) * WIDTH
    return Intrinsics(focal, focal, WIDTH / 2, HEIGHT / 2, WIDTH, HEIGHT)


def outdoors(rng: np.random.Generator, seed: int, tilt: float) -> Scene:
    """A drawn scene, tilted by so many degrees towards the ground."""
    scene = DemoScene(
        WIDTH, HEIGHT, FRAMES, seed=seed, camera=CAMERA_MOVES[seed % len(CAMERA_MOVES)], look=LOOKS[seed % len(LOOKS)]
    )
    tilted, lens = np.eye(4), lens_of(rng)
    tilted[:3, :3] = rotation_from_vector(np.radians([tilt, 0, 0]))
    poses = tilted @ scene.source_cameras()[0]
    colors, depth = scene.clip(poses, lens)
    points = unprojected(depth.double().numpy(), lens, invert_pose(poses))
    return colors.numpy(), points, is_demo_sky(points)


def walled(rng: np.random.Generator, far: float, ceiling: bool) -> Scene:
    """A box seen from within, painted in waves or plain: a room, or without a ceiling a street."""
    lens, half = lens_of(rng), rng.uniform([2, 1.4], [8, 4])
    to_world = np.tile(np.eye(4), (FRAMES, 1, 1))
    to_world[:, :3, :3] = rotation_from_vector(np.linspace(0, 0.08, FRAMES)[:, None] * [0.2, 1.0, 0.0])
    to_world[:, :3, 3] = np.linspace(0, 0.4, FRAMES)[:, None] * [1.0, 0.0, 1.0]
    rays = unprojected(np.ones((FRAMES, HEIGHT, WIDTH)), lens, to_world) - to_world[:, None, None, :3, 3]
    walls = [(2, far), (0, -half[0]), (0, half[0]), (1, half[1]), *([(1, -half[1])] if ceiling else [])]
    with np.errstate(divide="ignore", invalid="ignore"):
        depths = np.stack([(at - to_world[:, None, None, axis, 3]) / rays[..., axis] for axis, at in walls])
    depths = np.where(depths > 0, depths, np.inf)
    points = unprojected(depths.min(0), lens, to_world)
    waves = sum(np.sin(points @ rng.uniform(-size, size, (3, 3))) for size in (2, 5, 9)) / 3
    colors = rng.uniform(60, 200, (len(walls), 3))[depths.argmin(0)] + rng.choice([0, 60]) * waves
    return colors.clip(0, 255).astype(np.uint8), points, np.zeros(points.shape[:3], bool)


def result(rng: np.random.Generator, scene: Scene) -> tuple[float, float] | None:
    """(Share of the sky that is trusted, share of the rest that is taken for sky); None where the map tells no lens."""
    colors, points, sky = scene
    stored = in_the_cube(points, 0.02)[0] + rng.choice(NOISE) * rng.standard_normal(points.shape)
    pointmap = PointMap.from_pictures(torch.from_numpy(stored), torch.from_numpy(colors))
    try:
        cameras = fit_cameras(pointmap)
    except EX4DError:
        return None
    sure = register(pointmap, cameras, find_sky=False).confidence.numpy() > 0
    still = register(pointmap, cameras).confidence.numpy() > 0
    return still[sky].mean() if sky.any() else 0.0, (sure & ~still & ~sky).sum() / max(1, (~sky).sum())


def kinds(rng: np.random.Generator) -> Iterator[tuple[str, Callable[[int], Scene]]]:
    yield "sky", lambda n: outdoors(rng, 500 + n, float(rng.uniform(-20, 15)))
    yield "ground alone", lambda n: outdoors(rng, 700 + n, float(rng.uniform(35, 60)))
    yield "rooms", lambda _: walled(rng, float(rng.uniform(5, 20)), True)
    yield "streets", lambda _: walled(rng, float(rng.uniform(15, 80)), False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=40)
    clips, rng = parser.parse_args().clips, np.random.default_rng(5)
    print(
        "kind: clips | sky still trusted, mean; clips where most is | others taken for sky, mean; clips where over 1 % are"
    )
    for name, make in kinds(rng):
        found = [of for n in range(clips) if (of := result(rng, make(n))) is not None]
        missed, false = np.array(found).T
        print(
            f"{name}: {len(found)} | {missed.mean():.2%}; {(missed > 0.5).sum()} | {false.mean():.2%}; {(false > 0.01).sum()}"
        )
