"""What `ex4d batch` costs above its jobs: the same jobs, done by plain processes that each take their share of them.

Both sides do JOBS recon jobs of 9 frames at 256x256 on WORKERS processes of one thread each. "Pure" is a process that imports
the package and calls the command for each job, one after the other, with nothing around it; each has its share from the
start. Told are the seconds by the clock and the processor seconds of all processes, from start to end, imports included.
On a machine that does other work too only ratios within one run mean something: the sides take turns.

    python benchmarks/batch.py --jobs 200 --workers 2 --rounds 1
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

FRAMES, SIDE = 9, 256
PLAIN = """
import json, sys
from ex4d_core.commands.cli import load_command
command, parser = load_command("recon")
for line in open(sys.argv[1]).read().splitlines()[int(sys.argv[2])::int(sys.argv[3])]:
    values = json.loads(line)
    del values["command"]
    assert command.run(parser.parse_args(parser.words(values))) == 0
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_scene(folder)
        for number in range(args.rounds):
            sides = {"pure": pure, "batch": batch}
            taken = {
                side: measured(sides[side], folder / f"{number}_{side}", folder, args)
                for side in (sides if number % 2 == 0 else reversed(sides))
            }
            for side in sides:
                print(f"{side:>6}: {taken[side][0]:7.1f} s by the clock, {taken[side][1]:7.1f} s of processor")
            clock, processor = (taken["batch"][n] / taken["pure"][n] for n in (0, 1))
            print(f" ratio: {clock:7.3f}                 {processor:7.3f}", flush=True)


def write_scene(folder: Path) -> None:
    """A clip and its depth; the demo scene's."""
    import numpy as np

    from ex4d_core import save_video
    from ex4d_core.demo_scene import DemoScene

    colors, depth = DemoScene(SIDE, SIDE, FRAMES).clip()
    save_video(folder / "clip.mp4", colors, 15)
    np.savez(folder / "depth.npz", depth=depth.numpy())


def jobs(out: Path, folder: Path, count: int) -> Path:
    """A file of jobs: one clip along many paths, each into a folder of its own."""
    out.mkdir()
    path = out / "jobs.jsonl"
    lines = [
        {
            "command": "recon",
            "input_video": str(folder / "clip.mp4"),
            "depth": str(folder / "depth.npz"),
            "num_frames": FRAMES,
            "size": f"{SIDE}x{SIDE}",
            "cam": [f"orbit:angle={-90 + 180 * number / count:.2f}"],
            "output_dir": str(out / f"{number}"),
        }
        for number in range(count)
    ]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    return path


def pure(path: Path, workers: int) -> None:
    """Plain processes, each with its share."""
    limits = dict.fromkeys(("EX4D_CORES", "OMP_NUM_THREADS"), "1")
    environment = {**os.environ, **limits, "PYTHONPATH": str(ROOT)}
    running = [
        subprocess.Popen([sys.executable, "-c", PLAIN, path, str(number), str(workers)], env=environment, **QUIET)
        for number in range(workers)
    ]
    if any(process.wait() for process in running):
        raise SystemExit("a plain process failed")


def batch(path: Path, workers: int) -> None:
    """The command."""
    environment = {**os.environ, "EX4D_CORES": str(workers), "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", "ex4d_core", "batch", str(path), "--workers", str(workers)]
    subprocess.run(words, env=environment, check=True, **QUIET)


QUIET: dict = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def measured(side, out: Path, folder: Path, args: argparse.Namespace) -> tuple[float, float]:
    """Seconds by the clock, and of the processor in all processes that were started."""
    path = jobs(out, folder, args.jobs)
    before, began = processor_seconds(), time.perf_counter()
    side(path, args.workers)
    return time.perf_counter() - began, processor_seconds() - before


def processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
