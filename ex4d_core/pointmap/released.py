"""The registration that 4DNeX was published with, for comparison only.

It looks for depth, lens and poses at once by 1500 steps of Adam. Two things keep it from finding them: a step moves the focal
length by at most 0.005 pixels, so that it stays near its start; and the rotations start from two equal columns, whose first
gradient (about 1e11) turns every frame by 45 degrees about x and then holds back every later step. On recorded clips with known
truth its depth is 18 to 81 % off and its turns 45 to 49 degrees; `fit` is a hundred times nearer, and faster.

Source: the published 4DNeX code (3DTopia/4DNeX at 1101bc6), as facts about it: parameters, starts, loss, optimiser.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..camera import Intrinsics
from ..errors import Cancelled, EX4DError
from .clip import PointMap
from .fit import FittedCameras

STEPS, RATE = 1500, 5e-3
MOST_FRAMES = 100
FIRST_FOCAL = 1.2
"""Focal lengths at the start: of the picture's width across, and of its height down."""


@dataclass(frozen=True, eq=False)
class ReleasedRegistration:
    """What it ends with.

    Attributes:
        depth: (T, H, W) float32, in the unit cube's unit.
        matrix: (3, 3) float32 lens, for pixel centres at whole numbers.
        rotation: (T, 3, 3) float32, camera to the point map's axes.
        position: (T, 3) float32.
        loss: mean squared distance of a coordinate.
    """

    depth: Tensor
    matrix: Tensor
    rotation: Tensor
    position: Tensor
    loss: float

    def cameras(self) -> FittedCameras:
        """As the fit gives them; pixel centres at +0.5."""
        frames, height, width = self.depth.shape
        fx, fy, cx, cy = (float(self.matrix[at]) for at in ((0, 0), (1, 1), (0, 2), (1, 2)))
        lens = Intrinsics(fx, fy, cx + 0.5, cy + 0.5, width, height)
        spread = (self.loss * 1.5) ** 0.5  # of three coordinates, two lie across the ray
        none = np.zeros((2, frames, 3))
        rotation, position = (values.double().numpy() for values in (self.rotation, self.position))
        return FittedCameras(lens, rotation, position, spread, 0.0, float("nan"), none, none > 0)


def released_registration(
    pointmap: PointMap,
    *,
    steps: int = STEPS,
    device: torch.device | str = "cpu",
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> ReleasedRegistration:
    """Register a point map as published.

    Args:
        pointmap: of "cube" space, at most 100 frames; sky counts like any point, as published.
        steps: of the optimiser.
        device: where it runs; of 49 frames of 720x480 a step holds 1.5 GB.
        progress: called with (steps done, steps).
        cancel: polled at every step.

    Raises:
        EX4DError: another space, or more frames.
        Cancelled: ``cancel`` returned True.
    """
    frames, height, width = pointmap.valid.shape
    if pointmap.space != "cube" or frames > MOST_FRAMES:
        raise EX4DError(
            f"The published registration takes at most {MOST_FRAMES} frames of cube points; got {frames} of "
            f"{pointmap.space} points."
        )
    wanted = pointmap.points.to(device) - torch.tensor([0.5, 0.5, 0.0], device=device)
    depth = wanted.norm(dim=-1).requires_grad_()
    focal = torch.tensor([FIRST_FOCAL * width, FIRST_FOCAL * height], device=device).requires_grad_()
    middle = torch.tensor([width / 2, height / 2], device=device).requires_grad_()
    axes = torch.tensor([1.0, 0.0, 0.0], device=device).repeat(frames, 2).requires_grad_()
    position = torch.zeros((frames, 3), device=device).requires_grad_()
    places = torch.stack(torch.meshgrid(torch.arange(width), torch.arange(height), indexing="xy"), -1).to(wanted)
    adam = torch.optim.Adam([depth, focal, middle, axes, position], lr=RATE)
    loss = wanted.new_zeros(())
    with torch.enable_grad():  # ComfyUI runs nodes without
        for step in range(steps):
            if cancel is not None and cancel():
                raise Cancelled("The published registration was cancelled.")
            rays = torch.nn.functional.pad((places - middle) / focal, (0, 1), value=1.0)
            points = torch.einsum("tij,thwj->thwi", _rotation(axes), depth[..., None] * rays) + position[:, None, None]
            loss = ((points - wanted) ** 2).mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
            if progress is not None:
                progress(step + 1, steps)
    matrix = torch.diag(torch.cat([focal.detach(), focal.new_ones(1).detach()]))
    matrix[:2, 2] = middle.detach()
    depth, matrix, rotation, position = (value.detach().cpu() for value in (depth, matrix, _rotation(axes), position))
    return ReleasedRegistration(depth, matrix, rotation, position, float(loss.detach()))


def _rotation(axes: Tensor) -> Tensor:
    """(T, 3, 3) from two columns (T, 6) made orthonormal."""
    first = torch.nn.functional.normalize(axes[:, :3], dim=-1)
    rest = axes[:, 3:] - (first * axes[:, 3:]).sum(-1, keepdim=True) * first
    second = torch.nn.functional.normalize(rest, dim=-1)
    return torch.stack([first, second, torch.cross(first, second, dim=-1)], -1)
