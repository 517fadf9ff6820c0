"""Two eyes from one camera path."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from ..ex4d_core.errors import EX4DError
from ..ex4d_core.mesh import DWMesh
from ..ex4d_core.pixels import HOLE_COLORS, hole_color_of
from ..ex4d_core.preview.film import small_frames
from ..ex4d_core.render import BACKEND_CHOICES, BackendChoice
from ..ex4d_core.stereo import (
    HEROES,
    LAYOUTS,
    UNITS,
    Guided,
    Hero,
    Layout,
    Rig,
    StereoPair,
    Unit,
    carry_over,
    check_result,
    lay_out,
    render_stereo,
)
from ..ex4d_core.trajectory import Trajectory
from . import previews, types
from .progress import Job
from .schema import advanced, choice_problem, range_problem, schema
from .settings import preview_pixels

PREVIEW_FRAMES = 49
"""Frames shown at most of the film in a node."""


def eye_inputs() -> list[io.Input]:
    """Where the eyes are: the widgets of every node with two."""
    return [
        io.Float.Input(
            "eye_distance",
            default=0.06,
            min=0.0,
            max=1_000_000.0,
            step=0.001,
            round=0.00001,
            tooltip="Between the two eyes. In scene units a thirtieth of the nearest distance or less; in mm, where the depth "
            "is in metres, 63 as people have it.",
        ),
        io.Combo.Input(
            "unit",
            options=list(UNITS),
            default=UNITS[0],
            tooltip="Of the eye distance. scene units: those of the depth, whose nearest point in EX-4D is at about 2.6. mm: "
            "only where the depth is in metres.",
        ),
    ]


def hole_color_input() -> io.Input:
    """What marks holes in what each eye sees."""
    return io.Combo.Input(
        "hole_color",
        options=list(HOLE_COLORS),
        default="black",
        tooltip="What marks a hole in the colour of each eye. black: EX-4D. grey: VACE. magenta: CrossView.",
    )


class EX4DStereo(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="EX4DStereo",
            display_name="Stereo (EX-4D)",
            description="Films the mesh with two eyes along one camera path: a 3D picture, and for each eye colour and mask to "
            "generate from. What was generated for the left eye can be carried over to the right one.",
            search_aliases=[
                "stereoscopic",
                "3d video",
                "side by side",
                "sbs",
                "anaglyph",
                "left right",
                "over under",
                "vr",
            ],
            is_output_node=True,
            inputs=[
                types.Mesh.Input("mesh", tooltip="The DW-Mesh of the clip."),
                types.Trajectory.Input("trajectory", tooltip="The camera path, one pose per frame."),
                *eye_inputs(),
                io.Float.Input(
                    "convergence",
                    default=0.0,
                    min=0.0,
                    max=1_000_000.0,
                    step=0.01,
                    round=0.00001,
                    tooltip="Distance that lies on the screen, in scene units; what is nearer stands before it. 0 = that of the "
                    "point that camera paths turn around, just behind the nearest thing.",
                ),
                io.Combo.Input(
                    "layout",
                    options=list(LAYOUTS),
                    default=LAYOUTS[0],
                    tooltip="How both eyes lie in one frame. half squeezes them into the size of one, as 3D TVs take it. "
                    "anaglyph is for red-cyan glasses.",
                ),
                advanced(
                    io.Combo.Input(
                        "path_is",
                        options=list(HEROES),
                        default=HEROES[0],
                        tooltip="Which eye stands on the camera path. both: the path runs between them.",
                    )
                ),
                advanced(
                    io.Combo.Input(
                        "backend",
                        options=list(BACKEND_CHOICES),
                        default="auto",
                        tooltip="Which renderer, as in Render Color + Mask. auto takes the fastest that is here.",
                    )
                ),
                io.Int.Input(
                    "width", default=0, min=0, max=4096, step=16, tooltip="Width of one eye in pixels; 0 = the mesh's."
                ),
                io.Int.Input(
                    "height",
                    default=0,
                    min=0,
                    max=4096,
                    step=16,
                    tooltip="Height of one eye in pixels; 0 = the mesh's.",
                ),
                hole_color_input(),
                io.Image.Input(
                    "left_result",
                    optional=True,
                    tooltip="The finished left eye: the video that was generated from left color of another Stereo node with "
                    "the same settings. It is carried over to the right eye, so that only what is left there is generated.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="stereo", tooltip="Both eyes in one frame."),
                io.Image.Output(
                    display_name="left_color", tooltip="What the left eye sees; holes have the hole colour."
                ),
                io.Mask.Output(display_name="left_seen", tooltip="Of the left eye: 1 = seen in the clip, 0 = hole."),
                io.Image.Output(
                    display_name="right_color",
                    tooltip="What the right eye sees, with what was carried over from the left.",
                ),
                io.Mask.Output(
                    display_name="right_seen",
                    tooltip="Of the right eye: 1 = seen or carried over, 0 = left to generate.",
                ),
                io.String.Output(
                    display_name="report",
                    tooltip="Disparity in percent of the width, and a warning where it is too much.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(
        cls,
        eye_distance: float | None = None,
        convergence: float | None = None,
        width: int | None = None,
        height: int | None = None,
        unit: str | None = None,
        layout: str | None = None,
        path_is: str | None = None,
        backend: str | None = None,
        hole_color: str | None = None,
    ) -> bool | str:
        problem = range_problem(cls, eye_distance=eye_distance, convergence=convergence, width=width, height=height)
        problem = problem or choice_problem(
            cls, unit=unit, layout=layout, path_is=path_is, backend=backend, hole_color=hole_color
        )
        if problem:
            return problem
        return eye_problem(eye_distance) or size_problem(width, height) or True

    @classmethod
    def execute(
        cls,
        mesh: DWMesh,
        trajectory: Trajectory,
        eye_distance: float,
        unit: Unit,
        convergence: float,
        layout: Layout,
        path_is: Hero,
        backend: BackendChoice,
        width: int,
        height: int,
        hole_color: str,
        left_result: torch.Tensor | None = None,
    ) -> io.NodeOutput:
        problem = choice_problem(cls, unit=unit, layout=layout, path_is=path_is, backend=backend, hole_color=hole_color)
        if problem := problem or size_problem(width, height):
            raise EX4DError(problem)
        rig = Rig(eye_distance, unit, convergence or mesh.radius, path_is)
        size = (width, height) if width else None
        if left_result is not None:
            check_result(left_result[..., :3], len(trajectory), size or (mesh.width, mesh.height))
        guided = None
        with Job() as job:
            pair = render_stereo(
                mesh,
                trajectory,
                rig,
                size=size,
                backend=backend,
                hole_color=hole_color,
                progress=job.progress,
                cancel=job.cancel,
            )
            if left_result is not None:
                job.restart()
                guided = carry_over(
                    pair,
                    left_result[..., :3].to(pair.left.color),
                    hole_color=hole_color_of(hole_color),
                    progress=job.progress,
                    cancel=job.cancel,
                )
        left, right = pair.left, guided or pair.right
        shown = left.color if left_result is None else left_result[..., :3].to(left.color)
        stereo = lay_out(shown, right.color, layout).cpu()
        report = "\n".join(stereo_lines(pair, guided))
        video = previews.save_video(
            lambda: small_frames(stereo, PREVIEW_FRAMES, 2 * preview_pixels()), trajectory.fps, total=len(stereo)
        )
        parts = (part.cpu() for part in (left.color, left.mask, right.color, right.mask))
        return io.NodeOutput(stereo, *parts, report, ui=previews.ui_video(video, report))


def eye_problem(eye_distance: float | None) -> str | None:
    """The sentence for an eye distance that is none; None where it is one, or not known yet."""
    if eye_distance is None:
        return None
    try:
        Rig(eye_distance)
    except EX4DError as error:
        return str(error)
    return None


def size_problem(width: int | None, height: int | None) -> str | None:
    """The sentence for a size of which only one side is given; None where it is one."""
    if None not in (width, height) and (width == 0) != (height == 0):
        return "Give both width and height, or 0 for both to take the mesh's size."
    return None


def stereo_lines(pair: StereoPair, guided: Guided | None) -> list[str]:
    """Size, holes of both eyes, disparity, and what was carried over."""
    frames, height, width = pair.left.mask.shape
    left, right = (1 - float(eye.mask.mean(dtype=torch.float64)) for eye in (pair.left, pair.right))
    lines = [f"{frames} frames, {width}x{height} an eye", f"holes {left:.1%} left, {right:.1%} right"]
    if guided is not None:
        lines.append(f"right eye: {guided.holes_before:.1%} holes, {guided.holes_after:.1%} after carrying over")
    told = ["nothing was seen"] if pair.disparity is None else pair.disparity.lines()
    return [*lines, *told]


NODES = [EX4DStereo]
