"""The flags of ``recon``, and the job that they make: every flag and file is checked here, before a frame is decoded."""

from __future__ import annotations

import argparse
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import EX4DError
from ..machine.memory import check_memory
from ..storage.staging import check_sources, check_targets
from .console import say
from .flags import add_renderer, check_renderer, number, size, whole
from .recon_job import (
    BENT_SOUNDS,
    CameraPath,
    ClipJob,
    DepthEstimate,
    DepthFile,
    DepthJob,
    DepthPoints,
    MeshJob,
    Outputs,
    ReconJob,
    RenderJob,
    SceneJob,
    SourceCameraJob,
)

if TYPE_CHECKING:
    from ..camera import Intrinsics
    from ..render import KeepFirstFrame
    from ..trajectory import BaseChoice, Trajectory
    from ..video import VideoInfo

Depth = TypeVar("Depth", bound=DepthJob)

DEFAULT_FRAMES = 49
SMALLER = "Ask for fewer frames or a smaller --size."
SOLVE = "solve"
"""What --source_camera takes in place of a file."""
TURNS, BACKGROUND = "turns", "background"
"""What --point_motion takes."""
KEEP_FIRST_FRAME: dict[str, KeepFirstFrame] = {"auto": "auto", "yes": True, "no": False}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags; the published script's keep their names."""
    add_video(parser.add_argument_group("video"))
    add_depth(parser.add_argument_group("depth"))
    add_camera(parser.add_argument_group("camera"))
    rendering = parser.add_argument_group("mesh and rendering")
    add_mesh(rendering)
    _add_rendering(rendering)
    _add_output(parser.add_argument_group("output"))


def add_video(group: argparse._ArgumentGroup) -> None:
    """Which frames of which video, on which pixel grid."""
    from ..video import FITS

    add = group.add_argument
    add("--input_video", required=True, help="video file, folder of images, or .npz with rgb")
    add("--num_frames", type=whole(1), help="frames to use, best 4n+1 (default: the camera file's, or 49)")
    add("--start", type=whole(0), default=0, help="first frame (default 0)")
    add("--fps", type=number(0.01, 1000), help="frame rate to resample to (default: the video's)")
    add(
        "--size",
        type=_size_or_source,
        default="512x512",
        metavar="WxH",
        help="or 'source' for the video's own (default 512x512)",
    )
    add("--fit", choices=FITS, default="crop", help="how the picture fills the size (default crop)")


def add_depth(group: argparse._ArgumentGroup) -> None:
    """Where the depth comes from, and the lens."""
    from ..depth.files import KINDS

    add = group.add_argument
    add(
        "--depth",
        help=".npz or .npy of depth or disparity [T,H,W], .npz of a point map, folder of 16-bit PNG or TIFF, EXR or "
        ".npy, or 16-bit video (default: DepthCrafter)",
    )
    add("--depth_kind", choices=KINDS, help="where the file does not say")
    add(
        "--point_motion",
        choices=(TURNS, BACKGROUND),
        help="for a point map: how the camera moves where the map does not tell (default turns; background: found "
        "from what stands still)",
    )
    add("--depth_model", help="DepthCrafter: folder or Hugging Face id of its UNet")
    add("--depth_base", help="DepthCrafter: folder or id of Stable Video Diffusion (autoencoder, CLIP)")
    add("--models_dir", help="where ids are looked for and downloaded (default models/depthcrafter)")
    add("--offline", action="store_true", help="never download")
    add("--depth_steps", type=whole(1), default=5, help="DepthCrafter: denoising steps (default 5)")
    add("--depth_seed", type=int, default=42, help="DepthCrafter: seed of its noise (default 42)")
    add("--focal", type=number(1, 1e6, "pixels"), help="focal length in pixels at the output size (published: 500)")


