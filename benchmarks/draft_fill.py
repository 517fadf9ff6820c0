"""The draft fill's time on one thread.

    python benchmarks/draft_fill.py [--size 512] [--frames 49] [--runs 3]

The demo scene along its sweep from -90 to 90 degrees, rendered once; prints milliseconds of processor time a frame, best
and median.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from ex4d_core.commands.bench import demo_clip
from ex4d_core.holes.draft_fill import draft_fill
from ex4d_core.mesh import build_dw_mesh
from ex4d_core.render import render_color_mask
from ex4d_core.trajectory import Trajectory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--frames", type=int, default=49)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    mesh = build_dw_mesh(*demo_clip(args.size, args.size, args.frames))
    path = Trajectory.preset("sweep", frames=args.frames, radius=mesh.radius)
    color, mask, depth = render_color_mask(mesh, path, out_dtype="uint8")
    torch.set_num_threads(1)
    seconds = []
    for _ in range(args.runs + 1):
        start = time.process_time()
        draft_fill(color, mask, depth)
        seconds.append(time.process_time() - start)
    per_frame = [1e3 * value / args.frames for value in seconds[1:]]
    print(
        f"{args.size}x{args.size}: {min(per_frame):.1f} ms a frame at best, median {statistics.median(per_frame):.1f}"
    )


if __name__ == "__main__":
    main()
