"""Prepared clips on disk: one safetensors file a clip and an index, so that training decodes and encodes nothing.

A folder holds ``index.jsonl``, one line a clip ({"name", "file", "split", "variants", "shape"}), ``key.json`` (what the
clips were made with) and the files. A file holds, in bfloat16:

* ``target`` (16, F, H, W) and ``start`` (20, F, H, W), see `step.Sample`;
* ``color_k`` and ``mask_k`` (16, F, H, W) for each mask variant k;
* ``text`` (tokens, width) without padding, ``clip`` (tokens, width);

and ``seen_k`` (T, H * 8, ceil(W * 8 / 8)) uint8, the masks themselves, eight pixels a byte, from which latents can be made
again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import EX4DError
from ..storage.staging import staged_file
from ..wan.weights import reading
from .step import Sample

INDEX, KEY = "index.jsonl", "key.json"
VERSION = 1
"""Of this format; part of the key."""
VALIDATION = "validation"
SPLITS = ("train", VALIDATION)


@dataclass(frozen=True)
class CachedClip:
    """One line of the index.

    Attributes:
        name: of the clip, for messages.
        file: beside the index.
        split: "train" or "validation".
        variants: masks there are of it.
        shape: (F, H, W) of its latents.
    """

    name: str
    file: str
    split: str
    variants: int
    shape: tuple[int, int, int]


@dataclass(frozen=True)
class Cache:
    """A folder of prepared clips.

    Attributes:
        folder: where it is.
        clips: in the order of the index.
        key: what they were made with; any mapping that JSON holds.
    """

    folder: Path
    clips: tuple[CachedClip, ...]
    key: Mapping[str, Any]

    def split(self, name: str) -> tuple[CachedClip, ...]:
        """The clips of a split."""
        return tuple(clip for clip in self.clips if clip.split == name)

    def digest(self) -> str:
        """Tells two caches apart: of the key and the list of clips."""
        text = json.dumps([dict(self.key), [vars(clip) for clip in self.clips]], sort_keys=True, default=list)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def open_cache(folder: str | Path) -> Cache:
    """The index of a cache; files are read later.

    Raises:
        EX4DError: no cache, a damaged index, or one of another version of this format.
    """
    folder = Path(folder)
    try:
        key = json.loads((folder / KEY).read_text(encoding="utf-8"))
        lines = (folder / INDEX).read_text(encoding="utf-8").splitlines()
        entries = [json.loads(line) for line in lines if line.strip()]
        clips = tuple(
            CachedClip(each["name"], each["file"], each["split"], int(each["variants"]), tuple(each["shape"]))
            for each in entries
        )
        version = key.get("version")
    except FileNotFoundError as error:
        raise EX4DError(f"'{folder}' holds no prepared clips: {Path(error.filename).name} is missing.") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise EX4DError(f"The index of '{folder}' is damaged: {error}. Prepare the clips again.") from error
    if version != VERSION:
        raise EX4DError(
            f"The clips in '{folder}' are of version {version} of the format, this program reads {VERSION}. "
            "Prepare them again into another folder."
        )
    if not any(clip.split == SPLITS[0] for clip in clips):
        raise EX4DError(f"'{folder}' holds no clips to train on.")
    return Cache(folder, clips, key)


def check_key(cache: Cache, wanted: Mapping[str, Any]) -> None:
    """Refuse clips that were made with something else; names the field.

    Raises:
        EX4DError: a field of ``wanted`` differs; nothing is deleted.
    """
    for name, value in wanted.items():
        if cache.key.get(name) != value:
            raise EX4DError(
                f"The clips in '{cache.folder}' were prepared with another {name} ({cache.key.get(name)}, wanted {value}). "
                "Prepare into another folder, or use what they were made with."
            )


def load_sample(cache: Cache, clip: CachedClip, variant: int) -> Sample:
    """A clip with one of its masks, as stored.

    Raises:
        EX4DError: a file that is missing, damaged, or lacks a tensor.
    """
    tensors = _load(cache, clip, ("target", "start", f"color_{variant}", f"mask_{variant}", "text", "clip"))
    return Sample(*tensors, name=clip.name)


def load_seen(cache: Cache, clip: CachedClip, variant: int) -> Tensor:
    """(T, H, W) bool: the mask of a variant in pixels."""
    (packed,) = _load(cache, clip, (f"seen_{variant}",))
    _, _, width = clip.shape
    bits = np.unpackbits(packed.numpy(), axis=-1, count=8 * width)
    return torch.from_numpy(bits.astype(bool))


def write_clip(
    folder: Path, clip: CachedClip, sample: Sample, variants: Sequence[tuple[Tensor, Tensor, Tensor]]
) -> None:
    """Write one clip's file; it appears whole or not at all.

    Args:
        folder: of the cache.
        clip: its line of the index.
        sample: gives target, start, text and CLIP tokens.
        variants: (colour latent, mask latent, (T, H, W) bool mask) of each.
    """
    from safetensors.torch import save_file

    state = {"target": sample.target, "start": sample.start, "text": sample.text, "clip": sample.clip}
    for number, (color, mask, _) in enumerate(variants):
        state |= {f"color_{number}": color, f"mask_{number}": mask}
    stored = {name: value.to(torch.bfloat16).contiguous() for name, value in state.items()}
    for number, (_, _, seen) in enumerate(variants):
        stored[f"seen_{number}"] = torch.from_numpy(np.packbits(seen.numpy(), axis=-1))
    with staged_file(folder / clip.file, make_folder=True) as part:
        save_file(stored, str(part))


def write_index(folder: Path, clips: Sequence[CachedClip], key: Mapping[str, Any]) -> None:
    """Write the key, then the index, which names only files that are there."""
    with staged_file(folder / KEY, make_folder=True) as part:
        part.write_text(json.dumps({**key, "version": VERSION}, indent=1), encoding="utf-8")
    with staged_file(folder / INDEX) as part:
        part.write_text("".join(json.dumps(vars(clip)) + "\n" for clip in clips), encoding="utf-8")


def _load(cache: Cache, clip: CachedClip, names: Sequence[str]) -> list[Tensor]:
    from safetensors import safe_open

    path = cache.folder / clip.file
    with reading(path), safe_open(str(path), framework="pt") as file:
        there = set(file.keys())
        missing = [name for name in names if name not in there]
        if missing:
            raise EX4DError(f"The prepared clip '{path}' lacks {missing[0]}. Prepare it again.")
        return [file.get_tensor(name) for name in names]
