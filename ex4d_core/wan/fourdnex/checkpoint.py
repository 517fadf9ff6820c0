"""The adapter of 4DNeX: a LoRA and two learned vectors, in two files as published or in one.

* LoRA: ``transformer.blocks.{i}.{attn1,attn2}.{to_q,to_k,to_v,to_out.0}``, two tensors a module, ``lora_A.weight``
  (rank, in) and ``lora_B.weight`` (out, rank). Relatives of it also train ``ffn.net.0.proj`` and ``ffn.net.2``. The file
  has no alpha; it was trained with alpha = rank / 2, so W' = W + 0.5 B A.
* vectors: (2, dim), the first for the tokens of the left half (colour), the second for those of the right (points).
  Without them the result is half wrong, so they are never left out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ...errors import EX4DError
from .. import lora
from ..backbone import WAN21_I2V, ModelSize
from ..lora import first
from ..weights import read_tensors

REPOSITORY = "FrozenBurning/4DNex-Lora"
"""Where the published adapter lies on Hugging Face."""
LORA_FILE, VECTORS_FILE = "pytorch_lora_weights.safetensors", "learnable_domain_embeddings.pt"
"""Its two files."""
VECTORS_KEY = "learnable_domain_embeddings"
"""What the vectors are called in a table of tensors, alone or behind the name of a module."""
TRAINED_STRENGTH = 0.5
"""Alpha / rank of the published training."""
HALVES = 2
"""Colour on the left, points on the right."""

NAMES = {
    **{
        f"{theirs}.{name}": f"{ours}.{letter}"
        for theirs, ours in (("attn1", "self_attn"), ("attn2", "cross_attn"))
        for name, letter in (("to_q", "q"), ("to_k", "k"), ("to_v", "v"), ("to_out.0", "o"))
    },
    "ffn.net.0.proj": "ffn.0",
    "ffn.net.2": "ffn.2",
}
"""Linear layers of a block under the published names and under Wan's own."""
ATTENTION = tuple(name for name in NAMES.values() if not name.startswith("ffn"))
FEED_FORWARD = tuple(name for name in NAMES.values() if name.startswith("ffn"))
_PUBLISHED = {ours: theirs for theirs, ours in NAMES.items()}

_KEY = re.compile(
    r"(?:base_model\.model\.)?(?:transformer\.|diffusion_model\.)?(?P<block>blocks\.\d+)\."
    rf"(?P<name>{'|'.join(map(re.escape, [*NAMES, *NAMES.values()]))}){lora.PART}"
)


@dataclass(frozen=True)
class Adapter:
    """A checked adapter of 4DNeX, whole.

    Attributes:
        source: the files' names, for messages.
        lora: module name in Wan -> (down (rank, in), up (out, rank)); W' = W + up @ down, the strength of training in up.
        vectors: (2, dim): added to the tokens of the left and of the right half.
    """

    source: str
    lora: dict[str, tuple[Tensor, Tensor]]
    vectors: Tensor

    @property
    def modules(self) -> tuple[str, ...]:
        """Linear layers of a block that the LoRA covers."""
        return ATTENTION + (FEED_FORWARD if f"blocks.0.{FEED_FORWARD[0]}" in self.lora else ())

    @property
    def blocks(self) -> int:
        """Transformer blocks that the LoRA covers."""
        return len(self.lora) // len(self.modules)

    @property
    def rank(self) -> int:
        """Largest rank of the LoRA."""
        return max(down.shape[0] for down, _ in self.lora.values())

    @property
    def dim(self) -> int:
        """Width of the model's tokens."""
        return self.vectors.shape[1]

    def state_dict(self) -> dict[str, Tensor]:
        """Key -> tensor under the published names: what ``parse_adapter`` makes the same adapter of again."""
        state = {VECTORS_KEY: self.vectors}
        for module, (down, up) in self.lora.items():
            block, name = _split(module)
            theirs = f"transformer.{block}.{_PUBLISHED[name]}"
            state[f"{theirs}.lora_A.weight"] = down
            state[f"{theirs}.lora_B.weight"] = lora.scaled(up, 1 / TRAINED_STRENGTH)
        return state

    def summary(self) -> str:
        """One line for people: what the files hold."""
        more = " and feed-forward" if len(self.modules) > len(ATTENTION) else ""
        return f"{self.source}: LoRA of rank {self.rank} on attention{more} of {self.blocks} blocks, two vectors of {self.dim}"


def load_adapter(path: str | os.PathLike[str], vectors: str | os.PathLike[str] | None = None) -> Adapter:
    """Read and check the adapter of 4DNeX.

    Args:
        path: the LoRA's file, or one that holds both parts (.safetensors, or a pickle of plain tensors).
        vectors: the file with the vectors; None takes those in the same file, or beside it under their published name.

    Raises:
        EX4DError: no such file, an unreadable or damaged one, keys that are not exactly such an adapter's, no vectors.
    """
    path = Path(path)
    if not path.is_file():
        raise EX4DError(
            f"There is no adapter file at {path}. Download {LORA_FILE} and {VECTORS_FILE} from huggingface.co/{REPOSITORY}."
        )
    state, source = read_tensors(path), path.name
    if vectors is None and not any(_is_vectors(key) for key in state):
        beside = path.with_name(VECTORS_FILE)
        if not beside.is_file():
            raise EX4DError(
                f"{source} holds no vectors ({VECTORS_KEY}) and there is no {VECTORS_FILE} beside it. Without them 4DNeX's "
                f"result would be wrong: download that file from huggingface.co/{REPOSITORY} and put it into the same folder."
            )
        vectors = beside
    if vectors is not None:
        state = {key: value for key, value in state.items() if not _is_vectors(key)}
        state[VECTORS_KEY] = load_vectors(vectors)
        source = f"{source} + {Path(vectors).name}"
    return parse_adapter(state, source)


