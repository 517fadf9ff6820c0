"""Depth from files: .npz and .npy, folders of 16-bit PNG, TIFF, EXR, PFM or .npy, and video of 10 bits and more.

A depth file belongs to a video: it has one map per frame of the source, or of the part that was loaded, and shows the
same picture. So it is picked and fitted exactly as the video was.
"""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..camera import Intrinsics
from ..errors import Cancelled, EX4DError
from ..video.clip import VideoClip
from ..video.colour import colour_of
from ..video.fit import LARGEST_SIDE, PicturePlacement
from ..video.source import VideoInfo
from ..video.sources import list_images, orientation_of, probe_video, read_picture
from ..video.video_file import open_video_file
from .arrays import one_lens, one_map, open_arrays
from .clip import DepthClip, border_of
from .convert import resize_depth
from .pfm import read_pfm
from .source import GIVE_THE_KIND, KINDS, DepthSource, Kind, UnknownKind

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

log = logging.getLogger(__name__)

ARRAY_SUFFIXES = (".npz", ".npy")
PICTURE_SUFFIXES = (".png", ".tif", ".tiff", ".exr", ".pfm", ".npy", ".npz")
FOREIGN_SUFFIXES = (".pt", ".pth", ".pkl", ".h5", ".hdf5", ".mat", ".zarr")
"""Arrays of other programs, which are no films either."""
ASPECT_TOLERANCE = 0.08
"""Depth networks round sizes to multiples of 14 or 64, which stretches the picture by a few percent."""
SKY = 1e9
"""From here on depth is a renderer's word for nothing there (Blender writes 1e10); so is infinity, and half floats' largest."""
LARGEST_HALF = 65504.0
LENS_TOLERANCE = 0.01
"""Share by which the focal length may change within a clip before it is said."""


def open_depth(path: str | Path, kind: Kind | None = None) -> AbstractContextManager[DepthSource]:
    """Open a depth file.

    Args:
        path: .npz or .npy of (T, H, W), a folder of pictures, or a video.
        kind: what the numbers are; None = told by the name of the array in an .npz.

    Raises:
        UnknownKind: nothing says what the numbers are.
        EX4DError: nothing there, or not depth.
    """
    path = Path(path)
    if kind is not None and kind not in KINDS:
        raise EX4DError(f"Unknown depth kind '{kind}': use depth or disparity.")
    if not path.exists():
        raise EX4DError(f"There is no depth file '{path}'. Check the path.")
    if path.suffix.lower() in ARRAY_SUFFIXES and not path.is_dir():
        return open_arrays(path, kind)
    if path.suffix.lower() in FOREIGN_SUFFIXES:
        raise EX4DError(f"'{path}' is an array of another program. Save it as .npz, with the name depth or disparity.")
    if kind is None:
        raise UnknownKind(GIVE_THE_KIND.format(path))
    return _open_folder(path, kind) if path.is_dir() else _open_video(path, kind)


def check_depth_file(path: str | Path, kind: Kind | None, info: VideoInfo, count: int | None) -> Kind:
    """Refuse a depth file that cannot belong to the video, before any of it is used.

    Args:
        path: see `open_depth`.
        kind: see `open_depth`.
        info: the video.
        count: number of frames that will be loaded; None for all.

    Returns:
        What the file holds.

    Raises:
        UnknownKind: nothing says what the numbers are.
        EX4DError: unreadable depth, or another frame count or picture shape than the video's.
    """
    with open_depth(path, kind) as source:
        check_depth_source(source, info, count)
        return source.kind


def check_depth_source(source: DepthSource, info: VideoInfo, count: int | None) -> None:
    """`check_depth_file` of what is open already."""
    _check_shape(source, info)
    if source.frames is not None and info.pictures is not None:
        allowed = {info.pictures, info.frames if count is None else count}
        if source.frames not in allowed:
            raise EX4DError(_wrong_count(source, info.pictures, count))


