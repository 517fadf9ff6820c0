"""Turn a video and its depth into the colour and mask videos that EX-4D completes.

Writes color_<cam>.mp4 and mask_<cam>.mp4 for every camera asked for, and with the --save flags camera_<cam>.npz,
frames_<cam>.npz (lossless), DW-Mesh.ply and depth.npz. Everything is checked before work starts, and the files appear
together at the end or not at all.
"""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import Cancelled
from ..storage.npz import NpzWriter
from ..storage.staging import staged_folder
from .console import ProgressBar, interrupted, say
from .recon_plan import CHUNK_FRAMES, Plan, plan_recon

if TYPE_CHECKING:
    from ..depth import DepthClip
    from ..depth.depthcrafter import DepthCrafter
    from ..mesh import DWMesh
    from ..trajectory import Trajectory
    from ..video import VideoClip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags; the published script's keep their names."""
    source = parser.add_argument_group("video")
    source.add_argument("--input_video", required=True, help="video file, folder of images, or .npz with rgb")
    source.add_argument("--num_frames", type=int, help="frames to use, best 4n+1 (default: the camera file's, or 49)")
    source.add_argument("--start", type=int, default=0, help="first frame (default 0)")
    source.add_argument("--fps", type=float, help="frame rate to resample to (default: the video's)")
    source.add_argument("--size", default="512x512", help="WxH, or 'source' for the video's own (default 512x512)")
    source.add_argument("--fit", default="crop", help="crop, pad or stretch to the size (default crop)")

    depth = parser.add_argument_group("depth")
    depth.add_argument(
        "--depth",
        help=".npz with depth or disparity [T,H,W], folder of 16-bit PNG or EXR, or 16-bit video (default: DepthCrafter)",
    )
    depth.add_argument("--depth_kind", help="depth or disparity, where the file does not say")
    depth.add_argument("--depth_model", help="DepthCrafter: folder or Hugging Face id of its UNet")
    depth.add_argument("--depth_base", help="DepthCrafter: folder or id of Stable Video Diffusion (autoencoder, CLIP)")
    depth.add_argument("--models_dir", help="where ids are looked for and downloaded (default models/depthcrafter)")
    depth.add_argument("--offline", action="store_true", help="never download")
    depth.add_argument("--depth_steps", type=int, default=5, help="DepthCrafter: denoising steps (default 5)")
    depth.add_argument("--depth_seed", type=int, default=42, help="DepthCrafter: seed of its noise (default 42)")
    depth.add_argument("--focal", type=float, help="focal length in pixels at the output size (published: 500)")

    camera = parser.add_argument_group("camera")
    camera.add_argument(
        "--cam",
        nargs="+",
        default=[],
        help="30, 60, 90, 180, zoom_in, zoom_out or any preset, with its parameters: orbit:angle=-90,rise=0.1",
    )
    camera.add_argument("--camera", nargs="+", default=[], help="camera file: .npz .json .txt .chan .gltf .glb")

    mesh = parser.add_argument_group("mesh and rendering")
    mesh.add_argument("--style", default="released", help="released (as published code) or paper (default released)")
    mesh.add_argument(
        "--min_angle", type=float, default=2.5, help="smallest angle of a seen face (default 2.5 degrees)"
    )
    mesh.add_argument("--depth_jump", type=float, default=0.013, help="paper style: largest depth jump (default 0.013)")
    mesh.add_argument("--border_depth", type=float, help="depth of the back plate (default: 100, or from the depth)")
    mesh.add_argument("--only_first_frame", type=int, default=0, help="1 = the mesh of frame 0 serves the whole path")
    mesh.add_argument("--backend", default="auto", help="auto, nvdiffrast, numba or torch (default auto)")
    mesh.add_argument("--device", help="cpu, cuda, cuda:1 ... (default: where the backend runs best)")
    mesh.add_argument("--supersample", type=int, default=1, help="samples per pixel and axis, 1 to 4 (default 1)")
    mesh.add_argument("--keep_first_frame", default="auto", help="auto, yes or no: pass the source's frame 0 through")

    output = parser.add_argument_group("output")
    output.add_argument("--output_dir", required=True, help="folder for the results; made if missing")
    output.add_argument("--save_mesh", action="store_true", help="write DW-Mesh.ply (frame 0)")
    output.add_argument("--save_camera", action="store_true", help="write camera_<cam>.npz")
    output.add_argument("--save_frames", action="store_true", help="write the lossless frames_<cam>.npz")
    output.add_argument("--save_depth", type=int, nargs="?", const=1, default=0, help="write depth.npz")
    output.add_argument("--crf", type=float, default=12.0, help="x264 quality, 0 best to 51 (default 12)")


def run(args: argparse.Namespace) -> int:
    """Check everything, then do the work; see the module for what is written."""
    started = time.monotonic()
    plan = plan_recon(args)
    with staged_folder(args.output_dir) as stage:
        written = _reconstruct(args, plan, stage)
    for name in written:
        print(Path(args.output_dir) / name)
    say(f"done in {time.monotonic() - started:.1f} s")
    return 0


