"""Turn a video and its depth into the colour and mask videos that EX-4D completes.

Writes color_<cam>.mp4 and mask_<cam>.mp4 for every camera asked for, and with the --save flags camera_<cam>.npz,
frames_<cam>.npz (lossless), DW-Mesh.ply and depth.npz. Everything is checked before work starts, and the files appear
together at the end or not at all.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import Cancelled
from ..machine.kept import kept
from ..storage.npz import NpzWriter
from ..storage.staging import staged_folder
from .console import ProgressBar, interrupted, say
from .jobs.files import JobFiles
from .recon_flags import add_arguments, read_source_camera, recon_job, requested_outputs, scene_sources
from .recon_job import (
    CHUNK_FRAMES,
    CameraPath,
    ClipJob,
    DepthEstimate,
    DepthFile,
    DepthJob,
    DepthPoints,
    MeshJob,
    ReconJob,
    RenderJob,
    SceneJob,
    SourceCameraJob,
)

if TYPE_CHECKING:
    import numpy as np

    from ..depth import DepthClip
    from ..depth.depthcrafter import DepthCrafter
    from ..mesh import DWMesh
    from ..scene_memory import SceneMemory
    from ..trajectory import Trajectory
    from ..video import Sound, VideoClip
    from .recon_job import BentSound

__all__ = ["add_arguments", "run"]


def run(args: argparse.Namespace) -> int:
    """Check everything, then do the work; see the module for what is written."""
    started = time.monotonic()
    job = recon_job(args)
    with staged_folder(job.outputs.folder) as stage:
        reconstruct(job, stage)
        names = sorted(file.name for file in stage.iterdir())
    for name in names:
        print(job.outputs.folder / name)
    say(f"done in {time.monotonic() - started:.1f} s")
    return 0


def check(args: argparse.Namespace) -> None:
    """Refuse what cannot work."""
    recon_job(args)


def files(args: argparse.Namespace) -> JobFiles:
    """What is read and written."""
    outputs, cameras = requested_outputs(args)
    return JobFiles.of(scene_sources(args), (outputs.folder / name for name in outputs.names(cameras)))


def reconstruct(job: ReconJob, stage: Path) -> None:
    """Video -> depth -> mesh -> trajectory -> render -> files in the folder ``stage``."""
    from ..assets.ply import save_ply

    mesh, clip = scene_mesh(job.scene, stage / "depth.npz" if job.outputs.depth else None)
    if job.outputs.mesh:
        save_ply(stage / "DW-Mesh.ply", mesh)
    memory = scene_memory(job.render, mesh)
    for camera in job.cameras:
        render_path(job, mesh, memory, camera, clip, stage)


def scene_mesh(job: SceneJob, depth_file: Path | None = None) -> tuple[DWMesh, VideoClip]:
    """The mesh of a whole clip, and the clip without its frames: a source of sound, and of the rate.

    Args:
        job: what is read, and how the mesh is built.
        depth_file: an .npz to write the depth to; None = it is not kept.
    """
    # The networks come first: a missing or damaged model is told before the video is read.
    depth_of = depth_source(job.depth, job.mesh.focal)
    clip = read_video(job.clip)
    depth = depth_of(clip)
    del depth_of  # and with it the networks, unless this process keeps them
    if job.source_camera is not None:
        depth = with_source_camera(job.source_camera, job.mesh, clip, depth)
    if depth_file is not None:
        save_depth(depth_file, depth)
    mesh = build_mesh(job.mesh, clip, depth)
    # The mesh is made of the clip's frames; the clip goes on as the source of the sound only.
    return mesh, replace(clip, frames=clip.frames.new_empty(0))


def scene_memory(job: RenderJob, mesh: DWMesh) -> SceneMemory | None:
    """What other frames saw, for every path; None where it is not asked for."""
    from ..scene_memory import remember_scene

    if job.memory is None:
        return None
    with ProgressBar("remembering the scene") as bar:
        memory = remember_scene(mesh, frames=job.memory_frames, strictness=job.memory, progress=bar, cancel=interrupted)
    say(f"memory: {len(memory.frames)} frames, {memory.still_share:.0%} of the clip stands still")
    return memory


def read_video(job: ClipJob) -> VideoClip:
    """The frames asked for, at the size asked for."""
    from ..video import load_video

    with ProgressBar("reading the video") as bar:
        return load_video(
            job.source,
            start=job.start,
            count=job.frames,
            fps=job.fps,
            size=job.size,
            fit=job.fit,
            progress=bar,
            cancel=interrupted,
        )


def depth_source(job: DepthJob, focal: float | None = None) -> Callable[[VideoClip], DepthClip]:
    """What gives a clip its depth; networks are loaded here already. ``focal`` in pixels of the clip, for point maps."""
    if isinstance(job, DepthPoints):
        from .points import depth_from_points

        return partial(depth_from_points, job, focal)
    return partial(read_depth, job) if isinstance(job, DepthFile) else partial(estimate_depth, job, load_networks(job))


def read_depth(job: DepthFile, clip: VideoClip) -> DepthClip:
    """The depth that a file has for the clip's frames."""
    from ..depth.files import load_depth

    with ProgressBar("reading the depth") as bar:
        return load_depth(job.path, clip, kind=job.kind, progress=bar, cancel=interrupted)


