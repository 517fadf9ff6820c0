"""TAPIR and BootsTAPIR: all frames at once, from a frame to both ends.

Its pictures are -1..1 at 256 x 256, its queries (frame, y, x), its tracks (x, y), pixel centres at +0.5; a point is seen where it
is neither occluded nor far off with a probability above one half (``tapnet/torch/tapir_model.py`` and its README).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ...errors import Cancelled
from .learned import read_weights
from .tracks import Tracker, Tracks

SIDE = 256


def build(module: ModuleType, weights: Path) -> nn.Module:
    """The network with its weights; BootsTAPIR's have more convolutions and one level more than TAPIR's."""
    state = read_weights(weights)
    boots = any(name.startswith("extra_convs.") for name in state)
    network = module.TAPIR(pyramid_level=int(boots), extra_convs=boots)
    network.load_state_dict(state)
    return network


def small(frames: np.ndarray, device: torch.device) -> Tensor:
    """(T, H, W, 3) uint8 to (1, T, 256, 256, 3) in -1..1."""
    pictures = torch.from_numpy(frames).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
    sized = functional.interpolate(pictures, (SIDE, SIDE), mode="bilinear", align_corners=False, antialias=True)
    return sized.permute(0, 2, 3, 1)[None].contiguous()


def scale_of(frames: np.ndarray) -> np.ndarray:
    """(x, y) pixels of the clip for one of the network's."""
    return np.array([frames.shape[2], frames.shape[1]], dtype=np.float32) / SIDE


def follower(network: nn.Module, device: torch.device) -> Tracker:
    """The `Tracker`."""

    @torch.no_grad()
    def track(frames: np.ndarray, points: np.ndarray, start: int, cancel: Callable[[], bool] | None = None) -> Tracks:
        if cancel is not None and cancel():
            raise Cancelled
        scale = scale_of(frames)
        places = torch.from_numpy((points / scale).astype(np.float32)).to(device)
        queries = torch.cat([torch.full_like(places[:, :1], start), places.flip(1)], dim=1)[None]
        out = network(small(frames, device), queries)
        there = (1 - out["occlusion"][0].sigmoid()) * (1 - out["expected_dist"][0].sigmoid())
        path = out["tracks"][0].float().permute(1, 0, 2).cpu().numpy() * scale
        return Tracks(path, (there > 0.5).T.cpu().numpy())

    return track
