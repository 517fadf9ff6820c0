"""What turns pictures and captions into what Wan takes: its VAE, umt5 and CLIP, through diffusers' and transformers' classes.

They are read from a folder in diffusers' layout (vae/, text_encoder/, tokenizer/, image_encoder/), as it is published for
Wan2.1 I2V. The VAE may also be the one file that ComfyUI and the original code use.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import EX4DError
from ..machine import extras
from ..machine.memory import out_of_memory
from ..wan.backbone import WAN21_I2V
from ..wan.weights import SAFETENSORS, read_tensors, reading

CLIP_MEAN, CLIP_DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""What CLIP's vision tower was trained with; OpenAI's preprocessing."""
SAMPLE_BYTES = 2**20
PARTS = ("vae", "text_encoder", "tokenizer", "image_encoder")


@dataclass(frozen=True)
class Encoders:
    """The three encoders.

    Attributes:
        video: (T, H, W, 3) float32 in what the VAE takes as -1..1 (masks go beyond) to a (16, F, H/8, W/8) float32 latent,
            normalised to Wan's latent space.
        text: a caption to (tokens, width) float32, without padding.
        image: (H, W, 3) uint8 to (tokens, width) float32 of CLIP.
        fingerprint: tells these weights from others.
    """

    video: Callable[[Tensor], Tensor]
    text: Callable[[str], Tensor]
    image: Callable[[Tensor], Tensor]
    fingerprint: str


def load_encoders(folder: str | Path, *, vae: str | Path | None = None, device: torch.device | str = "cpu") -> Encoders:
    """Load all three. On the CPU they compute in float32; on a GPU text and CLIP in bfloat16, and the VAE in float16, or in
    float32 what that cannot hold: a cache keeps latents in bfloat16.

    Args:
        folder: in diffusers' layout; nothing is downloaded.
        vae: a folder or file in place of the folder's own.
        device: where they compute.

    Raises:
        EX4DError: a part that is missing or damaged, or a library that is not installed.
    """
    folder = Path(folder)
    vae = folder / "vae" if vae is None else Path(vae)
    missing = [part for part in PARTS[1:] if not (folder / part).is_dir()]
    if missing or not vae.exists():
        raise EX4DError(
            f"'{folder}' lacks {missing[0] if missing else vae}: a folder with {', '.join(PARTS)} is wanted, as "
            "Wan2.1-I2V-14B-480P-Diffusers on Hugging Face."
        )
    extras.check("diffusers", "Preparing clips")
    extras.check("transformers", "Preparing clips")
    files = [vae] if vae.is_file() else sorted(vae.glob("*"))
    files += [file for part in PARTS[1:] for file in sorted((folder / part).glob("*"))]
    dtype = torch.float32 if torch.device(device).type == "cpu" else torch.bfloat16
    return encoders_of(
        _load_vae(vae),
        *_load_text(folder, dtype),
        _load_image(folder, dtype),
        device=device,
        fingerprint=fingerprint(files),
    )


def encoders_of(
    vae: Any, text: Any, tokenizer: Any, image: Any, *, device: torch.device | str, fingerprint: str
) -> Encoders:
    """The encoders of networks that are loaded, each in the type that it computes in.

    Args:
        vae: diffusers' AutoencoderKLWan.
        text: transformers' UMT5EncoderModel.
        tokenizer: of it.
        image: transformers' CLIPVisionModel.
        device: where they compute.
        fingerprint: tells these weights from others.
    """
    return Encoders(
        _video_latents(vae, device),
        _text_features(text, tokenizer, device),
        _image_features(image, device),
        fingerprint,
    )


def video_encoder(
    path: Path, device: torch.device | str = "cpu", dtype: torch.dtype | None = None
) -> Callable[[Tensor], Tensor]:
    """Wan's VAE: the mean of its distribution, normalised by Wan's own means and deviations; see `Encoders.video`.

    Args:
        path: of the VAE, a folder or a file.
        device: where it computes.
        dtype: what it computes in, except what is not finite there: that in float32. By default float16 on a GPU.
    """
    return _video_latents(_load_vae(path), device, dtype)


def _video_latents(
    network: Any, device: torch.device | str, dtype: torch.dtype | None = None
) -> Callable[[Tensor], Tensor]:
    network = network.to(device, torch.float32).eval().requires_grad_(False)
    mean, deviation = (torch.tensor(network.config[name]).view(-1, 1, 1, 1) for name in ("latents_mean", "latents_std"))
    dtype = dtype or (torch.float16 if torch.device(device).type == "cuda" else torch.float32)
    quick = network if dtype == torch.float32 else channels_last(copy.deepcopy(network).to(dtype))

    @torch.inference_mode()
    def encode(pictures: Tensor) -> Tensor:
        planes = pictures.permute(3, 0, 1, 2)[None].to(device, torch.float32)
        latent = quick.encode(planes.to(dtype)).latent_dist.mode()[0].float()
        if quick is not network and not bool(latent.isfinite().all()):
            latent = network.encode(planes).latent_dist.mode()[0].float()
        return ((latent.cpu() - mean) / deviation).clone()

    return encode


