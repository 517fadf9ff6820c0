"""The example graphs made small enough for a test machine: tiny weights under the real files' names, a short small clip.

Stock loaders read what can be made small (Wan, LoRA, adapters, DepthCrafter). The text encoder, CLIP vision and the VAE
have sizes that ComfyUI fixes; encoders that answer with recorded embeddings and a narrow VAE stand in for them.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from . import workflow
from .hosts import ROOT
from .wan import Tiny, node

WORKFLOWS = ROOT / "workflows"
WAN = "wan2.1_i2v_480p_14B_fp16.safetensors"
WAN_FP8 = "wan2.1_i2v_480p_14B_fp8_e4m3fn.safetensors"
FAST_LORA = "lightx2v_I2V_14B_480p_cfg_step_distill_rank64_bf16.safetensors"
DEPTH_FOLDERS = {"DepthCrafter": "depthcrafter_unet_tiny", "stable-video-diffusion-img2vid": "svd_tiny"}
NEEDS_MODELS = {
    "UNETLoader",
    "LoadMoGeModel",
    "VAELoader",
    "CLIPLoader",
    "CLIPVisionLoader",
    "EX4DAdapterLoader",
    "EX4DDepthCrafter",
    "ImageOnlyCheckpointLoader",
}
WIDTH, HEIGHT = 96, 64
GRAPHS = {
    "Re-shoot full EX-4D": (9, 25, 15),
    "Re-shoot a video": (9, 4, 15),
    "Few steps": (9, 4, 15),
    "Small GPU (fp8 or GGUF)": (9, 4, 15),
    "Long clip": (13, 25 * 2, 15),
    "Single image to 4D": (9, 25, 15),
    "Re-shoot with stock samplers": (9, 25, 15),
    "Image to 4D (4DNeX)": (9, 3, 24),
    "Image to 4D, re-shot with EX-4D": (9, 3, 24),
}
"""Graph with Wan -> frames of its result here, steps of its sampler, frames a second."""
SAMPLERS = ("WanEX4DSampler", "WanFourDNeXSampler")
"""Nodes that make a graph's frames by themselves, the last on the way first."""


@dataclass(frozen=True)
class SmallGraph:
    """A graph on a small clip with the stand-ins, and the ids of what samples, makes the frames, and saves the video."""

    prompt: dict
    sampling: str
    frames: str
    saved: str


def needs_models(path: Path) -> bool:
    """Whether a graph has a node that loads weights."""
    return bool(NEEDS_MODELS & {entry["type"] for entry, _ in workflow.flatten(workflow.load(path)).values()})


def of(prompt: dict, kind: str) -> list[str]:
    """The ids of the nodes of a class."""
    return [key for key, entry in prompt.items() if entry["class_type"] == kind]


@contextmanager
def depth_models(server, reference: Path) -> Iterator[Path]:
    """The tiny DepthCrafter where the node looks for the published one; gone again afterwards."""
    root = server.base / "models" / "depthcrafter"
    for name, source in DEPTH_FOLDERS.items():
        shutil.copytree(
            reference / "depthcrafter" / source, root / name, copy_function=shutil.copyfile, dirs_exist_ok=True
        )
    try:
        yield root
    finally:
        shutil.rmtree(root)


@contextmanager
def wan_models(server, reference: Path) -> Iterator[Tiny]:
    """Tiny files where the graphs look for the published ones, and a clip and a picture to load; gone afterwards."""
    tiny = Tiny(server, reference)
    folders = server.base / "models"
    files = [folders / "diffusion_models" / name for name in (WAN, WAN_FP8)]
    files += [folders / "ex4d" / "ex4d.ckpt", folders / "loras" / FAST_LORA]
    wan = load_file(tiny.folder / "dit_tiny.safetensors")
    shutil.copyfile(tiny.folder / "dit_tiny.safetensors", files[0])
    save_file({k: v.to(torch.float8_e4m3fn) if v.ndim == 2 else v.half() for k, v in wan.items()}, files[1])
    shutil.copyfile(tiny.folder / "ex4d_tiny_r16.ckpt", files[2])
    lora = load_file(tiny.folder / "ex4d_tiny_r16.safetensors")
    lora = {f"diffusion_model.{k.replace('.default', '')}": 0.1 * v for k, v in lora.items() if "lora" in k}
    save_file(lora, files[3])
    files += write_fourdnex(folders / "4dnex")
    files += write_inputs(server.input)
    try:
        yield tiny
    finally:
        for file in files:
            file.unlink()


