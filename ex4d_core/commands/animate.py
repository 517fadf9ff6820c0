"""Make one animated mesh of single frames' meshes, of whatever generator: one topology that moves, in one .glb.

The meshes stand in one frame and unit, or --poses places them, or a video with masks does, which also drives a single mesh and
paints. Between their frames the motion is interpolated. The file appears at the end or not at all.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import EX4DError
from ..storage.staging import check_sources, check_targets, staged_file
from .animate_video import Made, VideoJob, add_video_flags, animated, registered, video_job
from .console import ProgressBar, interrupted, say
from .flags import check_file, number, whole

if TYPE_CHECKING:
    import numpy as np

    from ..animate.meshes import MeshFrames
    from ..animate.register.sequence import RegisterOptions
    from ..animate.scores import MeshTruth


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    from ..animate.clean import DEFAULT_FACES, FACES_RANGE
    from ..animate.save import CLIP_FORMATS
    from ..assets.glb import BETWEEN
    from ..camera import DEFAULT_FPS

    add = parser.add_argument_group("meshes").add_argument
    add(
        "--meshes",
        nargs="+",
        required=True,
        help="files (.glb, .gltf, .obj, .ply), one for each key frame, or a folder of them",
    )
    add(
        "--frames",
        default="",
        help='their frames: "0, 6, 12" or "every 3" (default: the numbers in their names, else 0, 1, 2, ...)',
    )
    add("--poses", help=".npz whose array poses (N,4,4) takes each mesh to the source camera (OpenCV), as a similarity")
    add(
        "--fps",
        type=number(0.1, 1000, "frames a second"),
        help=f"of the video that the meshes are of (default: that of --input_video, else {DEFAULT_FPS:g})",
    )
    add(
        "--faces",
        type=whole(0, FACES_RANGE[1]),
        default=DEFAULT_FACES,
        help=f"of each mesh, at most; 0 = all (default {DEFAULT_FACES})",
    )
    add_video_flags(parser)
    add = parser.add_argument_group("registration").add_argument
    add("--reference", type=whole(0), help="which mesh, from 0, gives the topology (default: the best is found)")
    add(
        "--smooth",
        type=number(0, 1, "share"),
        default=0.3,
        help="how far points slide to where their neighbours in time have them (default 0.3)",
    )
    add("--keys_only", action="store_true", help="write the meshes' own frames alone, one after the other")
    add = parser.add_argument_group("output").add_argument
    add("--output", required=True, help="file to write, or the beginning of the names of a sequence")
    add("--format", choices=CLIP_FORMATS, default="glb", help="(default glb, the clip in one file)")
    add("--between", choices=BETWEEN, default="blend", help="what players show between two frames (default blend)")
    add("--truth", help=".npz with vertices (T,W,3), faces (G,3), poses (N,4,4): tells the errors against it")
    add("--json", help="file for these errors")
    add("--scale", type=number(1e-6, 1e6, "metres"), default=1.0, help="metres per unit of the meshes (default 1)")


@dataclass(frozen=True, eq=False)
class AnimateJob:
    """The whole job."""

    files: list[Path]
    frames: list[int]
    poses: np.ndarray | None
    fps: float
    faces: int
    options: RegisterOptions
    output: Path
    format: str
    between: str
    scale: float
    video: VideoJob | None
    truth: MeshTruth | None
    json: Path | None


def run(args: argparse.Namespace) -> int:
    """Check everything, read the meshes, register and write them."""
    from ..animate.frames import facts, mesh_frames
    from ..animate.read import read_mesh
    from ..animate.save import save_mesh_clip

    started = time.monotonic()
    job = animate_job(args)
    with ProgressBar("cleaning the meshes") as bar:
        meshes, done = mesh_frames(
            [read_mesh(file) for file in job.files],
            job.frames,
            fps=job.fps,
            faces=job.faces,
            progress=bar,
            cancel=interrupted,
        )
    for line in facts(meshes, done):
        say(line)
    if job.poses is not None:
        meshes = meshes.placed(job.poses)
    made = registered(meshes, job.options) if job.video is None else animated(job.video, meshes, job.options)
    written = save_mesh_clip(
        job.output, made.clip, format=job.format, between=job.between, scale=job.scale, cancel=interrupted
    )
    for file in written.files:
        print(file)
    for line in written.lines():
        say(line)
    if job.truth is not None:
        _judge(job, meshes, made)
    say(f"done in {time.monotonic() - started:.1f} s")
    return 0


def _judge(job: AnimateJob, meshes: MeshFrames, made: Made) -> None:
    """The errors against the truth: a line each, and as JSON where it was asked for."""
    from ..animate.scores import ROWS, mesh_scores

    assert job.truth is not None
    # A single mesh is driven through every frame, whatever is asked of several.
    whole = job.options.every_frame or len(meshes) == 1
    frames = range(made.clip.start, made.clip.start + len(made.clip)) if whole else meshes.frames
    scores = mesh_scores(made.clip, frames, made.reference, job.truth, made.poses)
    for row in ROWS:
        value = scores[row.name]
        shown = "not computed: no poses to compare" if value is None else f"{value:.2f} {row.unit}".rstrip()
        print(f"  {row.title:<44}{shown}")
    if job.json is not None:
        with staged_file(job.json) as part:
            part.write_text(json.dumps(scores, indent=1) + "\n", encoding="utf-8")


def animate_job(args: argparse.Namespace) -> AnimateJob:
    """The job that the flags describe; refuses what cannot work, before a mesh is read.

    Raises:
        EX4DError: any bad file, value or combination.
    """
    from ..animate.frames import frame_numbers, mesh_files
    from ..animate.register.sequence import RegisterOptions
    from ..camera import DEFAULT_FPS
    from ..video import probe_video

    files = mesh_files(args.meshes)
    frames = frame_numbers(args.frames, len(files), [file.name for file in files])
    if args.reference is not None and args.reference >= len(files):
        raise EX4DError(f"--reference must be below the number of meshes, {len(files)}; got {args.reference}.")
    output = Path(args.output)
    check_targets(output.parent, [output.name])
    check_sources(
        output.parent, [output.name], [*files, args.poses, args.input_video, args.masks, args.depth, args.truth]
    )
    video = video_job(args)
    fps = args.fps or (DEFAULT_FPS if video is None else float(probe_video(video.video).fps))
    options = RegisterOptions(args.reference, args.smooth, not args.keys_only)
    poses = None if args.poses is None else _poses(Path(args.poses))
    driven = probe_video(video.video).frames if video is not None and len(files) == 1 else None
    truth, told = _truth(args, frames, driven)
    return AnimateJob(
        files,
        frames,
        poses,
        fps,
        args.faces,
        options,
        output,
        args.format,
        args.between,
        args.scale,
        video,
        truth,
        told,
    )


def _truth(args: argparse.Namespace, frames: list[int], driven: int | None) -> tuple[MeshTruth | None, Path | None]:
    from ..animate.scores import check_truth, load_truth

    if args.truth is None:
        if args.json is not None:
            raise EX4DError("--json takes the errors against a truth: give --truth too.")
        return None, None
    if args.json is not None:
        check_file("--json", Path(args.json))
    truth = load_truth(args.truth)
    check_truth(truth, frames, driven)
    return truth, None if args.json is None else Path(args.json)


def _poses(path: Path) -> np.ndarray:
    from ..storage.npz import arrays_in

    try:
        return arrays_in(path, "poses")["poses"].astype(float)
    except EX4DError as error:
        raise EX4DError(f"'{path}' is no .npz file with an array called poses (N, 4, 4).") from error
