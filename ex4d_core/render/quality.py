"""How well each pixel of a render was seen: angle, distance and resolution in one number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..camera import Intrinsics
from ..machine.buffers import empty
from ..mesh import DWMesh
from ..trajectory import Trajectory, relative_to_source
from .choose import BackendChoice
from .color_mask import default_range, render_color_mask, shown_frames, source_along, with_lenses

TOGETHER = 4
"""Frames rendered at once, at least one for every core of a small machine."""
SMOOTHED = 5
"""Box, in source pixels, over which the measure is averaged: noise of the depth stretches single faces."""


def seen_quality(
    mesh: DWMesh,
    trajectory: Trajectory,
    *,
    size: tuple[int, int] | None = None,
    backend: BackendChoice = "auto",
    device: torch.device | str | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Tensor:
    """How well the source saw what each pixel of a render shows.

    The measure is how many source pixels there are for one pixel of the picture, along the direction of which there are
    fewest: 1 where the picture shows no more than the source did, less where a surface was filmed at a steep angle or from
    farther away and is stretched now. The mesh is rendered once more with that measure as its colour.

    Args:
        mesh: that was rendered.
        trajectory: along which it was rendered.
        size: (width, height) of the render; None = the mesh's.
        backend: as for `render_color_mask`.
        device: as for `render_color_mask`.
        progress: called with (frames done, frames).
        cancel: polled at least every second; True raises Cancelled.

    Returns:
        (T, H, W) float32 0..1; 1 where the mesh's own frame shows nothing, since nothing is known of that pixel.

    Raises:
        EX4DError, Cancelled: as `render_color_mask`.
    """
    shown = shown_frames(trajectory, mesh)
    lensed, source = with_lenses(trajectory, mesh), source_along(trajectory, mesh)
    poses = relative_to_source(lensed, source)
    width, height = size or (mesh.width, mesh.height)
    near, far = default_range(mesh)
    result = empty((len(shown), height, width), torch.float32, mesh.device if device is None else torch.device(device))
    for first in range(0, len(shown), TOGETHER):
        numbers = range(first, min(first + TOGETHER, len(shown)))
        part = mesh.part([shown[t] for t in numbers])
        assert lensed.intrinsics is not None
        lenses = [lensed.intrinsics[t].fitted(width, height) for t in numbers]
        levels = torch.stack([_vertex_quality(part, at, poses[t], lenses[at]) for at, t in enumerate(numbers)])
        colors = (levels * 255).round_().to(torch.uint8)[..., None].expand(-1, -1, -1, 3)
        drawn, seen, _ = render_color_mask(
            replace(part, rgb=colors.contiguous()),
            replace(lensed.part(list(numbers)), shown=None),  # the mesh's part has the frames in this order
            size=(width, height),
            backend=backend,
            device=device,
            keep_first_frame="auto" if first == 0 else False,
            near=near,
            far=far,
            cancel=cancel,
        )
        result[first : numbers[-1] + 1] = torch.where(seen > 0, drawn[..., 0], 1.0)
        if progress is not None:
            progress(numbers[-1] + 1, len(shown))
    return result


def _vertex_quality(mesh: DWMesh, t: int, source_to_camera: np.ndarray, lens: Intrinsics) -> Tensor:
    """The measure at each vertex of a frame, (H, W) float32 0..1."""
    pose = torch.from_numpy(source_to_camera).float().to(mesh.device)
    points = mesh.vertices_in_camera(t)[: mesh.height * mesh.width] @ pose[:3, :3].T + pose[:3, 3]
    behind = points[:, 2] <= 0
    depth = torch.where(behind, 1.0, points[:, 2])
    place = torch.stack([lens.fx * points[:, 0] / depth, lens.fy * points[:, 1] / depth], -1)
    place = place.reshape(mesh.height, mesh.width, 2)
    down, right = _step(place, 0), _step(place, 1)
    # The larger singular value of the map from source pixels to pixels of the picture.
    total = down.square().sum(-1) + right.square().sum(-1)
    area = down[..., 0] * right[..., 1] - down[..., 1] * right[..., 0]
    stretch = (total + (total.square() - 4 * area.square()).clamp_(min=0).sqrt()) / 2
    quality = stretch.clamp_(min=1).rsqrt() * ~behind.reshape(mesh.height, mesh.width)
    box = {"kernel_size": SMOOTHED, "stride": 1, "padding": SMOOTHED // 2, "count_include_pad": False}
    return F.avg_pool2d(quality[None, None], **box)[0, 0]


def _step(place: Tensor, axis: int) -> Tensor:
    """How far a vertex lies from the nearer of its two neighbours along an axis: across an edge there is no surface."""
    ahead = place.diff(dim=axis)
    first, last = ahead.narrow(axis, 0, 1), ahead.narrow(axis, ahead.shape[axis] - 1, 1)
    before, after = torch.cat([first, ahead], axis), torch.cat([ahead, last], axis)
    nearer = before.square().sum(-1, keepdim=True) < after.square().sum(-1, keepdim=True)
    return torch.where(nearer, before, after)
