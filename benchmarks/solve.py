"""How well and how fast the source camera is solved: errors against the demo scene's exact cameras, by depth noise.

    python benchmarks/solve.py [--size 512] [--frames 49] [--noise 0 0.02 0.05 0.1] [--flicker 0] [--moves handheld dolly]

Rotation in degrees, position in percent of the scene's radius (nearest depth of frame 0 plus 0.15): median and largest
over the frames. Noise is white: every sample of the depth is multiplied by exp(noise * a normal number), every frame's by
exp(flicker * one). The time is that of the solve alone, points followed included.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from ex4d_core.camera import invert_pose
from ex4d_core.demo_scene import CAMERA_MOVES, DemoScene
from ex4d_core.published import PIVOT_MARGIN
from ex4d_core.solve import Solution, solve_source_camera


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--frames", type=int, default=49)
    parser.add_argument("--noise", type=float, nargs="+", default=[0.0, 0.02, 0.05, 0.1])
    parser.add_argument("--flicker", type=float, default=0.0)
    parser.add_argument("--moves", nargs="+", choices=CAMERA_MOVES, default=list(CAMERA_MOVES))
    args = parser.parse_args()
    print("move        noise   rotation median, most   position median, most   residual  points  seconds")
    for move in args.moves:
        scene = DemoScene(args.size, args.size, args.frames, samples=2, camera=move)
        rgb, depth = scene.clip()
        radius = float(depth[0].min()) + PIVOT_MARGIN
        for noise in args.noise:
            noisy = disturbed(depth, noise, args.flicker)
            started = time.perf_counter()
            solution = solve_source_camera(rgb, noisy, scene.intrinsics)
            seconds = time.perf_counter() - started
            if solution.trouble is not None:
                print(f"{move:<11} {noise:>5.0%}   {solution.trouble} ({seconds:.1f} s)", flush=True)
                continue
            turn, away = errors(solution, scene, radius)
            print(
                f"{move:<11} {noise:>5.0%}   {np.median(turn):.4f}, {turn.max():.4f} deg      {np.median(away):.3f}, "
                f"{away.max():.3f} %          {solution.residual:.2f} px   {int(solution.still.sum()):>4}    {seconds:.1f}",
                flush=True,
            )


def disturbed(depth: torch.Tensor, noise: float, flicker: float) -> torch.Tensor:
    """Depth with errors; frame 0 keeps its scale, which is the unit."""
    draw = torch.Generator().manual_seed(1)
    steps = flicker * torch.randn((len(depth), 1, 1), generator=draw)
    steps[0] = 0
    return depth * torch.exp(noise * torch.randn(depth.shape, generator=draw) + steps)


def errors(solution: Solution, scene: DemoScene, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Degrees and percent of the radius at every frame but the first."""
    truth, _ = scene.source_cameras()
    found = solution.camera.world_to_camera.astype(np.float64)
    turn = found[:, :3, :3] @ np.swapaxes(truth[:, :3, :3], 1, 2)
    angle = np.degrees(np.arccos(np.clip((np.trace(turn, axis1=1, axis2=2) - 1) / 2, -1, 1)))
    away = np.linalg.norm(invert_pose(found)[:, :3, 3] - invert_pose(truth)[:, :3, 3], axis=1)
    return angle[1:], 100 * away[1:] / radius


if __name__ == "__main__":
    main()