def load_networks(job: DepthEstimate) -> DepthCrafter:
    """DepthCrafter, downloaded where it is not there yet."""
    from ..depth.depthcrafter import DepthCrafter

    say("note: no --depth was given, so DepthCrafter estimates it; its weights are for non-commercial, academic use.")

    def load() -> DepthCrafter:
        with ProgressBar("fetching DepthCrafter") as bar:
            return DepthCrafter.from_pretrained(
                job.unet,
                job.base,
                device=job.device,
                folder=job.folder,
                offline=job.offline,
                progress=bar,
                cancel=interrupted,
            )

    return kept("DepthCrafter", (job.unet, job.base, job.device, job.folder), load)


def estimate_depth(job: DepthEstimate, networks: DepthCrafter, clip: VideoClip) -> DepthClip:
    """The depth that DepthCrafter sees in the clip's frames."""
    with ProgressBar("estimating the depth") as bar:
        return networks.depth_clip(clip.frames, steps=job.steps, seed=job.seed, progress=bar, cancel=interrupted)


def save_depth(path: Path, depth: DepthClip) -> None:
    """An .npz that --depth takes."""
    import numpy as np

    with NpzWriter(path) as archive:
        archive.array("depth", depth.depth.numpy())
        if depth.intrinsics is not None:
            archive.array("intrinsics", depth.intrinsics.matrix())
        if depth.disparity_range is not None:
            archive.array("disparity_range", np.array(depth.disparity_range))


def with_source_camera(job: SourceCameraJob, mesh: MeshJob, clip: VideoClip, depth: DepthClip) -> DepthClip:
    """The depth with the path of the camera that filmed it, from a file or solved; levelled where its scale flickers."""
    from ..camera import Intrinsics
    from ..solve import fit_source_camera, solve_source_camera

    _, height, width = depth.depth.shape
    lens = mesh.lens((width, height)) or depth.intrinsics
    if job.file is not None:
        path = read_source_camera(job, lens or Intrinsics.default(width, height))
        if len(path) > len(depth):
            say(f"note: '{job.file}' has {len(path)} poses; the first {len(depth)} are taken for the clip's frames.")
        if job.scale is not None or len(depth) == 1:
            return depth.with_source_camera(path)
        with ProgressBar("fitting the camera") as bar:
            solution = fit_source_camera(clip.frames, depth.depth, path, lens, progress=bar, cancel=interrupted)
        say(f"source camera: {solution.scale:.4g} units of the depth per unit, {solution.residual:.2f} pixels off")
    else:
        with ProgressBar("solving the camera") as bar:
            solution = solve_source_camera(
                clip.frames, depth.depth, lens, fps=float(clip.fps), progress=bar, cancel=interrupted
            )
        if solution.trouble is not None:
            say(f"note: {solution.trouble} The source camera is taken as fixed.")
        else:
            say(f"source camera: {int(solution.still.sum())} points, {solution.residual:.2f} pixels off")
    return solution.on(depth)


def build_mesh(job: MeshJob, clip: VideoClip, depth: DepthClip) -> DWMesh:
    """A watertight surface for every frame, made of the clip's and the depth's own memory."""
    from ..depth.refine import mended
    from ..mesh import build_dw_mesh

    _, height, width = depth.depth.shape
    with ProgressBar("building the mesh") as bar:
        return build_dw_mesh(
            clip.frames,
            mended(depth.depth, job.mends),
            job.lens((width, height)) or depth.intrinsics,
            style=job.style,
            min_angle=job.min_angle,
            depth_jump=job.depth_jump,
            border_depth=depth.border_depth if job.border_depth is None else job.border_depth,
            source_camera=depth.source_camera,
            in_place=True,
            progress=bar,
            cancel=interrupted,
        )


