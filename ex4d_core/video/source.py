"""What a clip may come from, and what is known of it before it is decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from os import PathLike, fspath
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from ..errors import EX4DError
from .fit import SMALLEST_SIDE

if TYPE_CHECKING:
    import numpy as np
    import torch
    from av.video.frame import VideoFrame

FileSource = str | PathLike[str] | BinaryIO
"""A path, or a seekable binary stream that holds a video file."""


class Orientation(NamedTuple):
    """How a stored picture becomes upright: rows and columns are exchanged first, then it is mirrored."""

    transposed: bool = False
    flip_x: bool = False
    flip_y: bool = False

    def upright(self, picture: np.ndarray) -> np.ndarray:
        """The picture (H, W) or (H, W, C), as a view."""
        if self.transposed:
            picture = picture.swapaxes(0, 1)
        if self.flip_x:
            picture = picture[:, ::-1]
        return picture[::-1] if self.flip_y else picture


AS_STORED = Orientation()


@dataclass(frozen=True)
class PicturesInMemory:
    """A clip in memory, as a source.

    Attributes:
        images: (T, H, W, C), uint8 or float 0..1; one channel is grey, and of more than three the first three count.
        fps: frames per second, > 0.
        path: how messages call it.
    """

    images: torch.Tensor
    fps: Fraction
    path: str = "clip in memory"


VideoSource = FileSource | PicturesInMemory


@dataclass(frozen=True)
class VideoInfo:
    """What is known of a clip before it is decoded.

    Attributes:
        width, height: upright size in stored pixels: rotation applied, pixel aspect not.
        display_width: width at which the clip has square pixels at ``height``.
        fps: average frames per second.
        frames: number of frames at ``fps``; None where the container does not say.
        pictures: how many pictures there are, where they were counted; else ``frames`` is an estimate from a length.
        start_time: seconds in the container's clock at which the first frame is shown (audio shares that clock).
        has_audio: whether there is a sound track.
        turned: how the stored pictures become upright, where a frame does not say it of itself.
        path: where it came from; "<stream>" for a stream.
    """

    width: int
    height: int
    display_width: int
    fps: Fraction
    frames: int | None
    pictures: int | None = None
    start_time: float = 0.0
    has_audio: bool = False
    turned: Orientation = AS_STORED
    path: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """Displayed (width, height) in square pixels."""
        return self.display_width, self.height


class TimedFrame(NamedTuple):
    """One frame of a source, and when it is shown.

    Attributes:
        time: seconds from the clip's first frame.
        duration: seconds for which it is shown.
        number: which frame of the source it is.
        picture: an av.VideoFrame, or (H, W, 3) uint8 or float 0..1, which becomes one if it is shown.
        turned: how this picture becomes upright; None = as the clip says.
    """

    time: Fraction
    duration: Fraction
    number: int
    picture: VideoFrame | torch.Tensor | np.ndarray
    turned: Orientation | None = None


TimedFrames = Callable[[Fraction], Iterator[TimedFrame]]
"""From a time in seconds: the frames in display order, beginning with one at or before that time."""


def source_name(source: FileSource) -> str:
    """How messages call a source."""
    if isinstance(source, (str, PathLike)):
        return fspath(source)
    return str(getattr(source, "name", "<stream>"))


def check_picture_size(width: int, height: int, path: str) -> None:
    """Refuse pictures too small to be a scene."""
    if min(width, height) < SMALLEST_SIDE:
        raise EX4DError(
            f"'{path}' shows pictures of {width}x{height} pixels; at least {SMALLEST_SIDE}x{SMALLEST_SIDE} are "
            "needed. Use a larger source."
        )
