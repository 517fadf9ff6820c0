"""Measure the geometry's speed on this machine.

From depth and colour in memory over the mesh to uint8 colour and mask of a whole camera path. Uses the demo scene, so
nothing has to be downloaded. Prints milliseconds a frame; --json keeps every run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import Cancelled
from ..published import BORDER_DEPTH
from ..storage.staging import staged_file
from .console import ProgressBar, interrupted
from .flags import add_renderer, check_file, check_renderer, size, whole

if TYPE_CHECKING:
    from torch import Tensor

    from ..mesh import Style
    from ..render import BackendChoice
    from ..trajectory import Trajectory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    from ..mesh import STYLES
    from ..video.fit import LARGEST_SIDE, SMALLEST_SIDE

    add = parser.add_argument
    sizes = size(SMALLEST_SIDE, LARGEST_SIDE)
    add("--size", nargs="+", type=sizes, default=[(512, 512)], metavar="WxH", help="one or more (default 512x512)")
    add("--frames", type=whole(1), default=49, help="frames of clip and path (default 49)")
    add("--style", nargs="+", choices=STYLES, default=["released"], help="one or more (default released)")
    add("--cam", default="sweep", help="camera path, any preset (default sweep: 0, -90 .. 90 degrees)")
    add_renderer(add, several=True)
    add("--runs", type=whole(1), default=5, help="warm runs, of which the median counts (default 5)")
    add("--json", help="file for the full result")


def run(args: argparse.Namespace) -> int:
    """Measure every combination asked for."""
    from ..trajectory import preset_document

    preset_document(args.cam)  # refuses an unknown one
    for backend in args.backend:
        check_renderer(backend, args.device)
    if args.json is not None:
        check_file("--json", Path(args.json))
    results = []
    for width, height in args.size:
        rgb, depth = demo_clip(width, height, args.frames)
        for style, backend in product(args.style, args.backend):
            result = measure(rgb, depth, cam=args.cam, style=style, backend=backend, device=args.device, runs=args.runs)
            results.append(result)
            print(line(result))
    if args.json is not None:
        with staged_file(args.json) as part:
            part.write_text(json.dumps({"machine": machine(), "results": results}, indent=1) + "\n", encoding="utf-8")
    return 0


def demo_clip(width: int, height: int, frames: int) -> tuple[Tensor, Tensor]:
    """The demo scene as colour (T, H, W, 3) uint8 and depth (T, H, W) on the CPU."""
    from ..demo_scene import DemoScene

    with ProgressBar(f"drawing {frames} frames of {width}x{height}") as bar:
        return DemoScene(width, height, frames).clip(progress=bar, cancel=interrupted)


def measure(
    rgb: Tensor,
    depth: Tensor,
    *,
    cam: str = "sweep",
    style: Style = "released",
    backend: BackendChoice = "auto",
    device: str | None = None,
    runs: int = 5,
) -> dict[str, Any]:
    """Time the chain from tensors to tensors.

    Args:
        rgb: (T, H, W, 3) uint8 colours; moved to ``device`` before the clock starts.
        depth: (T, H, W) float32 planar depth, likewise.
        cam: preset of the camera path.
        style: mesh style.
        backend: rendering backend.
        device: where clip and result lie; None = CPU.
        runs: warm runs; one more run goes before them.

    Returns:
        Settings, "build", "render" and "total" in milliseconds a frame (median of the warm runs, with "best" for the
        smallest total), "first_run" in seconds, every warm total, and the share of pixels seen.
    """
    import torch

    from ..mesh import build_dw_mesh
    from ..render import choose_backend
    from ..trajectory import Trajectory

    if device is not None:
        rgb, depth = rgb.to(device), depth.to(device)
    frames, height, width = depth.shape
    mesh = build_dw_mesh(rgb, depth, style=style, border_depth=BORDER_DEPTH)
    trajectory = Trajectory.preset(cam, frames=frames, radius=mesh.radius)
    name = choose_backend(backend, mesh, device)
    if depth.is_cuda:
        torch.cuda.reset_peak_memory_stats()
    timed = [_timed(rgb, depth, trajectory, style=style, backend=name, device=device) for _ in range(runs + 1)]
    build, render, seen = (list(values) for values in zip(*timed))
    totals = [b + r for b, r in zip(build[1:], render[1:])]
    per_frame = 1e3 / frames
    return {
        "size": f"{width}x{height}",
        "frames": frames,
        "cam": cam,
        "style": style,
        "backend": name,
        "device": str(depth.device),
        "build": statistics.median(build[1:]) * per_frame,
        "render": statistics.median(render[1:]) * per_frame,
        "total": statistics.median(totals) * per_frame,
        "best": min(totals) * per_frame,
        "first_run": build[0] + render[0],
        "totals": [t * per_frame for t in totals],
        "seen": seen[-1],
        "gpu_memory_gib": torch.cuda.max_memory_allocated() / 2**30 if depth.is_cuda else None,
    }


def _timed(
    rgb: Tensor, depth: Tensor, trajectory: Trajectory, *, style: Style, backend: BackendChoice, device: str | None
) -> tuple[float, float, float]:
    """Seconds that building and rendering take once, and the share of pixels seen."""
    import torch

    from ..mesh import build_dw_mesh
    from ..render import render_color_mask

    if interrupted():
        raise Cancelled
    wait: Callable[[], None] = torch.cuda.synchronize if depth.is_cuda else lambda: None
    wait()
    start = time.perf_counter()
    mesh = build_dw_mesh(rgb, depth, style=style, border_depth=BORDER_DEPTH)
    wait()
    middle = time.perf_counter()
    _, mask, _ = render_color_mask(mesh, trajectory, backend=backend, device=device, out_dtype="uint8")
    wait()
    end = time.perf_counter()
    return middle - start, end - middle, float((mask > 0).float().mean())


def line(result: dict[str, Any]) -> str:
    """One result for people."""
    clip = result["total"] * result["frames"] / 1e3
    return (
        f"{result['size']} x {result['frames']} {result['cam']} {result['style']:<8} {result['backend']:<10} "
        f"{result['device']:<7} {result['total']:6.2f} ms a frame (build {result['build']:.2f}, "
        f"render {result['render']:.2f}, best {result['best']:.2f}), clip {clip:.3f} s"
    )


def machine() -> dict[str, Any]:
    """What the numbers depend on."""
    import torch

    from ..render import available_backends

    return {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "backends": available_backends(),
    }


def _processor() -> str:
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1] if found else platform.processor()
