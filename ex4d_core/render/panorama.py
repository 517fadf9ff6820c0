"""A DW-Mesh seen all around: equirectangular colour, mask and distance, each pixel by its own ray."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal, get_args

import torch

from ..camera import is_finite
from ..errors import EX4DError
from ..machine.memory import check_memory
from ..mesh import DWMesh
from ..pixels import hole_color_of, lay_into_holes
from ..trajectory import Trajectory, relative_to_source
from .choose import compute_device
from .color_mask import LARGEST_SIDE, OutDtype, default_range, shown_frames, source_along
from .frames import watched
from .sphere_faces import Sphere, draw_on_sphere, shade_sphere
from .torch_scene import surface_of
from .view import Picture, Settings, reduce_samples, store

Projection = Literal["360", "180"]
PROJECTIONS: tuple[Projection, ...] = get_args(Projection)
"""Degrees that a panorama's width spans; its height always spans 180."""
SAMPLE_BYTES = 60
"""Of memory for a sample of the frame that is drawn."""


def panorama_size(projection: Projection, height: int) -> tuple[int, int]:
    """(width, height) of a panorama: twice as wide as high, or a square for 180.

    Raises:
        EX4DError: an unknown projection.
    """
    if projection not in PROJECTIONS:
        raise EX4DError(f"A panorama's projection is {' or '.join(PROJECTIONS)}, got {projection!r}.")
    return (2 * height, height) if projection == "360" else (height, height)


def render_panorama(
    mesh: DWMesh,
    trajectory: Trajectory,
    *,
    projection: Projection = "360",
    size: tuple[int, int] = (2048, 1024),
    eye: float = 0.0,
    device: torch.device | str | None = None,
    supersample: int = 1,
    hole_color: str = "black",
    out_dtype: OutDtype = "float32",
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Render colour, mask and distance all around every camera of a path.

    Pixel (i, j) looks along longitude ``((j + 0.5) / width - 0.5) * projection`` (right of ahead) and latitude
    ``(0.5 - (i + 0.5) / height) * 180`` degrees (up), in the camera's own frame. Which frame of the mesh is shown, what counts
    as seen, colours, near, far and holes are those of `render_color_mask`; lenses play no part.

    Args:
        mesh: the watertight mesh.
        trajectory: T poses.
        projection: degrees across: "360", the whole turn, or "180", what lies ahead.
        size: (width, height), 2:1 for 360, 1:1 for 180.
        eye: offset of the eye to the right, in scene units. Each column then has its own, to the right of where it looks, so
            that a viewer who turns has depth everywhere (Peleg et al., "Omnistereo", 2001).
        device: where to compute and leave the result; None = where the mesh lies.
        supersample: samples per pixel and axis, 1..4.
        hole_color: as for `render_color_mask`.
        out_dtype: "float32" (colour 0..1, mask 0 or 1) or "uint8" (0..255).
        progress: called with (frames done, frames).
        cancel: polled at least every second; True raises Cancelled.

    Returns:
        color (T, H, W, 3), mask (T, H, W), 1 = seen, and distance (T, H, W) along the ray, not planar depth; 0 in holes.

    Raises:
        EX4DError: frame counts that do not fit, a size of another shape, bad parameters.
        Cancelled: ``cancel`` returned True.

    Memory: the result, 60 bytes a sample and 50 a vertex of one frame, and 30 MB (0.8 GB on a GPU) for pieces.

    Example:
        >>> from ex4d_core import build_dw_mesh
        >>> mesh = build_dw_mesh(torch.rand(1, 32, 32, 3), torch.full((1, 32, 32), 4.0))
        >>> color, mask, distance = render_panorama(mesh, Trajectory.preset("static", frames=1), size=(64, 32))
        >>> color.shape, bool(mask[0, 16, 32]), bool(mask[0, 0, 0])  # ahead is the clip, above is nothing
        (torch.Size([1, 32, 64, 3]), True, False)
    """
    width, height = _check_size(size, projection)
    filling = hole_color_of(hole_color)
    if supersample not in (1, 2, 3, 4):
        raise EX4DError(f"supersample must be 1, 2, 3 or 4, got {supersample}.")
    if not is_finite(eye):
        raise EX4DError(f"The eye's offset is a distance in scene units, got {eye}.")
    check_panorama_memory(len(trajectory), size, supersample, out_dtype)
    near, far = default_range(mesh)
    result = mesh.device if device is None else torch.device(device)
    compute = compute_device("torch", mesh, device)
    if mesh.device.type == "mps":  # which has no float64; what is seen is computed where the mesh lies
        mesh = replace(mesh, rgb=mesh.rgb.cpu(), depth=mesh.depth.cpu())
    shown = shown_frames(trajectory, mesh)
    poses = relative_to_source(trajectory, source_along(trajectory, mesh))
    dtype = torch.uint8 if out_dtype == "uint8" else torch.float32
    picture = Picture.empty(len(shown), height, width, dtype, compute)
    frame_done, poll = watched(len(shown), progress, cancel)
    fade = not any(filling)
    settings = Settings(near, far, supersample, False, fade, compute, lambda: None, poll)
    sphere = Sphere.of(height * supersample, width * supersample, eye, compute)
    for t, frame in enumerate(shown):
        poll()
        surface = surface_of(mesh, frame, poses[t], settings)
        points = surface.points(torch.arange(len(surface.depth), device=compute))
        keys = torch.zeros(sphere.rows * sphere.columns, dtype=torch.int64, device=compute)
        draw_on_sphere(surface, points, sphere, keys, poll)
        rgb = mesh.rgb[frame].to(compute).reshape(-1, 3)
        color, mask, depth = shade_sphere(surface, points, sphere, keys, rgb, fade, poll)
        pixels = reduce_samples(color[None], mask[None], depth[None], supersample)
        store(picture, slice(t, t + 1), *pixels, released=not surface.paper)
        frame_done()
    if any(filling):
        lay_into_holes(picture.color, picture.mask, filling)
    return picture.color.to(result), picture.mask.to(result), picture.depth.to(result)


def check_panorama_memory(
    frames: int, size: tuple[int, int], supersample: int = 1, out_dtype: OutDtype = "float32", eyes: int = 1
) -> None:
    """Refuse panoramas that the machine cannot hold, before work.

    Args:
        frames: poses of the path.
        size: as for `render_panorama`, and so are the next two.
        supersample: samples per pixel and axis.
        out_dtype: "float32" or "uint8".
        eyes: that are kept together.

    Raises:
        EX4DError: results and one frame's samples need more than the machine has.
    """
    pixels = size[0] * size[1]
    a_pixel = 8 if out_dtype == "uint8" else 20  # colour, mask, and a float32 of distance
    needed = eyes * frames * pixels * a_pixel + SAMPLE_BYTES * pixels * supersample**2
    what = f"A panorama of {frames} frames, {size[0]}x{size[1]}{' for each of two eyes' if eyes > 1 else ''},"
    check_memory(needed, what, "Make it smaller or shorter.")


def _check_size(size: tuple[int, int], projection: Projection) -> tuple[int, int]:
    width, height = size
    if height < 2 or (width, height) != panorama_size(projection, height):
        shape = "twice as wide as high" if projection == "360" else "a square"
        wanted = panorama_size(projection, max(2, height))
        raise EX4DError(
            f"A {projection} panorama is {shape}; {width}x{height} is not. Ask for {wanted[0]}x{wanted[1]}."
        )
    if max(width, height) > LARGEST_SIDE:
        raise EX4DError(
            f"The size {width}x{height} is too large: at most {LARGEST_SIDE} pixels a side can be rendered."
        )
    return width, height
