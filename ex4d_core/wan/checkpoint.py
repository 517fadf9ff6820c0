"""The adapter file: read it, account for every key, say whether it fits a model, write it as safetensors.

A file holds two parts, together or apart:

* LoRA: ``blocks.{i}.{self_attn,cross_attn}.{q,k,v,o}`` and ``blocks.{i}.ffn.{0,2}``, two tensors a module,
  ``lora_A.default.weight`` (rank, in) and ``lora_B.default.weight`` (out, rank); alpha = rank, so W' = W + B A.
* prior encoder: ``latent_encoder.{0,2,4}`` and ``latent_patch_embedding``, weight and bias.
"""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..errors import EX4DError

BLOCK_MODULES = (*(f"{a}.{p}" for a in ("self_attn", "cross_attn") for p in "qkvo"), "ffn.0", "ffn.2")
PRIOR_KEYS = tuple(
    f"{module}.{kind}"
    for module in ("latent_encoder.0", "latent_encoder.2", "latent_encoder.4", "latent_patch_embedding")
    for kind in ("weight", "bias")
)
REPOSITORY, FILE = "yihouxiang/EX-4D", "ex4d.ckpt"
"""Where the published adapter lies on Hugging Face."""

_LORA_KEY = re.compile(
    rf"(?:diffusion_model\.)?(?P<module>blocks\.\d+\.(?:{'|'.join(map(re.escape, BLOCK_MODULES))}))\."
    r"(?P<part>lora_A|lora_B|lora_down|lora_up|alpha)(?:\.default)?(?:\.weight)?"
)
_SIDES = {"lora_A": "down", "lora_down": "down", "lora_B": "up", "lora_up": "up", "alpha": "alpha"}


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
    def hidden(self) -> int:
        """Channels inside the prior encoder, 0 without one."""
        return self.prior["latent_encoder.0.weight"].shape[0] if self.prior else 0

    def summary(self) -> str:
        """One line for people: what the file holds."""
        lora = f"LoRA of rank {self.rank} on {self.blocks} blocks" if self.lora else "no LoRA"
        prior = f"prior encoder {self.hidden} -> {self.dim}" if self.prior else "no prior encoder"
        return f"{self.source}: {lora}, {prior}"


def load_adapter(path: str | os.PathLike) -> Adapter:
    """Read and check an adapter file (.safetensors, or a pickle of plain tensors: .ckpt, .pt, .pth, .bin).

    Raises:
        EX4DError: no such file, an unreadable or damaged one, or one whose keys are not exactly an EX-4D adapter's.
    """
    return parse_adapter(read_state_dict(path), Path(path).name)


def read_state_dict(path: str | os.PathLike) -> dict[str, Tensor]:
    """All tensors of a file, on the CPU. Pickles are read with weights_only, so they cannot run code."""
    path = Path(path)
    if not path.is_file():
        raise EX4DError(f"There is no adapter file at {path}. Download {FILE} from huggingface.co/{REPOSITORY}.")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(str(path))
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise _unreadable(path, error) from error
    except Exception as error:  # safetensors raises a class of its own that derives from Exception
        if type(error).__name__ != "SafetensorError":
            raise
        raise _unreadable(path, error) from error
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise EX4DError(f"{path.name} holds no plain table of tensors, so it is not an EX-4D adapter.")
    return dict(state)


def _unreadable(path: Path, error: Exception) -> EX4DError:
    reason = str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
    return EX4DError(
        f"{path.name} ({path.stat().st_size:,} bytes) cannot be read: {reason}. "
        "The download is probably incomplete; fetch the file again."
    )