def load_vectors(path: str | os.PathLike[str]) -> Tensor:
    """The two vectors of a file: a bare tensor, or a table with one of their name and nothing else.

    Raises:
        EX4DError: no such file, an unreadable one, or one that holds something else.
    """
    path = Path(path)
    if not path.is_file():
        raise EX4DError(
            f"There is no file of vectors at {path}. Download {VECTORS_FILE} from huggingface.co/{REPOSITORY}."
        )
    state = read_tensors(path, bare=VECTORS_KEY)
    found = [key for key in state if _is_vectors(key)]
    foreign = [key for key in state if not _is_vectors(key)]
    if len(found) != 1 or foreign:
        raise EX4DError(
            f"{path.name} holds {first(state) or 'no tensors'}; the file of 4DNeX's vectors holds {VECTORS_KEY} and nothing "
            "else."
        )
    return state[found[0]]


def is_fourdnex(names: Iterable[str]) -> bool:
    """Whether a file's names look like this adapter's, whole or in part, rather than another's."""
    return any(_is_vectors(name) or re.search(r"\.(?:attn[12]\.to_|ffn\.net\.)", name) for name in names)


def parse_adapter(state: Mapping[str, Tensor], source: str) -> Adapter:
    """Sort a state dict into LoRA and vectors, and account for every key.

    Args:
        state: key -> tensor, under the published names or Wan's own.
        source: name for messages.

    Raises:
        EX4DError: keys that belong to no such adapter, missing ones, shapes that contradict each other, values not finite.
    """
    sides: lora.Sides = {}
    vectors: list[Tensor] = []
    foreign = []
    for key, tensor in state.items():
        match = _KEY.fullmatch(key)
        module = f"{match['block']}.{NAMES.get(match['name'], match['name'])}" if match else ""
        if match and lora.take_side(sides, module, match["part"], tensor):
            continue
        if _is_vectors(key) and not vectors:
            vectors.append(tensor)
        else:
            foreign.append(key)
    if foreign:
        raise EX4DError(
            f"{source} is not a 4DNeX adapter: {len(foreign)} of its {len(state)} keys belong to none ({first(foreign)}). "
            "Expected names such as transformer.blocks.0.attn1.to_q.lora_A.weight."
        )
    if not sides:
        raise EX4DError(f"{source} holds no LoRA, so it is not a 4DNeX adapter. Choose {LORA_FILE}.")
    if not vectors:
        raise EX4DError(
            f"{source} holds no vectors ({VECTORS_KEY}), without which 4DNeX's result would be wrong. Give {VECTORS_FILE} too."
        )
    lora.check_finite(state, source)
    adapter = Adapter(source, _check_lora(sides, source), vectors[0])
    _check_vectors(adapter)
    return adapter


def convert(
    source: str | os.PathLike[str], target: str | os.PathLike[str], vectors: str | os.PathLike[str] | None = None
) -> Adapter:
    """Write both parts as one safetensors file under the published names; it appears whole or not at all.

    Raises:
        EX4DError: a target that is no .safetensors file or cannot be written, or see ``load_adapter``.
    """
    return lora.write_tensors(target, lambda: load_adapter(source, vectors), Adapter.state_dict)


def check_fits(adapter: Adapter, size: ModelSize) -> None:
    """Refuse an adapter that does not fit a model completely.

    Raises:
        EX4DError: with what the files were made for and what the model is.
    """
    if (adapter.dim, adapter.blocks) != (size.dim, size.blocks):
        raise EX4DError(
            f"{adapter.source} is made for a model of {adapter.blocks} blocks and width {adapter.dim}, but MODEL has "
            f"{size.blocks} blocks and width {size.dim}. Load {WAN21_I2V.name}."
        )
    into = adapter.lora.get(f"blocks.0.{FEED_FORWARD[0]}")
    if into is not None and into[1].shape[0] != size.ffn_dim:
        raise EX4DError(
            f"{adapter.source} is made for a feed-forward of {into[1].shape[0]}, but MODEL has {size.ffn_dim}. "
            f"Load {WAN21_I2V.name}."
        )
    if size.in_channels != WAN21_I2V.in_channels:
        raise EX4DError(
            f"MODEL takes {size.in_channels} input channels, but 4DNeX needs an image-to-video model with "
            f"{WAN21_I2V.in_channels}. Load {WAN21_I2V.name}."
        )


def _split(module: str) -> tuple[str, str]:
    """("blocks.3", "self_attn.q") of "blocks.3.self_attn.q"."""
    word, number, name = module.split(".", 2)
    return f"{word}.{number}", name


def _is_vectors(key: str) -> bool:
    return key == VECTORS_KEY or key.endswith(f".{VECTORS_KEY}")


def _check_lora(sides: lora.Sides, source: str) -> lora.Pairs:
    blocks = lora.blocks_of(sides)
    modules = ATTENTION + (FEED_FORWARD if any(_split(module)[1] in FEED_FORWARD for module in sides) else ())
    lora.check_complete(sides, blocks, modules, source)
    pairs = {
        module: lora.pair(module, sides[module], source, TRAINED_STRENGTH) for module in lora.of_blocks(blocks, modules)
    }
    lora.check_widths(pairs, source, FEED_FORWARD)
    return pairs


def _check_vectors(adapter: Adapter) -> None:
    shape, dim = tuple(adapter.vectors.shape), adapter.lora["blocks.0.self_attn.q"][1].shape[0]
    if shape != (HALVES, dim):
        raise EX4DError(
            f"{adapter.source}: the vectors have shape {shape}, but the LoRA is made for tokens {dim} wide: expected "
            f"({HALVES}, {dim}). The two files belong to different adapters."
        )
