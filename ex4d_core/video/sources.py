"""The kinds of source behind one door: video file, animated WebP, folder of images, .npz with ``rgb``, pictures in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from fractions import Fraction
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import EX4DError
from ..storage.names import natural_order
from ..storage.npz import NpzFrames, number_in
from .animation import is_animated_webp, open_animation
from .sampling import exact_rate
from .source import (
    AS_STORED,
    Orientation,
    PicturesInMemory,
    TimedFrame,
    TimedFrames,
    VideoInfo,
    VideoSource,
    check_picture_size,
)
from .video_file import open_container, open_video_file

if TYPE_CHECKING:
    import numpy as np
    import torch
    from av.video.frame import VideoFrame
    from PIL.Image import Image

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".jp2", ".tga")
STILLS_FPS = Fraction(15)
"""Rate of folders and arrays, which have none of their own: that of EX-4D's output."""


ORIENTATION_TAG = 0x0112
ORIENTATIONS = (
    (False, False, False),
    (False, True, False),
    (False, True, True),
    (False, False, True),
    (True, False, False),
    (True, True, False),
    (True, True, True),
    (True, False, True),
)
"""By the value, from 1 on, of EXIF's orientation tag."""


def probe_video(source: VideoSource, *, thorough: bool = False) -> VideoInfo:
    """Read a clip's size, rate and length.

    Args:
        source: video file, stream, folder of images, .npz with ``rgb`` (T, H, W, 3), or `PicturesInMemory`.
        thorough: count a video's pictures, whatever its header says of its length; this reads the whole file.

    Raises:
        EX4DError: not a readable video, no picture in it, or pictures below 16x16 pixels.
    """
    with open_source(source, thorough=thorough) as (info, _):
        return info


def open_source(
    source: VideoSource, stills_fps: Fraction | None = None, *, thorough: bool = False
) -> AbstractContextManager[tuple[VideoInfo, TimedFrames]]:
    """Open whatever ``source`` is; for ``thorough`` see `probe_video`.

    ``stills_fps`` is the rate of folders and arrays; None = as an .npz tells, else 15.

    Raises:
        EX4DError: nothing there, or nothing readable.
    """
    if isinstance(source, PicturesInMemory):
        return open_pictures(source)
    if not isinstance(source, (str, PathLike)):
        return open_animation(source) if is_animated_webp(source) else open_video_file(source, thorough=thorough)
    path = Path(source)
    if path.is_dir():
        return open_folder(path, stills_fps or STILLS_FPS)
    if not path.exists():
        raise EX4DError(f"There is no file '{path}'. Check the path of the video.")
    if path.suffix.lower() == ".npz":
        return open_npz(path, stills_fps)
    return open_animation(path) if is_animated_webp(path) else open_video_file(path, thorough=thorough)


def is_stills(source: VideoSource) -> bool:
    """Whether the source is a folder or array, whose pictures have no times of their own."""
    return isinstance(source, (str, PathLike)) and (Path(source).is_dir() or Path(source).suffix.lower() == ".npz")


def list_images(folder: Path, suffixes: tuple[str, ...] = IMAGE_SUFFIXES) -> list[Path]:
    """The folder's pictures in natural order.

    Raises:
        EX4DError: none there.
    """
    names = [p for p in folder.iterdir() if p.suffix.lower() in suffixes and not p.name.startswith(".")]
    if not names:
        kinds = ", ".join(s[1:] for s in suffixes)
        others = sorted({p.suffix.lower() for p in folder.iterdir() if p.suffix and not p.name.startswith(".")})[:3]
        found = f", but files in {', '.join(others)}" if others else ""
        raise EX4DError(f"The folder '{folder}' holds no pictures{found}. Put one file per frame there ({kinds}).")
    return sorted(names, key=lambda p: natural_order(p.name))


def read_picture(path: Path) -> tuple[VideoFrame, Orientation]:
    """One image file as an av.VideoFrame, and how it becomes upright.

    Raises:
        EX4DError: not a picture.
    """
    from av.error import FFmpegError

    if path.suffix.lower() in (".tif", ".tiff") and (read := _jpeg_in_tiff(path)) is not None:
        return read
    # Opened here, since FFmpeg would take a % in the name for a numbered sequence.
    with open(path, "rb") as file, open_container(file) as container:
        try:
            frame = next(iter(container.decode(video=0)), None) if container.streams.video else None
        except FFmpegError:
            frame = None
        if frame is None or frame.is_corrupt:
            raise EX4DError(f"'{path}' is not a picture that can be read, or it is cut off. Replace or remove it.")
        return frame, picture_orientation(path)


