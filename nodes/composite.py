"""The artist's own pixels over the generated video."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from ..ex4d_core.composite import BLENDS, Blend, KeepSettings, Kept, check_pair, check_settings, keep_seen_pixels
from ..ex4d_core.composite.settings import WIDEST_FEATHER
from ..ex4d_core.errors import EX4DError
from ..ex4d_core.mesh import DWMesh
from ..ex4d_core.preview.film import side_by_side, small_frames
from ..ex4d_core.render.quality import seen_quality
from ..ex4d_core.trajectory import Trajectory
from . import previews, types
from .progress import Job
from .schema import choice_problem, range_problem, schema
from .settings import preview_pixels

PREVIEW_FRAMES = 49
"""Frames shown at most: drift and flicker are judged in motion."""
DEFAULTS = KeepSettings()
"""Gives the widgets their defaults."""


class EX4DKeepSeenPixels(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="EX4DKeepSeenPixels",
            display_name="Keep Seen Pixels",
            description="Puts your own pixels back: lays the rendered colour over the generated video where your clip saw it "
            "well, and takes drift and flicker of colour out of the rest. Holes keep what was generated.",
            search_aliases=[
                "composite",
                "color match",
                "colour match",
                "deflicker",
                "color drift",
                "blend original",
                "restore detail",
                "paste back",
            ],
            is_output_node=True,
            inputs=[
                io.Image.Input("result", tooltip="The generated video, from Wan EX-4D Sampler or VAE Decode."),
                io.Image.Input(
                    "color", tooltip="Colour from Render Color + Mask: the render that the video was made from."
                ),
                io.Mask.Input("seen", tooltip="Mask from Render Color + Mask: 1 = seen, 0 = hole."),
                io.Float.Input(
                    "strength",
                    default=DEFAULTS.strength,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="How much of the render is laid over. 0 only matches colours, 1 shows your own pixels alone where "
                    "they were seen well.",
                ),
                io.Int.Input(
                    "feather",
                    default=DEFAULTS.feather,
                    min=0,
                    max=WIDEST_FEATHER,
                    tooltip="Pixels from a hole over which the render fades in, on the seen side only. Small holes get less.",
                ),
                io.Combo.Input(
                    "blend",
                    options=list(BLENDS),
                    default=DEFAULTS.blend,
                    tooltip="soft fades over twice the feather, and by degrees where a surface was seen less well. hard "
                    "takes everything that was seen well, whole, up to the feather.",
                ),
                io.Boolean.Input(
                    "match_color",
                    default=DEFAULTS.match_color,
                    tooltip="Bring the video's colours to the render's, frame by frame, in holes too: ends drift and flicker. "
                    "Off leaves the holes exactly as they were generated.",
                ),
                io.Float.Input(
                    "fps", default=15.0, min=1.0, max=240.0, step=0.01, tooltip="Frame rate of the preview only."
                ),
                types.Mesh.Input(
                    "mesh",
                    optional=True,
                    tooltip="The DW-Mesh that was rendered. With its trajectory it tells where a surface was filmed at a steep "
                    "angle or from far away; there the generated video stays.",
                ),
                types.Trajectory.Input(
                    "trajectory", optional=True, tooltip="The camera path that was rendered; goes with the mesh."
                ),
            ],
            outputs=[
                io.Image.Output(display_name="images", tooltip="The video with your own pixels in it."),
                io.Mask.Output(
                    display_name="kept", tooltip="How much of each pixel is your own: 1 = all of it, 0 = generated."
                ),
            ],
        )

    @classmethod
    def validate_inputs(
        cls,
        strength: float | None = None,
        feather: int | None = None,
        blend: str | None = None,
        fps: float | None = None,
    ) -> bool | str:
        return (
            range_problem(cls, strength=strength, feather=feather, fps=fps) or choice_problem(cls, blend=blend) or True
        )

    @classmethod
    def execute(
        cls,
        result: torch.Tensor,
        color: torch.Tensor,
        seen: torch.Tensor,
        strength: float,
        feather: int,
        blend: Blend,
        match_color: bool,
        fps: float,
        mesh: DWMesh | None = None,
        trajectory: Trajectory | None = None,
    ) -> io.NodeOutput:
        settings = KeepSettings(strength, feather, blend, match_color)
        check_settings(settings)
        check_pair(result, color, seen)
        with Job() as job:
            quality = rendered_quality(mesh, trajectory, color, job)
            kept = keep_seen_pixels(
                result, color, seen, settings, quality=quality, progress=job.progress, cancel=job.cancel
            )

        pixels = preview_pixels()
        clips = (result[..., :3], kept.images[..., :3])
        video = previews.save_video(
            lambda: side_by_side(*(small_frames(clip, PREVIEW_FRAMES, pixels) for clip in clips)),
            fps,
            total=len(result),
        )
        return io.NodeOutput(kept.images, kept.share, ui=previews.ui_video(video, *kept_lines(kept, match_color)))


def rendered_quality(
    mesh: DWMesh | None, trajectory: Trajectory | None, color: torch.Tensor, job: Job
) -> torch.Tensor | None:
    """How well each pixel was seen, from what was rendered; None where neither is connected."""
    if mesh is None and trajectory is None:
        return None
    if mesh is None or trajectory is None:
        missing, given = ("mesh", "trajectory") if mesh is None else ("trajectory", "mesh")
        raise EX4DError(f"Connect {missing} as well as {given}, or neither.")
    if len(trajectory) != len(color):
        raise EX4DError(
            f"The trajectory has {len(trajectory)} frames and the colour {len(color)}. Connect the one that was rendered."
        )
    height, width = color.shape[1:3]
    quality = seen_quality(mesh, trajectory, size=(width, height), progress=job.progress, cancel=job.cancel)
    return quality.cpu()


def kept_lines(kept: Kept, match_color: bool) -> list[str]:
    """How much was kept, by how much colours were moved, and what else there is to say."""
    lines = [f"before | after: {float(kept.share.mean()):.0%} of the picture is your own"]
    if match_color:
        shifts = kept.shifts()
        lines.append(f"colours moved by up to {shifts.max():.1f} levels of 255 (frame {int(shifts.argmax())})")
    return lines + list(kept.notes)


NODES = [EX4DKeepSeenPixels]
