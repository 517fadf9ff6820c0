"""A mesh that moves in the scene of its video, filmed along any path: laid into the DW-Mesh's picture by depth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ..errors import EX4DError
from ..mesh import DWMesh
from ..render import Triangles, nearer, nearer_of, render_triangles, shown_frames, with_lenses
from ..trajectory import Trajectory
from .meshes import MeshClip

MARGIN = 0.02
"""Share of its depth by which the mesh may lie behind what the scene shows there: its own picture, as a rule."""


def triangles_of(clip: MeshClip, vertices: np.ndarray | None = None) -> Triangles:
    """A moving mesh as the renderer takes it; with other places (T, V, 3) of its vertices where they are given."""
    colors = None if clip.colors is None else torch.from_numpy((clip.colors * 255 + 0.5).astype(np.uint8))
    texture, uv = (None if part is None else torch.from_numpy(part) for part in (clip.texture, clip.uv))
    places = torch.from_numpy(clip.vertices if vertices is None else vertices)
    return Triangles(places, torch.from_numpy(clip.faces), colors, texture, uv)


def in_scene(clip: MeshClip, frames: int, source_camera: Trajectory | None) -> tuple[Triangles, np.ndarray]:
    """A moving mesh in the frame in which its scene stands.

    Args:
        clip: in the source camera's frame.
        frames: of the scene. The first frame of a scene is the video's first.
        source_camera: the path of the camera that filmed it, where it moves.

    Returns:
        The mesh at each of the scene's frames, and (T,) bool, at which of them it is there at all.

    Raises:
        EX4DError: a mesh in axes of its own, or one that is there in no frame of the scene.
    """
    if clip.space != "camera":
        raise EX4DError(
            "The moving mesh stands in axes of its own, not in the scene. Fit its meshes to the video before they are registered."
        )
    there = np.zeros(frames, bool)
    there[clip.start : clip.start + len(clip)] = True
    if not there.any():
        raise EX4DError(
            f"The moving mesh begins at frame {clip.start} of its video, and the scene has {frames} frames."
        )
    vertices = np.repeat(clip.vertices[:1], frames, axis=0)
    shown = int(there.sum())
    vertices[there] = clip.vertices[:shown]
    if source_camera is not None:
        for frame in np.flatnonzero(there):
            back = np.linalg.inv(source_camera.world_to_camera[min(frame, len(source_camera) - 1)].astype(np.float64))
            vertices[frame] = vertices[frame] @ back[:3, :3].T + back[:3, 3]
    return triangles_of(clip, vertices.astype(np.float32)), there


def filmed_in_scene(
    clip: MeshClip,
    scene: DWMesh,
    trajectory: Trajectory,
    picture: tuple[Tensor, Tensor, Tensor],
    *,
    supersample: int = 1,
    first_frame: bool = True,
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
    """A moving mesh laid into the picture of its scene, at each pixel what lies nearer.

    Args:
        clip: in the source camera's frame.
        scene: the DW-Mesh that was filmed.
        trajectory: the path.
        picture: colour (T, H, W, 3), mask (T, H, W) and depth (T, H, W) of the scene along it, as `render_color_mask` gives
            them, float.
        supersample: samples per pixel and axis, 1..4.
        first_frame: False leaves the first frame as it is.
        progress: called with (frames done, frames).
        cancel: polled at least every second; True raises Cancelled.

    Returns:
        Colour, mask and depth of both, and (T, H, W) bool, where the mesh is shown.

    Raises:
        EX4DError: a mesh that does not stand in the scene, or not in time.
        Cancelled: ``cancel`` returned True.
    """
    triangles, there = in_scene(clip, scene.frames, scene.source_camera)
    height, width = picture[0].shape[1:3]
    own = render_triangles(
        triangles,
        with_lenses(trajectory, scene),
        scene.intrinsics,
        source_camera=scene.source_camera,
        size=(width, height),
        supersample=supersample,
        device="cuda" if picture[0].is_cuda else "cpu",
        progress=progress,
        cancel=cancel,
    )
    color, mask, depth = (part.to(picture[0].device) for part in own)
    for t, frame in enumerate(shown_frames(trajectory, scene)):
        if not there[frame] or (t == 0 and not first_frame):
            mask[t] = 0
    own = (color, mask, depth)
    return nearer_of(own, picture, MARGIN), nearer(own, picture, MARGIN)
