"""What the adapter files have in common: pairs of LoRA tensors, checks of whole tables, a safetensors file of one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from ..errors import EX4DError
from ..storage.staging import staged_file

SUFFIX = ".safetensors"
PART = r"\.(?P<part>lora_A|lora_B|lora_down|lora_up|alpha)(?:\.default)?(?:\.weight)?"
"""Pattern of what stands behind a module's name in the key of a LoRA tensor."""
_SIDES = {"lora_A": "down", "lora_down": "down", "lora_B": "up", "lora_up": "up", "alpha": "alpha"}

Sides = dict[str, dict[str, Tensor]]
"""Module -> "down" (rank, in), "up" (out, rank), and "alpha" where the file has one."""
Pairs = dict[str, tuple[Tensor, Tensor]]
"""Module -> (down (rank, in), up (out, rank)); W' = W + up @ down."""
Read = TypeVar("Read")


def take_side(sides: Sides, module: str, part: str, tensor: Tensor) -> bool:
    """Note one tensor of a module; False for a second spelling of the same one."""
    tensors, side = sides.setdefault(module, {}), _SIDES[part]
    if side in tensors:
        return False
    tensors[side] = tensor
    return True


def check_complete(sides: Sides, blocks: int, modules: tuple[str, ...], source: str) -> None:
    """Refuse a LoRA that lacks a tensor on one of these modules of its blocks.

    Args:
        sides: what was found.
        blocks: how many blocks it speaks of; a damaged name may make millions of it.
        modules: of a block.
        source: name for messages.
    """
    total = 2 * blocks * len(modules)
    missing = total - sum(len(pair.keys() & {"down", "up"}) for pair in sides.values())
    if missing:
        names = (
            f"{module}.lora_{letter}"
            for module in of_blocks(blocks, modules)
            for side, letter in (("down", "A"), ("up", "B"))
            if side not in sides.get(module, {})
        )
        raise EX4DError(
            f"{source} is incomplete: {missing} of {total} LoRA tensors are missing ({first(names)}). Fetch the file again."
        )


def of_blocks(blocks: int, modules: tuple[str, ...]) -> Iterator[str]:
    """Names of these modules in every block, one after another."""
    return (f"blocks.{block}.{module}" for block in range(blocks) for module in modules)


def blocks_of(sides: Sides) -> int:
    """One more than the largest number of a block that is spoken of."""
    return 1 + max(int(module.split(".")[1]) for module in sides)


def pair(module: str, tensors: Mapping[str, Tensor], source: str, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    """(down, up) of one module with its strength multiplied into ``up``.

    Args:
        module: its name, for messages.
        tensors: its sides.
        source: name for messages.
        scale: alpha / rank where the file has no alpha.
    """
    down, up = tensors["down"], tensors["up"]
    if down.ndim != 2 or up.ndim != 2 or down.shape[0] != up.shape[1]:
        raise EX4DError(
            f"{source}: the LoRA of {module} has shapes {tuple(down.shape)} and {tuple(up.shape)}, "
            "expected (rank, in) and (out, rank)."
        )
    if "alpha" in tensors:
        if tensors["alpha"].numel() != 1:
            raise EX4DError(f"{source}: alpha of {module} must be one number, got {tuple(tensors['alpha'].shape)}.")
        scale = float(tensors["alpha"]) / down.shape[0]
    return down, scaled(up, scale)


def scaled(tensor: Tensor, scale: float) -> Tensor:
    """A tensor times a number; itself where that is 1. float8, which has no product, becomes float32."""
    if scale == 1:
        return tensor
    return (tensor.float() if tensor.element_size() == 1 else tensor) * scale


def check_widths(pairs: Pairs, source: str, ffn: tuple[str, ...] = ("ffn.0", "ffn.2")) -> None:
    """Refuse modules whose widths contradict each other; ``ffn`` are a block's way into the feed-forward and out."""
    dim = pairs["blocks.0.self_attn.q"][1].shape[0]
    ffn_dim = pairs[f"blocks.0.{ffn[0]}"][1].shape[0] if f"blocks.0.{ffn[0]}" in pairs else 0
    widths = {ffn[0]: (dim, ffn_dim), ffn[1]: (ffn_dim, dim)}
    wrong = [
        module
        for module, (down, up) in pairs.items()
        if (down.shape[1], up.shape[0]) != widths.get(module.split(".", 2)[2], (dim, dim))
    ]
    if wrong:
        raise EX4DError(
            f"{source} contradicts itself: {len(wrong)} of {len(pairs)} LoRA modules are not {dim} or {ffn_dim} wide "
            f"({first(wrong)})."
        )


def check_finite(state: Mapping[str, Tensor], source: str) -> None:
    """Refuse tensors of whole numbers, and such with values that are not finite."""
    bad = [key for key, tensor in state.items() if not _finite(tensor)]
    if bad:
        raise EX4DError(
            f"{source} is damaged: {len(bad)} of {len(state)} tensors hold values that are not finite ({first(bad)}). "
            "Fetch the file again."
        )


def first(names: Iterable[str], count: int = 3) -> str:
    """The first of many names, for a message."""
    head = list(islice(names, count + 1))
    return ", ".join(head[:count]) + (", ..." if len(head) > count else "")


def write_tensors(
    target: str | os.PathLike[str], read: Callable[[], Read], state: Callable[[Read], Mapping[str, Tensor]]
) -> Read:
    """Write what is read as one safetensors file, which appears whole or not at all.

    Args:
        target: the .safetensors file; one that exists is replaced.
        read: what is to be written, read once the target is known to be fine.
        state: its key -> tensor.

    Raises:
        EX4DError: a target that is no .safetensors file or cannot be written; and what ``read`` raises.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    target = Path(target)
    if target.suffix != SUFFIX:
        raise EX4DError(f"A converted adapter is a {SUFFIX} file, got '{target}'.")
    with staged_file(target, make_folder=True) as part:
        value = read()
        tensors = state(value)
        try:
            save_file({key: tensors[key].contiguous() for key in sorted(tensors)}, str(part), {"format": "pt"})
        except SafetensorError as error:  # how safetensors tells of a full disk or a lost one
            raise EX4DError(f"'{target}' cannot be written: {error}. Choose another folder.") from error
    return value


def _finite(tensor: Tensor) -> bool:
    values = tensor.float() if tensor.element_size() == 1 else tensor  # float8 has no isfinite of its own
    return tensor.is_floating_point() and bool(torch.isfinite(values).all())
