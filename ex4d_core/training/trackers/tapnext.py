"""TAPNext and TAPNext++: one frame after the other, with a state.

Its pictures are -1..1 at 256 x 256, its queries (frame, y, x), its tracks (y, x), pixel centres at +0.5; a point is seen where
its logit is positive (``tapnet/tapnext/tapnext_torch.py``). It looks forwards only: the way back is the clip turned round.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import nn

from ...errors import Cancelled
from .learned import read_weights
from .tapir import SIDE, scale_of, small
from .tracks import Tracker, Tracks, both_ways

PREFIX = "tapnext."
"""Of names in files of the trainer."""


def build(module: ModuleType, weights: Path) -> nn.Module:
    """The network with its weights, of the published .npz or of a .pt."""
    network = module.TAPNext(image_size=(SIDE, SIDE))
    if weights.suffix == ".npz":
        from importlib import import_module

        return import_module(f"{module.__name__}_utils").restore_model_from_jax_checkpoint(network, str(weights))
    network.load_state_dict({name.removeprefix(PREFIX): value for name, value in read_weights(weights).items()})
    return network


def follower(network: nn.Module, device: torch.device) -> Tracker:
    """The `Tracker`."""

    @torch.no_grad()
    def forwards(frames: np.ndarray, points: np.ndarray, cancel: Callable[[], bool] | None) -> Tracks:
        scale = scale_of(frames)
        places = torch.from_numpy((points / scale).astype(np.float32)).to(device)
        queries = torch.cat([torch.zeros_like(places[:, :1]), places.flip(1)], dim=1)[None]
        state, path, seen = None, [], []
        for t in range(len(frames)):
            if cancel is not None and cancel():
                raise Cancelled
            picture = small(frames[t : t + 1], device)
            given = {"query_points": queries} if state is None else {"state": state}
            there, _, visible, state = network(video=picture, **given)
            path.append(there[0, 0].flip(-1).float().cpu().numpy() * scale)
            seen.append((visible[0, 0, :, 0] > 0).cpu().numpy())
        return Tracks(np.stack(path).astype(np.float32), np.stack(seen))

    return partial(both_ways, forwards)
