"""What a clip's mesh weighs and takes as 3D files: the demo scene, on the processor.

    python benchmarks/assets.py [--frames 49] [--side 512] [--faces 40000]

Prints a table: size, seconds of processor time, memory beside the clip's own, faces, and how much of the seen surface they cover.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "tests"))

from harness.peak import growth

from ex4d_core.assets.export import AssetOptions, save_asset
from ex4d_core.demo_scene import DemoScene
from ex4d_core.mesh import build_dw_mesh
from ex4d_core.trajectory import Trajectory

ROWS = (("glb", "each frame"), ("glb", "one picture"), ("ply sequence", "each frame"), ("obj + mdd", "one picture"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=49)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--faces", type=int, default=40_000)
    args = parser.parse_args()
    scene = DemoScene(args.side, args.side, args.frames)
    mesh = build_dw_mesh(*scene.clip(), scene.intrinsics)
    path = Trajectory.preset("30", frames=args.frames, radius=mesh.radius)
    print(f"{args.frames} frames of {args.side}x{args.side}, {args.faces} faces at most")
    print("| format | colours | MB | CPU s | memory MB | faces | seen surface kept |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for format, colors in ROWS:
        with tempfile.TemporaryDirectory() as folder, growth() as grown:
            started = time.process_time()
            options = AssetOptions(args.faces, colors)
            written = save_asset(Path(folder) / "clip", mesh, path, format=format, options=options)
            seconds = time.process_time() - started
        memory = "?" if grown.bytes is None else f"{grown.bytes / 1e6:.0f}"
        size = f"{written.bytes / 1e6:.1f} | {seconds:.1f} | {memory}"
        print(f"| {format} | {colors} | {size} | {written.faces} | {written.kept:.2%} |")


if __name__ == "__main__":
    main()
