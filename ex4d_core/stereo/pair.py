"""A mesh filmed by both eyes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..camera import Intrinsics
from ..mesh import DWMesh
from ..render import BackendChoice, OutDtype, render_color_mask, shown_frames, with_lenses
from ..trajectory import Trajectory
from .disparity import Disparity, measure_disparity
from .rig import Rig, two_eyes


@dataclass(frozen=True, eq=False)
class Eye:
    """What one eye sees.

    Attributes:
        trajectory: its path, with lenses for the size of the pictures.
        color, mask, depth: as `render_color_mask` returns them.
    """

    trajectory: Trajectory
    color: Tensor
    mask: Tensor
    depth: Tensor

    @property
    def lenses(self) -> tuple[Intrinsics, ...]:
        """One a frame."""
        assert self.trajectory.intrinsics is not None
        return self.trajectory.intrinsics


@dataclass(frozen=True, eq=False)
class StereoPair:
    """Both eyes.

    Attributes:
        left, right: what they see, each with the mask of what is left to generate for it.
        rig: how far apart they are.
        disparity: of the clip; None where nothing was seen.
    """

    left: Eye
    right: Eye
    rig: Rig
    disparity: Disparity | None


def render_stereo(
    mesh: DWMesh,
    trajectory: Trajectory,
    rig: Rig,
    *,
    size: tuple[int, int] | None = None,
    backend: BackendChoice = "auto",
    device: torch.device | str | None = None,
    supersample: int = 1,
    hole_color: str = "black",
    out_dtype: OutDtype = "float32",
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> StereoPair:
    """Render the colour video, mask and depth of both eyes of a path.

    Both are rendered at every frame, the first too: a frame of the clip itself beside a rendered one would differ by
    released style's half pixel, which an eye reads as depth.

    Args:
        mesh: the watertight mesh.
        trajectory: the path between, or of one of, the eyes.
        rig: where the eyes are.
        size: as for `render_color_mask`, and so are the next five; of one eye.
        backend: which renderer.
        device: where to compute and leave the result.
        supersample: samples per pixel and axis.
        hole_color: what holes are filled with.
        out_dtype: "float32" or "uint8".
        progress: called with (frames done of both eyes, all of them).
        cancel: polled at least every second; True raises Cancelled.

    Raises:
        EX4DError, Cancelled: as `render_color_mask`.

    Example:
        >>> from ex4d_core import build_dw_mesh
        >>> mesh = build_dw_mesh(torch.rand(1, 32, 32, 3), torch.full((1, 32, 32), 4.0), border_depth=100)
        >>> pair = render_stereo(mesh, Trajectory.preset("static", frames=1), Rig(0.064, convergence=4.0))
        >>> pair.left.color.shape, round(abs(pair.disparity.nearest), 3)  # all of it on the screen
        (torch.Size([1, 32, 32, 3]), 0.0)
    """
    shown = tuple(shown_frames(trajectory, mesh))
    lensed = with_lenses(trajectory, mesh)
    total = 2 * len(lensed)
    eyes = []
    for number, path in enumerate(two_eyes(lensed, rig, shown if mesh.frames > 1 else None)):

        def told(done: int, _frames: int, before: int = number * len(lensed)) -> None:
            if progress is not None:
                progress(before + done, total)

        color, mask, depth = render_color_mask(
            mesh,
            path,
            size=size,
            backend=backend,
            device=device,
            keep_first_frame=False,
            supersample=supersample,
            hole_color=hole_color,
            out_dtype=out_dtype,
            progress=told,
            cancel=cancel,
        )
        assert path.intrinsics is not None
        lenses = tuple(lens.fitted(color.shape[2], color.shape[1]) for lens in path.intrinsics)
        eyes.append(Eye(replace(path, intrinsics=lenses), color, mask, depth))
    left, right = eyes
    return StereoPair(left, right, rig, measure_disparity(left.depth, left.lenses, rig))
