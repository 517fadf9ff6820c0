"""Panoramas for both eyes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..mesh import DWMesh
from ..render import OutDtype, Projection, check_panorama_memory, render_panorama, shown_frames, with_lenses
from ..trajectory import Trajectory
from .rig import Rig, two_eyes

Seen = tuple[Tensor, Tensor, Tensor]
"""Colour, mask and distance, as `render_panorama` returns them."""


def render_panorama_eyes(
    mesh: DWMesh,
    trajectory: Trajectory,
    rig: Rig,
    *,
    projection: Projection = "180",
    size: tuple[int, int] = (1024, 1024),
    device: torch.device | str | None = None,
    supersample: int = 1,
    hole_color: str = "black",
    out_dtype: OutDtype = "float32",
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> tuple[Seen, Seen]:
    """The left and the right eye's panorama.

    For 180 both eyes stay where they are and look ahead, as in VR180 cameras. For 360 they turn with the viewer: each column
    has its own pair (`render_panorama`, eye). Nothing converges: in a head set eyes do that themselves.

    Args:
        mesh: the watertight mesh.
        trajectory: the path between, or of one of, the eyes.
        rig: how far apart the eyes are; its convergence is not used.
        projection: as for `render_panorama`, and so are the next five.
        size: of one eye.
        device: where to compute and leave the result.
        supersample: samples per pixel and axis.
        hole_color: what holes are filled with.
        out_dtype: "float32" or "uint8".
        progress: called with (frames done of both eyes, all of them).
        cancel: polled at least every second; True raises Cancelled.

    Raises:
        EX4DError, Cancelled: as `render_panorama`.
    """
    check_panorama_memory(len(trajectory), size, supersample, out_dtype, eyes=2)
    if projection == "360":
        eyes = [(trajectory, offset) for offset in rig.offsets]
    else:
        shown = tuple(shown_frames(trajectory, mesh)) if mesh.frames > 1 else None
        eyes = [(path, 0.0) for path in two_eyes(with_lenses(trajectory, mesh), rig, shown)]
    seen = []
    for number, (path, offset) in enumerate(eyes):

        def told(done: int, frames: int, before: int = number) -> None:
            if progress is not None:
                progress(before * frames + done, 2 * frames)

        seen.append(
            render_panorama(
                mesh,
                path,
                projection=projection,
                size=size,
                eye=offset,
                device=device,
                supersample=supersample,
                hole_color=hole_color,
                out_dtype=out_dtype,
                progress=told,
                cancel=cancel,
            )
        )
    return seen[0], seen[1]
