"""The run: samples in, gradients summed over all ranks, a step of the optimiser, files and numbers out."""

from __future__ import annotations

import hashlib
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import EX4DError
from ..storage.staging import write_errors
from ..wan.checkpoint import load_adapter, parse_adapter
from . import saved
from .boards import Boards
from .cache import SPLITS, Cache, CachedClip, load_sample, open_cache
from .config import RunConfig, differences
from .draws import stream
from .estimate import estimate, tokens_of
from .model import Wan, adapter_state, add_adapter, compile_blocks, load_wan, place, set_adapter, to_float8, trained
from .model.load import stored_tensors
from .objective import draw_level
from .optimiser import make_optimiser
from .peaks import peak_of
from .previews import Film, Previews
from .ranks import Ranks
from .sharding import shard
from .step import Sample, error_of
from .validation import Validation, validate, validation_clips

TOLD = ("loss", "error", "sigma", "stop", "bad", "wait", "tokens", "flops")
"""What travels with the gradients in the one all-reduce of a step: sums over samples or ranks."""


@dataclass(frozen=True)
class StepReport:
    """One step of the run, as the log has it.

    Attributes:
        step: its number, from 1.
        loss: mean of the weighted errors.
        error: mean of the unweighted ones.
        sigma: mean noise level.
        norm_lora, norm_prior: of the gradients, before clipping.
        seconds: it took.
        wait: seconds of it in which rank 0 waited for samples.
        tokens_per_second: of all ranks.
        mfu: share of the GPUs' bfloat16 peak that the step's arithmetic makes up, what is computed twice left out; None where
            that peak is not known, and for weights in float32.
        memory: most bytes that torch has held on rank 0's GPU; 0 on the CPU.
    """

    step: int
    loss: float
    error: float
    sigma: float
    norm_lora: float
    norm_prior: float
    seconds: float
    wait: float
    tokens_per_second: float
    mfu: float | None
    memory: int


@dataclass
class Run:
    """A run in progress.

    Attributes:
        config: of the run.
        cache: what it trains on.
        wan: the network with its adapter.
        parameters: what is trained, by name.
        optimiser: of them.
        ema: the averaged copy; None without one.
        step: steps done.
        fingerprints: of base and cache.
        best_step, best_loss: the best validation so far.
    """

    config: RunConfig
    cache: Cache
    wan: Wan
    parameters: dict[str, nn.Parameter]
    optimiser: torch.optim.AdamW
    ema: dict[str, Tensor] | None
    fingerprints: dict[str, str]
    step: int = 0
    best_step: int | None = None
    best_loss: float | None = None

    @property
    def folder(self) -> Path:
        """Where its files go."""
        return Path(self.config.output)


def begin(
    config: RunConfig, ranks: Ranks, *, resume: bool = False, progress: Callable[[int, int], None] | None = None
) -> Run:
    """Load everything that a run needs.

    Args:
        config: checked.
        ranks: this process among all.
        resume: go on from the newest saved step of the output folder.
        progress: called with (tensors of the base read, tensors).

    Raises:
        EX4DError: files that are missing or do not fit, a batch that the ranks cannot share, an output folder with a run
            in it, or, resuming, none, or one that was configured otherwise.
    """
    steps = saved.steps_in(Path(config.output))
    check_start(config, ranks.count, steps, resume)
    cache = open_cache(config.data.cache)
    fingerprints = {"base": base_fingerprint(config.model.base), "cache": cache.digest()}
    before = saved.load(steps[-1]) if resume else None
    if before is not None:
        check_same(before, config, fingerprints)
    if config.deterministic:
        be_deterministic()
    dtype = {"bfloat16": torch.bfloat16, "float8": torch.bfloat16, "float32": torch.float32}
    # Shards are cut from the CPU, and what is streamed or rounded need not fit on the device as it is.
    small = config.model.streamed or config.model.precision == "float8"
    device = "cpu" if config.model.sharded or small else ranks.device
    wan = load_wan(config.model.base, dtype=dtype[config.model.precision], device=device, progress=progress)
    wan.residual, wan.checkpointing = dtype[config.model.residual], config.model.checkpointing
    if config.model.precision == "float8":
        to_float8(wan.blocks, ranks.device)
    add_adapter(wan, rank=config.model.rank, hidden=config.model.prior_width, seed=config.seed)
    if before is not None:
        set_adapter(wan, parse_adapter(before.adapter, str(steps[-1])))
    elif config.model.adapter:
        set_adapter(wan, load_adapter(config.model.adapter))
    if config.model.sharded:
        shard(wan, ranks, config.model.shard_group)
    elif small:
        place(wan, ranks.device, config.model.streamed)
    if config.model.compiled:
        compile_blocks(wan)
    parameters = trained(wan)
    options = config.optimiser
    optimiser = make_optimiser(parameters, learning_rate=options.learning_rate, weight_decay=options.weight_decay)
    ema = {name: value.detach().clone() for name, value in parameters.items()} if options.ema else None
    run = Run(config, cache, wan, parameters, optimiser, ema, fingerprints)
    if before is not None:
        saved.set_moments(optimiser, parameters, before.moments, before.step)
        if before.ema is not None:
            run.ema = {name: value.to(ranks.device) for name, value in before.ema.items()}
        run.step, run.best_step, run.best_loss = before.step, before.best_step, before.best_loss
    return run


