"""A base, prepared clips and a configuration of the smallest size, for tests of runs."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from ex4d_core.training.cache import CachedClip, write_clip, write_index
from ex4d_core.training.model import Geometry, Wan
from ex4d_core.training.step import Sample
from ex4d_core.wan.backbone import ModelSize

SHAPE = (2, 4, 6)
VARIANTS = 2


def write_base(path: Path, blocks: int = 1) -> Path:
    """Blocks of the smallest width."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        wan = Wan(Geometry(ModelSize(128, 64, blocks, 36), text_width=32, clip_width=16))
    save_file(wan.state_dict(), path)
    return path


def write_cache(folder: Path, clips: int = 3, validation: int = 1) -> Path:
    """Clips of random latents, each with two masks."""
    generator = torch.Generator().manual_seed(5)
    draw = lambda *shape: torch.randn(shape, generator=generator)  # noqa: E731
    entries = []
    for number in range(clips + validation):
        split = "train" if number < clips else "validation"
        clip = CachedClip(f"clip {number}", f"clip_{number}.safetensors", split, VARIANTS, SHAPE)
        target, start = draw(16, *SHAPE), draw(20, *SHAPE)
        variants = []
        for k in range(VARIANTS):
            seen = torch.ones(5, 32, 48, dtype=torch.bool)
            seen[:, :, : 16 * (k + 1)] = False
            variants.append((draw(16, *SHAPE), draw(16, *SHAPE), seen))
        sample = Sample(target, start, variants[0][0], variants[0][1], draw(7, 32), draw(5, 16))
        write_clip(folder, clip, sample, variants)
        entries.append(clip)
    write_index(folder, entries, {"vae": "none"})
    return folder


def write_config(folder: Path, output: str = "run", **tables) -> Path:
    """A .json configuration in ``folder``; ``tables`` change its values."""
    values = {
        "output": str(folder / output), "seed": 3, "device": "cpu",
        "model": {
            "base": str(folder / "base.safetensors"), "precision": "float32", "rank": 2, "prior_width": 8,
            "checkpointing": "off",
        },
        "data": {"cache": str(folder / "cache")},
        "optimiser": {"steps": 4, "batch": 4, "learning_rate": 1e-3},
        "save": {"every_steps": 0, "every_minutes": 0},
        "validation": {"every_steps": 0},
    }  # fmt: skip
    for table, changes in tables.items():
        values[table] = values.get(table, {}) | changes if isinstance(changes, dict) else changes
    path = folder / f"{output}.json"
    path.write_text(json.dumps(values), encoding="utf-8")
    return path


def write_all(folder: Path, blocks: int = 1) -> Path:
    """Base and cache in a folder."""
    write_base(folder / "base.safetensors", blocks)
    write_cache(folder / "cache")
    return folder
