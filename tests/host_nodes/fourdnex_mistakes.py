"""The published run of 4DNeX with one convention broken: the recorded result must notice each of them."""

from __future__ import annotations

import importlib
import os
import sys
from types import SimpleNamespace
from unittest import mock

import comfy.latent_formats
import comfy.samplers
import torch

from .define import TENSOR, TEXT, node
from .wan import recorded

FORMAT = comfy.latent_formats.Wan21()


def modules() -> SimpleNamespace:
    """The modules of 4DNeX as the pack itself has imported them."""
    core = next(name for name in list(sys.modules) if name.endswith(".ex4d_core"))
    plain = {
        name: f"{core}.wan.fourdnex.{name}" for name in ("checkpoint", "condition", "halves", "schedule", "settings")
    }
    names = ("conditioning", "decoding", "patch", "sampling")
    in_host = {name: f"{core}.wan.host.fourdnex.{name}" for name in names}
    solver = {"solver": f"{core}.wan.unipc", "host_solver": f"{core}.wan.host.unipc"}
    return SimpleNamespace(**{name: importlib.import_module(path) for name, path in (plain | in_host | solver).items()})


def encoded(change):
    """Another encoding of the start; ``change`` takes the right function and its arguments."""

    def mistake(wan):
        right = wan.conditioning.encode
        return wan.conditioning, "encode", lambda *given: change(right, *given)

    return mistake


def each_half_alone(encode, vae, images, *rest):
    middle = images.shape[2] // 2
    return torch.cat([encode(vae, half.contiguous(), *rest) for half in images.split(middle, dim=2)], dim=-1)


def scaled_like_points(encode, *given):
    left, right = FORMAT.process_in(encode(*given)).chunk(2, dim=-1)
    return FORMAT.process_out(torch.cat([left, (right + 0.13) / 1.70], dim=-1))


def plane(change):
    """Another plane beside the picture."""

    def mistake(wan):
        right = wan.condition.plane
        return wan.condition, "plane", lambda width, height: change(right(width, height))

    return mistake


def vectors(change):
    def mistake(wan):
        right = wan.patch.Halves
        return wan.patch, "Halves", lambda given: right(change(given))

    return mistake


def lora(factor):
    def mistake(wan):
        right = wan.patch.add_pairs
        return (
            wan.patch,
            "add_pairs",
            lambda model, pairs, source, strength: right(model, pairs, source, factor * strength),
        )

    return mistake


def whole_width(wan):
    def unchanged(self, _module, inputs):
        self.calls += 1
        return inputs

    return wan.patch._Repeating, "__call__", unchanged


def sigmas(change):
    def mistake(wan):
        right = wan.schedule.sigmas
        return wan.schedule, "sigmas", lambda steps, shift=3.0: change(right, steps)

    return mistake


def later_diffusers(right, steps):
    s = torch.linspace(0.999999, 0, steps + 1, dtype=torch.float64)
    return (3 * s / (1 + 2 * s)).float()


def solver(attribute, replacement):
    return lambda wan: (wan.solver.FlowUniPC, attribute, replacement)


def remember_only(self, step, sample, clean):
    self._base, self._clean = sample, [*self._clean[-1:], clean]
    return sample


MISTAKES = {
    "noise: multiplied by the first level": lambda wan: (wan.host_solver, "_noise", lambda model, x, sigma: x),
    "start: halves encoded apart": encoded(each_half_alone),
    "start: normalised twice": encoded(lambda encode, *given: FORMAT.process_in(encode(*given))),
    "start: scaled as points are": encoded(scaled_like_points),
    "start: black after frame 0": lambda wan: (wan.condition, "GREY", 0.0),
    "plane: near at the top": plane(lambda points: torch.cat([points[..., :2], 1 - points[..., 2:]], dim=-1)),
    "plane: grey": plane(lambda points: torch.full_like(points, 0.5)),
    "mask: 1 on the right": lambda wan: (wan.condition, "POINTS_GIVEN", 1.0),
    "mask: 0 on the right": lambda wan: (wan.condition, "POINTS_GIVEN", 0.0),
    "vectors: exchanged": vectors(lambda values: values.flip(0)),
    "vectors: missing": vectors(torch.zeros_like),
    "LoRA: at 1.0": lora(2.0),
    "LoRA: missing": lora(0.0),
    "places: over the whole width": whole_width,
    "timesteps: with fractions": lambda wan: (wan.patch.Halves, "_told", lambda self, timestep: timestep),
    "sigmas: of later diffusers": sigmas(later_diffusers),
    "sigmas: shift 5": sigmas(lambda right, steps: right(steps, 5.0)),
    "solver: Euler": lambda wan: (wan.host_solver, "sampler", lambda: comfy.samplers.sampler_object("euler")),
    "solver: ComfyUI's uni_pc": lambda wan: (wan.host_solver, "sampler", lambda: comfy.samplers.sampler_object("uni_pc")),
    "solver: ComfyUI's uni_pc_bh2": lambda wan: (
        wan.host_solver, "sampler", lambda: comfy.samplers.sampler_object("uni_pc_bh2")
    ),
    "solver: first order": solver("order", lambda self, step: 1),
    "solver: no corrector": solver("corrected", remember_only),
}  # fmt: skip
"""Name -> function of ``modules`` that says what to replace: (object, attribute, replacement)."""
POINTS = {
    "none": lambda left, right: (left, right * 1.70 - 0.13),
    "not scaled": lambda left, right: (left, right),
    "shifted first": lambda left, right: (left, (right - 0.13) * 1.70),
    "both halves": lambda left, right: (left * 1.70 - 0.13, right * 1.70 - 0.13),
}
"""What becomes of a latent's halves before the VAE's own statistics."""


@node(TENSOR, model="MODEL", vae="VAE", positive="CONDITIONING", negative="CONDITIONING", vision="CLIP_VISION_OUTPUT",
      image="IMAGE", folder=TEXT, mistake=([*MISTAKES, "none"],))  # fmt: skip
def EX4DTestHalvesMistake(model, vae, positive, negative, vision, image, folder, mistake):
    """Three steps at cfg 5 from seed 42, normalised, with one mistake in force: files, adapter, start, sampling."""
    wan = modules()

    def three_steps():
        files = [
            os.path.join(folder, "adapter_r8", name) for name in (wan.checkpoint.LORA_FILE, wan.checkpoint.VECTORS_FILE)
        ]
        carrying = wan.patch.add_adapter(model, wan.checkpoint.load_adapter(*files), 1.0)
        start = wan.condition.prepare(image, frames=9, width=96, height=64)
        ready = wan.conditioning.condition(carrying, vae, positive, negative, start, clip_vision=vision)
        return FORMAT.process_in(wan.sampling.sample(ready, wan.settings.Run(steps=3)))

    if mistake == "none":
        return three_steps()
    with mock.patch.object(*MISTAKES[mistake](wan)):
        return three_steps()


@node(TENSOR, folder=TEXT, mistake=([*POINTS, "after the statistics"],))
def EX4DTestPointsMistake(folder, mistake):
    """What the VAE is given of the recorded latent, with one mistake in force."""
    wan, final = modules(), recorded(folder, "cfg5_final", "trajectory")
    samples = FORMAT.process_out(final)
    if mistake == "after the statistics":
        return wan.halves.to_vae_space(samples)
    if mistake == "none":
        return wan.decoding.shown_latent(samples)
    change = POINTS[mistake]
    with mock.patch.object(
        wan.decoding, "to_vae_space", lambda latent: torch.cat(change(*latent.chunk(2, dim=-1)), dim=-1)
    ):
        return wan.decoding.shown_latent(samples)
