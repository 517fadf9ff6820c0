"""What a run will take, from the sizes alone: memory by part, and arithmetic a step."""

from __future__ import annotations

from dataclasses import dataclass

from ..wan.backbone import WAN21_I2V
from .config import RunConfig
from .model.geometry import Geometry

GIB = 2**30
CLIP_TOKENS = 257
REACHED = 365e12
"""Useful operations a second of one H200 with compiled blocks and published numerics, 14B, 49 frames of 512x512; measured."""
WORKSPACE = 2 * GIB
"""Context, workspaces and fragmentation on a GPU; a rule of thumb."""


def tokens_of(shape: tuple[int, int, int]) -> int:
    """Of a video whose latents are (F, H, W)."""
    return shape[0] * shape[1] * shape[2] // (WAN21_I2V.patch[1] * WAN21_I2V.patch[2])


@dataclass(frozen=True)
class Estimate:
    """Of one sample on one device.

    Attributes:
        tokens: of the video.
        trained: numbers that are trained.
        memory: part -> bytes, on the device.
        waiting: bytes in the computer's memory: streamed weights, and inputs of blocks that are offloaded.
        flops: of a step of one sample that count: forward, and backward without gradients of frozen weights.
        executed: those and what is computed again.
    """

    tokens: int
    trained: int
    memory: dict[str, int]
    waiting: int
    flops: float
    executed: float

    @property
    def total(self) -> int:
        """Bytes."""
        return sum(self.memory.values())


def estimate(geometry: Geometry, shape: tuple[int, int, int], config: RunConfig, *, processes: int = 1) -> Estimate:
    """Memory and arithmetic for latents of ``shape`` (F, H, W).

    Frozen weights that are spread over ``processes`` are held in parts, and two blocks at a time whole. Activations are an
    upper estimate: what a block keeps is counted in values of its width, in the type it is kept in.
    """
    size = geometry.size
    tokens = tokens_of(shape)
    context = WAN21_I2V.text_tokens + CLIP_TOKENS
    dim, ffn = size.dim, size.ffn_dim
    linear = 2 * (tokens * (6 * dim * dim + 2 * dim * ffn) + 2 * context * dim * dim)
    among_tokens, to_context = 4 * tokens * tokens * dim, 4 * tokens * context * dim
    attention = among_tokens + to_context
    forward = size.blocks * (linear + attention)
    # Frozen weights need no gradients of their own. Attention's backward is twice its forward, and its kernels compute the
    # forward's scores once more.
    backward = size.blocks * (linear + 2 * attention)
    scores = size.blocks * attention / 2
    again = size.blocks * {
        "off": 0,
        "attention": linear + to_context,
        "projection": linear + to_context - 2 * tokens * dim * dim,
    }.get(config.model.checkpointing, linear + attention)
    if config.model.compiled and not config.model.streamed and config.model.checkpointing not in ("off", "offloaded"):
        again -= size.blocks * 2 * tokens * dim * ffn  # nothing asks for the last layer's result
    rank, width = config.model.rank, config.model.prior_width
    lora = size.blocks * rank * (8 * 2 * dim + 2 * (dim + ffn))
    prior = 2 * WAN21_I2V.latent_channels * width + 2 * width * width + 3 * width + 4 * width * dim + dim
    one = 10 * dim * dim + 2 * dim * ffn
    number, stream = (4 if kind == "float32" else 2 for kind in (config.model.precision, config.model.residual))
    stored = one if config.model.precision == "float8" else one * number
    block = tokens * ((11 * dim + 2 * ffn) * number + 5 * dim * stream)
    kept = {"off": size.blocks * block, "offloaded": 2 * tokens * dim * stream}.get(
        config.model.checkpointing, size.blocks * tokens * dim * stream
    )
    kept += {"attention": 1, "projection": 2}.get(config.model.checkpointing, 0) * size.blocks * tokens * dim * number
    held = size.blocks * stored + 6 * dim * dim * number
    streamed = min(config.model.streamed, size.blocks)
    waiting = streamed * stored + (
        size.blocks * tokens * dim * stream if config.model.checkpointing == "offloaded" else 0
    )
    if config.model.sharded and processes > 1:
        held = held // (config.model.shard_group or processes) + 2 * held // size.blocks
    elif streamed:
        held -= (streamed - 2) * stored
    memory = {
        "frozen weights": held,
        "adapter, its gradients and moments": (16 + (4 if config.optimiser.ema else 0)) * (lora + prior),
        "kept for the backward pass": kept,
        "one block at work": 2 * block + (one * number if config.model.precision == "float8" else 0),
        "context and workspaces": WORKSPACE,
    }
    return Estimate(tokens, lora + prior, memory, waiting, forward + backward, forward + backward + scores + again)
