"""The camera path: from a preset, the editor's keyframes, or a file of another program; and back into files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from comfy_api.latest import io

from ..ex4d_core.camera import MAX_FRAMES, Intrinsics, UnknownLens
from ..ex4d_core.camera_io import FORMATS, read_suffixes, written_formats
from ..ex4d_core.errors import EX4DError
from ..ex4d_core.published import HEIGHT, WIDTH
from ..ex4d_core.render import source_along
from ..ex4d_core.trajectory import (
    BASE_CHOICES,
    DEFAULT_RADIUS,
    EASES,
    FREEZE,
    HOLD,
    LONGEST_SHAKE,
    PRESETS,
    SHAKE_SECONDS,
    BaseChoice,
    Trajectory,
    frames_for,
    in_the_world,
    laid_on,
    move_to_viewpoint,
    parse_document,
    viewer_cameras_of,
)
from . import files, previews, types
from .progress import Job
from .saving import name_input, name_problem, output_place
from .schema import NOT_CONNECTED, choice_problem, schema

if TYPE_CHECKING:
    from ..ex4d_core.mesh import DWMesh

NO_FILE = "none"
DEFAULT_FRAMES = 49


def readable_formats() -> str:
    """The camera files that can be read, by title and ending."""
    readable = [entry for entry in FORMATS.values() if entry.read and not entry.is_folder]
    return ", ".join(
        " ".join((entry.title, *(s for s in entry.suffixes if s not in entry.title))) for entry in readable
    )


class EX4DCameraTrajectory(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="EX4DCameraTrajectory",
            display_name="Camera Trajectory",
            description="The path of the new camera: a preset, keyframes drawn in the editor, or a camera file from "
            "another program. Connect the mesh to fit the path to the scene and to see both.",
            search_aliases=["camera path", "camera control", "orbit", "keyframes", "camera motion", "import camera"],
            is_output_node=True,
            inputs=[
                io.Combo.Input(
                    "preset",
                    options=list(PRESETS),
                    default="orbit",
                    tooltip="Which move. 30, 60, 90, 180, zoom_in and zoom_out are the published paths; the others use "
                    "the settings below. Not used while the editor holds a path or a file is chosen.",
                ),
                io.Float.Input(
                    "angle",
                    default=90.0,
                    min=-3600.0,
                    max=3600.0,
                    step=1.0,
                    tooltip="Degrees, for orbit, sweep, pan, tilt, roll, arc_over and bullet_time. Orbit: positive goes "
                    "right, negative left.",
                ),
                io.Float.Input(
                    "distance",
                    default=0.5,
                    min=-10.0,
                    max=10.0,
                    step=0.05,
                    tooltip="In radii (the distance to the nearest surface): how far dolly, truck and crane go, how wide "
                    "the spiral is. Negative: backward, left, down.",
                ),
                io.Float.Input(
                    "turns", default=2.0, min=-50.0, max=50.0, step=0.25, tooltip="How many rounds the spiral makes."
                ),
                io.Float.Input(
                    "rise",
                    default=0.2,
                    min=-5.0,
                    max=5.0,
                    step=0.05,
                    tooltip="In radii: how far orbit, sweep and bullet_time climb until 90 degrees. 0.2 as published, 0 stays "
                    "level.",
                ),
                io.Float.Input(
                    "follow",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="For truck and crane: 0 keeps looking straight ahead, 1 keeps the scene in the middle.",
                ),
                io.Combo.Input(
                    "ease",
                    options=list(EASES),
                    default="linear",
                    tooltip="How a preset starts and stops: at constant speed, or gently at the start (in), the end (out) "
                    "or both.",
                ),
                io.Int.Input(
                    "frames",
                    default=0,
                    min=0,
                    max=MAX_FRAMES,
                    tooltip="Length of a preset. 0 = as many frames as the mesh has (49 without one), with bullet_time hold "
                    "more. The whole angle is covered whatever the length.",
                ),
                io.Float.Input(
                    "fps",
                    default=15.0,
                    min=0.1,
                    max=240.0,
                    step=0.01,
                    tooltip="Frames per second; EX-4D renders at 15.",
                ),
                io.Float.Input(
                    "scale",
                    default=1.0,
                    min=0.0001,
                    max=10_000.0,
                    step=0.01,
                    round=0.0001,
                    tooltip="Makes a preset larger or smaller than the scene's radius; for a file, scene units per unit "
                    "of the file.",
                ),
                io.Combo.Input(
                    "file",
                    options=[NO_FILE, *files.listing(read_suffixes())],
                    default=NO_FILE,
                    tooltip=f"A camera from ComfyUI's input folder: {readable_formats()}. Its first frame becomes the "
                    "source view.",
                ),
                types.Mesh.Input(
                    "mesh",
                    optional=True,
                    tooltip="The scene: gives the path its radius, pivot, lens and length, and shows it in the preview.",
                ),
                io.String.Input(
                    "path",
                    default="",
                    optional=True,
                    tooltip="The path as JSON, written by the editor (or pasted). While it holds anything, it alone "
                    "decides; empty it to go back to the preset.",
                ),
                types.Load3DCamera.Input(
                    "viewpoint",
                    optional=True,
                    tooltip="camera_info of a Load 3D node: swings from the original view to the side you look from in "
                    "its viewer, level and at the scene's radius times scale, since a viewer has units of its own. Takes "
                    "the place of preset and file; frames, fps, ease and scale count.",
                ),
                io.Combo.Input(
                    "base",
                    options=list(BASE_CHOICES),
                    default="auto",
                    optional=True,
                    tooltip="Where the clip's own camera moves (Source Camera): what the move is laid on. locked: where that "
                    "camera began. stabilised: its path without the shake. follow: that camera itself. auto: locked. The "
                    "editor's path says it itself.",
                ),
                io.Float.Input(
                    "stabilise",
                    default=SHAKE_SECONDS,
                    min=0.0,
                    max=LONGEST_SHAKE,
                    step=0.1,
                    optional=True,
                    tooltip="For stabilised, in seconds: motion faster than this is shake and taken out.",
                ),
                io.Int.Input(
                    "freeze",
                    default=FREEZE,
                    min=0,
                    max=MAX_FRAMES - 1,
                    optional=True,
                    tooltip="For bullet_time: the frame of the clip at which time stops.",
                ),
                io.Int.Input(
                    "hold",
                    default=HOLD,
                    min=1,
                    max=MAX_FRAMES - 1,
                    optional=True,
                    tooltip="For bullet_time: how many frames the camera has to go around the frozen moment. Time then runs on.",
                ),
                io.Boolean.Input(
                    "loop",
                    default=False,
                    optional=True,
                    tooltip="Closes a preset, so that its end goes on into its start without a seam. One that ends elsewhere, "
                    "such as an orbit of 90 degrees, goes there and back.",
                ),
            ],
            outputs=[
                types.Trajectory.Output(display_name="trajectory", tooltip="One camera pose per frame."),
                types.Load3DCamera.Output(
                    display_name="camera_info",
                    is_output_list=True,
                    tooltip="The same cameras for ComfyUI's 3D nodes, as a list: Render Mesh and Render Splat run once for each. "
                    "They fit the meshes of Save Animated Mesh at scale 1.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, path=None, file=None, viewpoint=NOT_CONNECTED, preset=None, ease=None, base=None):
        if problem := choice_problem(cls, preset=preset, ease=ease, base=base):
            return problem
        if path and path.strip():
            try:
                parse_document(path)
            except EX4DError as error:
                return str(error)
            return True
        unused = file == NO_FILE or viewpoint is not NOT_CONNECTED
        return True if unused else files.problem(file, "camera file")

    @classmethod
    def fingerprint_inputs(cls, file=None, **others):  # noqa: ARG003
        # The host passes every input here, and a call that fails counts as "always changed".
        return "" if file == NO_FILE else files.fingerprint(file)

    @classmethod
    def execute(
        cls,
        preset,
        angle,
        distance,
        turns,
        rise,
        follow,
        ease,
        frames,
        fps,
        scale,
        file,
        mesh=None,
        path="",
        viewpoint=None,
        base: BaseChoice = "auto",
        stabilise=SHAKE_SECONDS,
        freeze=FREEZE,
        hold=HOLD,
        loop=False,
    ) -> io.NodeOutput:
        if problem := choice_problem(cls, preset=preset, ease=ease, base=base):
            raise EX4DError(problem)
        intrinsics = None if mesh is None else mesh.intrinsics
        if path and path.strip():
            trajectory, origin = Trajectory.from_json(path, intrinsics=intrinsics), "Keyframes"
            if trajectory.path and trajectory.path.source:
                origin = PRESETS[trajectory.path.source.preset].label
        elif viewpoint is not None:
            radius = DEFAULT_RADIUS if mesh is None else mesh.radius
            trajectory = move_to_viewpoint(
                viewpoint, radius=radius, distance=scale, frames=frames or frames_of(mesh), fps=fps, ease=ease
            )
            origin = "To the 3D viewer's viewpoint"
            if isinstance(viewpoint, list) and len(viewpoint) > 1:
                origin += f" (the first of {len(viewpoint)} cameras)"
        elif file != NO_FILE:
            radius = None if mesh is None else mesh.radius
            source = files.resolve(file, "camera file")
            with mesh_knows_the_lens():
                trajectory = Trajectory.load(source, intrinsics=intrinsics, scale=scale, radius=radius)
            origin = file
        else:
            values = {"angle": angle, "distance": distance, "turns": turns, "rise": rise, "follow": follow}
            values |= {"freeze": freeze, "hold": hold}
            trajectory = preset_trajectory(preset, values, ease, frames, fps, scale, mesh, loop)
            origin = PRESETS[preset].label
        if mesh is not None and not (path and path.strip()):
            trajectory = on_base(trajectory, mesh, base, stabilise)
        return io.NodeOutput(trajectory, viewer_cameras(trajectory, mesh), ui=trajectory_ui(trajectory, mesh, origin))


def viewer_cameras(trajectory: Trajectory, mesh: DWMesh | None) -> list[dict[str, Any]]:
    """The path for ComfyUI's own 3D nodes; the training data's lens where neither the path nor a mesh has one."""
    if mesh is None:
        return viewer_cameras_of(trajectory, Intrinsics.default(WIDTH, HEIGHT))
    known = mesh.source_camera is None or fits(trajectory, mesh)
    placed = for_other_programs(trajectory, mesh, keeps_document=not known)
    return viewer_cameras_of(placed, mesh.intrinsics, away=mesh.radius)


def on_base(trajectory: Trajectory, mesh: DWMesh, base: BaseChoice, seconds: float) -> Trajectory:
    """The path laid on its base; where the counts differ, which the preview tells, only one that needs no counts."""
    source, shown = mesh.source_camera, None
    if source is not None and fits(trajectory, mesh):
        source = source_along(trajectory, mesh)
        shown = tuple(trajectory.shown_frames(mesh.frames)) if trajectory.bends_time else None
    return laid_on(trajectory, base, source, seconds=seconds, shown=shown)


def fits(trajectory: Trajectory, mesh: DWMesh) -> bool:
    """Whether the mesh has the frames that the path shows, as far as counts tell."""
    return trajectory.bends_time or mesh.frames in (1, len(trajectory))


@contextmanager
def mesh_knows_the_lens() -> Iterator[None]:
    """Say which socket helps where a lens is missing that only the scene knows."""
    try:
        yield
    except UnknownLens as error:
        raise EX4DError(f"{error} Connect the mesh.") from None


def preset_trajectory(
    preset: str, values: dict[str, float], ease: str, frames: int, fps: float, scale: float, mesh, loop: bool
) -> Trajectory:
    """A preset with the node's widgets as its parameters, fitted to the mesh.

    Args:
        preset: its name.
        values: widget values by name; each preset takes those it has. ``distance`` is a spiral's size.
        ease: time warp of the way.
        frames: 0 = what shows the mesh's frames, or 49, once.
        fps: frames a second.
        scale: times the scene's radius.
        mesh: the scene, or None.
        loop: whether it is closed.
    """
    names = {param.name for param in PRESETS[preset].params}
    params: dict[str, Any] = {name: value for name, value in values.items() if name in names}
    if preset == "spiral":
        params |= {"size": abs(values["distance"]), "distance": 0.0}
    return Trajectory.preset(
        preset,
        frames=frames or frames_for(preset, params, frames_of(mesh)),
        fps=fps,
        radius=scale * (DEFAULT_RADIUS if mesh is None else mesh.radius),
        intrinsics=None if mesh is None else mesh.intrinsics,
        ease=ease,
        loop=loop,
        **params,
    )


def frames_of(mesh) -> int:
    """The length that fits a mesh; a mesh of one frame serves any."""
    return mesh.frames if mesh is not None and mesh.frames > 1 else DEFAULT_FRAMES


def trajectory_ui(trajectory: Trajectory, mesh, origin: str) -> dict:
    """The drawing of the path over the scene, its numbers, and what the editor needs (see web/editor)."""
    from ..ex4d_core.trajectory import summarize

    facts = {} if trajectory.path is not None or mesh is None else {"radius": mesh.radius, "pivot": mesh.pivot}
    time, source = time_line(trajectory, mesh)
    lines = [origin, *summarize(trajectory, **facts, source=source).lines(), *time]
    with ThreadPoolExecutor(1) as drawing:
        picture = drawing.submit(path_picture, trajectory, mesh, facts)
        scene = None if mesh is None else editor_scene(mesh)
        # Written only now: had the artist cancelled the scene, the picture's file would stay behind.
        if isinstance(scene, previews.NoPreview):
            lines, scene = [*lines, scene.line], None
        ui = previews.ui_image(previews.save_picture(picture.result), *lines)
    document = editable(trajectory, facts.get("radius"))
    if document is not None:
        ui["ex4d_path"] = (document,)
    if scene is not None:
        ui["ex4d_preview"] = [scene]
    return ui


def time_line(trajectory: Trajectory, mesh: DWMesh | None) -> tuple[list[str], Trajectory | None]:
    """What is to be said of the frames that a path shows, and the source camera along it where that is known."""
    if mesh is None:
        return [], None
    if not fits(trajectory, mesh):
        return [
            f"The mesh has {mesh.frames} frames, the path {len(trajectory)}: give both the same count to render."
        ], None
    try:
        source = source_along(trajectory, mesh)
    except EX4DError as error:
        return [str(error)], None
    if not trajectory.bends_time or mesh.frames == 1:
        return [], source
    shown = trajectory.shown_frames(mesh.frames)
    return [
        f"Bends time: shows frames {min(shown)} to {max(shown)} of the clip's {mesh.frames}; sound no longer fits."
    ], source


def path_picture(trajectory: Trajectory, mesh: DWMesh | None, facts: dict[str, Any]) -> np.ndarray:
    """The path over the scene, from above and from the side: (h, w, 3) uint8."""
    from ..ex4d_core.preview.path_picture import draw_trajectory, mesh_points

    points, colors = (None, None) if mesh is None else mesh_points(mesh)
    lens = None if mesh is None else mesh.intrinsics
    return draw_trajectory(trajectory, points=points, colors=colors, lens=lens, **facts)


def editor_scene(mesh: DWMesh) -> previews.Shown:
    """Write what the editor shows of the mesh; how it finds the file."""
    with Job() as job:
        return previews.save_editor_scene(mesh, progress=job.progress, cancel=job.cancel)


def editable(trajectory: Trajectory, radius: float | None) -> str | None:
    """The path's JSON for the editor; None for the rare file whose lens a path document cannot hold."""
    try:
        return trajectory.to_compact_json(radius)
    except EX4DError:
        return None


