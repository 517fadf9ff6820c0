"""CoTracker3, offline: all points and frames at once, both ways from where the points are given.

Its pictures are 0..255 and its pixel centres at whole numbers (``cotracker/predictor.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import nn

from ...errors import Cancelled
from .learned import read_weights
from .tracks import Tracker, Tracks

WINDOW = 60
"""Frames that the published offline weights look at together."""


def build(module: ModuleType, weights: Path) -> nn.Module:
    """The network with its weights."""
    predictor = module.CoTrackerPredictor(checkpoint=None, offline=True, v2=False, window_len=WINDOW)
    predictor.model.load_state_dict(read_weights(weights))
    return predictor


def follower(network: nn.Module, device: torch.device) -> Tracker:
    """The `Tracker`."""

    @torch.no_grad()
    def track(frames: np.ndarray, points: np.ndarray, start: int, cancel: Callable[[], bool] | None = None) -> Tracks:
        if cancel is not None and cancel():
            raise Cancelled
        video = torch.from_numpy(frames).to(device).permute(0, 3, 1, 2)[None].float()
        places = torch.from_numpy(points.astype(np.float32)).to(device) - 0.5
        queries = torch.cat([torch.full_like(places[:, :1], start), places], dim=1)[None]
        path, seen = network(video, queries=queries, backward_tracking=True)
        return Tracks((path[0].float() + 0.5).cpu().numpy(), seen[0].bool().cpu().numpy())

    return track
