"""Prompts around the tiny Wan model and adapter that 4DNeX's published code was recorded with."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from .wan import Tiny, node

WIDTH, HEIGHT, FRAMES = 96, 64, 9
"""Of a half, as recorded: latents of 3 x 8 x 24."""
LORA, VECTORS = "tiny_4dnex.safetensors", "tiny_4dnex.pt"
PARTS = {"none": (0, 0), "left": (1, 0), "right": (0, 1)}
"""Files of vectors with parts left out: factors on the two."""


class TinyHalves(Tiny):
    """The recorded files, placed into a server's model folders, and prompts that use them."""

    def __init__(self, server, folder: Path, vae: Path):
        self.folder, self.vae, self.server = folder, vae, server
        models, adapter = server.base / "models", folder / "adapter_r8"
        for kind, source, name in (
            ("diffusion_models", folder / "wan_tiny.safetensors", "wan_tiny_4dnex.safetensors"),
            ("4dnex", adapter / "pytorch_lora_weights.safetensors", LORA),
            ("4dnex", adapter / "learnable_domain_embeddings.pt", VECTORS),
        ):
            self.place(source, models / kind / name)
        vectors = torch.load(adapter / "learnable_domain_embeddings.pt", weights_only=True)
        for name, (left, right) in PARTS.items():
            torch.save(vectors * torch.tensor([[left], [right]]), models / "4dnex" / f"{name}.pt")

    def golden(self, name: str, file: str = "trajectory") -> torch.Tensor:
        return load_file(self.folder / f"{file}.safetensors")[name]

    def loaders(self, lora_strength: float = 1.0, vectors: str = VECTORS, **settings) -> dict:
        """Nodes: model, adapter, text, vae (tiny), picture (recorded)."""
        return {
            "model": node("UNETLoader", unet_name="wan_tiny_4dnex.safetensors", weight_dtype="default"),
            "adapter": node(
                "EX4DFourDNeXLoader",
                model=["model", 0],
                file=LORA,
                lora_strength=lora_strength,
                vectors_file=vectors,
                **settings,
            ),
            "text": node("EX4DTestText", folder=str(self.folder), pad=False),
            "vae": node("EX4DTestTinyVAE", folder=str(self.vae)),
            "picture": node("EX4DTestPicture", folder=str(self.folder), name="source_image_u8"),
        }

    def conditioning(self, model=("adapter", 0), **settings) -> dict:
        """Node: ready (EX4DFourDNeXConditioning)."""
        inputs = {
            "model": list(model), "positive": ["text", 0], "negative": ["text", 1], "vae": ["vae", 0],
            "image": ["picture", 0], "clip_vision_output": ["text", 2], "frames": FRAMES, "width": WIDTH, "height": HEIGHT,
            "shift": 3.0, "batch_size": 1, **settings,
        }  # fmt: skip
        return {"ready": node("EX4DFourDNeXConditioning", **inputs)}

    def advanced(self, steps: int = 6, cfg: float = 5.0, model=("ready", 0), **schedule) -> dict:
        """Nodes: sampled (SamplerCustomAdvanced with 4DNeX Schedule), latent (normalised)."""
        texts = {"positive": ["ready", 1], "negative": ["ready", 2]}
        return {
            "random": node("RandomNoise", noise_seed=42),
            "guider": node("CFGGuider", model=list(model), **texts, cfg=cfg),
            "schedule": node("EX4DFourDNeXSchedule", **{"steps": steps, "shift": 3.0, **schedule}),
            "sampled": node(
                "SamplerCustomAdvanced", noise=["random", 0], guider=["guider", 0], sampler=["schedule", 0],
                sigmas=["schedule", 1], latent_image=["ready", 3],
            ),
            "latent": node("EX4DTestSamples", latent=["sampled", 0]),
        }  # fmt: skip

    def sampler(self, model=("adapter", 0), **settings) -> dict:
        """Nodes: sampled (WanFourDNeXSampler), latent (normalised)."""
        inputs = {
            "model": list(model), "positive": ["text", 0], "negative": ["text", 1], "vae": ["vae", 0],
            "image": ["picture", 0], "clip_vision_output": ["text", 2], "seed": 42, "mode": "full", "steps": 6, "cfg": 5.0,
            "few_steps": 4, "shift": 3.0, "sampler_name": "published", "scheduler": "published", "frames": FRAMES,
            "width": WIDTH, "height": HEIGHT, "decoding": "joint", "vae_tiles": "off", "fps": 24.0, **settings,
        }  # fmt: skip
        return {
            "sampled": node("WanFourDNeXSampler", **inputs),
            "latent": node("EX4DTestSamples", latent=["sampled", 2]),
        }

    def spied(self, name: str, model=("adapter", 0)) -> dict:
        """Nodes: spy (a MODEL that notes its steps) and steps (what it noted), for a run whose node is called sampled."""
        return {
            "spy": node("EX4DTestSteps", model=list(model), name=name),
            "steps": node("EX4DTestStepsOf", after=["sampled", 0], name=name),
        }

    def forward(self, sigma: float, model=("ready", 0), positive=("ready", 1)) -> dict:
        """Node: probe (velocity, mask, image)."""
        inputs = {"model": list(model), "conditioning": list(positive), "latent": ["ready", 3]}
        return {"probe": node("EX4DTestHalvesForward", **inputs, folder=str(self.folder), sigma=sigma)}
