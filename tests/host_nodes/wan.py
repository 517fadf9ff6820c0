"""Tiny Wan parts for tests: recorded text, CLIP and latents, a small VAE, and probes around the model.

``folder`` is always the recorded adapter data (reference/adapter).
"""

from __future__ import annotations

import json
import os

import comfy.clip_vision
import comfy.latent_formats
import comfy.ldm.wan.vae
import comfy.model_management
import comfy.patcher_extension
import comfy.samplers
import comfy.sd
import comfy.utils
import torch

FOLDER = {"folder": ("STRING", {"default": ""})}
CALLS: dict[str, list] = {}


def recorded(folder: str, name: str) -> torch.Tensor:
    return comfy.utils.load_torch_file(os.path.join(folder, "inputs.safetensors"))[name]


class EX4DTestText:
    """Recorded text embeddings, unpadded as recorded, and the recorded CLIP tokens."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {**FOLDER, "pad": ("BOOLEAN", {"default": False})}}

    RETURN_TYPES = ("CONDITIONING", "CONDITIONING", "CLIP_VISION_OUTPUT")
    FUNCTION = "run"
    CATEGORY = "EX-4D/tests"

    def run(self, folder, pad):
        texts = [recorded(folder, name) for name in ("context_pos", "context_neg")]
        if pad:
            texts = [torch.nn.functional.pad(t, (0, 0, 0, 512 - t.shape[1])) for t in texts]
        vision = comfy.clip_vision.Output()
        vision["penultimate_hidden_states"] = recorded(folder, "clip_fea")
        return [[texts[0], {}]], [[texts[1], {}]], vision


class RecordedVAE:
    """Answers with the recorded latents, by what the images are; notes what the real VAE would have been given."""

    latent_channels, latent_dim = 16, 3

    def __init__(self, folder):
        self.folder, self.format, self.seen = folder, comfy.latent_formats.Wan21(), {}

    def encode(self, images):
        values = images * 2.0 - 1.0
        if bool((values == 0).all(dim=-1)[1:].all()):
            name = "y_image_latent"
        elif bool(((values == 1) | (values == -3)).all()):
            name = "mask_latent"
        else:
            name = "video_latent"
        self.seen[name] = values
        return self.format.process_out(recorded(self.folder, name))

    def decode(self, samples):
        b, _, f, h, w = samples.shape
        return torch.zeros(b, 4 * f - 3, 8 * h, 8 * w, 3)


class EX4DTestRecordedVAE:
    """A VAE that returns the recorded latents."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": FOLDER}

    RETURN_TYPES = ("VAE",)
    FUNCTION = "run"
    CATEGORY = "EX-4D/tests"

    def run(self, folder):
        return (RecordedVAE(folder),)


class EX4DTestTinyVAE:
    """The Wan 2.1 VAE of width 8, inside ComfyUI's own VAE class."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": FOLDER}

    RETURN_TYPES = ("VAE",)
    FUNCTION = "run"
    CATEGORY = "EX-4D/tests"

    def run(self, folder):
        full = comfy.ldm.wan.vae.WanVAE
        comfy.ldm.wan.vae.WanVAE = lambda **config: full(**{**config, "dim": 8})  # the host fixes the width at 96
        try:
            vae = comfy.sd.VAE(comfy.utils.load_torch_file(os.path.join(folder, "vae_tiny8.safetensors")))
        finally:
            comfy.ldm.wan.vae.WanVAE = full
        return (vae,)


class EX4DTestFirstNoise:
    """A MODEL whose runs start from the recorded noise, whatever the seed."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",), **FOLDER}}

    RETURN_TYPES = ("MODEL",)
    FUNCTION = "run"
    CATEGORY = "EX-4D/tests"

    def run(self, model, folder):
        noise = recorded(folder, "noise")

        def wrapper(executor, given, *args, **kwargs):
            return executor(noise.to(given).repeat(given.shape[0], 1, 1, 1, 1), *args, **kwargs)

        model = model.clone()
        model.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.OUTER_SAMPLE, "ex4d_test", wrapper)
        return (model,)


