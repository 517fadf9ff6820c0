"""What a ``recon`` will do, known before its first frame is decoded: every flag and file is checked here."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import EX4DError
from ..machine.memory import check_memory
from ..storage.staging import check_targets
from .checks import check_backend, one_of
from .console import say

if TYPE_CHECKING:
    from ..camera import Intrinsics
    from ..trajectory import Trajectory
    from ..video import VideoInfo

DEFAULT_FRAMES = 49
CHUNK_FRAMES = 16
"""Frames rendered before they are encoded; bounds memory whatever the clip's length."""


@dataclass(frozen=True)
class CameraPath:
    """One path asked for: a preset with parameters, or a file."""

    name: str
    preset: str | None
    params: dict[str, Any]
    file: Path | None

    def trajectory(self, frames: int, fps: float, radius: float | None, intrinsics: Intrinsics) -> Trajectory:
        """The path around a scene of this radius (scene units; None: not known yet), seen through the clip's lens."""
        from ..trajectory import Trajectory

        if self.preset is not None:
            return Trajectory.preset(
                self.preset, frames=frames, fps=fps, radius=radius, intrinsics=intrinsics, **self.params
            )
        assert self.file is not None
        # Without fps: one camera a frame as the file has them, whatever the clip's rate is.
        size = (intrinsics.width, intrinsics.height)
        return Trajectory.load(self.file, intrinsics=intrinsics, size=size, radius=radius)


@dataclass(frozen=True)
class Plan:
    """What is known before the first frame is decoded."""

    cameras: list[CameraPath]
    frames: int
    source_frames: int
    size: tuple[int, int]
    fps: float | None
    keep_first_frame: bool | str


