"""DepthCrafter's networks from local folders, checked before anything heavy starts.

Two folders in diffusers' layout: DepthCrafter's UNet (``config.json`` and its weights) and Stable Video Diffusion's
base (``vae`` and ``image_encoder``; its own 3 GB UNet is not used).
"""

from __future__ import annotations

import json
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import EX4DError
from ...machine import extras

DEPTHCRAFTER_CLASS = "DiffusersUNetSpatioTemporalConditionModelDepthCrafter"

UNET_NAMES = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.fp16.safetensors")
VAE_NAMES = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.fp16.safetensors")
CLIP_NAMES = ("model.safetensors", "model.fp16.safetensors")


@dataclass(frozen=True)
class Networks:
    """The loaded networks, in evaluation mode, on the CPU.

    Attributes:
        clip: transformers' CLIPVisionModelWithProjection.
        encoder: the autoencoder's encoder and quant_conv, as an nn.ModuleDict, float32 where the autoencoder asks.
        unet: diffusers' UNetSpatioTemporalConditionModel.
        decoder: the autoencoder's temporal decoder.
        scaling_factor: what latents are divided by before they are decoded.
    """

    clip: nn.Module
    encoder: nn.ModuleDict
    unet: nn.Module
    decoder: nn.Module
    scaling_factor: float

    def parts(self) -> dict[str, nn.Module]:
        """The networks by name, in the order in which they are used."""
        return {"clip": self.clip, "encoder": self.encoder, "unet": self.unet, "decoder": self.decoder}


def check_packages() -> None:
    """Refuse to begin, before gigabytes are downloaded, where what the networks are built with is not installed.

    Raises:
        EX4DError: diffusers or transformers is missing.
    """
    for module in ("diffusers", "transformers"):
        extras.check(module, "DepthCrafter")


@torch.inference_mode(False)
def load_networks(unet: str | os.PathLike[str], base: str | os.PathLike[str], dtype: torch.dtype) -> Networks:
    """Load from two folders.

    Args:
        unet: DepthCrafter's folder.
        base: Stable Video Diffusion's folder.
        dtype: float16 or float32. The autoencoder's encoder is float32 where its config says force_upcast.

    Raises:
        EX4DError: a missing, wrong, damaged or half-downloaded file, another model's weights, or a missing package.
    """
    if dtype not in (torch.float16, torch.float32):
        raise EX4DError(f"DepthCrafter runs in float16 or float32, got {dtype}; bfloat16 loses its fine noise levels.")
    unet_dir, base_dir = Path(unet), Path(base)
    unet_config = _read_config(unet_dir, "DepthCrafter's UNet")
    check_unet_config(unet_config, unet_dir)
    vae_config = _read_config(base_dir / "vae", "Stable Video Diffusion's autoencoder")
    clip_config = _read_config(base_dir / "image_encoder", "Stable Video Diffusion's image encoder")
    # Every file is found and its header checked before the first gigabyte is read.
    unet_file = find_weights(unet_dir, UNET_NAMES, dtype)
    vae_file = find_weights(base_dir / "vae", VAE_NAMES, dtype)
    clip_file = find_weights(base_dir / "image_encoder", CLIP_NAMES, dtype)

    try:
        from diffusers import AutoencoderKLTemporalDecoder, UNetSpatioTemporalConditionModel
        from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection
    except (ImportError, RuntimeError) as error:  # diffusers raises RuntimeError where transformers is too old for it
        raise EX4DError(
            f"DepthCrafter needs diffusers and transformers of versions that go together, and finds {_versions()} "
            f"({str(error).splitlines()[-1]}). Run: {extras.command('depthcrafter')}"
        ) from error

    with torch.device("meta"):
        unet_model: Any = UNetSpatioTemporalConditionModel.from_config(_plain(unet_config))
        vae: Any = AutoencoderKLTemporalDecoder.from_config(_plain(vae_config))
        clip: Any = CLIPVisionModelWithProjection(CLIPVisionConfig(**clip_config))
    _fill(unet_model, unet_file, dtype, "DepthCrafter's UNet")
    _fill(vae, vae_file, dtype, "Stable Video Diffusion's autoencoder")
    _fill(clip, clip_file, dtype, "Stable Video Diffusion's image encoder")
    embeddings = clip.vision_model.embeddings
    if getattr(embeddings, "position_ids", None) is not None:
        embeddings.position_ids = torch.arange(embeddings.position_ids.shape[-1])[None]

    encoder = nn.ModuleDict({"encoder": vae.encoder, "quant_conv": vae.quant_conv})
    if vae_config.get("force_upcast", True):
        encoder.float()
    networks = Networks(clip, encoder, unet_model, vae.decoder, float(vae_config.get("scaling_factor", 0.18215)))
    for module in networks.parts().values():
        module.eval().requires_grad_(False)
        _channels_last(module)
    return networks


