"""The four kinds of source behind one door: video file, folder of images, .npz with ``rgb``, pictures in memory."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from fractions import Fraction
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import EX4DError
from ..storage.npz import NpzFrames
from .source import PicturesInMemory, TimedFrame, TimedFrames, VideoInfo, VideoSource, check_picture_size
from .video_file import open_container, open_video_file, orientation

if TYPE_CHECKING:
    import numpy as np
    import torch
    from av.video.frame import VideoFrame

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
STILLS_FPS = Fraction(15)
"""Rate of folders and arrays, which have none of their own: that of EX-4D's output."""


def probe_video(source: VideoSource) -> VideoInfo:
    """Read a clip's size, rate and length.

    Args:
        source: video file, stream, folder of images, .npz with ``rgb`` (T, H, W, 3), or `PicturesInMemory`.

    Raises:
        EX4DError: not a readable video, no picture in it, or pictures below 16x16 pixels.
    """
    with open_source(source) as (info, _):
        return info


def open_source(
    source: VideoSource, stills_fps: Fraction = STILLS_FPS
) -> AbstractContextManager[tuple[VideoInfo, TimedFrames]]:
    """Open whatever ``source`` is; ``stills_fps`` is the rate of folders and arrays.

    Raises:
        EX4DError: nothing there, or nothing readable.
    """
    if isinstance(source, PicturesInMemory):
        return open_pictures(source)
    if not isinstance(source, (str, PathLike)):
        return open_video_file(source)
    path = Path(source)
    if path.is_dir():
        return open_folder(path, stills_fps)
    if not path.exists():
        raise EX4DError(f"There is no file '{path}'. Check the path of the video.")
    if path.suffix.lower() == ".npz":
        return open_npz(path, stills_fps)
    return open_video_file(path)


def is_stills(source: VideoSource) -> bool:
    """Whether the source is a folder or array, whose pictures have no times of their own."""
    return isinstance(source, (str, PathLike)) and (Path(source).is_dir() or Path(source).suffix.lower() == ".npz")


def natural_order(name: str) -> list[tuple[int, str]]:
    """Sorting key by which frame_2 comes before frame_10."""
    return [(int(part), "") if part.isdigit() else (-1, part.lower()) for part in re.split(r"(\d+)", name) if part]


def list_images(folder: Path, suffixes: tuple[str, ...] = IMAGE_SUFFIXES) -> list[Path]:
    """The folder's pictures in natural order.

    Raises:
        EX4DError: none there.
    """
    names = [p for p in folder.iterdir() if p.suffix.lower() in suffixes and not p.name.startswith(".")]
    if not names:
        kinds = ", ".join(s[1:] for s in suffixes)
        raise EX4DError(f"The folder '{folder}' holds no pictures. Put one file per frame there ({kinds}).")
    return sorted(names, key=lambda p: natural_order(p.name))


def read_picture(path: Path) -> VideoFrame:
    """One image file as an av.VideoFrame.

    Raises:
        EX4DError: not a picture.
    """
    from av.error import FFmpegError

    # Opened here, since FFmpeg would take a % in the name for a numbered sequence.
    with open(path, "rb") as file, open_container(file) as container:
        try:
            frame = next(iter(container.decode(video=0)), None) if container.streams.video else None
        except FFmpegError:
            frame = None
        if frame is None or frame.is_corrupt:
            raise EX4DError(f"'{path}' is not a picture that can be read, or it is cut off. Replace or remove it.")
        return frame


@contextmanager
def open_folder(folder: Path, fps: Fraction) -> Iterator[tuple[VideoInfo, TimedFrames]]:
    """One picture a frame, all of one size."""
    paths = list_images(folder)
    first = read_picture(paths[0])
    transposed, flip_x, flip_y = orientation(first, str(paths[0]))
    stored = (first.width, first.height)
    width, height = stored[::-1] if transposed else stored
    check_picture_size(width, height, str(folder))

    def frames(begin: Fraction) -> Iterator[TimedFrame]:
        for index in range(int(begin * fps), len(paths)):
            frame = read_picture(paths[index])
            if (frame.width, frame.height) != stored:
                raise EX4DError(
                    f"'{paths[index]}' has {frame.width}x{frame.height} pixels, the first picture "
                    f"{stored[0]}x{stored[1]}. All pictures of a clip must have one size."
                )
            yield TimedFrame(index / fps, 1 / fps, index, frame)

    info = VideoInfo(
        width=width,
        height=height,
        display_width=width,
        fps=fps,
        frames=len(paths),
        counted=True,
        transposed=transposed,
        flip_x=flip_x,
        flip_y=flip_y,
        path=str(folder),
    )
    yield info, frames


@contextmanager
def open_npz(path: Path, fps: Fraction) -> Iterator[tuple[VideoInfo, TimedFrames]]:
    """An array ``rgb`` (T, H, W, 3), uint8 or float 0..1."""
    with NpzFrames(path, ("rgb",)) as arrays:
        shape = arrays.shape
        if len(shape) != 4 or shape[3] != 3 or shape[0] == 0:
            raise EX4DError(f"'rgb' in '{path}' has shape {shape}; expected (frames, height, width, 3).")
        yield _array_info(shape, fps, str(path)), lambda begin: _in_step(arrays.frames, begin, fps)


@contextmanager
def open_pictures(source: PicturesInMemory) -> Iterator[tuple[VideoInfo, TimedFrames]]:
    """What is in memory already."""
    images, fps = source.images, source.fps
    if images.ndim != 4 or 0 in images.shape:
        raise EX4DError(f"'{source.path}' has shape {tuple(images.shape)}; expected (frames, height, width, 3).")
    if fps <= 0:
        raise EX4DError(f"'{source.path}' has a frame rate of {float(fps):g}; it must be above 0.")
    images = images[..., :3] if images.shape[3] >= 3 else images[..., :1].expand(-1, -1, -1, 3)
    yield _array_info(images.shape, fps, source.path), lambda begin: _in_step(lambda n: iter(images[n:]), begin, fps)


def _array_info(shape: Sequence[int], fps: Fraction, path: str) -> VideoInfo:
    frames, height, width, _ = shape
    check_picture_size(width, height, path)
    return VideoInfo(width=width, height=height, display_width=width, fps=fps, frames=frames, counted=True, path=path)


def _in_step(
    pictures: Callable[[int], Iterator[np.ndarray | torch.Tensor]], begin: Fraction, fps: Fraction
) -> Iterator[TimedFrame]:
    """The pictures from a number on, as `TimedFrames` at a constant rate."""
    first = int(begin * fps)
    for index, picture in enumerate(pictures(first), first):
        yield TimedFrame(index / fps, 1 / fps, index, picture)
