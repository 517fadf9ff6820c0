"""What a scene's memory shows, how much of it is wrong, and what it costs: against the demo scene's exact truth.

    python benchmarks/memory.py [--size 512] [--frames 49] [--moves handheld dolly locked-off] [--noise 0] [--solve]
        [--style paper] [--strictness normal] [--backend auto] [--times 3] [--quick]

A camera that orbits the subject by 30, 60 and 90 degrees to both sides looks at a few frames of the clip. "without" and
"with" are shares of the still surfaces that some frame of the clip sees, by exact visibility, and that the render shows within
2 % of their depth. "new": share of the picture that came from memory; "wrong": of these, another depth than the truth;
"ghosts": share of the picture that shows, from memory, what moves anywhere in the clip (a cart rests for half of it);
"PSNR": of new pixels two pixels inside. Times are CPU seconds of this process, the ratio that of the same path rendered with and
without in turn. --noise multiplies every sample of the depth by exp(noise * a normal number); --solve takes our own solve
instead of the exact poses. --quick grades nothing and only measures time, also on a GPU (--backend torch, triton or nvdiffrast).
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from ex4d_core.demo_scene import CAMERA_MOVES, DemoScene
from ex4d_core.evaluation.memory import MemoryGrade, Seen, grade_memory, seen_by_all
from ex4d_core.mesh import DWMesh, build_dw_mesh
from ex4d_core.render import BACKEND_CHOICES, render_color_mask
from ex4d_core.scene_memory import STRICTNESS, SceneMemory, remember_scene
from ex4d_core.solve import solve_source_camera
from ex4d_core.trajectory import Trajectory

ANGLES = (-90, -60, -30, 30, 60, 90)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--frames", type=int, default=49)
    parser.add_argument("--moves", nargs="+", choices=CAMERA_MOVES, default=["locked-off", "handheld", "dolly"])
    parser.add_argument("--noise", type=float, nargs="+", default=[0.0])
    parser.add_argument("--solve", action="store_true")
    parser.add_argument("--style", default="paper")
    parser.add_argument("--strictness", choices=STRICTNESS, default="normal")
    parser.add_argument("--backend", choices=BACKEND_CHOICES, default="auto")
    parser.add_argument("--times", type=int, default=3, help="frames of the clip that are graded")
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    for move in args.moves:
        scene = DemoScene(args.size, args.size, args.frames, samples=2, camera=move, visitor=True)
        source = scene.clip()
        shown = np.unique(np.linspace(0, args.frames - 1, args.times).astype(int)).tolist()
        truths = None if args.quick else {a: _truths(scene, source, a, shown) for a in ANGLES}
        for noise in args.noise:
            mesh = _mesh(scene, source, noise, args)
            cpu, wall = time.process_time(), time.perf_counter()
            memory = remember_scene(mesh, strictness=args.strictness)
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            print(
                f"{move}, depth noise {noise:.0%}, {args.style} style: prepared in {cpu:.1f} s of CPU, {wall:.1f} s; "
                f"{len(memory.frames)} frames, {len(memory.layer.points) / args.size**2:.2f} points a pixel; "
                f"{_ratio(mesh, memory, args)}",
                flush=True,
            )
            if truths is not None:
                _table(scene, mesh, memory, truths, shown, args)


def _mesh(
    scene: DemoScene, source: tuple[torch.Tensor, torch.Tensor], noise: float, args: argparse.Namespace
) -> DWMesh:
    rgb, depth = source
    draw = torch.Generator().manual_seed(1)
    depth = depth * torch.exp(noise * torch.randn(depth.shape, generator=draw))
    camera = None
    if scene.camera != "locked-off":
        poses, lenses = scene.source_cameras()
        camera = Trajectory(poses, lenses if scene.camera == "zoom" else None, frame_of_reference="world")
        if args.solve:
            solution = solve_source_camera(rgb, depth, scene.intrinsics)
            camera = solution.camera if solution.trouble is None else None
    mesh = build_dw_mesh(rgb, depth, scene.intrinsics, style=args.style, source_camera=camera)
    if args.backend in ("nvdiffrast", "torch", "triton") and torch.cuda.is_available():
        mesh = replace(mesh, rgb=mesh.rgb.cuda(), depth=mesh.depth.cuda())
    return mesh


def _pose(scene: DemoScene, angle: float) -> np.ndarray:
    nearest = float(scene.frame(0)[1].min()) + 0.15
    return Trajectory.preset("orbit", frames=2, angle=angle, radius=nearest).world_to_camera[1].astype(np.float64)


def _truths(scene: DemoScene, source: tuple[torch.Tensor, torch.Tensor], angle: int, shown: list[int]) -> list[Seen]:
    return [seen_by_all(scene, source, t, _pose(scene, angle)) for t in shown]


def _table(
    scene: DemoScene,
    mesh: DWMesh,
    memory: SceneMemory,
    truths: dict[int, list[Seen]],
    shown: list[int],
    args: argparse.Namespace,
) -> None:
    still = torch.stack([scene.still(t) for t in range(scene.frames)]).reshape(-1)
    flags = (~still[memory.layer.source.cpu()]).to(torch.uint8)[:, None].expand(-1, 3) * 255
    flagged = replace(memory, layer=replace(memory.layer, colors=flags.contiguous().to(mesh.device)))
    print(" angle  without   with    best     new   wrong   ghosts   PSNR")
    total = MemoryGrade()
    for angle, seen in truths.items():
        poses = np.repeat(_pose(scene, angle)[None], len(shown), 0)
        path = Trajectory(poses, frame_of_reference="world", shown=tuple(shown))
        options = {"keep_first_frame": False, "out_dtype": "uint8", "backend": args.backend}
        color, mask, depth, new = (part.cpu() for part in render_color_mask(mesh, path, memory=memory, **options))
        moving = render_color_mask(mesh, path, memory=flagged, **options)[0][..., 0].cpu() > 127
        grades = (grade_memory(color[n], mask[n], depth[n], new[n], moving[n], truth) for n, truth in enumerate(seen))
        grade = sum(grades, MemoryGrade())
        total += grade
        print(_line(f"{angle:>6}", grade), flush=True)
    print(_line("   all", total), flush=True)


def _line(name: str, grade: MemoryGrade) -> str:
    return (
        f"{name}   {grade.without_memory:>6.1%}  {grade.with_memory:>6.1%}  {grade.best / grade.pixels:>6.1%}  "
        f"{grade.new / grade.pixels:>6.2%}  {grade.wrong_share:>6.2%}  {grade.ghost_share:>6.3%}  {grade.psnr:>5.1f}"
    )


def _ratio(mesh: DWMesh, memory: SceneMemory, args: argparse.Namespace) -> str:
    """CPU time, or on a GPU time, of the full sweep from -90 to 90 degrees with and without memory; medians of rounds."""
    path = Trajectory.preset("180", frames=args.frames, radius=mesh.radius, frame_of_reference="world")
    on_gpu = mesh.device.type == "cuda"
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(4):
        for remembered in (False, True):
            if on_gpu:
                torch.cuda.synchronize()
            began = time.perf_counter() if on_gpu else time.process_time()
            render_color_mask(
                mesh, path, memory=memory if remembered else None, backend=args.backend, out_dtype="uint8"
            )
            if on_gpu:
                torch.cuda.synchronize()
            seconds[remembered].append((time.perf_counter() if on_gpu else time.process_time()) - began)
    without, with_memory = (1000 * float(np.median(seconds[key][1:])) / args.frames for key in (False, True))
    return f"a frame {without:.1f} ms, with memory {with_memory:.1f} ms ({with_memory / without:.2f}x)"


if __name__ == "__main__":
    main()
