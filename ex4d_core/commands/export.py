"""Write a video and its depth as 3D files for other programs: Blender, Houdini, Unreal, three.js.

A mesh that moves, with pictures and cameras, as GLB, PLY, OBJ with a point cache, or USD; or what the clip saw as points. The
files appear together at the end or not at all.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import EX4DError
from ..storage.staging import check_sources, check_targets
from .console import ProgressBar, interrupted, say
from .flags import number, whole
from .jobs.files import JobFiles
from .recon_flags import add_camera, add_depth, add_mesh, add_video, one_camera, scene_job, scene_sources
from .recon_job import CameraPath, SceneJob

if TYPE_CHECKING:
    from ..assets.export import AssetOptions
    from ..mesh import DWMesh


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags; those of video, depth, camera and mesh are recon's."""
    from ..assets.export import ASSET_FORMATS, COLOR_CHOICES, DEFAULT_FACES
    from ..assets.glb import BETWEEN
    from ..pointmap.formats import POINT_FORMATS

    formats = {**ASSET_FORMATS, **POINT_FORMATS}
    add_video(parser.add_argument_group("video"))
    add_depth(parser.add_argument_group("depth"))
    add_camera(parser.add_argument_group("camera, one at most"))
    add_mesh(parser.add_argument_group("mesh"))
    add = parser.add_argument_group("output").add_argument
    add("--output", required=True, help="file to write, or the beginning of the names of a sequence")
    add(
        "--format",
        choices=formats,
        help="default: by the ending, .glb and .usdz the clip, .ply a sequence of meshes, .obj with .mdd, .npz and .exr points. "
        + "; ".join(f"'{name}': {entry.title}" for name, entry in formats.items()),
    )
    add("--faces", type=whole(0), default=DEFAULT_FACES, help=f"at most; 0 = all (default {DEFAULT_FACES})")
    add(
        "--colors",
        choices=COLOR_CHOICES,
        default=COLOR_CHOICES[0],
        help="a picture for each frame, or one on a mesh of fixed faces (default each frame)",
    )
    add("--picture", type=whole(0), default=0, help="frame of the one picture, or of a single frame (default 0)")
    add("--between", choices=BETWEEN, default="hold", help="fixed faces: what is shown between frames (default hold)")
    add("--scale", type=number(1e-6, 1e6, "metres"), default=1.0, help="metres per unit of the depth (default 1)")


BY_ENDING = {".glb": "glb", ".ply": "ply sequence", ".obj": "obj + mdd", ".usdz": "usdz", ".npz": "npz", ".exr": "exr"}


@dataclass(frozen=True)
class ExportJob:
    """The whole job; ``camera`` goes into the file where it is given."""

    scene: SceneJob
    camera: CameraPath | None
    format: str
    options: AssetOptions
    scale: float
    output: Path


def run(args: argparse.Namespace) -> int:
    """Check everything, build the mesh, write it."""
    from ..assets.export import save_asset
    from ..pointmap.formats import POINT_FORMATS
    from .recon import path_around, scene_mesh

    started = time.monotonic()
    job = export_job(args)
    mesh, clip = scene_mesh(job.scene)
    fps = float(clip.fps)
    if job.format in POINT_FORMATS:
        _write_points(job, mesh, fps)
        say(f"done in {time.monotonic() - started:.1f} s")
        return 0
    path = None if job.camera is None else path_around(mesh, job.camera, job.scene.frames, fps)
    with ProgressBar("writing the mesh") as bar:
        written = save_asset(
            job.output,
            mesh,
            path,
            format=job.format,
            options=job.options,
            fps=fps,
            scale=job.scale,
            progress=bar,
            cancel=interrupted,
        )
    for file in written.files:
        print(file)
    for line in written.lines():
        say(line)
    say(f"done in {time.monotonic() - started:.1f} s")
    return 0


def check(args: argparse.Namespace) -> None:
    """Refuse what cannot work."""
    export_job(args)


def files(args: argparse.Namespace) -> JobFiles:
    """What is read and written; of a sequence only the beginning of its names is known."""
    return JobFiles.of(scene_sources(args), (args.output,))


def _write_points(job: ExportJob, mesh: DWMesh, fps: float) -> None:
    """What the clip saw, as points."""
    from ..assets.points import points_of_mesh
    from ..pointmap.formats import save_points

    points = points_of_mesh(mesh, fps=fps)
    with ProgressBar("writing the points") as bar:
        files = save_points(job.output, points, format=job.format, scale=job.scale, progress=bar, cancel=interrupted)
    for file in files:
        print(file)
    megabytes = sum(file.stat().st_size for file in files) / 1e6
    say(f"{len(points)} frames, {int(points.valid.sum())} points, {megabytes:.1f} MB")


def export_job(args: argparse.Namespace) -> ExportJob:
    """The job that the flags describe; refuses what cannot work, before anything heavy is loaded or written.

    Raises:
        EX4DError: any bad file, value or combination.
    """
    from ..assets.export import AssetOptions, check_asset
    from ..pointmap.formats import POINT_FORMATS, check_points

    camera = one_camera(args)
    output = Path(args.output)
    format = args.format or BY_ENDING.get(output.suffix.lower())
    if format is None:
        raise EX4DError(
            f"'{output.name}' does not tell its format. End it in {', '.join(BY_ENDING)}, or pass --format."
        )
    if format in POINT_FORMATS:
        if camera is not None:
            raise EX4DError("A file of points holds no camera. Leave --cam and --camera out, or write the mesh (.glb).")
        check_points(format)
    check_targets(output.parent, [output.name])
    check_sources(output.parent, [output.name], scene_sources(args))
    args.device = None
    scene = scene_job(args, () if camera is None else (camera,))
    options = AssetOptions(args.faces, args.colors, args.picture, args.between)
    if format not in POINT_FORMATS:
        check_asset(format, options, scene.clip.frames)
    return ExportJob(scene, camera, format, options, args.scale, output)
