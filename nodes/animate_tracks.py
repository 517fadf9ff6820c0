"""What nodes of moving meshes have in common: smoothness in time, and points of a video that guide them."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io

from ..ex4d_core.animate.tracks import PictureTracks
from ..ex4d_core.errors import EX4DError
from . import types
from .progress import Job


def smooth_input() -> io.Input:
    """How smooth in time a mesh moves."""
    return io.Float.Input(
        "smooth",
        default=0.3,
        min=0.0,
        max=1.0,
        step=0.05,
        tooltip="How far points slide along the surface to where the frames before and after have them.",
    )


def tracks_input() -> io.Input:
    """Tracks that somebody else made."""
    return types.HostTracks.Input(
        "tracks",
        optional=True,
        tooltip="Points followed through the whole video by another node. Without them points of images are followed here.",
    )


def tracks_of(tracks: Any, images: torch.Tensor | None, job: Job) -> PictureTracks | None:
    """The tracks that are connected; else the points of the images, where OpenCV is there; else None.

    Raises:
        EX4DError: something else on the socket.
    """
    if tracks is not None:
        try:
            path, seen = (torch.as_tensor(tracks[key]).cpu().numpy() for key in ("track_path", "track_visibility"))
        except (KeyError, TypeError, IndexError, ValueError):
            raise EX4DError(
                "tracks takes a dictionary with track_path (frames, points, 2) and track_visibility (frames, points)."
            ) from None
        return PictureTracks(path, seen)
    if images is None:
        return None
    from ..ex4d_core.machine import extras
    from ..ex4d_core.solve import follow_points, grey_frames

    if not extras.has("cv2"):
        return None
    followed = follow_points(grey_frames(images), progress=job.progress, cancel=job.cancel)
    job.restart()
    return PictureTracks.followed(followed.position)
