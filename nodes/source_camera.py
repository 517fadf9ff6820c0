"""The camera that filmed the clip: from a file, from geometry, or solved from the clip and its depth."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from comfy_api.latest import io

from ..ex4d_core.camera import Intrinsics
from ..ex4d_core.camera_io import read_suffixes
from ..ex4d_core.depth import DepthClip
from ..ex4d_core.depth.pictures import path_from_geometry
from ..ex4d_core.errors import EX4DError
from ..ex4d_core.pixels import to_uint8
from ..ex4d_core.trajectory import Trajectory, path_of_viewer_cameras
from . import files, previews, types
from .mesh import check_counts
from .progress import Job
from .schema import schema

NO_FILE = "solve it"
"""First of the file choices: no file, the camera is found in the clip itself."""
LARGEST_SCALE = 1e6


class EX4DSourceCamera(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="EX4DSourceCamera",
            display_name="Source Camera (EX-4D)",
            description="Finds how the camera that filmed the clip moved, so that a handheld or tracking shot stands still "
            "under the new path. From the clip and its depth alone (needs OpenCV), from a camera file, or from Depth "
            "Anything 3.",
            search_aliases=["camera solve", "match move", "camera tracking", "stabilize", "colmap", "slam", "handheld"],
            has_intermediate_output=True,
            inputs=[
                io.Image.Input("images", tooltip="The frames of the clip."),
                types.Depth.Input("depth", tooltip="Their depth, one per frame; its unit is the path's."),
                io.Combo.Input(
                    "file",
                    options=[NO_FILE, *files.listing(read_suffixes())],
                    default=NO_FILE,
                    tooltip="Solve the camera from the clip, or take it from a file in ComfyUI's input folder: a pose for "
                    "every frame. Not used while geometry or cameras are connected.",
                ),
                io.Float.Input(
                    "scale",
                    default=0.0,
                    min=0.0,
                    max=LARGEST_SCALE,
                    step=0.001,
                    round=1e-6,
                    tooltip="For a file, geometry or cameras: units of the depth per unit of its path. 0 fits it to the clip.",
                ),
                types.DA3Geometry.Input(
                    "da3_geometry",
                    optional=True,
                    tooltip="From Depth Anything 3 run on the whole clip: its cameras in place of a file.",
                ),
                types.Load3DCamera.Input(
                    "cameras",
                    optional=True,
                    tooltip="A list of 3D viewer cameras, one per frame, in place of a file: position, rotation or target, "
                    "and the lens where they have it.",
                ),
            ],
            outputs=[
                types.Depth.Output(
                    display_name="depth",
                    tooltip="The depth with its camera, for Build DW-Mesh; levelled where it flickers.",
                ),
                types.Trajectory.Output(
                    display_name="trajectory",
                    tooltip="The path of the source camera, for Save Trajectory or to follow it.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, file: str | None = None) -> bool | str:
        return True if file in (None, NO_FILE) else files.problem(file, "camera file")

    @classmethod
    def fingerprint_inputs(cls, file: str | None = None, **_others: object) -> str:
        # The host passes every input here, and a call that fails counts as "always changed".
        return "" if file == NO_FILE else files.fingerprint(file)

    @classmethod
    def execute(
        cls,
        images: torch.Tensor,
        depth: DepthClip,
        file: str,
        scale: float,
        da3_geometry: dict[str, Any] | None = None,
        cameras: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> io.NodeOutput:
        from ..ex4d_core.solve import fit_source_camera, solve_source_camera

        frames, height, width = images.shape[:3]
        check_counts(frames, height, width, depth)
        if len(depth) != frames:
            raise EX4DError(f"A camera that moves needs depth for every frame; there is one for {frames} frames.")
        if not 0 <= scale <= LARGEST_SCALE:  # a link may bring anything
            raise EX4DError(f"scale must lie between 0 (fitted to the clip) and {LARGEST_SCALE:g}, got {scale}.")
        depth = depth.resized(height, width)
        lens = depth.intrinsics or Intrinsics.default(width, height)
        path = given_path(file, da3_geometry, cameras, lens)
        longer = [f"the path has {len(path)} poses: the first {frames} are used"] if path and len(path) > frames else []
        if path is not None and (scale or frames == 1):
            return with_path(images, depth, path, scale or 1.0, *longer)
        colors = to_uint8(images[..., :3])
        with Job() as job:
            options: dict[str, Any] = {"progress": job.progress, "cancel": job.cancel}
            if path is None:
                solution = solve_source_camera(colors, depth.depth, depth.intrinsics, **options)
            else:
                solution = fit_source_camera(colors, depth.depth, path, depth.intrinsics, **options)
        lines = [solution.trouble and f"{solution.trouble} The camera is taken as fixed."]
        if solution.trouble is None:
            used = int(solution.still.sum())
            lines = [f"{used} of {len(solution.tracks)} points, {solution.residual:.2f} pixels off"]
        if path is not None:
            lines += [f"scale {solution.scale:.4g}", *longer]
        if solution.flickers:
            low, high = float(solution.depth_scale.min()), float(solution.depth_scale.max())
            lines.append(f"depth levelled by factors of {low:.3f} to {high:.3f}")
        result = solution.on(depth)
        seen = solution.tracks.position, solution.still
        picture = partial(source_picture, colors[0], result, solution.camera, *seen)
        return io.NodeOutput(result, solution.camera, ui=source_ui(picture, solution.camera, *filter(None, lines)))


def given_path(
    file: str, geometry: dict[str, Any] | None, cameras: dict[str, Any] | list[dict[str, Any]] | None, lens: Intrinsics
) -> Trajectory | None:
    """The path from geometry, from a list of cameras or from a file; None where it is to be solved."""
    if geometry is not None and cameras is not None:
        raise EX4DError("Two camera paths are connected. Connect da3_geometry or cameras, not both.")
    if geometry is not None:
        return path_from_geometry(geometry)
    size = (lens.width, lens.height)
    if cameras is not None:
        return path_of_viewer_cameras(cameras, size)
    if file == NO_FILE:
        return None
    return Trajectory.load(files.resolve(file, "camera file"), intrinsics=lens, size=size)


def with_path(images: torch.Tensor, depth: DepthClip, path: Trajectory, scale: float, *lines: str) -> io.NodeOutput:
    """A path whose scale is known: nothing is followed, nothing is fitted."""
    poses = path.world_to_camera.astype(np.float64)
    poses[:, :3, 3] *= scale
    moved = Trajectory(poses, path.intrinsics, path.fps)
    result = depth.with_source_camera(moved)
    camera = result.source_camera
    assert camera is not None
    none = np.zeros((0, len(depth), 2), np.float32)
    picture = partial(source_picture, to_uint8(images[0, ..., :3]), result, camera, none, np.zeros(0, bool))
    return io.NodeOutput(result, camera, ui=source_ui(picture, camera, f"scale {scale:.4g}", *lines))


def source_picture(
    frame: torch.Tensor, depth: DepthClip, camera: Trajectory, position: np.ndarray, still: np.ndarray
) -> np.ndarray:
    """The points over the first frame (H, W, 3) uint8, and the path over the scene."""
    from ..ex4d_core.preview.source_picture import draw_source_camera

    return draw_source_camera(frame.cpu().numpy(), position, still, camera, **scene_of(frame, depth))


def scene_of(frame: torch.Tensor, depth: DepthClip) -> dict[str, Any]:
    """What pictures of a path show beneath it: points of the first frame (H, W, 3), their colours, and the scene's radius."""
    from ..ex4d_core.mesh import build_dw_mesh
    from ..ex4d_core.preview.path_picture import mesh_points

    first = build_dw_mesh(frame[None].cpu(), depth.depth[:1].cpu(), depth.intrinsics, border_depth=depth.border_depth)
    points, colors = mesh_points(first)
    return {"points": points, "colors": colors, "radius": first.radius}


def source_ui(picture: Callable[[], np.ndarray], camera: Trajectory, *lines: str) -> dict[str, Any]:
    """The picture and the numbers that matter."""
    return previews.ui_image(previews.save_picture(picture), *lines, reach_text(camera))


def reach_text(camera: Trajectory) -> str:
    """How far a source camera moves and turns, as a line."""
    from ..ex4d_core.camera import invert_pose

    eye = invert_pose(camera.world_to_camera)[:, :3, 3]
    turn = np.trace(camera.world_to_camera[:, :3, :3], axis1=1, axis2=2)
    angle = float(np.degrees(np.arccos(np.clip((turn - 1) / 2, -1, 1))).max())
    moved = float(np.linalg.norm(eye - eye[0], axis=1).max())
    return f"moves up to {moved:.3g}, turns up to {angle:.1f} degrees"


NODES = [EX4DSourceCamera]
