"""The base: a small Wan, trained on clips of the scenes' world as an ordinary image-to-video model, and then frozen."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn

from ex4d_core.training.model import Geometry, Wan
from ex4d_core.training.objective import tables, velocity
from ex4d_core.wan.backbone import ModelSize

TEXT, CLIP_SIDE = 16, 4
RATE, WARM_UP, DECAY = 6e-4, 200, 0.999


def make_base(width: int, blocks: int) -> Wan:
    """A network with fresh weights, by Wan's own rules of initialisation."""
    wan = Wan(Geometry(ModelSize(width, 4 * width, blocks, 36), text_width=TEXT, clip_width=16))
    for name, value in wan.named_parameters():
        if name.endswith("modulation"):
            nn.init.normal_(value, std=width**-0.5)
        elif name.startswith(("time_embedding", "text_embedding")) and value.ndim == 2:
            nn.init.normal_(value, std=0.02)
        elif value.ndim >= 2:
            nn.init.xavier_uniform_(value.view(len(value), -1))
        elif name.endswith("bias"):
            nn.init.zeros_(value)
    nn.init.zeros_(wan.head.head.weight)
    return wan


def told(latent: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What an image-to-video network is told of a clip (B, 16, F, h, w): start image, text (none), picture tokens."""
    start = latent.new_zeros(len(latent), 20, *latent.shape[2:])
    start[:, :4, 0] = 1
    start[:, 4:, 0] = latent[:, :, 0]
    tokens = nn.functional.adaptive_avg_pool2d(latent[:, :, 0], CLIP_SIDE).flatten(2).transpose(1, 2)
    return start, latent.new_zeros(len(latent), 1, TEXT), tokens


@cache
def levels(device: torch.device) -> tuple[Tensor, Tensor]:
    """Sigma and timestep of the published table; kept, since a copy at every step would make the processor wait."""
    return tables().sigma.to(device), tables().timestep.to(device)


def errors(
    wan: Wan, latent: Tensor, noise: Tensor, index: Tensor, prior: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """(B,) squared errors of the velocity at levels (B,) of the published table."""
    sigma, timestep = (part[index] for part in levels(latent.device))
    level = sigma.view(-1, 1, 1, 1, 1)
    start, text, tokens = told(latent)
    found = wan(torch.cat([(1 - level) * latent + level * noise, start], dim=1), timestep, text, tokens, prior)
    return (found.float() - velocity(latent, noise)).square().mean((1, 2, 3, 4))


def pretrain(
    wan: Wan, latents: Tensor, seconds: float, batch: int, say: Callable[[str], None], *, compiled: bool
) -> Wan:
    """Train on clips (N, 16, F, h, w) for some seconds, compiling apart; the averaged weights are the base.

    Every noise level counts the same. Rate falls from its height to nothing over the time.
    """
    device = latents.device
    optimiser = torch.optim.AdamW(wan.parameters(), lr=RATE, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    average = [value.detach().clone() for value in wan.parameters()]
    if compiled:
        for block in wan.blocks:
            block.compile()
    draws = torch.Generator(device).manual_seed(0)
    began, step, shown = time.monotonic(), 0, 0.0
    recent: list[Tensor] = []
    while True:
        if step == 3:  # compiled by then
            if device.type == "cuda":
                torch.cuda.synchronize()
            say(f"  first steps took {time.monotonic() - began:.0f} s")
            began = time.monotonic()
        done = (time.monotonic() - began) / seconds if step >= 3 else 0.0
        if done >= 1:
            break
        rate = RATE * min(1.0, (step + 1) / WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * done))
        optimiser.param_groups[0]["lr"] = rate
        number = torch.randint(len(latents), (batch,), generator=draws, device=device)
        index = torch.randint(len(tables().sigma), (batch,), generator=draws, device=device)
        latent = latents[number].float()
        noise = torch.randn(latent.shape, generator=draws, device=device)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            loss = errors(wan, latent, noise, index).mean()
        loss.backward()
        nn.utils.clip_grad_norm_(wan.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        torch._foreach_lerp_(average, list(wan.parameters()), 1 - min(DECAY, step / (step + 10)))
        step += 1
        recent.append(loss.detach())
        if done - shown >= 0.1:
            say(f"  step {step}: error {float(torch.stack(recent).mean()):.4f}")
            shown, recent = done, []
    say(f"  {step} steps of {batch} clips")
    with torch.no_grad():
        for value, mean in zip(wan.parameters(), average, strict=True):
            value.copy_(mean)
    return wan.requires_grad_(False)
