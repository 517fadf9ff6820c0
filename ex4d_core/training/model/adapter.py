"""What is trained: low-rank matrices beside the linear layers, and the prior encoder, under the published names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ...errors import EX4DError
from ...wan.backbone import WAN21_I2V
from ...wan.checkpoint import Adapter, check_fits
from ...wan.prior import PriorEncoder
from .layers import Linear
from .wan import Wan

RANK = 16
"""Of the published adapter; its alpha is the same number, so that W' = W + B A."""
HIDDEN = 1024
"""Channels inside the published prior encoder."""


def add_adapter(wan: Wan, *, rank: int = RANK, hidden: int = HIDDEN, seed: int = 0) -> None:
    """Freeze the network and give it an adapter that changes nothing yet.

    A is kaiming-uniform and B zero; the prior encoder has torch's default initialisation and a patch embedding of zeros.
    The adapter is float32, whatever the network is.

    Args:
        wan: changed in place.
        rank: of the low-rank matrices, >= 1.
        hidden: channels inside the prior encoder.
        seed: of the initialisation; the same on every machine and in every process.

    Raises:
        EX4DError: a rank or a width that is not positive.
    """
    if rank < 1 or hidden < 1:
        raise EX4DError(f"An adapter has a rank and a prior width of at least 1, got {rank} and {hidden}.")
    device = wan.patch_embedding.weight.device
    wan.requires_grad_(False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for layer in adapted_layers(wan):
            layer.adapt(rank)
            layer.lora_A.to(device)
            layer.lora_B.to(device)
        prior = PriorEncoder(WAN21_I2V.latent_channels, hidden, wan.geometry.size.dim)
    for value in prior.latent_patch_embedding.parameters():
        nn.init.zeros_(value)
    wan.prior = prior.to(device)


def adapted_layers(wan: Wan) -> list[Linear]:
    """The layers that carry low-rank matrices, block by block in the published order."""
    return [block.get_submodule(name) for block in wan.blocks for name in WAN21_I2V.block_modules]  # type: ignore[misc]


@contextmanager
def adapter_off(wan: Wan) -> Iterator[None]:
    """Within, the network is the frozen base: without low-rank matrices, and whatever prior it is given is left out."""
    layers, prior = adapted_layers(wan), wan.prior
    try:
        wan.prior = None
        for layer in layers:
            layer.adapting = False
        yield
    finally:
        wan.prior = prior
        for layer in layers:
            layer.adapting = True


def trained(wan: Wan) -> dict[str, nn.Parameter]:
    """Name in the adapter's file -> parameter, in the published order: all blocks, then the prior encoder."""
    named = dict(wan.named_parameters())
    names = [
        f"blocks.{block}.{module}.{side}.default.weight"
        for block in range(len(wan.blocks))
        for module in WAN21_I2V.block_modules
        for side in ("lora_A", "lora_B")
    ]
    return {name: named[name] for name in names} | dict(prior_of(wan).named_parameters())


def prior_of(wan: Wan) -> PriorEncoder:
    """The prior encoder of a network that has an adapter."""
    if wan.prior is None:
        raise RuntimeError("the network has no adapter; add_adapter gives it one")
    return wan.prior


def adapter_state(wan: Wan) -> dict[str, Tensor]:
    """The trained tensors as a file holds them: name -> float32 on the CPU, copied."""
    return {name: value.detach().to("cpu", torch.float32, copy=True) for name, value in trained(wan).items()}


def set_adapter(wan: Wan, adapter: Adapter) -> None:
    """Continue from an adapter that exists.

    Args:
        wan: a network with an adapter of the same rank and prior width.
        adapter: what ``load_adapter`` read.

    Raises:
        EX4DError: an adapter for another network, an incomplete one, or one of another rank or prior width.
    """
    check_fits(adapter, wan.geometry.size)
    state = adapter.state_dict()
    wanted = {name: tuple(value.shape) for name, value in trained(wan).items()}
    wrong = [name for name in wanted if name not in state or tuple(state[name].shape) != wanted[name]]
    if wrong or len(state) != len(wanted):
        rank, hidden = wanted["blocks.0.self_attn.q.lora_A.default.weight"][0], wanted["latent_encoder.0.weight"][0]
        raise EX4DError(
            f"{adapter.summary()}; a complete adapter of rank {rank} with a prior encoder {hidden} wide is wanted here. "
            "Set the run's rank and prior width to the file's, or start anew."
        )
    copy_state(trained(wan), state)


@torch.no_grad()
def copy_state(parameters: Mapping[str, nn.Parameter], state: Mapping[str, Tensor]) -> None:
    """Values into parameters of the same names and shapes, wherever they lie."""
    for name, value in parameters.items():
        value.copy_(state[name])
