"""Show what the adapter is trained on: a video with simulated holes, as a film for each sample.

Writes sample_<n>.mp4 (the clip with its holes black) and mask_<n>.mp4 (white = seen) for every sample asked for. The same
seed and number always give the same holes. Rendering masks need the clip's depth, tracking masks none.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import EX4DError
from ..storage.staging import check_targets, staged_folder
from .console import ProgressBar, interrupted, say
from .flags import DEVICES, size, whole
from .recon import build_mesh, read_depth, read_video
from .recon_flags import check_length, checked_depth
from .recon_job import ClipJob, DepthFile, MeshJob

if TYPE_CHECKING:
    from ..mesh import DWMesh
    from ..training.masks import MaskSettings
    from ..training.trackers import Tracker
    from ..video import VideoClip

CRF = 12.0
"""x264's quality of the films, as recon's."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    from ..depth.files import KINDS
    from ..training.masks import DILATIONS, MASK_KINDS, SWEEPS
    from ..video import FITS

    add = parser.add_argument
    add("--input_video", required=True, help="video file, folder of images, or .npz with rgb")
    add("--output_dir", required=True, help="folder for the films; made if missing")
    add("--num_frames", type=whole(1), default=49, help="frames to use (default 49)")
    add("--start", type=whole(0), default=0, help="first frame (default 0)")
    add("--size", type=size(16, 4096), default="512x512", metavar="WxH", help="of the films (default 512x512)")
    add("--fit", choices=FITS, default="crop", help="how the picture fills the size (default crop)")
    add("--depth", help="depth of the clip, as for recon; rendering masks need it")
    add("--depth_kind", choices=KINDS, help="where the file does not say")
    add("--kind", choices=MASK_KINDS, default="mixed", help="of the masks (default mixed: what training draws from)")
    add("--sweep", choices=SWEEPS, default="mixed", help="where the camera of rendering masks goes (default mixed)")
    add("--dilation", choices=DILATIONS, default="seen", help="what the 5x5 box grows (default seen: specks close)")
    add_tracker(parser)
    add("--tracks", help="tracks of the clip as .npz, in place of a tracker: track_path and track_visibility")
    add("--crop", action="store_true", help="let a window of 85 to 95 per cent wander over the clip")
    add("--device", choices=DEVICES, default="cpu", help="where a learned tracker computes (default cpu)")
    add("--samples", type=whole(1, 1000), default=4, help="how many (default 4)")
    add("--seed", type=whole(0), default=0, help="of all draws (default 0)")


def run(args: argparse.Namespace) -> int:
    """Make the films; they appear together at the end or not at all."""
    from ..training.masks import MaskSettings, needs_mesh, needs_tracker
    from ..video import probe_video

    settings = MaskSettings(kind=args.kind, sweep=args.sweep, dilation=args.dilation)
    if needs_mesh(settings.kind) and args.depth is None:
        raise EX4DError(
            f"Masks of the kind {settings.kind} are rendered from the clip's mesh, so they need its depth. Pass --depth "
            "with a file (recon --save_depth writes one), or --kind tracking."
        )
    depth = DepthFile(args.depth, args.depth_kind) if needs_mesh(settings.kind) else None
    tracker = tracker_of(args) if needs_tracker(settings.kind) else None
    names = [f"{what}_{number:03d}.mp4" for number in range(args.samples) for what in ("sample", "mask")]
    check_targets(Path(args.output_dir), names)
    info = probe_video(args.input_video)
    job = ClipJob(args.input_video, args.start, args.num_frames, None, args.size, args.fit)
    check_length(job, info)
    if depth is not None:
        depth = checked_depth(depth, info, args.num_frames)
    with staged_folder(args.output_dir) as stage:
        clip = read_video(job)
        mesh = None if depth is None else mesh_of(clip, depth)
        for number in range(args.samples):
            write_sample(stage, number, clip, mesh, settings, tracker, args)
    for name in names:
        print(Path(args.output_dir) / name)
    return 0


def add_tracker(parser: argparse.ArgumentParser) -> None:
    """Declare what follows points."""
    from ..training.trackers import LEARNED, TRACKER_CHOICES

    add = parser.add_argument
    choices = (*TRACKER_CHOICES, *LEARNED)
    add("--tracker", choices=choices, default="auto", help="what follows points (default auto)")
    add("--tracker_repo", help=f"for {', '.join(LEARNED)}: a checkout of their repository, whose code is run")
    add("--tracker_weights", help="for those: the file with their weights")


def tracker_of(args: argparse.Namespace) -> Tracker:
    """What --tracks or --tracker names."""
    from ..training.trackers import LEARNED, TracksFile, choose_tracker, load_tracker, load_tracks

    if args.tracks is not None:
        return TracksFile(load_tracks(args.tracks))
    check_tracker(args)
    if args.tracker not in LEARNED:
        return choose_tracker(args.tracker)
    return load_tracker(args.tracker, args.tracker_repo, args.tracker_weights, args.device)


def tracker_identity(args: argparse.Namespace) -> str:
    """What tells the tracker of --tracker from others, its weights included."""
    from ..training.trackers import LEARNED, identity

    check_tracker(args)
    return identity(args.tracker, args.tracker_weights) if args.tracker in LEARNED else args.tracker


def check_tracker(args: argparse.Namespace) -> None:
    """Refuse a network without its files, and files without their network."""
    from ..training.trackers import LEARNED

    if args.tracker not in LEARNED and (args.tracker_repo or args.tracker_weights):
        raise EX4DError(f"--tracker_repo and --tracker_weights are for --tracker {', '.join(LEARNED)}.")
    if args.tracker in LEARNED and not (args.tracker_repo and args.tracker_weights):
        raise EX4DError(
            f"The tracker {args.tracker} is a network of its own: give its checkout with --tracker_repo and its file with "
            "--tracker_weights. Nothing is downloaded."
        )


def mesh_of(clip: VideoClip, depth: DepthFile) -> DWMesh:
    """The clip's mesh in paper style, whose quads agree as A.3 has it."""
    from ..published import DEPTH_JUMP, MIN_ANGLE

    return build_mesh(MeshJob("paper", MIN_ANGLE, DEPTH_JUMP, None, None), clip, read_depth(depth, clip))


def write_sample(
    stage: Path,
    number: int,
    clip: VideoClip,
    mesh: DWMesh | None,
    settings: MaskSettings,
    tracker: Tracker | None,
    args: argparse.Namespace,
) -> None:
    """The two films of one sample."""
    from ..training.draws import stream
    from ..training.masks import crop_frames, crop_mask, draw_crop, simulate_mask
    from ..video import save_video

    with ProgressBar(f"sample {number}") as bar:
        bar(0, 1)
        mask = simulate_mask(
            clip.frames, settings, seed=args.seed, sample=number, mesh=mesh, tracker=tracker, cancel=interrupted
        )
        frames, seen = clip.frames, mask.seen
        if args.crop:
            window = draw_crop(len(frames), stream(args.seed, number, "crop"))
            frames, seen = crop_frames(frames, window), crop_mask(seen, window)
        films = {"sample": frames * seen[..., None], "mask": seen.to(clip.frames.dtype) * 255}
        for name, film in films.items():
            save_video(stage / f"{name}_{number:03d}.mp4", film, clip.fps, crf=CRF, cancel=interrupted)
        bar(1, 1)
    say(f"sample {number}: {mask.summary()}")
