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

from ...errors import Cancelled, EX4DError
from ...holes.draft_fill import draft_fill
from ...mesh import STYLES, DWMesh, Style, build_dw_mesh
from ...published import BORDER_DEPTH
from ...render import render_color_mask
from ...render.open_mesh import render_open_mesh
from ...trajectory import Trajectory
from ...video import load_video
from .cases import Filmed
from .forward import Placed, placed_points, point_frame, splat_frame

Cancel = Callable[[], bool] | None


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
    return _stacked(source, path, cancel, point_frame)


def splats(source: Filmed, path: Trajectory, cancel: Cancel) -> Shown:
    """Forward splatting, as tools of TrajectoryCrafter's kind do it: every pixel shared among four, near ones preferred.

    Source: softmax splatting (Niklaus and Liu 2020) with logarithmic depth as its importance; a pixel with any share is seen.
    """
    return _stacked(source, path, cancel, splat_frame)


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


def _stacked(
    source: Filmed, path: Trajectory, cancel: Cancel, draw: Callable[[Placed, int, int], tuple[Tensor, Tensor, Tensor]]
) -> Shown:
    height, width = source.depth.shape[1:]
    frames = []
    for t in range(len(path)):
        if cancel is not None and cancel():
            raise Cancelled
        frames.append(draw(placed_points(source, path, t), height, width))
    color, seen, depth = (torch.stack(parts) for parts in zip(*frames, strict=True))
    return Shown(color, seen, depth)
