"""The example graphs made small enough for a test machine: tiny weights under the real files' names, a short small clip.

Stock loaders read what can be made small (Wan, LoRA, adapter, DepthCrafter). The text encoder, CLIP vision and the VAE
have sizes that ComfyUI fixes; recorded embeddings and a narrow VAE stand in for them.
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
}
WIDTH, HEIGHT = 96, 64
GRAPHS = {
    "Re-shoot full EX-4D": (9, 25),
    "Re-shoot a video": (9, 4),
    "Few steps": (9, 4),
    "Small GPU (fp8 or GGUF)": (9, 4),
    "Long clip": (13, 25 * 2),
    "Single image to 4D": (9, 25),
    "Re-shoot with stock samplers": (9, 25),
}
"""Graph with Wan -> frames of its result here, steps of its sampler."""


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
    files += write_inputs(server.input)
    try:
        yield tiny
    finally:
        for file in files:
            file.unlink()


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
    """The graph of a file; ``sampler`` are changes of its Wan EX-4D Sampler."""
    prompt = workflow.to_prompt(workflow.load(path), client.object_info())
    frames = GRAPHS[path.stem][0]
    changes = {
        "EX4DLoadVideo": {"file": "chain.mp4", "frames": frames, "width": WIDTH, "height": HEIGHT},
        "LoadImage": {"image": "chain.png"},
        "WanImageToVideo": {"width": WIDTH, "height": HEIGHT, "length": frames},
        "EX4DDepthCrafter": {"steps": 1},
        "WanEX4DSampler": {"segment_frames": 9, "segment_overlap": 5, **sampler},
    }
    change(prompt, changes)
    if of(prompt, "WanEX4DSampler"):
        (sampling,) = (made,) = (conditioned,) = of(prompt, "WanEX4DSampler")
    else:
        (sampling,), (made,) = of(prompt, "SamplerCustomAdvanced"), of(prompt, "VAEDecode")
        (conditioned,) = of(prompt, "EX4DConditioning")
    (saved,) = of(prompt, "SaveVideo")
    return SmallGraph(stand_in(tiny, prompt, prompt[conditioned]["inputs"]), sampling, made, saved)


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


def stand_in(tiny: Tiny, prompt: dict, texts: dict) -> dict:
    """Recorded text (``texts`` are the inputs it goes into) and CLIP vision in place of their encoders, the narrow VAE."""
    folder = str(tiny.folder)
    (vae,) = of(prompt, "VAELoader")
    places = {texts["positive"][0]: 0, texts["negative"][0]: 1}
    places |= dict.fromkeys(of(prompt, "CLIPVisionEncode"), 2)
    gone = [*places, *of(prompt, "CLIPLoader"), *of(prompt, "CLIPVisionLoader"), *of(prompt, "ImageFromBatch")]
    for entry in prompt.values():
        for key, value in entry["inputs"].items():
            if isinstance(value, list) and value[0] in places:
                entry["inputs"][key] = ["recorded", places[value[0]]]
    kept = {key: entry for key, entry in prompt.items() if key not in gone}
    kept |= {"recorded": node("EX4DTestText", folder=folder, pad=False), vae: node("EX4DTestTinyVAE", folder=folder)}
    return kept