def parse_adapter(state: Mapping[str, Tensor], source: str) -> Adapter:
    """Sort a state dict into the two parts and account for every key.

    Args:
        state: key -> tensor, published names, or ComfyUI's (``diffusion_model.`` in front of the LoRA).
        source: name for messages.

    Raises:
        EX4DError: keys that belong to no adapter, missing ones, shapes that contradict each other, values not finite.
    """
    sides: dict[str, dict[str, Tensor]] = {}
    prior: dict[str, Tensor] = {}
    foreign = []
    for key, tensor in state.items():
        match = _LORA_KEY.fullmatch(key)
        if match:
            sides.setdefault(match["module"], {})[_SIDES[match["part"]]] = tensor
        elif key in PRIOR_KEYS:
            prior[key] = tensor
        else:
            foreign.append(key)
    if foreign:
        raise EX4DError(
            f"{source} is not an EX-4D adapter: {len(foreign)} of its {len(state)} keys belong to none "
            f"({_first(foreign)}). Expected names such as blocks.0.self_attn.q.lora_A.default.weight, without a prefix."
        )
    if not sides and not prior:
        raise EX4DError(f"{source} holds no tensors at all, so it is not an EX-4D adapter.")
    _check_finite(state, source)
    adapter = Adapter(source, _check_lora(sides, source), _check_prior(prior, source))
    _check_parts_agree(adapter)
    return adapter


def combine(lora: Adapter, prior: Adapter) -> Adapter:
    """The LoRA of one file with the prior encoder of another."""
    if not lora.lora:
        raise EX4DError(f"{lora.source} holds no LoRA; choose the file that does, or the complete {FILE}.")
    if not prior.prior:
        raise EX4DError(f"{prior.source} holds no prior encoder; choose the file that does, or the complete {FILE}.")
    adapter = Adapter(f"{lora.source} + {prior.source}", lora.lora, prior.prior)
    _check_parts_agree(adapter)
    return adapter


def check_fits(adapter: Adapter, *, dim: int, ffn_dim: int, blocks: int, in_channels: int) -> None:
    """Refuse an adapter that does not fit a model completely.

    Args:
        dim, ffn_dim, blocks: token width, feed-forward width and block count of the model.
        in_channels: input channels of its patch embedding.

    Raises:
        EX4DError: with what the file was made for and what the model is.
    """
    if adapter.lora and (adapter.dim, adapter.ffn_dim, adapter.blocks) != (dim, ffn_dim, blocks):
        raise EX4DError(
            f"{adapter.source} is made for a model of {adapter.blocks} blocks, width {adapter.dim} and feed-forward "
            f"{adapter.ffn_dim}, but MODEL has {blocks} blocks, width {dim} and feed-forward {ffn_dim}: none of its "
            f"{2 * len(adapter.lora)} LoRA tensors could be used as trained. Load Wan2.1 I2V 14B."
        )
    if adapter.prior and adapter.dim != dim:
        raise EX4DError(
            f"The prior encoder of {adapter.source} writes {adapter.dim} channels, but the tokens of MODEL have {dim}. "
            "Load Wan2.1 I2V 14B."
        )
    latent_channels = adapter.prior["latent_encoder.0.weight"].shape[1] // 2 if adapter.prior else 16
    if in_channels != 2 * latent_channels + 4:
        raise EX4DError(
            f"MODEL takes {in_channels} input channels, but EX-4D needs an image-to-video model with "
            f"{2 * latent_channels + 4}. Load Wan2.1 I2V 14B (480P or 720P), not a text-to-video model."
        )


def convert(source: str | os.PathLike, target: str | os.PathLike) -> Adapter:
    """Write an adapter as one safetensors file with the published names. Written beside, then renamed."""
    from safetensors.torch import save_file

    adapter = load_adapter(source)
    target = Path(target)
    if target.suffix != ".safetensors":
        raise EX4DError(f"The converted adapter is a .safetensors file, got {target.name}.")
    state = dict(adapter.prior)
    for module, (down, up) in adapter.lora.items():
        state[f"{module}.lora_A.default.weight"] = down
        state[f"{module}.lora_B.default.weight"] = up
    beside = target.with_name(target.name + ".part")
    try:
        save_file({key: state[key].contiguous() for key in sorted(state)}, str(beside), {"format": "pt"})
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)
    return adapter


