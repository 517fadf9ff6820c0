"""Render the final video from colour and mask video with Wan2.1 and the EX-4D adapter, in a ComfyUI checkout.

The flags of the published script are the same. Weight files are paths, or names in ComfyUI's models folders; without a
flag the usual names are looked for there.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from ..errors import EX4DError
from ..wan.prompts import NEGATIVE_PROMPT, PROMPT

ROOT = Path(__file__).resolve().parents[2]
HOST = ROOT / "ex4d_core" / "wan" / "host" / "generate.py"
# With -c the working folder, ComfyUI's, is first on the path; run_path leaves it there.
START = "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of ``python -m ex4d_core generate``."""
    add = parser.add_argument
    add("--color_video", required=True, help="colour video, or frames_*.npz of recon --save_frames (colour and mask)")
    add("--mask_video", help="mask video, white = seen; not needed with an .npz")
    add("--output_video", required=True, help="the video to write (.mp4)")
    add(
        "--comfyui",
        help="folder of a ComfyUI checkout (default: COMFYUI_PATH, the one this pack lies in, ~/comfy/ComfyUI)",
    )
    add("--python", default=sys.executable, help="the Python that runs ComfyUI (default: this one)")
    add("--comfy_args", default="", help="arguments for ComfyUI: --comfy_args='--lowvram --cpu-vae'")
    add("--height", type=int, default=512)
    add("--width", type=int, default=512)
    add("--num_frames", type=int, default=49, help="4n + 1; 0 = all of the clip (default 49)")
    add("--fit", choices=("stretch", "crop"), default="stretch", help="when the size differs (default stretch)")
    add("--fps", type=float, default=15.0, help="of the output (default 15)")
    add("--device", choices=("cuda", "cpu"), default="cuda")
    add("--seed", type=int, default=0)
    add("--num_inference_steps", type=int, default=25)
    add("--cfg", type=float, default=5.0)
    add("--shift", type=float, default=5.0)
    add("--sampler", default="euler", help="one of ComfyUI's samplers (default euler)")
    add("--scheduler", default="published", help="published, or one of ComfyUI's schedulers")
    add("--few_steps", type=int, metavar="N", help="N steps at cfg 1, for a distilled LoRA given with --lora")
    add("--lora", action="append", default=[], metavar="FILE[:STRENGTH]", help="a further LoRA; may be repeated")
    add("--lora_strength", type=float, default=1.0, help="of the adapter's LoRA (default 1)")
    add("--prior_strength", type=float, default=1.0, help="of the adapter's prior (default 1)")
    add(
        "--erosion", choices=("random", "fixed", "off"), default="random", help="widening of the holes (default random)"
    )
    add("--erosion_size", type=int, default=5, help="pixels, for fixed")
    add("--erosion_seed", type=int, default=0, help="for random")
    add("--segment_frames", type=int, default=49, help="longest piece made at once, 4n + 1; 0 = any (default 49)")
    add("--segment_overlap", type=int, default=9, help="frames that neighbouring pieces share (default 9)")
    add("--vae_tiles", type=int, default=0, help="side of VAE tiles in pixels; 0 = whole frames")
    add(
        "--dtype",
        choices=("default", "float8_e4m3fn", "bfloat16", "float16"),
        default="default",
        help="of the model's weights",
    )
    add("--prompt", default=PROMPT)
    add("--negative_prompt", default=NEGATIVE_PROMPT)
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
    settings = child_settings(args)
    comfyui = find_comfyui(args.comfyui)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "settings.json"
        path.write_text(json.dumps(settings), encoding="utf-8")
        command = [args.python, "-c", START, str(HOST), str(path)]
        # The pack's own folder must not be on ComfyUI's path: both have a module named nodes.
        process = subprocess.Popen(command, cwd=comfyui, env=_without_pack(os.environ))
        try:
            return process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise


def child_settings(args: argparse.Namespace) -> dict:
    """What the process in ComfyUI's folder is told; relative paths are made absolute, since it runs elsewhere."""
    check_flags(args)
    steps, cfg = (args.few_steps, 1.0) if args.few_steps is not None else (args.num_inference_steps, args.cfg)
    return {
        "color_video": _absolute(args.color_video),
        "mask_video": _absolute(args.mask_video),
        "output_video": os.path.abspath(args.output_video),
        "embeddings": _absolute(args.prompt_embeds),
        "prompt": args.prompt,
        "negative_prompt": args.negative_prompt,
        "fps": args.fps,
        "dtype": args.dtype,
        "lora_strength": args.lora_strength,
        "prior_strength": args.prior_strength,
        "loras": [_lora(text) for text in args.lora],
        "comfy_args": words(args.comfy_args) + (["--cpu"] if args.device == "cpu" else []),
        "files": {
            "adapter": _absolute(args.ex4d_path),
            "dit": _absolute(args.dit_dir),
            "vae": _absolute(args.vae_path),
            "text": _absolute(args.text_encoder_path),
            "vision": _absolute(args.clip_path),
        },
        "clip": {
            "frames": args.num_frames,
            "width": args.width,
            "height": args.height,
            "fit": args.fit,
            "erosion": args.erosion,
            "kernel": args.erosion_size,
            "seed": args.erosion_seed,
        },
        "run": {
            "seed": args.seed,
            "steps": steps,
            "cfg": cfg,
            "shift": args.shift,
            "sampler": args.sampler,
            "scheduler": args.scheduler,
            "segment": args.segment_frames,
            "overlap": args.segment_overlap,
            "tile": args.vae_tiles,
        },
    }


def check_flags(args: argparse.Namespace) -> None:
    """Refuse what can be refused without ComfyUI."""
    from ..wan import clip, schedule, segments

    for flag, path in (
        ("--color_video", args.color_video),
        ("--mask_video", args.mask_video),
        ("--prompt_embeds", args.prompt_embeds),
    ):
        if path and not os.path.isfile(path):
            raise EX4DError(f"There is no {flag} at {path}.")
    if not args.mask_video and not args.color_video.lower().endswith(".npz"):
        raise EX4DError("A colour video needs its mask video beside it: give --mask_video.")
    if not args.output_video.lower().endswith(".mp4"):
        raise EX4DError(f"--output_video must be an .mp4 file, got {args.output_video}.")
    if not (math.isfinite(args.fps) and args.fps > 0):
        raise EX4DError(f"--fps must be a positive number, got {args.fps}; the published value is 15.")
    clip.check_settings(
        frames=args.num_frames,
        width=args.width,
        height=args.height,
        fit=args.fit,
        erosion=args.erosion,
        kernel=args.erosion_size,
    )
    schedule.check_steps(args.num_inference_steps if args.few_steps is None else args.few_steps)
    schedule.check_shift(args.shift)
    segments.check_length(args.segment_frames)


def words(text: str) -> list[str]:
    """Arguments as a shell would split them, quotes taken off; on Windows a backslash belongs to its path."""
    lexer = shlex.shlex(text, posix=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    if os.name == "nt":
        lexer.escape = ""
    try:
        return list(lexer)
    except ValueError as error:
        raise EX4DError(f"--comfy_args cannot be read ({error}): {text}") from error


def find_comfyui(given: str | None) -> Path:
    """The checkout to use."""
    if given:
        candidates = [Path(given).expanduser()]
    else:
        candidates = [Path(os.environ["COMFYUI_PATH"])] if os.environ.get("COMFYUI_PATH") else []
        candidates += [ROOT.parents[1], Path.home() / "comfy" / "ComfyUI"]
    for path in candidates:
        if (path / "main.py").is_file() and (path / "comfy").is_dir():
            return path.resolve()
    where = f"at {given}" if given else "(looked at COMFYUI_PATH, around this pack, and in ~/comfy/ComfyUI)"
    raise EX4DError(f"There is no ComfyUI checkout {where}; give its folder with --comfyui.")


def _absolute(path: str | None) -> str | None:
    """Paths that exist here become absolute; others stay, as names in ComfyUI's folders."""
    return os.path.abspath(path) if path and os.path.exists(path) else path


def _lora(text: str) -> tuple[str, float]:
    name, colon, strength = text.rpartition(":")
    try:
        return (str(_absolute(name)), float(strength)) if colon else (str(_absolute(text)), 1.0)
    except ValueError:
        return str(_absolute(text)), 1.0  # a colon inside the path, as on Windows


def _without_pack(environment: os._Environ[str]) -> dict[str, str]:
    paths = [p for p in environment.get("PYTHONPATH", "").split(os.pathsep) if p and Path(p).resolve() != ROOT]
    return {**environment, "PYTHONPATH": os.pathsep.join(paths)}
