"""Meshes of single frames, from ComfyUI's own 3D nodes or files, and one mesh that moves of them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import folder_paths
import numpy as np
import torch
from comfy_api.latest import io

from ..ex4d_core.animate.clean import DEFAULT_FACES, FACES_RANGE
from ..ex4d_core.animate.frames import facts, frame_numbers, mesh_frames
from ..ex4d_core.animate.meshes import MeshFrames, TriangleMesh
from ..ex4d_core.animate.read import SUFFIXES, read_mesh
from ..ex4d_core.animate.register.sequence import RegisterOptions, register
from ..ex4d_core.animate.tracks import lifted
from ..ex4d_core.animate.voxels import surface_of_voxels
from ..ex4d_core.camera import DEFAULT_FPS
from ..ex4d_core.errors import EX4DError
from . import files, previews, types
from .animate_tracks import smooth_input, tracks_input, tracks_of
from .files import state
from .mesh_previews import clip_film, key_frames_film
from .progress import Job
from .schema import range_problem, schema

FOUND = -1
"""Of the widget for the reference: the best is found."""


class EX4DMeshFrames(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="EX4DMeshFrames",
            display_name="Mesh Frames (EX-4D)",
            description="Gathers meshes that were made of single frames of a video, such as Hunyuan3D's: welded, without crumbs "
            "that float, turned right side out and with fewer faces. Connect meshes, or name files.",
            search_aliases=["mesh sequence", "image to 3d", "hunyuan3d", "trellis", "4d mesh", "v2m4", "load mesh"],
            has_intermediate_output=True,
            is_input_list=True,
            inputs=[
                io.String.Input(
                    "files",
                    default="",
                    tooltip="Mesh files below ComfyUI's input folder where no meshes are connected, such as meshes/frame_*.glb: "
                    ".glb, .gltf, .obj or .ply, one for each key frame.",
                ),
                io.String.Input(
                    "frames",
                    default="",
                    tooltip="Which frames of the video the meshes are of, from 0: 0, 6, 12, or every 6. Empty: the numbers in "
                    "the files' names, else 0, 1, 2 and so on.",
                ),
                io.Int.Input(
                    "faces",
                    default=DEFAULT_FACES,
                    min=0,
                    max=FACES_RANGE[1],
                    step=500,
                    tooltip="Faces of each mesh, at most. The mesh that moves has as many; 0 = all.",
                ),
                io.Float.Input(
                    "fps", default=DEFAULT_FPS, min=0.1, max=1000.0, step=0.01, tooltip="Frame rate of the video."
                ),
                io.MultiType.Input(
                    "meshes",
                    [types.HostMesh, types.File3D, types.HostVoxel],
                    optional=True,
                    tooltip="Meshes of the key frames in their order: a batch, or a list of several sizes, of 3D files or of "
                    "voxels.",
                ),
            ],
            outputs=[
                types.Meshes.Output(display_name="meshes", tooltip="The meshes with their frame numbers."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, files: list[str] | str | None = None, **_: Any) -> str:
        pattern = files[0] if isinstance(files, list) and files else files
        if not isinstance(pattern, str) or not pattern.strip():
            return ""
        try:
            return " ".join(state(path) for path in files_like(pattern.strip()))
        except (EX4DError, OSError) as error:
            return str(error)

    @classmethod
    def execute(
        cls,
        files: list[str],
        frames: list[str],
        faces: list[int],
        fps: list[float],
        meshes: list[Any] | None = None,
    ) -> io.NodeOutput:
        if problem := range_problem(cls, faces=faces[0], fps=fps[0]):
            raise EX4DError(problem)
        given, names = meshes_given(meshes, files[0])
        with Job() as job:
            made, done = mesh_frames(
                given,
                frame_numbers(frames[0], len(given), names),
                fps=fps[0],
                faces=faces[0],
                progress=job.progress,
                cancel=job.cancel,
            )
            job.restart()
            film = key_frames_film(made, job)
        return io.NodeOutput(made, ui=previews.ui_video(film, *facts(made, done)))


def meshes_given(meshes: list[Any] | None, pattern: str) -> tuple[list[TriangleMesh], list[str]]:
    """The meshes that are connected, or those of the files named, and the files' names.

    Raises:
        EX4DError: neither or both, or a file that is not there or no mesh.
    """
    if bool(meshes) == bool(pattern.strip()):
        both = "both are given" if meshes else "neither is given"
        raise EX4DError(f"Connect meshes or name files, one of the two; {both}.")
    if meshes:
        return [mesh for given in meshes for mesh in meshes_of(given)], []
    found = files_like(pattern.strip())
    return [read_mesh(path) for path in found], [path.name for path in found]


def files_like(pattern: str) -> list[Path]:
    """Files of ComfyUI's input folder that a pattern names, in the order of their names.

    Raises:
        EX4DError: none, or a pattern that leads out of the folder.
    """
    base = Path(folder_paths.get_input_directory())
    plain = pattern.replace("\\", "/")
    if plain.startswith(("/", "~")) or ".." in plain.split("/") or ":" in plain:
        raise EX4DError(f"'{pattern}' lies outside ComfyUI's input folder. Give a name such as meshes/frame_*.glb.")
    try:
        names = sorted(path.relative_to(base).as_posix() for path in base.glob(plain) if path.is_file())
    except (ValueError, OSError):
        names = []
    names = [name for name in names if name.lower().endswith(SUFFIXES) and files.can_be_taken(name, base)]
    if not names:
        raise EX4DError(f"No mesh in ComfyUI's input folder is called '{pattern}'; expected {', '.join(SUFFIXES)}.")
    return [files.resolve(name, "mesh") for name in names]


def meshes_of(given: Any) -> list[TriangleMesh]:
    """The meshes of whatever is connected, told apart by what it can do.

    Raises:
        EX4DError: a value that holds no meshes.
    """
    if is_file(given):
        return from_file(given)
    return from_voxels(given) if isinstance(getattr(given, "data", None), torch.Tensor) else from_host(given)


def from_voxels(given: Any) -> list[TriangleMesh]:
    """The surfaces of one of ComfyUI's VOXEL: a batch of grids.

    Raises:
        EX4DError: voxels without a grid, or grids in which nothing is solid.
    """
    grids = given.data
    if grids.ndim != 4:
        raise EX4DError(
            f"meshes takes voxels as a grid of numbers (batch, depth, height, width), got {tuple(grids.shape)}. Sparse voxels "
            "hold colours and no surface: connect the mesh that was made with them."
        )
    return [surface_of_voxels(grid.cpu().float().numpy()) for grid in grids]


def is_file(given: Any) -> bool:
    """Whether it is one of newer hosts' FILE_3D, by what it can do."""
    return hasattr(given, "get_data") and hasattr(given, "format")


