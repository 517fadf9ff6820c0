"""A run's configuration: a TOML (or JSON) file with these tables and keys, all of them with defaults but three paths.

A key that is none of them is refused with the name that it resembles. What a run used, defaults included, is written into
its folder.
"""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from ..errors import EX4DError
from .model.adapter import HIDDEN, RANK
from .model.kept import Checkpointing
from .objective import Objective
from .optimiser import LEARNING_RATE, WEIGHT_DECAY

Precision = Literal["bfloat16", "float32"]
Storage = Literal["bfloat16", "float32", "float8"]
STREAMS: tuple[Checkpointing, ...] = ("full", "offloaded")
"""Kinds of checkpointing with which weights can be streamed: a block's backward pass ends before the next one's begins."""


@dataclass(frozen=True)
class ModelConfig:
    """The network and what is trained on it.

    Attributes:
        base: file or folder of Wan's weights.
        precision: of the frozen weights, and so of the arithmetic; "float8" keeps those of the blocks in eight bits and computes
            in bfloat16, with other results.
        residual: of the stream between blocks; float32 in the published numerics.
        checkpointing: what blocks keep for the backward pass.
        sharded: spread the frozen weights over the ranks instead of keeping a copy on each; for cards that cannot hold them.
        shard_group: GPUs that together hold one copy of what is spread, as those of one machine do; 0 for all GPUs.
        streamed: blocks, from the first on, whose frozen weights wait in the computer's memory; for small cards.
        compiled: compile each block; the first step then takes a minute longer.
        rank: of the low-rank matrices.
        prior_width: channels inside the prior encoder.
        adapter: a file to start from; empty for a fresh adapter.
    """

    base: str = ""
    precision: Storage = "bfloat16"
    residual: Precision = "float32"
    checkpointing: Checkpointing = "full"
    sharded: bool = False
    shard_group: int = 0
    streamed: int = 0
    compiled: bool = False
    rank: int = RANK
    prior_width: int = HIDDEN
    adapter: str = ""


@dataclass(frozen=True)
class DataConfig:
    """What is trained on.

    Attributes:
        cache: the folder of prepared clips.
        caption_dropout: share of samples whose text is left empty; 0 in the published recipe.
    """

    cache: str = ""
    caption_dropout: float = 0.0


@dataclass(frozen=True)
class OptimiserConfig:
    """How it is trained.

    Attributes:
        objective: which noise levels, and how much each counts.
        round_timestep: round timesteps to bfloat16, as newer trainers do.
        steps: of the run.
        batch: samples of a step, over all ranks; the published one is 32.
        learning_rate: constant.
        weight_decay: on everything that is trained.
        clip_norm: largest norm of a step's gradient; 0 leaves it as it is, as published.
        ema: share that the averaged copy keeps in each step; 0 for none, as published.
    """

    objective: Objective = "published"
    round_timestep: bool = False
    steps: int = 1000
    batch: int = 32
    learning_rate: float = LEARNING_RATE
    weight_decay: float = WEIGHT_DECAY
    clip_norm: float = 0.0
    ema: float = 0.0


@dataclass(frozen=True)
class SaveConfig:
    """When the run is saved.

    Attributes:
        every_steps: 0 for never by steps.
        every_minutes: 0 for never by time.
        keep: newest saved steps that stay, besides the best; 0 keeps all.
    """

    every_steps: int = 500
    every_minutes: float = 30.0
    keep: int = 3


@dataclass(frozen=True)
class ValidationConfig:
    """When and on what it is measured.

    Attributes:
        every_steps: also before the first step and after the last; 0 for never.
        clips: of the split "validation", or where there is none of all, from the first on.
    """

    every_steps: int = 500
    clips: int = 8


