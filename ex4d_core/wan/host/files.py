"""Files of weights for the processes without a graph: found by path or usual name, checked, loaded as ComfyUI loads them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import torch

from ...errors import EX4DError
from ...machine.kept import kept
from ..backbone import WAN21_I2V
from ..fourdnex.checkpoint import LORA_FILE
from ..settings import Dtype
from ..weights import check_readable, reading, tensor_shapes
from .comfy_types import Conditioning, Model, TextEncoder, Vae, VisionEncoder

Kind = Literal["dit", "text", "vae", "vision", "adapter", "fourdnex"]
WEIGHTS: dict[Kind, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "dit": ("diffusion_models", ("wan2.1_i2v_480p_14B_{}.safetensors", "wan2.1_i2v_720p_14B_{}.safetensors"),
            ("fp16", "bf16", "fp8_scaled", "fp8_e4m3fn")),
    "text": ("text_encoders", ("umt5_xxl_{}.safetensors",), ("fp16", "fp8_e4m3fn_scaled")),
    "vae": ("vae", ("wan_2.1_vae.safetensors",), ("",)),
    "vision": ("clip_vision", ("clip_vision_h.safetensors",), ("",)),
    "adapter": ("ex4d", ("ex4d.safetensors", "ex4d.ckpt"), ("",)),
    "fourdnex": ("4dnex", (LORA_FILE, "4dnex.safetensors"), ("",)),
}  # fmt: skip
"""The folder under models/ that a weight file goes into, what ComfyUI's own pages call it, and in which precisions."""


def find_file(kind: Kind, given: str | None) -> str:
    """A path, a name in ComfyUI's folder, or one of the usual names."""
    import folder_paths

    folder, names, precisions = WEIGHTS[kind]
    if given:
        found = given if os.path.exists(given) else folder_paths.get_full_path(folder, given)
        if not found:
            raise EX4DError(f"There is no {given}, neither as a path nor in ComfyUI's models/{folder}.")
        return found
    usual = [name.format(precision) for name in names for precision in precisions]
    for name in usual:
        if found := folder_paths.get_full_path(folder, name):
            return found
    raise EX4DError(f"ComfyUI's models/{folder} holds none of {', '.join(dict.fromkeys(usual))}; name the file to use.")


def find_lora(name: str) -> str:
    """A path, or a name in ComfyUI's models/loras."""
    import folder_paths

    path = name if os.path.exists(name) else folder_paths.get_full_path("loras", name)
    if not path:
        raise EX4DError(f"There is no LoRA {name}, neither as a path nor in ComfyUI's models/loras.")
    return path


def check_files(files: dict[Kind, str], loras: list[str], embeddings: str | None) -> None:
    """Refuse files that are cut off or no files of weights, before any is read."""
    model = model_files(files["dit"])
    others = [
        path for kind, path in files.items() if kind not in ("dit", "adapter", "fourdnex")
    ]  # the adapters' readers say more
    for path in [*model, *others, *loras, *([embeddings] if embeddings else [])]:
        check_readable(path)


def model_files(path: str) -> list[str]:
    """The one file of a diffusion model, or the shards in its folder."""
    if path.endswith(".gguf"):
        raise EX4DError(
            f"this command reads safetensors; for {os.path.basename(path)} take a graph with a GGUF loader."
        )
    if os.path.isfile(path):
        return [path]
    shards = sorted(str(shard) for shard in Path(path).glob("diffusion_pytorch_model*.safetensors"))
    if not shards:
        raise EX4DError(f"{path} holds no diffusion_pytorch_model*.safetensors.")
    return shards


def load_model(path: str, dtype: Dtype) -> Model:
    """A diffusion model from one file, or from the shards in a folder."""
    return kept("model", (dtype, *map(_version, model_files(path))), lambda: _read_model(path, dtype))


def _version(path: str) -> tuple[str, int, int]:
    """What tells a file from the one that had its name before."""
    found = os.stat(path)
    return path, found.st_size, found.st_mtime_ns


def _read_model(path: str, dtype: Dtype) -> Model:
    import comfy.sd

    options = {} if dtype == "default" else {"dtype": getattr(torch, dtype)}
    files = model_files(path)
    try:
        if len(files) == 1:
            return comfy.sd.load_diffusion_model(files[0], model_options=options)
        state = {name: tensor for file in files for name, tensor in load_tensors(file).items()}
        model = comfy.sd.load_diffusion_model_state_dict(state, model_options=options)
    except RuntimeError as error:
        if "detect model type" not in str(error):
            raise
        model = None
    if model is None:
        raise EX4DError(f"ComfyUI does not know the model in {path}; it takes {WAN21_I2V.name}.")
    return model


def load_vae(path: str) -> Vae:
    """ComfyUI's VAE of a file."""
    import comfy.sd

    return kept("vae", _version(path), lambda: comfy.sd.VAE(sd=load_tensors(path)))


def add_lora(model: Model, path: str, strength: float) -> Model:
    """A further LoRA, as ComfyUI's own loader adds it; refused where it is none of this model's."""
    import comfy.sd

    patched = comfy.sd.load_lora_for_models(model, None, load_tensors(path), strength, 0)[0]
    if sum(map(len, patched.patches.values())) == sum(map(len, model.patches.values())):
        raise EX4DError(
            f"The LoRA {os.path.basename(path)} matches no layer of the model; expected one of {WAN21_I2V.name}. Leave it out, "
            "or name another."
        )
    return patched


def load_tensors(path: str) -> dict[str, torch.Tensor]:
    """All tensors of a file, as ComfyUI reads them (mapped into memory where it can)."""
    import comfy.utils

    with reading(path):
        return comfy.utils.load_torch_file(path, safe_load=True)


def model_shapes(path: str) -> dict[str, tuple[int, ...]]:
    """Name -> shape of a diffusion model's tensors, from the headers of its file or shards."""
    return {name: shape for file in model_files(path) for name, shape in tensor_shapes(file).items()}


def load_text_encoder(path: str) -> TextEncoder:
    """ComfyUI's umt5-xxl of a file."""
    import comfy.sd

    return kept("text", _version(path), lambda: comfy.sd.load_clip([path], clip_type=comfy.sd.CLIPType.WAN))


def load_vision_encoder(path: str) -> VisionEncoder:
    """ComfyUI's CLIP vision of a file."""
    import comfy.clip_vision

    encoder = kept("vision", _version(path), lambda: comfy.clip_vision.load(path))
    if encoder is None:
        raise EX4DError(f"ComfyUI finds no CLIP vision model in {path}; Wan takes clip_vision_h.safetensors.")
    return encoder


def read_embeddings(path: str) -> tuple[Conditioning, Conditioning, object | None]:
    """Text conditioning and CLIP vision output from a file, computed elsewhere."""
    import comfy.clip_vision

    data = load_tensors(path)
    if not {"positive", "negative"} <= data.keys():
        raise EX4DError(f"{path} must hold the tensors positive and negative (1, tokens, {WAN21_I2V.text_width}).")
    vision = None
    if "clip_vision" in data:
        vision = comfy.clip_vision.Output()
        vision["penultimate_hidden_states"] = data["clip_vision"]
    return [[data["positive"], {}]], [[data["negative"], {}]], vision
