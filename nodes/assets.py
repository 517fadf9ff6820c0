"""The mesh as files for other programs, and as ComfyUI's own 3D types."""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from comfy_api.latest import io

from ..ex4d_core.animate.meshes import MeshClip
from ..ex4d_core.animate.save import check_clip_format, positions, save_mesh_clip, wedges
from ..ex4d_core.assets.export import (
    ASSET_FORMATS,
    COLOR_CHOICES,
    DEFAULT_FACES,
    AssetOptions,
    ColorChoice,
    Written,
    check_asset,
    save_asset,
)
from ..ex4d_core.assets.glb import BETWEEN
from ..ex4d_core.errors import EX4DError
from ..ex4d_core.machine.memory import check_memory
from ..ex4d_core.mesh import DWMesh
from ..ex4d_core.preview.wireframe import draw_wireframe
from ..ex4d_core.trajectory import Trajectory
from . import previews, types
from .mesh_previews import clip_film
from .progress import Job
from .saving import name_input, name_problem, output_place
from .schema import choice_problem, range_problem, schema


class EX4DSaveAnimatedMesh(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="EX4DSaveAnimatedMesh",
            display_name="Save Animated Mesh",
            description="Writes the clip as 3D files for Blender, Houdini, Unreal and the web: a mesh that plays, with its "
            "pictures and both cameras. What the clip never saw is left out.",
            search_aliases=[
                "export glb",
                "gltf",
                "alembic",
                "usd",
                "ply",
                "obj",
                "mdd",
                "3d model",
                "blender",
                "mesh sequence",
            ],
            is_output_node=True,
            inputs=[
                io.MultiType.Input(
                    "mesh",
                    [types.Mesh, types.MeshClip],
                    tooltip="The DW-Mesh of the clip, or a mesh that moves, from Register Meshes.",
                ),
                name_input("EX-4D/mesh"),
                io.Combo.Input(
                    "format",
                    options=list(ASSET_FORMATS),
                    default="glb",
                    tooltip="The kind of file: glb plays in one file, the others are single frames, a file a frame, a mesh "
                    "with its motion beside it, or USD. The help page says who reads which.",
                ),
                io.Combo.Input(
                    "colors",
                    options=list(COLOR_CHOICES),
                    default=COLOR_CHOICES[0],
                    tooltip="each frame: every frame has a mesh and a picture of its own, as in the clip. one picture: one "
                    "mesh that moves under the picture of a single frame; smaller, and right only where colours stay put.",
                ),
                io.Int.Input(
                    "faces",
                    default=DEFAULT_FACES,
                    min=0,
                    max=10_000_000,
                    step=1000,
                    tooltip="Faces of a frame, at most; they lie where the surface bends or ends. 0 = every face of the mesh.",
                ),
                io.Int.Input(
                    "picture",
                    default=0,
                    min=0,
                    max=100_000,
                    tooltip="Frame of the clip, from 0: the one that gives one picture its colours, or the one that is written "
                    "as a single frame.",
                ),
                io.Combo.Input(
                    "between",
                    options=list(BETWEEN),
                    default="hold",
                    tooltip="With one picture in a glb: hold shows every frame until the next, blend moves smoothly between "
                    "them.",
                ),
                io.Float.Input(
                    "scale",
                    default=1.0,
                    min=0.000001,
                    max=1_000_000.0,
                    step=0.01,
                    round=0.000001,
                    tooltip="Metres per unit of the clip's depth. 1 where the depth is in metres.",
                ),
                types.Trajectory.Input(
                    "trajectory",
                    optional=True,
                    tooltip="The new camera's path: it is written as an animated camera, and gives the frame rate. Where it "
                    "bends time, the file does.",
                ),
            ],
            outputs=[
                types.HostMesh.Output(
                    display_name="meshes",
                    tooltip="The same faces for ComfyUI's own 3D nodes: a batch, one mesh for each frame.",
                ),
                types.File3D.Output(
                    display_name="model_3d", tooltip="The file, for nodes that take 3D files (newer ComfyUI)."
                ),
                io.String.Output(
                    display_name="path", tooltip="The file's path below the output folder, for Preview 3D & Animation."
                ),
            ],
        )

    @classmethod
    def validate_inputs(
        cls,
        name: str | None = None,
        format: str | None = None,
        colors: str | None = None,
        between: str | None = None,
        faces: int | None = None,
        scale: float | None = None,
    ) -> bool | str:
        problem = choice_problem(cls, format=format, colors=colors, between=between)
        problem = problem or range_problem(cls, faces=faces, scale=scale)
        return problem or name_problem(name) or True

    @classmethod
    def execute(
        cls,
        mesh: DWMesh | MeshClip,
        name: str,
        format: str,
        colors: ColorChoice,
        faces: int,
        picture: int,
        between: str,
        scale: float,
        trajectory: Trajectory | None = None,
    ) -> io.NodeOutput:
        problem = choice_problem(cls, format=format, colors=colors, between=between) or name_problem(name)
        if problem:
            raise EX4DError(problem)
        if isinstance(mesh, MeshClip):
            return save_clip(mesh, name, format, picture, between, scale)
        options = AssetOptions(faces, colors, picture, between)
        check_asset(format, options, mesh.frames)
        folder, stem, counter, subfolder = output_place(name)
        with Job() as job:
            written = save_asset(
                Path(folder) / f"{stem}_{counter:05}_",
                mesh,
                trajectory,
                format=format,
                options=options,
                scale=scale,
                progress=job.progress,
                cancel=job.cancel,
            )
        file = written.files[0]
        shown = previews.save_picture(lambda: first_faces(written))
        path = Path(subfolder, file.name).as_posix()
        lines = [f"{path} in ComfyUI's output folder", *written.lines()[0].split(": ")[1:], *written.lines()[1:]]
        return io.NodeOutput(host_meshes(written), host_file(file), path, ui=previews.ui_image(shown, *lines))


