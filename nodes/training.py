"""What the adapter is trained on: a clip with simulated holes."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from ..ex4d_core.errors import EX4DError
from ..ex4d_core.mesh import DWMesh
from ..ex4d_core.pixels import to_uint8
from ..ex4d_core.preview.film import FilmFrames, side_by_side, small_frames
from ..ex4d_core.training.draws import stream
from ..ex4d_core.training.masks import (
    DILATIONS,
    MASK_KINDS,
    SWEEPS,
    Dilation,
    MaskKind,
    MaskSettings,
    Sweep,
    crop_frames,
    crop_mask,
    draw_crop,
    needs_mesh,
    needs_tracker,
    simulate_mask,
)
from ..ex4d_core.training.trackers import TRACKER_CHOICES, choose_tracker
from . import previews, types
from .progress import Job
from .schema import NOT_CONNECTED, choice_problem, range_problem, schema
from .settings import preview_pixels

PREVIEW_FRAMES = 49
LARGEST = 2**31 - 1


class EX4DSimulateMasks(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="EX4DSimulateMasks",
            display_name="Simulate Masks (EX-4D)",
            description="Shows what EX-4D is trained on: holes cut into an ordinary clip, as another camera would leave "
            "them. The clip itself is the answer that the model learns.",
            search_aliases=["training masks", "training pair", "tracking mask", "rendering mask", "occlusion"],
            is_output_node=True,
            inputs=[
                io.Image.Input("images", tooltip="The clip, from one camera."),
                io.Combo.Input(
                    "kind",
                    options=list(MASK_KINDS),
                    default="mixed",
                    tooltip="mixed draws rendering, tracking or both for each sample, as training does. rendering: what "
                    "the mesh hides from a camera moving around it. tracking: blocks that follow the motion. random and "
                    "visible_mesh are for comparison.",
                ),
                io.Int.Input(
                    "sample",
                    default=0,
                    min=0,
                    max=LARGEST,
                    tooltip="Number of the sample. Each has its own holes; the same number and seed give them again.",
                ),
                io.Int.Input("seed", default=0, min=0, max=LARGEST, tooltip="Seed of the whole run."),
                io.Combo.Input(
                    "sweep",
                    options=list(SWEEPS),
                    default="mixed",
                    tooltip="Camera of rendering masks. published: from -90 to 90 degrees. from_source: from the clip's "
                    "view to a random angle, first frame complete. mixed: one or the other. uniform: a random angle every "
                    "frame.",
                ),
                io.Combo.Input(
                    "dilation",
                    options=list(DILATIONS),
                    default="seen",
                    tooltip="What grows by 5x5 pixels after rendering. seen closes specks and keeps large holes; holes is "
                    "the other reading of the paper.",
                ),
                io.Combo.Input(
                    "tracker",
                    options=list(TRACKER_CHOICES),
                    default="auto",
                    tooltip="What follows points. auto takes OpenCV's lk where OpenCV is installed, else torch.",
                ),
                io.Boolean.Input(
                    "crop",
                    default=False,
                    tooltip="Let a window of 85 to 95 % of the picture wander over the clip, as a moving camera would.",
                ),
                io.Float.Input(
                    "fps", default=15.0, min=1.0, max=240.0, step=0.01, tooltip="Frame rate of the preview only."
                ),
                types.Mesh.Input(
                    "mesh",
                    optional=True,
                    tooltip="The clip's DW-Mesh in paper style. Tracking and random masks need none.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="color", tooltip="The clip with its holes black: what the model is given."
                ),
                io.Mask.Output(display_name="seen", tooltip="1 = seen in the clip, 0 = hole. For EX-4D nodes."),
                io.Image.Output(display_name="target", tooltip="The clip as the model shall complete it."),
            ],
        )

    @classmethod
    def validate_inputs(
        cls,
        sample: int | None = None,
        seed: int | None = None,
        kind: str | None = None,
        sweep: str | None = None,
        dilation: str | None = None,
        tracker: str | None = None,
        fps: float | None = None,
        mesh: object = NOT_CONNECTED,
    ) -> bool | str:
        problem = range_problem(cls, sample=sample, seed=seed, fps=fps)
        problem = problem or choice_problem(cls, kind=kind, sweep=sweep, dilation=dilation, tracker=tracker)
        return problem or cls.mesh_problem(kind, mesh is not NOT_CONNECTED) or True

    @classmethod
    def mesh_problem(cls, kind: str | None, connected: bool) -> str | None:
        """The sentence for a kind whose masks are rendered, without a mesh to render."""
        wanting = [each for each in MASK_KINDS if each == kind and needs_mesh(each) and not connected]
        return f"{kind} masks are rendered from the clip's mesh: connect mesh, or choose tracking." if wanting else None

    @classmethod
    def execute(
        cls,
        images: torch.Tensor,
        kind: MaskKind,
        sample: int,
        seed: int,
        sweep: Sweep,
        dilation: Dilation,
        tracker: str,
        crop: bool,
        fps: float,
        mesh: DWMesh | None = None,
    ) -> io.NodeOutput:
        problem = choice_problem(cls, kind=kind, sweep=sweep, dilation=dilation, tracker=tracker)
        if problem := problem or cls.mesh_problem(kind, mesh is not None):
            raise EX4DError(problem)
        settings = MaskSettings(kind=kind, sweep=sweep, dilation=dilation)
        frames = to_uint8(images[..., :3]).cpu()
        with Job() as job:
            mask = simulate_mask(
                frames,
                settings,
                seed=seed,
                sample=sample,
                mesh=mesh,
                tracker=choose_tracker(tracker) if needs_tracker(settings.kind) else None,
                cancel=job.cancel,
            )
        seen = mask.seen
        if crop:
            window = draw_crop(len(frames), stream(seed, sample, "crop"))
            frames, seen = crop_frames(frames, window), crop_mask(seen, window)
        target = frames.float() / 255
        color, kept = target * seen[..., None], seen.float()

        def film() -> FilmFrames:
            pixels = preview_pixels()
            return side_by_side(*(small_frames(clip, PREVIEW_FRAMES, pixels) for clip in (color, kept, target)))

        video = previews.save_video(film, fps, total=len(frames))
        text = f"{len(frames)} frames, {frames.shape[2]}x{frames.shape[1]}\n{mask.summary()}"
        return io.NodeOutput(color, kept, target, ui=previews.ui_video(video, text))


NODES = [EX4DSimulateMasks]
