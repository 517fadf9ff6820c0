"""The path of the camera that filmed the clip: a Trajectory whose first frame is the world."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..camera import Intrinsics, invert_pose
from ..errors import EX4DError
from .path import Trajectory

AT_HOME = 1e-4
"""Largest entry by which the first pose of a source camera may differ from the identity."""


def source_camera_of(
    path: Trajectory, frames: int, size: tuple[int, int], lens: Intrinsics | None = None
) -> Trajectory:
    """A camera path as the source camera of a clip.

    Args:
        path: one pose a frame; what follows the clip's last frame is cut off.
        frames: of the clip.
        size: (width, height) of its depth, to which the lenses are brought.
        lens: the clip's, where the path tells fields of view and leaves some open; None = the training data's.

    Returns:
        Poses in the world of frame 0, without a document.

    Raises:
        EX4DError: fewer poses than frames, or lenses of another shape.
    """
    if len(path) < frames:
        raise EX4DError(f"The source camera has {len(path)} poses and the clip {frames} frames. Each frame needs one.")
    if not path.takes_the_scenes_lens:
        path = path.for_scene(lens or Intrinsics.default(*size))
    poses = path.world_to_camera[:frames].astype(np.float64)
    lenses = None if path.intrinsics is None else path.intrinsics[:frames]
    moved = Trajectory(poses @ invert_pose(poses[0]), lenses, path.fps, radius=path.radius, frame_of_reference="world")
    return moved.resized(*size)


def check_source_camera(source: Trajectory, frames: int, size: tuple[int, int]) -> None:
    """Refuse a source camera that does not belong to a clip.

    Args:
        source: what is checked.
        frames: of the clip.
        size: (width, height) of its depth.

    Raises:
        EX4DError: another number of poses, a first pose that is not the identity, or lenses of another size.
    """
    if len(source) != frames:
        raise EX4DError(f"The source camera has {len(source)} poses and the clip {frames} frames. Make them equal.")
    if np.abs(source.world_to_camera[0] - np.eye(4)).max() > AT_HOME:
        raise EX4DError(
            "The source camera's first pose is not the identity, but it is the world of everything else. Multiply every "
            "pose by its inverse from the right."
        )
    if source.intrinsics is not None:
        for t, lens in enumerate(source.intrinsics):
            if (lens.width, lens.height) != size:
                raise EX4DError(
                    f"The source camera's lens at frame {t} is for {lens.width}x{lens.height} pixels and the clip has "
                    f"{size[0]}x{size[1]}. Resize the path first."
                )


def relative_to_source(path: Trajectory, source: Trajectory | None) -> np.ndarray:
    """A path's poses as seen from the source camera.

    Args:
        path: T poses.
        source: where the source camera was when it saw what each of the T frames shows; None = it does not move.

    Returns:
        (T, 4, 4) float64, from the frame of the source camera to the path's camera.
    """
    poses = path.world_to_camera.astype(np.float64)
    if source is None or path.frame_of_reference == "source":
        return poses
    return poses @ invert_pose(source.world_to_camera)


def in_the_world(path: Trajectory, source: Trajectory | None) -> Trajectory:
    """A path that rides on a source camera, as it moves through the world: what other programs can take.

    Args:
        path: any path; one that stands in the world is returned as it is. Give it its lenses first, the document goes.
        source: the source camera when it saw what each frame shows; None where it does not move, and nothing changes.

    Raises:
        EX4DError: another number of frames.
    """
    if path.frame_of_reference == "world" or source is None:
        return path
    if len(source) != len(path):
        raise EX4DError(
            f"The camera path has {len(path)} frames and the source camera that it rides on {len(source)}. "
            "Make them equal."
        )
    poses = path.world_to_camera.astype(np.float64) @ source.world_to_camera.astype(np.float64)
    return replace(path, world_to_camera=poses, path=None, frame_of_reference="world")