class EX4DSaveTrajectory(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            node_id="EX4DSaveTrajectory",
            display_name="Save Trajectory",
            description="Writes the camera path into ComfyUI's output folder, for Blender, Nuke, Unreal, NeRF tools or "
            "EX-4D itself.",
            search_aliases=["export camera", "camera file", "nuke chan", "gltf camera", "nerf transforms", "blender"],
            is_output_node=True,
            inputs=[
                types.Trajectory.Input("trajectory", tooltip="The camera path."),
                name_input("EX-4D/camera"),
                io.Combo.Input(
                    "format",
                    options=list(written_formats()),
                    default="json",
                    tooltip="What will read the file. "
                    + " ".join(f"{name}: {entry.used_by}." for name, entry in written_formats().items()),
                ),
                types.Mesh.Input(
                    "mesh",
                    optional=True,
                    tooltip="Gives the lens to a path that has none of its own; most formats need one.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, name=None, format=None):
        problem = choice_problem(cls, format=format)
        return problem or name_problem(name) or True

    @classmethod
    def execute(cls, trajectory, name, format, mesh=None) -> io.NodeOutput:
        if problem := choice_problem(cls, format=format) or name_problem(name):
            raise EX4DError(problem)
        if mesh is not None:
            trajectory = for_other_programs(trajectory, mesh, FORMATS[format].holds_document)
        folder, stem, counter, subfolder = output_place(name)
        file_name = f"{stem}_{counter:05}_{FORMATS[format].suffixes[0]}"
        with mesh_knows_the_lens():
            trajectory.save(os.path.join(folder, file_name), format=format)
        text = f"{len(trajectory)} frames saved as {os.path.join(subfolder, file_name)} in ComfyUI's output folder"
        return io.NodeOutput(ui={"text": (text,)})


def for_other_programs(trajectory: Trajectory, mesh: DWMesh, keeps_document: bool) -> Trajectory:
    """The path with its lenses; one that rides on a source camera that moves as it goes through the world, unless the
    format says by itself that it rides.
    """
    if keeps_document or mesh.source_camera is None:
        return trajectory.for_scene(mesh.intrinsics)
    source = source_along(trajectory, mesh)
    return in_the_world(trajectory.for_scene(mesh.intrinsics, source), source)


NODES = [EX4DCameraTrajectory, EX4DSaveTrajectory]