def save_clip(clip: MeshClip, name: str, format: str, frame: int, between: str, scale: float) -> io.NodeOutput:
    """The node's result for a mesh that moves: its own faces and colours, and no camera."""
    check_clip_format(format, frame, len(clip), between)
    folder, stem, counter, subfolder = output_place(name)
    with Job() as job:
        written = save_mesh_clip(
            Path(folder) / f"{stem}_{counter:05}_",
            clip,
            format=format,
            between=between,
            frame=frame,
            scale=scale,
            progress=job.progress,
            cancel=job.cancel,
        )
        job.restart()
        film = clip_film(clip, job)
    path = Path(subfolder, written.files[0].name).as_posix()
    lines = [f"{path} in ComfyUI's output folder", *written.lines()[0].split(": ")[1:], *written.lines()[1:]]
    return io.NodeOutput(
        clip_meshes(clip, scale), host_file(written.files[0]), path, ui=previews.ui_video(film, *lines)
    )


def clip_meshes(clip: MeshClip, scale: float) -> Any:
    """ComfyUI's MESH of a mesh that moves: a batch with a mesh for every frame, y up.

    Raises:
        EX4DError: more memory than the machine has.
    """
    shape = wedges(clip)
    frames, count = len(clip), len(shape.vertices)
    picture = 0 if clip.texture is None else 4 * clip.texture.size
    check_memory(
        frames * (32 * count + 24 * len(shape.faces) + picture),
        "ComfyUI's mesh of the clip",
        "Ask for fewer faces or frames.",
    )
    fields: dict[str, Any] = {
        "vertices": torch.from_numpy(np.stack([positions(clip, shape.vertices, scale, t) for t in range(frames)])),
        "faces": torch.from_numpy(shape.faces.astype(np.int64)).expand(frames, -1, -1).clone(),
        "unlit": clip.colors is not None or clip.texture is not None,
    }
    if clip.texture is not None and shape.uv is not None:
        fields["uvs"] = torch.from_numpy(shape.uv).expand(frames, -1, -1).clone()
        fields["texture"] = (torch.from_numpy(clip.texture).float() / 255).expand(frames, -1, -1, -1).clone()
    elif clip.colors is not None:
        fields["vertex_colors"] = torch.from_numpy(clip.colors[shape.vertices]).expand(frames, -1, -1).clone()
    return _host_mesh(**fields)


def first_faces(written: Written) -> np.ndarray:
    """The first frame that was written, with its faces."""
    frame, surface = next(iter(written.surfaces.items()))
    visible = surface.visible(surface.frames.index(frame))
    places = written.scene.texture_coordinates(surface.vertices)
    return draw_wireframe(written.scene.picture(frame), places, surface.faces[visible])


def host_meshes(written: Written) -> Any:
    """ComfyUI's MESH of what was written: a batch with a mesh for every frame, y up.

    Meshes of a batch have equal lengths: shorter ones end in zeros, and newer hosts are told where.

    Raises:
        EX4DError: more memory than the machine has.
    """
    scene, items = written.scene, []
    frames = [frame for frame in scene.shown if frame in written.surfaces] or list(written.surfaces)
    for frame in frames:
        surface = written.surfaces[frame]
        items.append((frame, surface, surface.faces[surface.visible(surface.frames.index(frame))]))
    most = max(len(surface.vertices) for _, surface, _ in items), max(len(faces) for *_, faces in items)
    picture = 12 * scene.mesh.height * scene.mesh.width
    check_memory(
        len(items) * (20 * most[0] + 24 * most[1] + picture),
        "ComfyUI's mesh of the clip",
        "Ask for fewer faces or frames.",
    )
    vertices, uvs = torch.zeros(len(items), most[0], 3), torch.zeros(len(items), most[0], 2)
    indices = torch.zeros(len(items), most[1], 3, dtype=torch.int64)
    texture = torch.empty(len(items), scene.mesh.height, scene.mesh.width, 3)
    for n, (frame, surface, faces) in enumerate(items):
        vertices[n, : len(surface.vertices)] = torch.from_numpy(scene.positions(frame, surface.vertices))
        uvs[n, : len(surface.vertices)] = torch.from_numpy(scene.texture_coordinates(surface.vertices))
        indices[n, : len(faces)] = torch.from_numpy(faces.astype(np.int64))
        texture[n] = torch.from_numpy(scene.picture(frame)).float() / 255
    counts = {
        "vertex_counts": torch.tensor([len(surface.vertices) for _, surface, _ in items]),
        "face_counts": torch.tensor([len(faces) for *_, faces in items]),
    }
    return _host_mesh(vertices=vertices, faces=indices, uvs=uvs, texture=texture, unlit=True, **counts)


def _host_mesh(**fields: Any) -> Any:
    """The host's own class, with the fields that it knows: 0.3.64 has vertices and faces."""
    try:
        from comfy_api.latest import Types

        kind = Types.MESH
    except (ImportError, AttributeError):
        from comfy_extras.nodes_hunyuan3d import MESH as kind
    known = inspect.signature(kind.__init__).parameters
    return kind(**{name: value for name, value in fields.items() if name in known})


def host_file(file: Path) -> Any:
    """The host's own value for a 3D file; its path where the host has none, and so no node that takes one."""
    try:
        from comfy_api.latest import Types

        return Types.File3D(os.fspath(file))
    except (ImportError, AttributeError):
        return os.fspath(file)


NODES = [EX4DSaveAnimatedMesh]
