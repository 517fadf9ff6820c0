"""Wan's weights from a file or a folder of files, in the published or in diffusers' layout."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ...errors import EX4DError
from ...wan.backbone import PREFIXES
from ...wan.weights import SAFETENSORS, reading, tensor_shapes
from .geometry import geometry_of
from .names import MARK, published_name
from .wan import Wan


@dataclass(frozen=True)
class Stored:
    """Where a tensor lies.

    Attributes:
        file: the safetensors file.
        name: its name there.
        shape: its sizes.
    """

    file: Path
    name: str
    shape: tuple[int, ...]


def load_wan(
    path: str | os.PathLike[str],
    *,
    dtype: torch.dtype = torch.bfloat16,
    device: torch.device | str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> Wan:
    """A frozen network with the weights of a file.

    Tensors go to the device one at a time, so the computer's memory never holds the model twice.

    Args:
        path: a safetensors file, or a folder whose safetensors files together hold the network.
        dtype: of the weights, and so of the arithmetic of the linear layers.
        device: where they go.
        progress: called with (tensors read, tensors).

    Raises:
        EX4DError: no file, a damaged one, or one that is not exactly an image-to-video Wan 2.1.
    """
    source = Path(path).name
    stored = stored_tensors(path)
    with torch.device("meta"):
        wan = Wan(geometry_of({name: each.shape for name, each in stored.items()}, source))
    _check_complete({name: tuple(value.shape) for name, value in wan.state_dict().items()}, stored, source)
    state: dict[str, Tensor] = {}
    for file in dict.fromkeys(each.file for each in stored.values()):
        from safetensors import safe_open

        with reading(file), safe_open(str(file), framework="pt") as opened:
            for name, each in stored.items():
                if each.file == file:
                    state[name] = opened.get_tensor(each.name).to(device, dtype)
                    if progress is not None:
                        progress(len(state), len(stored))
    wan.load_state_dict(state, strict=True, assign=True)
    return wan.requires_grad_(False)


def stored_tensors(path: str | os.PathLike[str]) -> dict[str, Stored]:
    """Published name -> where that tensor lies, from the headers alone.

    Raises:
        EX4DError: no file, a damaged one, one that is no safetensors file, or a tensor that is there twice.
    """
    path = Path(path)
    files = sorted(file for kind in SAFETENSORS for file in path.glob(f"*{kind}")) if path.is_dir() else [path]
    if not files:
        raise EX4DError(f"The folder '{path}' holds no safetensors files.")
    if files[0].suffix not in SAFETENSORS:
        raise EX4DError(f"'{path}' is no safetensors file. Training reads Wan as safetensors, in bf16, fp16 or fp32.")
    found: dict[str, Stored] = {}
    shapes = [(file, tensor_shapes(file)) for file in files]
    foreign = any(MARK in each for _, each in shapes)
    names = {name for _, each in shapes for name in each}
    prefix = next(
        each for each in sorted(PREFIXES, key=len, reverse=True) if not each or all(n.startswith(each) for n in names)
    )
    for file, each in shapes:
        for name, shape in each.items():
            plain = published_name(name) if foreign else name.removeprefix(prefix)
            if plain in found:
                raise EX4DError(
                    f"The folder '{path}' holds {name} twice, in {found[plain].file.name} and {file.name}. Keep one model "
                    "in it."
                )
            found[plain] = Stored(file, name, shape)
    return found


def _check_complete(wanted: dict[str, tuple[int, ...]], stored: dict[str, Stored], source: str) -> None:
    missing = [name for name in wanted if name not in stored]
    if missing:
        raise EX4DError(
            f"{source} is incomplete: {len(missing)} of {len(wanted)} tensors of Wan are missing ({missing[0]} first). "
            "Fetch it again; of a model in parts, all of them lie in one folder."
        )
    foreign = [name for name in stored if name not in wanted]
    if foreign:
        raise EX4DError(
            f"{source} holds {len(foreign)} tensors that Wan 2.1 image-to-video does not have ({foreign[0]} first). "
            "Scaled fp8 files, first-and-last-frame and control models cannot be trained on; take the plain bf16 or fp16 "
            "file."
        )
    wrong = [name for name in wanted if stored[name].shape != wanted[name]]
    if wrong:
        raise EX4DError(
            f"{source} contradicts itself: {wrong[0]} has shape {stored[wrong[0]].shape}, expected {wanted[wrong[0]]}."
        )
