"""The networks themselves, loaded from files that people bring: what each says of frames or of a clip, on the processor."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import EX4DError
from .amt import between, tensors_of
from .vbench import pair_speed

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
OPENAI = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
"""Means and standard deviations of colours that a network was trained with."""
BATCH = 8
"""Frames at a time."""
I3D_SIDE = 224
LPIPS_SLICES = ((0, 1), (2, 3, 4), (5, 6, 7), (8, 9), (10, 11))
"""Layers of torchvision's AlexNet in each slice of lpips' own."""
MUSIQ_SIDE = 512


def state_of(file: Path) -> dict[str, Tensor]:
    """A file of tensors by name; nothing else in it is run.

    Raises:
        EX4DError: it is not there, damaged, or holds something else.
    """
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever a damaged file makes of it
        raise EX4DError(f"'{file}' holds no tensors by name, or is damaged: bring it again.") from error


def planes(frames: Tensor) -> Tensor:
    """(N, H, W, 3) uint8 as (N, 3, H, W) float 0..1."""
    return frames.permute(0, 3, 1, 2).float() / 255


def by_batches(frames: Tensor, network: Callable[[Tensor], Tensor]) -> Tensor:
    """What a network says of frames, a few at a time."""
    with torch.inference_mode():
        return torch.cat([network(part) for part in frames.split(BATCH)]).float()


def inception(folder: Path, name: str) -> Callable[[Tensor], Tensor]:
    """Frames (N, H, W, 3) uint8 to FID's features (N, 2048), by torch-fidelity."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    state_of(folder / name)  # the package itself would run what a file asks for
    network = FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=str(folder / name))
    return lambda frames: by_batches(frames, lambda part: network(part.permute(0, 3, 1, 2).contiguous())[0])


def i3d(folder: Path, name: str) -> Callable[[Tensor], Tensor]:
    """A clip (T, H, W, 3) uint8, T at least 10, to FVD's features (1, 400), by StyleGAN-V's TorchScript."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch advises another format; this is what is published
            network = torch.jit.load(str(folder / name), map_location="cpu").eval()
    except RuntimeError as error:
        raise EX4DError(f"'{folder / name}' is no TorchScript archive, or is damaged: bring it again.") from error

    def features(frames: Tensor) -> Tensor:
        small = F.interpolate(planes(frames), (I3D_SIDE, I3D_SIDE), mode="bilinear", align_corners=False)
        with torch.inference_mode():
            clip = (2 * small - 1).permute(1, 0, 2, 3)[None]
            return network(clip, rescale=False, resize=False, return_features=True).float()

    return features


def lpips(folder: Path, name: str) -> Callable[[Tensor, Tensor], Tensor]:
    """Two clips (T, H, W, 3) uint8 to their distance frame by frame (T,): the heads of lpips' wheel on AlexNet from a file."""
    import lpips as package

    with contextlib.redirect_stdout(io.StringIO()):  # it prints what it sets up
        network = package.LPIPS(net="alex", pnet_rand=True, verbose=False)
    given = state_of(folder / name)
    state = {
        f"slice{number + 1}.{layer}.{part}": given[f"features.{layer}.{part}"]
        for number, layers in enumerate(LPIPS_SLICES)
        for layer in layers
        for part in ("weight", "bias")
        if f"features.{layer}.{part}" in given
    }
    network.net.load_state_dict(state)
    network.eval()

    def distance(one: Tensor, two: Tensor) -> Tensor:
        with torch.inference_mode():
            parts = zip(one.split(BATCH), two.split(BATCH), strict=True)
            return torch.cat([network(2 * planes(a) - 1, 2 * planes(b) - 1).reshape(-1) for a, b in parts])

    return distance


def dreamsim(folder: Path, name: str) -> Callable[[Tensor, Tensor], Tensor]:
    """Two clips (T, H, W, 3) uint8 to their distance frame by frame (T,), by the package dreamsim."""
    from dreamsim import dreamsim as package

    with contextlib.redirect_stdout(io.StringIO()):
        network, _ = package(pretrained=True, device="cpu", cache_dir=str(folder / name))

    def distance(one: Tensor, two: Tensor) -> Tensor:
        small = [
            F.interpolate(planes(clip), (224, 224), mode="bicubic", antialias=True).clamp(0, 1) for clip in (one, two)
        ]
        with torch.inference_mode():
            return torch.stack([network(a[None], b[None]).reshape(()) for a, b in zip(*small, strict=True)])

    return distance


def _normalised(images: Tensor, colours: tuple[tuple[float, ...], tuple[float, ...]]) -> Tensor:
    mean, deviation = (torch.tensor(part)[:, None, None] for part in colours)
    return (images - mean) / deviation


def _shorter_side(images: Tensor, side: int, mode: str, antialias: bool) -> Tensor:
    height, width = images.shape[-2:]
    size = (side, int(side * width / height)) if height <= width else (int(side * height / width), side)
    return F.interpolate(images, size, mode=mode, antialias=antialias, align_corners=False)