def render_path(
    job: ReconJob, mesh: DWMesh, memory: SceneMemory | None, camera: CameraPath, clip: VideoClip, stage: Path
) -> None:
    """The files of one camera path; only a few of its frames are held at a time."""
    from ..render import source_along
    from ..trajectory import in_the_world
    from .shot import shot_writer

    trajectory = path_around(mesh, camera, job.scene.frames, clip.fps)
    source = source_along(trajectory, mesh)
    sound = sound_of(clip, trajectory, mesh.frames, job.outputs.bent_sound, camera.name)
    if job.outputs.cameras:
        in_the_world(trajectory, source).save(stage / f"camera_{camera.name}.npz")
    total = len(trajectory)
    files = shot_writer(
        stage,
        camera.name,
        (total, mesh.height, mesh.width),
        clip.fps,
        sound=sound,
        crf=job.outputs.crf,
        lossless=job.outputs.frames,
        memory=memory is not None,
    )
    with files as shot, ProgressBar(f"rendering {camera.name}") as bar:
        for done, (color, mask, *remembered) in enumerate(rendered_frames(job.render, mesh, memory, trajectory), 1):
            shot.write(color, mask, *remembered)
            bar(done, total)
    least = int(shot.seen.argmin())
    say(
        f"{camera.name}: {100 * shot.seen.mean():.1f} % of the pixels are seen, "
        f"least in frame {least} ({100 * shot.seen[least]:.1f} %)"
    )


def path_around(mesh: DWMesh, camera: CameraPath, frames: int, fps: float) -> Trajectory:
    """A path asked for, around this mesh: on its base, with a lens for every frame."""
    from ..render import source_along, with_lenses
    from ..trajectory import laid_on

    trajectory = camera.trajectory(frames, fps, mesh.radius, mesh.intrinsics)
    shown = tuple(trajectory.shown_frames(mesh.frames)) if trajectory.bends_time else None
    source = source_along(trajectory, mesh)
    return with_lenses(laid_on(trajectory, camera.base, source, seconds=camera.seconds, shown=shown), mesh)


def sound_of(
    clip: VideoClip, trajectory: Trajectory, frames: int, bent: BentSound, name: str
) -> VideoClip | Sound | None:
    """What a path's video sounds like: as the clip; where time is bent silent, unless asked for otherwise.

    Args:
        clip: whose sound it is.
        trajectory: with its document.
        frames: of the clip.
        bent: what becomes of sound where time is bent.
        name: of the path.
    """
    import numpy as np

    from ..trajectory import source_times
    from ..video import Sound, bent_sound, clip_sound

    if not clip.has_audio or not trajectory.bends_time or bent == "cut":
        return clip if clip.has_audio else None
    if bent == "none":
        say(
            f"note: {name} bends time, so its video has no sound. --bent_sound stretch lets it follow, cut leaves it as it is."
        )
        return None
    found = clip_sound(clip.path, clip.start_seconds, frames / float(clip.fps), interrupted)
    times = None if trajectory.path is None else source_times(trajectory.path, frames)
    if times is None:
        times = np.array(trajectory.shown_frames(frames), dtype=np.float64)
    if found is None:
        return None
    samples, rate = found
    return Sound(bent_sound(samples, rate, times, float(clip.fps)), rate)


def rendered_frames(
    job: RenderJob, mesh: DWMesh, memory: SceneMemory | None, trajectory: Trajectory
) -> Iterator[tuple[np.ndarray, ...]]:
    """Colour (H, W, 3), mask (H, W) and, with a memory, what came from it (H, W), of one frame after the other, uint8;
    rendered in chunks, each then forgotten.
    """
    from ..holes.masks import feather, grow_holes
    from ..render import default_range, render_color_mask

    near, far = default_range(mesh)
    shown = trajectory.shown_frames(mesh.frames)
    for begin in range(0, len(trajectory), CHUNK_FRAMES):
        chunk = slice(begin, begin + CHUNK_FRAMES)
        part = slice(None) if mesh.frames == 1 else shown[chunk] if trajectory.bends_time else chunk
        color, mask, _, *remembered = render_color_mask(
            mesh.part(part),
            replace(trajectory.part(chunk), shown=None),  # the mesh's part has the frames in this order
            backend=job.backend,
            device=job.device,
            keep_first_frame=job.keep_first_frame if begin == 0 else False,
            supersample=job.supersample,
            hole_color=job.hole_color,
            memory=None if memory is None else memory.part(part),
            near=near,
            far=far,
            out_dtype="uint8",
            cancel=interrupted,
        )
        mask = grow_holes(color, mask, job.grow_holes, job.hole_color)
        remembered = [each.minimum(mask) for each in remembered]
        mask = feather(mask, job.feather)
        for picture in zip(*(each.cpu().numpy() for each in (color, mask, *remembered))):
            if interrupted():
                raise Cancelled
            yield picture
