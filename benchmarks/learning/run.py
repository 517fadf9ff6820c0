"""Does an adapter trained on simulated masks of single-camera clips fill the holes of other cameras? Shown small, on one GPU.

    python benchmarks/learning/run.py --output learning --only base   # 6 minutes on an H200; keeps base.pt and masks.npz
    python benchmarks/learning/run.py --output learning               # with them, 4 minutes; without, both parts
    python benchmarks/learning/run.py --output learning --tiny        # minutes on a CPU: the way there, no result

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
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.learning import adapters, clips, codec, holes, report
from benchmarks.learning.base import make_base, pretrain
from benchmarks.learning.clips import Camera
from ex4d_core.machine.cores import cores
from ex4d_core.training.masks.rendering import orbit
from ex4d_core.training.model import adapter_off

BEGAN = time.monotonic()
BASE_CAMERA = Camera(start=100.0, turn=90.0, still=0.05, around=0.5)
CLIP_CAMERA = Camera(start=30.0, turn=90.0, still=0.15)
ANGLE = 90.0
PICTURES, CODEC = 4, "truth through the codec"


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    side: int = 64
    frames: int = 13
    width: int = 384
    blocks: int = 6
    scenes: int = 8192
    seconds: float = 260.0
    batch: int = 64
    clips: int = 768
    held: int = 24
    steps: int = 640
    adapter_batch: int = 24
    seeds: int = 3


TINY = Size(
    side=32, frames=5, width=128, blocks=2, scenes=24, seconds=15.0, batch=4, clips=8, held=2, steps=10, adapter_batch=2,
    seeds=1,
)  # fmt: skip


def say(text: str) -> None:
    """With the time since the start."""
    print(f"{time.monotonic() - BEGAN:6.0f} s  {text}", flush=True)


def alone() -> None:
    """A process of the pool: one core, no GPU."""
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    os.environ["EX4D_CORES"] = "1"
    torch.set_num_threads(1)


def first_part(pool: Executor, size: Size, folder: Path, device: str, compiled: bool) -> None:
    """The base, and masks of the clips that adapters learn from, which processors make meanwhile: base.pt, masks.npz."""
    say(f"{size.clips} clips for adapters")
    jobs = []
    film = partial(clips.film, pool, size=size.side, frames=size.frames, device=device, fused=compiled)
    for each in film(clips.CLIP_SEEDS[: size.clips], camera=CLIP_CAMERA):
        jobs += zip(each.fine.cpu().numpy(), each.depth.cpu().numpy(), each.paths, strict=True)
    say(f"{size.scenes} clips for the base")
    latents, used = [], None
    for each in film(clips.BASE_SEEDS[: size.scenes], camera=BASE_CAMERA):
        values = codec.as_values(each.frames)
        if used is None:
            used = codec.fit(values)
            left = (used.decode(used.encode(values)) - values).square().mean() / 4
            say(f"the codec keeps {-10 * left.log10().item():.1f} dB")
        latents.append(used.encode(values).to(torch.bfloat16))
    masks = [pool.submit(holes.simulated, (number, *job)) for number, job in enumerate(jobs)]
    say("the base is trained, masks are simulated meanwhile")
    wan = make_base(size.width, size.blocks).to(device)
    say(f"  {sum(value.numel() for value in wan.parameters()) / 1e6:.1f} million numbers")
    pretrain(wan, torch.cat(latents), size.seconds, size.batch, say, compiled=compiled)
    torch.save(
        {"state": wan.to(torch.bfloat16).state_dict(), "width": size.width, "blocks": size.blocks} | vars(used),
        folder / "base.pt",
    )
    packed = np.packbits(np.stack([each.result() for each in masks]), axis=-1)
    np.savez_compressed(folder / "masks.npz", packed=packed)
    say("the base and the masks are kept")


def held_views(pool: Executor, size: Size, device: str) -> dict[str, torch.Tensor]:
    """Scenes that stand clear of the cameras, seen from both sides: truth, and what the mesh shows; on the CPU."""
    still = np.broadcast_to(np.eye(4), (size.frames, 4, 4))
    ways = [
        orbit(np.linspace(0, side * ANGLE, 13), radius).world_to_camera for side in (-1, 1) for radius in (2.6, 3.2)
    ]
    free = (seed for seed in clips.HELD_SEEDS if all(clips.clear(way, seed) for way in ways))
    seeds = [next(free) for _ in range(size.held)]
    things = [clips.things_of(clips.scene(size.side, size.frames, seed)) for seed in seeds]

    def film(numbers: list[int], paths: list[np.ndarray]) -> clips.Clips:
        parts = [
            clips.cast(
                [things[i] for i in numbers[n : n + clips.AT_ONCE]], paths[n : n + clips.AT_ONCE], size.side, device
            )
            for n in range(0, len(numbers), clips.AT_ONCE)
        ]
        frames, fine, depth = (
            torch.cat([getattr(part, name) for part in parts]).cpu() for name in ("frames", "fine", "depth")
        )
        return clips.Clips(frames, fine, depth, np.stack(paths))

    source = film(list(range(size.held)), [still] * size.held)
    twice = [n for n in range(size.held) for _ in (-1, 1)]
    jobs = [
        (source.fine[n].numpy(), source.depth[n].numpy(), still, side * ANGLE)
        for n, side in zip(twice, (-1, 1) * size.held, strict=True)
    ]
    views = list(pool.map(holes.viewed, jobs))
    truth = film(twice, [each.path for each in views]).frames
    return {"truth": truth} | {
        name: torch.stack([getattr(each, name) for each in views]) for name in ("color", "seen", "fill")
    }


def second_part(pool: Executor, size: Size, plan: adapters.Plan, folder: Path, device: str, compiled: bool) -> None:
    """Adapters of all seeds and their films; after each film rows.json, after each seed the table."""
    wan, used = adapters.load_base(folder / "base.pt", device, compiled=compiled)
    packed = torch.from_numpy(np.load(folder / "masks.npz")["packed"]).to(device)
    masks = (packed[..., None] >> torch.arange(7, -1, -1, device=device) & 1).flatten(-2).bool()
    seeds = clips.CLIP_SEEDS[: len(masks)]
    single = torch.cat([
        each.frames for each in clips.film(pool, seeds, size.side, size.frames, CLIP_CAMERA, device)
    ])  # fmt: skip
    held = held_views(pool, size, device)
    truth, seen = held["truth"], held["seen"]
    say(f"{len(single)} clips, {len(truth)} films to make, {float((~seen[:, 1:]).float().mean()):.0%} holes")
    rows: dict[str, list[dict]] = {}
    shown = {"truth": truth}

    def judge(name: str, films: torch.Tensor) -> None:
        rows.setdefault(name, []).append(report.row(films, truth, seen))
        if name != CODEC:
            shown.setdefault(name, films)
        (folder / "rows.json").write_text(json.dumps(rows))

    def made(name: str, prior: tuple[torch.Tensor, torch.Tensor] | None) -> None:
        judge(name, adapters.films(wan, used, held["truth"].to(device), prior).cpu())
        last = rows[name][-1]
        say(f"  {name}: holes {last['holes']:.2f} dB, seen {last['seen']:.2f} dB")

    kept = used.decode(used.encode(codec.as_values(held["truth"].to(device))))
    judge(CODEC, ((kept + 1) * 127.5).round().to(torch.uint8).cpu())
    judge("the mesh's picture", held["color"])
    judge("draft fill", held["fill"])
    given, none = (
        adapters.condition(used, held["color"].to(device), where.to(device)) for where in (seen, torch.zeros_like(seen))
    )
    with adapter_off(wan):
        made("adapter off", None)
    for seed in range(size.seeds):
        for kind in adapters.KINDS:
            curve = adapters.train(wan, used, {"frames": single, "masks": masks}, kind, seed, plan)
            say(f"seed {seed}, {kind}: errors {' '.join(f'{value:.3f}' for value in curve)}")
            made(kind, given)
            if kind == "mixed":
                made("mixed, all holes", none)
        print(report.table(rows, ANGLE), flush=True)
        if seed == 0:
            frames = sorted({round((size.frames - 1) * part / 4) for part in range(5)})
            for clip in range(0, len(truth), max(1, len(truth) // PICTURES)):
                report.sheet(shown, clip, frames, folder / f"clip{clip}.png")
            say(f"rows of the pictures: {', '.join(shown)}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--output", required=True, help="folder; a base that lies there already is used again")
    add("--only", choices=("base",), help="train and keep the base, and simulate masks")
    add("--tiny", action="store_true")
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    add("--cores", type=int, default=max(1, cores() - 2))
    add("--rate", type=float, default=1.5e-3)
    add("--objective", choices=("published", "unweighted"), default="unweighted")
    add("--eager", action="store_true", help="compile nothing")
    for name in ("scenes", "seconds", "steps", "seeds", "clips", "held", "blocks", "width", "batch", "adapter_batch"):
        add(f"--{name}", type=float if name == "seconds" else int, help="instead of the size's own")
    args = parser.parse_args()
    size = TINY if args.tiny else Size()
    size = replace(
        size, **{name: value for name, value in vars(args).items() if hasattr(size, name) and value is not None}
    )
    folder = Path(args.output)
    folder.mkdir(parents=True, exist_ok=True)
    compiled = args.device.startswith("cuda") and not args.eager
    plan = adapters.Plan(size.steps, size.adapter_batch, args.rate, args.objective)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(args.cores, mp_context=context, initializer=alone) as pool:
        if not (folder / "masks.npz").exists():  # written last
            first_part(pool, size, folder, args.device, compiled)
        if args.only is None:
            second_part(pool, size, plan, folder, args.device, compiled)
    return 0


if __name__ == "__main__":
    sys.exit(main())