def _reconstruct(args: argparse.Namespace, plan: Plan, stage: Path) -> list[str]:
    from ..assets.ply import save_ply
    from ..video import load_video

    # The networks come first: a missing or damaged model is told before the video is read.
    depthcrafter = None if args.depth is not None else _load_depthcrafter(args)
    with ProgressBar("reading the video") as bar:
        clip = load_video(
            args.input_video,
            start=args.start,
            count=plan.source_frames,
            fps=plan.fps,
            size=plan.size,
            fit=args.fit,
            progress=bar,
            cancel=interrupted,
        )
    mesh = _build_mesh(args, clip, _depth(args, clip, depthcrafter, stage))
    del depthcrafter
    # The mesh holds its own copy; the clip goes on only as the source of the sound.
    clip = replace(clip, frames=clip.frames.new_empty(0))
    if args.save_mesh:
        save_ply(stage / "DW-Mesh.ply", mesh)
    for camera in plan.cameras:
        trajectory = camera.trajectory(plan.frames, clip.fps, mesh.radius, mesh.intrinsics)
        if args.save_camera:
            trajectory.for_scene(mesh.intrinsics).save(stage / f"camera_{camera.name}.npz")
        _render(args, plan, mesh, trajectory, camera.name, clip, stage)
    return sorted(file.name for file in stage.iterdir())


def _load_depthcrafter(args: argparse.Namespace) -> DepthCrafter:
    from ..depth.depthcrafter import DepthCrafter

    say("note: no --depth was given, so DepthCrafter estimates it; its weights are for non-commercial, academic use.")
    with ProgressBar("fetching DepthCrafter") as bar:
        return DepthCrafter.from_pretrained(
            args.depth_model,
            args.depth_base,
            device=args.device,
            folder=args.models_dir,
            offline=args.offline,
            progress=bar,
            cancel=interrupted,
        )


def _depth(args: argparse.Namespace, clip: VideoClip, depthcrafter: DepthCrafter | None, stage: Path) -> DepthClip:
    from ..depth.files import load_depth

    if depthcrafter is not None:
        with ProgressBar("estimating the depth") as bar:
            depth = depthcrafter.depth_clip(
                clip.frames, steps=args.depth_steps, seed=args.depth_seed, progress=bar, cancel=interrupted
            )
    else:
        with ProgressBar("reading the depth") as bar:
            depth = load_depth(args.depth, clip, kind=args.depth_kind, progress=bar, cancel=interrupted)
    if args.save_depth:
        with NpzWriter(stage / "depth.npz") as archive:
            archive.array("depth", depth.depth.numpy())
            if depth.intrinsics is not None:
                archive.array("intrinsics", depth.intrinsics.matrix())
    return depth


def _build_mesh(args: argparse.Namespace, clip: VideoClip, depth: DepthClip) -> DWMesh:
    from ..camera import Intrinsics
    from ..mesh import build_dw_mesh

    _, height, width = depth.depth.shape
    lens = depth.intrinsics if args.focal is None else Intrinsics.from_focal(args.focal, width, height)
    with ProgressBar("building the mesh") as bar:
        return build_dw_mesh(
            clip.frames,
            depth.depth,
            lens,
            style=args.style,
            min_angle=args.min_angle,
            depth_jump=args.depth_jump,
            border_depth=depth.border_depth if args.border_depth is None else args.border_depth,
            progress=bar,
            cancel=interrupted,
        )


def _render(
    args: argparse.Namespace,
    plan: Plan,
    mesh: DWMesh,
    trajectory: Trajectory,
    name: str,
    clip: VideoClip,
    stage: Path,
) -> None:
    """Render a chunk, encode it, forget it."""
    from ..render import default_range, render_color_mask
    from ..trajectory import Trajectory
    from ..video import VideoWriter

    near, far = default_range(mesh)
    cameras = trajectory.for_scene(mesh.intrinsics).intrinsics
    total = len(trajectory)
    seen = np.empty(total)
    with ExitStack() as stack:
        audio = clip if clip.has_audio else None
        color_video = stack.enter_context(
            VideoWriter(stage / f"color_{name}.mp4", clip.fps, audio_from=audio, crf=args.crf)
        )
        mask_video = stack.enter_context(VideoWriter(stage / f"mask_{name}.mp4", clip.fps, crf=args.crf))
        archive = stack.enter_context(NpzWriter(stage / f"frames_{name}.npz")) if args.save_frames else None
        if archive is not None:
            archive.begin("color", (total, mesh.height, mesh.width, 3), np.uint8)
            masks = np.empty((total, mesh.height, mesh.width), np.uint8)
        bar = stack.enter_context(ProgressBar(f"rendering {name}"))
        for begin in range(0, total, CHUNK_FRAMES):
            part = slice(begin, min(begin + CHUNK_FRAMES, total))
            color, mask, _ = render_color_mask(
                mesh if mesh.frames == 1 else replace(mesh, rgb=mesh.rgb[part], depth=mesh.depth[part]),
                Trajectory(trajectory.world_to_camera[part], cameras and cameras[part], trajectory.fps),
                backend=args.backend,
                device=args.device,
                keep_first_frame=plan.keep_first_frame if begin == 0 else False,
                supersample=args.supersample,
                near=near,
                far=far,
                out_dtype="uint8",
                cancel=interrupted,
            )
            seen[part] = mask.float().mean((1, 2)).cpu().numpy() / 255
            for index, (picture, holes) in enumerate(zip(color.cpu().numpy(), mask.cpu().numpy()), begin):
                if interrupted():
                    raise Cancelled
                color_video.write(picture)
                mask_video.write(holes)
                if archive is not None:
                    archive.write(picture)
                    masks[index] = holes
                bar(index + 1, total)
        if archive is not None:
            archive.array("mask", masks)
    least = int(seen.argmin())
    say(f"{name}: {100 * seen.mean():.1f} % of the pixels are seen, least in frame {least} ({100 * seen[least]:.1f} %)")
