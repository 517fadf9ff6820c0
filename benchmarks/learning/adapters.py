"""Adapters trained on the frozen base with masks of one kind; and films that a network makes of what other cameras see."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ex4d_core.training.model import Wan, adapter_state, add_adapter, trained
from ex4d_core.training.objective import LEVELS, tables
from ex4d_core.training.optimiser import make_optimiser
from ex4d_core.wan.schedule import sigmas

from .base import errors, make_base, told
from .codec import Codec, as_values
from .holes import RANDOM, RENDERING, TRACKING
from .recorded import recorded

KINDS = {"mixed": (0.5, 0.4, 0.1), "no tracking": (1, 0, 0), "no rendering": (0, 1, 0), "random": None}
"""Name -> shares of rendering masks, tracking masks, and both laid over each other; the first are the defaults of ``masks``."""
PRIOR_WIDTH, RANK = 256, 16
SAMPLER_STEPS = 25


@dataclass(frozen=True)
class Plan:
    """How an adapter is trained.

    Attributes:
        steps: of the optimiser.
        batch: clips in each.
        rate: its height; it falls to nothing over the last third.
        objective: "published" or "unweighted".
    """

    steps: int
    batch: int
    rate: float
    objective: str


def condition(codec: Codec, frames: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """Latents of colour, black in holes, and of the mask, +1 seen and -3 hole; frames (..., T, H, W, 3) uint8."""
    shown = seen[..., None]
    color = torch.where(shown, as_values(frames), -1.0)
    mask = torch.where(shown, 1.0, -3.0).expand_as(color)
    return codec.encode(color), codec.encode(mask)


def load_base(file: Path, device: str, *, compiled: bool) -> tuple[Wan, Codec]:
    """The frozen base as training has it, weights in bfloat16 on a GPU, and its codec."""
    kept = torch.load(file, map_location=device, weights_only=True)
    wan = make_base(kept["width"], kept["blocks"])
    wan.load_state_dict(kept["state"])  # saved in bfloat16
    wan = wan.to(device, torch.bfloat16 if device.startswith("cuda") else torch.float32)
    add_adapter(wan, rank=RANK, hidden=PRIOR_WIDTH)
    if compiled:
        for block in wan.blocks:
            block.compile()
    return wan, Codec(kept["mean"], kept["basis"], kept["scale"])


@torch.no_grad()
def begin_anew(wan: Wan, seed: int) -> None:
    """The adapter's first values, into the tensors that it has: what was compiled for them stays."""
    fresh = make_base(wan.geometry.size.dim, len(wan.blocks))
    add_adapter(fresh, rank=RANK, hidden=PRIOR_WIDTH, seed=seed)
    state = adapter_state(fresh)
    for name, value in trained(wan).items():
        value.copy_(state[name])


def chosen(masks: Tensor, kind: str, draws: torch.Generator) -> Tensor:
    """(B, T, H, W) of (B, masks, T, H, W): for each clip one of the kind."""
    count, every = len(masks), torch.arange(len(masks), device=masks.device)

    def one_of(where: slice) -> Tensor:
        picked = torch.randint(where.start, where.stop, (count,), generator=draws, device=masks.device)
        return masks[every, picked]

    shares = KINDS[kind]
    if shares is None:
        return one_of(RANDOM)
    number = torch.rand(count, generator=draws, device=masks.device).view(-1, 1, 1, 1)
    rendering, tracking = one_of(RENDERING), masks[:, TRACKING]
    mask = torch.where(number >= shares[0] + shares[2], tracking, rendering & tracking)
    return torch.where(number < shares[0], rendering, mask)


def train(wan: Wan, codec: Codec, clips: dict[str, Tensor], kind: str, seed: int, plan: Plan) -> list[float]:
    """A fresh adapter on the frozen network; returns the mean unweighted error of each tenth of the steps."""
    device = clips["frames"].device
    weight = tables().weight.to(device) if plan.objective == "published" else torch.ones(LEVELS, device=device)
    begin_anew(wan, seed)
    optimiser = make_optimiser(trained(wan), learning_rate=plan.rate)
    draws = torch.Generator(device).manual_seed(seed)

    def step() -> Tensor:
        number = torch.randint(len(clips["frames"]), (plan.batch,), generator=draws, device=device)
        index = torch.randint(LEVELS, (plan.batch,), generator=draws, device=device)
        frames = clips["frames"][number]
        latent = codec.encode(as_values(frames))
        noise = torch.randn(latent.shape, generator=draws, device=device)
        prior = condition(codec, frames, chosen(clips["masks"][number], kind, draws))
        found = errors(wan, latent, noise, index, prior)
        (found * weight[index]).mean().backward()
        return found.detach().mean()

    play = recorded(step, trained(wan).values(), draws)
    parts: list[list[Tensor]] = [[] for _ in range(10)]
    for number in range(plan.steps):
        parts[10 * number // plan.steps].append(play().clone())
        # The published rate is constant; a run of some hundred steps needs its end calmed.
        height = min(1.0, (number + 1) / 20) * min(1.0, 3 * (1 - number / plan.steps))
        optimiser.param_groups[0]["lr"] = plan.rate * height
        optimiser.step()
    for value in trained(wan).values():
        value.grad = None
    return [float(torch.stack(part).mean()) for part in parts if part]


@torch.no_grad()
def films(wan: Wan, codec: Codec, frames: Tensor, prior: tuple[Tensor, Tensor] | None, *, batch: int = 24) -> Tensor:
    """What the network makes of clips whose first frame is that of ``frames`` (N, T, H, W, 3) uint8; the same noise always.

    Not compiled: another size and no gradients would be compiled anew.

    Returns:
        (N, T, H, W, 3) uint8.
    """
    made = []
    levels = sigmas(SAMPLER_STEPS).tolist()
    with torch.compiler.set_stance("force_eager"):
        for n in range(0, len(frames), batch):
            latent = codec.encode(as_values(frames[n : n + batch]))
            start, text, tokens = told(latent)
            given = None if prior is None else tuple(part[n : n + batch] for part in prior)
            draws = torch.Generator(latent.device).manual_seed(n)
            x = torch.randn(latent.shape, generator=draws, device=latent.device)
            for level, following in itertools.pairwise(levels):
                moment = torch.full((len(x),), 1000 * level, device=x.device)
                found = wan(torch.cat([x, start], dim=1), moment, text, tokens, given)
                x = x + (following - level) * found.float()
            made.append(((codec.decode(x) + 1) * 127.5).round().to(torch.uint8))
    return torch.cat(made)
