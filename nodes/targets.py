"""A clip made ready for a control-video model other than EX-4D."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io
from comfy_execution.graph_utils import ExecutionBlocker

from ..ex4d_core.camera import UnknownLens
from ..ex4d_core.errors import EX4DError
from ..ex4d_core.preview.film import FilmFrames, side_by_side, small_frames
from ..ex4d_core.targets import MODELS, RATES, FitPlan, RateChoice, fit_path, fit_pictures, fit_sound, plan_fit
from ..ex4d_core.trajectory import Trajectory
from ..ex4d_core.video import FITS, Fit
from . import previews, types
from .progress import Job
from .schema import advanced, choice_problem, schema
from .settings import preview_pixels

FIT_PREVIEW = 49
"""Frames shown at most."""
NO_PATH = "Fit Clip to Model has no trajectory to give on: connect one to it, or take the one of Camera Trajectory."


class EX4DFitToModel(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="EX4DFitToModel",
            display_name="Fit Clip to Model",
            description="Brings a clip to the frame rate, length and size that a video model takes, with its mask, camera path "
            "and sound in step, and marks holes as that model knows them. Before the depth is best: all that follows has the "
            "right size.",
            search_aliases=[
                "vace",
                "ltx",
                "minimax h3",
                "crossview",
                "uni3c",
                "frame rate",
                "resample",
                "17k+5",
                "8n+1",
            ],
            is_output_node=True,
            inputs=[
                io.Image.Input("images", tooltip="The clip, or the colour of a render."),
                io.Combo.Input(
                    "model",
                    options=list(MODELS),
                    default="VACE on Wan 2.1 14B",
                    tooltip="What will make the video. Its rules of length, rate, size and holes are used.",
                ),
                io.Float.Input(
                    "fps", default=24.0, min=0.1, max=240.0, step=0.01, tooltip="Frames a second of the clip as it is."
                ),
                io.Mask.Input(
                    "seen",
                    optional=True,
                    tooltip="Mask of a render: 1 = seen, 0 = hole. Holes get the model's hole colour.",
                ),
                types.Trajectory.Input(
                    "trajectory", optional=True, tooltip="The camera path that goes with the clip, resampled with it."
                ),
                io.Audio.Input("audio", optional=True, tooltip="The clip's sound, cut to the frames that are kept."),
                io.Int.Input(
                    "length",
                    default=0,
                    min=0,
                    max=10000,
                    optional=True,
                    tooltip="Frames of the new video. 0 = as many as the clip has and the model is trained on. A clip that is "
                    "too short holds its last frame.",
                ),
                advanced(
                    io.Int.Input(
                        "start",
                        default=0,
                        min=0,
                        max=1000000,
                        optional=True,
                        tooltip="The first frame of the clip to take.",
                    )
                ),
                io.Int.Input(
                    "width",
                    default=0,
                    min=0,
                    max=4096,
                    step=16,
                    optional=True,
                    tooltip="Width in pixels; 0 for both = the clip's shape, near its size.",
                ),
                io.Int.Input(
                    "height",
                    default=0,
                    min=0,
                    max=4096,
                    step=16,
                    optional=True,
                    tooltip="Height in pixels; 0 for both = the clip's shape, near its size.",
                ),
                advanced(
                    io.Combo.Input(
                        "fit",
                        options=list(FITS),
                        default="crop",
                        optional=True,
                        tooltip="How the picture fills another shape: crop cuts what hangs over, pad adds bars, which are holes, "
                        "stretch distorts.",
                    )
                ),
                advanced(
                    io.Combo.Input(
                        "rate",
                        options=list(RATES),
                        default="auto",
                        optional=True,
                        tooltip="auto: frames are dropped or repeated only where the model demands its rate or the clip's is far "
                        "from it. model: always at the model's rate. keep: the frames as they are. The speed stays in every "
                        "case.",
                    )
                ),
            ],
            outputs=[
                io.Image.Output(display_name="images", tooltip="The clip as the model takes it."),
                io.Mask.Output(display_name="seen", tooltip="1 = seen, 0 = hole. All 1 where no mask came in."),
                io.Mask.Output(display_name="holes", tooltip="1 = to be generated, 0 = keep: what VACE takes."),
                types.Trajectory.Output(display_name="trajectory", tooltip="The camera path at the new frames."),
                io.Audio.Output(display_name="audio", tooltip="The sound of these frames; none where none came in."),
                io.Float.Output(display_name="fps", tooltip="Frames a second from here on."),
                io.Int.Output(display_name="width", tooltip="In pixels, for the model's own nodes."),
                io.Int.Output(display_name="height", tooltip="In pixels, for the model's own nodes."),
                io.Int.Output(display_name="length", tooltip="Frames of the new video, for the model's own nodes."),
            ],
        )

    @classmethod
    def validate_inputs(cls, model: str | None = None, fit: str | None = None, rate: str | None = None) -> bool | str:
        return choice_problem(cls, model=model, fit=fit, rate=rate) or True

    @classmethod
    def execute(
        cls,
        images: torch.Tensor,
        model: str,
        fps: float,
        seen: torch.Tensor | None = None,
        trajectory: Trajectory | None = None,
        audio: dict[str, Any] | None = None,
        length: int = 0,
        start: int = 0,
        width: int = 0,
        height: int = 0,
        fit: Fit = "crop",
        rate: RateChoice = "auto",
    ) -> io.NodeOutput:
        if problem := choice_problem(cls, model=model, fit=fit, rate=rate):
            raise EX4DError(problem)
        plan = plan_fit(
            MODELS[model],
            len(images),
            (images.shape[2], images.shape[1]),
            fps,
            path=trajectory,
            length=length,
            start=start,
            width=width,
            height=height,
            fit=fit,
            rate=rate,
        )
        path = ExecutionBlocker(NO_PATH) if trajectory is None else fitted_path(trajectory, plan)
        with Job() as job:
            color, mask = fit_pictures(images[..., :3], seen, plan, progress=job.progress, cancel=job.cancel)

        def film() -> FilmFrames:
            pixels = preview_pixels()
            return side_by_side(*(small_frames(clip, FIT_PREVIEW, pixels) for clip in (color, mask)))

        with previews.background_video(film, plan.fps, total=len(color)) as video:
            sound = None
            if audio is not None:
                sound = audio | {"waveform": fit_sound(audio["waveform"], audio["sample_rate"], plan)}
            lies = plan.placement
            values = (color, mask, 1 - mask, path, sound, plan.fps, lies.width, lies.height, plan.length)
            return io.NodeOutput(*values, ui=previews.ui_video(video.result(), plan_text(plan)))


def fitted_path(trajectory: Trajectory, plan: FitPlan) -> Trajectory:
    """The path with the clip.

    Raises:
        EX4DError: a path whose lens the mesh has to tell.
    """
    try:
        return fit_path(trajectory, plan)
    except UnknownLens as error:
        raise EX4DError(
            "This camera path sets its field of view, which is worked out with the mesh. Fit the clip before Build DW-Mesh, and "
            "make the path for the fitted clip."
        ) from error


def plan_text(plan: FitPlan) -> str:
    """Length, rate and size, and what was changed for them."""
    lies = plan.placement
    first = f"{plan.length} frames at {plan.fps:g} fps ({plan.length / plan.fps:.2f} s), {lies.width}x{lies.height}"
    return "\n".join((first, *plan.notes))


NODES = [EX4DFitToModel]
