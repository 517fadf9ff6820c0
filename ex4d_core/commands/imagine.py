"""Make a moving scene of one picture with Wan2.1 and the 4DNeX adapter, in a ComfyUI checkout.

Written are pointmap.npz (what the network made: points and colours) and, found from it, color.mp4 (square pixels), depth.npz
(with the lens) and camera.npz (the scene's own camera, which only turns). From there goes on
``recon --input_video pointmap.npz --depth pointmap.npz``, or with the three others
``recon --input_video color.mp4 --depth depth.npz --source_camera camera.npz --source_scale 1``.
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from .. import published
from ..errors import EX4DError
from ..storage.staging import staged_folder
from ..wan.fourdnex.job import Job
from ..wan.fourdnex.settings import DECODINGS, PUBLISHED, Run
from ..wan.job import WeightFiles
from ..wan.settings import DTYPES
from . import comfyui
from .console import ProgressBar, interrupted
from .jobs.files import JobFiles

if TYPE_CHECKING:
    from ..pointmap import PointMap
    from ..pointmap.register import RegisteredClip

FILES = (MAP, CLIP, DEPTH, CAMERA) = ("pointmap.npz", "color.mp4", "depth.npz", "camera.npz")
SIDE_STEP = 16
"""Sides of the colour video in pixels: Wan's, so that the result can be sampled again."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of ``python -m ex4d_core imagine``."""
    add, job, run = parser.add_argument, Job("", ""), Run()
    add("--image", required=True, help="the picture")
    add("--output_dir", required=True, help="folder to write to")
    add("--prompt", default=job.prompt, help="what the picture shows and what happens in it")
    add("--negative_prompt", default=job.negative_prompt)
    comfyui.add_arguments(parser)
    add("--width", type=int, default=job.width, help="of the network's result; 0 = the published rule (default 0)")
    add("--height", type=int, default=job.height, help="likewise")
    add("--num_frames", type=int, default=job.frames, help=f"4n + 1 (default {job.frames})")
    add("--fps", type=float, default=published.FOURDNEX_FPS, help=f"(default {published.FOURDNEX_FPS:g})")
    add(
        "--fov",
        type=float,
        help="vertical field of view in degrees, where it is known (default: found from the points)",
    )
    add("--seed", type=int, default=run.seed, help=f"(default {run.seed})")
    add("--num_inference_steps", type=int, default=run.steps, help=f"(default {run.steps})")
    add("--cfg", type=float, default=run.cfg)
    add("--shift", type=float, default=run.shift)
    add("--sampler", default=run.sampler, help=f"{PUBLISHED} (UniPC), or one of ComfyUI's samplers")
    add("--scheduler", default=run.scheduler, help=f"{PUBLISHED}, or one of ComfyUI's schedulers")
    add("--few_steps", type=int, metavar="N", help="N steps at cfg 1, for a distilled LoRA given with --lora")
    add("--decoding", choices=DECODINGS, default=run.decoding, help=f"of colour and points (default {run.decoding})")
    add("--vae_tiles", type=int, default=run.tile, help="side of VAE tiles in pixels, for apart; 0 = whole frames")
    add("--lora", action="append", default=[], metavar="FILE[:STRENGTH]", help="a further LoRA; may be repeated")
    add("--lora_strength", type=float, default=job.lora_strength, help="of the adapter's LoRA (default 1)")
    add("--dtype", choices=DTYPES, default=job.dtype, help="of the model's weights")
    add(
        "--prompt_embeds",
        help="safetensors with positive, negative and optionally clip_vision, in place of both encoders",
    )
    add("--fourdnex_path", help="the adapter's LoRA, or both parts in one file (models/4dnex)")
    add("--vectors_path", help="the adapter's vectors (default: in the same file or beside it)")
    add("--dit_dir", help="Wan2.1 I2V 14B: a file (models/diffusion_models) or a folder of shards")
    add("--vae_path", help="Wan 2.1 VAE (models/vae)")
    add("--text_encoder_path", help="umt5-xxl (models/text_encoders)")
    add("--clip_path", help="CLIP vision H (models/clip_vision)")


def run(args: argparse.Namespace) -> int:
    """Check what can be checked here, sample in a process in ComfyUI's folder, then find depth and camera here."""
    _check(args)
    with tempfile.TemporaryDirectory() as folder:
        made = os.path.join(folder, "scene.npz")
        job = job_of(args, made)
        code = comfyui.run("imagine", job.to_json(), args)
        if code:
            return code
        pointmap = read_scene(made, args.fps)
    # What took long is safe before anything else is tried.
    written(args.output_dir, lambda stage: write_map(stage, pointmap))
    clip = depth_of(pointmap, args.fov)
    written(args.output_dir, lambda stage: write_clip(stage, pointmap.fps, clip))
    return 0


def check(args: argparse.Namespace) -> None:
    """Refuse what can be refused without ComfyUI, and a ComfyUI that is not there."""
    _check(args)
    comfyui.check(args)


def _check(args: argparse.Namespace) -> None:
    if not (math.isfinite(args.fps) and args.fps > 0):
        raise EX4DError(f"--fps must be a positive number, got {args.fps}; the published value is 24.")
    if args.fov is not None and not 1 <= args.fov <= 170:
        raise EX4DError(f"--fov lies between 1 and 170 degrees, got {args.fov:g}.")
    check_job(job_of(args, ""))


