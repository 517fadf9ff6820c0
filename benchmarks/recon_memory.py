"""Peak memory and time of the command line's main job on the CPU: a long, large clip through ``recon``.

    python benchmarks/recon_memory.py [--frames 81] [--size 1024x576] [--runs 3] [--output FILE]

The demo scene is written as a video and an .npz of depth. Each run is a process of its own, from its start to the files
on disk, along one path with everything saved: videos, lossless frames, mesh, camera and depth.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SAVED = ["--save_frames", "--save_mesh", "--save_camera", "--save_depth"]


def make_clip(folder: str, frames: str, width: str, height: str) -> None:
    """clip.mp4 and depth.npz of the demo scene."""
    sys.path.insert(0, str(ROOT))
    import numpy as np

    from ex4d_core.demo_scene import DemoScene
    from ex4d_core.video import save_video

    rgb, depth = DemoScene(int(width), int(height), int(frames)).clip()
    save_video(Path(folder) / "clip.mp4", rgb, 15)
    np.savez(Path(folder) / "depth.npz", depth=depth.numpy())


def measure(command: list[str]) -> dict[str, float]:
    """Run a command; its wall time, CPU time and largest resident set."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    told = process.stderr.read()
    # wait4 tells of this one process. A child starts with its parent's peak, so this script loads nothing large itself.
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(told)
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "peak_rss_gb": round(used.ru_maxrss * unit / 1e9, 3),
        "seconds": round(seconds, 2),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
    }


def main() -> None:
    """Write the clip, measure, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=81)
    parser.add_argument("--size", default="1024x576")
    parser.add_argument("--cam", default="90")
    parser.add_argument("--backend", default="numba")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--output", help="file for the JSON")
    args = parser.parse_args()
    width, height = args.size.split("x")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, __file__, "--make", folder, str(args.frames), width, height], check=True)
        job = ["--input_video", f"{folder}/clip.mp4", "--depth", f"{folder}/depth.npz", "--size", args.size]
        job += ["--num_frames", str(args.frames), "--cam", args.cam, "--backend", args.backend, "--device", "cpu"]
        runs = [
            measure([sys.executable, "-m", "ex4d_core", "recon", *job, *SAVED, "--output_dir", f"{folder}/{run}"])
            for run in range(args.runs)
        ]
    result = {
        "job": f"recon of {args.frames} frames {args.size}, path {args.cam}, {args.backend}, {' '.join(SAVED)}",
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "peak_rss_gb": max(run["peak_rss_gb"] for run in runs),
        "seconds": min(run["seconds"] for run in runs),
        "runs": runs,
    }
    text = json.dumps(result, indent=1)
    print(text)
    if args.output:
        Path(args.output).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--make"]:
        make_clip(*sys.argv[2:6])
    else:
        main()
