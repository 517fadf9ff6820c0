"""Prepare videos for training: clips without cuts, simulated masks, latents and features, one file a clip.

Takes a folder of videos, or a .jsonl whose lines are {"video": "a.mp4", "caption": "...", "depth": "a.npz", "split":
"validation"}; all but the video may be left out. Work that ended early goes on where it was. Several processes share it
with --part 0/4 and so on, or started by torchrun. Videos that give no clip are listed with the reason.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ..errors import EX4DError
from .console import ProgressBar, interrupted, say
from .flags import DEVICES, number, size, whole
from .masks import add_tracker, tracker_identity, tracker_of
from .recon import depth_source
from .recon_job import DepthEstimate

if TYPE_CHECKING:
    from ..depth import DepthClip
    from ..depth.files import Kind
    from ..training.prepare import Video
    from ..video import VideoClip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    from ..depth.files import KINDS
    from ..training.masks import DILATIONS, MASK_KINDS, SWEEPS
    from ..training.prepare import PrepareSettings

    usual = PrepareSettings()
    add = parser.add_argument
    add("--videos", required=True, help="folder of videos, or a .jsonl")
    add("--output_dir", required=True, help="folder for the prepared clips")
    add("--encoders", required=True, help="folder with vae, text_encoder, tokenizer, image_encoder (diffusers' layout)")
    add("--vae", help="Wan's VAE in place of that folder's: a file or folder")
    add("--num_frames", type=whole(1), default=usual.frames, help=f"of a clip, 4n+1 (default {usual.frames})")
    add("--size", type=size(16, 4096), default=usual.size, metavar="WxH", help="of clips (default 512x512)")
    add("--fps", type=number(0.01, 1000), default=usual.fps, help=f"of clips (default {usual.fps:g})")
    add("--variants", type=whole(1), default=usual.variants, help=f"masks for each clip (default {usual.variants})")
    add("--clips_per_video", type=whole(1), default=usual.per_video, help=f"at most (default {usual.per_video})")
    add("--crop", action="store_true", help="let a window of 85 to 95 per cent wander; takes --variants 1")
    add("--kind", choices=MASK_KINDS, default=usual.masks.kind, help=f"of the masks (default {usual.masks.kind})")
    add("--sweep", choices=SWEEPS, default=usual.masks.sweep, help=f"of rendering masks (default {usual.masks.sweep})")
    add("--dilation", choices=DILATIONS, default=usual.masks.dilation, help="what the 5x5 box grows (default seen)")
    add_tracker(parser)
    add("--seed", type=whole(0), default=usual.seed, help=f"of all draws (default {usual.seed})")
    add("--depth_kind", choices=KINDS, help="of depth files that do not say")
    add("--estimate_depth", action="store_true", help="DepthCrafter for videos without a depth file")
    add("--depth_model", help="DepthCrafter: folder or Hugging Face id of its UNet")
    add("--depth_base", help="DepthCrafter: folder or id of Stable Video Diffusion (autoencoder, CLIP)")
    add("--models_dir", help="where ids are looked for and downloaded (default models/depthcrafter)")
    add("--offline", action="store_true", help="never download")
    add(
        "--device",
        choices=DEVICES,
        default="cpu",
        help="where encoders, DepthCrafter and masks' renders compute (default cpu)",
    )
    add(
        "--part", type=_part, help="share of the work, as 0/4 (default: all of it, or what torchrun gives this process)"
    )


def run(args: argparse.Namespace) -> int:
    """Prepare what has no record yet; finished videos stay, whatever happens."""
    from ..published import DEPTH_SEED, DEPTH_STEPS
    from ..training.encoders import load_encoders
    from ..training.masks import MaskSettings, needs_mesh, needs_tracker
    from ..training.prepare import AUTO, PrepareSettings, prepare, read_manifest

    masks = MaskSettings(kind=args.kind, sweep=args.sweep, dilation=args.dilation)
    tracked = tracker_identity(args) if needs_tracker(masks.kind) else AUTO
    settings = PrepareSettings(
        args.num_frames, args.size, args.fps, args.variants, args.clips_per_video, args.crop, masks, args.seed, tracked
    )
    videos = read_manifest(args.videos)
    estimate = None
    if needs_mesh(masks.kind):
        check_depth(videos, args)
        if args.estimate_depth and any(video.depth is None for video in videos):
            estimate = depth_source(
                DepthEstimate(
                    args.depth_model,
                    args.depth_base,
                    args.models_dir,
                    args.offline,
                    DEPTH_STEPS,
                    DEPTH_SEED,
                    args.device,
                )
            )
    args.tracks = None
    tracker = tracker_of(args) if needs_tracker(masks.kind) else None
    encoders = load_encoders(args.encoders, vae=args.vae, device=args.device)
    with ProgressBar("preparing videos") as bar:
        found = prepare(
            videos,
            args.output_dir,
            settings,
            encoders,
            depth_of=partial(depth_of, args.depth_kind, estimate),
            tracker=tracker,
            device=args.device,
            part=args.part or _launched(),
            progress=bar,
            cancel=interrupted,
        )
    for video, reason in found.dropped.items():
        say(f"dropped {video}: {reason}")
    say(
        f"{found.clips} clips of {len(videos)} videos, {len(found.dropped)} dropped, {found.left} left to other processes"
    )
    if found.made:
        say(found.summary(settings.variants))
    print(args.output_dir)
    return 0


def check_depth(videos: Sequence[Video], args: argparse.Namespace) -> None:
    """Refuse rendering masks for videos whose depth nobody knows."""
    without = [video.path for video in videos if video.depth is None]
    if without and not args.estimate_depth:
        raise EX4DError(
            f"Masks of the kind {args.kind} are rendered from depth, and {len(without)} of {len(videos)} videos have none "
            f"({without[0]} first). Name files in the manifest, or pass --estimate_depth, or --kind tracking."
        )


def depth_of(
    kind: Kind | None, estimate: Callable[[VideoClip], DepthClip] | None, video: Video, clip: VideoClip
) -> DepthClip:
    """The depth of a clip: from its video's file, or estimated."""
    from ..depth.files import load_depth

    if video.depth is None:
        assert estimate is not None  # check_depth has seen to it
        return estimate(clip)
    return load_depth(video.depth, clip, kind=kind, cancel=interrupted)


def _part(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text.strip())
    if match is None or not int(match[1]) < int(match[2]):
        raise argparse.ArgumentTypeError(f"must be like 0/4, up to 3/4, got '{text}'.")
    return int(match[1]), int(match[2])


def _launched() -> tuple[int, int]:
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
