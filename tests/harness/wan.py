"""Prompts around the tiny Wan model that was recorded with the published code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from . import workflow

CAMERA = {"control_adapter.conv.weight": (256, 1536, 2, 2), "control_adapter.conv.bias": (256,)}
REFERENCE = {"ref_conv.weight": (256, 16, 2, 2), "ref_conv.bias": (256,)}
VACE = {"vace_patch_embedding.weight": (256, 96, 1, 2, 2), "vace_blocks.0.after_proj.weight": (256, 256)}
LAYOUTS = {
    "Wan2.1 I2V": (36, True, 16, {}),
    "Wan2.1 FLF2V": (36, True, 16, {"img_emb.emb_pos": (1, 514, 1280)}),
    "Wan2.1 Fun InP": (36, True, 16, REFERENCE),
    "Wan2.1 Fun Control": (48, True, 16, {}),
    "Wan2.1 Fun Control 1.1": (48, True, 16, REFERENCE),
    "Wan2.1 Fun Control Camera": (32, True, 16, CAMERA),
    "Wan2.1 VACE": (16, False, 16, VACE),
    "Wan2.1 T2V": (16, False, 16, {}),
    "Wan2.2 I2V A14B": (36, False, 16, {}),
    "Wan2.2 Fun A14B Control": (52, False, 16, REFERENCE),
    "Wan2.2 Fun A14B Control Camera": (36, False, 16, CAMERA),
    "Wan2.2 TI2V 5B": (48, False, 48, {}),
}
"""Name -> input channels, whether it sees CLIP vision, channels of its latent, weights that it has more."""
WINDOWS = "WanContextWindowsManual"
"""The stock node for context windows over Wan's frames."""
WIDTH, HEIGHT, FRAMES = 192, 128, 9
"""The size at which it was recorded: a latent of 3 x 16 x 24."""


