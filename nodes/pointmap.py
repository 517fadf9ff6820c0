"""Point maps, a 3D point for every pixel: from files and into them, and as the depth, lens and camera of a clip."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from comfy_api.latest import io

from ..ex4d_core.errors import EX4DError
from ..ex4d_core.pixels import to_uint8
from ..ex4d_core.pointmap import SPACES, PointMap, save_pointmap
from ..ex4d_core.pointmap.formats import POINT_SUFFIXES, load_points
from ..ex4d_core.preview.film import FilmFrames, colored_depth, colored_points, side_by_side, small_frames, standing
from ..ex4d_core.published import BORDER_DEPTH, HEIGHT, NEAREST_DEPTH, WIDTH
from ..ex4d_core.trajectory import Trajectory
from ..ex4d_core.video.fit import FITS, LARGEST_SIDE, SMALLEST_SIDE, Fit
from . import files, previews, types
from .progress import Job
from .saving import name_input, name_problem, output_place
from .schema import choice_problem, range_problem, schema
from .settings import preview_pixels
from .source_camera import reach_text, scene_of

if TYPE_CHECKING:
    from ..ex4d_core.pointmap.fit import FittedCameras
    from ..ex4d_core.pointmap.register import RegisteredClip

AS_THE_FILE_SAYS = "as the file says"
METHODS = ("fit", "released")
TURNS, BACKGROUND = "turns only", "from the still background"
FAR_OFF = 0.02
"""Median distance of points from their rays, in widths of the picture, from which on a map shows no scene."""


class EX4DLoadPointMap(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="EX4DLoadPointMap",
            display_name="Load Point Map",
            description="Reads a point map, a 3D point for every pixel of a clip: files of Save Point Cloud or Save Point Map, "
            "or an .npz of another tool (VGGT, DUSt3R, ...).",
            search_aliases=["xyz", "4dnex", "vggt", "dust3r", "point cloud video", "npz"],
            has_intermediate_output=True,
            inputs=[
                io.Combo.Input(
                    "file",
                    options=files.listing(POINT_SUFFIXES),
                    tooltip="In ComfyUI's input folder: an .npz with points (frames, height, width, 3) and colours, or the first "
                    "file of Save Point Cloud.",
                ),
                io.Combo.Input(
                    "space",
                    options=[AS_THE_FILE_SAYS, *SPACES],
                    default=AS_THE_FILE_SAYS,
                    tooltip="Where the points stand, if the file does not say. cube: as 4DNeX makes them, every frame moved and "
                    "scaled into a cube. world: all in the first frame's camera. camera: each frame in its own camera.",
                ),
                io.Image.Input(
                    "images",
                    optional=True,
                    tooltip="The clip's pictures, of the map's own size, where the file has no colours.",
                ),
            ],
            outputs=[types.PointMap.Output(display_name="pointmap", tooltip="The point map, for Point Map to Depth.")],
        )

    @classmethod
    def validate_inputs(cls, file: str | None = None, space: str | None = None) -> bool | str:
        return choice_problem(cls, space=space) or files.problem(file, "point map")

    @classmethod
    def fingerprint_inputs(cls, file: str | None = None, **_others: object) -> str:
        return files.fingerprint(file)

    @classmethod
    def execute(cls, file: str, space: Any, images: torch.Tensor | None = None) -> io.NodeOutput:
        if problem := choice_problem(cls, space=space):
            raise EX4DError(problem)
        with Job() as job:
            made = load_points(
                files.resolve(file, "point map"),
                space=None if space == AS_THE_FILE_SAYS else space,
                colors=None if images is None else to_uint8(images[..., :3]),
                progress=job.progress,
                cancel=job.cancel,
            )
        return io.NodeOutput(made, ui=shown(made))


def shown(pointmap: PointMap, *more: str) -> dict:
    """The clip beside its points, and the numbers that matter."""

    def film() -> FilmFrames:
        pixels = preview_pixels()
        clip = small_frames(pointmap.colors, pixels=pixels)
        return side_by_side(clip, colored_points(pointmap.points, pointmap.valid, pixels))

    lines = [
        f"{len(pointmap)} frames, {pointmap.width}x{pointmap.height}, {pointmap.fps:g} fps, {pointmap.space} points"
    ]
    gone = 1 - float(pointmap.valid.float().mean())
    if gone:
        lines.append(f"{gone:.1%} of the pixels have no point")
    video = previews.save_video(film, pointmap.fps, total=len(pointmap))
    return previews.ui_video(video, *lines, *more)


class EX4DSavePointMap(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="EX4DSavePointMap",
            display_name="Save Point Map",
            description="Writes a point map with its colours into ComfyUI's output folder, as an .npz with every digit: for Load "
            "Point Map, for recon, for Python.",
            search_aliases=["xyz", "4dnex", "export points", "npz"],
            is_output_node=True,
            inputs=[
                types.PointMap.Input("pointmap", tooltip="The point map."),
                name_input("EX-4D/pointmap"),
            ],
        )

    @classmethod
    def validate_inputs(cls, name: str | None = None) -> bool | str:
        return name_problem(name) or True

    @classmethod
    def execute(cls, pointmap: PointMap, name: str) -> io.NodeOutput:
        if problem := name_problem(name):
            raise EX4DError(problem)
        folder, stem, counter, subfolder = output_place(name)
        file_name = f"{stem}_{counter:05}_.npz"
        with Job() as job:
            save_pointmap(os.path.join(folder, file_name), pointmap, progress=job.progress, cancel=job.cancel)
        text = f"{len(pointmap)} frames saved as {os.path.join(subfolder, file_name)} in ComfyUI's output folder"
        return io.NodeOutput(ui={"text": (text,)})


class EX4DPointMapToDepth(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="EX4DPointMapToDepth",
            display_name="Point Map to Depth",
            description="Finds the lens, the camera and the depth that a point map was seen with, so that a DW-Mesh can be built "
            "from it: a picture made 4D by 4DNeX becomes a clip that can be filmed anew.",
            search_aliases=["4dnex", "xyz to depth", "vggt", "dust3r", "camera from points", "field of view"],
            has_intermediate_output=True,
            inputs=[
                types.PointMap.Input("pointmap", tooltip="A 3D point for every pixel of every frame."),
                io.Int.Input(
                    "width",
                    default=WIDTH,
                    min=0,
                    max=LARGEST_SIDE,
                    step=16,
                    tooltip="Width of the pictures and the depth, as the sampler wants them. Width and height 0 keep the point "
                    "map's own pixels, which need not be square.",
                ),
                io.Int.Input(
                    "height",
                    default=HEIGHT,
                    min=0,
                    max=LARGEST_SIDE,
                    step=16,
                    tooltip="Height of the pictures and the depth.",
                ),
                io.Combo.Input(
                    "fit",
                    options=list(FITS),
                    default="crop",
                    tooltip="crop: fill the frame and cut what hangs over. pad: the whole picture between black bars. stretch: "
                    "ignore the picture's shape.",
                ),
                io.Combo.Input(
                    "motion",
                    options=[TURNS, BACKGROUND],
                    default=TURNS,
                    tooltip="How the camera moves where the map does not tell, as 4DNeX's. turns only: it stands on one spot. "
                    "from the still background: its way is found from what stands still (needs OpenCV).",
                ),
                io.Float.Input(
                    "fov",
                    default=0.0,
                    min=0.0,
                    max=170.0,
                    step=0.1,
                    round=0.001,
                    tooltip="Vertical field of view of the point map's pictures, in degrees. 0 finds it.",
                ),
                io.Float.Input(
                    "near",
                    default=round(NEAREST_DEPTH, 3),
                    min=0.0,
                    max=1000.0,
                    step=0.001,
                    round=0.0001,
                    tooltip=f"Distance given to the nearest point of the clip ({NEAREST_DEPTH:.3f} is EX-4D's). 0 keeps the "
                    "point map's own unit.",
                ),
                io.Float.Input(
                    "far",
                    default=BORDER_DEPTH,
                    min=0.01,
                    max=100000.0,
                    step=0.1,
                    tooltip="Distance of what has no point, such as sky, and of what lies beyond.",
                ),
                io.Combo.Input(
                    "method",
                    options=list(METHODS),
                    default="fit",
                    tooltip="fit: lens and camera for which the points lie on their pixels' rays; seconds. released: the "
                    "registration that 4DNeX was published with, for comparison; minutes, and far off.",
                ),
                io.Mask.Input(
                    "background",
                    optional=True,
                    tooltip="Where things stand still (1), for every frame or one for all: helps to find the camera's way where "
                    "much of the picture moves.",
                ),
                io.Mask.Input(
                    "sky",
                    optional=True,
                    tooltip="Where the sky is (1), for every frame or one for all: it gets no say, no confidence and the "
                    "distance far. Nothing connected: the sky is looked for, loses its confidence and stays where it is.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="images", tooltip="The point map's own pictures, in the size asked for."),
                types.Depth.Output(display_name="depth", tooltip="Depth of every frame, with its lens and its camera."),
                types.Trajectory.Output(display_name="trajectory", tooltip="The path of the camera that filmed it."),
                io.Mask.Output(
                    display_name="confidence",
                    tooltip="1 = the point lies on its pixel's ray; 0.5 = it may have been cut off at an extreme of its frame; 0 "
                    "= no point, sky, or one that fits nothing.",
                ),
                types.MoGeGeometry.Output(
                    display_name="moge_geometry",
                    tooltip="The same for ComfyUI's own MoGe nodes: points, depth, lens, mask.",
                ),
                io.Float.Output(display_name="fps", tooltip="Frames a second."),
            ],
        )

    @classmethod
    def validate_inputs(
        cls,
        width: int | None = None,
        height: int | None = None,
        fit: str | None = None,
        motion: str | None = None,
        fov: float | None = None,
        near: float | None = None,
        far: float | None = None,
        method: str | None = None,
    ) -> bool | str:
        numbers = range_problem(cls, width=width, height=height, fov=fov, near=near, far=far)
        problem = numbers or choice_problem(cls, fit=fit, motion=motion, method=method)
        if problem is None and width is not None and height is not None:
            problem = size_problem(width, height)
        if problem is None and near is not None and far is not None and near >= far:
            problem = f"near ({near:g}) must be smaller than far ({far:g})."
        return problem or True

    @classmethod
    def execute(
        cls,
        pointmap: PointMap,
        width: int,
        height: int,
        fit: Fit,
        motion: str,
        fov: float,
        near: float,
        far: float,
        method: str,
        background: torch.Tensor | None = None,
        sky: torch.Tensor | None = None,
    ) -> io.NodeOutput:
        from ..ex4d_core.pointmap.register import register

        if problem := choice_problem(cls, fit=fit, motion=motion, method=method) or size_problem(width, height):
            raise EX4DError(problem)
        if sky is not None:
            pointmap = pointmap.without(of_its_pixels(sky, pointmap) > 0.5)
        with Job() as job:
            cameras, depth = registered(pointmap, method, fov, job)
            position, lines = way(pointmap, cameras, motion, background, job)
            whole = register(
                pointmap,
                cameras,
                depth=depth,
                position=position,
                near=near or None,
                far=far,
                find_sky=sky is None,
                progress=job.progress,
                cancel=job.cancel,
            )
            clip = whole.fitted((width, height), fit) if width else whole
        camera = clip.depth.source_camera
        if camera is None:  # a map of "camera" space tells none
            camera = Trajectory(np.tile(np.eye(4), (len(pointmap), 1, 1)), fps=pointmap.fps, frame_of_reference="world")
        lines = [*facts(pointmap, cameras, clip), *lines, reach_text(camera)]
        video = previews.save_video(lambda: film(clip, camera), pointmap.fps, total=len(pointmap))
        return io.NodeOutput(
            clip.images.float() / 255,
            clip.depth,
            camera,
            clip.confidence,
            clip.moge_geometry(),
            float(pointmap.fps),
            ui=previews.ui_video(video, *lines),
        )


def size_problem(width: int, height: int) -> str | None:
    """What is wrong with a size; None where it is fine."""
    if width == height == 0 or min(width, height) >= SMALLEST_SIDE:
        return None
    return f"The size is {width}x{height}: give both sides at least {SMALLEST_SIDE} pixels, or 0 for both."


def registered(pointmap: PointMap, method: str, fov: float, job: Job) -> tuple[FittedCameras, torch.Tensor | None]:
    """The cameras, and the depth where it comes with them."""
    if method == "released":
        from comfy.model_management import get_torch_device

        from ..ex4d_core.pointmap.released import released_registration

        theirs = released_registration(pointmap, device=get_torch_device(), progress=job.progress, cancel=job.cancel)
        return theirs.cameras(), theirs.depth
    from ..ex4d_core.pointmap.fit import fit_cameras

    # The field of view is the picture's, whose pixels the map may have squeezed.
    focal = pointmap.height / 2 / math.tan(math.radians(fov) / 2) / pointmap.pixel_aspect if fov else None
    return fit_cameras(pointmap, focal=focal, progress=job.progress, cancel=job.cancel), None


def way(
    pointmap: PointMap, cameras: FittedCameras, motion: str, background: torch.Tensor | None, job: Job
) -> tuple[np.ndarray | None, list[str]]:
    """Where the camera is at each frame, if that is to be found, and lines about it."""
    if motion != BACKGROUND or pointmap.space != "cube" or len(pointmap) == 1:
        return None, []
    from ..ex4d_core.solve.background import positions_from_background

    if background is not None:
        background = of_its_pixels(background, pointmap)
    found = positions_from_background(
        pointmap, cameras, background=background, progress=job.progress, cancel=job.cancel
    )
    if found.trouble is not None:
        return None, [f"{found.trouble} The camera is taken as standing on one spot."]
    return found.position, [f"{int(found.still.sum())} of {len(found.tracks)} points stand still"]


def of_its_pixels(mask: torch.Tensor, pointmap: PointMap) -> torch.Tensor:
    """A mask (T, h, w) on the point map's pixels."""
    size = pointmap.height, pointmap.width
    if mask.shape[1:] == size:
        return mask
    return torch.nn.functional.interpolate(mask[:, None].float(), size, mode="area")[:, 0]


