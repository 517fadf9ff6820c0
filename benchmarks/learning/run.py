"""Does an adapter trained on simulated masks of single-camera clips fill the holes of other cameras? Shown small, on one GPU.

    python benchmarks/learning/run.py --output learning          # about 8 minutes on an H200; --report shows what there is
    python benchmarks/learning/run.py --output learning --tiny   # minutes on a CPU: the way there, no result

A small Wan is trained as an ordinary image-to-video model on scenes drawn from the demo scene's kit, filmed by moving cameras,
and frozen. Adapters are trained on clips of other scenes, one camera each, with masks simulated by the code that users have:
mixed, without tracking masks, without rendering masks, random. Judged are scenes that nobody has seen, from cameras that go to
90 degrees either way: the mesh of the source clip is rendered, the network makes the film, the truth is known. The same noise
for all. Beside them: the base without an adapter, the draft fill, and the mixed adapter told that all is a hole.

What stands in for the real thing: 13 frames of 64x64, principal components of 4x4 pixels for the VAE, the start image's own
latents for CLIP, no text. Ground, sky, trees and hills are the same in all scenes; what stands on the plaza is not.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.learning import adapters, clips, codec, holes, report
from benchmarks.learning.base import make_base, pretrain
from ex4d_core.machine.cores import cores
from ex4d_core.training.masks.rendering import orbit

BEGAN = time.monotonic()
BASE_CAMERA = {"start": 100.0, "turn": 90.0, "still": 0.1}
CLIP_CAMERA = {"start": 30.0, "turn": 60.0, "still": 0.35}
ANGLE = 90.0


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    side: int = 64
    frames: int = 13
    samples: int = 2
    width: int = 384
    blocks: int = 6
    scenes: int = 3000
    seconds: float = 170.0
    batch: int = 32
    clips: int = 384
    held: int = 12
    steps: int = 400
    adapter_batch: int = 16
    seeds: int = 3


TINY = Size(
    side=32, frames=5, samples=1, width=128, blocks=2, scenes=24, seconds=15.0, batch=4, clips=8, held=2, steps=10,
    adapter_batch=2, seeds=1,
)  # fmt: skip


def say(text: str) -> None:
    """With the time since the start."""
    print(f"{time.monotonic() - BEGAN:6.0f} s  {text}", flush=True)


def alone() -> None:
    """A process of the pool: one core, no GPU."""
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    os.environ["EX4D_CORES"] = "1"
    torch.set_num_threads(1)


def first_part(size: Size, folder: Path, device: str, compiled: bool, cores: int) -> None:
    """Scenes, base, masks and held-out views: base.pt, clips.pt, held.pt."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(cores, mp_context=context, initializer=alone) as pool:
        say(f"{size.scenes} clips for the base")
        latents, used = [], None
        seeds = clips.BASE_SEEDS[: size.scenes]
        for frames, _, _ in clips.film(pool, seeds, size.side, size.frames, BASE_CAMERA, device, size.samples):
            values = codec.as_values(frames)
            if used is None:
                used = codec.fit(values)
                left = (used.decode(used.encode(values)) - values).square().mean() / 4
                say(f"the codec keeps {-10 * left.log10().item():.1f} dB")
            latents.append(used.encode(values).to(torch.bfloat16))
        say(f"{size.clips} clips for adapters, {size.held} scenes held out")
        parts = [
            (frames.cpu(), depth.cpu(), paths)
            for frames, depth, paths in clips.film(
                pool, clips.CLIP_SEEDS[: size.clips], size.side, size.frames, CLIP_CAMERA, device, size.samples
            )
        ]
        single = [(f, d, p) for each in parts for f, d, p in zip(*each, strict=True)]
        held = held_views(pool, size, device)
        masks = [pool.submit(holes.simulated, (n, *each)) for n, each in enumerate(single)]
        say("the base is trained, masks are simulated meanwhile")
        wan = make_base(size.width, size.blocks).to(device)
        say(f"  {sum(value.numel() for value in wan.parameters()) / 1e6:.1f} million numbers")
        pretrain(wan, torch.cat(latents), size.seconds, size.batch, say, compiled=compiled)
        torch.save(
            {"state": wan.to(torch.bfloat16).state_dict(), "width": size.width, "blocks": size.blocks} | vars(used),
            folder / "base.pt",
        )
        del wan, latents
        frames = torch.stack([each[0] for each in single])
        torch.save({"frames": frames, "masks": torch.stack([each.result() for each in masks])}, folder / "clips.pt")
        say("masks are there")
        torch.save(held, folder / "held.pt")


