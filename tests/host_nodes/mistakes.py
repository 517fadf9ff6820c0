"""The published run with one convention broken: the recorded result must notice each of them."""

from __future__ import annotations

import importlib
import os
import sys
from dataclasses import replace
from types import SimpleNamespace
from unittest import mock

import comfy.clip_vision
import comfy.latent_formats
import comfy.sd
import torch

from .define import TENSOR, TEXT, node
from .wan import EX4DTestFirstNoise

FORMAT = comfy.latent_formats.Wan21()
LORA_RANK = 16


def wan_modules() -> SimpleNamespace:
    """The modules of ex4d_core.wan as the pack itself has imported them."""
    core = next(name for name in list(sys.modules) if name.endswith(".ex4d_core"))
    plain = {name: f"{core}.wan.{name}" for name in ("checkpoint", "clip", "job", "prior", "schedule", "settings")}
    in_host = {name: f"{core}.wan.host.{name}" for name in ("conditioning", "generate", "patch", "sampling")}
    return SimpleNamespace(**{name: importlib.import_module(path) for name, path in (plain | in_host).items()})


def prior_latents(change):
    """Latents changed on their way into the prior."""

    def mistake(wan):
        init = wan.patch.Prior.__init__

        def changed(self, encoder, color, mask, settings):
            init(self, encoder, *change(color, mask), settings)

        return wan.patch.Prior, "__init__", changed

    return mistake


