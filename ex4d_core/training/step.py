"""One forward pass of training: a clip as latents, noise mixed in, the network's error."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..wan.backbone import WAN21_I2V
from .model import Wan
from .objective import Level, noisy, squared_error


@dataclass(frozen=True)
class Sample:
    """A clip as the network is trained on it; latents are (16, F, H, W), normalised to Wan's latent space.

    Attributes:
        target: of the clip.
        start: (20, F, H, W): 4 channels of mask, 1 on the first latent frame, then the latent of the first frame followed
            by zeros.
        color: of the clip with its holes black.
        mask: of the mask, seen at +1 and holes at -3.
        text: (tokens, 4096) of the caption, at most 512.
        clip: (257, 1280), CLIP's tokens of the first frame.
        name: for messages.
    """

    target: Tensor
    start: Tensor
    color: Tensor
    mask: Tensor
    text: Tensor
    clip: Tensor
    name: str = ""

    def to(self, device: torch.device | str) -> Sample:
        """All tensors on a device, as float32."""
        parts = self.target, self.start, self.color, self.mask, self.text, self.clip
        return Sample(*(part.to(device, torch.float32) for part in parts), name=self.name)


def error_of(wan: Wan, sample: Sample, noise: Tensor, level: Level) -> Tensor:
    """The squared error of the network's prediction, without the level's weight.

    Args:
        wan: with an adapter.
        sample: on the network's device.
        noise: (16, F, H, W) standard normal.
        level: how much of it is mixed in.

    Returns:
        A float32 scalar; the loss is ``level.weight`` times it.
    """
    predicted = predict(wan, sample, noisy(sample.target, noise, level.sigma), level.timestep)
    return squared_error(predicted, sample.target, noise)


def predict(wan: Wan, sample: Sample, latent: Tensor, timestep: float) -> Tensor:
    """The network's velocity for one clip.

    Args:
        wan: the network.
        sample: on the network's device.
        latent: (16, F, H, W), noisy.
        timestep: 0..1000.

    Returns:
        (16, F, H, W) in the type of the network's weights.
    """
    text = torch.nn.functional.pad(sample.text, (0, 0, 0, WAN21_I2V.text_tokens - len(sample.text)))
    told = torch.tensor([timestep], dtype=torch.float32, device=latent.device)
    prior = sample.color[None], sample.mask[None]
    return wan(torch.cat([latent, sample.start])[None], told, text[None], sample.clip[None], prior)[0]
