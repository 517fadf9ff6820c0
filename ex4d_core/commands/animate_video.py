"""The part of ``animate`` that looks at the video: meshes placed in it, a single one driven by it or all registered, painted."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import EX4DError
from ..machine import extras
from .console import ProgressBar, interrupted, say
from .flags import number

if TYPE_CHECKING:
    import numpy as np

    from ..animate.bake import Paint
    from ..animate.meshes import MeshClip, MeshFrames
    from ..animate.register.sequence import RegisterOptions, Tracks
    from ..animate.tracks import PictureTracks
    from ..camera import Intrinsics
    from ..depth import DepthClip
    from ..depth.source import Kind
    from ..video import VideoClip

NO_PAINT = "none"


@dataclass(frozen=True)
class VideoJob:
    """What of the video is looked at.

    Attributes:
        video: of which the meshes are, whole.
        masks: the object in each of its frames, white.
        depth: file of its depth, or None.
        kind: of that depth, where the file does not say.
        fov: vertical degrees; None = the depth's, or EX-4D's usual.
        paint: how the video paints the mesh; None = not.
    """

    video: str
    masks: str
    depth: str | None
    kind: Kind | None
    fov: float | None
    paint: Paint | None


def add_video_flags(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    from ..animate.bake import PAINTS
    from ..depth.files import KINDS

    add = parser.add_argument_group("video: places the meshes, drives a single one, and paints").add_argument
    add("--input_video", help="the whole video whose frames --frames counts; with --masks")
    add("--masks", help="video or folder of the same frames and size, the object white on black")
    add("--depth", help="file of the video's depth, as for recon")
    add("--depth_kind", choices=KINDS, help="where the file does not say")
    add("--fov", type=number(1, 170, "degrees"), help="vertical field of view (default: the depth's, or EX-4D's usual)")
    add(
        "--paint", choices=(*PAINTS, NO_PAINT), default=PAINTS[0], help=f"with the video's pixels (default {PAINTS[0]})"
    )


def video_job(args: argparse.Namespace) -> VideoJob | None:
    """What the flags ask of the video; None where none is given.

    Raises:
        EX4DError: one of video and masks alone, or what needs them without them.
    """
    if (args.input_video is None) != (args.masks is None):
        given, missing = ("--masks", "--input_video") if args.input_video is None else ("--input_video", "--masks")
        raise EX4DError(f"{given} was given without {missing}. The video and the object's masks belong together.")
    if args.input_video is None:
        if args.depth is not None or args.fov is not None:
            raise EX4DError("--depth and --fov are of a video: give --input_video and --masks too.")
        return None
    paint = None if args.paint == NO_PAINT else args.paint
    return VideoJob(args.input_video, args.masks, args.depth, args.depth_kind, args.fov, paint)


@dataclass(frozen=True, eq=False)
class Made:
    """What came of it.

    Attributes:
        clip: the mesh that moves.
        reference: the video's frame whose mesh it is.
        poses: (N, 4, 4) of the meshes; None where they were not placed.
    """

    clip: MeshClip
    reference: int
    poses: np.ndarray | None


def animated(job: VideoJob, meshes: MeshFrames, options: RegisterOptions) -> Made:
    """One mesh that moves with the video: the only one driven by it, or several registered.

    Raises:
        EX4DError: files that cannot be read or do not belong together, meshes that fit nowhere.
    """
    from ..animate.bake import bake_texture

    clip, masks, depth = _read(job)
    lens = _lens(job, depth, masks.shape[2], masks.shape[1])
    planes = None if depth is None else depth.depth.float().cpu().numpy()
    if meshes.poses is None:
        meshes = _placed(meshes, masks, planes, lens, clip)
    elif meshes.lenses is None:
        meshes = meshes.placed(meshes.poses, (lens,) * len(meshes))
    tracks = _tracks(clip)
    if len(meshes) == 1:
        made = _driven(meshes, masks, planes, tracks, lens, options)
    else:
        made = _registered(meshes, tracks, options)
    if job.paint is None:
        return made
    with ProgressBar("painting") as bar:
        baked = bake_texture(
            made.clip, clip.frames.numpy(), lens, masks=masks, paint=job.paint, progress=bar, cancel=interrupted
        )
    say(f"the video shows {baked.seen:.0%} of the surface")
    return replace(made, clip=baked.clip)


def _read(job: VideoJob) -> tuple[VideoClip, np.ndarray, DepthClip | None]:
    import numpy as np

    from ..depth.files import load_depth
    from ..video import load_video

    with ProgressBar("reading the video") as bar:
        clip = load_video(job.video, progress=bar, cancel=interrupted)
    with ProgressBar("reading the masks") as bar:
        masks = load_video(job.masks, progress=bar, cancel=interrupted).frames
    if masks.shape != clip.frames.shape:
        sizes = [f"{frames.shape[0]} frames of {frames.shape[2]}x{frames.shape[1]}" for frames in (clip.frames, masks)]
        raise EX4DError(f"The video has {sizes[0]}, the masks {sizes[1]}. Give masks of the same frames and size.")
    depth = None
    if job.depth is not None:
        with ProgressBar("reading the depth") as bar:
            depth = load_depth(job.depth, clip, kind=job.kind, progress=bar, cancel=interrupted)
    return clip, masks[..., 0].numpy() / np.float32(255), depth


def _lens(job: VideoJob, depth: DepthClip | None, width: int, height: int) -> Intrinsics:
    from ..camera import Intrinsics

    if job.fov is not None:
        return Intrinsics.from_fov(job.fov, width, height)
    if depth is not None and depth.intrinsics is not None:
        return depth.intrinsics
    return Intrinsics.default(width, height)


def _placed(
    meshes: MeshFrames, masks: np.ndarray, depth: np.ndarray | None, lens: Intrinsics, clip: VideoClip
) -> MeshFrames:
    from ..animate.fit import fit_meshes

    with ProgressBar("placing the meshes") as bar:
        images = clip.frames.numpy()
        placed = fit_meshes(meshes, masks, lens, depth=depth, images=images, progress=bar, cancel=interrupted)
    for frame, iou in zip(meshes.frames, placed.iou, strict=True):
        say(f"frame {frame}: mesh and mask overlap by {iou:.0%}")
    return placed.meshes


def _tracks(clip: VideoClip) -> PictureTracks | None:
    """Points of the pictures, where OpenCV is there."""
    from ..animate.tracks import PictureTracks
    from ..solve import follow_points, grey_frames

    if not extras.has("cv2"):
        say("note: no points were followed, since OpenCV is not installed.")
        return None
    with ProgressBar("following points") as bar:
        followed = follow_points(grey_frames(clip.frames), progress=bar, cancel=interrupted)
    return PictureTracks.followed(followed.position)


def _driven(
    meshes: MeshFrames,
    masks: np.ndarray,
    depth: np.ndarray | None,
    tracks: PictureTracks | None,
    lens: Intrinsics,
    options: RegisterOptions,
) -> Made:
    from ..animate.drive import DriveOptions, drive

    with ProgressBar("driving the mesh") as bar:
        driven = drive(
            meshes,
            masks,
            lens,
            depth=depth,
            tracks=tracks,
            options=DriveOptions(smooth=options.smooth),
            progress=bar,
            cancel=interrupted,
        )
    for line in driven.lines():
        say(line)
    return Made(driven.clip, meshes.frames[0], meshes.poses)


def _registered(meshes: MeshFrames, tracks: PictureTracks | None, options: RegisterOptions) -> Made:
    from ..animate.tracks import lifted

    return registered(meshes, options, None if tracks is None else lifted(tracks, meshes))


def registered(meshes: MeshFrames, options: RegisterOptions, tracks: Tracks | None = None) -> Made:
    """Several meshes as one that moves, and on the console how it came about."""
    from ..animate.register.sequence import register

    with ProgressBar("registering") as bar:
        made = register(meshes, options, tracks=tracks, progress=bar, cancel=interrupted)
    for line in made.lines(meshes.frames):
        say(line)
    return Made(made.clip, meshes.frames[made.reference], meshes.poses)
