"""The error on clips that stay the same, at fixed noise: in the holes, where something was seen, and over all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from ..wan.backbone import WAN21_I2V
from .cache import VALIDATION, Cache, CachedClip, load_sample, load_seen
from .draws import stream
from .model import Wan, adapter_off
from .objective import LEVELS, noisy, tables, velocity
from .ranks import Ranks
from .step import predict

SIGMAS = (0.36, 0.56, 0.68, 0.77, 0.83, 0.88, 0.92, 0.95, 0.98)
"""The deciles of what the published objective draws."""
Region = Literal["all", "seen", "holes"]
REGIONS: tuple[Region, ...] = get_args(Region)


@dataclass(frozen=True)
class Validation:
    """Mean squared error of the velocity over clips and levels.

    Attributes:
        adapter: by region, with the adapter; None where there is no such region.
        base: the same of the frozen network.
    """

    adapter: dict[Region, float | None]
    base: dict[Region, float | None]


def validation_clips(cache: Cache, count: int) -> tuple[CachedClip, ...]:
    """The first clips of the split "validation", or of all where there is none."""
    return (cache.split(VALIDATION) or cache.clips)[:count]


@torch.no_grad()
def validate(wan: Wan, cache: Cache, clips: tuple[CachedClip, ...], seed: int, ranks: Ranks) -> Validation:
    """Measure; the clips are shared out over the ranks, which all learn the result.

    Args:
        wan: with an adapter.
        cache: of the clips.
        clips: what is measured on, with their first mask.
        seed: of the noise, which is the same in every call.
        ranks: all of them call this together.
    """
    sums = torch.zeros(2, len(REGIONS), 2, dtype=torch.float64)
    rounds = -(-len(clips) // ranks.count)
    for number in range(ranks.rank, rounds * ranks.count, ranks.count):
        # All ranks go through the network equally often: where its weights are spread, none can stay away.
        counts = number < len(clips)
        clip = clips[number if counts else 0]
        sample = load_sample(cache, clip, 0).to(ranks.device)
        regions = _regions(load_seen(cache, clip, 0), clip.shape).to(ranks.device)
        for place, sigma in enumerate(SIGMAS):
            index = int((tables().sigma - sigma).abs().argmin())
            draws = stream(seed, number * len(SIGMAS) + place, "validation")
            shape = tuple(sample.target.shape)
            noise = torch.from_numpy(draws.standard_normal(shape, dtype="float32")).to(ranks.device)
            level = float(tables().sigma[index])
            latent = noisy(sample.target, noise, level)
            error = (
                (predict(wan, sample, latent, level * LEVELS).float() - velocity(sample.target, noise)).square().mean(0)
            )
            with adapter_off(wan):
                bare = predict(wan, sample, latent, level * LEVELS).float() - velocity(sample.target, noise)
            for row, values in enumerate((error, bare.square().mean(0))):
                for column, region in enumerate(regions):
                    sums[row, column, 0] += counts * float(values[region].sum())
                    sums[row, column, 1] += counts * int(region.sum())
    sums = ranks.sum(sums.to(ranks.device))
    adapter, base = (_means(row) for row in sums.tolist())
    return Validation(adapter, base)


def _means(sums: list[list[float]]) -> dict[Region, float | None]:
    return {region: (total / count if count else None) for region, (total, count) in zip(REGIONS, sums)}


def _regions(seen: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """(3, F, H, W) bool in latents: everything, mostly seen, mostly hole."""
    step, side = WAN21_I2V.time_stride, WAN21_I2V.space_stride
    share = functional.avg_pool2d(seen[:, None].float(), side)[:, 0]
    groups = [share[:1], *share[1:].split(step)]
    mostly = torch.stack([group.mean(0) for group in groups]) >= 0.5
    assert mostly.shape == shape
    return torch.stack([torch.ones_like(mostly), mostly, ~mostly])
