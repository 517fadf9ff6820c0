"""Lens, turns, depth and path from point maps: errors on recorded clips with known truth, and what 49 frames of 720x480 cost.

python benchmarks/pointmap.py [--reference FOLDER] [--released]

The recordings are those of the large recorded set (CONTRIBUTING.md). ``--released`` also runs the published registration to its
end and compares it with its own recording (3 minutes on 2 cores).
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ex4d_core.camera import invert_pose  # noqa: E402
from ex4d_core.demo_scene import DemoScene  # noqa: E402
from ex4d_core.pointmap import PointMap  # noqa: E402
from ex4d_core.pointmap.fit import fit_cameras  # noqa: E402
from ex4d_core.pointmap.register import register  # noqa: E402
from ex4d_core.pointmap.released import released_registration  # noqa: E402
from ex4d_core.solve.background import positions_from_background  # noqa: E402

NAMES = ("exact", "noise", "sky")


def turned_off(found: np.ndarray, true: np.ndarray) -> float:
    """Mean degrees between rotations (T, 3, 3)."""
    return float(np.degrees(np.arccos(np.clip((np.einsum("tij,tij->t", found, true) - 1) / 2, -1, 1))).mean())


def on_recordings(folder: Path, released: bool) -> None:
    """A line a recording."""
    from safetensors.numpy import load_file

    print("recording | focal off | depth off | turns off | path off, as a share of the way")
    for name in NAMES:
        data = load_file(folder / "fourdnex" / f"pointmap_{name}.safetensors")
        lens, world = data["true_intrinsics"], data["true_cam_to_world"]
        valid = torch.ones(data["clipped"].shape, dtype=torch.bool)
        points, colors = torch.from_numpy(data["pointmap"]), torch.from_numpy(data["rgb_u8"])
        made = PointMap(points, valid, colors, "cube", 24.0, float(lens[1, 1] / lens[0, 0]))
        cameras = fit_cameras(made)
        depth = register(made, cameras).depth.depth.numpy()
        whole = data["clipped"] == 0
        scale = (data["true_depth"] * depth)[whole].sum() / (depth * depth)[whole].sum()
        off = np.abs(scale * depth / data["true_depth"] - 1)[whole].mean()
        path = positions_from_background(made, cameras).position[-1] * 2 * data["scale"]
        way = world[-1, :3, 3]
        lost = np.linalg.norm(path - way) / np.linalg.norm(way)
        turn = turned_off(cameras.rotation, world[:, :3, :3])
        print(f"{name} | {abs(cameras.lens.fx / lens[0, 0] - 1):.1e} | {off:.1e} | {turn:.1e} deg | {lost:.3f}")
        if released:
            theirs = released_registration(made)
            errors = [
                float(np.abs(ours.numpy() - data[f"released_{key}"]).max())
                for key, ours in (("K", theirs.matrix), ("R", theirs.rotation), ("t", theirs.position))
            ]
            relative = np.abs(theirs.depth.numpy() / data["released_depth"] - 1).max()
            print(
                f"  published registration against its recording: K {errors[0]:.1e} px, R {errors[1]:.1e}, depth {relative:.1e}"
            )


def at_size(frames: int = 49, width: int = 720, height: int = 480) -> None:
    """Seconds of each step at the published size."""
    scene = DemoScene(width, height, frames, camera="dolly")
    colors, depth = scene.clip()
    lens, to_world = scene.intrinsics, invert_pose(scene.source_cameras()[0])
    rays = np.stack(
        [*np.meshgrid((np.arange(width) + 0.5 - lens.cx) / lens.fx, (np.arange(height) + 0.5 - lens.cy) / lens.fy)], -1
    )
    points = torch.empty((frames, height, width, 3))
    for t in range(frames):
        seen = np.concatenate([rays, np.ones((height, width, 1))], -1) * depth[t].numpy()[..., None]
        points[t] = torch.from_numpy(seen @ to_world[t, :3, :3].T + to_world[t, :3, 3])
    steps = [("checked", lambda: PointMap.from_pictures(points, colors, space="world"))]
    made = PointMap.from_pictures(points, colors, space="world")
    steps += [("lens and turns", lambda: fit_cameras(made))]
    cameras = fit_cameras(made)
    steps += [("depth and path", lambda: register(made, cameras, near=2.564))]
    clip = register(made, cameras, near=2.564)
    steps += [("cropped to 512x512", lambda: clip.fitted((512, 512)))]
    print(f"{frames} frames of {width}x{height}, best of three: seconds of processor time, of the clock")
    for name, work in steps:
        times = []
        for _ in range(3):
            start = time.process_time(), time.perf_counter()
            work()
            times.append((time.process_time() - start[0], time.perf_counter() - start[1]))
        processor, clock = np.min(times, axis=0)
        print(f"  {name}: {processor:.2f}, {clock:.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", default=os.environ.get("EX4D_REFERENCE") or ROOT.parent / "shared" / "reference")
    parser.add_argument("--released", action="store_true")
    asked = parser.parse_args()
    if (Path(asked.reference) / "fourdnex").is_dir():
        on_recordings(Path(asked.reference), asked.released)
    at_size()