def write_fourdnex(folder: Path) -> list[Path]:
    """4DNeX's two files, random, for the tiny Wan of 2 blocks and width 256."""
    random = torch.Generator().manual_seed(9)
    shapes = {
        f"transformer.blocks.{block}.{part}.{layer}.lora_{side}.weight": (4, 256) if side == "A" else (256, 4)
        for block in range(2)
        for part in ("attn1", "attn2")
        for layer in ("to_q", "to_k", "to_v", "to_out.0")
        for side in "AB"
    }
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / "pytorch_lora_weights.safetensors", folder / "learnable_domain_embeddings.pt"]
    save_file({key: 0.05 * torch.randn(shape, generator=random) for key, shape in shapes.items()}, files[0])
    torch.save(0.1 * torch.randn(2, 256, generator=random), files[1])
    return files


def write_inputs(folder: Path) -> list[Path]:
    """chain.mp4, a clip of moving gradients, and chain.png, its first frame."""
    from PIL import Image

    from ex4d_core.video import save_video

    y, x = torch.meshgrid(torch.linspace(0, 1, HEIGHT), torch.linspace(0, 1, WIDTH), indexing="ij")
    clip = torch.stack([torch.stack([x, y, (x + 0.05 * t) % 1], dim=-1) for t in range(13)])
    files = [folder / "chain.mp4", folder / "chain.png"]
    save_video(files[0], clip, 15.0, lossless=True)  # x264 with losses gives other bytes from run to run
    Image.fromarray((clip[0] * 255).round().byte().numpy()).save(files[1])
    return files


def small_graph(tiny: Tiny, client, path: Path, **sampler) -> SmallGraph:
    """The graph of a file; ``sampler`` are changes of its Wan EX-4D Sampler, the seed of both samplers."""
    prompt = workflow.to_prompt(workflow.load(path), client.object_info())
    frames = GRAPHS[path.stem][0]
    changes = {
        "EX4DLoadVideo": {"file": "chain.mp4", "frames": frames, "width": WIDTH, "height": HEIGHT},
        "LoadImage": {"image": "chain.png"},
        "WanImageToVideo": {"width": WIDTH, "height": HEIGHT, "length": frames},
        "EX4DDepthCrafter": {"steps": 1},
        "WanEX4DSampler": {"segment_frames": 9, "segment_overlap": 5, **sampler},
        "WanFourDNeXSampler": {
            "width": WIDTH,
            "height": HEIGHT,
            "frames": frames,
            "steps": 3,
            "seed": sampler.get("seed", 42),
        },
        # Points of random weights tell no lens.
        "EX4DPointMapToDepth": {"width": WIDTH, "height": HEIGHT, "fov": 40.0},
    }
    change(prompt, changes)
    kind = next((kind for kind in SAMPLERS if of(prompt, kind)), None)
    (sampling,) = of(prompt, kind or "SamplerCustomAdvanced")
    (made,) = of(prompt, kind or "VAEDecode")
    (saved,) = of(prompt, "SaveVideo")
    return SmallGraph(stand_in(tiny, prompt), sampling, made, saved)


def small_depth_graph(client, path: Path) -> dict:
    """A graph that needs DepthCrafter and no Wan, as a prompt on a small clip."""
    prompt = workflow.to_prompt(workflow.load(path), client.object_info())
    return change(prompt, {"EX4DDemoClip": {"frames": 5, "width": 64, "height": 64}, "EX4DDepthCrafter": {"steps": 2}})


def change(prompt: dict, changes: dict[str, dict]) -> dict:
    """The prompt itself, with inputs that its nodes already have set anew: class -> input -> value."""
    for entry in prompt.values():
        values = changes.get(entry["class_type"], {})
        assert values.keys() <= entry["inputs"].keys()
        entry["inputs"] |= values
    return prompt


def stand_in(tiny: Tiny, prompt: dict) -> dict:
    """The prompt itself, with the narrow VAE and the recorded encoders of text and CLIP vision in their loaders' places."""
    kinds = {
        "VAELoader": "EX4DTestTinyVAE",
        "CLIPLoader": "EX4DTestTextEncoder",
        "CLIPVisionLoader": "EX4DTestVisionEncoder",
    }
    for key, entry in prompt.items():
        if entry["class_type"] in kinds:
            prompt[key] = node(kinds[entry["class_type"]], folder=str(tiny.folder))
    return prompt
