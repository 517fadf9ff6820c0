"""Ways to carry a clip with depth to other cameras, from the same depth along the same cameras.

``points`` and ``visible only`` are our readings of the paper's "w/o DW-Mesh", which it does not define.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from ...camera import Intrinsics, invert_pose
from ...errors import EX4DError
from ...holes.draft_fill import draft_fill
from ...mesh import STYLES, DWMesh, Style, build_dw_mesh, unproject
from ...published import BORDER_DEPTH
from ...render import render_color_mask
from ...render.open_mesh import render_open_mesh
from ...trajectory import Trajectory
from ...video import load_video
from .cases import Filmed

Cancel = Callable[[], bool] | None
NEAR = 1e-3
SPLAT_SHARPNESS = 50.0
"""By which splats prefer what is near: weights fall by exp(50 x) over the share x of the frame's logarithmic depth range."""


@dataclass(frozen=True, eq=False)
class Shown:
    """What a method shows along a path.

    Attributes:
        color: (T, H, W, 3) uint8, black in holes.
        seen: (T, H, W) bool; None where the method completes everything.
        depth: (T, H, W) float32 of what is shown, 0 in holes; None where the method has none.
    """

    color: Tensor
    seen: Tensor | None
    depth: Tensor | None


Method = Callable[[Filmed, Trajectory, Cancel], Shown]


def watertight(source: Filmed, path: Trajectory, cancel: Cancel, *, style: Style) -> Shown:
    """The DW-Mesh in one of our styles."""
    color, mask, depth = render_color_mask(
        _mesh(source, style, cancel), path, keep_first_frame=False, out_dtype="uint8", cancel=cancel
    )
    return Shown(color, mask > 0, depth)


def visible_only(source: Filmed, path: Trajectory, cancel: Cancel) -> Shown:
    """The same faces in paper style, of which only the visible ones are there: holes let through what lies behind."""
    color, mask, depth = render_open_mesh(_mesh(source, "paper", cancel), path, cancel=cancel)
    return Shown(color, mask > 0, depth)


def draft(source: Filmed, path: Trajectory, cancel: Cancel) -> Shown:
    """The DW-Mesh in paper style with its holes filled without a model."""
    shown = watertight(source, path, cancel, style="paper")
    assert shown.seen is not None
    return Shown(draft_fill(shown.color, shown.seen, shown.depth, cancel=cancel), None, None)


def points(source: Filmed, path: Trajectory, cancel: Cancel) -> Shown:
    """Every source pixel as one point of one pixel, the nearest in front."""
    return _stacked(source, path, cancel, _point_frame)


def splats(source: Filmed, path: Trajectory, cancel: Cancel) -> Shown:
    """Forward splatting, as tools of TrajectoryCrafter's kind do it: every pixel shared among four, near ones preferred.

    Source: softmax splatting (Niklaus and Liu 2020) with logarithmic depth as its importance; a pixel with any share is seen.
    """
    return _stacked(source, path, cancel, _splat_frame)


METHODS: dict[str, Method] = {
    **{style: partial(watertight, style=style) for style in STYLES},
    "visible only": visible_only,
    "points": points,
    "splats": splats,
    "draft fill": draft,
}


def finished_videos(folder: Path, case: str, span: str, like: Filmed) -> Shown:
    """A clip of another program, ``<case>_<range>.mp4`` in a folder.

    Raises:
        EX4DError: not there, unreadable, or of another length or size.
    """
    frames = load_video(folder / f"{case}_{span}.mp4").frames
    if frames.shape != like.rgb.shape:
        raise EX4DError(
            f"'{case}_{span}.mp4' in '{folder}' is {tuple(frames.shape[:3])} (frames, height, width); the benchmark is "
            f"{tuple(like.rgb.shape[:3])}."
        )
    return Shown(frames, None, None)


