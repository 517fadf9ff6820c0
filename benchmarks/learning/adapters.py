"""One adapter for each kind of masks, trained on the frozen base; and films that a network makes of what other cameras see."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ex4d_core.machine.cores import cores
from ex4d_core.training.model import Wan, add_adapter, trained
from ex4d_core.training.objective import tables
from ex4d_core.training.optimiser import make_optimiser
from ex4d_core.wan.schedule import sigmas

from .base import errors, make_base, told
from .codec import Codec, as_values

KINDS = {"mixed": (0.5, 0.4, 0.1), "no tracking": (1, 0, 0), "no rendering": (0, 1, 0), "random": None}
"""Name -> shares of rendering masks, tracking masks, and both laid over each other; the first are the defaults of ``masks``."""
OFF, BLIND = "adapter off", "mixed, all holes"
PRIOR_WIDTH, RANK = 256, 16
SAMPLER_STEPS = 25


@dataclass(frozen=True)
class Job:
    """One process's work: all kinds with one seed.

    Attributes:
        folder: with base.pt, clips.pt, held.pt; results go there.
        seed: of the adapter's initialisation and of every draw.
        steps, batch, rate: of the training.
        objective: "published" or "unweighted".
        device: where.
        compiled: compile blocks for training.
    """

    folder: Path
    seed: int
    steps: int
    batch: int
    rate: float
    objective: str
    device: str
    compiled: bool


def condition(codec: Codec, frames: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """Latents of colour, black in holes, and of the mask, +1 seen and -3 hole; frames (..., T, H, W, 3) uint8."""
    shown = seen[..., None]
    color = torch.where(shown, as_values(frames), -1.0)
    mask = torch.where(shown, 1.0, -3.0).expand_as(color)
    return codec.encode(color), codec.encode(mask)


def load_base(folder: Path, device: str) -> tuple[Wan, Codec]:
    """The frozen base as training has it, weights in bfloat16 on a GPU, and its codec."""
    kept = torch.load(folder / "base.pt", map_location=device, weights_only=True)
    wan = make_base(kept["width"], kept["blocks"])
    wan.load_state_dict(kept["state"])  # saved in bfloat16
    wan = wan.to(device, torch.bfloat16 if device.startswith("cuda") else torch.float32)
    return wan, Codec(kept["mean"], kept["basis"], kept["scale"])


def chosen(masks: Tensor, kind: str, draws: torch.Generator) -> Tensor:
    """(B, T, H, W) of (B, kinds, T, H, W): for each clip a mask of the kind."""
    count, every = len(masks), torch.arange(len(masks), device=masks.device)
    number = torch.rand(count, generator=draws, device=masks.device)
    shares = KINDS[kind]
    if shares is None:
        return masks[every, 2 + (number * (masks.shape[1] - 2)).long()]
    rendering, tracking = number < shares[0], number >= shares[0] + shares[2]
    both = masks[:, :2].all(1)
    picked = torch.where(tracking.view(-1, 1, 1, 1), masks[:, 1], both)
    return torch.where(rendering.view(-1, 1, 1, 1), masks[:, 0], picked)


def train(wan: Wan, codec: Codec, clips: dict[str, Tensor], kind: str, job: Job) -> list[float]:
    """A fresh adapter on the frozen network; returns the mean unweighted error of each tenth of the steps."""
    table = tables()
    weight = table.weight if job.objective == "published" else torch.ones_like(table.weight)
    weight = weight.to(job.device)
    add_adapter(wan, rank=RANK, hidden=PRIOR_WIDTH, seed=job.seed)
    optimiser = make_optimiser(trained(wan), learning_rate=job.rate)
    draws = torch.Generator(job.device).manual_seed(job.seed)
    curve = []
    for step in range(job.steps):
        number = torch.randint(len(clips["frames"]), (job.batch,), generator=draws, device=job.device)
        index = torch.randint(len(weight), (job.batch,), generator=draws, device=job.device)
        frames = clips["frames"][number]
        latent = codec.encode(as_values(frames))
        noise = torch.randn(latent.shape, generator=draws, device=job.device)
        prior = condition(codec, frames, chosen(clips["masks"][number], kind, draws))
        found = errors(wan, latent, noise, index, prior)
        (found * weight[index]).mean().backward()
        # The published rate is constant; a run of some hundred steps needs its end calmed.
        optimiser.param_groups[0]["lr"] = job.rate * min(1.0, (step + 1) / 20) * min(1.0, 3 * (1 - step / job.steps))
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        curve.append(found.detach().mean())
    parts = torch.stack(curve).tensor_split(10)
    return [float(part.mean()) for part in parts if len(part)]


@torch.no_grad()
def films(wan: Wan, codec: Codec, frames: Tensor, prior: tuple[Tensor, Tensor] | None, *, batch: int = 24) -> Tensor:
    """What the network makes of clips whose first frame is that of ``frames`` (N, T, H, W, 3) uint8; the same noise always.

    Returns:
        (N, T, H, W, 3) uint8.
    """
    made = []
    levels = sigmas(SAMPLER_STEPS).tolist()
    for n in range(0, len(frames), batch):
        latent = codec.encode(as_values(frames[n : n + batch]))
        start, text, tokens = told(latent)
        given = None if prior is None else tuple(part[n : n + batch] for part in prior)
        draws = torch.Generator(latent.device).manual_seed(n)
        x = torch.randn(latent.shape, generator=draws, device=latent.device)
        for level, following in itertools.pairwise(levels):
            time_ = torch.full((len(x),), 1000 * level, device=x.device)
            found = wan(torch.cat([x, start], dim=1), time_, text, tokens, given)
            x = x + (following - level) * found.float()
        made.append(((codec.decode(x) + 1) * 127.5).round().to(torch.uint8))
    return torch.cat(made)


def run(job: Job) -> None:
    """Every kind of one seed, one after the other; each name's films and numbers go into a file as soon as they are there."""
    if job.device == "cpu":
        torch.set_num_threads(max(1, cores() // 2))
    began = time.monotonic()
    wan, codec = load_base(job.folder, job.device)
    clips, held = (torch.load(job.folder / f"{name}.pt", map_location=job.device) for name in ("clips", "held"))
    if job.compiled:
        for block in wan.blocks:
            block.compile()
    given = condition(codec, held["color"], held["seen"])
    none = condition(codec, held["color"], torch.zeros_like(held["seen"]))

    def keep(name: str, prior: tuple[Tensor, Tensor] | None, curve: list[float]) -> None:
        made = {"films": plainly(wan, codec, held["truth"], prior), "curve": curve}
        torch.save(made, job.folder / made_file(name, job.seed))
        seconds = time.monotonic() - began
        print(
            f"    seed {job.seed}, {name}, {seconds:.0f} s: {' '.join(f'{value:.3f}' for value in curve)}", flush=True
        )

    if job.seed == 0:
        keep(OFF, None, [])
    for kind in KINDS:
        curve = train(wan, codec, clips, kind, job)
        keep(kind, given, curve)
        if kind == "mixed":
            keep(BLIND, none, [])


def made_file(name: str, seed: int) -> str:
    """Where films are kept."""
    return f"made-{name.replace(' ', '_')}-{seed}.pt"


def plainly(wan: Wan, codec: Codec, frames: Tensor, prior: tuple[Tensor, Tensor] | None) -> Tensor:
    """``films``, not compiled: another size and no gradients would be compiled anew."""
    with torch.compiler.set_stance("force_eager"):
        return films(wan, codec, frames, prior).cpu()
