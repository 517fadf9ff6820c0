"""Seconds and memory of a training step on this GPU, with random weights of a true size.

    python benchmarks/training.py                                   # 14B, 512x512x49, published numerics
    python benchmarks/training.py --residual bfloat16 --compiled    # what is faster and keeps less
    python benchmarks/training.py --checkpointing offloaded --limit_gib 44
    python benchmarks/training.py --checkpointing offloaded --streamed 40 --limit_gib 16          # a small card
    torchrun --nproc-per-node 2 benchmarks/training.py             # the base on each card
    torchrun --nproc-per-node 2 benchmarks/training.py --sharded   # the base spread over them

The weights are random bfloat16: time and memory do not depend on them. A step is one sample a GPU with its forward, backward,
all-reduce and AdamW. Reported is the median of --steps steps after --warm_up ones; compiling is told apart. --reference adds
the published choices in the same call (adapter in float32, float32 residual, full checkpointing, eager), for the ratio.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import get_args

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ex4d_core.training.config import ModelConfig, Precision, RunConfig, Storage
from ex4d_core.training.draws import stream
from ex4d_core.training.estimate import GIB, estimate
from ex4d_core.training.model import Geometry, Wan, add_adapter, place, to_float8, trained
from ex4d_core.training.model.wan import CHECKPOINTING
from ex4d_core.training.objective import level_of
from ex4d_core.training.optimiser import make_optimiser
from ex4d_core.training.ranks import Ranks, joined
from ex4d_core.training.sharding import shard
from ex4d_core.training.step import Sample, error_of
from ex4d_core.wan.backbone import WAN21_I2V, ModelSize

SIZES = {
    "14b": ModelSize(5120, 13824, 40, 36),
    "1.3b": ModelSize(1536, 8960, 30, 36),
    "tiny": ModelSize(256, 512, 2, 36),
}
LEVEL = 500


def random_wan(size: ModelSize, config: ModelConfig, ranks: Ranks) -> Wan:
    """A frozen network of random bfloat16 weights with its adapter, as a run has it."""
    with torch.device("meta"):
        wan = Wan(Geometry(size))
    small = config.streamed or config.precision == "float8"
    device = torch.device("cpu") if config.sharded or small else ranks.device
    wan = wan.to(torch.bfloat16).to_empty(device=device)
    torch.manual_seed(0)
    drawn = torch.empty(2**20, dtype=torch.bfloat16, device=device).normal_(std=0.02)  # a processor draws slowly
    with torch.no_grad():
        for name, value in wan.named_parameters():
            if "norm" in name and name.endswith("weight"):
                value.fill_(1.0)
            else:
                value.copy_(drawn.repeat(-(-value.numel() // len(drawn)))[: value.numel()].view_as(value))
    if config.precision == "float8":
        to_float8(wan.blocks, ranks.device)
    add_adapter(wan, rank=config.rank, hidden=config.prior_width)
    wan.residual = torch.bfloat16 if config.residual == "bfloat16" else torch.float32
    wan.checkpointing = config.checkpointing
    if config.sharded:
        shard(wan, ranks, config.shard_group)
    elif small:
        place(wan, ranks.device, config.streamed)
    if config.compiled:
        for block in wan.blocks:
            block.compile()
    return wan


def random_sample(frames: int, height: int, width: int, device: torch.device) -> tuple[Sample, torch.Tensor]:
    """Random latents and features of a clip, and noise for them."""
    _, channels, *shape = WAN21_I2V.latent_shape(frames, height, width)
    draws = stream(0, 0, "noise")
    draw = lambda *sizes: torch.from_numpy(draws.standard_normal(sizes, dtype="float32"))  # noqa: E731
    latents = [draw(count, *shape) for count in (channels, channels + 4, channels, channels)]
    sample = Sample(*latents, draw(120, WAN21_I2V.text_width), draw(257, 1280))
    return sample.to(device), draw(channels, *shape).to(device)


def measure(size: ModelSize, config: RunConfig, args: argparse.Namespace, ranks: Ranks) -> dict:
    """Median seconds of a step, its peak of memory, and what that is of the arithmetic."""
    wan = random_wan(size, config.model, ranks)
    parameters = trained(wan)
    optimiser = make_optimiser(parameters)
    sample, noise = random_sample(args.num_frames, args.height, args.width, ranks.device)
    level = level_of(LEVEL)
    seconds: list[float] = []
    cuda = ranks.device.type == "cuda"
    for step in range(args.warm_up + args.steps):
        if step == args.warm_up and cuda:
            torch.cuda.reset_peak_memory_stats()
        if cuda:
            torch.cuda.synchronize()
        began = time.perf_counter()
        optimiser.zero_grad(set_to_none=True)
        loss = error_of(wan, sample, noise, level) * level.weight
        loss.backward()
        flat = ranks.sum(torch.cat([value.grad.flatten() for value in parameters.values()])) / ranks.count
        for value, part in zip(parameters.values(), flat.split([each.numel() for each in parameters.values()])):
            value.grad = part.view_as(value)
        optimiser.step()
        if cuda:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    found = estimate(wan.geometry, tuple(sample.target.shape[1:]), config, processes=ranks.count)
    median = statistics.median(seconds[args.warm_up :])
    row = {
        "model": vars(config.model), "processes": ranks.count, "tokens": found.tokens, "loss": float(loss.detach()),
        "first_step_seconds": round(seconds[0], 2), "step_seconds": round(median, 3),
        "tflops_useful": round(found.flops / median / 1e12, 1),
        "peak_gib": round(torch.cuda.max_memory_allocated() / GIB, 2) if cuda else None,
        "reserved_gib": round(torch.cuda.max_memory_reserved() / GIB, 2) if cuda else None,
        "estimated_gib": round(found.total / GIB, 2),
    }  # fmt: skip
    del wan, optimiser, parameters, loss, flat
    gc.collect()
    if cuda:
        torch.cuda.empty_cache()
    return row


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--model", choices=SIZES, default="14b")
    add("--num_frames", type=int, default=49)
    add("--width", type=int, default=512)
    add("--height", type=int, default=512)
    add("--residual", choices=get_args(Precision), default="float32")
    add("--checkpointing", choices=CHECKPOINTING, default="full")
    add("--compiled", action="store_true")
    add("--sharded", action="store_true")
    add("--shard_group", type=int, default=0, help="GPUs that hold one copy together; 0 for all")
    add("--streamed", type=int, default=0, help="blocks whose weights wait in the computer's memory")
    add("--precision", choices=get_args(Storage), default="bfloat16")
    add("--reference", action="store_true", help="measure the published choices first, and give the ratio")
    add("--steps", type=int, default=10)
    add("--warm_up", type=int, default=3)
    add("--limit_gib", type=float, help="hold this process to so much GPU memory")
    add("--device", default="auto")
    add("--output", help="append the rows to this .jsonl")
    args = parser.parse_args()
    published = RunConfig(model=ModelConfig())
    asked = ModelConfig(
        precision=args.precision, residual=args.residual, checkpointing=args.checkpointing, compiled=args.compiled,
        sharded=args.sharded, shard_group=args.shard_group, streamed=args.streamed,
    )  # fmt: skip
    with joined(args.device) as ranks:
        if args.limit_gib and ranks.device.type == "cuda":
            total = torch.cuda.get_device_properties(ranks.device).total_memory
            torch.cuda.set_per_process_memory_fraction(args.limit_gib * GIB / total)
        configs = ([published] if args.reference else []) + [replace(published, model=asked)]
        rows = [measure(SIZES[args.model], config, args, ranks) for config in configs]
        if args.reference:
            rows[-1]["ratio"] = round(rows[-1]["step_seconds"] / rows[0]["step_seconds"], 3)
        if ranks.first:
            for row in rows:
                print(json.dumps(row))
                if args.output:
                    with open(args.output, "a", encoding="utf-8") as file:
                        file.write(json.dumps(row) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