def _check_lora(sides: dict[str, dict[str, Tensor]], source: str) -> dict[str, tuple[Tensor, Tensor]]:
    if not sides:
        return {}
    blocks = 1 + max(int(module.split(".")[1]) for module in sides)
    expected = [f"blocks.{i}.{module}" for i in range(blocks) for module in BLOCK_MODULES]
    missing = [
        f"{module}.lora_{letter}"
        for module in expected
        for side, letter in (("down", "A"), ("up", "B"))
        if side not in sides.get(module, {})
    ]
    if missing:
        raise EX4DError(
            f"{source} is incomplete: {len(missing)} of {2 * len(expected)} LoRA tensors are missing "
            f"({_first(missing)}). Fetch the file again."
        )
    lora = {module: _pair(module, sides[module], source) for module in expected}
    dim, ffn_dim = lora["blocks.0.self_attn.q"][1].shape[0], lora["blocks.0.ffn.0"][1].shape[0]
    widths = dict.fromkeys(BLOCK_MODULES, (dim, dim)) | {"ffn.0": (dim, ffn_dim), "ffn.2": (ffn_dim, dim)}
    wrong = [m for m, (down, up) in lora.items() if (down.shape[1], up.shape[0]) != widths[m.split(".", 2)[2]]]
    if wrong:
        raise EX4DError(
            f"{source} contradicts itself: {len(wrong)} of {len(lora)} LoRA modules are not {dim} or {ffn_dim} wide "
            f"({_first(wrong)})."
        )
    return lora


def _pair(module: str, tensors: dict[str, Tensor], source: str) -> tuple[Tensor, Tensor]:
    down, up = tensors["down"], tensors["up"]
    if down.ndim != 2 or up.ndim != 2 or down.shape[0] != up.shape[1]:
        raise EX4DError(
            f"{source}: the LoRA of {module} has shapes {tuple(down.shape)} and {tuple(up.shape)}, "
            "expected (rank, in) and (out, rank)."
        )
    if "alpha" in tensors:
        up = up * (float(tensors["alpha"]) / down.shape[0])
    return down, up


def _check_prior(prior: dict[str, Tensor], source: str) -> dict[str, Tensor]:
    if not prior:
        return {}
    missing = [key for key in PRIOR_KEYS if key not in prior]
    if missing:
        raise EX4DError(
            f"{source} is incomplete: {len(missing)} of {len(PRIOR_KEYS)} prior encoder tensors are missing "
            f"({_first(missing)}). Fetch the file again."
        )
    first, patch = prior["latent_encoder.0.weight"], prior["latent_patch_embedding.weight"]
    channels, hidden = first.shape[1] if first.ndim == 5 else 0, first.shape[0]
    dim = patch.shape[0]
    shapes = {
        "latent_encoder.0.weight": (hidden, channels, 1, 1, 1),
        "latent_encoder.2.weight": (hidden, hidden, 1, 1, 1),
        "latent_encoder.4.weight": (hidden, hidden, 1, 1, 1),
        "latent_patch_embedding.weight": (dim, hidden, 1, 2, 2),
        "latent_patch_embedding.bias": (dim,),
    } | {f"latent_encoder.{i}.bias": (hidden,) for i in (0, 2, 4)}
    wrong = [key for key in PRIOR_KEYS if tuple(prior[key].shape) != shapes[key]]
    if wrong or channels % 2:
        raise EX4DError(
            f"{source}: {len(wrong) or 1} prior encoder tensors have unexpected shapes "
            f"({_first(f'{key} {tuple(prior[key].shape)}' for key in wrong or PRIOR_KEYS[:1])})."
        )
    return prior


def _check_parts_agree(adapter: Adapter) -> None:
    if adapter.lora and adapter.prior:
        lora_dim = adapter.lora["blocks.0.self_attn.q"][1].shape[0]
        if lora_dim != adapter.dim:
            raise EX4DError(
                f"{adapter.source}: the LoRA is made for tokens {lora_dim} wide, the prior encoder for {adapter.dim}."
            )


def _check_finite(state: Mapping[str, Tensor], source: str) -> None:
    bad = [key for key, t in state.items() if not t.is_floating_point() or not bool(torch.isfinite(t).all())]
    if bad:
        raise EX4DError(
            f"{source} is damaged: {len(bad)} of {len(state)} tensors hold values that are not finite ({_first(bad)}). "
            "Fetch the file again."
        )


def _first(names: Iterable[str], count: int = 3) -> str:
    names = list(names)
    return ", ".join(names[:count]) + (", ..." if len(names) > count else "")