class EX4DTestForward:
    """One velocity of the model at the recorded x, normalised; ``which`` picks the recorded timestep."""

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "model": ("MODEL",),
                "conditioning": ("CONDITIONING",),
                "latent": ("LATENT",),
                **FOLDER,
                "which": ("INT", {"default": 1, "min": 0, "max": 2}),
            }
        }

    RETURN_TYPES = ("LATENT_TENSOR",)
    FUNCTION = "run"
    CATEGORY = "EX-4D/tests"

    def run(self, model, conditioning, latent, folder, which):
        x, sigma = recorded(folder, "x"), recorded(folder, "timesteps")[which] / 1000
        kept = {}

        def one_forward(denoise, noise, sigmas, extra_args=None, **_):
            at = x.to(noise).repeat(noise.shape[0], 1, 1, 1, 1)
            level = torch.full((noise.shape[0],), float(sigma), device=noise.device)
            kept["v"] = (at - denoise(at, level, **(extra_args or {}))) / sigma
            return noise

        samples = latent["samples"]
        comfy.samplers.sample(
            model, torch.zeros_like(samples), conditioning, conditioning, 1.0, model.load_device,
            comfy.samplers.KSAMPLER(one_forward), torch.tensor([float(sigma), 0.0]),
            model_options=model.model_options, latent_image=samples, disable_pbar=True, seed=0,
        )  # fmt: skip
        return (kept["v"],)


class EX4DTestSpy:
    """A MODEL that notes, under a name, the shape of every forward and of every encoding of the prior."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",), "name": ("STRING", {"default": "calls"})}}

    RETURN_TYPES = ("MODEL",)
    FUNCTION = "run"
    CATEGORY = "EX-4D/tests"

    def run(self, model, name):
        calls = CALLS[name] = []

        def wrapper(executor, x, *args, **kwargs):
            calls.append(list(x.shape))
            return executor(x, *args, **kwargs)

        model = model.clone()
        model.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL, "ex4d_test", wrapper)
        return (model,)


class EX4DTestCalls:
    """What a spy has noted, once ``after`` is there."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"after": ("*",), "name": ("STRING", {"default": "calls"})}}

    RETURN_TYPES = ()
    FUNCTION = "run"
    OUTPUT_NODE = True
    CATEGORY = "EX-4D/tests"

    @classmethod
    def VALIDATE_INPUTS(cls, input_types):
        return True

    def run(self, after, name):
        return {"ui": {"text": [json.dumps(CALLS.get(name, []))]}}


class EX4DTestSamples:
    """The tensor of a LATENT, normalised to Wan's latent space."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"latent": ("LATENT",)}}

    RETURN_TYPES = ("LATENT_TENSOR",)
    FUNCTION = "run"
    CATEGORY = "EX-4D/tests"

    def run(self, latent):
        return (comfy.latent_formats.Wan21().process_in(latent["samples"]),)


class EX4DTestUnload:
    """Passes a MODEL on after everything was thrown out of memory."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",), "after": ("*",)}}

    RETURN_TYPES = ("MODEL",)
    FUNCTION = "run"
    CATEGORY = "EX-4D/tests"

    @classmethod
    def VALIDATE_INPUTS(cls, input_types):
        return True

    def run(self, model, after):
        comfy.model_management.unload_all_models()
        return (model.clone(),)


class EX4DTestClip:
    """A colour clip and its mask: the source frame first, then a growing hole. ``variant`` breaks something."""

    @classmethod
    def INPUT_TYPES(cls):
        size = {"min": 1, "max": 4096}
        variants = ["good", "short mask", "small mask", "nothing seen", "nan", "holes first"]
        return {
            "required": {
                "width": ("INT", {"default": 192, **size}),
                "height": ("INT", {"default": 128, **size}),
                "frames": ("INT", {"default": 9, **size}),
                "variant": (variants,),
            }
        }

    RETURN_TYPES = ("IMAGE", "MASK")
    FUNCTION = "run"
    CATEGORY = "EX-4D/tests"

    def run(self, width, height, frames, variant):
        y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
        moving = [torch.stack([x, y, (x + 0.03 * t) % 1], dim=-1) for t in range(frames)]
        color = (torch.stack(moving) * 200 + 20).round() / 255
        mask = torch.stack([(x >= 0.4 * t / max(frames - 1, 1)).float() for t in range(frames)])
        if variant == "short mask":
            mask = mask[:-1]
        elif variant == "small mask":
            mask = mask[:, :-16]
        elif variant == "nothing seen":
            mask = torch.zeros_like(mask)
        elif variant == "nan":
            color[-1, 0, 0, 0] = float("nan")
        elif variant == "holes first":
            mask = mask.flip(0)
        return color, mask


NODES = (
    EX4DTestText,
    EX4DTestRecordedVAE,
    EX4DTestTinyVAE,
    EX4DTestFirstNoise,
    EX4DTestForward,
    EX4DTestSpy,
    EX4DTestCalls,
    EX4DTestSamples,
    EX4DTestUnload,
    EX4DTestClip,
)