def load_depth(
    path: str | Path,
    clip: VideoClip,
    *,
    kind: Kind | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> DepthClip:
    """The depth of a loaded clip: the same frames, fitted the same way.

    Args:
        path: see `open_depth`.
        kind: see `open_depth`.
        clip: as `load_video` returned it.
        progress: called with (maps read, maps in all).
        cancel: polled at every map.

    Returns:
        Planar depth (T, H, W) on the clip's pixel grid, with intrinsics where the file has them. Where ``pad`` left
        bars, they lie at the largest depth.

    Raises:
        EX4DError: unreadable depth, wrong count or shape, or values that are no depth (NaN, infinite, zero, constant).
        Cancelled: ``cancel`` returned True.
    """
    with open_depth(path, kind) as source:
        return depth_from_source(source, clip, progress=progress, cancel=cancel)


def depth_from_source(
    source: DepthSource,
    clip: VideoClip,
    *,
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> DepthClip:
    """`load_depth` of what is open already, or was made by other means.

    Args:
        source: the maps of the clip's frames, or of its source's.
        clip: see `load_depth`.
        progress: see `load_depth`.
        cancel: see `load_depth`.

    Raises:
        EX4DError: see `load_depth`.
        Cancelled: see `load_depth`.
    """
    if clip.info is None or clip.placement is None:
        raise EX4DError("Depth files are fitted to clips that were read by load_video.")
    _check_shape(source, clip.info)
    wanted = wanted_maps(source, clip)
    values = _read_maps(source, clip, wanted, progress, cancel)
    if source.kind == "disparity":
        unfitted = DepthClip.from_disparity(values, in_place=True)
    else:
        unfitted = DepthClip(_with_sky_at_the_border(values, source), disparity_range=source.disparity_range)
    depth = _fitted(unfitted.depth, clip.placement)
    lens = _fitted_intrinsics(source, clip.placement, wanted)
    return replace(unfitted, depth=depth, intrinsics=lens)


def wanted_maps(source: DepthSource, clip: VideoClip) -> tuple[int, ...]:
    """The number of each frame's map: one per frame of the source, of which the loaded ones are picked, or one per loaded."""
    assert clip.info is not None
    count, pictures = source.frames, clip.info.pictures
    of_clip = tuple(range(len(clip)))
    if count is None or count != len(clip):
        return clip.source_frames
    if clip.source_frames == of_clip or max(clip.source_frames) >= count:
        return of_clip
    # As many maps as frames were loaded, and they could be those of the source as well.
    if pictures is None and Path(clip.path).is_file():
        pictures = probe_video(clip.path, thorough=True).pictures
    return clip.source_frames if count == pictures else of_clip


def _with_sky_at_the_border(values: torch.Tensor, source: DepthSource) -> torch.Tensor:
    """Depth (T, h, w), changed in place: samples without a surface lie where the back plate will stand."""
    count, nearest, farthest = 0, math.inf, -math.inf
    for frame in values:
        solid = frame[~_is_sky(frame)]
        count += frame.numel() - solid.numel()
        if solid.numel():
            low, high = (float(v) for v in torch.aminmax(solid))
            nearest, farthest = min(nearest, low), max(farthest, high)
    if count in (0, values.numel()):
        return values
    border = border_of(nearest, farthest)
    log.warning(
        "%.2g %% of the samples in '%s' have no depth (sky, or outside what was rendered); they are placed at %.4g, where the "
        "background stands.",
        100 * count / values.numel(),
        source.path,
        border,
    )
    for frame in values:
        frame[_is_sky(frame)] = border
    return values


def _is_sky(frame: torch.Tensor) -> torch.Tensor:
    return (frame >= SKY) | (frame == LARGEST_HALF)


def _read_maps(
    source: DepthSource,
    clip: VideoClip,
    wanted: tuple[int, ...],
    progress: Callable[[int, int], None] | None,
    cancel: Callable[[], bool] | None,
) -> torch.Tensor:
    """The maps that belong to the clip's frames, float32 (T, h, w) at the file's own size."""
    assert clip.info is not None
    values = torch.empty((len(clip), source.height, source.width), dtype=torch.float32)
    filled, number = 0, -1
    for number, values_of_frame in enumerate(source.maps()):
        if cancel is not None and cancel():
            raise Cancelled
        while filled < len(wanted) and wanted[filled] == number:
            with np.errstate(over="ignore", invalid="ignore"):  # becomes infinite or NaN, which is refused below
                values[filled] = torch.from_numpy(values_of_frame.astype(np.float32))
            filled += 1
            if progress is not None:
                progress(filled, len(wanted))
        if filled == len(wanted):
            return values
    raise EX4DError(_wrong_count(source, clip.info.pictures or clip.info.frames, len(clip), number + 1))


def _wrong_count(source: DepthSource, video_frames: int | None, count: int | None, found: int | None = None) -> str:
    has = source.frames if found is None else found
    used = "one frame that is" if count == 1 else f"{count} frames that are"
    asked = "" if count is None else f" (or for the {used} used)"
    of_video = "one per frame of the video" if video_frames is None else f"one for each of the video's {video_frames}"
    return f"'{source.path}' has {has} depth maps; expected {of_video}{asked}. Give the depth of this very clip."


def _check_shape(source: DepthSource, info: VideoInfo) -> None:
    if min(source.width, source.height) < 2 or max(source.width, source.height) > LARGEST_SIDE:
        raise EX4DError(
            f"'{source.path}' has maps of {source.width}x{source.height} pixels; expected the video's size."
        )
    width, height = info.size
    if abs(source.width * source.pixel_aspect / source.height / (width / height) - 1) > ASPECT_TOLERANCE:
        raise EX4DError(
            f"'{source.path}' has maps of {source.width}x{source.height} pixels, the video {width}x{height}: not the "
            "same picture. Give depth of the whole, uncropped frame."
        )


def _fitted(depth: torch.Tensor, placement: PicturePlacement) -> torch.Tensor:
    scaled = resize_depth(depth, placement.scaled_height, placement.scaled_width)
    if scaled.shape[1:] == (placement.height, placement.width):
        return scaled
    frame, picture = placement.windows()
    fitted = torch.full((len(scaled), placement.height, placement.width), float(scaled.max()))
    fitted[:, frame[0], frame[1]] = scaled[:, picture[0], picture[1]]
    return fitted


def _fitted_intrinsics(source: DepthSource, placement: PicturePlacement, wanted: tuple[int, ...]) -> Intrinsics | None:
    """The lens of the first frame, in pixels of the fitted picture."""
    if source.matrix is None:
        return None
    each = source.matrix[None] if source.matrix.ndim == 2 else source.matrix[list(wanted)]
    focal = each[:, 0, 0]
    if np.ptp(focal) > LENS_TOLERANCE * abs(focal[0]):
        log.warning(
            "The lens in '%s' zooms, from a focal length of %.4g to %.4g pixels; that of the first frame serves all.",
            source.path,
            focal.min(),
            focal.max(),
        )
    lens = Intrinsics.from_matrix(each[0], source.width, source.height)
    lens = lens.resized(placement.scaled_width, placement.scaled_height)
    return Intrinsics(
        lens.fx, lens.fy, lens.cx + placement.left, lens.cy + placement.top, placement.width, placement.height
    )


@contextmanager
def _open_folder(path: Path, kind: Kind) -> Iterator[DepthSource]:
    pictures = list_images(path, PICTURE_SUFFIXES)
    first = _read_picture(pictures[0], kind)

    def maps() -> Iterator[np.ndarray]:
        for picture in pictures:
            values = _read_picture(picture, kind)
            if values.shape != first.shape:
                raise EX4DError(
                    f"'{picture}' has {values.shape[1]}x{values.shape[0]} pixels, the first map {first.shape[1]}x"
                    f"{first.shape[0]}. All maps of a clip must have one size."
                )
            yield values

    height, width = first.shape
    lens = one_lens(pictures[0], width, height) if pictures[0].suffix.lower() == ".npz" else None
    yield DepthSource(kind, len(pictures), width, height, maps, lens, str(path))


def _read_picture(path: Path, kind: Kind) -> np.ndarray:
    """One map, upright."""
    suffix = path.suffix.lower()
    if suffix == ".exr":
        from .exr import read_exr

        return read_exr(path, nothing=np.inf if kind == "depth" else 0.0)
    if suffix in ARRAY_SUFFIXES:
        return one_map(path, kind)
    if suffix == ".pfm":
        return read_pfm(path)
    if suffix in (".tif", ".tiff") and (values := _plain_tiff(path)) is not None:
        return values
    frame, turned = read_picture(path)
    return turned.upright(_luma(frame, str(path)))


def _plain_tiff(path: Path) -> np.ndarray | None:
    """A TIFF of one channel of floats or whole numbers above 16 bits, which FFmpeg does not decode, upright; None for others.

    Raises:
        EX4DError: it is cut off.
    """
    from PIL import Image

    try:
        with Image.open(path) as picture:
            if picture.mode not in ("F", "I"):
                return None
            values = np.asarray(picture, dtype=np.float32)
            return orientation_of(picture).upright(values)
    except Image.UnidentifiedImageError:
        return None
    except Exception as error:  # Pillow has no class of its own for damage
        raise EX4DError(
            f"'{path}' is not a TIFF that can be read, or it is cut off. Save it uncompressed, or with 16 bits."
        ) from error


@contextmanager
def _open_video(path: Path, kind: Kind) -> Iterator[DepthSource]:
    from av import VideoFrame

    with open_video_file(path, thorough=True) as (info, timed_frames):

        def maps() -> Iterator[np.ndarray]:
            for frame in timed_frames(Fraction(0)):
                assert isinstance(frame.picture, VideoFrame)  # a film's are; arrays come from other sources
                values = (frame.turned or info.turned).upright(_luma(frame.picture, str(path)))
                if values.shape != (info.height, info.width):
                    raise EX4DError(
                        f"'{path}' changes its size from {info.width}x{info.height} to {values.shape[1]}x{values.shape[0]} "
                        "pixels. All maps of a clip must have one size."
                    )
                yield values

        yield DepthSource(kind, info.pictures or info.frames, info.width, info.height, maps, None, str(path))


def _luma(frame: VideoFrame, path: str) -> np.ndarray:
    """The first plane's numbers, in full range; 8 bits are refused, since their 256 steps become visible terraces."""
    component = frame.format.components[0]
    if component.bits < 10:
        raise EX4DError(
            f"'{path}' has only {component.bits} bits per pixel, too coarse for depth. Save it with 16 bits."
        )
    plane = frame.planes[0]
    name = frame.format.name
    dtype = np.dtype(np.float32 if "f32" in name else np.uint16)
    big = name.endswith("be") and sys.byteorder == "little"
    row = np.frombuffer(memoryview(plane), dtype.newbyteorder(">") if big else dtype)
    row = row.reshape(plane.height, plane.line_size // dtype.itemsize)
    channels = 1 if len(frame.planes) > 1 else len(frame.format.components)
    values = row[:, : frame.width * channels : channels].astype(np.float32)
    # Grey has no limited range, whatever a codec's header says of the colours that it does not have.
    if name.startswith("gray") or colour_of(frame)[1]:
        return values
    # Limited range, as of YUV that does not say otherwise: black is 16 and white 235 of 255, in steps of 8 bits.
    step = 2.0 ** (component.bits - 8)
    return (values - 16 * step) * ((2**component.bits - 1) / (219 * step))
