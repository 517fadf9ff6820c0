"""Seconds and memory of a training step on this GPU, with random weights of a true size.

    python benchmarks/training.py                                       # baseline, published and fast, one after the other
    python benchmarks/training.py --rows free held24 held16             # held to the memory of small cards
    python benchmarks/training.py --rows float8 float8_24
    python benchmarks/training.py --residual bfloat16 --checkpointing full --compiled      # one row of one's own
    torchrun --nproc-per-node 2 benchmarks/training.py --rows alone replicated sharded sharded_offloaded

The weights are random bfloat16: time and memory do not depend on them. A step is one sample a GPU with its forward, backward,
all-reduce and AdamW. Reported is the median of --steps steps after --warm_up ones; the first, which compiles, is told apart.
Each row is printed when it is done, with its time beside that of the row that ROWS names, where that was measured in the same
call; several GPUs do as many clips more in that time.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import torch
from torch import distributed as dist

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ex4d_core.training.config import ModelConfig, Precision, RunConfig, Storage
from ex4d_core.training.draws import stream
from ex4d_core.training.estimate import GIB, estimate
from ex4d_core.training.model import Geometry, Wan, add_adapter, compile_blocks, place, to_float8, trained
from ex4d_core.training.model.kept import CHECKPOINTING
from ex4d_core.training.objective import level_of
from ex4d_core.training.optimiser import make_optimiser
from ex4d_core.training.peaks import peak_of
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


@dataclass(frozen=True)
class Row:
    """What is measured.

    Attributes:
        name: of it.
        model: how the network is run.
        limit_gib: GPU memory that this process is held to; None for all of it.
        beside: the row that its time is told beside.
        alone: on the first GPU alone, while the others wait.
    """

    name: str
    model: ModelConfig
    limit_gib: float | None = None
    beside: str | None = None
    alone: bool = False


COMPILED = ModelConfig(compiled=True)
SMALL = replace(COMPILED, checkpointing="offloaded")
ROWS = {row.name: row for row in (
    Row("baseline", ModelConfig()),
    Row("published", replace(COMPILED, checkpointing="attention"), beside="baseline"),
    Row("published_projection", replace(COMPILED, checkpointing="projection"), beside="baseline"),
    Row("published_full", COMPILED, beside="baseline"),
    Row("fast", replace(COMPILED, checkpointing="attention", residual="bfloat16"), beside="baseline"),
    Row("free", SMALL),
    Row("held24", replace(SMALL, streamed=40), 24, "free"),
    Row("held16", replace(SMALL, streamed=40), 16, "free"),
    Row("float8", replace(SMALL, precision="float8")),
    Row("float8_24", replace(SMALL, precision="float8", streamed=16), 24, "float8"),
    Row("float8_16", replace(SMALL, precision="float8", streamed=40), 16, "float8"),
    Row("alone", COMPILED, alone=True),
    Row("replicated", COMPILED, beside="alone"),
    Row("sharded", replace(COMPILED, sharded=True), beside="alone"),
    Row("sharded_offloaded", replace(SMALL, sharded=True), beside="alone"),
)}  # fmt: skip
"""``baseline`` has the published choices: adapter and stream between blocks in float32, full checkpointing, not compiled."""


def random_wan(size: ModelSize, config: ModelConfig, ranks: Ranks) -> Wan:
    """A frozen network of random bfloat16 weights with its adapter, as a run has it."""
    with torch.device("meta"):
        wan = Wan(Geometry(size))
    small = config.streamed or config.precision == "float8"
    device = torch.device("cpu") if config.sharded or small else ranks.device
    wan = wan.to(torch.bfloat16).to_empty(device=device)
    torch.manual_seed(0)
    # Few, since a processor draws slowly, and always there, so that all rows have the same weights.
    drawn = torch.empty(2**20, dtype=torch.bfloat16).normal_(std=0.02).to(device)
    with torch.no_grad():
        for name, value in wan.named_parameters():
            if "norm" in name and name.endswith("weight"):
                value.fill_(1.0)
            else:
                repeat(drawn, value.view(-1))
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
        compile_blocks(wan)
    return wan


def repeat(drawn: torch.Tensor, target: torch.Tensor) -> None:
    """Fill a flat tensor with another one, over and over."""
    whole = len(target) // len(drawn) * len(drawn)
    target[:whole].view(-1, len(drawn)).copy_(drawn.expand(whole // len(drawn), -1))
    target[whole:].copy_(drawn[: len(target) - whole])


def random_sample(frames: int, height: int, width: int, device: torch.device) -> tuple[Sample, torch.Tensor]:
    """Random latents and features of a clip, and noise for them."""
    _, channels, *shape = WAN21_I2V.latent_shape(frames, height, width)
    draws = stream(0, 0, "noise")
    draw = lambda *sizes: torch.from_numpy(draws.standard_normal(sizes, dtype="float32"))  # noqa: E731
    latents = [draw(count, *shape) for count in (channels, channels + 4, channels, channels)]
    sample = Sample(*latents, draw(120, WAN21_I2V.text_width), draw(257, 1280))
    return sample.to(device), draw(channels, *shape).to(device)


def measure(row: Row, args: argparse.Namespace, ranks: Ranks) -> dict:
    """Median seconds of a step, its peak of memory, and what that is of the arithmetic."""
    cuda = ranks.device.type == "cuda"
    if cuda:
        total = torch.cuda.get_device_properties(ranks.device).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, (row.limit_gib or 1e9) * GIB / total))
        torch.cuda.reset_peak_memory_stats()
    torch.compiler.reset()  # what another row has compiled is no part of this one
    made, seconds, loss = timed_steps(row, args, ranks)
    gc.collect()
    size, shape = SIZES[args.model], WAN21_I2V.latent_shape(args.num_frames, args.height, args.width)[2:]
    found = estimate(Geometry(size), shape, RunConfig(model=row.model), processes=ranks.count)
    median = statistics.median(seconds[args.warm_up :])
    peak = peak_of(torch.cuda.get_device_name(ranks.device)) if cuda else None
    told = {
        "row": row.name, "processes": ranks.count, "limit_gib": row.limit_gib, "tokens": found.tokens, "loss": loss,
        "made_seconds": round(made, 1), "first_step_seconds": round(seconds[0], 2), "step_seconds": round(median, 3),
        "slowest_step": round(max(seconds[args.warm_up :]), 3), "tflops_useful": round(found.flops / median / 1e12, 1),
        "mfu": round(found.flops / median / peak, 3) if peak else None,
        "peak_gib": round(torch.cuda.max_memory_allocated() / GIB, 2) if cuda else None,
        "reserved_gib": round(torch.cuda.max_memory_reserved() / GIB, 2) if cuda else None,
        "estimated_gib": round(found.total / GIB, 2), "model": vars(row.model),
    }  # fmt: skip
    if cuda:
        torch.cuda.empty_cache()
    return told


def timed_steps(row: Row, args: argparse.Namespace, ranks: Ranks) -> tuple[float, list[float], float]:
    """Seconds in which the network is made, those of every step, and the last loss."""
    cuda = ranks.device.type == "cuda"
    began = time.perf_counter()
    wan = random_wan(SIZES[args.model], row.model, ranks)
    parameters = trained(wan)
    optimiser = make_optimiser(parameters)
    sample, noise = random_sample(args.num_frames, args.height, args.width, ranks.device)
    made, seconds, loss = time.perf_counter() - began, [], 0.0
    for _ in range(args.warm_up + args.steps):
        if cuda:
            torch.cuda.synchronize()
        began = time.perf_counter()
        loss = one_step(wan, parameters, optimiser, sample, noise, ranks)
        if cuda:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return made, seconds, loss


def one_step(
    wan: Wan,
    parameters: dict[str, torch.nn.Parameter],
    optimiser: torch.optim.Optimizer,
    sample: Sample,
    noise: torch.Tensor,
    ranks: Ranks,
) -> float:
    """Forward, backward, all-reduce and update; the loss."""
    level = level_of(LEVEL)
    optimiser.zero_grad(set_to_none=True)
    loss = error_of(wan, sample, noise, level) * level.weight
    loss.backward()
    flat = ranks.sum(torch.cat([value.grad.flatten() for value in parameters.values()])) / ranks.count
    for value, part in zip(parameters.values(), flat.split([each.numel() for each in parameters.values()])):
        value.grad = part.view_as(value)
    optimiser.step()
    return float(loss.detach())


def measure_all(rows: list[Row], args: argparse.Namespace, ranks: Ranks) -> None:
    """Row by row, each told when it is done; those that would begin too late are left out."""
    began, times = time.monotonic(), {}
    # A group of its own: while one GPU works alone, the others' processes wait on the processor.
    waiting = dist.new_group(backend="gloo") if ranks.count > 1 else None
    for row in rows:
        late = torch.tensor(float(time.monotonic() - began > args.begin_within))
        if waiting is not None:
            dist.broadcast(late, 0, group=waiting)
        if late:
            print(json.dumps({"row": row.name, "left_out": f"not begun within {args.begin_within:g} s"}), flush=True)
            continue
        if row.alone and ranks.count > 1:
            told = measure(row, args, Ranks(0, 1, ranks.device)) if ranks.first else {}
            dist.barrier(group=waiting)
        else:
            told = measure(row, args, ranks)
        if not ranks.first:
            continue
        times[row.name] = told["step_seconds"]
        if row.beside in times:
            told[f"beside_{row.beside}"] = round(told["step_seconds"] / times[row.beside], 3)
        print(json.dumps(told), flush=True)
        if args.output:
            with open(args.output, "a", encoding="utf-8") as file:
                file.write(json.dumps(told) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--rows", nargs="+", choices=ROWS, default=["baseline", "published", "fast"])
    add("--model", choices=SIZES, default="14b")
    add("--num_frames", type=int, default=49)
    add("--width", type=int, default=512)
    add("--height", type=int, default=512)
    add("--residual", choices=get_args(Precision), help="this and the next five: a row of one's own")
    add("--checkpointing", choices=CHECKPOINTING)
    add("--compiled", action="store_true", default=None)
    add("--sharded", action="store_true", default=None)
    add("--streamed", type=int, help="blocks whose weights wait in the computer's memory")
    add("--precision", choices=get_args(Storage))
    add("--limit_gib", type=float, help="hold a row of one's own to so much GPU memory")
    add("--steps", type=int, default=10)
    add("--warm_up", type=int, default=2)
    add("--begin_within", type=float, default=1e9, help="seconds after which no further row is begun")
    add("--device", default="auto")
    add("--output", help="append the rows to this .jsonl")
    args = parser.parse_args()
    keys = ("residual", "checkpointing", "compiled", "sharded", "streamed", "precision")
    own = {key: getattr(args, key) for key in keys if getattr(args, key) is not None}
    rows = [Row("own", ModelConfig(**own), args.limit_gib)] if own else [ROWS[name] for name in args.rows]
    with joined(args.device) as ranks:
        measure_all(rows, args, ranks)
    return 0


if __name__ == "__main__":
    sys.exit(main())
