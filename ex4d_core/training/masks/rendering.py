"""Rendering masks: what the clip's mesh hides from a camera that moves around it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ...camera import look_at
from ...errors import Cancelled
from ...holes.masks import dilate, erode
from ...mesh import DWMesh, unproject
from ...render import render_color_mask
from ...trajectory import Trajectory
from .settings import Dilation, Sweep

FINEST = 32
"""Points along a side of a quad at most, where its projection is huge."""


def draw_angles(frames: int, sweep: Sweep, angle: float, draws: np.random.Generator) -> np.ndarray:
    """(T,) degrees around the scene, positive to the right.

    Args:
        frames: of the clip.
        sweep: where the camera goes.
        angle: largest angle.
        draws: what is random.
    """
    if sweep == "mixed":
        sweep = "published" if draws.random() < 0.5 else "from_source"
    if sweep == "published":
        return np.linspace(-angle, angle, frames) if frames > 1 else np.array([-angle])
    if sweep == "from_source":
        return np.linspace(0, draws.uniform(-angle, angle), frames)
    return draws.uniform(-angle, angle, frames)


def orbit(angles: np.ndarray, radius: float) -> Trajectory:
    """Cameras on a circle of ``radius`` around (0, 0, radius), which all look at; 0 degrees is the source's."""
    pivot = np.array([0.0, 0.0, radius])
    turns = np.radians(angles)
    eyes = np.stack([radius * np.sin(turns), 0 * turns, radius - radius * np.cos(turns)], axis=-1)
    poses = np.stack([np.eye(4) if angle == 0 else look_at(eye, pivot) for eye, angle in zip(eyes, angles)])
    return Trajectory(poses.astype(np.float32))


def rendering_mask(
    mesh: DWMesh,
    angles: np.ndarray,
    *,
    dilation: Dilation = "seen",
    kernel: int = 5,
    cancel: Callable[[], bool] | None = None,
) -> Tensor:
    """What is seen of the clip from cameras around it: (T, H, W) bool on the CPU.

    Args:
        mesh: of the clip; in paper style both faces of a quad agree, as A.3 has it.
        angles: (T,) degrees; where the first is 0, that frame is complete.
        dilation: what the box grows, after rendering.
        kernel: side of the box.
        cancel: polled while rendering.

    Raises:
        EX4DError: another number of angles than the mesh has frames.
        Cancelled: ``cancel`` returned True.
    """
    path = orbit(angles, mesh.radius)
    keep = bool(angles[0] == 0)
    _, mask, _ = render_color_mask(mesh, path, keep_first_frame=keep, out_dtype="uint8", cancel=cancel)
    return dilated(mask > 0, dilation, kernel).cpu()


def dilated(seen: Tensor, dilation: Dilation, kernel: int) -> Tensor:
    """A (T, H, W) bool mask after A.3's dilation, of what is seen or of the holes."""
    if dilation == "off":
        return seen
    return dilate(seen, kernel) if dilation == "seen" else erode(seen, kernel)


def visible_mask(mesh: DWMesh, angles: np.ndarray, *, cancel: Callable[[], bool] | None = None) -> Tensor:
    """What a mesh without its hidden faces would cover: (T, H, W) bool on the CPU.

    Without them nothing stands in the way: a pixel is seen where any visible face lies behind it. Every visible quad is
    covered with points at most half a pixel apart.

    Args:
        mesh: of the clip.
        angles: (T,) degrees.
        cancel: polled each frame.
    """
    path = orbit(angles, mesh.radius)
    seen = torch.zeros(mesh.frames, mesh.height, mesh.width, dtype=torch.bool)
    for t in range(mesh.frames):
        if cancel is not None and cancel():
            raise Cancelled
        depth = mesh.depth[t].cpu()
        points = unproject(depth, mesh.intrinsics, mesh.pixel_offset)
        pose = torch.tensor(path.world_to_camera[t], dtype=torch.float64)
        places, z = _project(points @ pose[:3, :3].T + pose[:3, 3], mesh)
        valid = mesh.quad_face_valid(t).cpu().all(-1)
        seen[t] = _covered(places, z, valid, (mesh.height, mesh.width))
    return seen


def _project(points: Tensor, mesh: DWMesh) -> tuple[Tensor, Tensor]:
    lens, z = mesh.intrinsics, points[..., 2]
    safe = z.clamp_min(1e-6)
    return torch.stack([lens.fx * points[..., 0] / safe + lens.cx, lens.fy * points[..., 1] / safe + lens.cy], -1), z


def _covered(places: Tensor, z: Tensor, valid: Tensor, size: tuple[int, int]) -> Tensor:
    """The pixels on which the valid quads of a grid of projected vertices lie."""
    height, width = size
    corners = torch.stack([places[:-1, :-1], places[:-1, 1:], places[1:, :-1], places[1:, 1:]], dim=2)
    low, high = corners.amin(2), corners.amax(2)
    ahead = torch.stack([z[:-1, :-1], z[:-1, 1:], z[1:, :-1], z[1:, 1:]], 2).amin(2) > 1e-6
    limit = torch.tensor([width, height], dtype=low.dtype)
    inside = ((high > 0) & (low < limit)).all(-1) & valid & ahead
    corners, reach = corners[inside], (high - low).amax(-1)[inside]
    steps = (2 * reach).ceil().clamp(1, FINEST).to(torch.int64)
    seen = torch.zeros(height * width, dtype=torch.bool)
    for step in steps.unique().tolist():
        share = (torch.arange(step, dtype=corners.dtype) + 0.5) / step
        u, v = share.view(1, step, 1, 1), share.view(1, 1, step, 1)
        a, b, c, d = (corner[:, None, None] for corner in corners[steps == step].unbind(1))
        points = ((1 - v) * ((1 - u) * a + u * b) + v * ((1 - u) * c + u * d)).reshape(-1, 2)
        column, row = points.floor().to(torch.int64).unbind(-1)
        kept = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        seen[row[kept] * width + column[kept]] = True
    return seen.view(height, width)
