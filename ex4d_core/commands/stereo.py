"""Film a video anew with two eyes: a 3D picture or a VR panorama, and for each eye colour and mask to generate from.

Writes stereo.mp4, which tells players what it is, and color_left, mask_left, color_right and mask_right.mp4. With
--left_result, the video generated from color_left.mp4, the right eye takes over what was generated for the left one. The files
appear together at the end or not at all.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import EX4DError
from ..storage.staging import check_sources, check_targets, staged_folder
from .console import ProgressBar, interrupted, say
from .flags import add_renderer, check_renderer, number, whole
from .jobs.files import JobFiles
from .recon_flags import (
    add_camera,
    add_depth,
    add_hole_color,
    add_mesh,
    add_video,
    one_camera,
    scene_job,
    scene_sources,
)
from .recon_job import CameraPath, SceneJob

if TYPE_CHECKING:
    from torch import Tensor

    from ..mesh import DWMesh
    from ..render import BackendChoice, Projection
    from ..stereo import Layout, Rig
    from ..trajectory import Trajectory
    from ..video import Sound, Spherical, VideoClip, VideoInfo

FILES = ("stereo.mp4", "color_left.mp4", "mask_left.mp4", "color_right.mp4", "mask_right.mp4")
OFF = "off"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags; those of video, depth, camera and mesh are recon's."""
    from ..render import PROJECTIONS
    from ..stereo import HEROES, LAYOUTS, UNITS

    add_video(parser.add_argument_group("video"))
    add_depth(parser.add_argument_group("depth"))
    add_camera(parser.add_argument_group("camera, exactly one"))
    add_mesh(parser.add_argument_group("mesh"))
    group = parser.add_argument_group("eyes")
    add = group.add_argument
    add("--eye_distance", type=number(1e-9, 1e6, "units"), default=0.06, help="between the eyes (default 0.06)")
    add(
        "--unit",
        choices=UNITS,
        default=UNITS[0],
        help="of it; mm only where the depth is in metres (default scene units)",
    )
    add(
        "--convergence",
        type=number(0, 1e6, "units"),
        default=0.0,
        help="distance that lies on the screen, in scene units (default 0: of the point that paths turn around)",
    )
    add(
        "--path_is", choices=HEROES, default=HEROES[0], help="which eye stands on the path (default both, between them)"
    )
    add("--layout", choices=LAYOUTS, default=LAYOUTS[0], help=f"of stereo.mp4 (default {LAYOUTS[0]})")
    add(
        "--panorama",
        choices=[OFF, *PROJECTIONS],
        default=OFF,
        help="degrees for a head set, in place of an ordinary picture: 180 side by side, 360 over under (default off)",
    )
    add("--height", type=whole(32, 4096), default=1024, help="of one eye's panorama in pixels (default 1024)")
    add("--left_result", metavar="VIDEO", help="the finished left eye, carried over to the right one")
    add_renderer(add)
    add_hole_color(group)
    out = parser.add_argument_group("output").add_argument
    out("--output_dir", required=True, help="folder to write to; made where it is not there")
    out("--crf", type=number(0, 51), default=12.0, help="x264 quality, 0 best to 51 (default 12)")


@dataclass(frozen=True)
class StereoJob:
    """The whole job.

    Attributes:
        scene, camera: what is filmed, along which path.
        rig: the eyes; a convergence of infinity stands for that of the scene's pivot.
        layout: of an ordinary picture.
        panorama: degrees; None = an ordinary picture.
        height: of a panorama's eye.
        left_result: the finished left eye.
        backend, device, hole_color: of the renderer.
        folder, crf: of the files.
    """

    scene: SceneJob
    camera: CameraPath
    rig: Rig
    layout: Layout
    panorama: Projection | None
    height: int
    left_result: str | None
    backend: BackendChoice
    device: str | None
    hole_color: str
    folder: Path
    crf: float


def run(args: argparse.Namespace) -> int:
    """Check everything, film both eyes, write them."""
    from .recon import path_around, scene_mesh, sound_of

    started = time.monotonic()
    job = stereo_job(args)
    mesh, clip = scene_mesh(job.scene)
    path = path_around(mesh, job.camera, job.scene.frames, clip.fps)
    sound = sound_of(clip, path, mesh.frames, "none", job.camera.name)
    with staged_folder(job.folder) as stage:
        if job.panorama is None:
            _picture(job, mesh, path, clip.fps, sound, stage)
        else:
            _panorama(job, mesh, path, clip.fps, sound, stage)
    for name in FILES:
        print(job.folder / name)
    say(f"done in {time.monotonic() - started:.1f} s")
    return 0


def check(args: argparse.Namespace) -> None:
    """Refuse what cannot work."""
    stereo_job(args)


def files(args: argparse.Namespace) -> JobFiles:
    """What is read and written."""
    return JobFiles.of((*scene_sources(args), args.left_result), (Path(args.output_dir) / name for name in FILES))