@dataclass(frozen=True)
class PreviewConfig:
    """Films of what the adapter makes so far, by ``ex4d generate`` in a process of its own.

    Attributes:
        every_steps: 0 for never.
        color: colour video, or frames_*.npz of ``recon --save_frames``.
        mask: mask video; not needed with an .npz.
        prompt: empty for the published one.
        average: of the averaged adapter, where there is one.
        gpu: number of the GPU for it, as in CUDA_VISIBLE_DEVICES; empty for that of the run.
        flags: further flags of ``generate``, in words of its command line; they win.
    """

    every_steps: int = 0
    color: str = ""
    mask: str = ""
    prompt: str = ""
    average: bool = True
    gpu: str = ""
    flags: str = ""


@dataclass(frozen=True)
class LogConfig:
    """Where numbers and films go besides log.jsonl.

    Attributes:
        tensorboard: into the run's folder.
        wandb: Weights & Biases, kept in the run's folder unless WANDB_MODE says that it shall be sent.
        project: its name there.
    """

    tensorboard: bool = False
    wandb: bool = False
    project: str = "ex4d"


@dataclass(frozen=True)
class RunConfig:
    """All of it.

    Attributes:
        output: folder of the run.
        seed: of the adapter's initialisation and of every draw.
        device: "auto", "cpu", "cuda" or "cuda:1".
        deterministic: take only kernels that give the same bits every time, on a GPU, too; slower.
        model, data, optimiser, save, validation, preview, log: the tables.
    """

    output: str = ""
    seed: int = 0
    device: str = "auto"
    deterministic: bool = False
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    save: SaveConfig = field(default_factory=SaveConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    preview: PreviewConfig = field(default_factory=PreviewConfig)
    log: LogConfig = field(default_factory=LogConfig)

    def as_dict(self) -> dict[str, Any]:
        """As a file holds it."""
        return asdict(self)


MAY_DIFFER = (
    "output",
    "device",
    "deterministic",
    "model.checkpointing",
    "model.sharded",
    "model.shard_group",
    "model.streamed",
    "model.base",
    "data.cache",
    "optimiser.steps",
    "save",
    "validation",
    "preview",
    "log",
)
"""What may change when a run is taken up again: it moves no number of the steps to come. Base and cache are compared by
their content instead."""


def load_config(path: str | Path, changes: Sequence[str] = ()) -> RunConfig:
    """Read and check a configuration.

    Args:
        path: .toml (from Python 3.11 on) or .json.
        changes: "table.key=value" each, which win over the file.

    Raises:
        EX4DError: no file, a syntax error, an unknown key (with the one it resembles), a value of the wrong kind or out
            of range, or a path that is missing.
    """
    values = _read(Path(path))
    for change in changes:
        _apply(values, change)
    config = parse_config(values, Path(path).name)
    _check_ranges(config)
    return config


def parse_config(values: Mapping[str, Any], source: str) -> RunConfig:
    """The configuration that a mapping of tables describes; ``source`` is for messages."""
    return _parse(RunConfig, values, source, "")


def differences(before: RunConfig, now: RunConfig) -> list[str]:
    """What would make a run go on differently: "table.key: before, now" each."""
    old, new = (flat(each.as_dict()) for each in (before, now))
    free = tuple(f"{name}." for name in MAY_DIFFER)
    return [
        f"{key}: {old[key]}, now {new[key]}" for key in old if old[key] != new[key] and not f"{key}.".startswith(free)
    ]


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise EX4DError(f"There is no configuration at '{path}'.")
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            return json.loads(text)
        try:
            import tomllib
        except ModuleNotFoundError:
            raise EX4DError(
                f"'{path}' is TOML, which needs Python 3.11 or newer. Write the same as .json here."
            ) from None
        return tomllib.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, EX4DError):
            raise
        raise EX4DError(f"'{path}' cannot be read: {error}.") from error


def _apply(values: dict[str, Any], change: str) -> None:
    """One "table.key=value"; the value as JSON where it is some, else as text."""
    name, equals, text = change.partition("=")
    if not equals:
        raise EX4DError(f"'{change}' is not of the form table.key=value.")
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    *tables, key = name.strip().split(".")
    for table in tables:
        values = values.setdefault(table, {})
        if not isinstance(values, dict):
            raise EX4DError(f"'{change}': {table} is no table.")
    values[key] = value