def held_views(pool: ProcessPoolExecutor, size: Size, device: str) -> dict[str, torch.Tensor]:
    """Scenes that stand clear of the cameras, seen from both sides: truth, and what the mesh shows."""
    still = np.broadcast_to(np.eye(4), (size.frames, 4, 4))
    ways = [
        orbit(np.linspace(0, side * ANGLE, 13), radius).world_to_camera for side in (-1, 1) for radius in (2.6, 3.2)
    ]
    seeds = []
    for seed in clips.HELD_SEEDS:
        if all(clips.clear(way, seed) for way in ways):
            seeds.append(seed)
        if len(seeds) == size.held:
            break
    source, depth = clips.film_held(pool, seeds, [still] * len(seeds), size.side, size.frames, device, size.samples)
    jobs = [(source[n], depth[n], still, side * ANGLE) for n in range(len(seeds)) for side in (-1, 1)]
    views = list(pool.map(holes.viewed, jobs))
    twice = [seed for seed in seeds for _ in (-1, 1)]
    truth, _ = clips.film_held(pool, twice, [each.path for each in views], size.side, size.frames, device, size.samples)
    parts = {name: torch.stack([getattr(each, name) for each in views]) for name in ("color", "seen", "fill")}
    return {"truth": truth} | parts


def second_part(size: Size, job: adapters.Job, together: int) -> None:
    """Adapters of all seeds, and their films."""
    context = multiprocessing.get_context("spawn")
    say(f"adapters of {len(adapters.KINDS)} kinds, {size.seeds} seeds, {together} at a time, seconds of each its own")
    with ProcessPoolExecutor(together, mp_context=context) as pool:
        list(pool.map(adapters.run, [replace(job, seed=seed) for seed in range(size.seeds)]))


def show(folder: Path, seeds: int) -> None:
    """The table and the pictures of everything that was made."""
    held = torch.load(folder / "held.pt")
    truth, seen = held["truth"], held["seen"]
    made = {"the mesh's picture": [held["color"]], "draft fill": [held["fill"]]}
    for name in (adapters.OFF, adapters.BLIND, *adapters.KINDS):
        files = [folder / adapters.made_file(name, seed) for seed in range(seeds)]
        films = [torch.load(file)["films"] for file in files if file.exists()]
        made |= {name: films} if films else {}
    rows = {name: [report.row(film, truth, seen) for film in films] for name, films in made.items()}
    say(f"PSNR in dB over {len(truth)} films, {float((~seen[:, 1:]).float().mean()):.0%} holes")
    print(report.table(rows, ANGLE), flush=True)
    (folder / "rows.json").write_text(json.dumps(rows))
    shown = {"truth": truth} | {name: films[0] for name, films in made.items()}
    frames = sorted({round((truth.shape[1] - 1) * part / 4) for part in range(5)})
    for clip in range(0, len(truth), max(1, len(truth) // 4)):
        report.sheet(shown, clip, frames, folder / f"clip{clip}.png")
    say(f"rows of the pictures: {', '.join(shown)}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--output", required=True, help="folder; a base that lies there already is used again")
    add("--tiny", action="store_true")
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    add("--cores", type=int, default=max(1, cores() - 3))
    add("--together", type=int, default=3, help="seeds that are trained at a time")
    add("--rate", type=float, default=1e-3)
    add("--objective", choices=("published", "unweighted"), default="published")
    add("--eager", action="store_true", help="compile nothing")
    add("--report", action="store_true", help="only the table and pictures of what lies in the folder already")
    for name in ("scenes", "seconds", "steps", "seeds", "clips", "held", "blocks", "width", "batch", "adapter_batch"):
        add(f"--{name}", type=float if name == "seconds" else int, help="instead of the size's own")
    args = parser.parse_args()
    size = TINY if args.tiny else Size()
    size = replace(
        size, **{name: value for name, value in vars(args).items() if hasattr(size, name) and value is not None}
    )
    folder = Path(args.output)
    folder.mkdir(parents=True, exist_ok=True)
    if args.report:
        show(folder, size.seeds)
        return 0
    compiled = args.device.startswith("cuda") and not args.eager
    if not (folder / "held.pt").exists():  # written last
        first_part(size, folder, args.device, compiled, args.cores)
    job = adapters.Job(folder, 0, size.steps, size.adapter_batch, args.rate, args.objective, args.device, compiled)
    second_part(size, job, args.together)
    show(folder, size.seeds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