def plan_recon(args: argparse.Namespace) -> Plan:
    """Refuse what cannot work, before anything heavy is loaded or written.

    Raises:
        EX4DError: any bad flag, file or combination.
    """
    from ..camera import Intrinsics
    from ..mesh import check_mesh_parameters
    from ..video import FITS, probe_video

    one_of("--fit", args.fit, FITS)
    one_of("--keep_first_frame", args.keep_first_frame, ("auto", "yes", "no"))
    check_mesh_parameters(args.style, args.min_angle, args.depth_jump, args.border_depth)
    if args.depth_steps < 1:
        raise EX4DError(f"--depth_steps must be 1 or more, got {args.depth_steps}.")
    if args.num_frames is not None and args.num_frames < 1:
        raise EX4DError(f"--num_frames must be 1 or more, got {args.num_frames}.")
    if args.supersample not in (1, 2, 3, 4):
        raise EX4DError(f"--supersample must be 1, 2, 3 or 4, got {args.supersample}.")
    if args.focal is not None and not 1 <= args.focal <= 1e6:
        raise EX4DError(f"--focal must lie between 1 and 1000000 pixels, got {args.focal:g}.")
    if not 0 <= args.crf <= 51:
        raise EX4DError(f"--crf must lie between 0 and 51, got {args.crf:g}.")
    cameras = camera_paths(args)
    check_targets(Path(args.output_dir), outputs(args, cameras))
    check_backend(args.backend, args.device)
    info = probe_video(args.input_video)
    size = output_size(args.size, info)
    lens = Intrinsics.default(*size) if args.focal is None else Intrinsics.from_focal(args.focal, *size)
    frames = path_length(args, cameras, lens)
    source_frames = 1 if args.only_first_frame else frames
    check_length(args, info, source_frames)
    needed = least_memory(size, frames, source_frames)
    check_memory(needed, "This clip", "Ask for fewer frames or a smaller --size.")
    if args.depth is not None:
        from ..depth.files import check_depth_file

        check_depth_file(args.depth, args.depth_kind, info, source_frames)
    if frames % 4 != 1:
        below = max(1, (frames - 1) // 4 * 4 + 1)
        say(f"note: {frames} frames is not 4n+1; the EX-4D sampler takes {below} or {below + 4}.")
    if size[0] % 16 or size[1] % 16:
        say(f"note: {size[0]}x{size[1]} is not divisible by 16, which the EX-4D sampler needs.")
    keep = {"auto": "auto", "yes": True, "no": False}[args.keep_first_frame]
    return Plan(cameras, frames, source_frames, size, args.fps, keep)


def least_memory(size: tuple[int, int], frames: int, source_frames: int) -> int:
    """Bytes held at once on any path through the work; models, renderer and encoders come on top."""
    clip, depth = 3, 4
    picture = clip + 1 + depth
    building = 2 * (clip + depth) * source_frames  # the mesh has its own copies
    rendering = (clip + depth) * source_frames + picture * min(frames, CHUNK_FRAMES)
    return size[0] * size[1] * max(building, rendering)


def outputs(args: argparse.Namespace, cameras: list[CameraPath]) -> list[str]:
    """Names of the files that will be written."""
    forms = ["color_{}.mp4", "mask_{}.mp4"]
    forms += ["camera_{}.npz"] * args.save_camera + ["frames_{}.npz"] * args.save_frames
    names = [form.format(camera.name) for camera in cameras for form in forms]
    return names + ["DW-Mesh.ply"] * args.save_mesh + ["depth.npz"] * bool(args.save_depth)


def camera_paths(args: argparse.Namespace) -> list[CameraPath]:
    """--cam and --camera, in the order given; none, or two of one name, are refused."""
    cameras = [preset_camera(text) for text in args.cam]
    cameras += [CameraPath(Path(file).stem, None, {}, Path(file)) for file in args.camera]
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
    return cameras


def preset_camera(text: str) -> CameraPath:
    """``orbit:angle=-90,rise=0.1`` -> the preset and its parameters."""
    from ..trajectory import preset_document

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
    document = preset_document(preset, **params)  # refuses unknown names and values
    name = document["source"]["preset"] + "".join(f"_{key}{value}" for key, value in spelled(params))
    return CameraPath(name, document["source"]["preset"], params, None)


def spelled(params: dict[str, Any]) -> list[tuple[str, str]]:
    """Names and values of a preset's parameters as file names take them."""
    return [(key, f"{v:g}" if isinstance(v, float) else re.sub(r"\W", "-", v)) for key, v in params.items()]


def output_size(text: str, info: VideoInfo) -> tuple[int, int]:
    """--size as (width, height) in pixels."""
    from ..video.fit import check_size, parse_size

    if text.strip() == "source":
        # The largest size of the same shape that the sampler takes.
        return check_size((info.size[0] // 16 * 16, info.size[1] // 16 * 16), "The source's size")
    return parse_size(text)


def path_length(args: argparse.Namespace, cameras: list[CameraPath], lens: Intrinsics) -> int:
    """Frames of every path: --num_frames, or those of the camera files, or 49."""
    lengths = {c.name: len(c.trajectory(1, 15.0, None, lens)) for c in cameras if c.file is not None}
    frames = args.num_frames or (next(iter(lengths.values())) if lengths else DEFAULT_FRAMES)
    for name, length in lengths.items():
        if length != frames:
            raise EX4DError(
                f"The camera file '{name}' has {length} frames, but {frames} are to be rendered. "
                f"Pass --num_frames {length}, or another file."
            )
    return frames


def check_length(args: argparse.Namespace, info: VideoInfo, needed: int) -> None:
    """Refuse --start, --fps and counts that the video cannot give, as far as its container tells."""
    if args.start < 0:
        raise EX4DError(f"--start must be 0 or more, got {args.start}.")
    if args.fps is not None and not 0.01 <= args.fps <= 1000:
        raise EX4DError(f"--fps must lie between 0.01 and 1000, got {args.fps:g}.")
    from ..video.sampling import exact_rate, output_length
    from ..video.sources import is_stills

    rate = info.fps if args.fps is None or is_stills(args.input_video) else exact_rate(args.fps)
    if not 0.01 <= rate <= 1000:
        raise EX4DError(
            f"'{args.input_video}' runs at {float(rate):g} frames a second; 0.01 to 1000 can be written. Pass --fps."
        )
    if info.frames is None:
        return
    available = output_length(Fraction(info.frames) / info.fps, rate, info.fps)
    if args.start + needed > available:
        advice = f"Pass --num_frames {available - args.start}" if available > args.start else "Pass a smaller --start"
        raise EX4DError(
            f"'{args.input_video}' has {available} frames at {float(rate):g} fps; {needed} from frame {args.start} on "
            f"are needed. {advice}, or a longer video."
        )
