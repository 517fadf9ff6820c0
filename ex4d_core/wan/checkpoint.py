"""The adapter file: read it, account for every key, say whether it fits a model, write it as safetensors.

A file holds two parts, together or apart:

* LoRA: ``blocks.{i}.{self_attn,cross_attn}.{q,k,v,o}`` and ``blocks.{i}.ffn.{0,2}``, two tensors a module,
  ``lora_A.default.weight`` (rank, in) and ``lora_B.default.weight`` (out, rank); alpha = rank, so W' = W + B A.
* prior encoder: ``latent_encoder.{0,2,4}`` and ``latent_patch_embedding``, weight and bias.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ..errors import EX4DError
from . import lora
from .backbone import WAN21_I2V, ModelSize, backbone_of
from .lora import first
from .weights import read_tensors

BLOCK_MODULES = WAN21_I2V.block_modules
PRIOR_KEYS = tuple(
    f"{module}.{kind}"
    for module in ("latent_encoder.0", "latent_encoder.2", "latent_encoder.4", "latent_patch_embedding")
    for kind in ("weight", "bias")
)
REPOSITORY, FILE = "yihouxiang/EX-4D", "ex4d.ckpt"
"""Where the published adapter lies on Hugging Face."""

_LORA_KEY = re.compile(
    rf"(?:diffusion_model\.)?(?P<module>blocks\.\d+\.(?:{'|'.join(map(re.escape, BLOCK_MODULES))})){lora.PART}"
)


@dataclass(frozen=True)
class Adapter:
    """A checked adapter; either part may be empty.

    Attributes:
        source: the file's name, for messages.
        lora: module name in Wan -> (down (rank, in), up (out, rank)); W' = W + up @ down.
        prior: the prior encoder's state dict, or empty.
    """

    source: str
    lora: dict[str, tuple[Tensor, Tensor]]
    prior: dict[str, Tensor]

    @property
    def blocks(self) -> int:
        """Transformer blocks that the LoRA covers."""
        return len(self.lora) // len(BLOCK_MODULES)

    @property
    def rank(self) -> int:
        """Largest rank of the LoRA, 0 without one."""
        return max((down.shape[0] for down, _ in self.lora.values()), default=0)

    @property
    def dim(self) -> int:
        """Width of the model's tokens."""
        if self.prior:
            return self.prior["latent_patch_embedding.weight"].shape[0]
        return self.lora["blocks.0.self_attn.q"][1].shape[0]

    @property
    def ffn_dim(self) -> int:
        """Width inside the model's feed-forward, 0 without a LoRA."""
        return self.lora["blocks.0.ffn.0"][1].shape[0] if self.lora else 0

    @property
    def latent_channels(self) -> int:
        """Channels of each of the two latents that the prior encoder takes; the backbone's without an encoder."""
        return self.prior["latent_encoder.0.weight"].shape[1] // 2 if self.prior else WAN21_I2V.latent_channels

    @property
    def hidden(self) -> int:
        """Channels inside the prior encoder, 0 without one."""
        return self.prior["latent_encoder.0.weight"].shape[0] if self.prior else 0

    def state_dict(self) -> dict[str, Tensor]:
        """Key -> tensor under the published names: what ``parse_adapter`` makes the same adapter of again."""
        state = dict(self.prior)
        for module, (down, up) in self.lora.items():
            state[f"{module}.lora_A.default.weight"] = down
            state[f"{module}.lora_B.default.weight"] = up
        return state

    def summary(self) -> str:
        """One line for people: what the file holds."""
        lora = f"LoRA of rank {self.rank} on {self.blocks} blocks" if self.lora else "no LoRA"
        prior = f"prior encoder {self.hidden} -> {self.dim}" if self.prior else "no prior encoder"
        return f"{self.source}: {lora}, {prior}"


def load_adapter(path: str | os.PathLike[str]) -> Adapter:
    """Read and check an adapter file (.safetensors, or a pickle of plain tensors: .ckpt, .pt, .pth, .bin).

    Raises:
        EX4DError: no such file, an unreadable or damaged one, or one whose keys are not exactly an EX-4D adapter's.
    """
    path = Path(path)
    if not path.is_file():
        raise EX4DError(f"There is no adapter file at {path}. Download {FILE} from huggingface.co/{REPOSITORY}.")
    return parse_adapter(read_tensors(path), path.name)


def parse_adapter(state: Mapping[str, Tensor], source: str) -> Adapter:
    """Sort a state dict into the two parts and account for every key.

    Args:
        state: key -> tensor, published names, or ComfyUI's (``diffusion_model.`` in front of the LoRA).
        source: name for messages.

    Raises:
        EX4DError: keys that belong to no adapter, missing ones, shapes that contradict each other, values not finite.
    """
    sides: lora.Sides = {}
    prior: dict[str, Tensor] = {}
    foreign = []
    for key, tensor in state.items():
        match = _LORA_KEY.fullmatch(key)
        if match and lora.take_side(sides, match["module"], match["part"], tensor):
            continue
        if key in PRIOR_KEYS:
            prior[key] = tensor
        else:
            foreign.append(key)
    if foreign:
        raise EX4DError(
            f"{source} is not an EX-4D adapter: {len(foreign)} of its {len(state)} keys belong to none "
            f"({first(foreign)}). Expected names such as blocks.0.self_attn.q.lora_A.default.weight, without a prefix."
        )
    if not sides and not prior:
        raise EX4DError(f"{source} holds no tensors at all, so it is not an EX-4D adapter.")
    lora.check_finite(state, source)
    adapter = Adapter(source, _check_lora(sides, source), _check_prior(prior, source))
    _check_parts_agree(adapter)
    return adapter


