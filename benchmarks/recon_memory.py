"""Peak memory and time of the command line's main job on the CPU: a long, large clip through ``recon``.

    python benchmarks/recon_memory.py [--frames 81] [--size 1024x576] [--runs 3] [--memory normal] [--output FILE]

The demo scene is written as a video and an .npz of depth; a clip of more than 49 frames plays it back and forth. Each
run is a process of its own, from its start to the files on disk, along one path with everything saved: videos, lossless
frames, mesh, camera and depth. Beside the largest resident set stands, on Linux, the largest part of it that no file lies
behind: what the system cannot take back. With --memory holes are filled from other frames, and the videos alone are saved.
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
LONGEST = 49
"""Frames of the demo scene that are drawn."""
SAVED = ["--save_frames", "--save_mesh", "--save_camera", "--save_depth"]


def make_clip(folder: str, frames: str, width: str, height: str) -> None:
    """clip.mp4 and depth.npz of the demo scene."""
    sys.path.insert(0, str(ROOT))
    from ex4d_core.demo_scene import DemoScene
    from ex4d_core.storage.npz import NpzWriter
    from ex4d_core.video import save_video

    count = int(frames)
    drawn = min(count, LONGEST)
    rgb, depth = DemoScene(int(width), int(height), drawn).clip()
    there_and_back = [*range(drawn), *range(drawn - 2, 0, -1)]
    shown = [there_and_back[frame % len(there_and_back)] for frame in range(count)]
    save_video(Path(folder) / "clip.mp4", (rgb[frame] for frame in shown), 15)
    with NpzWriter(Path(folder) / "depth.npz") as archive:
        archive.begin("depth", (count, *depth.shape[1:]), "float32")
        for frame in shown:
            archive.write(depth[frame].numpy())


def own_memory(process: subprocess.Popen) -> list[float]:
    """GB that no file lies behind, now; nothing where the system does not tell."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    except OSError:
        return []
    return [int(line.split()[1]) * 1024 / 1e9 for line in status.splitlines() if line.startswith("RssAnon")]


def exited(process: subprocess.Popen) -> bool:
    """Whether it has ended; it can still be waited for."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def measure(command: list[str]) -> dict[str, float]:
    """Run a command; its wall time, CPU time and largest resident set."""
    begin = time.perf_counter()
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=errors, text=True)
        own: list[float] = []
        while not exited(process):
            own += own_memory(process)
            time.sleep(0.05)
        # wait4 tells of this one process. A child starts with its parent's peak, so this script loads nothing large itself.
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            sys.exit(errors.read())
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "peak_rss_gb": round(used.ru_maxrss * unit / 1e9, 3),
        "peak_own_gb": round(max(own, default=float("nan")), 3),
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
    parser.add_argument("--memory", help="strictness of the scene's memory")
    parser.add_argument("--output", help="file for the JSON")
    args = parser.parse_args()
    width, height = args.size.split("x")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, __file__, "--make", folder, str(args.frames), width, height], check=True)
        job = ["--input_video", f"{folder}/clip.mp4", "--depth", f"{folder}/depth.npz", "--size", args.size]
        job += ["--num_frames", str(args.frames), "--cam", args.cam, "--backend", args.backend, "--device", "cpu"]
        extra = ["--memory", args.memory] if args.memory else SAVED
        runs = [
            measure([sys.executable, "-m", "ex4d_core", "recon", *job, *extra, "--output_dir", f"{folder}/{run}"])
            for run in range(args.runs)
        ]
    result = {
        "job": f"recon of {args.frames} frames {args.size}, path {args.cam}, {args.backend}, {' '.join(extra)}",
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "peak_rss_gb": max(run["peak_rss_gb"] for run in runs),
        "peak_own_gb": max(run["peak_own_gb"] for run in runs),
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