def _jpeg_in_tiff(path: Path) -> tuple[VideoFrame, Orientation] | None:
    """What FFmpeg gives as black: a TIFF whose data is JPEG; None for others."""
    from av import VideoFrame
    from PIL.Image import open as open_picture

    try:
        with open_picture(path) as picture:
            if picture.info.get("compression") not in ("jpeg", "tiff_jpeg"):
                return None
            frame = VideoFrame.from_image(picture.convert("RGB"))
            return frame, orientation_of(picture)
    except Exception:  # whatever is wrong with it is told by FFmpeg's reading
        return None


def picture_orientation(path: Path) -> Orientation:
    """What a picture's EXIF says of how the camera was held; as stored where it says nothing."""
    from PIL.Image import open as open_picture

    try:
        with open_picture(path) as picture:
            return orientation_of(picture)
    except Exception:  # whatever else is wrong with it: FFmpeg, which reads the pixels, has the say
        return AS_STORED


def orientation_of(picture: Image) -> Orientation:
    """How a Pillow picture becomes upright; Pillow turns some TIFF by itself as it loads them, and forgets their tag."""
    value = picture.getexif().get(ORIENTATION_TAG, 1)
    return Orientation(*ORIENTATIONS[value - 1 if value in range(1, 9) else 0])


@contextmanager
def open_folder(folder: Path, fps: Fraction) -> Iterator[tuple[VideoInfo, TimedFrames]]:
    """One picture a frame, all of one size."""
    paths = list_images(folder)
    width, height = upright_size(*read_picture(paths[0]))
    check_picture_size(width, height, str(folder))

    def frames(begin: Fraction) -> Iterator[TimedFrame]:
        for index in range(int(begin * fps), len(paths)):
            frame, turned = read_picture(paths[index])
            size = upright_size(frame, turned)
            if size != (width, height):
                raise EX4DError(
                    f"'{paths[index]}' has {size[0]}x{size[1]} pixels, the first picture {width}x{height}. All pictures "
                    "of a clip must have one size."
                )
            yield TimedFrame(index / fps, 1 / fps, index, frame, turned)

    count = len(paths)
    info = VideoInfo(width, height, display_width=width, fps=fps, frames=count, pictures=count, path=str(folder))
    yield info, frames


def upright_size(frame: VideoFrame, turned: Orientation) -> tuple[int, int]:
    """(width, height) of a picture once it is upright."""
    return (frame.height, frame.width) if turned.transposed else (frame.width, frame.height)


@contextmanager
def open_npz(path: Path, fps: Fraction | None) -> Iterator[tuple[VideoInfo, TimedFrames]]:
    """An array ``rgb`` (T, H, W, 3), uint8 or float 0..1; ``fps`` and ``pixel_aspect`` (above 1: squeezed), if it tells them."""
    with NpzFrames(path, ("rgb",)) as arrays:
        shape = arrays.shape
        if len(shape) != 4 or shape[3] != 3 or shape[0] == 0:
            raise EX4DError(f"'rgb' in '{path}' has shape {shape}; expected (frames, height, width, 3).")
        told, aspect = (number_in(path, arrays.names, name) for name in ("fps", "pixel_aspect"))
        rate = fps or _rate_told(path, told)
        info = _array_info(shape, rate, str(path))
        if aspect is not None:
            check_picture_size(round(info.width * aspect) if 0.01 < aspect < 100 else 0, info.height, str(path))
            info = replace(info, display_width=round(info.width * aspect))
        yield info, lambda begin: _in_step(arrays.frames, begin, rate)


def _rate_told(path: Path, fps: float | None) -> Fraction:
    if fps is None:
        return STILLS_FPS
    if not 0.01 <= fps <= 1000:
        raise EX4DError(f"'{path}' says {fps:g} frames a second; a rate lies between 0.01 and 1000.")
    return exact_rate(fps)


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
    return VideoInfo(width, height, display_width=width, fps=fps, frames=frames, pictures=frames, path=path)


def _in_step(
    pictures: Callable[[int], Iterator[np.ndarray | torch.Tensor]], begin: Fraction, fps: Fraction
) -> Iterator[TimedFrame]:
    """The pictures from a number on, as `TimedFrames` at a constant rate."""
    first = int(begin * fps)
    for index, picture in enumerate(pictures(first), first):
        yield TimedFrame(index / fps, 1 / fps, index, picture)