def facts(pointmap: PointMap, cameras: FittedCameras, clip: RegisteredClip) -> list[str]:
    """Size, lens and how well the points lie on their rays, as lines."""
    lens = clip.depth.intrinsics
    assert lens is not None  # a registered clip has one
    lines = [
        f"{len(pointmap)} frames, {lens.width}x{lens.height}, {pointmap.fps:g} fps",
        f"vertical field of view {lens.vertical_fov:.1f} degrees, focal length {lens.fx:.1f} pixels",
    ]
    if math.isfinite(cameras.off):
        lines.append(f"points {cameras.off:.2f} pixels off their rays")
        if cameras.off > FAR_OFF * pointmap.width:
            lines.append("so far off is no scene seen by one lens: do not trust this depth")
    if clip.sky:
        lines.append(f"{clip.sky:.0%} of the pixels are taken for sky: no confidence")
    return lines


def film(clip: RegisteredClip, camera: Trajectory) -> FilmFrames:
    """The pictures, their depth, and the camera's path over the scene."""
    from ..ex4d_core.preview.path_picture import draw_trajectory
    from ..ex4d_core.preview.pictures import shrink

    pixels = preview_pixels()
    pictures, depth = small_frames(clip.images, pixels=pixels), colored_depth(clip.depth.depth, pixels)
    height = pictures.make(0)[0].shape[0]
    size = (2 * round(height * 0.8) * 2, height * 2)
    path = draw_trajectory(camera, lens=clip.depth.intrinsics, size=size, **scene_of(clip.images[0], clip.depth))
    return side_by_side(pictures, depth, standing(shrink(path, size[0] // 2, height), len(pictures)))


NODES = [EX4DLoadPointMap, EX4DSavePointMap, EX4DPointMapToDepth]
