"""Train the adapter on prepared clips.

The configuration is a TOML file; what is not in it takes its default, and all of it is written into the run's folder.
Several GPUs: start the same command through torchrun or accelerate launch. A run that ends early, by Ctrl-C, SIGTERM or
a crash, goes on with --resume from its newest saved step.
"""

from __future__ import annotations

import argparse
import gc
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import EX4DError
from .console import interrupted, say

if TYPE_CHECKING:
    from ..training.config import RunConfig
    from ..training.loop import StepReport
    from ..training.ranks import Ranks

SHOWN_SECONDS = 2.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    add = parser.add_argument
    add("--config", required=True, help="the run's .toml or .json")
    add("--set", nargs="+", default=[], metavar="KEY=VALUE", help="change values, as optimiser.steps=200")
    add("--resume", action="store_true", help="go on from the newest saved step")
    add("--dry_run", action="store_true", help="check everything, say what it takes, and end")


def run(args: argparse.Namespace) -> int:
    """Train to the last step; interrupted, the step is saved."""
    from ..training.boards import check_boards
    from ..training.config import load_config
    from ..training.ranks import joined

    config = load_config(args.config, args.set)
    check_preview(config)
    check_boards(config.log)
    with joined(config.device) as ranks:
        if args.dry_run:
            from ..training import saved
            from ..training.loop import check_start

            check_start(config, ranks.count, saved.steps_in(Path(config.output)), args.resume)
            if ranks.first:
                print(dry_run(config, ranks.count))
        else:
            go(config, ranks, args.resume)
            gc.collect()  # what is left of a spread network must go before the group of processes does
    return 0


def go(config: RunConfig, ranks: Ranks, resume: bool) -> None:
    """The run, with its progress on the console of rank 0."""
    from ..training.loop import begin, train

    state = begin(config, ranks, resume=resume)
    began, first, shown = time.monotonic(), state.step, 0.0

    def report(step: StepReport) -> None:
        nonlocal shown
        now = time.monotonic()
        if now - shown >= SHOWN_SECONDS or step.step == config.optimiser.steps:
            shown = now
            left = (now - began) / (step.step - first) * (config.optimiser.steps - step.step)
            say(f"step {step.step}/{config.optimiser.steps}  {step_line(step)}, {_clock(left)} left")

    done = train(state, ranks, report=report, say=say, cancel=interrupted)
    if ranks.first:
        print(state.folder)
        if not done:
            say(f"interrupted after step {state.step}, which is saved; --resume goes on.")


def step_line(step: StepReport) -> str:
    """A step's numbers for people: loss, time and what became of it, memory of the GPU."""
    words = [f"loss {step.loss:.5f}  {step.seconds:.2f} s a step", f"{step.tokens_per_second:,.0f} tokens/s"]
    if step.mfu is not None:
        words.append(f"{step.mfu:.0%} of the GPU's peak")
    if step.memory:
        words.append(f"{step.memory / 2**30:.1f} GiB")
    return ", ".join([*words, f"{step.wait / step.seconds:.1%} of the time waiting for clips"])


def check_preview(config: RunConfig) -> None:
    """Refuse previews that ``generate`` would refuse: flags that it does not know, clips or a ComfyUI that are not there.

    Raises:
        EX4DError: the first thing that is wrong.
    """
    if not config.preview.every_steps:
        return
    from ..training.previews import preview_words
    from . import generate

    words = preview_words(config, Path("adapter.safetensors"), Path("preview.mp4"))
    parser = argparse.ArgumentParser(exit_on_error=False, add_help=False)
    generate.add_arguments(parser)
    try:
        args, unknown = parser.parse_known_args(words)
    except (argparse.ArgumentError, SystemExit) as error:
        raise EX4DError(f"preview.flags are not those of generate: {error}.") from error
    if unknown:
        raise EX4DError(f"preview.flags: generate has no {unknown[0]}.")
    generate.check(args)


def dry_run(config: RunConfig, ranks: int) -> str:
    """What a run will take, in lines for people.

    Raises:
        EX4DError: files that are missing or do not fit.
    """
    from ..training.cache import open_cache
    from ..training.estimate import GIB, REACHED, estimate
    from ..training.model.geometry import geometry_of
    from ..training.model.load import stored_tensors

    cache = open_cache(config.data.cache)
    stored = stored_tensors(config.model.base)
    geometry = geometry_of({name: each.shape for name, each in stored.items()}, config.model.base)
    clips = cache.split("train")
    missing = [clip.file for clip in cache.clips if not (cache.folder / clip.file).is_file()]
    if missing:
        raise EX4DError(f"{len(missing)} prepared clips are missing in '{cache.folder}' ({missing[0]} first).")
    largest = max((clip.shape for clip in clips), key=lambda shape: shape[0] * shape[1] * shape[2])
    found = estimate(geometry, largest, config, processes=ranks)
    steps, batch = config.optimiser.steps, config.optimiser.batch
    lines = [
        f"{len(clips)} clips to train on, {len(cache.clips) - len(clips)} for validation, "
        f"{sum(clip.variants for clip in clips)} masks",
        f"{steps} steps of {batch} samples on {ranks} process{'es' if ranks > 1 else ''}: "
        f"each clip about {steps * batch / len(clips):.1f} times",
        f"{found.trained / 1e6:.1f} million numbers are trained",
        f"{found.tokens} tokens a sample at most; {found.flops / 1e12:.1f} TFLOP a sample, "
        f"{found.executed / 1e12:.1f} with what is computed twice",
        f"about {steps * batch / ranks * found.flops / REACHED / 3600:.1f} hours where each process has an H200 and blocks are "
        "compiled",
        *(f"  {size / GIB:7.2f} GiB  {part}" for part, size in found.memory.items()),
        f"  {found.total / GIB:7.2f} GiB  together, about, on each device",
    ]
    if found.waiting:
        lines.append(f"  {found.waiting / GIB:7.2f} GiB  in the computer's memory, for each process")
    return "\n".join(lines)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
