"""Render the final video from colour and mask video with Wan2.1 and the EX-4D adapter, in a ComfyUI checkout.

The flags of the published script are the same. Weight files are paths, or names in ComfyUI's models folders; without a
flag the usual names are looked for there.
"""

from __future__ import annotations

import argparse
import math
import os

from .. import published
from ..composite.settings import BLENDS, KeepSettings, check_settings
from ..errors import EX4DError
from ..wan.job import Job, WeightFiles
from ..wan.settings import DTYPES, EROSIONS, FITS, PUBLISHED, ClipSettings, Run
from . import comfyui
from .jobs.files import JobFiles

ON_OFF = ("on", "off")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of ``python -m ex4d_core generate``."""
    add, job, clip, run, keep = parser.add_argument, Job("", None, ""), ClipSettings(), Run(), KeepSettings()
    add("--color_video", required=True, help="colour video, or frames_*.npz of recon --save_frames (colour and mask)")
    add("--mask_video", help="mask video, white = seen; not needed with an .npz")
    add("--output_video", required=True, help="the video to write (.mp4)")
    comfyui.add_arguments(parser)
    add("--height", type=int, default=published.HEIGHT)
    add("--width", type=int, default=published.WIDTH)
    add(
        "--num_frames",
        type=int,
        default=published.FRAMES,
        help=f"4n + 1; 0 = all of the clip (default {published.FRAMES})",
    )
    add("--fit", choices=FITS, default=clip.fit, help=f"when the size differs (default {clip.fit})")
    add("--fps", type=float, default=published.FPS, help=f"of the output (default {published.FPS:g})")
    add("--seed", type=int, default=run.seed)
    add("--num_inference_steps", type=int, default=run.steps)
    add("--cfg", type=float, default=run.cfg)
    add("--shift", type=float, default=run.shift)
    add("--sampler", default=run.sampler, help=f"one of ComfyUI's samplers (default {run.sampler})")
    add("--scheduler", default=run.scheduler, help=f"{PUBLISHED}, or one of ComfyUI's schedulers")
    add("--few_steps", type=int, metavar="N", help="N steps at cfg 1, for a distilled LoRA given with --lora")
    add("--lora", action="append", default=[], metavar="FILE[:STRENGTH]", help="a further LoRA; may be repeated")
    add("--lora_strength", type=float, default=job.lora_strength, help="of the adapter's LoRA (default 1)")
    add("--prior_strength", type=float, default=job.prior_strength, help="of the adapter's prior (default 1)")
    add("--erosion", choices=EROSIONS, default=clip.erosion, help=f"widening of the holes (default {clip.erosion})")
    add("--erosion_size", type=int, default=clip.kernel, help="pixels, for fixed")
    add("--erosion_seed", type=int, default=clip.seed, help="for random")
    add(
        "--segment_frames",
        type=int,
        default=run.segment,
        help=f"longest piece made at once, 4n + 1; 0 = any (default {run.segment})",
    )
    add(
        "--segment_overlap",
        type=int,
        default=run.overlap,
        help=f"frames that neighbouring pieces share (default {run.overlap})",
    )
    add(
        "--keep_seen",
        type=float,
        nargs="?",
        const=keep.strength,
        metavar="STRENGTH",
        help="lay the rendered colour over the result where it was seen, 0..1 (1 where no number follows)",
    )
    add("--keep_feather", type=int, help=f"for --keep_seen: pixels over which it fades in (default {keep.feather})")
    add("--keep_blend", choices=BLENDS, help=f"for --keep_seen: how it fades in (default {keep.blend})")
    add(
        "--keep_match",
        choices=ON_OFF,
        help="for --keep_seen: bring the result's colours to the rendered ones over time (default on)",
    )
    add("--vae_tiles", type=int, default=run.tile, help="side of VAE tiles in pixels; 0 = whole frames")
    add("--dtype", choices=DTYPES, default=job.dtype, help="of the model's weights")
    add("--prompt", default=job.prompt)
    add("--negative_prompt", default=job.negative_prompt)
    add(
        "--prompt_embeds",
        help="safetensors with positive, negative and optionally clip_vision, in place of both encoders",
    )
    add("--ex4d_path", help="the adapter (models/ex4d)")
    add("--dit_dir", help="Wan2.1 I2V 14B: a file (models/diffusion_models) or a folder of shards")
    add("--vae_path", help="Wan 2.1 VAE (models/vae)")
    add("--text_encoder_path", help="umt5-xxl (models/text_encoders)")
    add("--clip_path", help="CLIP vision H (models/clip_vision)")


def run(args: argparse.Namespace) -> int:
    """Check what can be checked here, then hand over to a process in ComfyUI's folder, which checks the rest."""
    job = job_of(args)
    check_job(job)
    return comfyui.run("generate", job.to_json(), args)


