"""What a clip saw as points, in files for other programs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from comfy_api.latest import io

from ..ex4d_core.assets.points import points_of_mesh
from ..ex4d_core.camera import DEFAULT_FPS
from ..ex4d_core.depth import DepthClip
from ..ex4d_core.errors import EX4DError
from ..ex4d_core.mesh import DWMesh, reduced_size
from ..ex4d_core.pointmap import PointMap
from ..ex4d_core.pointmap.formats import POINT_FORMATS, check_points, save_points
from ..ex4d_core.pointmap.from_depth import points_of_clip
from ..ex4d_core.pointmap.splats import draw_aside
from . import previews, types
from .progress import Job
from .saving import name_input, name_problem, output_place
from .schema import choice_problem, range_problem, schema
from .settings import preview_pixels


class EX4DSavePointCloud(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="EX4DSavePointCloud",
            display_name="Save Point Cloud",
            description="Writes what a clip saw as coloured points, frame by frame: PLY, EXR position passes, 16-bit pictures or "
            ".npz. Connect a mesh, a point map, or a depth with its images.",
            search_aliases=["export points", "ply sequence", "position pass", "xyz", "exr", "pointcloud", "houdini"],
            is_output_node=True,
            inputs=[
                name_input("EX-4D/points"),
                io.Combo.Input(
                    "format",
                    options=list(POINT_FORMATS),
                    default="ply points",
                    tooltip="The kind of file: PLY, an EXR position pass or 16-bit pictures with their ranges for every frame, "
                    "or one .npz with every digit. The help page says who reads which.",
                ),
                io.Float.Input(
                    "scale",
                    default=1.0,
                    min=0.000001,
                    max=1_000_000.0,
                    step=0.01,
                    round=0.000001,
                    tooltip="Units of the file per unit of the clip's depth. npz keeps the clip's own.",
                ),
                io.Float.Input(
                    "fps",
                    default=0.0,
                    min=0.0,
                    max=1000.0,
                    step=0.01,
                    round=0.001,
                    tooltip="Frames a second, noted in the files. 0 = the point map's own, 15 for a mesh or depth.",
                ),
                types.Mesh.Input(
                    "mesh",
                    optional=True,
                    tooltip="The DW-Mesh of a clip: points of what it saw, without edges that are stretched.",
                ),
                types.PointMap.Input("pointmap", optional=True, tooltip="A point map, as it is."),
                types.Depth.Input("depth", optional=True, tooltip="The depth of a clip: a point for every pixel."),
                io.Image.Input("images", optional=True, tooltip="The pictures of the depth, of its own size."),
            ],
            outputs=[
                types.PointMap.Output(display_name="pointmap", tooltip="The points that were written."),
                io.String.Output(display_name="path", tooltip="The first file's path below the output folder."),
            ],
        )

    @classmethod
    def validate_inputs(
        cls,
        name: str | None = None,
        format: str | None = None,
        scale: float | None = None,
        fps: float | None = None,
    ) -> bool | str:
        problem = choice_problem(cls, format=format) or range_problem(cls, scale=scale, fps=fps)
        return problem or name_problem(name) or True

    @classmethod
    def execute(
        cls,
        name: str,
        format: str,
        scale: float,
        fps: float,
        mesh: DWMesh | None = None,
        pointmap: PointMap | None = None,
        depth: DepthClip | None = None,
        images: torch.Tensor | None = None,
    ) -> io.NodeOutput:
        if problem := choice_problem(cls, format=format) or name_problem(name):
            raise EX4DError(problem)
        check_points(format)
        points = points_given(fps or None, mesh, pointmap, depth, images)
        folder, stem, counter, subfolder = output_place(name)
        with Job() as job:
            written = save_points(
                Path(folder) / f"{stem}_{counter:05}_",
                points,
                format=format,
                scale=scale,
                progress=job.progress,
                cancel=job.cancel,
            )
        path = Path(subfolder, written[0].name).as_posix()
        lines = [f"{path} in ComfyUI's output folder", *facts(points, written)]
        shown = previews.save_picture(lambda: from_aside(points))
        return io.NodeOutput(points, path, ui=previews.ui_image(shown, *lines))


def points_given(
    fps: float | None,
    mesh: DWMesh | None,
    pointmap: PointMap | None,
    depth: DepthClip | None,
    images: torch.Tensor | None,
) -> PointMap:
    """The points of the one thing that is connected.

    Raises:
        EX4DError: none of them is connected, several are, or a depth is without its pictures.
    """
    given = [name for name, value in (("mesh", mesh), ("pointmap", pointmap), ("depth", depth)) if value is not None]
    if len(given) != 1 or (depth is None) != (images is None):
        told = " and ".join([*given, *(["images"] if images is not None else [])]) or "nothing"
        raise EX4DError(f"Connect one of mesh, pointmap, or depth with its images; {told} is connected.")
    if pointmap is not None:
        return pointmap if fps is None else pointmap.at_rate(fps)
    if mesh is not None:
        return points_of_mesh(mesh, fps=fps or DEFAULT_FPS)
    assert depth is not None and images is not None
    return points_of_clip(images, depth, fps=fps or DEFAULT_FPS)


def facts(points: PointMap, written: list[Path]) -> list[str]:
    """How many there are of what, as lines."""
    megabytes = sum(file.stat().st_size for file in written) / 1e6
    share = float(points.valid.float().mean())
    files = "1 file" if len(written) == 1 else f"{len(written)} files"
    return [
        f"{files}, {megabytes:.1f} MB",
        f"{len(points)} frames, {points.width}x{points.height}, {share:.1%} of the pixels have a point",
    ]


def from_aside(points: PointMap) -> np.ndarray:
    """The first frame's points, seen from a little to the right."""
    return draw_aside(points, 0, *reduced_size(points.width, points.height, preview_pixels()))


NODES = [EX4DSavePointCloud]