def be_deterministic() -> None:
    """Have torch take only kernels that give the same bits every time, in this process from now on."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS chooses by what else runs
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def check_start(config: RunConfig, ranks: int, steps: list[Path], resume: bool) -> None:
    """Refuse what needs no file to be refused."""
    if config.optimiser.batch % ranks:
        raise EX4DError(
            f"A batch of {config.optimiser.batch} cannot be shared by {ranks} processes. Use a multiple of {ranks}."
        )
    if resume and not steps:
        raise EX4DError(f"There is no saved step in '{config.output}' to go on from.")
    if steps and not resume:
        raise EX4DError(
            f"'{config.output}' holds a run already, saved at {steps[-1].name}. Resume it, or choose another folder."
        )


def check_same(before: saved.Saved, config: RunConfig, fingerprints: Mapping[str, str]) -> None:
    """Refuse to go on with something else."""
    changed = differences(before.config, config)
    if changed:
        raise EX4DError(f"The run was configured otherwise ({changed[0]}). Resume it as it was, or start another one.")
    for name, value in fingerprints.items():
        if before.fingerprints.get(name) != value:
            raise EX4DError(f"The run was begun with another {name}. Resume it with that, or start another one.")


def base_fingerprint(path: str) -> str:
    """Tells two bases apart without reading 30 GB: names, shapes and sizes of the files."""
    stored = stored_tensors(path)
    sizes = sorted({(each.file.name, each.file.stat().st_size) for each in stored.values()})
    text = repr((sizes, sorted((name, each.shape) for name, each in stored.items())))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def train(
    run: Run,
    ranks: Ranks,
    *,
    report: Callable[[StepReport], None] | None = None,
    say: Callable[[str], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> bool:
    """Go on to the run's last step.

    Saved by steps, by minutes, at the end, and when it is cancelled; a line of log.jsonl for every step and validation, and
    previews in a process beside.

    Args:
        run: of `begin`; changed in place.
        ranks: this process among all.
        report: called on rank 0 after each step.
        say: called on rank 0 with sentences for people.
        cancel: polled on every rank once a step; True on any of them stops all after it.

    Returns:
        Whether the last step was reached.

    Raises:
        EX4DError: a loss that is not finite (names the sample), or files that cannot be read or written.
    """
    say = say or (lambda _text: None)
    if not ranks.first:
        return _go_on(run, ranks, _Told(None, None, None, say), cancel)
    boards = Boards(run.config, say, done=run.step)
    previews = Previews(run.config)
    try:
        with write_errors(run.folder):
            run.folder.mkdir(parents=True, exist_ok=True)
        saved.note_config(run.folder, run.config)
        saved.cut_log(run.folder, run.step)
        told = _Told(boards, previews, report, say)
        done = _go_on(run, ranks, told, cancel)
        told.film(previews.last(cancel), run.step)
        return done
    finally:
        previews.close()
        boards.close()


@dataclass(frozen=True)
class _Told:
    """Where rank 0 tells what happens; on the others there is nobody to tell."""

    boards: Boards | None
    previews: Previews | None
    report: Callable[[StepReport], None] | None
    say: Callable[[str], None]

    def step(self, run: Run, numbers: StepReport) -> None:
        """A step is done; a preview may be due, or one may have ended."""
        if self.boards is None or self.previews is None:
            return
        saved.append_log(run.folder, asdict(numbers))
        self.boards.numbers(asdict(numbers), numbers.step)
        if self.report is not None:
            self.report(numbers)
        self.film(self.previews.ended(), numbers.step)
        every = run.config.preview.every_steps
        if _due(run.step, every) and not self.previews.begin(run.step, _shown(run)):
            self.say(f"no preview of step {run.step}: the one before is still being made")

    def film(self, film: Film | None, now: int) -> None:
        """A preview has ended, or none has."""
        if film is None or self.boards is None:
            return
        if film.path is None:
            self.say(f"the preview of step {film.step} failed: {film.told}")
            return
        self.say(f"preview of step {film.step}: {film.path}")
        self.boards.film(film.path, film.step, now)

    def validation(self, run: Run, found: Validation) -> None:
        """The fixed clips were measured."""
        if self.boards is None:
            return
        values = {"validation": {"adapter": found.adapter, "base": found.base}}
        saved.append_log(run.folder, {"step": run.step, **values})
        self.boards.numbers(values, run.step)
        words = [
            f"{name} {value:.5f} (base {found.base[name]:.5f})"
            for name, value in found.adapter.items()
            if value is not None
        ]
        self.say(f"validation at step {run.step}: {', '.join(words)}")


def _go_on(run: Run, ranks: Ranks, told: _Told, cancel: Callable[[], bool] | None) -> bool:
    options = run.config.optimiser
    if run.step == 0:
        _validate(run, ranks, told)
    last_saved, stopped = time.monotonic(), False
    samples = _samples(run, ranks)
    while run.step < options.steps and not stopped:
        numbers, stopped = _one_step(run, ranks, samples, cancel)
        told.step(run, numbers)
        done = run.step == options.steps or stopped
        if _due(run.step, run.config.validation.every_steps) or run.step == options.steps:
            _validate(run, ranks, told)
        # Rank 0 alone looks at the clock and writes; nobody waits for it.
        minutes = run.config.save.every_minutes
        timely = bool(minutes) and time.monotonic() - last_saved >= 60 * minutes
        if ranks.first and (done or timely or _due(run.step, run.config.save.every_steps)):
            told.say(f"saved {_save(run).name}")
            last_saved = time.monotonic()
    ranks.meet()
    return run.step == options.steps


def _shown(run: Run) -> dict[str, Tensor]:
    """The adapter that previews are made with."""
    if run.ema is None or not run.config.preview.average:
        return adapter_state(run.wan)
    return _on_cpu(run.ema)


def _on_cpu(ema: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in ema.items()}


def samples_of(step: int, batch: int, ranks: Ranks) -> list[int]:
    """Numbers of this rank's samples in a step (counted from 0): together the ranks have the whole batch, each its share."""
    return [number for number in range(step * batch, (step + 1) * batch) if number % ranks.count == ranks.rank]