def combine(weights: Adapter, prior: Adapter) -> Adapter:
    """The LoRA of one file with the prior encoder of another."""
    if not weights.lora:
        raise EX4DError(f"{weights.source} holds no LoRA; choose the file that does, or the complete {FILE}.")
    if not prior.prior:
        raise EX4DError(f"{prior.source} holds no prior encoder; choose the file that does, or the complete {FILE}.")
    adapter = Adapter(f"{weights.source} + {prior.source}", weights.lora, prior.prior)
    _check_parts_agree(adapter)
    return adapter


def check_fits(adapter: Adapter, size: ModelSize) -> None:
    """Refuse an adapter that does not fit a model completely.

    Raises:
        EX4DError: with what the file was made for and what the model is.
    """
    wanted = WAN21_I2V.name
    if adapter.lora and (adapter.dim, adapter.ffn_dim, adapter.blocks) != (size.dim, size.ffn_dim, size.blocks):
        raise EX4DError(
            f"{adapter.source} is made for a model of {adapter.blocks} blocks, width {adapter.dim} and feed-forward "
            f"{adapter.ffn_dim}, but MODEL has {size.blocks} blocks, width {size.dim} and feed-forward {size.ffn_dim}: "
            f"none of its {2 * len(adapter.lora)} LoRA tensors could be used as trained. Load {wanted}."
        )
    if adapter.prior and adapter.dim != size.dim:
        raise EX4DError(
            f"The prior encoder of {adapter.source} writes {adapter.dim} channels, but the tokens of MODEL have "
            f"{size.dim}. Load {wanted}."
        )
    backbone = backbone_of(size)
    if backbone is None or backbone.latent_channels != adapter.latent_channels:
        channels = 2 * adapter.latent_channels + WAN21_I2V.mask_channels
        raise EX4DError(
            f"MODEL takes {size.in_channels} input channels, but EX-4D needs an image-to-video model with {channels}. "
            f"Load {wanted}."
        )


def convert(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> Adapter:
    """Write an adapter as one safetensors file with the published names; the file appears whole or not at all.

    Raises:
        EX4DError: a target that is no .safetensors file or cannot be written, or see ``load_adapter``.
    """
    return lora.write_tensors(target, lambda: load_adapter(source), Adapter.state_dict)


def _check_lora(sides: lora.Sides, source: str) -> lora.Pairs:
    if not sides:
        return {}
    blocks = lora.blocks_of(sides)
    lora.check_complete(sides, blocks, BLOCK_MODULES, source)
    pairs = {module: lora.pair(module, sides[module], source) for module in lora.of_blocks(blocks, BLOCK_MODULES)}
    lora.check_widths(pairs, source)
    return pairs


def _check_prior(prior: dict[str, Tensor], source: str) -> dict[str, Tensor]:
    if not prior:
        return {}
    missing = [key for key in PRIOR_KEYS if key not in prior]
    if missing:
        raise EX4DError(
            f"{source} is incomplete: {len(missing)} of {len(PRIOR_KEYS)} prior encoder tensors are missing "
            f"({first(missing)}). Fetch the file again."
        )
    encoder, patch = prior["latent_encoder.0.weight"], prior["latent_patch_embedding.weight"]
    hidden, channels = encoder.shape[:2] if encoder.ndim == 5 else (0, 0)
    dim = patch.shape[0] if patch.ndim == 5 else 0
    shapes = {
        "latent_encoder.0.weight": (hidden, channels, 1, 1, 1),
        "latent_encoder.2.weight": (hidden, hidden, 1, 1, 1),
        "latent_encoder.4.weight": (hidden, hidden, 1, 1, 1),
        "latent_patch_embedding.weight": (dim, hidden, *WAN21_I2V.patch),
        "latent_patch_embedding.bias": (dim,),
    } | {f"latent_encoder.{i}.bias": (hidden,) for i in (0, 2, 4)}
    wrong = [key for key in PRIOR_KEYS if tuple(prior[key].shape) != shapes[key]]
    if wrong or channels % 2:
        raise EX4DError(
            f"{source}: {len(wrong) or 1} prior encoder tensors have unexpected shapes "
            f"({first(f'{key} {tuple(prior[key].shape)}' for key in wrong or PRIOR_KEYS[:1])})."
        )
    return prior


def _check_parts_agree(adapter: Adapter) -> None:
    if adapter.lora and adapter.prior:
        lora_dim = adapter.lora["blocks.0.self_attn.q"][1].shape[0]
        if lora_dim != adapter.dim:
            raise EX4DError(
                f"{adapter.source}: the LoRA is made for tokens {lora_dim} wide, the prior encoder for {adapter.dim}."
            )
