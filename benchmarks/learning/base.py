"""The base: a small Wan, trained on clips of the scenes' world as an ordinary image-to-video model, and then frozen."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn

from ex4d_core.training.model import Geometry, Wan
from ex4d_core.training.objective import LEVELS, tables, velocity
from ex4d_core.wan.backbone import ModelSize

from .recorded import recorded

TEXT, CLIP_SIDE = 16, 4
RATE, WARM_UP, DECAY = 1e-3, 300, 0.999
LOOKS = 20
"""Steps between two looks at the clock."""


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
    weights: list[Tensor] = list(wan.parameters())
    optimiser = torch.optim.AdamW(weights, lr=RATE, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    if compiled:
        for block in wan.blocks:
            block.compile()
    draws = torch.Generator(device).manual_seed(0)

    def step() -> Tensor:
        number = torch.randint(len(latents), (batch,), generator=draws, device=device)
        index = torch.randint(LEVELS, (batch,), generator=draws, device=device)
        latent = latents[number].float()
        noise = torch.randn(latent.shape, generator=draws, device=device)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            error = errors(wan, latent, noise, index).mean()
        error.backward()
        return error.detach()

    began = time.monotonic()
    play = recorded(step, weights, draws)
    say(f"  compiled and recorded in {time.monotonic() - began:.0f} s")
    average = [value.detach().clone() for value in weights]
    total, steps, shown, done = torch.zeros((), device=device), 0, 0, 0.0
    began = time.monotonic()
    while done < 1:
        optimiser.param_groups[0]["lr"] = (
            RATE * min(1.0, (steps + 1) / WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * done))
        )
        total += play()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        torch._foreach_lerp_(average, weights, 1 - min(DECAY, steps / (steps + 10)))
        steps += 1
        if steps % LOOKS == 0:
            value = float(total)  # waits for the device, so the time is right
            done = (time.monotonic() - began) / seconds
            if done * 10 >= shown + 1 or done >= 1:
                say(f"  step {steps}: error {value / LOOKS:.4f}")
                shown = int(done * 10)
            total.zero_()
    say(f"  {steps} steps of {batch} clips, {steps * batch / (time.monotonic() - began):.0f} clips a second")
    with torch.no_grad():
        for value, mean in zip(weights, average, strict=True):
            value.copy_(mean)
            value.grad = None
    return wan.requires_grad_(False)
