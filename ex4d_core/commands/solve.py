"""Find the path of the camera that filmed a clip, from the clip and its depth; no network and no download.

Writes the path as a camera file of any format, for recon --source_camera or another program, and with --picture what it
rests on. Where the clip cannot be solved it says why and writes nothing. Needs OpenCV (the extra "tracking").
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import EX4DError
from ..machine import extras
from ..storage.staging import staged_file
from .console import ProgressBar, interrupted, say
from .jobs.files import JobFiles
from .recon_flags import DEFAULT_FRAMES, add_depth, add_video, check_length, depth_job, largest_size
from .recon_job import ClipJob

if TYPE_CHECKING:
    from ..depth import DepthClip
    from ..solve import Solution
    from ..video import VideoClip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags; those of video and depth are recon's."""
    from ..camera_io import written_formats

    add_video(parser.add_argument_group("video"))
    add_depth(parser.add_argument_group("depth"))
    group = parser.add_argument_group("output")
    endings = " ".join(dict.fromkeys(entry.suffixes[0] for entry in written_formats().values()))
    group.add_argument("--output", required=True, help=f"camera file to write: {endings}")
    group.add_argument("--picture", help="also write a picture of path and points (.png or .jpg)")
    parser.set_defaults(device=None)


def run(args: argparse.Namespace) -> int:
    """Read, solve, write."""
    from ..camera import Intrinsics
    from ..solve import solve_source_camera
    from ..trajectory import save_camera
    from .recon import depth_source, read_video

    job = clip_job(args)
    output, shape = Path(args.output), job.size
    depth_of = depth_source(depth_job(args), args.focal)
    clip = read_video(job)
    depth = depth_of(clip)
    lens = depth.intrinsics if args.focal is None else Intrinsics.from_focal(args.focal, *shape)
    started = time.monotonic()
    with ProgressBar("solving the camera") as bar:
        solution = solve_source_camera(
            clip.frames, depth.depth, lens, fps=float(clip.fps), progress=bar, cancel=interrupted
        )
    if args.picture:
        save_picture(Path(args.picture), solution, clip, depth)
    if solution.trouble is not None:
        raise EX4DError(
            f"{solution.trouble} No camera was written; without --source_camera the camera counts as fixed."
        )
    camera = solution.camera.for_scene(lens or Intrinsics.default(*shape))
    print(save_camera(camera, output))
    if args.picture:
        print(args.picture)
    say(
        f"{int(solution.still.sum())} of {len(solution.tracks)} points were used, {solution.residual:.2f} pixels off, "
        f"in {time.monotonic() - started:.1f} s"
    )
    if solution.flickers:
        low, high = (float(v) for v in (solution.depth_scale.min(), solution.depth_scale.max()))
        say(f"note: the depth's scale changes from frame to frame, by factors of {low:.3f} to {high:.3f}.")
    return 0


def clip_job(args: argparse.Namespace) -> ClipJob:
    """The frames that the flags ask for; refuses what cannot work, before anything heavy is loaded or written.

    Raises:
        EX4DError: any bad file or value, or a missing package.
    """
    from ..camera_io import format_to_write
    from ..video import probe_video

    extras.check("cv2", "Solving the source camera")
    format_to_write(Path(args.output), None)
    if args.picture and Path(args.picture).suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise EX4DError(f"--picture must end in .png or .jpg, got '{Path(args.picture).name}'.")
    info = probe_video(args.input_video)
    shape = args.size or largest_size(info)
    job = ClipJob(args.input_video, args.start, args.num_frames or DEFAULT_FRAMES, args.fps, shape, args.fit)
    check_length(job, info)
    return job


def check(args: argparse.Namespace) -> None:
    """Refuse what cannot work."""
    clip_job(args)
    depth_job(args)


def files(args: argparse.Namespace) -> JobFiles:
    """What is read and written."""
    return JobFiles.of((args.input_video, args.depth), (args.output, args.picture))


def save_picture(path: Path, solution: Solution, clip: VideoClip, depth: DepthClip) -> None:
    """What the solution rests on, for the eye."""
    from PIL import Image

    from ..mesh import build_dw_mesh
    from ..preview.path_picture import mesh_points
    from ..preview.source_picture import draw_source_camera

    first = build_dw_mesh(clip.frames[:1], depth.depth[:1], depth.intrinsics, border_depth=depth.border_depth)
    points, colors = mesh_points(first)
    picture = draw_source_camera(
        clip.frames[0].numpy(),
        solution.tracks.position,
        solution.still,
        solution.camera,
        points=points,
        colors=colors,
        radius=first.radius,
    )
    with staged_file(path) as part:
        Image.fromarray(picture).save(part, "PNG" if path.suffix.lower() == ".png" else "JPEG")
