"""A clip's mesh in the file format asked for: the table of formats, and the one function that writes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from ..errors import EX4DError
from ..machine import extras
from ..mesh import DWMesh
from ..storage.staging import staged_folder
from ..trajectory import Trajectory
from . import glb, ply, point_cache, usd
from .glb import BETWEEN, Cancel, Progress
from .scene import AssetScene, asset_scene
from .simplify import Surface, check_faces, surface_of

DEFAULT_FACES = 40_000
ColorChoice = Literal["each frame", "one picture"]
COLOR_CHOICES: tuple[ColorChoice, ...] = get_args(ColorChoice)


@dataclass(frozen=True)
class AssetOptions:
    """How a mesh is written.

    Attributes:
        faces: at most; 0 = every face that a frame sees.
        colors: "each frame": every frame has a topology and a picture of its own; "one picture": one topology that moves,
            with the picture of one frame laid on it. Formats that hold only one of them take that.
        picture: the frame whose picture is laid on, and the frame of formats that hold one.
        between: what is shown between two frames, of :data:`ex4d_core.assets.glb.BETWEEN`.
    """

    faces: int = DEFAULT_FACES
    colors: ColorChoice = "each frame"
    picture: int = 0
    between: str = "hold"


@dataclass(eq=False)
class Written:
    """What was written, for whoever tells people.

    Attributes:
        files: in the order in which a program opens them.
        bytes: of all files.
        frames: of the file.
        faces: of its largest mesh.
        vertices: of the same.
        shapes: how many shapes a moving mesh is mixed from; 0 where none are.
        scene: what was laid out.
        surfaces: by the mesh's frame, the faces that were written for it.
        kept: share of the seen surface that the faces cover, 0..1, in the frame that fares worst.
        error: by how many pixels the surface is off, depth edges apart; see `Surface`.
    """

    scene: AssetScene
    files: list[Path] = field(default_factory=list)
    bytes: int = 0
    frames: int = 1
    surfaces: dict[int, Surface] = field(default_factory=dict)
    faces: int = 0
    vertices: int = 0
    shapes: int = 0
    kept: float = 1.0
    error: float = 0.0

    def saw(self, surface: Surface) -> Surface:
        """Note a surface that is written."""
        self.surfaces |= dict.fromkeys(surface.frames, surface)
        if len(surface.faces) > self.faces:
            self.faces, self.vertices = len(surface.faces), len(surface.vertices)
        self.kept, self.error = min(self.kept, surface.kept), max(self.error, surface.error)
        return surface

    def lines(self) -> list[str]:
        """What people want to know, in a few words a line."""
        count = f"{len(self.files)} files, " if len(self.files) > 1 else ""
        moving = f", {self.shapes} shapes" if self.shapes else ""
        lines = [
            f"{self.files[0].name}: {count}{self.bytes / 1e6:.1f} MB",
            f"{self.frames} frames, {self.faces} faces, {self.vertices} vertices{moving}",
        ]
        if self.kept < 1 or self.error:
            lines.append(f"{self.kept:.1%} of the seen surface, 99 % of it off by less than {self.error:.2g} px")
        return lines


class _Steps:
    """Progress of work in several passes over the frames."""

    def __init__(self, progress: Progress | None, passes: int, frames: int) -> None:
        self._progress, self._total, self._frames = progress, passes * frames, frames

    def part(self, number: int) -> Progress | None:
        """The progress of one pass, from 0 on."""
        if self._progress is None:
            return None
        report = self._progress
        return lambda done, _total: report(number * self._frames + done, self._total)


@dataclass(frozen=True)
class _Job:
    """One file or set of files in the making."""

    folder: Path
    name: str
    scene: AssetScene
    options: AssetOptions
    written: Written
    progress: Progress | None
    cancel: Cancel | None

    def one_surface(self, steps: _Steps) -> Surface:
        """The faces that all frames share."""
        frames, faces = self.scene.frames, self.options.faces
        surface = surface_of(self.scene.mesh, frames, faces, progress=steps.part(0), cancel=self.cancel)
        return self.written.saw(surface)

    def surface_at(self, frame: int) -> Surface:
        """The faces of one frame alone."""
        return self.written.saw(surface_of(self.scene.mesh, [frame], self.options.faces, cancel=self.cancel))


def _animated_glb(job: _Job) -> None:
    path, scene, options = job.folder / f"{job.name}.glb", job.scene, job.options
    if options.colors == "each frame":
        glb.save_frames(path, scene, job.surface_at, progress=job.progress, cancel=job.cancel)
        return
    steps = _Steps(job.progress, 2, len(scene.frames))
    surface = job.one_surface(steps)
    job.written.shapes = glb.save_morphing(
        path,
        scene,
        surface,
        options.picture,
        between=options.between,
        progress=steps.part(1),
        cancel=job.cancel,
    )


def _glb_of_a_frame(job: _Job) -> None:
    job.written.frames = 1
    glb.save_still(job.folder / f"{job.name}.glb", job.scene, job.surface_at(job.options.picture))


def _ply_of_a_frame(job: _Job) -> None:
    job.written.frames = 1
    surface = job.surface_at(job.options.picture)
    ply.save_surface(job.folder / f"{job.name}.ply", job.scene, surface)


def _sequence(job: _Job, save: Callable[[Path, AssetScene, Surface], None], suffix: str) -> None:
    for n, frame in enumerate(job.scene.shown):
        save(job.folder / f"{job.name}.{n:04}{suffix}", job.scene.still(n), job.surface_at(frame))
        if job.progress is not None:
            job.progress(n + 1, len(job.scene))


def _glb_sequence(job: _Job) -> None:
    _sequence(job, glb.save_still, ".glb")


def _ply_sequence(job: _Job) -> None:
    _sequence(job, ply.save_surface, ".ply")


def _point_cache(job: _Job, kind: point_cache.CacheKind) -> None:
    steps = _Steps(job.progress, 2, len(job.scene))
    surface = job.one_surface(steps)
    point_cache.save_point_cache(
        job.folder,
        job.name,
        job.scene,
        surface,
        job.options.picture,
        kind,
        progress=steps.part(1),
        cancel=job.cancel,
    )


def _usd(job: _Job) -> None:
    steps = _Steps(job.progress, 2, len(job.scene))
    surface = job.one_surface(steps)
    usd.save_usd(
        job.folder / f"{job.name}.usdz",
        job.scene,
        surface,
        None if job.options.colors == "each frame" else job.options.picture,
        progress=steps.part(1),
        cancel=job.cancel,
    )


@dataclass(frozen=True)
class AssetFormat:
    """A row of the table of formats.

    Attributes:
        suffix: ending of the file that a program opens.
        title: what it is, in a few words.
        used_by: the programs that read it.
        write: writes a job's files into its folder.
        needs: an optional package, by the name of its module; None where none is.
    """

    suffix: str
    title: str
    used_by: str
    write: Callable[[_Job], None]
    needs: str | None = None


ASSET_FORMATS = {
    "glb": AssetFormat(
        ".glb", "the clip in one file, with its cameras", "Blender, three.js, Unreal, ComfyUI", _animated_glb
    ),
    "glb frame": AssetFormat(".glb", "one frame", "everything that reads glTF", _glb_of_a_frame),
    "glb sequence": AssetFormat(".glb", "a file a frame", "Unreal, web players", _glb_sequence),
    "ply frame": AssetFormat(".ply", "one frame, a colour a vertex", "MeshLab, CloudCompare", _ply_of_a_frame),
    "ply sequence": AssetFormat(".ply", "a file a frame, a colour a vertex", "Houdini, Blender", _ply_sequence),
    "obj + mdd": AssetFormat(
        ".obj", "a mesh and its motion", "Blender, LightWave, Maya", lambda job: _point_cache(job, "mdd")
    ),
    "obj + pc2": AssetFormat(".obj", "a mesh and its motion", "Blender, 3ds Max", lambda job: _point_cache(job, "pc2")),
    "usdz": AssetFormat(".usdz", "the clip with its cameras", "Houdini, Maya, usdview", _usd, "pxr"),
}
"""By the names that nodes and the command line call them."""


def save_asset(
    path: str | Path,
    mesh: DWMesh,
    trajectory: Trajectory | None = None,
    *,
    format: str = "glb",
    options: AssetOptions | None = None,
    fps: float | None = None,
    scale: float = 1.0,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Written:
    """Write a clip's mesh for another program: y up, with its cameras, occluded surface left out.

    Args:
        path: the file to write, or the common beginning of the names of several; its ending is the format's, whatever is
            given. Files that exist are replaced, all at once when the last is done.
        mesh: the clip's mesh.
        trajectory: the new camera's path; None = the source camera alone.
        format: of :data:`ASSET_FORMATS`.
        options: see `AssetOptions`.
        fps: frames a second; None = the path's.
        scale: metres per unit of the scene.
        progress: called with (steps done, steps).
        cancel: polled once a frame; True raises Cancelled.

    Returns:
        What was written.

    Raises:
        EX4DError: a format, frame or number that there is not, a path that does not fit the clip, a missing package, or a
            folder that cannot be written.
        Cancelled: ``cancel`` returned True; nothing was written.

    Example:
        >>> import tempfile, torch
        >>> from ex4d_core.mesh import build_dw_mesh
        >>> mesh = build_dw_mesh(torch.zeros(3, 32, 32, 3), torch.full((3, 32, 32), 4.0))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_asset(folder + "/wall", mesh).files[0].name
        'wall.glb'
    """
    options = options or AssetOptions()
    entry = check_asset(format, options, mesh.frames)
    scene = asset_scene(mesh, trajectory, fps=fps, scale=scale)
    path = Path(path)
    name = path.stem if path.suffix.lower() in {each.suffix for each in ASSET_FORMATS.values()} else path.name
    written = Written(scene, frames=len(scene))
    with staged_folder(path.parent) as stage:
        entry.write(_Job(stage, name, scene, options, written, progress, cancel))
        made = sorted(stage.iterdir(), key=lambda file: (file.suffix != entry.suffix, file.name))
        written.bytes = sum(file.stat().st_size for file in made)
    written.files = [path.parent / file.name for file in made]
    return written


def check_asset(format: str, options: AssetOptions, frames: int) -> AssetFormat:
    """The format's row, with everything refused that can be told before work starts.

    Args:
        format: of :data:`ASSET_FORMATS`.
        options: see `AssetOptions`.
        frames: of the mesh.

    Raises:
        EX4DError: a format or choice that there is not, a frame beyond the clip, or a missing package.
    """
    if format not in ASSET_FORMATS:
        raise EX4DError(f"The format must be one of {', '.join(ASSET_FORMATS)}; got {format!r}.")
    for what, value, choices in (("colors", options.colors, COLOR_CHOICES), ("between", options.between, BETWEEN)):
        if value not in choices:
            raise EX4DError(f"{what} must be one of {', '.join(choices)}; got {value!r}.")
    if not 0 <= options.picture < frames:
        raise EX4DError(f"The mesh has frames 0 to {frames - 1}; the picture of frame {options.picture} was asked for.")
    check_faces(options.faces)
    entry = ASSET_FORMATS[format]
    if entry.needs is not None:
        extras.check(entry.needs, f"The format {format}")
    return entry