def draw_sample(cache: Cache, clips: tuple[CachedClip, ...], config: RunConfig, number: int) -> Sample:
    """The clip and mask variant of a sample, read from the cache; drawn with replacement, as the base trainer does."""
    seed = config.seed
    clip = clips[int(stream(seed, number, "clip").integers(len(clips)))]
    variant = int(stream(seed, number, "variant").integers(clip.variants))
    sample = load_sample(cache, clip, variant)
    if config.data.caption_dropout and stream(seed, number, "caption").random() < config.data.caption_dropout:
        sample = replace(sample, text=torch.zeros_like(sample.text[:1]))
    return sample


def _one_step(
    run: Run, ranks: Ranks, samples: Iterator[tuple[int, Sample, float]], cancel: Callable[[], bool] | None
) -> tuple[StepReport, bool]:
    """Forward, backward, all-reduce, update; the step's numbers, and whether some rank was asked to stop."""
    began = time.monotonic()
    options = run.config.optimiser
    run.optimiser.zero_grad(set_to_none=True)
    told: dict[str, float] = dict.fromkeys(TOLD, 0.0)
    bad = ""
    for number, sample, waited in islice(samples, options.batch // ranks.count):
        told["wait"] += waited
        sample = sample.to(ranks.device)
        shape = sample.target.shape
        noise = stream(run.config.seed, number, "noise").standard_normal(shape, dtype="float32")
        level = draw_level(
            stream(run.config.seed, number, "timestep"), options.objective, round_timestep=options.round_timestep
        )
        error = error_of(run.wan, sample, torch.from_numpy(noise).to(ranks.device), level)
        (error * (level.weight / options.batch)).backward()
        value = float(error.detach())
        told["loss"] += level.weight * value / options.batch
        told["error"] += value / options.batch
        told["sigma"] += level.sigma / options.batch
        latent = (shape[1], shape[2], shape[3])
        told["tokens"] += tokens_of(latent)
        told["flops"] += estimate(run.wan.geometry, latent, run.config).flops
        if not math.isfinite(value) and not bad:
            bad = f"sample {number} (clip {sample.name}, timestep {level.timestep:.1f})"
    told["bad"], told["stop"] = float(bool(bad)), float(cancel is not None and cancel())
    told = _share(run.parameters, told, ranks)
    if told["bad"]:
        where = bad or "a sample of another process"
        raise EX4DError(
            f"The loss is not a finite number in step {run.step + 1}, from {where}. Nothing of this step was kept; the saved "
            "steps are whole. Look at that clip, or lower the learning rate."
        )
    norms = _norms(run.parameters)
    if options.clip_norm:
        nn.utils.clip_grad_norm_(list(run.parameters.values()), options.clip_norm)
    run.optimiser.step()
    _average(run)
    run.step += 1
    seconds = time.monotonic() - began
    peak, memory = None, 0
    if ranks.device.type == "cuda":
        memory = torch.cuda.max_memory_allocated(ranks.device)
        if run.config.model.precision != "float32":
            peak = peak_of(torch.cuda.get_device_name(ranks.device))
    numbers = StepReport(
        run.step,
        told["loss"],
        told["error"],
        told["sigma"],
        *norms,
        seconds,
        told["wait"],
        told["tokens"] / seconds,
        None if peak is None else told["flops"] / (seconds * ranks.count * peak),
        memory,
    )
    return numbers, told["stop"] > 0


def _samples(run: Run, ranks: Ranks) -> Iterator[tuple[int, Sample, float]]:
    """This rank's samples to the end of the run, with their numbers and the seconds that each was waited for.

    The next one is read while the network works on this one, the first of the next step, too.
    """
    from concurrent.futures import Future, ThreadPoolExecutor

    options, clips = run.config.optimiser, run.cache.split(SPLITS[0])
    steps = range(run.step, options.steps)
    numbers = (number for step in steps for number in samples_of(step, options.batch, ranks))
    with ThreadPoolExecutor(1, "ex4d-samples") as reader:

        def begun() -> tuple[int, Future[Sample]] | None:
            number = next(numbers, None)
            return (
                None if number is None else (number, reader.submit(draw_sample, run.cache, clips, run.config, number))
            )

        coming = begun()
        while coming is not None:
            (number, reading), began = coming, time.monotonic()
            sample = reading.result()
            waited = time.monotonic() - began
            coming = begun()
            yield number, sample, waited


def _share(parameters: Mapping[str, nn.Parameter], told: dict[str, float], ranks: Ranks) -> dict[str, float]:
    """Sum gradients and numbers over all ranks, in one buffer; a single process has nothing to add."""
    gradients = [value.grad if value.grad is not None else torch.zeros_like(value) for value in parameters.values()]
    if ranks.count == 1:
        return told
    extra = torch.tensor([told[name] for name in TOLD], dtype=torch.float32, device=ranks.device)
    wait = told["wait"]
    flat = ranks.sum(torch.cat([gradient.flatten() for gradient in gradients] + [extra]))
    parts = flat[: -len(TOLD)].split([gradient.numel() for gradient in gradients])
    for value, part in zip(parameters.values(), parts):
        value.grad = part.view_as(value)
    return dict(zip(TOLD, flat[-len(TOLD) :].tolist())) | {"wait": wait}


def _norms(parameters: Mapping[str, nn.Parameter]) -> tuple[float, float]:
    """Norms of the gradients of the low-rank matrices and of the prior encoder."""
    squares = [0.0, 0.0]
    for name, value in parameters.items():
        if value.grad is not None:
            squares[0 if ".lora_" in name else 1] += float(value.grad.double().square().sum())
    return math.sqrt(squares[0]), math.sqrt(squares[1])


@torch.no_grad()
def _average(run: Run) -> None:
    if run.ema is not None:
        for name, value in run.parameters.items():
            run.ema[name].lerp_(value, 1 - run.config.optimiser.ema)


def _due(step: int, every: int) -> bool:
    return bool(every) and step % every == 0


def _validate(run: Run, ranks: Ranks, told: _Told) -> None:
    """Measure, tell, and remember the best by what the holes say."""
    options = run.config.validation
    if not options.every_steps:
        return
    found = validate(run.wan, run.cache, validation_clips(run.cache, options.clips), run.config.seed, ranks)
    loss = found.adapter["holes"] if found.adapter["holes"] is not None else found.adapter["all"]
    if loss is not None and (run.best_loss is None or loss < run.best_loss):
        run.best_step, run.best_loss = run.step, loss
    told.validation(run, found)


def _save(run: Run) -> Path:
    ema = None if run.ema is None else _on_cpu(run.ema)
    moments = saved.moments_of(run.optimiser, run.parameters)
    state = saved.Saved(
        run.step, run.config, run.fingerprints, run.best_step, run.best_loss, adapter_state(run.wan), ema, moments
    )
    target = saved.save(run.folder, state)
    saved.drop_old(run.folder, run.config.save.keep, run.best_step)
    return target
