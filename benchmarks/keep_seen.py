"""Keep Seen Pixels against exact truth: what is left of drift, flicker, seams and lost detail, and processor time.

    python benchmarks/keep_seen.py [--size 512] [--frames 49] [--cameras 60 90 sweep] [--threads 1]

The demo scene along camera paths. The generated video is simulated: the truth, its seen pixels averaged over 5 pixels, with a
drift of up to 10 levels, 4 % more contrast by the last frame, and a flicker of up to 4 levels in a known pattern. Errors are in
levels of 255: drift and flicker are those of the holes' mean colour, the seam is that of the mean colour of blocks of 16 pixels
along the rims, detail is the mean error of seen pixels. The rendered colour is the mesh's, or the exact one ("truth"; "no
detail lost", where the generated video keeps its detail too).
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ex4d_core.composite import KeepSettings, keep_seen_pixels
from ex4d_core.demo_scene import DemoScene
from ex4d_core.evaluation.generated import ColourFaults, colour_faults, simulate_generated
from ex4d_core.mesh import build_dw_mesh
from ex4d_core.render import render_color_mask
from ex4d_core.render.quality import seen_quality
from ex4d_core.trajectory import Trajectory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--frames", type=int, default=49)
    parser.add_argument("--cameras", nargs="+", default=["60", "90", "sweep"])
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    scene = DemoScene(args.size, args.size, args.frames, samples=2)
    mesh = build_dw_mesh(*scene.clip(), scene.intrinsics, style="paper")
    print("                          drift mean, most   flicker    seam   detail    kept   ms a frame")
    for camera in args.cameras:
        path = Trajectory.preset(camera, frames=args.frames, radius=mesh.radius)
        color, mask, _ = render_color_mask(mesh, path)
        truth = scene.clip(path.world_to_camera.astype("float64"))[0].float() / 255
        seen = mask > 0
        started = time.process_time()
        quality = seen_quality(mesh, path)
        measuring = 1e3 * (time.process_time() - started) / args.frames
        video = simulate_generated(truth, seen)
        told(camera, "generated", colour_faults(video.images, truth, seen, video.clipped))
        exact = truth * seen[..., None]
        rows = [
            ("no match", color, KeepSettings(match_color=False), quality),
            ("soft", color, KeepSettings(), quality),
            ("hard", color, KeepSettings(blend="hard"), quality),
            ("soft, mask only", color, KeepSettings(), None),
            ("soft, truth", exact, KeepSettings(), quality),
        ]
        for name, laid, settings, good in rows:
            started = time.process_time()
            kept = keep_seen_pixels(video.images, laid, mask, settings, quality=good)
            cost = 1e3 * (time.process_time() - started) / args.frames
            faults = colour_faults(kept.images, truth, seen, video.clipped)
            told(camera, name, faults, f"  {float(kept.share.mean()):6.1%}   {cost:.0f}")
        sharp = simulate_generated(truth, seen, blur=1)
        kept = keep_seen_pixels(sharp.images, exact, mask, KeepSettings(), quality=quality)
        told(camera, "no detail lost", colour_faults(kept.images, truth, seen, sharp.clipped))
        print(f"{camera:<7} measuring how well pixels were seen: {measuring:.0f} ms a frame", flush=True)


def told(camera: str, name: str, faults: ColourFaults, more: str = "") -> None:
    print(
        f"{camera:<7} {name:<16} {faults.drift:8.2f} {faults.largest:8.2f} {faults.flicker:8.2f} {faults.seam:8.2f} "
        f"{faults.detail:8.2f}{more}",
        flush=True,
    )


if __name__ == "__main__":
    main()