def check_unet_config(config: dict[str, Any], folder: Path) -> None:
    """Refuse a UNet that is not DepthCrafter's.

    Raises:
        EX4DError: another class or other input channels. Stable Video Diffusion's UNet has the same tensors; only the
            class in its config tells it apart.
    """
    name = config.get("_class_name")
    if name != DEPTHCRAFTER_CLASS:
        what = "Stable Video Diffusion's own UNet" if name == "UNetSpatioTemporalConditionModel" else f"a {name}"
        raise EX4DError(
            f"{folder} holds {what}, not DepthCrafter's; give the folder with the config.json of tencent/DepthCrafter "
            f"(its _class_name is {DEPTHCRAFTER_CLASS})."
        )
    if config.get("in_channels") != 8 or config.get("out_channels") != 4:
        raise EX4DError(
            f"The UNet in {folder} takes {config.get('in_channels')} channels and gives {config.get('out_channels')}, "
            "DepthCrafter's takes 8 and gives 4; download config.json again."
        )


def find_weights(folder: Path, names: tuple[str, ...], dtype: torch.dtype) -> Path:
    """The weights file of a folder: full precision first for float32, the fp16 variant first for float16.

    Raises:
        EX4DError: neither is there, or the file is not complete.
    """
    order = names if dtype == torch.float32 else names[::-1]
    for name in order:
        if (folder / name).is_file():
            check_safetensors(folder / name)
            return folder / name
    partial = next((p for p in folder.glob("*.part")), None)
    hint = f" A download was interrupted ({partial.name}); start it again." if partial else ""
    raise EX4DError(f"{folder} holds neither {order[0]} nor {order[1]}; put one of them there.{hint}")


def check_safetensors(path: Path) -> None:
    """Refuse a safetensors file that is cut short or no safetensors file, by its header and size.

    Raises:
        EX4DError: with the size found and the size expected.
    """
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if not 0 < length <= min(size, 100 * 2**20):
                raise ValueError("header length")
            header = json.loads(file.read(length))
        end = max((entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"), default=0)
        whole = 8 + length + end
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, struct.error) as error:
        raise EX4DError(
            f"{path} is no complete safetensors file ({size} bytes); delete it and get it again."
        ) from error
    if size != whole:
        raise EX4DError(
            f"{path} has {size} bytes and should have {whole}: the download did not finish or the file is "
            "damaged. Delete it and get it again."
        )


def _versions() -> str:
    """The versions of what the networks are built with, for a message."""
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for name in ("diffusers", "transformers", "huggingface_hub"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"no {name}")
    return ", ".join(found)


def _read_config(folder: Path, what: str) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        where = "does not exist" if not folder.is_dir() else "has no config.json"
        raise EX4DError(f"{what} is expected in {folder}, which {where}; give the folder in diffusers' layout.")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise EX4DError(f"{path} cannot be read as JSON ({error}); get it again.") from error
    if not isinstance(config, dict):
        raise EX4DError(f"{path} holds no settings; get it again.")
    return config


def _plain(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if not key.startswith("_")}


def _fill(module: nn.Module, path: Path, dtype: torch.dtype, what: str) -> None:
    """Give a module on the meta device its weights."""
    from safetensors.torch import load_file

    state: dict[str, Tensor] = load_file(str(path))
    wanted = module.state_dict()
    state = {key: value for key, value in state.items() if key in wanted or not key.endswith("position_ids")}
    missing, extra = sorted(set(wanted) - set(state)), sorted(set(state) - set(wanted))
    if missing or extra:
        example = f"missing {missing[0]}" if missing else f"unknown {extra[0]}"
        raise EX4DError(
            f"{path} is not {what}: {len(missing)} tensors are missing and {len(extra)} unknown ({example}). "
            "Check that the file and the config.json beside it belong together."
        )
    wrong = next((key for key in wanted if wanted[key].shape != state[key].shape), None)
    if wrong is not None:
        raise EX4DError(
            f"{path} does not match the config.json beside it: {wrong} has shape {tuple(state[wrong].shape)}, expected "
            f"{tuple(wanted[wrong].shape)}."
        )
    state = {key: value.to(dtype) if value.is_floating_point() else value for key, value in state.items()}
    module.load_state_dict(state, strict=True, assign=True)


def _channels_last(module: nn.Module) -> None:
    """Convolution weights in the memory order that channels-last activations want."""
    for conv in module.modules():
        if isinstance(conv, nn.Conv2d):
            conv.weight.data = conv.weight.data.contiguous(memory_format=torch.channels_last)
        elif isinstance(conv, nn.Conv3d):
            conv.weight.data = conv.weight.data.contiguous(memory_format=torch.channels_last_3d)