def add_camera(group: argparse._ArgumentGroup) -> None:
    """Which camera paths, and how the camera that filmed the clip moved."""
    from ..camera_io import read_suffixes
    from ..trajectory import BASE_CHOICES, BASES, LONGEST_SHAKE, PRESETS, SHAKE_SECONDS

    group.add_argument(
        "--cam",
        nargs="+",
        default=[],
        help=f"presets, with their parameters, as orbit:angle=-90,rise=0.1 or bullet_time:freeze=20,hold=16, and loop=1 to "
        f"close one; there are: {', '.join(PRESETS)}; "
        f"and {', '.join(BASES)}, a still camera on that base",
    )
    group.add_argument("--camera", nargs="+", default=[], help=f"camera files: {' '.join(read_suffixes())}")
    group.add_argument(
        "--camera_fps",
        type=number(0.1, 240),
        help="rate of the scene that a glTF camera was exported from, at which its keys are sampled (default: told by the "
        "keys, else 24)",
    )
    group.add_argument(
        "--source_camera",
        metavar="FILE",
        help="path of the camera that filmed the clip, in any camera file's format, a pose for each frame used; or "
        f"'{SOLVE}' to find it (default: it does not move)",
    )
    group.add_argument(
        "--source_scale", type=number(1e-9, 1e9), help="units of the depth per unit of that file (default: fitted)"
    )
    group.add_argument(
        "--base",
        choices=BASE_CHOICES,
        default=BASE_CHOICES[0],
        help="where the source camera moves, what paths are laid on: where it began (locked), its path without the shake "
        "(stabilised), or itself (follow); default auto: locked; paths whose JSON says 'world' keep that",
    )
    group.add_argument(
        "--stabilise",
        type=number(0, LONGEST_SHAKE, "seconds"),
        metavar="SECONDS",
        default=SHAKE_SECONDS,
        help=f"for stabilised: motion faster than this is shake (default {SHAKE_SECONDS:g})",
    )


def add_mesh(group: argparse._ArgumentGroup) -> None:
    """How the mesh is built."""
    from ..depth.refine import MENDS
    from ..mesh import STYLES

    add = group.add_argument
    add(
        "--mend_depth",
        nargs="+",
        choices=MENDS,
        default=[],
        help="edges: what a network's blur has left in mid-air is put on the nearer surface; flicker: frames of a camera that "
        "stands still are brought to one scale (docs/evaluation.md tells what each wins)",
    )
    add("--style", choices=STYLES, default="released", help="as the published code, or as the paper (default released)")
    add("--min_angle", type=float, default=2.5, help="smallest angle of a seen face (default 2.5 degrees)")
    add("--depth_jump", type=float, default=0.013, help="paper style: largest depth jump (default 0.013)")
    add("--border_depth", type=float, help="depth of the back plate (default: 100, or from the depth)")
    add("--only_first_frame", type=int, default=0, help="1 = the mesh of frame 0 serves the whole path")


def add_hole_color(group: argparse._ArgumentGroup) -> None:
    """--hole_color: what a render shows where nothing was seen."""
    from ..pixels import HOLE_COLORS

    group.add_argument(
        "--hole_color",
        default="black",
        metavar="COLOR",
        help=f"what marks a hole in the colour video: {', '.join(HOLE_COLORS)} or #rrggbb (default black, which EX-4D takes; "
        "grey for VACE, magenta for CrossView). An .mp4 mixes it with its neighbours",
    )


def _add_rendering(group: argparse._ArgumentGroup) -> None:
    from ..holes.masks import MOST_PIXELS
    from ..scene_memory import DEFAULT_FRAMES, MOST_FRAMES, STRICTNESS

    add = group.add_argument
    add_renderer(add)
    add("--supersample", type=int, choices=(1, 2, 3, 4), default=1, help="samples per pixel and axis (default 1)")
    add(
        "--keep_first_frame",
        choices=KEEP_FIRST_FRAME,
        default="auto",
        help="pass the source's frame 0 through (default auto: where the path starts at the source camera)",
    )
    add_hole_color(group)
    add(
        "--memory",
        choices=["off", *STRICTNESS],
        default="off",
        help="fill holes with what other frames of the clip saw and what stands still; memory_<name>.mp4 is white there. "
        "strict: only what every frame agrees about; loose: for noisy depth (default off, as published)",
    )
    add(
        "--memory_frames",
        type=whole(1, MOST_FRAMES),
        default=DEFAULT_FRAMES,
        metavar="N",
        help=f"frames that the memory is made of, at most (default {DEFAULT_FRAMES})",
    )
    pixels = whole(0, MOST_PIXELS)
    add("--grow_holes", type=pixels, default=0, metavar="PX", help="pixels taken away around every hole (default 0)")
    add(
        "--feather", type=pixels, default=0, metavar="PX", help="pixels over which the mask falls to a hole (default 0)"
    )