def stereo_job(args: argparse.Namespace) -> StereoJob:
    """The job that the flags describe; refuses what cannot work, before anything heavy is loaded or written.

    Raises:
        EX4DError: any bad file, value or combination.
    """
    from ..pixels import hole_color_of
    from ..stereo import Rig
    from ..video import probe_video

    check_renderer(args.backend, args.device)
    hole_color_of(args.hole_color)
    camera = one_camera(args)
    if camera is None:
        raise EX4DError(
            "Two eyes need a path to stand on. Give --cam or --camera; --cam static stays where the clip was filmed."
        )
    panorama = None if args.panorama == OFF else args.panorama
    if panorama is not None and args.left_result is not None:
        raise EX4DError("--left_result is carried over in ordinary pictures only. Leave it or --panorama out.")
    rig = Rig(args.eye_distance, args.unit, args.convergence or float("inf"), args.path_is)
    folder = Path(args.output_dir)
    check_targets(folder, FILES)
    check_sources(folder, FILES, (*scene_sources(args), args.left_result))
    scene = scene_job(args, (camera,))
    if args.left_result is not None:
        _check_result(probe_video(args.left_result), args.left_result, scene)
    return StereoJob(
        scene, camera, rig, args.layout, panorama, args.height, args.left_result, args.backend, args.device,
        args.hole_color, folder, args.crf,
    )  # fmt: skip


def _check_result(info: VideoInfo, name: str, scene: SceneJob) -> None:
    """Refuse a result that cannot be of this left eye."""
    given, wanted = (info.frames, *info.size), (scene.frames, *scene.clip.size)
    if given[0] is not None and given != wanted:
        raise EX4DError(
            f"--left_result '{name}' has {given[0]} frames of {given[1]}x{given[2]}, and the left eye {wanted[0]} of "
            f"{wanted[1]}x{wanted[2]}. It must be the video made of color_left.mp4, all of it."
        )


def _picture(
    job: StereoJob, mesh: DWMesh, path: Trajectory, fps: float, sound: VideoClip | Sound | None, stage: Path
) -> None:
    """Both eyes as an ordinary picture, the right one guided by the left one's result where there is one."""
    from ..pixels import hole_color_of
    from ..stereo import carry_over, lay_out, render_stereo
    from ..video import Spherical, load_video
    from ..video.spherical import EYES

    rig = job.rig if math.isfinite(job.rig.convergence) else replace(job.rig, convergence=mesh.radius)
    with ProgressBar("filming both eyes") as bar:
        pair = render_stereo(
            mesh,
            path,
            rig,
            backend=job.backend,
            device=job.device,
            hole_color=job.hole_color,
            out_dtype="uint8",
            progress=bar,
            cancel=interrupted,
        )
    for line in ["nothing was seen"] if pair.disparity is None else pair.disparity.lines():
        say(line)
    left, right = pair.left.color, (pair.right.color, pair.right.mask)
    if job.left_result is not None:
        size = (left.shape[2], left.shape[1])
        with ProgressBar("reading the left eye's result") as bar:
            result = load_video(job.left_result, count=len(left), size=size, progress=bar, cancel=interrupted).frames
        left = result.to(left)
        with ProgressBar("carrying it over") as bar:
            guided = carry_over(pair, left, hole_color=hole_color_of(job.hole_color), progress=bar, cancel=interrupted)
        say(f"right eye: {guided.holes_before:.1%} holes, {guided.holes_after:.1%} after carrying over")
        right = guided.color, guided.mask
    marks = Spherical("flat", job.layout) if job.layout in EYES else None  # squeezed eyes and anaglyphs have no mark
    videos = (lay_out(left, right[0], job.layout), left, pair.left.mask, *right)
    _write(job, videos, fps, sound, marks, stage)


def _panorama(
    job: StereoJob, mesh: DWMesh, path: Trajectory, fps: float, sound: VideoClip | Sound | None, stage: Path
) -> None:
    """Both eyes all around, or what lies ahead, as head sets take it."""
    from ..render import panorama_size
    from ..stereo import lay_out, render_panorama_eyes
    from ..video import Spherical

    assert job.panorama is not None
    with ProgressBar("filming both eyes") as bar:
        left, right = render_panorama_eyes(
            mesh,
            path,
            job.rig,
            projection=job.panorama,
            size=panorama_size(job.panorama, job.height),
            device=job.device,
            hole_color=job.hole_color,
            out_dtype="uint8",
            progress=bar,
            cancel=interrupted,
        )
    eyes = "side by side" if job.panorama == "180" else "over under"
    _write(
        job,
        (lay_out(left[0], right[0], eyes), *left[:2], *right[:2]),
        fps,
        sound,
        Spherical(job.panorama, eyes),
        stage,
    )


def _write(
    job: StereoJob,
    videos: tuple[Tensor, ...],
    fps: float,
    sound: VideoClip | Sound | None,
    marks: Spherical | None,
    stage: Path,
) -> None:
    """Both eyes in one video, with the sound and what players are told, and each eye's colour and mask."""
    from ..video import save_video

    with ProgressBar("writing") as bar:
        for number, (name, video) in enumerate(zip(FILES, videos, strict=True)):
            save_video(
                stage / name,
                video.cpu(),
                fps,
                audio_from=None if number else sound,
                crf=job.crf,
                spherical=None if number else marks,
                cancel=interrupted,
            )
            bar(number + 1, len(FILES))
