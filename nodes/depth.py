"""Depth from any other node's pictures, or from the geometry that newer hosts put out."""

from __future__ import annotations

from functools import reduce

import torch
from comfy_api.latest import io

from ..ex4d_core.errors import EX4DError
from ..ex4d_core.preview.film import colored_depth
from . import previews, types
from .schema import choice_problem, range_problem, schema

KINDS = ["disparity", "inverse", "metric"]
GREY_TOLERANCE = 0.02
NO_NEAR = "near must be above 0 for inverse depth; EX-4D's is 2.564."
LOOKED_AT = 12
"""Frames, at least, that are looked at for colours; a colour map is on all of them."""


class EX4DDepthFromImage(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="EX4DDepthFromImage",
            display_name="Depth from Images",
            description="Turns the pictures of any depth node (Depth Anything, DepthCrafter, Marigold, a render pass) "
            "into depth that a DW-Mesh can be built from. Grey pictures only, not colour-mapped ones.",
            search_aliases=["depth map", "depth anything", "midas", "moge", "depth to mesh", "disparity"],
            inputs=[
                io.Image.Input(
                    "images",
                    optional=True,
                    tooltip="Depth pictures, one per frame of the clip, or a single one for all of them.",
                ),
                io.Combo.Input(
                    "kind",
                    options=KINDS,
                    default="disparity",
                    tooltip="What bright means. disparity: near, scaled as EX-4D was trained (best with the EX-4D "
                    "adapter). inverse: near, spread between near and far below. metric: far, the value is a distance.",
                ),
                io.Float.Input(
                    "near",
                    default=2.564,
                    min=0.0,
                    max=1000.0,
                    step=0.001,
                    round=0.0001,
                    tooltip="Distance given to the nearest point of the clip (2.564 is EX-4D's). For metric depth, 0 "
                    "keeps its own unit. Not used by disparity.",
                ),
                io.Float.Input(
                    "far",
                    default=100.0,
                    min=0.01,
                    max=100000.0,
                    step=0.1,
                    tooltip="Distance of the farthest point; sky goes here. EX-4D's background stands at 100. Not "
                    "used by disparity.",
                ),
                types.MoGeGeometry.Input(
                    "moge_geometry", optional=True, tooltip="From MoGe nodes, in place of pictures: depth and lens."
                ),
                types.DA3Geometry.Input(
                    "da3_geometry",
                    optional=True,
                    tooltip="From Depth Anything 3 nodes, in place of pictures: depth, sky and lens.",
                ),
            ],
            outputs=[types.Depth.Output(display_name="depth", tooltip="Depth of every frame.")],
        )

    @classmethod
    def validate_inputs(cls, kind=None, near=None, far=None):
        if problem := range_problem(cls, near=near, far=far) or choice_problem(cls, kind=kind):
            return problem
        if kind == "inverse" and near is not None and near <= 0:
            return NO_NEAR
        if kind != "disparity" and near is not None and far is not None and near >= far:
            return f"near ({near:g}) must be smaller than far ({far:g})."
        return True

    @classmethod
    def execute(cls, kind, near, far, images=None, moge_geometry=None, da3_geometry=None) -> io.NodeOutput:
        if problem := choice_problem(cls, kind=kind):
            raise EX4DError(problem)
        given = [value for value in (images, moge_geometry, da3_geometry) if value is not None]
        if len(given) != 1:
            raise EX4DError(
                f"Connect exactly one of images, moge_geometry and da3_geometry; {len(given)} are connected."
            )
        if images is not None:
            clip = from_pictures(images, kind, near, far)
        else:
            clip = from_geometry(given[0], near, far)
        frames, height, width = clip.depth.shape
        low, high = (float(value) for value in torch.aminmax(clip.depth))
        lines = f"{frames} frames, {width}x{height}", f"depth {low:.3g} to {high:.5g}"
        video = previews.save_video(colored_depth(clip.depth), 15, total=frames)
        return io.NodeOutput(clip, ui=previews.ui_video(video, *lines))


