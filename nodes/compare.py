"""How good a result is, beside what it is compared with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from comfy_api.latest import io

from ..ex4d_core.errors import EX4DError
from ..ex4d_core.evaluation.adherence import asked_along
from ..ex4d_core.evaluation.benchmark.scene_truth import scene_truth
from ..ex4d_core.evaluation.regions import REGIONS
from ..ex4d_core.evaluation.rows import NEEDS, ROWS
from ..ex4d_core.evaluation.scores import Clips, Scores, evaluate
from ..ex4d_core.mesh import DWMesh
from ..ex4d_core.pixels import uint8_array
from ..ex4d_core.preview.comparison import VIEWS, View, compare_film, error_map
from ..ex4d_core.trajectory import Trajectory
from . import files, previews, types
from .progress import Job
from .schema import choice_problem, range_problem, schema
from .settings import preview_pixels

SHORT = ("psnr", "psnr_seen", "psnr_hole", "ssim", "camera_degrees", "occlusion", "flow_warp_error")
"""Rows that a look needs."""


class EX4DCompareVideos(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="EX4DCompareVideos",
            display_name="Compare Videos (EX-4D)",
            description="Tells how much two videos differ: PSNR, SSIM and MS-SSIM, over holes and seen pixels too, flicker "
            "and what the flow leaves over. Shows them side by side, as an error map or wiped over each other.",
            search_aliases=[
                "compare",
                "difference",
                "error map",
                "psnr",
                "ssim",
                "metrics",
                "wipe",
                "a/b test",
                "evaluate",
            ],
            is_output_node=True,
            inputs=[
                io.Image.Input("result", tooltip="The video to be judged."),
                io.Image.Input(
                    "against", tooltip="What it should be: the truth, or another try. Same length and size."
                ),
                io.Combo.Input(
                    "view",
                    options=list(VIEWS),
                    default=VIEWS[0],
                    tooltip="What the film shows: both clips, where they differ beside the second, or a line that wipes between "
                    "them (the result is left of it).",
                ),
                io.Float.Input(
                    "fps", default=15.0, min=1.0, max=240.0, step=0.01, tooltip="Frame rate of the preview only."
                ),
                io.Mask.Input(
                    "seen",
                    optional=True,
                    tooltip="Mask from Render Color + Mask: 1 = seen, 0 = hole.",
                ),
                types.Mesh.Input(
                    "mesh",
                    optional=True,
                    tooltip="The mesh that the result was made from: tells, with trajectory, how far its camera is off the path.",
                ),
                types.Trajectory.Input(
                    "trajectory", optional=True, tooltip="The camera path that was asked for; goes with mesh."
                ),
                io.String.Input(
                    "scene",
                    default="",
                    optional=True,
                    tooltip="A file target_<range>.npz that ex4d benchmark wrote, in ComfyUI's input folder with the source.npz "
                    "beside it. All numbers are then against its exact truth, also the camera and what must stay hidden.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="error map",
                    tooltip="Where they differ: dark = alike, white = 64 levels of 255 or more.",
                ),
                io.Image.Output(display_name="curve", tooltip="PSNR frame by frame, as a picture."),
                io.String.Output(display_name="numbers", tooltip="Every number, a line each."),
            ],
        )

    @classmethod
    def validate_inputs(cls, view: str | None = None, fps: float | None = None, scene: str | None = None) -> bool | str:
        wrong = range_problem(cls, fps=fps) or choice_problem(cls, view=view)
        return wrong or (files.problem(scene, "scene") if scene else True)

    @classmethod
    def fingerprint_inputs(cls, scene: str | None = None, **others: object) -> str:  # noqa: ARG003 - hosts give all inputs
        return files.fingerprint(scene)

    @classmethod
    def execute(
        cls,
        result: torch.Tensor,
        against: torch.Tensor,
        view: View,
        fps: float,
        seen: torch.Tensor | None = None,
        mesh: DWMesh | None = None,
        trajectory: Trajectory | None = None,
        scene: str = "",
    ) -> io.NodeOutput:
        from ..ex4d_core.preview.curve_picture import draw_curves

        if (mesh is None) != (trajectory is None):
            raise EX4DError(
                "mesh and trajectory go together: what was rendered, and the path through it. Connect both or none."
            )
        if scene and mesh is not None:
            raise EX4DError("scene brings its own cameras. Disconnect mesh and trajectory, or clear scene.")
        first, second = pictures(result), pictures(against)
        with Job() as job:
            clips = Clips(first, second, None if seen is None else seen.cpu() >= 0.5)
            if scene:
                clips = replace(clips, **vars(scene_truth(files.resolve(scene, "scene"))))
            elif mesh is not None and trajectory is not None:
                clips = replace(clips, asked=asked_along(mesh, trajectory, cancel=job.cancel))
            scores = evaluate(clips, progress=job.progress, cancel=job.cancel)
        errors = torch.empty(first.shape)
        for target, a, b in zip(errors, first.numpy(), second.numpy(), strict=True):
            target.copy_(torch.from_numpy(error_map(a, b)).float() / 255)
        shown = scores.frames
        names = ["psnr", *(f"psnr_{region}" for region in REGIONS[1:])]
        curve = draw_curves({name: shown[name] for name in names if name in shown}, "PSNR, dB")
        video = previews.save_video(lambda: compare_film(view, first, second, preview_pixels()), fps, total=len(result))
        lines = told(scores)
        picture = torch.from_numpy(np.array(curve))[None].float() / 255
        return io.NodeOutput(errors, picture, "\n".join(lines), ui=previews.ui_video(video, *short(scores)))


def pictures(images: torch.Tensor) -> torch.Tensor:
    """A clip (T, H, W, 3 or more) as bytes in memory."""
    if images.ndim != 4 or images.shape[-1] < 3:
        raise EX4DError(f"A clip has shape (frames, height, width, 3), got {tuple(images.shape)}.")
    return torch.stack([torch.from_numpy(uint8_array(frame[..., :3])) for frame in images])


def told(scores: Scores) -> list[str]:
    """A line for every row that was computed, and for a camera that was to be found and was not."""
    lines = []
    for row in ROWS:
        value = scores.values[row.name]
        if value is not None:
            lines.append(f"{row.title}: {'identical' if value == float('inf') else f'{value:.4g} {row.unit}'.rstrip()}")
        elif row.name == "camera_degrees" and NEEDS["path"] not in scores.reasons[row.name]:
            lines.append(f"{row.title}: {scores.reasons[row.name]}")
    return lines


def short(scores: Scores) -> list[str]:
    """The rows that a look needs."""
    wanted = [row.title for row in ROWS if row.name in SHORT]
    return [line for line in told(scores) if line.split(":")[0] in wanted]


NODES = [EX4DCompareVideos]