def dino(folder: Path, name: str) -> Callable[[Tensor], Tensor]:
    """Frames to the class token of DINO's ViT, (N, D), as VBench prepares them: the shorter side 224, nothing cut."""
    from transformers import ViTModel

    network = ViTModel.from_pretrained(folder / name, local_files_only=True, add_pooling_layer=False).eval()
    side = int(network.config.to_dict()["image_size"])

    def features(part: Tensor) -> Tensor:
        images = _normalised(_shorter_side(planes(part), side, "bilinear", False), IMAGENET)
        return network(pixel_values=images, interpolate_pos_encoding=True).last_hidden_state[:, 0]

    return lambda frames: by_batches(frames, features)


def clip_images(folder: Path, name: str) -> Callable[[Tensor], Tensor]:
    """Frames to CLIP's image features (N, D): the shorter side as the network has it, the middle cut out."""
    return _clip(folder, name)[0]


def clip_text(folder: Path, name: str) -> Callable[[Tensor, str], Tensor]:
    """Frames and a prompt to 100 x the cosine between them, negative ones as 0: (N,)."""
    from transformers import CLIPTokenizer

    images, network = _clip(folder, name)
    words = CLIPTokenizer.from_pretrained(folder / name, local_files_only=True)

    def score(frames: Tensor, prompt: str) -> Tensor:
        tokens = words([prompt], return_tensors="pt", truncation=True, padding=True)
        with torch.inference_mode():
            text = network.text_projection(network.text_model(**tokens).pooler_output)
        return 100 * F.cosine_similarity(images(frames), text).clamp_min(0)

    return score


def _clip(folder: Path, name: str) -> tuple[Callable[[Tensor], Tensor], Any]:
    from transformers import CLIPModel

    network = CLIPModel.from_pretrained(folder / name, local_files_only=True).eval()
    side = int(network.config.to_dict()["vision_config"]["image_size"])

    def features(part: Tensor) -> Tensor:
        images = _shorter_side(planes(part), side, "bicubic", True).clamp(0, 1)
        top, left = ((size - side) // 2 for size in images.shape[-2:])
        images = _normalised(images[..., top : top + side, left : left + side], OPENAI)
        return network.visual_projection(network.vision_model(pixel_values=images).pooler_output)

    return (lambda frames: by_batches(frames, features)), network


def aesthetic(folder: Path, name: str, head: str) -> Callable[[Tensor], Tensor]:
    """Frames to LAION's aesthetic score (N,), about 0..10: a linear head on CLIP's features of length 1."""
    images, given = clip_images(folder, name), state_of(folder / head)
    return lambda frames: (F.normalize(images(frames), dim=-1) @ given["weight"].float().T + given["bias"].float())[
        :, 0
    ]


def raft(folder: Path, name: str) -> Callable[[Tensor], list[float]]:
    """Frames to the speed of each pair, `pair_speed`: RAFT of chairs and things, in torchvision's names."""
    from torchvision.models.optical_flow import raft_large

    network = raft_large(weights=None).eval()
    network.load_state_dict(state_of(folder / name))

    def speeds(frames: Tensor) -> list[float]:
        height, width = frames.shape[1:3]
        down, right = -height % 8, -width % 8
        images = F.pad(
            2 * planes(frames) - 1, (right // 2, right - right // 2, down // 2, down - down // 2), "replicate"
        )
        found = []
        for one, two in pairwise(images):
            with torch.inference_mode():
                flow = network(one[None], two[None], num_flow_updates=20)[-1][0]
            inner = flow[:, down // 2 : down // 2 + height, right // 2 : right // 2 + width]
            found.append(pair_speed(inner.permute(1, 2, 0).numpy()))
        return found

    return speeds


def amt_s(folder: Path, name: str) -> Callable[[Tensor], Tensor]:
    """A clip (T, H, W, 3) uint8 to what AMT-S invents amid frames 0 and 2, 2 and 4, ...: (T // 2 or one fewer, H, W, 3) uint8."""
    state = tensors_of(state_of(folder / name))

    def amid(frames: Tensor) -> Tensor:
        invented = torch.empty(((len(frames) - 1) // 2, *frames.shape[1:]), dtype=torch.uint8)
        for target, one, two in zip(invented, frames[::2], frames[2::2], strict=False):
            with torch.inference_mode():
                found = between(state, planes(one[None]), planes(two[None]))[0]
            target.copy_((255 * found).permute(1, 2, 0).to(torch.uint8))  # cut off, not rounded, as published
        return invented

    return amid


def musiq(folder: Path, name: str) -> Callable[[Tensor], Tensor]:
    """Frames to MUSIQ's score (N,), 0..100, by pyiqa; a longer side above 512 is brought to that."""
    from pyiqa.archs.musiq_arch import MUSIQ

    state_of(folder / name)
    network = MUSIQ(pretrained_model_path=str(folder / name)).eval()

    def score(part: Tensor) -> Tensor:
        images, longest = planes(part), max(part.shape[1:3])
        if longest > MUSIQ_SIDE:
            size = [side * MUSIQ_SIDE // longest for side in part.shape[1:3]]
            images = F.interpolate(images, size, mode="bilinear", antialias=False, align_corners=False)
        return network(images).reshape(-1)

    return lambda frames: by_batches(frames, score)
