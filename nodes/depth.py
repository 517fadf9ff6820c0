"""Depth from any other node's pictures, or from the geometry that newer hosts put out."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io

from ..ex4d_core.depth.pictures import PICTURE_KINDS, PictureKind, clip_from_geometry, clip_from_pictures
from ..ex4d_core.errors import EX4DError
from ..ex4d_core.preview.film import colored_depth
from ..ex4d_core.published import BORDER_DEPTH, NEAREST_DEPTH
from . import previews, types
from .schema import choice_problem, range_problem, schema
from .settings import preview_pixels

NO_NEAR = f"near must be above 0 for inverse depth; EX-4D's is {NEAREST_DEPTH:.3f}."


class EX4DDepthFromImage(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="EX4DDepthFromImage",
            display_name="Depth from Images",
            description="Turns the pictures of any depth node (Depth Anything, DepthCrafter, Marigold, a render pass) "
            "into depth that a DW-Mesh can be built from. Grey pictures only, not colour-mapped ones.",
            search_aliases=["depth map", "depth anything", "midas", "moge", "depth to mesh", "disparity"],
            has_intermediate_output=True,
            inputs=[
                io.Image.Input(
                    "images",
                    optional=True,
                    tooltip="Depth pictures, one per frame of the clip, or a single one for all of them.",
                ),
                io.Combo.Input(
                    "kind",
                    options=list(PICTURE_KINDS),
                    default="disparity",
                    tooltip="What bright means. disparity: near, scaled as EX-4D was trained (best with the EX-4D "
                    "adapter). inverse: near, spread between near and far below. metric: far, the value is a distance.",
                ),
                io.Float.Input(
                    "near",
                    default=round(NEAREST_DEPTH, 3),
                    min=0.0,
                    max=1000.0,
                    step=0.001,
                    round=0.0001,
                    tooltip=f"Distance given to the nearest point of the clip ({NEAREST_DEPTH:.3f} is EX-4D's). For metric "
                    "depth, 0 keeps its own unit. Not used by disparity.",
                ),
                io.Float.Input(
                    "far",
                    default=BORDER_DEPTH,
                    min=0.01,
                    max=100000.0,
                    step=0.1,
                    tooltip="Distance of the farthest point; sky goes here. EX-4D's background stands at "
                    f"{BORDER_DEPTH:g}. Not used by disparity.",
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
    def validate_inputs(
        cls, kind: str | None = None, near: float | None = None, far: float | None = None
    ) -> bool | str:
        if problem := range_problem(cls, near=near, far=far) or choice_problem(cls, kind=kind):
            return problem
        if kind == "inverse" and near is not None and near <= 0:
            return NO_NEAR
        if kind != "disparity" and near is not None and far is not None and near >= far:
            return f"near ({near:g}) must be smaller than far ({far:g})."
        return True

    @classmethod
    def execute(
        cls,
        kind: PictureKind,
        near: float,
        far: float,
        images: torch.Tensor | None = None,
        moge_geometry: dict[str, Any] | None = None,
        da3_geometry: dict[str, Any] | None = None,
    ) -> io.NodeOutput:
        if problem := choice_problem(cls, kind=kind):
            raise EX4DError(problem)
        geometries = [value for value in (moge_geometry, da3_geometry) if value is not None]
        connected = len(geometries) + (images is not None)
        if connected != 1:
            raise EX4DError(
                f"Connect exactly one of images, moge_geometry and da3_geometry; {connected} are connected."
            )
        if images is not None:
            clip = clip_from_pictures(images, kind, near=near or None, far=far)
        else:
            clip = clip_from_geometry(geometries[0], near=near or None, far=far)
        frames, height, width = clip.depth.shape
        low, high = (float(value) for value in torch.aminmax(clip.depth))
        lines = f"{frames} frames, {width}x{height}", f"depth {low:.3g} to {high:.5g}"
        video = previews.save_video(lambda: colored_depth(clip.depth, preview_pixels()), 15, total=frames)
        return io.NodeOutput(clip, ui=previews.ui_video(video, *lines))


NODES = [EX4DDepthFromImage]
