"""What a ComfyUI MODEL is, and what every adapter of ours does to one: LoRA as ordinary weight patches, wrappers under a key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ...errors import EX4DError
from ..backbone import WAN21_I2V, ModelSize
from ..lora import Pairs
from ..models import WanModel, identify
from .comfy_types import Model

EX4D, FOURDNEX = "EX-4D", "4DNeX"
"""What the adapters are called, for messages."""
KEYS = {EX4D: "ex4d", FOURDNEX: "ex4d_4dnex"}
"""Under which each keeps its wrappers and its settings in a ModelPatcher."""
PARTS_OF_THE_PICTURE = (
    ("area", "an area", "Conditioning (Set Area)"),
    ("mask", "a mask", "Conditioning (Set Mask)"),
)
"""Options by which ComfyUI binds conditioning to a part of the picture: key, what it is, which node sets it."""


def model_size_of(model: Model, adapter: str = EX4D) -> ModelSize:
    """Sizes of a MODEL, or a refusal, by its maker's name, of one that the adapter cannot work on.

    They are ComfyUI's own reading of the weights: quantised ones may be stored in other shapes.
    """
    import comfy.model_base

    base, network = model.model, network_of(model, adapter)
    size = ModelSize(network.dim, network.ffn_dim, len(network.blocks), network.patch_embedding.weight.shape[1])
    known = wan_model_of(model, adapter)
    plain = type(base) is comfy.model_base.WAN21 and network.model_type == "i2v"
    if not plain or (known is not None and known.use == "refused"):
        name = known.name if known is not None and known.use == "refused" else f"a {type(base).__name__} variant of Wan"
        raise EX4DError(
            f"MODEL is {name} ({size.blocks} blocks, width {size.dim}, {size.in_channels} input channels); "
            f"{adapter} needs {WAN21_I2V.name}."
        )
    return size


def wan_model_of(model: Model, adapter: str = EX4D) -> WanModel | None:
    """Which of Wan's published layouts a MODEL has, None for one that is not known; refuses what is no Wan at all."""
    network = network_of(model, adapter)
    names = [f"{name}." for name, _ in network.named_modules()] + [name for name, _ in network.named_parameters()]
    return identify(names, network.patch_embedding.weight.shape[1], network.out_dim)


def network_of(model: Model, adapter: str = EX4D) -> Any:
    """The network inside of a MODEL; refuses what is no Wan."""
    import comfy.model_base

    base = model.model
    network = getattr(base, "diffusion_model", None)
    if not isinstance(base, comfy.model_base.WAN21) or getattr(network, "patch_embedding", None) is None:
        raise EX4DError(f"MODEL is a {type(base).__name__}; {adapter} needs {WAN21_I2V.name}.")
    return network


def check_alone(model: Model, source: str) -> None:
    """Refuse a second adapter of ours, whichever: both LoRAs would be added, and what goes with them would not fit."""
    for adapter, key in KEYS.items():
        carried = model.get_attachment(key)
        if carried is not None:
            raise EX4DError(
                f"MODEL carries {'an' if adapter == EX4D else 'a'} {adapter} adapter already ({carried.source}); {source} cannot "
                "be added to it. Keep one of the two."
            )


def add_pairs(model: Model, pairs: Pairs, source: str, strength: float) -> Model:
    """A clone with a LoRA as weight patches of ComfyUI's own, so merging, offloading, fp8 and GGUF work as ever.

    Args:
        model: what it is added to.
        pairs: module -> (down, up).
        source: the file's name, for messages.
        strength: factor on it.
    """
    import comfy.lora

    state = {}
    for module, (down, up) in pairs.items():
        state[f"diffusion_model.{module}.lora_down.weight"] = down
        state[f"diffusion_model.{module}.lora_up.weight"] = up
    patches = comfy.lora.load_lora(state, comfy.lora.model_lora_keys_unet(model.model, {}), log_missing=False)
    patched = model.clone()
    applied = patched.add_patches(patches, strength)
    if len(applied) != len(pairs):
        raise EX4DError(
            f"Only {len(applied)} of {len(pairs)} LoRA modules of {source} found their place in MODEL. Load {WAN21_I2V.name}."
        )
    return patched


def check_whole_picture(name: str, options: Mapping[str, Any], adapter: str = EX4D) -> None:
    """Refuse a conditioning that holds for a part of the picture; ``name`` is its input's, "positive" or "negative"."""
    for key, kind, made_by in PARTS_OF_THE_PICTURE:
        if options.get(key) is not None:
            raise EX4DError(
                f"The {name} conditioning is bound to {kind} ({made_by}); {adapter} works on the whole picture only. Take that "
                "node off."
            )


def shown(values: Tensor) -> str:
    """A tensor's shape without its batch, for messages."""
    return "x".join(str(size) for size in values.shape[1:])
