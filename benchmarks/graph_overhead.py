"""What a graph costs over bare ex4d_core calls, and what the pack costs a host's start.

    python benchmarks/graph_overhead.py [--frames 49] [--size 512] [--repeats 5] [--output FILE]

The job: a video file -> frames, disparity pictures -> depth -> mesh -> colour, mask and depth along the 90 degree path.
Bare: the same calls on the same data in this process, without previews, until their memory is free again (a graph's run
frees what the run before it left). Graph: the nodes in a real server, from queueing to the end, with all their previews;
every run changes the start frame by one, so that nothing comes from the cache. Before each run both rest.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import torch  # noqa: E402
from harness import hosts  # noqa: E402
from harness.server import Server  # noqa: E402

SPARE = 16
"""Frames that the clips have beyond the job."""
REST = 1.5
"""Seconds before each run, in which the server tidies up after the one before."""


def make_clips(folder: Path, frames: int, size: int) -> None:
    """clip.mp4 and its disparity as a video, a few frames longer than the job."""
    from ex4d_core.demo_scene import DemoScene
    from ex4d_core.video import save_video

    rgb, depth = DemoScene(size, size, frames).clip()
    disparity = 1 / depth
    disparity = (disparity - disparity.min()) / (disparity.max() - disparity.min())
    repeated = torch.arange(frames + SPARE) % frames
    save_video(folder / "clip.mp4", rgb[repeated], 15)
    save_video(folder / "disparity.mp4", disparity[repeated], 15)


def bare(folder: Path, start: int, frames: int, size: int) -> None:
    """One run without a host."""
    from ex4d_core.depth import DepthClip, brightness, depth_from_disparity
    from ex4d_core.mesh import build_dw_mesh
    from ex4d_core.render import render_color_mask
    from ex4d_core.trajectory import Trajectory
    from ex4d_core.video import load_video

    clip = load_video(folder / "clip.mp4", start=start, count=frames, size=(size, size))
    images = clip.images()
    pictures = load_video(folder / "disparity.mp4", start=start, count=frames, size=(size, size)).images()
    depth = DepthClip(depth_from_disparity(brightness(pictures)))
    mesh = build_dw_mesh(images, depth.depth)
    trajectory = Trajectory.preset("90", frames=frames, radius=mesh.radius).for_scene(mesh.intrinsics)
    render_color_mask(mesh, trajectory)


def bare_seconds(folder: Path, start: int, frames: int, size: int) -> float:
    """One run without a host until its memory is free again, as a graph's run frees that of the run before it."""
    begin = time.perf_counter()
    bare(folder, start, frames, size)
    return time.perf_counter() - begin


def graph(start: int, frames: int, size: int) -> dict:
    """The same job as a prompt."""
    load = {"start": start, "frames": frames, "fps": 0.0, "width": size, "height": size, "fit": "crop"}
    mesh = {"style": "released", "min_angle": 2.5, "depth_jump": 0.013, "focal": 0.0, "border_depth": 0.0}
    path = {"preset": "90", "angle": 90.0, "distance": 0.5, "turns": 2.0, "rise": 0.2, "follow": 0.0, "ease": "linear"}
    path |= {"frames": 0, "fps": 15.0, "scale": 1.0, "file": "none"}
    render = {"backend": "auto", "width": 0, "height": 0, "first_frame": "auto", "supersample": 1}
    return {
        "clip": {"class_type": "EX4DLoadVideo", "inputs": load | {"file": "clip.mp4"}},
        "pictures": {"class_type": "EX4DLoadVideo", "inputs": load | {"file": "disparity.mp4"}},
        "depth": {
            "class_type": "EX4DDepthFromImage",
            "inputs": {"images": ["pictures", 0], "kind": "disparity", "near": 2.564, "far": 100.0},
        },
        "mesh": {"class_type": "EX4DBuildDWMesh", "inputs": mesh | {"images": ["clip", 0], "depth": ["depth", 0]}},
        "path": {"class_type": "EX4DCameraTrajectory", "inputs": path | {"mesh": ["mesh", 0]}},
        "render": {
            "class_type": "EX4DRenderColorMask",
            "inputs": render | {"mesh": ["mesh", 0], "trajectory": ["path", 0]},
        },
    }


def start_seconds(host: hosts.Host, folder_name: str | None, repeats: int) -> float:
    """The shortest time from starting the process to its first answer."""
    times = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as base:
            begin = time.perf_counter()
            with Server(host, Path(base), folder_name, test_nodes=False):
                times.append(time.perf_counter() - begin)
    return min(times)


def measure_host(host: hosts.Host, frames: int, size: int, repeats: int) -> dict:
    """Graph against bare calls on one host, run in turns, so that both meet the same machine."""
    with tempfile.TemporaryDirectory() as base, Server(host, Path(base)) as server:
        make_clips(server.input, frames, size)
        client = server.client
        client.queue(graph(SPARE - 1, frames, size)).ok()
        bare(server.input, SPARE - 1, frames, size)
        bare_times, graph_times = [], []
        for start in range(repeats):
            time.sleep(REST)
            bare_times.append(bare_seconds(server.input, start % SPARE, frames, size))
            time.sleep(REST)
            graph_times.append(client.queue(graph(start % SPARE, frames, size)).ok().seconds)
    return {
        "bare_s": {"min": min(bare_times), "median": statistics.median(bare_times)},
        "graph_s": {"min": min(graph_times), "median": statistics.median(graph_times)},
        "overhead_of_min": min(graph_times) / min(bare_times) - 1,
        "overhead_of_median": statistics.median(graph_times) / statistics.median(bare_times) - 1,
    }


def main() -> None:
    """Measure every host found and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=49)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--starts", type=int, default=0, help="also measure the host's start, this often")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    report = {}
    for host in hosts.find_hosts():
        report[host.version] = measure_host(host, options.frames, options.size, options.repeats)
        if options.starts:
            with_pack, without = (start_seconds(host, name, options.starts) for name in ("ComfyUI-EX4D", None))
            report[host.version]["start_s"] = {"with": with_pack, "without": without, "difference": with_pack - without}
    text = json.dumps(report, indent=2)
    print(text)
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
