"""Panoramas of the mesh, and videos that VR players read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from comfy_api.latest import io

from ..ex4d_core.errors import EX4DError
from ..ex4d_core.mesh import DWMesh
from ..ex4d_core.preview.film import small_frames
from ..ex4d_core.render import PROJECTIONS, Projection, panorama_size, render_panorama
from ..ex4d_core.stereo import Rig, Unit, lay_out, render_panorama_eyes
from ..ex4d_core.trajectory import Trajectory
from ..ex4d_core.video import Sound, Spherical, save_video
from ..ex4d_core.video.spherical import EYES, VIEWS, Eyes, View
from . import previews, types
from .progress import Job
from .saving import name_input, name_problem, output_place
from .schema import choice_problem, range_problem, schema
from .settings import preview_pixels
from .stereo import PREVIEW_FRAMES, eye_inputs, eye_problem, hole_color_input


class EX4DRenderPanorama(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="EX4DRenderPanorama",
            display_name="Render Panorama (EX-4D)",
            description="Films the mesh all around the camera, or half of it, for VR head sets: every pixel along its own ray, "
            "for one eye or two.",
            search_aliases=["equirectangular", "360", "vr180", "spherical", "vr", "head set", "stereo panorama"],
            is_output_node=True,
            inputs=[
                types.Mesh.Input("mesh", tooltip="The DW-Mesh of the clip."),
                types.Trajectory.Input("trajectory", tooltip="The camera path, one pose per frame."),
                io.Combo.Input(
                    "projection",
                    options=list(PROJECTIONS),
                    default="180",
                    tooltip="Degrees across. 180: what lies ahead, a square. 360: the whole turn, twice as wide as high.",
                ),
                io.Combo.Input(
                    "eyes",
                    options=list(EYES),
                    default="side by side",
                    tooltip="One eye, or two in one frame, the left one first. VR180 is side by side.",
                ),
                io.Int.Input(
                    "height",
                    default=1024,
                    min=32,
                    max=4096,
                    step=16,
                    tooltip="Height of one eye in pixels; the width follows from it.",
                ),
                *eye_inputs(),
                io.Int.Input(
                    "supersample",
                    default=1,
                    min=1,
                    max=4,
                    tooltip="Rays per pixel side. 2 or 3 give smoother edges and take longer; EX-4D was trained with 1.",
                ),
                hole_color_input(),
            ],
            outputs=[
                io.Image.Output(display_name="color", tooltip="The panorama, of both eyes if asked for."),
                io.Mask.Output(display_name="seen", tooltip="1 = seen in the clip, 0 = hole. For EX-4D nodes."),
                io.Mask.Output(
                    display_name="holes",
                    tooltip="1 = to be generated, 0 = keep. What VACE and inpainting nodes take as a mask.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(
        cls,
        projection: str | None = None,
        eyes: str | None = None,
        height: int | None = None,
        eye_distance: float | None = None,
        unit: str | None = None,
        hole_color: str | None = None,
    ) -> bool | str:
        problem = choice_problem(cls, projection=projection, eyes=eyes, unit=unit, hole_color=hole_color)
        problem = problem or range_problem(cls, height=height, eye_distance=eye_distance)
        return problem or (None if eyes == "mono" else eye_problem(eye_distance)) or True

    @classmethod
    def execute(
        cls,
        mesh: DWMesh,
        trajectory: Trajectory,
        projection: Projection,
        eyes: Eyes,
        height: int,
        eye_distance: float,
        unit: Unit,
        supersample: int,
        hole_color: str,
    ) -> io.NodeOutput:
        if problem := choice_problem(cls, projection=projection, eyes=eyes, unit=unit, hole_color=hole_color):
            raise EX4DError(problem)
        size = panorama_size(projection, height)
        with Job() as job:
            options: dict[str, Any] = {
                "projection": projection,
                "size": size,
                "supersample": supersample,
                "hole_color": hole_color,
                "progress": job.progress,
                "cancel": job.cancel,
            }
            if eyes == "mono":
                color, seen, _ = render_panorama(mesh, trajectory, **options)
            else:
                left, right = render_panorama_eyes(mesh, trajectory, Rig(eye_distance, unit), **options)
                color = lay_out(left[0], right[0], eyes)
                seen = torch.cat([left[1], right[1]], 2 if eyes == "side by side" else 1)
        color, seen = color.cpu(), seen.cpu()
        video = previews.save_video(
            lambda: small_frames(color, PREVIEW_FRAMES, 2 * preview_pixels()), trajectory.fps, total=len(color)
        )
        share = float(seen.mean(dtype=torch.float64))
        text = f"{len(color)} frames, {color.shape[2]}x{color.shape[1]}\n{share:.1%} of the panorama was seen"
        return io.NodeOutput(color, seen, 1 - seen, ui=previews.ui_video(video, text))


class EX4DSaveVRVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="EX4DSaveVRVideo",
            display_name="Save VR Video (EX-4D)",
            description="Writes an MP4 that tells players what it is: a panorama of 180 or 360 degrees, or two eyes in one "
            "frame.",
            search_aliases=["spherical metadata", "vr180", "360 video", "stereo video", "youtube vr", "sv3d", "st3d"],
            is_output_node=True,
            inputs=[
                io.Image.Input("images", tooltip="The frames; with right connected, those of the left eye."),
                io.Float.Input("fps", default=15.0, min=1.0, max=240.0, step=0.01, tooltip="Frames per second."),
                name_input("EX-4D/vr"),
                io.Combo.Input(
                    "view",
                    options=list(VIEWS),
                    default="180",
                    tooltip="180 or 360: a panorama of so many degrees. flat: an ordinary picture, as from Stereo.",
                ),
                io.Combo.Input(
                    "eyes",
                    options=list(EYES),
                    default="side by side",
                    tooltip="How two eyes lie in a frame, the left one first; mono: there is one.",
                ),
                io.Image.Input(
                    "right", optional=True, tooltip="The right eye's frames, where they are not in images already."
                ),
                io.Audio.Input("audio", optional=True, tooltip="The sound, cut to the video's length."),
            ],
            outputs=[io.String.Output(display_name="path", tooltip="The file's path below the output folder.")],
        )

    @classmethod
    def validate_inputs(
        cls, name: str | None = None, view: str | None = None, eyes: str | None = None, fps: float | None = None
    ) -> bool | str:
        problem = choice_problem(cls, view=view, eyes=eyes) or range_problem(cls, fps=fps)
        return problem or name_problem(name) or True

    @classmethod
    def execute(
        cls,
        images: torch.Tensor,
        fps: float,
        name: str,
        view: View,
        eyes: Eyes,
        right: torch.Tensor | None = None,
        audio: dict[str, Any] | None = None,
    ) -> io.NodeOutput:
        if problem := choice_problem(cls, view=view, eyes=eyes) or name_problem(name):
            raise EX4DError(problem)
        frames = images[..., :3]
        if right is not None:
            if eyes == "mono":
                raise EX4DError(
                    "A right eye is connected and eyes is mono. Choose side by side or over under, or take it off."
                )
            frames = lay_out(frames, right[..., :3], eyes)
        spherical = Spherical(view, eyes)
        spherical.check_size((frames.shape[2], frames.shape[1]))
        folder, stem, counter, subfolder = output_place(name)
        file = f"{stem}_{counter:05}_.mp4"
        with Job() as job:
            save_video(
                Path(folder) / file,
                frames,
                fps,
                audio_from=sound_of(audio),
                spherical=spherical,
                progress=job.progress,
                cancel=job.cancel,
            )
        path = Path(subfolder, file).as_posix()
        text = f"{len(frames)} frames of {frames.shape[2]}x{frames.shape[1]} saved as {path} in ComfyUI's output folder"
        shown: previews.ViewFile = {"filename": file, "subfolder": subfolder, "type": "output"}
        return io.NodeOutput(path, ui=previews.ui_video(shown, text))


def sound_of(audio: dict[str, Any] | None) -> Sound | None:
    """ComfyUI's sound, of its first clip and at most two channels."""
    if audio is None:
        return None
    return Sound(audio["waveform"][0, :2].float().cpu().numpy(), int(audio["sample_rate"]))


NODES = [EX4DRenderPanorama, EX4DSaveVRVideo]