def layout(state: dict[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    """The tiny model's weights in the layout of another model of Wan's; what that one has more is zero."""
    inputs, image, latent, extra = LAYOUTS[name]
    state = {key: value for key, value in state.items() if image or "img" not in key}
    patches = state["patch_embedding.weight"]
    state["patch_embedding.weight"] = resized(patches, (patches.shape[0], inputs, *patches.shape[2:]))
    for key in ("head.head.weight", "head.head.bias"):
        state[key] = resized(state[key], (4 * latent, *state[key].shape[1:]))
    return state | {key: torch.zeros(shape) for key, shape in extra.items()}


def resized(values: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """As much of a tensor as fits into another shape, and zeros beyond."""
    result = torch.zeros(shape)
    both = tuple(slice(min(sides)) for sides in zip(values.shape, shape, strict=True))
    result[both] = values[both]
    return result


class Tiny:
    """The recorded files, placed into a server's model folders, and prompts that use them."""

    def __init__(self, server, reference: Path):
        self.folder, self.server = reference / "adapter", server
        models = server.base / "models"
        for kind, name in (
            ("diffusion_models", "dit_tiny.safetensors"),
            ("ex4d", "ex4d_tiny_r4.ckpt"),
            ("ex4d", "ex4d_tiny_r16.ckpt"),
            ("loras", "ex4d_tiny_r16.safetensors"),
        ):
            self.place(self.folder / name, models / kind / name)
        state = load_file(self.folder / "ex4d_tiny_r16.safetensors")
        self.write("ex4d", "lora_only.safetensors", {k: v for k, v in state.items() if "lora" in k})
        self.write("ex4d", "prior_only.safetensors", {k: v for k, v in state.items() if "lora" not in k})

    def place(self, source: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            shutil.copyfile(source, target)

    def write(self, kind: str, name: str, state: dict) -> None:
        path = self.server.base / "models" / kind / name
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(state, path)

    def write_layout(self, name: str) -> str:
        """The name under which UNETLoader finds the tiny model in the layout of another of Wan's models."""
        file = f"{name}.safetensors"
        self.write("diffusion_models", file, layout(load_file(self.folder / "dit_tiny.safetensors"), name))
        return file

    def golden(self, name: str, file: str = "dit_golden") -> torch.Tensor:
        return load_file(self.folder / f"{file}.safetensors")[name]

    def loaders(self, file: str = "ex4d_tiny_r16.ckpt", **settings) -> dict:
        """Nodes: model, adapter, text, vae (recorded), clip (colour and mask)."""
        folder = str(self.folder)
        adapter = {"lora_strength": 1.0, "prior_strength": 1.0, "prior_start": 0.0, "prior_end": 1.0, **settings}
        return {
            "model": node("UNETLoader", unet_name="dit_tiny.safetensors", weight_dtype="default"),
            "adapter": node("EX4DAdapterLoader", model=["model", 0], file=file, **adapter),
            "text": node("EX4DTestText", folder=folder, pad=False),
            "vae": node("EX4DTestRecordedVAE", folder=folder),
            "clip": node("EX4DTestClip", width=WIDTH, height=HEIGHT, frames=FRAMES, variant="good"),
        }

    def conditioning(self, model=("adapter", 0), vision: bool = True, **settings) -> dict:
        """Node: ready (EX4DConditioning)."""
        inputs = {
            "model": list(model), "positive": ["text", 0], "negative": ["text", 1], "vae": ["vae", 0],
            "color": ["clip", 0], "mask": ["clip", 1], **clip_settings(), "shift": 5.0, "batch_size": 1,
            "vae_tiles": "off", **settings,
        }  # fmt: skip
        if vision:
            inputs["clip_vision_output"] = ["text", 2]
        return {"ready": node("EX4DConditioning", **inputs)}

    def ksampler(self, steps: int = 5, cfg: float = 5.0, model=("noise", 0), **settings) -> dict:
        """Nodes: noise (recorded), sampled (KSampler), latent (normalised)."""
        inputs = {
            "model": list(model), "positive": ["ready", 1], "negative": ["ready", 2], "latent_image": ["ready", 3],
            "seed": 0, "steps": steps, "cfg": cfg, "sampler_name": "euler", "scheduler": "simple", "denoise": 1.0,
            **settings,
        }  # fmt: skip
        return {
            "noise": node("EX4DTestFirstNoise", model=["ready", 0], folder=str(self.folder)),
            "sampled": node("KSampler", **inputs),
            "latent": node("EX4DTestSamples", latent=["sampled", 0]),
        }

    def advanced(self, steps: int = 5, cfg: float = 5.0, model=("noise", 0)) -> dict:
        """Nodes: noise (recorded), sampled (SamplerCustomAdvanced with EX4DScheduler's sigmas), latent (normalised)."""
        texts = {"positive": ["ready", 1], "negative": ["ready", 2]}
        parts = {name: [name, 0] for name in ("guider", "sampler", "sigmas")}
        return {
            "noise": node("EX4DTestFirstNoise", model=["ready", 0], folder=str(self.folder)),
            "random": node("RandomNoise", noise_seed=0),
            "guider": node("CFGGuider", model=list(model), **texts, cfg=cfg),
            "sampler": node("KSamplerSelect", sampler_name="euler"),
            "sigmas": node("EX4DScheduler", steps=steps, shift=5.0),
            "sampled": node("SamplerCustomAdvanced", noise=["random", 0], latent_image=["ready", 3], **parts),
            "latent": node("EX4DTestSamples", latent=["sampled", 0]),
        }

    def windows(self, model=("adapter", 0), **settings) -> dict:
        """Node: windows (the stock one for Wan), of two latent frames that share one; settings as far as this host has them."""
        inputs = workflow.widget_defaults(self.server.client.object_info(WINDOWS)[WINDOWS])
        inputs |= {"context_length": 5, "context_overlap": 1, "context_schedule": "standard_static"}
        settings = {"fuse_method": "pyramid", "freenoise": False, **settings}
        inputs |= {name: value for name, value in settings.items() if name in inputs}
        return {"windows": node(WINDOWS, model=list(model), **inputs)}

    def sampler(self, model=("noise", 0), adapter=("adapter", 0), **settings) -> dict:
        """Nodes: noise (recorded), sampled (WanEX4DSampler), latent (normalised)."""
        inputs = {
            "model": list(model), "positive": ["text", 0], "negative": ["text", 1], "vae": ["vae", 0],
            "color": ["clip", 0], "mask": ["clip", 1], "clip_vision_output": ["text", 2], "seed": 0, "mode": "full",
            "steps": 5, "cfg": 5.0, "few_steps": 4, "shift": 5.0, "sampler_name": "euler", "scheduler": "published",
            **clip_settings(), "segment_frames": 49, "segment_overlap": 9, "vae_tiles": "off", **settings,
        }  # fmt: skip
        return {
            "noise": node("EX4DTestFirstNoise", model=list(adapter), folder=str(self.folder)),
            "sampled": node("WanEX4DSampler", **inputs),
            "latent": node("EX4DTestSamples", latent=["sampled", 1]),
        }

    def run(self, prompt: dict, **outputs) -> dict:
        """Queue a prompt that must succeed; ``name=(node, output)`` are the tensors to bring back."""
        prompt = dict(prompt)
        for name, link in outputs.items():
            prompt[f"record_{name}"] = node("EX4DTestRecord", value=list(link), name=name)
        for name in outputs:
            (self.server.output / f"{name}.pt").unlink(missing_ok=True)
        result = self.server.client.queue(prompt).ok()
        self.result = result
        return {name: torch.load(self.server.output / f"{name}.pt") for name in outputs}

    def refusal(self, prompt: dict, link=("sampled", 0)) -> str:
        """The sentence with which a prompt fails."""
        result = self.server.client.queue({**prompt, "end": node("EX4DTestRecord", value=list(link), name="end")})
        assert result.status in ("error", "refused"), result.status
        return result.message

    def calls(self, result, node_id: str) -> list:
        return json.loads(result.text(node_id))


def clip_settings() -> dict:
    return {
        "frames": 0,
        "width": 0,
        "height": 0,
        "fit": "stretch",
        "erosion": "off",
        "erosion_size": 5,
        "erosion_seed": 0,
    }


def node(class_type: str, **inputs) -> dict:
    return {"class_type": class_type, "inputs": inputs}


def distance(value: torch.Tensor, golden: torch.Tensor) -> float:
    """Relative L2."""
    return float((value.double() - golden.double()).norm() / golden.double().norm())