def files(args: argparse.Namespace) -> JobFiles:
    """What is read and written; a name in ComfyUI's folders counts as itself."""
    weights = (
        args.fourdnex_path,
        args.vectors_path,
        args.dit_dir,
        args.vae_path,
        args.text_encoder_path,
        args.clip_path,
    )
    read = (args.image, args.prompt_embeds, *weights, *(comfyui.lora(text)[0] for text in args.lora))
    return JobFiles.of(read, (Path(args.output_dir) / name for name in FILES))


def written(folder: str, write: Callable[[Path], None]) -> None:
    """Files that ``write`` puts into a folder: all of them arrive or none; their names on the console."""
    with staged_folder(folder) as stage:
        write(stage)
        names = sorted(file.name for file in stage.iterdir())
    for name in names:
        print(Path(folder) / name)


def job_of(args: argparse.Namespace, output: str) -> Job:
    """What the process in ComfyUI's folder is told; relative paths are made absolute, since it runs elsewhere."""
    few = args.few_steps is not None
    return Job(
        image=os.path.abspath(args.image),
        output=output,
        frames=args.num_frames,
        width=args.width,
        height=args.height,
        run=Run(
            seed=args.seed,
            steps=args.few_steps if few else args.num_inference_steps,
            cfg=1.0 if few else args.cfg,
            shift=args.shift,
            sampler=args.sampler,
            scheduler=args.scheduler,
            decoding=args.decoding,
            tile=args.vae_tiles,
        ),
        files=WeightFiles(
            adapter=comfyui.absolute(args.fourdnex_path),
            dit=comfyui.absolute(args.dit_dir),
            vae=comfyui.absolute(args.vae_path),
            text=comfyui.absolute(args.text_encoder_path),
            vision=comfyui.absolute(args.clip_path),
        ),
        vectors=args.vectors_path and os.path.abspath(args.vectors_path),
        dtype=args.dtype,
        lora_strength=args.lora_strength,
        loras=tuple(comfyui.lora(text) for text in args.lora),
        prompt=args.prompt,
        negative_prompt=args.negative_prompt,
        embeddings=args.prompt_embeds and os.path.abspath(args.prompt_embeds),
    )


def check_job(job: Job) -> None:
    """Refuse what can be refused without ComfyUI."""
    from ..wan import schedule
    from ..wan.backbone import WAN21_I2V
    from ..wan.fourdnex.condition import half_size, load_picture

    for flag, path in (("--image", job.image), ("--prompt_embeds", job.embeddings), ("--vectors_path", job.vectors)):
        if path and not os.path.isfile(path):
            raise EX4DError(f"There is no {flag} at {path}.")
    WAN21_I2V.check_frames(job.frames)
    schedule.check_steps(job.run.steps)
    schedule.check_shift(job.run.shift)
    height, width = load_picture(job.image).shape[:2]
    if job.width and job.height:
        WAN21_I2V.check_size(job.width, job.height)
    elif job.width or job.height:
        raise EX4DError(f"Give both --width and --height, or neither; got {job.width}x{job.height}.")
    else:
        half_size(width, height)


def read_scene(path: str, fps: float) -> PointMap:
    """What the process in ComfyUI's folder has written."""
    import numpy as np
    import torch

    from ..pointmap import PointMap

    with np.load(path) as file:
        color, points = torch.from_numpy(file["color"]), torch.from_numpy(file["points"])
        valid = torch.ones(points.shape[:3], dtype=torch.bool)
        return PointMap(points, valid, color, "cube", fps, float(file["pixel_aspect"][0]))


def depth_of(pointmap: PointMap, fov: float | None) -> RegisteredClip:
    """Lens, turns and depth of a scene, on square pixels of about its size; the camera only turns.

    Args:
        pointmap: the scene.
        fov: vertical field of view in degrees where it is known.
    """
    from ..pointmap.fit import fit_cameras
    from ..pointmap.register import register

    focal = pointmap.height / 2 / math.tan(math.radians(fov) / 2) / pointmap.pixel_aspect if fov else None
    try:
        with ProgressBar("finding lens and camera") as bar:
            cameras = fit_cameras(pointmap, focal=focal, progress=bar, cancel=interrupted)
        with ProgressBar("finding depth") as bar:
            clip = register(pointmap, cameras, near=published.NEAREST_DEPTH, progress=bar, cancel=interrupted)
    except EX4DError as error:
        hint = "" if fov else " Or give --fov, in degrees."
        raise EX4DError(f"The scene is written, but its depth and camera were not found: {error}{hint}") from error
    width = max(SIDE_STEP, round(pointmap.width * pointmap.pixel_aspect / SIDE_STEP) * SIDE_STEP)
    return clip.fitted((width, pointmap.height), "crop")


def write_map(stage: Path, pointmap: PointMap) -> None:
    """What the network made, into a folder."""
    from ..pointmap import save_pointmap

    with ProgressBar("writing the point map") as bar:
        save_pointmap(stage / MAP, pointmap, progress=bar, cancel=interrupted)


def write_clip(stage: Path, fps: float, clip: RegisteredClip) -> None:
    """Colour, depth and camera, into a folder."""
    from ..video import save_video
    from .recon import save_depth

    save_video(stage / CLIP, clip.images, fps)
    save_depth(stage / DEPTH, clip.depth)
    assert clip.depth.source_camera is not None  # of a "cube" map there is one
    clip.depth.source_camera.save(stage / CAMERA)
