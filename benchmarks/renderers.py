"""Every renderer on this machine against numba: a zooming clip along a zooming path, without and with a scene's memory.

    python benchmarks/renderers.py [--size 256] [--frames 17]

To be run on a machine with CUDA, where triton, torch and nvdiffrast draw on the card; those that are not there are told. The
demo scene is filmed by a camera that zooms, the path orbits it and zooms in as well. "mask": share of the picture's pixels
that are seen in one and a hole in the other; "color" and "depth": of pixels seen in both, the share that differs by more than 2
of 255 or by 1 % of the depth; "memory": pixels that came from memory in one of them alone. nvdiffrast moves vertices by up to
1/16 pixel, so that outlines differ. Exits with 1 where more than 1 % differs anywhere.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1]))

from ex4d_core.camera import Intrinsics
from ex4d_core.demo_scene import DemoScene
from ex4d_core.mesh import STYLES, DWMesh, build_dw_mesh
from ex4d_core.render import backend_problem, render_color_mask
from ex4d_core.scene_memory import remember_scene
from ex4d_core.trajectory import Trajectory

MOST = 0.01
"""Share of pixels that may differ."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--frames", type=int, default=17)
    args = parser.parse_args()
    scene = DemoScene(args.size, args.size, args.frames, camera="zoom", visitor=True)
    rgb, depth = scene.clip()
    poses, lenses = scene.source_cameras()
    source = Trajectory(poses, lenses, frame_of_reference="world")
    card = torch.device("cuda") if torch.cuda.is_available() else torch.device("cpu")
    worst = 0.0
    where = torch.cuda.get_device_name() if card.type == "cuda" else "the processor"
    print(f"{args.frames} frames {args.size}x{args.size}, on {where}")
    print("style     memory  renderer    ms a frame    mask    color   depth   memory")
    for style in STYLES:
        mesh = build_dw_mesh(rgb, depth, scene.intrinsics, style=style, source_camera=source)
        path = _path(mesh, scene.intrinsics)
        for memory in (None, remember_scene(mesh, frames=4)):
            options = {"memory": memory, "keep_first_frame": False, "antialias": False, "out_dtype": "uint8"}
            wanted = render_color_mask(mesh, path, backend="numba", **options)
            for name in ("triton", "torch", "nvdiffrast"):
                problem = backend_problem(name)
                if problem is not None:
                    print(f"{style:9} {'yes' if memory else 'no':7} {name:10}  left out: {problem}")
                    continue
                there = replace(mesh, rgb=mesh.rgb.to(card), depth=mesh.depth.to(card))
                render_color_mask(there, path, backend=name, **options)  # compiles
                began = time.perf_counter()
                drawn = [part.cpu() for part in render_color_mask(there, path, backend=name, **options)]
                milliseconds = 1000 * (time.perf_counter() - began) / args.frames
                apart = _apart(drawn, wanted)
                worst = max(worst, *apart)
                told = "  ".join(f"{share:6.3%}" for share in apart)
                print(f"{style:9} {'yes' if memory else 'no':7} {name:10}  {milliseconds:8.1f}      {told}", flush=True)
    print(f"at most {worst:.3%} of the pixels differ")
    sys.exit(worst > MOST)


def _path(mesh: DWMesh, lens: Intrinsics) -> Trajectory:
    """From 0 to 50 degrees around the subject, from the lens to one 1.4 times as long."""
    path = Trajectory.preset("orbit", frames=mesh.frames, angle=50, radius=mesh.radius, frame_of_reference="world")
    grown = [1 + 0.4 * t / max(1, mesh.frames - 1) for t in range(mesh.frames)]
    lenses = tuple(replace(lens, fx=lens.fx * k, fy=lens.fy * k) for k in grown)
    return replace(path, intrinsics=lenses)


def _apart(drawn: list[Tensor], wanted: tuple[Tensor, ...]) -> list[float]:
    """Shares of the picture that differ: mask, colour, depth, and where memory was used."""
    seen = (drawn[1] > 0) & (wanted[1] > 0)
    color = (drawn[0].int() - wanted[0].int()).abs().amax(-1) > 2
    depth = (drawn[2] - wanted[2]).abs() > 0.01 * wanted[2]
    parts = [(drawn[1] > 0) ^ (wanted[1] > 0), seen & color, seen & depth]
    parts += [(drawn[3] > 0) ^ (wanted[3] > 0)] if len(wanted) > 3 else []
    return [float(part.float().mean()) for part in parts]


if __name__ == "__main__":
    main()
