"""How well the trackers follow points of the demo scene, whose tracks are exact, and how long they take.

    python benchmarks/trackers.py [--size 512 --frames 25 --points 24]
    python benchmarks/trackers.py --learned cotracker co-tracker/ scaled_offline.pth --learned tapir tapnet/ bootstapir.pt

The scene stands still and the camera moves, so that depth and poses give every point's place, and whether something stands
before it, in every frame. Printed are TAP-Vid's measures (delta_avg, occlusion accuracy, average Jaccard) and seconds a frame.
"""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ex4d_core.demo_scene import SUBJECT, DemoScene
from ex4d_core.errors import EX4DError
from ex4d_core.training.masks.blocks import grid_points
from ex4d_core.training.masks.rendering import orbit
from ex4d_core.training.trackers import TRACKERS, Tracks, choose_tracker, load_tracker
from ex4d_core.training.trackers.grade import grade

TOLERANCE = 0.02
"""Share of the depth by which a surface may lie before a point and still be the point's own."""


def exact_tracks(scene: DemoScene, poses: np.ndarray, points: np.ndarray, start: int) -> tuple[np.ndarray, Tracks]:
    """Frames of the scene standing still, and where points of one of them are in all."""
    lens = scene.intrinsics
    pictures = [scene.frame(0, pose) for pose in poses.astype(np.float64)]
    depths = np.stack([depth.numpy() for _, depth in pictures])
    column, row = points.astype(int).T
    z = depths[start, row, column].astype(np.float64)
    rays = np.stack(
        [(points[:, 0] - lens.cx) / lens.fx, (points[:, 1] - lens.cy) / lens.fy, np.ones(len(points))], axis=-1
    )
    camera = np.concatenate([rays * z[:, None], np.ones((len(points), 1))], axis=1)
    world = camera @ np.linalg.inv(poses[start].astype(np.float64)).T
    path, seen = [], []
    for pose, depth in zip(poses.astype(np.float64), depths):
        x, y, far, _ = (world @ pose.T).T
        place = np.stack([lens.fx * x / far + lens.cx, lens.fy * y / far + lens.cy], axis=-1)
        inside = (place >= 0).all(1) & (place < [scene.width, scene.height]).all(1) & (far > 0)
        at = np.clip(place, 0, [scene.width - 1, scene.height - 1]).astype(int)
        path.append(place)
        seen.append(inside & (far <= depth[at[:, 1], at[:, 0]] * (1 + TOLERANCE)))
    frames = np.stack([rgb.numpy() for rgb, _ in pictures])
    return frames, Tracks(np.float32(path), np.array(seen))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--frames", type=int, default=25)
    parser.add_argument("--points", type=int, default=24, help="along a side")
    parser.add_argument("--angle", type=float, default=20.0, help="degrees that the camera goes to either side")
    parser.add_argument("--learned", nargs=3, action="append", default=[], metavar=("NAME", "CHECKOUT", "WEIGHTS"))
    parser.add_argument("--device", default="cpu", help="of learned trackers")
    args = parser.parse_args()
    scene = DemoScene(args.size, args.size, args.frames, samples=2)
    poses = orbit(np.linspace(-args.angle, args.angle, args.frames), SUBJECT[2]).world_to_camera
    start = args.frames // 2
    points = grid_points(args.points, args.size, args.size)
    frames, truth = exact_tracks(scene, poses, points, start)
    print(
        f"{len(points)} points, {args.frames} frames of {args.size}x{args.size}, {truth.seen.mean():.0%} of them visible"
    )
    print("tracker   delta_avg      OA      AJ   s a frame")
    wanted = {name: partial(choose_tracker, name) for name in TRACKERS}
    wanted |= {each[0]: partial(load_tracker, *each, args.device) for each in args.learned}
    for name, load in wanted.items():
        try:
            tracker = load()
        except EX4DError as error:
            print(f"{name:<8}  {error}")
            continue
        tracker(frames[:2], points[:4], 0)  # what is loaded on first use is not measured
        began = time.perf_counter()
        found = grade(tracker(frames, points, start), truth, (args.size, args.size), start)
        seconds = (time.perf_counter() - began) / args.frames
        print(
            f"{name:<8} {found.delta_avg:10.3f} {found.occlusion_accuracy:7.3f} {found.average_jaccard:7.3f} {seconds:10.3f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
