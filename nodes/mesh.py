"""Clip and depth to the watertight mesh that everything else looks at."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from ..ex4d_core.camera import Intrinsics
from ..ex4d_core.camera_io.film import (
    FILM_BACKS,
    FULL_FRAME,
    MILLIMETRES,
    focal_millimetres,
    lens_of_millimetres,
)
from ..ex4d_core.depth import DepthClip
from ..ex4d_core.depth.refine import Mend, mended
from ..ex4d_core.errors import EX4DError
from ..ex4d_core.mesh import STYLES, Style, build_dw_mesh
from ..ex4d_core.preview.film import occlusion_overlay
from ..ex4d_core.published import BORDER_DEPTH, DEPTH_JUMP, FOCAL, MIN_ANGLE, WIDTH
from . import previews, types
from .progress import Job
from .schema import choice_problem, range_problem, schema

ASPECT_TOLERANCE = 0.02
MENDING: dict[str, tuple[Mend, ...]] = {
    "none": (),
    "edges": ("edges",),
    "flicker": ("flicker",),
    "edges and flicker": ("edges", "flicker"),
}
"""Choices of a widget: what is mended in the depth."""


class EX4DBuildDWMesh(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="EX4DBuildDWMesh",
            display_name="Build DW-Mesh",
            description="Builds a depth-watertight mesh of every frame: the scene as seen, closed behind, with the "
            "surfaces marked that the camera never saw (pink in the preview).",
            search_aliases=["depth mesh", "watertight", "reconstruct", "point cloud", "video to 3d"],
            is_output_node=True,
            inputs=[
                io.Image.Input("images", tooltip="The frames of the clip."),
                types.Depth.Input(
                    "depth", tooltip="Their depth, one per frame; other sizes are brought to the frames'."
                ),
                io.Combo.Input(
                    "style",
                    options=list(STYLES),
                    default="released",
                    tooltip="released: like the published code, what the published weights expect. paper: per-face "
                    "occlusion and exact pixel centres, sharper edges.",
                ),
                io.Float.Input(
                    "min_angle",
                    default=MIN_ANGLE,
                    min=0.0,
                    max=59.9,
                    step=0.1,
                    tooltip="Faces thinner than this (degrees) are stretched over a depth edge: marked as unseen. "
                    "Raise it if edges smear, lower it if surfaces break up.",
                ),
                io.Float.Input(
                    "depth_jump",
                    default=DEPTH_JUMP,
                    min=0.0,
                    max=1.0,
                    step=0.001,
                    round=0.0001,
                    tooltip="Paper style only: faces that span more than this share of the first frame's depth range "
                    "are marked as unseen.",
                ),
                io.Float.Input(
                    "focal",
                    default=0.0,
                    min=0.0,
                    max=100000.0,
                    step=1.0,
                    tooltip="Focal length in pixels. 0 takes the lens that came with the depth, else the training "
                    f"data's ({FOCAL:g} at {WIDTH} pixels of width).",
                ),
                io.Float.Input(
                    "border_depth",
                    default=0.0,
                    min=0.0,
                    max=100000.0,
                    step=1.0,
                    tooltip="Distance of the plate that closes the scene behind. 0 = automatic "
                    f"({BORDER_DEPTH:g} for EX-4D depth).",
                ),
                io.Float.Input(
                    "lens",
                    default=0.0,
                    min=0.0,
                    max=MILLIMETRES[1],
                    step=1.0,
                    round=0.001,
                    optional=True,
                    tooltip="Focal length of the camera that filmed, in millimetres, on the film back below, in place of pixels. "
                    "0 = not known.",
                ),
                io.Combo.Input(
                    "film_back",
                    options=list(FILM_BACKS),
                    default=FULL_FRAME,
                    optional=True,
                    tooltip="For lens: the sensor or film behind it, width x height in mm. Its height counts: vertical degrees "
                    "are 2 atan(height / (2 lens)).",
                ),
                io.Combo.Input(
                    "mend_depth",
                    options=list(MENDING),
                    default="none",
                    optional=True,
                    tooltip="Mends the depth first. edges: what a network's blur has left in mid-air goes to the nearer of two "
                    "surfaces. flicker: all frames come to one scale, for a camera that stands still.",
                ),
            ],
            outputs=[types.Mesh.Output(display_name="mesh", tooltip="The mesh of every frame.")],
        )

    @classmethod
    def validate_inputs(
        cls,
        style: str | None = None,
        film_back: str | None = None,
        focal: float | None = None,
        lens: float | None = None,
        mend_depth: str | None = None,
    ) -> bool | str:
        choice = choice_problem(cls, style=style, film_back=film_back, mend_depth=mend_depth)
        problem = choice or range_problem(cls, focal=focal, lens=lens)
        return problem or (two_lenses(focal, lens) if focal and lens else None) or True

    @classmethod
    def execute(
        cls,
        images: torch.Tensor,
        depth: DepthClip,
        style: Style,
        min_angle: float,
        depth_jump: float,
        focal: float,
        border_depth: float,
        lens: float = 0.0,
        film_back: str = FULL_FRAME,
        mend_depth: str = "none",
    ) -> io.NodeOutput:
        if focal and lens:
            raise EX4DError(two_lenses(focal, lens))
        mends = MENDING[mend_depth]
        if "flicker" in mends and depth.source_camera is not None:
            raise EX4DError(
                "mend_depth: flicker is for a camera that stands still, and this depth's moves. Choose edges."
            )
        frames, height, width = images.shape[:3]
        check_counts(frames, height, width, depth)
        was = tuple(depth.depth.shape[1:])
        depth = depth.resized(height, width)
        planes = mended(depth.depth, mends).expand(frames, -1, -1)  # one depth may serve the whole clip
        if planes.device.type == "mps":
            planes = planes.cpu()  # Apple's GPU has no float64, which the occlusion rule is computed in
        intrinsics = Intrinsics.from_focal(focal, width, height) if focal else depth.intrinsics
        if lens:
            intrinsics = lens_of_millimetres(lens, film_back, width, height)
        with Job() as job:
            mesh = build_dw_mesh(
                images[..., :3],
                planes,
                intrinsics,
                style=style,
                min_angle=min_angle,
                depth_jump=depth_jump,
                border_depth=border_depth or depth.border_depth,
                source_camera=depth.source_camera if len(depth) == frames else None,
                progress=job.progress,
                cancel=job.cancel,
            )
        # The rule takes 0.1 s a frame here, so that the first frame stands for the clip.
        valid = mesh.quad_face_valid(0)
        lines = [
            f"{frames} frames, {width}x{height}, {1 - float(valid.float().mean()):.1%} occluded",
            f"radius {mesh.radius:.3g}, focal {mesh.intrinsics.fx:.0f} px, "
            f"{focal_millimetres(mesh.intrinsics):.3g} mm on full frame",
        ]
        hidden = depth.share_beyond(mesh.border_depth)
        if hidden >= 0.0005:
            lines.append(f"the back plate at {mesh.border_depth:g} cuts off {hidden:.1%} of the clip")
        if was != (height, width):
            lines.append(f"depth resized from {was[1]}x{was[0]}")
        if len(depth) < frames:
            lines.append("one depth for all frames")
        if mesh.source_camera is not None:
            lines.append("the source camera moves")
        if mends:
            lines.append(f"depth mended: {mend_depth}")
        picture = previews.save_picture(lambda: occlusion_overlay(mesh.rgb[0], valid))
        return io.NodeOutput(mesh, ui=previews.ui_image(picture, *lines))


def two_lenses(focal: float, lens: float) -> str:
    """The sentence for a mesh that was given two lenses."""
    return f"focal ({focal:g} pixels) and lens ({lens:g} mm) are both set. Set one of them to 0."


def check_counts(frames: int, height: int, width: int, depth: DepthClip) -> None:
    """Refuse a depth that belongs to another clip.

    Raises:
        EX4DError: another frame count, or another aspect ratio.
    """
    count, depth_height, depth_width = depth.depth.shape
    if frames == 0:
        raise EX4DError("The clip has no frames. Check the node the images come from.")
    if count not in (1, frames):
        raise EX4DError(
            f"The clip has {frames} frames and the depth {count}. Give both the same start, frame count and frame rate; "
            "a depth of one frame serves all."
        )
    if abs(depth_width * height / (depth_height * width) - 1) > ASPECT_TOLERANCE:
        raise EX4DError(
            f"The clip is {width}x{height} and the depth {depth_width}x{depth_height}: another shape, so they cannot lie "
            "on each other. Make the depth from the same cropped frames."
        )


NODES = [EX4DBuildDWMesh]