def from_file(given: Any) -> list[TriangleMesh]:
    """The mesh of a FILE_3D, on disk or in memory.

    Raises:
        EX4DError: a file that is none of the kinds that are read, or damaged.
    """
    source = given.get_source()
    if isinstance(source, str):
        return [read_mesh(source)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"mesh.{given.format}"
        path.write_bytes(given.get_data().read())
        return [read_mesh(path)]


def from_host(batch: Any) -> list[TriangleMesh]:
    """The meshes of one of ComfyUI's MESH: a batch that ends in zeros where meshes are smaller, colours where it has them.

    Raises:
        EX4DError: another value.
    """
    try:
        count = len(batch.vertices)
        return [_one(batch, n) for n in range(count)]
    except (AttributeError, TypeError, IndexError):
        raise EX4DError(f"meshes takes ComfyUI's own meshes, got {type(batch).__name__}.") from None


def _one(batch: Any, n: int) -> TriangleMesh:
    def part(name: str, counts: str) -> np.ndarray | None:
        values, lengths = getattr(batch, name, None), getattr(batch, counts, None)
        if values is None:
            return None
        return np.asarray(torch.as_tensor(values[n])[: None if lengths is None else int(lengths[n])].cpu())

    vertices, faces = part("vertices", "vertex_counts"), part("faces", "face_counts")
    assert vertices is not None and faces is not None  # len(batch.vertices) was there
    colors = part("vertex_colors", "vertex_counts")
    if colors is None and getattr(batch, "texture", None) is not None:
        uv = part("uvs", "vertex_counts")
        if uv is not None:
            colors = _looked_up(torch.as_tensor(batch.texture[n]).cpu().float().numpy(), uv)
    return TriangleMesh(vertices, faces, None if colors is None else colors[:, :3])


def _looked_up(texture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """(V, 3) colours of a texture (H, W, C) at places from its upper left corner."""
    height, width = texture.shape[:2]
    rows = np.clip((uv[:, 1] * height).astype(int), 0, height - 1)
    return texture[rows, np.clip((uv[:, 0] * width).astype(int), 0, width - 1), :3]


class EX4DRegisterMeshes(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="EX4DRegisterMeshes",
            display_name="Register Meshes (EX-4D)",
            description="Makes one mesh that moves of meshes that share nothing: the best of them is bent onto all others, as "
            "rigidly as possible, and the frames between are interpolated.",
            search_aliases=[
                "non-rigid icp",
                "arap",
                "4d mesh",
                "animate mesh",
                "mesh tracking",
                "v2m4",
                "correspondence",
            ],
            has_intermediate_output=True,
            inputs=[
                types.Meshes.Input(
                    "meshes", tooltip="Meshes of key frames, of one object, placed or in one frame and unit."
                ),
                io.Int.Input(
                    "reference",
                    default=FOUND,
                    min=FOUND,
                    max=100_000,
                    tooltip="Which mesh, from 0, gives the faces and colours. -1: the one that can be bent onto its neighbours "
                    "best.",
                ),
                smooth_input(),
                io.Boolean.Input(
                    "every_frame",
                    default=True,
                    tooltip="On: every frame of the video from the first mesh to the last. Off: the meshes' own frames alone.",
                ),
                io.Image.Input(
                    "images",
                    optional=True,
                    tooltip="The video's frames: points of them are followed as a guide (needs OpenCV). For meshes that were "
                    "fitted to the video.",
                ),
                tracks_input(),
            ],
            outputs=[
                types.MeshClip.Output(display_name="mesh_clip", tooltip="One mesh that moves, for Save Animated Mesh."),
                io.String.Output(display_name="report", tooltip="How well each mesh was met, a line each."),
            ],
        )

    @classmethod
    def execute(
        cls,
        meshes: MeshFrames,
        reference: int,
        smooth: float,
        every_frame: bool,
        images: torch.Tensor | None = None,
        tracks: Any = None,
    ) -> io.NodeOutput:
        if problem := range_problem(cls, reference=reference, smooth=smooth):
            raise EX4DError(problem)
        options = RegisterOptions(None if reference == FOUND else reference, smooth, every_frame)
        with Job() as job:
            followed = tracks_of(tracks, images, job)
            guide = None if followed is None else lifted(followed, meshes)
            made = register(meshes, options, tracks=guide, progress=job.progress, cancel=job.cancel)
            job.restart()
            film = clip_film(made.clip, job)
        report = [
            f"frame {frame}: {check.there:.2%} away, {check.back:.2%} back, area x{check.area:.2f}, volume x{check.volume:.2f}"
            for frame, check in zip(meshes.frames, made.checks, strict=True)
        ]
        lines = made.lines(meshes.frames)
        return io.NodeOutput(made.clip, "\n".join([*lines, *report]), ui=previews.ui_video(film, *lines))


NODES = [EX4DMeshFrames, EX4DRegisterMeshes]
