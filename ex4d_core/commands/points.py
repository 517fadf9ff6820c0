"""``recon --depth`` of a point map: its depth, lens and source camera, for the frames and pixels of the clip."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..depth.files import check_depth_source, depth_from_source, wanted_maps
from ..depth.source import DepthSource
from ..errors import EX4DError
from ..pointmap.formats import load_points, points_shape
from ..published import NEAREST_DEPTH
from .console import ProgressBar, interrupted, say

if TYPE_CHECKING:
    import numpy as np

    from ..depth import DepthClip
    from ..pointmap import PointMap
    from ..pointmap.fit import FittedCameras
    from ..video import VideoClip
    from ..video.source import VideoInfo
    from .recon_job import DepthPoints


def check_points(job: DepthPoints, info: VideoInfo, count: int) -> None:
    """Refuse a point map that cannot belong to the video, from its header.

    Raises:
        EX4DError: another number of frames, or another picture.
    """
    (frames, height, width), aspect = points_shape(job.path)
    check_depth_source(
        DepthSource("depth", frames, width, height, lambda: iter(()), None, job.path, pixel_aspect=aspect), info, count
    )


def depth_from_points(job: DepthPoints, focal: float | None, clip: VideoClip) -> DepthClip:
    """The depth of the clip's frames, with the lens and the path of the camera that the point map tells.

    Args:
        job: the file.
        focal: of the clip's picture, in pixels; None = found.
        clip: what was read of the video.

    Raises:
        EX4DError: no point map, or one that tells no lens.
        Cancelled: the user pressed ctrl-C.
    """
    from ..pointmap.fit import fit_cameras
    from ..pointmap.register import register

    with ProgressBar("reading the points") as bar:
        pointmap = load_points(job.path, progress=bar, cancel=interrupted)
    assert clip.placement is not None  # a clip that was read has one
    if focal is not None:
        focal *= pointmap.width / clip.placement.scaled_width
    try:
        with ProgressBar("fitting the lens") as bar:
            cameras = fit_cameras(pointmap, focal=focal, progress=bar, cancel=interrupted)
    except EX4DError as error:
        raise EX4DError(str(error).replace("Give the field of view.", "Pass --focal.")) from error
    position = _way(pointmap, cameras) if job.background else None
    with ProgressBar("depth of the points") as bar:
        whole = register(pointmap, cameras, position=position, near=NEAREST_DEPTH, progress=bar, cancel=interrupted)
    lens, maps = cameras.lens, whole.depth.depth.numpy()
    say(f"point map: {lens.vertical_fov:.1f} degrees high, points {cameras.off:.2f} pixels off their rays")
    source = DepthSource(
        "depth",
        len(maps),
        lens.width,
        lens.height,
        lambda: iter(maps),
        lens.matrix(),
        job.path,
        None,
        pointmap.pixel_aspect,
    )
    depth = depth_from_source(source, clip, cancel=interrupted)
    path = whole.depth.source_camera
    if path is None:
        return depth
    return depth.with_source_camera(replace(path.part(wanted_maps(source, clip)), fps=float(clip.fps)))


def _way(pointmap: PointMap, cameras: FittedCameras) -> np.ndarray | None:
    """Where the camera is at each frame; None, and a note, where it cannot be told."""
    from ..solve.background import positions_from_background

    if pointmap.space != "cube":
        return None
    with ProgressBar("finding the way") as bar:
        found = positions_from_background(pointmap, cameras, progress=bar, cancel=interrupted)
    if found.trouble is not None:
        say(f"note: {found.trouble} The camera is taken as standing on one spot.")
        return None
    say(f"source camera: {int(found.still.sum())} points stand still")
    return found.position