def check(args: argparse.Namespace) -> None:
    """Refuse what can be refused without ComfyUI, and a ComfyUI that is not there."""
    comfyui.check(args)
    check_job(job_of(args))


def files(args: argparse.Namespace) -> JobFiles:
    """What is read and written; a name in ComfyUI's folders counts as itself."""
    weights = (args.ex4d_path, args.dit_dir, args.vae_path, args.text_encoder_path, args.clip_path)
    read = (
        args.color_video,
        args.mask_video,
        args.prompt_embeds,
        *weights,
        *(comfyui.lora(text)[0] for text in args.lora),
    )
    return JobFiles.of(read, (args.output_video,))


def job_of(args: argparse.Namespace) -> Job:
    """What the process in ComfyUI's folder is told; relative paths are made absolute, since it runs elsewhere."""
    few = args.few_steps is not None
    return Job(
        color_video=os.path.abspath(args.color_video),
        mask_video=args.mask_video and os.path.abspath(args.mask_video),
        output_video=os.path.abspath(args.output_video),
        fps=args.fps,
        clip=ClipSettings(
            frames=args.num_frames,
            width=args.width,
            height=args.height,
            fit=args.fit,
            erosion=args.erosion,
            kernel=args.erosion_size,
            seed=args.erosion_seed,
        ),
        run=Run(
            seed=args.seed,
            steps=args.few_steps if few else args.num_inference_steps,
            cfg=1.0 if few else args.cfg,
            shift=args.shift,
            sampler=args.sampler,
            scheduler=args.scheduler,
            segment=args.segment_frames,
            overlap=args.segment_overlap,
            tile=args.vae_tiles,
        ),
        files=WeightFiles(
            adapter=comfyui.absolute(args.ex4d_path),
            dit=comfyui.absolute(args.dit_dir),
            vae=comfyui.absolute(args.vae_path),
            text=comfyui.absolute(args.text_encoder_path),
            vision=comfyui.absolute(args.clip_path),
        ),
        dtype=args.dtype,
        lora_strength=args.lora_strength,
        prior_strength=args.prior_strength,
        loras=tuple(comfyui.lora(text) for text in args.lora),
        prompt=args.prompt,
        negative_prompt=args.negative_prompt,
        embeddings=args.prompt_embeds and os.path.abspath(args.prompt_embeds),
        keep=_keep(args),
    )


def check_job(job: Job) -> None:
    """Refuse what can be refused without ComfyUI, in words of flags."""
    from ..wan import clip, schedule, segments

    for flag, path in (
        ("--color_video", job.color_video),
        ("--mask_video", job.mask_video),
        ("--prompt_embeds", job.embeddings),
    ):
        if path and not os.path.isfile(path):
            raise EX4DError(f"There is no {flag} at {path}.")
        if path and os.path.exists(job.output_video) and os.path.samefile(path, job.output_video):
            raise EX4DError(f"--output_video would overwrite the {flag} {path}. Choose another name.")
    if not job.mask_video and not job.color_video.lower().endswith(".npz"):
        raise EX4DError("A colour video needs its mask video beside it: give --mask_video.")
    if not job.output_video.lower().endswith(".mp4"):
        raise EX4DError(f"--output_video must be an .mp4 file, got {job.output_video}.")
    if not (math.isfinite(job.fps) and job.fps > 0):
        raise EX4DError(f"--fps must be a positive number, got {job.fps}; the published value is {published.FPS:g}.")
    clip.check_settings(job.clip)
    schedule.check_steps(job.run.steps)
    schedule.check_shift(job.run.shift)
    segments.check_length(job.run.segment)
    if job.keep is not None:
        check_settings(job.keep)


def _keep(args: argparse.Namespace) -> KeepSettings | None:
    """How seen pixels are kept; None where they are not asked for."""
    others = {
        "feather": args.keep_feather,
        "blend": args.keep_blend,
        "match_color": args.keep_match and args.keep_match == ON_OFF[0],
    }
    given = {name: value for name, value in others.items() if value is not None}
    if args.keep_seen is None:
        if given:
            raise EX4DError("--keep_feather, --keep_blend and --keep_match say how pixels are kept: add --keep_seen.")
        return None
    return KeepSettings(args.keep_seen, **given)
