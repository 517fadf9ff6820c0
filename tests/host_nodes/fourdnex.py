"""Recorded parts of 4DNeX's tiny runs, and probes around them. ``folder`` is always the recorded data (reference/fourdnex)."""

from __future__ import annotations

import json

import comfy.latent_formats
import comfy.patcher_extension
import comfy.samplers
import comfy.utils
import torch

from .define import ANY, TENSOR, TEXT, node
from .wan import recorded, wrapped

WRAPPERS = comfy.patcher_extension.WrappersMP
FORMAT = comfy.latent_formats.Wan21()
STEPS: dict[str, list[torch.Tensor]] = {}


@node("IMAGE", folder=TEXT, name=TEXT)
def EX4DTestPicture(folder, name):
    """A recorded picture of bytes."""
    return recorded(folder, name)[None].float() / 255


@node("LATENT", folder=TEXT, file=TEXT, name=TEXT)
def EX4DTestLatent(folder, file, name):
    """A recorded, normalised latent as samplers give it."""
    return {"samples": FORMAT.process_out(recorded(folder, name, file))}


@node("LATENT", shape=("STRING", {"default": "1,16,3,8,24"}))
def EX4DTestEmptyLatent(shape):
    """Zeros of a shape."""
    return {"samples": torch.zeros([int(side) for side in shape.split(",")])}


@node("MODEL", model="MODEL", name=TEXT)
def EX4DTestSteps(model, name):
    """A MODEL that notes, under a name, what it saw and what it made of it at each step: (2, 16, F, h, w) each."""
    steps = STEPS[name] = []

    def after(args):
        steps.append(torch.stack([args["input"][0], args["denoised"][0]]).cpu())
        return args["denoised"]

    model = model.clone()
    model.set_model_sampler_post_cfg_function(after)
    return model


@node(TENSOR, after=ANY, name=TEXT)
def EX4DTestStepsOf(after, name):
    """What EX4DTestSteps has noted: (steps, 2, 16, F, h, w)."""
    return torch.stack(STEPS[name])


@node(TENSOR, TENSOR, TENSOR, model="MODEL", conditioning="CONDITIONING", latent="LATENT", folder=TEXT, sigma="FLOAT")
def EX4DTestHalvesForward(model, conditioning, latent, folder, sigma):
    """One velocity of the model at the recorded x, normalised; and the mask (4 channels) and image that it saw beside it."""
    x, kept = recorded(folder, "x"), {}

    def look(executor, given, *args, **kwargs):
        kept["given"] = given
        return executor(given, *args, **kwargs)

    def one_forward(denoise, noise, sigmas, extra_args=None, **_):
        at = x.to(noise).repeat(noise.shape[0], 1, 1, 1, 1)
        level = torch.full((noise.shape[0],), float(sigmas[0]), device=noise.device)
        kept["v"] = (at - denoise(at, level, **(extra_args or {}))) / float(sigmas[0])
        return noise

    model, samples = wrapped(model, WRAPPERS.DIFFUSION_MODEL, look), latent["samples"]
    comfy.samplers.sample(
        model, torch.zeros_like(samples), conditioning, conditioning, 1.0, model.load_device,
        comfy.samplers.KSAMPLER(one_forward), torch.tensor([sigma, 0.0]),
        model_options=model.model_options, latent_image=samples, disable_pbar=True, seed=0,
    )  # fmt: skip
    return kept["v"], kept["given"][:, 16:20].float(), kept["given"][:, 20:].float()


@node("LATENT", latent="LATENT", columns=("INT", {"default": 0}))
def EX4DTestCutLatent(latent, columns):
    """A latent with so many columns less."""
    return {**latent, "samples": latent["samples"][..., : latent["samples"].shape[-1] - columns]}


@node(TENSOR, "STRING", pointmap="EX4D_POINTMAP")
def EX4DTestPoints(pointmap):
    """The points of a point map, and its numbers as JSON."""
    told = {"space": pointmap.space, "fps": pointmap.fps, "pixel_aspect": pointmap.pixel_aspect}
    return pointmap.points, json.dumps(told)
