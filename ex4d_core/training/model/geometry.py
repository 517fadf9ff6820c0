"""The sizes of a Wan network, read from the names and shapes of its tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...errors import EX4DError
from ...wan.backbone import WAN21_I2V, ModelSize, model_size

HEAD_WIDTH = 128
"""Channels of one attention head in every Wan 2.1 network (5120 / 40, 1536 / 12); no tensor tells it."""


@dataclass(frozen=True)
class Geometry:
    """Everything that the module is built from.

    Attributes:
        size: width, feed-forward, blocks and input channels.
        out_channels: of the prediction.
        time_width: values of the sinusoidal embedding of a timestep.
        text_width: values of one text embedding.
        clip_width: values of one CLIP vision token.
    """

    size: ModelSize
    out_channels: int = WAN21_I2V.latent_channels
    time_width: int = 256
    text_width: int = WAN21_I2V.text_width
    clip_width: int = 1280

    @property
    def heads(self) -> int:
        """Attention heads."""
        return self.size.dim // HEAD_WIDTH


def geometry_of(shapes: Mapping[str, Sequence[int]], source: str) -> Geometry:
    """The geometry of an image-to-video Wan with published names and no prefix.

    Args:
        shapes: name -> shape of every tensor.
        source: the file's name, for messages.

    Raises:
        EX4DError: no Wan, no image-to-video one, or one that the adapter's inputs do not fit.
    """
    size = model_size(shapes)
    if size is None:
        raise EX4DError(f"{source} holds no Wan network: it has no patch_embedding.weight and blocks.0.ffn.0.weight.")
    needed = ("head.head.weight", "time_embedding.0.weight", "text_embedding.0.weight", "img_emb.proj.0.weight")
    missing = [name for name in needed if name not in shapes]
    if missing or size.in_channels != WAN21_I2V.in_channels:
        why = f"it has no {missing[0]}" if missing else f"it takes {size.in_channels} input channels"
        raise EX4DError(
            f"{source} is no image-to-video Wan 2.1 ({why}). The adapter is trained on {WAN21_I2V.name} or a Fun InP "
            f"model: {WAN21_I2V.in_channels} input channels and an image embedding."
        )
    if size.dim % HEAD_WIDTH:
        raise EX4DError(f"{source} is {size.dim} wide, which heads of {HEAD_WIDTH} channels do not divide.")
    head, time, text, clip = (tuple(shapes[name]) for name in needed)
    patch = WAN21_I2V.patch
    return Geometry(size, head[0] // (patch[0] * patch[1] * patch[2]), time[1], text[1], clip[0])