def _add_output(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--output_dir", required=True, help="folder for the results; made if missing")
    add("--save_mesh", action="store_true", help="write DW-Mesh.ply (frame 0)")
    add("--save_camera", action="store_true", help="write camera_<cam>.npz")
    add("--save_frames", action="store_true", help="write the lossless frames_<cam>.npz")
    add("--save_depth", type=int, nargs="?", const=1, default=0, help="write depth.npz")
    add("--crf", type=number(0, 51), default=12.0, help="x264 quality, 0 best to 51 (default 12)")
    add(
        "--bent_sound",
        choices=BENT_SOUNDS,
        default=BENT_SOUNDS[0],
        help="sound of a path that bends time: none, cut (as it is, from the clip's start) or stretch (follows, as a tape "
        "would: higher when fast, silent when frozen; default none)",
    )


def _size_or_source(text: str) -> tuple[int, int] | None:
    from ..video.fit import LARGEST_SIDE, SMALLEST_SIDE

    return None if text.strip() == "source" else size(SMALLEST_SIDE, LARGEST_SIDE)(text)


def recon_job(args: argparse.Namespace) -> ReconJob:
    """The job that the flags describe; refuses what cannot work, before anything heavy is loaded or written.

    Raises:
        EX4DError: any bad file, value or combination.
    """
    from ..pixels import hole_color_of

    check_renderer(args.backend, args.device)
    hole_color_of(args.hole_color)
    render = RenderJob(
        args.backend,
        args.device,
        args.supersample,
        KEEP_FIRST_FRAME[args.keep_first_frame],
        args.hole_color,
        args.grow_holes,
        args.feather,
        None if args.memory == "off" else args.memory,
        args.memory_frames,
    )
    outputs, cameras = requested_outputs(args)
    check_targets(outputs.folder, outputs.names(cameras))
    check_sources(outputs.folder, outputs.names(cameras), scene_sources(args))
    job = ReconJob(scene_job(args, cameras), cameras, render, outputs)
    check_memory(job.least_memory(), "This clip", SMALLER)
    _tell_what_the_sampler_takes(job.scene)
    return job


def requested_outputs(args: argparse.Namespace) -> tuple[Outputs, tuple[CameraPath, ...]]:
    """What ``recon`` writes, and of which paths."""
    outputs = Outputs(
        folder=Path(args.output_dir),
        mesh=args.save_mesh,
        cameras=args.save_camera,
        frames=args.save_frames,
        depth=bool(args.save_depth),
        crf=args.crf,
        bent_sound=args.bent_sound,
        memory=args.memory != "off",
    )
    return outputs, camera_paths(args.cam, args.camera, args.base, args.stabilise, args.camera_fps)


def scene_sources(args: argparse.Namespace) -> tuple[str | None, ...]:
    """Files that are read for a scene and its paths; None for those that were not given."""
    source = None if args.source_camera == SOLVE else args.source_camera
    return (args.input_video, args.depth, source, *args.camera)


def scene_job(args: argparse.Namespace, cameras: tuple[CameraPath, ...]) -> SceneJob:
    """The clip and its mesh, for commands that film or write one scene; refuses what cannot work, before anything heavy.

    Args:
        args: with the flags of `add_video`, `add_depth`, `add_camera` and `add_mesh`, and ``device``.
        cameras: the paths asked for.

    Raises:
        EX4DError: any bad file, value or combination.
    """
    from ..camera import Intrinsics
    from ..mesh import check_mesh_parameters
    from ..video import probe_video

    mesh = MeshJob(args.style, args.min_angle, args.depth_jump, args.border_depth, args.focal, tuple(args.mend_depth))
    if "flicker" in mesh.mends and args.source_camera is not None:
        raise EX4DError(
            "--mend_depth flicker is for a camera that stands still; --source_camera solve levels the depth of one that moves."
        )
    check_mesh_parameters(mesh.style, mesh.min_angle, mesh.depth_jump, mesh.border_depth)
    info = probe_video(args.input_video)
    shape = args.size or largest_size(info)
    lens = mesh.lens(shape) or Intrinsics.default(*shape)
    frames = path_length(args.num_frames, cameras, lens)
    source_frames = 1 if args.only_first_frame else frames
    clip = ClipJob(args.input_video, args.start, source_frames, args.fps, shape, args.fit)
    check_length(clip, info)
    depth = depth_job(args)
    source_camera = source_camera_job(args.source_camera, args.source_scale, source_frames, lens)
    scene = SceneJob(clip, depth, source_camera, mesh, frames)
    check_memory(2 * scene.clip_bytes, "This clip", SMALLER)  # the mesh has copies of its own
    return replace(scene, depth=checked_depth(depth, info, source_frames))


def one_camera(args: argparse.Namespace) -> CameraPath | None:
    """The one path asked for; None where none was.

    Raises:
        EX4DError: several.
    """
    if not (args.cam or args.camera):
        return None
    cameras = camera_paths(args.cam, args.camera, args.base, args.stabilise, args.camera_fps)
    if len(cameras) > 1:
        raise EX4DError(f"A file holds one camera path, but {len(cameras)} were given. Run them one by one.")
    return next(iter(cameras))


def depth_job(args: argparse.Namespace) -> DepthJob:
    """Where the depth comes from."""
    from ..machine import extras
    from ..pointmap.formats import is_points

    if args.depth_kind is None and args.depth is not None and is_points(args.depth):
        if args.point_motion == BACKGROUND:
            extras.check("cv2", "Finding the camera's way in a point map")
        return DepthPoints(args.depth, args.point_motion == BACKGROUND)
    if args.point_motion is not None:
        raise EX4DError(
            "--point_motion is for a --depth that is a point map: an .npz of cube_points, world_points or such, or files of "
            "Save Point Cloud."
        )
    if args.depth is None:
        return DepthEstimate(
            unet=args.depth_model,
            base=args.depth_base,
            folder=args.models_dir,
            offline=args.offline,
            steps=args.depth_steps,
            seed=args.depth_seed,
            device=args.device,
        )
    return DepthFile(args.depth, args.depth_kind)


def checked_depth(depth: Depth, info: VideoInfo, frames: int) -> Depth:
    """A depth file with its kind, and point maps; refused where they cannot belong to the video."""
    from ..depth.files import check_depth_file
    from ..depth.source import UnknownKind
    from .points import check_points

    if isinstance(depth, DepthPoints):
        check_points(depth, info, frames)
    if not isinstance(depth, DepthFile):
        return depth
    try:
        return replace(depth, kind=check_depth_file(depth.path, depth.kind, info, frames))
    except UnknownKind as error:
        said = str(error).partition(" Give the kind: ")[0]
        raise EX4DError(
            f"{said} Pass --depth_kind disparity (larger or brighter = nearer) or --depth_kind depth (larger or brighter = "
            "farther)."
        ) from error


def source_camera_job(asked: str | None, scale: float | None, frames: int, lens: Intrinsics) -> SourceCameraJob | None:
    """What --source_camera asks for; the file is read once to be refused early."""
    from ..machine import extras

    if asked is None:
        if scale is not None:
            raise EX4DError("--source_scale is for a --source_camera, but none was given.")
        return None
    if asked == SOLVE or scale is None:
        extras.check("cv2", "Solving a source camera, or fitting one to the clip,")
    if asked == SOLVE:
        if scale is not None:
            raise EX4DError("--source_scale is for a camera file; a camera that is solved is in the depth's own unit.")
        return SourceCameraJob(None, None)
    job = SourceCameraJob(Path(asked), scale)
    poses = len(read_source_camera(job, lens))
    if poses < frames:
        raise EX4DError(f"The source camera '{asked}' has {poses} poses, but the clip has {frames} frames.")
    return job


def read_source_camera(job: SourceCameraJob, lens: Intrinsics) -> Trajectory:
    """The path in a job's file, at the scale asked for; ``lens`` is the clip's, which it may inherit."""
    from ..trajectory import Trajectory

    assert job.file is not None
    return Trajectory.load(job.file, intrinsics=lens, size=(lens.width, lens.height), scale=job.scale or 1.0)


def camera_paths(
    presets: list[str], files: list[str], base: BaseChoice, seconds: float, fps: float | None = None
) -> tuple[CameraPath, ...]:
    """--cam and --camera, in the order given; none, or two of one name, are refused."""
    cameras = [preset_camera(text, base, seconds) for text in presets]
    cameras += [CameraPath(Path(file).stem, None, {}, Path(file), base, seconds, fps) for file in files]
    if not cameras:
        raise EX4DError(
            "No camera path was given: pass --cam with a preset (180, sweep, zoom_in ...) or --camera FILE."
        )
    # Some file systems take "Shot" and "shot" for one name.
    names = [camera.name.casefold() for camera in cameras]
    twice = {camera.name for camera in cameras if names.count(camera.name.casefold()) > 1}
    if twice:
        raise EX4DError(
            f"Two camera paths would be written as '{sorted(twice)[0]}'. Rename one or run them one by one."
        )
    return tuple(cameras)


def preset_camera(text: str, base: BaseChoice, seconds: float) -> CameraPath:
    """``orbit:angle=-90,rise=0.1`` -> the preset and its parameters; a base's name -> a still camera on it."""
    from ..trajectory import BASES, preset_document

    for own in BASES:
        if text.strip() == own:
            return CameraPath(own, "static", {}, None, own, seconds)
    preset, _, rest = text.partition(":")
    params: dict[str, Any] = {}
    for part in filter(None, rest.split(",")):
        name, equals, value = part.partition("=")
        if not equals:
            raise EX4DError(f"'{part}' in --cam {text} is not of the form name=value.")
        try:
            params[name.strip()] = float(value)
        except ValueError:
            params[name.strip()] = value.strip()
    name = "".join(f"_{key}{_in_file_name(value)}" for key, value in params.items())
    loop = params.pop("loop", 0.0)
    if loop not in (0.0, 1.0):
        raise EX4DError(f"loop in --cam {text} must be 1 (closed) or 0, got {loop}.")
    source = preset_document(preset, **params).source  # refuses unknown names and values
    assert source is not None
    return CameraPath(source.preset + name, source.preset, params, None, base, seconds, loop=loop == 1.0)


def _in_file_name(value: float | str) -> str:
    return re.sub(r"\W", "-", value) if isinstance(value, str) else f"{value:g}"


def largest_size(info: VideoInfo) -> tuple[int, int]:
    """The largest (width, height) of the source's shape that the sampler takes."""
    from ..video.fit import check_frame_size

    return check_frame_size((info.size[0] // 16 * 16, info.size[1] // 16 * 16), "The source's size")


def path_length(asked: int | None, cameras: tuple[CameraPath, ...], lens: Intrinsics) -> int:
    """Frames of the clip and of every path: --num_frames, or those of the camera files, or 49.

    A file whose keys say which frames of the clip they show has a length of its own.
    """
    paths = {camera.name: camera.trajectory(1, 15.0, None, lens) for camera in cameras if camera.file is not None}
    lengths = {name: len(path) for name, path in paths.items() if not path.bends_time}
    frames = asked or (next(iter(lengths.values())) if lengths else DEFAULT_FRAMES)
    for name, length in lengths.items():
        if length != frames:
            raise EX4DError(
                f"The camera file '{name}' has {length} frames, but {frames} are to be rendered. "
                f"Pass --num_frames {length}, or another file."
            )
    return frames


def check_length(clip: ClipJob, info: VideoInfo) -> None:
    """Refuse rates and counts that the video cannot give, as far as its container tells."""
    from ..video import probe_video
    from ..video.sampling import exact_rate, output_length
    from ..video.sources import is_stills

    rate = info.fps if clip.fps is None or is_stills(clip.source) else exact_rate(clip.fps)
    if not 0.01 <= rate <= 1000:
        raise EX4DError(
            f"'{clip.source}' runs at {float(rate):g} frames a second; 0.01 to 1000 can be written. Pass --fps."
        )
    if info.frames is None:
        return
    available = output_length(Fraction(info.frames) / info.fps, rate, info.fps)
    if clip.start + clip.frames > available and info.pictures is None:
        # The header's length may be wrong, so the pictures are counted.
        counted = probe_video(clip.source, thorough=True)
        if counted.frames is not None and counted.pictures is not None:
            rate = counted.fps if clip.fps is None else rate
            available = output_length(Fraction(counted.frames) / counted.fps, rate, counted.fps)
            if clip.start + clip.frames <= available:
                say(f"note: '{clip.source}' says that it has {info.frames} frames, and has {counted.pictures}.")
    if clip.start + clip.frames > available:
        advice = f"Pass --num_frames {available - clip.start}" if available > clip.start else "Pass a smaller --start"
        raise EX4DError(
            f"'{clip.source}' has {available} frames at {float(rate):g} fps; {clip.frames} from frame {clip.start} on "
            f"are needed. {advice}, or a longer video."
        )


def _tell_what_the_sampler_takes(scene: SceneJob) -> None:
    frames, (width, height) = scene.frames, scene.clip.size
    if frames % 4 != 1:
        below = max(1, (frames - 1) // 4 * 4 + 1)
        say(f"note: {frames} frames is not 4n+1; the EX-4D sampler takes {below} or {below + 4}.")
    if width % 16 or height % 16:
        say(f"note: {width}x{height} is not divisible by 16, which the EX-4D sampler needs.")
