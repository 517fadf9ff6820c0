"""The visible faces of a DW-Mesh alone, without the occluded ones and the back plate: what the watertight mesh is measured
against. Compiled where numba is there, else in plain torch.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ..errors import Cancelled
from ..mesh import DWMesh
from ..trajectory import Trajectory, relative_to_source
from .backend import load_problem
from .color_mask import default_range, shown_frames, source_along, with_lenses
from .torch_triangles import nearest, shares
from .view import Settings, quantise
from .visibility import in_camera, placed


def render_open_mesh(
    mesh: DWMesh, trajectory: Trajectory, *, cancel: Callable[[], bool] | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Colour, mask and depth as `render_color_mask` gives them in uint8, of the visible faces alone, both sides of them.

    A hole lets whatever visible surface lies behind it show through. Faces that reach through the near plane are left out.

    Args:
        mesh: whose occlusion rule says which faces there are.
        trajectory: T poses, as `render_color_mask` takes them.
        cancel: polled once a frame.

    Raises:
        EX4DError: frame counts that do not fit.
        Cancelled: ``cancel`` returned True.
    """

    def poll() -> None:
        if cancel is not None and cancel():
            raise Cancelled("Rendering was cancelled.")

    shown = shown_frames(trajectory, mesh)
    path = with_lenses(trajectory, mesh)
    poses = relative_to_source(path, source_along(path, mesh))
    near, far = default_range(mesh)
    settings = Settings(near, far, 1, False, False, mesh.device, poll, poll)
    frames, height, width = len(shown), mesh.height, mesh.width
    color = torch.zeros((frames, height, width, 3), dtype=torch.uint8, device=mesh.device)
    mask = torch.zeros((frames, height, width), dtype=torch.uint8, device=mesh.device)
    depth = torch.zeros((frames, height, width), dtype=torch.float32, device=mesh.device)
    draw = _drawn_compiled if mesh.device.type == "cpu" and load_problem("numba") is None else _drawn
    quads = 2 * (height - 1) * (width - 1)
    for t, frame in enumerate(shown):
        poll()
        lens = path.intrinsics[t] if path.intrinsics is not None else mesh.lens(frame)
        points = placed(in_camera(mesh.vertices_in_camera(frame), poses[t]), lens.fitted(width, height), near)
        faces = mesh.faces[:quads][mesh.face_valid(frame)[:quads]]
        draw(points, faces, mesh.rgb[frame].reshape(-1, 3), settings, (color[t], mask[t], depth[t]))
    return color, mask, depth


Target = tuple[Tensor, Tensor, Tensor]
"""Colour (H, W, 3), mask and depth (H, W) of one frame, all 0."""


def _drawn(points: Tensor, faces: Tensor, colors: Tensor, settings: Settings, target: Target) -> None:
    color, mask, depth = target
    faces = faces.long()
    sample, face = nearest(points, faces, mask == 0, settings)
    _, z, weights = shares(points, faces[face], sample, mask.shape[1])
    mixed = (weights.T[..., None] * colors[faces[face]].double()).sum(1)
    color.view(-1, 3)[sample] = quantise(mixed.float(), released=False)
    mask.view(-1)[sample] = 255
    depth.view(-1)[sample] = z.float()


def _drawn_compiled(points: Tensor, faces: Tensor, colors: Tensor, settings: Settings, target: Target) -> None:
    from . import numba_triangles as kernels

    color, mask, depth = (part.numpy() for part in target)
    corners = points[:, :2][faces.long()]
    (ux, uy), (vx, vy) = ((corners[:, k] - corners[:, 0]).unbind(-1) for k in (1, 2))
    # The kernels know the front of a face by its turn on the picture: each is turned to show it.
    faces = torch.where((ux * vy - uy * vx > 0)[:, None], faces.flip(1), faces)
    keys, found = np.empty(mask.shape, np.uint64), np.empty(mask.shape, np.float32)
    corner = points.numpy(), faces.contiguous().numpy()
    kernels.draw(*corner, 1.0 / settings.far, mask, keys, np.zeros(1, np.uint8))
    kernels.resolve(*corner, keys, found)
    kernels.paint(*corner, colors.numpy(), keys, found, 1.0, 0.5, 255, color, mask, depth, np.empty_like(mask))
