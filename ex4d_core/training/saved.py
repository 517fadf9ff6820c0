"""A run's saved steps: each a folder that appears whole, from which the run goes on to the bit.

``step-001000/`` holds ``adapter.safetensors``, which the nodes and ``convert`` load, ``adapter_ema.safetensors`` where
there is an average, ``state.safetensors`` (the optimiser's moments) and ``run.json`` (step, configuration, fingerprints).
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import EX4DError
from ..storage.staging import STAGE_PREFIX, write_errors
from ..wan.weights import read_tensors
from .config import RunConfig, parse_config

ADAPTER, EMA, STATE, RUN = "adapter.safetensors", "adapter_ema.safetensors", "state.safetensors", "run.json"
LOG = "log.jsonl"
PREFIX = "step-"
MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class Saved:
    """A saved step.

    Attributes:
        step: optimiser steps done.
        config: of the run.
        fingerprints: of base and cache, by which another one is noticed.
        best_step, best_loss: the best validation until then; None where there was none.
        adapter, ema: name -> float32 tensor; ema is None where there is no average.
        moments: name -> (first, second) moment.
    """

    step: int
    config: RunConfig
    fingerprints: Mapping[str, str]
    best_step: int | None
    best_loss: float | None
    adapter: dict[str, Tensor]
    ema: dict[str, Tensor] | None
    moments: dict[str, tuple[Tensor, Tensor]]


def moments_of(optimiser: torch.optim.Optimizer, parameters: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """The optimiser's moments by name, copied to the CPU; zeros before the first step."""
    moments = {}
    for name, value in parameters.items():
        state = optimiser.state.get(value, {})
        first, second = (state.get(key, torch.zeros_like(value)).detach().to("cpu", copy=True) for key in MOMENTS)
        moments[name] = (first, second)
    return moments


def set_moments(
    optimiser: torch.optim.Optimizer,
    parameters: Mapping[str, Tensor],
    moments: Mapping[str, tuple[Tensor, Tensor]],
    step: int,
) -> None:
    """Put the optimiser where it was after ``step`` steps."""
    for name, value in parameters.items():
        first, second = (moment.to(value.device, copy=True) for moment in moments[name])
        optimiser.state[value] = {"step": torch.tensor(float(step)), MOMENTS[0]: first, MOMENTS[1]: second}


def save(folder: Path, saved: Saved) -> Path:
    """Write a step's folder beside its name and rename it.

    Raises:
        EX4DError: the disk is full, or the folder cannot be written; earlier steps stay as they are.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    target = folder / f"{PREFIX}{saved.step:06d}"
    part = folder / f"{STAGE_PREFIX}{target.name}"
    record = {
        "step": saved.step,
        "config": saved.config.as_dict(),
        "fingerprints": dict(saved.fingerprints),
        "best": [saved.best_step, saved.best_loss],
    }
    try:
        with write_errors(target):
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            try:
                save_file(saved.adapter, str(part / ADAPTER), {"format": "pt"})
                if saved.ema is not None:
                    save_file(saved.ema, str(part / EMA), {"format": "pt"})
                state = {f"{key}/{n}": m[i] for n, m in saved.moments.items() for i, key in enumerate(MOMENTS)}
                save_file(state, str(part / STATE))
            except SafetensorError as error:  # how safetensors tells of a full disk or a lost one
                raise EX4DError(f"'{target}' cannot be written: {error}. Choose another folder.") from error
            (part / RUN).write_text(json.dumps(record, indent=1), encoding="utf-8")
            shutil.rmtree(target, ignore_errors=True)  # the same step once more, after a resume
            part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return target


def load(path: Path) -> Saved:
    """Read a step's folder.

    Raises:
        EX4DError: something of it is missing or damaged.
    """
    try:
        record = json.loads((path / RUN).read_text(encoding="utf-8"))
        config = parse_config(record["config"], str(path / RUN))
        step, fingerprints, (best_step, best_loss) = int(record["step"]), record["fingerprints"], record["best"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, EX4DError):
            raise
        raise EX4DError(f"The saved step '{path}' is damaged ({error}). Take an earlier one.") from error
    adapter, state = read_tensors(path / ADAPTER), read_tensors(path / STATE)
    ema = read_tensors(path / EMA) if (path / EMA).exists() else None
    missing = [name for name in adapter if any(f"{key}/{name}" not in state for key in MOMENTS)]
    if missing:
        raise EX4DError(f"The saved step '{path}' is damaged: it has no moments of {missing[0]}. Take an earlier one.")
    moments = {name: (state[f"{MOMENTS[0]}/{name}"], state[f"{MOMENTS[1]}/{name}"]) for name in adapter}
    return Saved(step, config, fingerprints, best_step, best_loss, adapter, ema, moments)


def steps_in(folder: Path) -> list[Path]:
    """The saved steps of a run, the earliest first."""
    found = [path for path in folder.glob(f"{PREFIX}*") if path.name.removeprefix(PREFIX).isdigit() and path.is_dir()]
    return sorted(found, key=lambda path: int(path.name.removeprefix(PREFIX)))


def drop_old(folder: Path, keep: int, best_step: int | None) -> None:
    """Remove all but the newest ``keep`` steps and the best; 0 keeps all."""
    for path in steps_in(folder)[:-keep] if keep else []:
        if int(path.name.removeprefix(PREFIX)) != best_step:
            shutil.rmtree(path, ignore_errors=True)


def note_config(folder: Path, config: RunConfig) -> None:
    """Write the configuration with every default into the run's folder."""
    text = json.dumps(config.as_dict(), indent=1)
    with write_errors(folder):
        (folder / "config.json").write_text(text, encoding="utf-8")


Record = dict[str, Any]


def cut_log(folder: Path, step: int) -> None:
    """Leave out of log.jsonl what was logged after a step, for a run that goes on from there: those steps come once more.

    A line that is damaged, as one that was cut off when the run was killed, goes, too.
    """
    path = folder / LOG
    if not path.exists():
        return
    with write_errors(folder):
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if step and _step_of(line) <= step]
        if len(kept) < len(lines):
            part = path.with_name(f"{STAGE_PREFIX}{LOG}")
            part.write_text("".join(kept), encoding="utf-8")
            part.replace(path)


def _step_of(line: str) -> float:
    """Infinite for a line that is damaged."""
    try:
        return int(json.loads(line)["step"]) if line.endswith("\n") else math.inf
    except (ValueError, KeyError, TypeError):
        return math.inf


def append_log(folder: Path, record: Record) -> None:
    """One line of log.jsonl, written at once."""
    with write_errors(folder), (folder / LOG).open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