def from_pictures(images: torch.Tensor, kind: str, near: float, far: float):
    """Grey pictures (T, H, W, 3) to a DepthClip."""
    from ..ex4d_core.depth import DepthClip, brightness, depth_from_disparity, depth_from_inverse, depth_from_metric

    if images.shape[0] == 0:
        raise EX4DError("The depth pictures are an empty clip. Check the node they come from.")
    colours = images[..., :3].float()
    if color_spread(colours[:: max(1, len(colours) // LOOKED_AT), ::4, ::4]) > GREY_TOLERANCE:
        raise EX4DError(
            "These depth pictures are coloured, so brightness is not distance. Switch the depth node's colour map off "
            "(grey output) and run again."
        )
    grey = brightness(colours)
    if kind == "disparity":
        # DepthCrafter's own range, so that the clip looks to EX-4D as its training data did.
        low, high = (float(value) for value in torch.aminmax(grey))
        return DepthClip(depth_from_disparity(grey), disparity_range=(low, high))
    if kind == "inverse":
        if near <= 0:
            raise EX4DError(NO_NEAR)
        return DepthClip(depth_from_inverse(grey, near=near, far=far))
    return DepthClip(depth_from_metric(grey, near=near or None, far=far))


def color_spread(images: torch.Tensor) -> float:
    """The largest difference between two channels of a pixel of (T, H, W, 3); pixels that are not numbers are left out."""
    # Channel by channel, since reductions over a last axis of three are slow.
    channels = images.contiguous().unbind(-1)
    return float((reduce(torch.maximum, channels) - reduce(torch.minimum, channels)).nan_to_num().max())


def from_geometry(geometry: dict, near: float, far: float):
    """A MOGE_GEOMETRY or DA3_GEOMETRY dictionary to a DepthClip.

    Read are ``depth`` (T, H, W), larger = farther; ``mask`` (bool) or ``sky`` (probability); and ``intrinsics``:
    (T, 3, 3) in shares of the picture (MoGe), or (1, T, 3, 3) in pixels of any size (Depth Anything 3).
    """
    from ..ex4d_core.depth import DepthClip, depth_from_metric

    if not isinstance(geometry, dict) or not isinstance(geometry.get("depth"), torch.Tensor):
        raise EX4DError(
            "This geometry holds no depth. Connect the output of a MoGe or Depth Anything 3 inference node."
        )
    depth = geometry["depth"].float().clone()
    depth = depth if depth.ndim == 3 else depth.reshape(-1, *depth.shape[-2:])
    unseen = ~torch.isfinite(depth)
    if isinstance(geometry.get("mask"), torch.Tensor):
        unseen |= ~matching(geometry, "mask", depth).bool()
    if isinstance(geometry.get("sky"), torch.Tensor):
        unseen |= matching(geometry, "sky", depth).float() >= 0.5
    depth[unseen] = torch.inf  # sky: depth_from_metric puts it at ``far``
    return DepthClip(depth_from_metric(depth, near=near or None, far=far), geometry_intrinsics(geometry, depth))


def matching(geometry: dict, name: str, depth: torch.Tensor) -> torch.Tensor:
    """A mask of the geometry, in the shape of its depth (T, H, W)."""
    mask = geometry[name]
    if mask.numel() != depth.numel() or mask.shape[-2:] != depth.shape[-2:]:
        raise EX4DError(
            f"This geometry's {name} has the shape {tuple(mask.shape)}, its depth {tuple(depth.shape)}. Both must have "
            "one size; connect the inference node's output unchanged."
        )
    return mask.reshape(depth.shape).to(depth.device)


def geometry_intrinsics(geometry: dict, depth: torch.Tensor):
    """The lens of the first frame; None where the geometry has none."""
    from ..ex4d_core.camera import Intrinsics

    matrix = geometry.get("intrinsics")
    if not isinstance(matrix, torch.Tensor):
        return None
    matrix = matrix.reshape(-1, 3, 3)[0].double()
    height, width = depth.shape[-2:]
    # Both put the principal point at the centre, which tells the unit: 0.5 = shares, else pixels of the model's input.
    across, down = float(matrix[0, 2]) * 2, float(matrix[1, 2]) * 2
    if not (across > 0 and down > 0):
        return None
    fx, fy = float(matrix[0, 0]) * width / across, float(matrix[1, 1]) * height / down
    return Intrinsics(fx, fy, width / 2, height / 2, width, height)


NODES = [EX4DDepthFromImage]