def _mesh(source: Filmed, style: Style, cancel: Cancel) -> DWMesh:
    return build_dw_mesh(
        source.rgb, source.depth, style=style, border_depth=BORDER_DEPTH, source_camera=source.path, cancel=cancel
    )


Placed = tuple[Tensor, Tensor, Tensor, Tensor]
"""Column and row on pixels' centres, depth, and colour (N, 3) 0..255 of what lies in front of the camera."""


def _stacked(
    source: Filmed, path: Trajectory, cancel: Cancel, draw: Callable[[Placed, int, int], tuple[Tensor, Tensor, Tensor]]
) -> Shown:
    from ...errors import Cancelled

    height, width = source.depth.shape[1:]
    assert source.path.intrinsics is not None and path.intrinsics is not None
    frames = []
    for t in range(len(path)):
        if cancel is not None and cancel():
            raise Cancelled
        to_camera = path.world_to_camera[t].astype("f8") @ invert_pose(source.path.world_to_camera[t].astype("f8"))
        placed = _placed(source, t, torch.from_numpy(to_camera), source.path.intrinsics[t], path.intrinsics[t])
        frames.append(draw(placed, height, width))
    color, seen, depth = (torch.stack(parts) for parts in zip(*frames, strict=True))
    return Shown(color, seen, depth)


def _placed(source: Filmed, t: int, to_camera: Tensor, own: Intrinsics, other: Intrinsics) -> Placed:
    world = unproject(source.depth[t], own, 0.5).reshape(-1, 3)
    x, y, z = (world @ to_camera[:3, :3].T + to_camera[:3, 3]).unbind(-1)
    front = z > NEAR
    x, y, z = x[front], y[front], z[front]
    column, row = other.fx * x / z + other.cx - 0.5, other.fy * y / z + other.cy - 0.5
    return column, row, z, source.rgb[t].reshape(-1, 3)[front].double()


def _point_frame(placed: Placed, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    column, row, z, colors = placed
    at, kept = _inside(column.round(), row.round(), height, width)
    z, colors = z[kept], colors[kept]
    order = z.argsort(descending=True)  # where places repeat, the last assignment, the nearest, stays
    color, depth = torch.zeros((height * width, 3), dtype=torch.uint8), torch.zeros(height * width)
    nearest = torch.full((height * width,), torch.inf, dtype=torch.float64).scatter_reduce_(0, at, z, "amin")
    first = z[order] <= nearest[at[order]]
    color[at[order][first]] = colors[order][first].to(torch.uint8)
    depth[at[order][first]] = z[order][first].float()
    return color.view(height, width, 3), (depth > 0).view(height, width), depth.view(height, width)


def _splat_frame(placed: Placed, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    column, row, z, colors = placed
    logarithm = z.log()
    low, high = float(logarithm.min()), float(logarithm.max())
    importance = torch.exp(-SPLAT_SHARPNESS * (logarithm - low) / max(high - low, 1e-9))
    values = torch.cat([colors, z[:, None], torch.ones_like(z)[:, None]], 1)
    total = torch.zeros((height * width, 5), dtype=torch.float64)
    left, top = column.floor(), row.floor()
    for right, below in ((0, 0), (1, 0), (0, 1), (1, 1)):
        share = (1 - (column - left - right).abs()) * (1 - (row - top - below).abs())
        at, kept = _inside(left + right, top + below, height, width)
        total.index_add_(0, at, values[kept] * (share * importance)[kept, None])
    seen = total[:, 4] > 1e-30
    mean = total[:, :4] / total[:, 4:].clamp(min=1e-30) * seen[:, None]
    color = (mean[:, :3] + 0.5).clamp(0, 255).to(torch.uint8)
    color[~seen] = 0
    return color.view(height, width, 3), seen.view(height, width), mean[:, 3].float().view(height, width)


def _inside(column: Tensor, row: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Places in the picture as indices, and which of the points have one."""
    kept = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    return (row[kept] * width + column[kept]).long(), kept