def prior_values(change):
    """The encoded prior changed before it is added; ``change`` also gets which rows are cond (0) and uncond (1)."""

    def mistake(wan):
        prior_of = wan.patch.Prior._prior_of

        def changed(self, options, x):
            kinds = torch.tensor(options["cond_or_uncond"]).repeat_interleave(len(x) // len(options["cond_or_uncond"]))
            return change(prior_of(self, options, x), kinds[:, None, None, None, None])

        return wan.patch.Prior, "_prior_of", changed

    return mistake


def prior_after_block_0(wan):
    def late(self, executor, x, timestep, context, clip_fea=None, time_dim=None, transformer_options=None, **rest):
        tokens = self._prior_of(transformer_options, x).flatten(2).transpose(1, 2)
        handle = executor.class_obj.blocks[0].register_forward_hook(lambda module, inputs, output: output + tokens)
        try:
            return executor(x, timestep, context, clip_fea, time_dim, transformer_options, **rest)
        finally:
            handle.remove()

    return wan.patch.Prior, "around_forward", late


def lora(change, strength=1.0):
    """Another LoRA, or the same at another strength."""

    def mistake(wan):
        add_lora = wan.patch.add_lora

        def changed(model, adapter, given):
            return add_lora(model, replace(adapter, lora=change(adapter.lora)), given * strength)

        return wan.patch, "add_lora", changed

    return mistake


def keys_and_values_exchanged(modules: dict) -> dict:
    swap = {"self_attn.k": "self_attn.v", "self_attn.v": "self_attn.k"}
    return {next((m.replace(a, b) for a, b in swap.items() if m.endswith(a)), m): pair for m, pair in modules.items()}


def start(change):
    """Another start image or mask beside the noise."""

    def mistake(wan):
        start_values = wan.conditioning._start_values

        def changed(image, vision):
            values = start_values(image, vision)
            change(values)
            return values

        return wan.conditioning, "_start_values", changed

    return mistake


def other_vision(values: dict) -> None:
    vision = comfy.clip_vision.Output()
    vision["penultimate_hidden_states"] = values["clip_vision_output"].penultimate_hidden_states.roll(1, dims=-1)
    values["clip_vision_output"] = vision


def noise_levels(change):
    """Other sigmas; ``change`` takes the right function and the number of steps."""

    def mistake(wan):
        right = wan.schedule.sigmas
        return wan.schedule, "sigmas", lambda steps, shift: change(right, steps)

    return mistake


def timesteps_from_0_to_1(wan):
    import comfy.model_sampling

    original = comfy.model_sampling.ModelSamplingDiscreteFlow.set_parameters

    def changed(self, shift=1.0, timesteps=1000, multiplier=1000):
        return original(self, shift=shift, timesteps=timesteps, multiplier=1)

    return comfy.model_sampling.ModelSamplingDiscreteFlow, "set_parameters", changed


def another_sampler(wan):
    import comfy.samplers

    right = comfy.samplers.sampler_object
    return comfy.samplers, "sampler_object", lambda name: right("heun")


MISTAKES = {
    "prior: colour and mask exchanged": prior_latents(lambda color, mask: (mask, color)),
    "prior: latents not normalised": prior_latents(lambda *both: map(FORMAT.process_out, both)),
    "prior: latents normalised twice": prior_latents(lambda *both: map(FORMAT.process_in, both)),
    "prior: another activation": lambda wan: (torch.nn, "SiLU", torch.nn.GELU),
    "prior: only for cond": prior_values(lambda prior, kinds: prior * (kinds == 0)),
    "prior: only for uncond": prior_values(lambda prior, kinds: prior * (kinds == 1)),
    "prior: twice": prior_values(lambda prior, kinds: 2 * prior),
    "prior: a frame late": prior_values(lambda prior, kinds: prior.roll(1, dims=2)),
    "prior: mirrored": prior_values(lambda prior, kinds: prior.flip(-1)),
    "prior: after block 0": prior_after_block_0,
    "LoRA: alpha 1": lora(lambda modules: modules, 1 / LORA_RANK),
    "LoRA: keys and values exchanged": lora(keys_and_values_exchanged),
    "LoRA: none on the feed-forward": lora(lambda modules: {m: p for m, p in modules.items() if "ffn" not in m}),
    "text: not padded": lambda wan: (wan.conditioning, "pad_text", lambda text, tokens: text),
    "start: every frame known": start(lambda values: values["concat_mask"].zero_()),
    "start: mask inverted": start(lambda values: values.update(concat_mask=1 - values["concat_mask"])),
    "start: image normalised twice": start(
        lambda values: values.update(concat_latent_image=FORMAT.process_in(values["concat_latent_image"]))
    ),
    "CLIP vision: left out": start(lambda values: values.pop("clip_vision_output")),
    "CLIP vision: another picture": start(other_vision),
    "sigmas: not shifted": noise_levels(lambda right, steps: right(steps, 1.0)),
    "sigmas: shift 3": noise_levels(lambda right, steps: right(steps, 3.0)),
    "sigmas: of one step more": noise_levels(lambda right, steps: right(steps + 1, 5.0)[1:]),
    "timesteps: 0 to 1": timesteps_from_0_to_1,
    "sampler: not Euler": another_sampler,
}
"""Name -> function of ``wan_modules`` that says what to replace: (object, attribute, replacement)."""


@node(TENSOR, model="MODEL", vae="VAE", positive="CONDITIONING", negative="CONDITIONING", vision="CLIP_VISION_OUTPUT",
      color="IMAGE", mask="MASK", folder=TEXT, mistake=([*MISTAKES, "none"],))  # fmt: skip
def EX4DTestMistake(model, vae, positive, negative, vision, color, mask, folder, mistake):
    """Five steps at cfg 5 from the recorded noise, normalised, with one mistake in force: file, adapter, sampling."""
    wan = wan_modules()

    def five_steps():
        adapter = wan.checkpoint.load_adapter(os.path.join(folder, f"ex4d_tiny_r{LORA_RANK}.ckpt"))
        carrying = wan.patch.add_adapter(model, adapter, 1.0, wan.patch.PriorSettings())
        clip = wan.clip.prepare_clip(color, mask, erosion="off")
        noisy = EX4DTestFirstNoise(carrying, folder)
        ready = wan.conditioning.condition(noisy, vae, positive, negative, clip, clip_vision=vision)
        return FORMAT.process_in(wan.sampling._sample(ready, wan.settings.Run(steps=5), 0, None))

    if mistake == "none":
        return five_steps()
    with mock.patch.object(*MISTAKES[mistake](wan)):
        return five_steps()


@node(TENSOR, "STRING", color="IMAGE", mask="MASK")
def EX4DTestGenerateEncoders(color, mask):
    """What ``generate`` shows to CLIP vision, and the prompts it encodes: "positive|negative|crop ..."."""
    wan, shown = wan_modules(), {}

    class Encoders:
        tokenize = staticmethod(lambda text: text)
        encode_from_tokens_scheduled = staticmethod(lambda text: shown.setdefault("texts", []).append(text))

        @staticmethod
        def encode_image(image, crop=True):
            shown.update(image=image, crop=crop)

    clip = wan.clip.prepare_clip(color, mask, erosion="off")
    job = wan.job.Job("", None, "", prompt="positive", negative_prompt="negative")
    with (
        mock.patch.object(comfy.sd, "load_clip", lambda *_, **__: Encoders),
        mock.patch.object(comfy.clip_vision, "load", lambda *_: Encoders),
    ):
        wan.generate.embeddings(job, {"text": __file__, "vision": __file__}, clip)  # only looked at for their age
    return shown["image"], "|".join([*shown["texts"], f"crop {shown['crop']}"])