def channels_last(network: Any) -> Any:
    """Its convolutions over space and time, in the order in which a GPU's kernels for float16 take them: 0.86 of the time."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv3d):
            layer.weight.data = layer.weight.data.to(memory_format=torch.channels_last_3d)
    return network


def _load_vae(path: Path) -> Any:
    diffusers = extras.load("diffusers", "Preparing clips")
    try:
        kind = diffusers.AutoencoderKLWan
        from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers
    except (AttributeError, ImportError) as error:
        raise EX4DError(
            f"Preparing clips needs diffusers 0.33 or newer; {diffusers.__version__} is installed."
        ) from error
    if path.is_dir():
        with reading_folder(path):
            return kind.from_pretrained(str(path), torch_dtype=torch.float32, local_files_only=True)
    state = {name.removeprefix("model."): value for name, value in read_tensors(path).items()}
    first = state.get("encoder.conv1.weight")
    if first is None:
        raise EX4DError(f"'{path}' holds no Wan VAE: it has no encoder.conv1.weight.")
    with reading(path), torch.device("meta"):
        network = kind(base_dim=first.shape[0], z_dim=WAN21_I2V.latent_channels)
    with reading(path):
        network.load_state_dict(convert_wan_vae_to_diffusers(state), strict=True, assign=True)
    return network.float()


def _load_text(folder: Path, dtype: torch.dtype) -> tuple[Any, Any]:
    transformers = extras.load("transformers", "Preparing clips")
    with reading_folder(folder / "text_encoder"):
        network = transformers.UMT5EncoderModel.from_pretrained(
            str(folder / "text_encoder"), dtype=dtype, local_files_only=True
        )
    with reading_folder(folder / "tokenizer"):
        return network, transformers.AutoTokenizer.from_pretrained(str(folder / "tokenizer"), local_files_only=True)


def _text_features(network: Any, tokenizer: Any, device: torch.device | str) -> Callable[[str], Tensor]:
    network = network.to(device).eval().requires_grad_(False)

    @lru_cache(maxsize=4)  # clips without a caption share one
    @torch.inference_mode()
    def encode(caption: str) -> Tensor:
        words = tokenizer(
            " ".join(caption.split()), truncation=True, max_length=WAN21_I2V.text_tokens, return_tensors="pt"
        ).to(device)
        return network(words.input_ids, words.attention_mask).last_hidden_state[0].float().cpu().clone()

    return encode


def _load_image(folder: Path, dtype: torch.dtype) -> Any:
    transformers = extras.load("transformers", "Preparing clips")
    with reading_folder(folder / "image_encoder"):
        return transformers.CLIPVisionModel.from_pretrained(
            str(folder / "image_encoder"), dtype=dtype, local_files_only=True
        )


def _image_features(network: Any, device: torch.device | str) -> Callable[[Tensor], Tensor]:
    network = network.to(device).eval().requires_grad_(False)
    mean, deviation = (torch.tensor(values).view(3, 1, 1) for values in (CLIP_MEAN, CLIP_DEVIATION))

    @torch.inference_mode()
    def encode(picture: Tensor) -> Tensor:
        # Squashed, not cropped, as the published pipeline has it; the last layer is left out.
        planes = picture.permute(2, 0, 1)[None].float() / 255
        size = (network.config.image_size, network.config.image_size)
        small = functional.interpolate(planes, size, mode="bicubic", align_corners=False)[0]
        given = ((small - mean) / deviation)[None].to(device, network.dtype)
        return network(given, output_hidden_states=True).hidden_states[-2][0].float().cpu().clone()

    return encode


def fingerprint(files: list[Path]) -> str:
    """Of names, sizes, and the first and last megabyte of weights: reading all of 15 GB would take minutes."""
    digest = hashlib.sha256()
    for file in files:
        if not file.is_file():
            continue
        size = file.stat().st_size
        digest.update(f"{file.name} {size} ".encode())
        with file.open("rb") as opened:
            digest.update(opened.read(SAMPLE_BYTES))
            if file.suffix in SAFETENSORS and size > SAMPLE_BYTES:
                opened.seek(-SAMPLE_BYTES, 2)
                digest.update(opened.read())
    return digest.hexdigest()[:16]


@contextmanager
def reading_folder(folder: Path) -> Iterator[None]:
    """Around a library's reading of a folder of weights: whatever it raises becomes one sentence."""
    try:
        yield
    except Exception as error:
        if out_of_memory(error):
            raise
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise EX4DError(f"'{folder}' cannot be read: {lines[0][:160]}. Fetch it again.") from error