def _parse(kind: Any, values: Mapping[str, Any], source: str, where: str) -> Any:
    if not isinstance(values, Mapping):
        raise EX4DError(f"{source}: {where.rstrip('.') or 'the file'} must be a table, got {values!r}.")
    types = get_type_hints(kind)
    for key in values:
        if key not in types:
            near = difflib.get_close_matches(key, types, 1) or [f"one of {', '.join(types)}"]
            raise EX4DError(f"{source}: there is no {where}{key}. Did you mean {near[0]}?")
    parsed = {}
    for each in fields(kind):
        if each.name not in values:
            continue
        value, wanted = values[each.name], types[each.name]
        name = f"{where}{each.name}"
        parsed[each.name] = (
            _parse(wanted, value, source, f"{name}.") if is_dataclass(wanted) else _checked(value, wanted, source, name)
        )
    return kind(**parsed)


def _checked(value: Any, wanted: Any, source: str, name: str) -> Any:
    if get_origin(wanted) is Literal:
        if value not in get_args(wanted):
            raise EX4DError(f"{source}: {name} must be one of {', '.join(map(str, get_args(wanted)))}, got {value!r}.")
        return value
    whole = isinstance(value, int) and not isinstance(value, bool)
    if wanted is float and (isinstance(value, float) or (whole and abs(value) <= sys.float_info.max)):
        return float(value)
    if isinstance(value, wanted) and (wanted is not int or whole):
        return value
    kinds = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    raise EX4DError(f"{source}: {name} must be {kinds[wanted]}, got {value!r}.")


def _check_ranges(config: RunConfig) -> None:
    for name, value in (
        ("output", config.output),
        ("model.base", config.model.base),
        ("data.cache", config.data.cache),
    ):
        if not value:
            raise EX4DError(f"The configuration names no {name}.")
    limits = {
        "model.rank": (1, 4096), "model.prior_width": (1, 65536), "model.streamed": (0, 1000), "model.shard_group": (0, 10**6),
        "optimiser.steps": (1, 10**9), "optimiser.batch": (1, 10**6),
        "optimiser.learning_rate": (0, 1), "optimiser.weight_decay": (0, 1), "optimiser.clip_norm": (0, 1e9),
        "optimiser.ema": (0, 0.999999), "data.caption_dropout": (0, 1), "save.every_steps": (0, 10**9),
        "save.every_minutes": (0, 1e6), "save.keep": (0, 10**6), "validation.every_steps": (0, 10**9),
        "validation.clips": (1, 10**6), "preview.every_steps": (0, 10**9), "seed": (0, 2**63),
    }  # fmt: skip
    _check_together(config.model)
    values = flat(config.as_dict())
    for name, (low, high) in limits.items():
        if not low <= values[name] <= high:
            raise EX4DError(f"{name} must lie between {low:g} and {high:g}, got {values[name]}.")
    if config.preview.every_steps and not config.preview.color:
        raise EX4DError("preview.every_steps asks for films, but preview.color names no clip to make them of.")


def _check_together(model: ModelConfig) -> None:
    if model.streamed and model.checkpointing not in STREAMS:
        raise EX4DError(
            f"model.streamed needs model.checkpointing {' or '.join(STREAMS)}, got {model.checkpointing}: what is kept of a "
            "block would keep its weights."
        )
    if model.sharded and (model.streamed or model.precision == "float8"):
        other = "model.streamed" if model.streamed else "model.precision float8"
        raise EX4DError(f"model.sharded and {other} are two ways to the same end and do not go together. Choose one.")


def flat(values: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """Tables within tables as one, with names joined by dots."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{where}{key}.") if isinstance(value, Mapping) else {f"{where}{key}": value}
    return found
