"""Networks of the smallest width with an adapter, for tests of what they compute."""

from __future__ import annotations

import torch

from ex4d_core.training.model import Geometry, Wan, add_adapter, to_float8, trained
from ex4d_core.wan.backbone import ModelSize


def small(blocks=2, seed=0):
    """A network of the smallest width, with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        wan = Wan(Geometry(ModelSize(128, 64, blocks, 36), text_width=32, clip_width=16))
    add_adapter(wan, rank=2, hidden=8)
    with torch.no_grad():
        for number, value in enumerate(trained(wan).values()):
            value.add_(torch.randn(value.shape, generator=torch.Generator().manual_seed(number)), alpha=0.1)
    return wan


def stored(wan, kind):
    """The network with its frozen weights in another type."""
    ours = {id(value) for value in trained(wan).values()}
    for value in wan.parameters():
        if kind != "float32" and id(value) not in ours:
            value.data = value.data.bfloat16()
    if kind == "float8":
        to_float8(wan.blocks, torch.device("cpu"))
    return wan


def small_inputs(device="cpu"):
    """What it takes."""
    generator = torch.Generator().manual_seed(7)
    shapes = (1, 36, 2, 4, 6), (1, 512, 32), (1, 5, 16), (1, 16, 2, 4, 6), (1, 16, 2, 4, 6)
    x, text, clip, color, mask = (torch.randn(shape, generator=generator).to(device) for shape in shapes)
    return x, torch.tensor([600.0], device=device), text, clip, (color, mask)


def gradients(wan, checkpointing, device="cpu"):
    """Its output, and the gradients of what is trained by name."""
    wan.checkpointing = checkpointing
    wan.zero_grad()
    output = wan(*small_inputs(device))
    output.square().mean().backward()
    return output.detach(), {name: value.grad.clone() for name, value in trained(wan).items()}
