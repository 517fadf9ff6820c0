"""Depth from files: .npz, folders of 16-bit PNG, TIFF or EXR, and video of 10 bits and more.

A depth file belongs to a video: it has one map per frame of the source, or of the part that was loaded, and shows the
same picture. So it is picked and fitted exactly as the video was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch

from ..camera import Intrinsics
from ..errors import Cancelled, EX4DError
from ..storage.npz import NpzFrames
from ..video.clip import VideoClip
from ..video.fit import LARGEST_SIDE, PicturePlacement
from ..video.source import VideoInfo
from ..video.sources import list_images, read_picture
from ..video.video_file import open_video_file
from .clip import DepthClip
from .convert import resize_depth

Kind = Literal["depth", "disparity"]
"""Planar z, larger = farther; or disparity of any scale, larger = nearer."""
KINDS: tuple[Kind, ...] = get_args(Kind)
PICTURE_SUFFIXES = (".png", ".tif", ".tiff", ".exr")
ASPECT_TOLERANCE = 0.08
"""Depth networks round sizes to multiples of 14 or 64, which stretches the picture by a few percent."""


@dataclass(frozen=True)
class DepthSource:
    """A depth file, opened.

    Attributes:
        kind: "depth" (planar z, larger = farther) or "disparity" (larger = nearer, any scale).
        frames: number of maps; None where a video does not say.
        width, height: size of the maps in pixels.
        maps: yields every map in order, (H, W) of any number type.
        matrix: (3, 3) intrinsics in pixels of the maps; None where not known.
        disparity_range: (min, max) of the disparity that depth was made from; None where not known.
        path: for messages.
    """

    kind: Kind
    frames: int | None
    width: int
    height: int
    maps: Callable[[], Iterator[np.ndarray]]
    matrix: np.ndarray | None
    path: str
    disparity_range: tuple[float, float] | None = None


def open_depth(path: str | Path, kind: Kind | None = None) -> AbstractContextManager[DepthSource]:
    """Open a depth file.

    Args:
        path: .npz with ``depth`` or ``disparity`` (T, H, W), a folder of pictures, or a video.
        kind: what the numbers are; None = told by the name of the array in an .npz.

    Raises:
        EX4DError: nothing there, not depth, or of unknown kind.
    """
    path = Path(path)
    if kind is not None and kind not in KINDS:
        raise EX4DError(f"Unknown depth kind '{kind}': use depth or disparity.")
    if not path.exists():
        raise EX4DError(f"There is no depth file '{path}'. Check the path.")
    if says_its_kind(path):
        return _open_npz(path, kind)
    if kind is None:
        raise EX4DError(
            f"'{path}' does not say whether its values are depth or disparity. Give the kind: disparity (brighter = nearer) "
            "or depth (brighter = farther)."
        )
    return _open_folder(path, kind) if path.is_dir() else _open_video(path, kind)


def says_its_kind(path: Path) -> bool:
    """Whether a depth file names what it holds: an .npz does, by its arrays; pictures and videos do not."""
    return path.suffix.lower() == ".npz"


def check_depth_file(path: str | Path, kind: Kind | None, info: VideoInfo, count: int | None) -> None:
    """Refuse a depth file that cannot belong to the video, from its header alone.

    Args:
        path: see `open_depth`.
        kind: see `open_depth`.
        info: the video.
        count: number of frames that will be loaded; None for all.

    Raises:
        EX4DError: unreadable depth, or another frame count or picture shape than the video's.
    """
    with open_depth(path, kind) as source:
        _check_shape(source, info)
        if source.frames is not None and info.frames is not None and info.counted:
            allowed = {info.frames, info.frames if count is None else count}
            if source.frames not in allowed:
                raise EX4DError(_wrong_count(source, info.frames, count))


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
    if clip.info is None or clip.placement is None:
        raise EX4DError("Depth files are fitted to clips that were read by load_video.")
    with open_depth(path, kind) as source:
        _check_shape(source, clip.info)
        values = _read_maps(source, clip, progress, cancel)
        if source.kind == "disparity":
            unfitted = DepthClip.from_disparity(values)
        else:
            unfitted = DepthClip(values, disparity_range=source.disparity_range)
        depth, lens = _fitted(unfitted.depth, clip.placement), _fitted_intrinsics(source, clip.placement)
        return replace(unfitted, depth=depth, intrinsics=lens)


def _read_maps(
    source: DepthSource,
    clip: VideoClip,
    progress: Callable[[int, int], None] | None,
    cancel: Callable[[], bool] | None,
) -> torch.Tensor:
    """The maps that belong to the clip's frames, float32 (T, h, w) at the file's own size."""
    # One map per frame of the source, of which the loaded ones are picked, or one per loaded frame.
    assert clip.info is not None
    of_source = clip.info.counted and source.frames == clip.info.frames
    of_clip = not of_source and source.frames == len(clip)
    wanted = tuple(range(len(clip))) if of_clip else clip.source_frames
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
    raise EX4DError(_wrong_count(source, clip.info.frames, len(clip), number + 1))


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
    if abs(source.width / source.height / (width / height) - 1) > ASPECT_TOLERANCE:
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


def _fitted_intrinsics(source: DepthSource, placement: PicturePlacement) -> Intrinsics | None:
    if source.matrix is None:
        return None
    lens = Intrinsics.from_matrix(source.matrix, source.width, source.height)
    lens = lens.resized(placement.scaled_width, placement.scaled_height)
    return Intrinsics(
        lens.fx, lens.fy, lens.cx + placement.left, lens.cy + placement.top, placement.width, placement.height
    )


@contextmanager
def _open_npz(path: Path, kind: Kind | None) -> Iterator[DepthSource]:
    with NpzFrames(path, KINDS if kind is None else (kind, *KINDS)) as arrays:
        if len(arrays.shape) != 3 or 0 in arrays.shape:
            raise EX4DError(
                f"'{arrays.key}' in '{path}' has shape {arrays.shape}; expected (frames, height, width), not empty."
            )
        frames, height, width = arrays.shape
        matrix, span = _npz_matrix(path, arrays.names), _npz_disparity_range(path, arrays.names)
        named: Kind = "disparity" if arrays.key == "disparity" else "depth"
        yield DepthSource(kind or named, frames, width, height, arrays.frames, matrix, str(path), span)


def _npz_matrix(path: Path, names: tuple[str, ...]) -> np.ndarray | None:
    """The lens, where the archive has one; a lens that cannot be read is an error, since another would be used."""
    key = next((key for key in ("intrinsics", "K") if key in names), None)
    if key is None:
        return None
    with NpzFrames(path, (key,), any_order=True) as lens:
        if lens.shape != (3, 3):
            raise EX4DError(f"The intrinsics in '{path}' have shape {lens.shape}; expected (3, 3), in pixels.")
        return lens.whole().astype(np.float64)


def _npz_disparity_range(path: Path, names: tuple[str, ...]) -> tuple[float, float] | None:
    """What a ``recon`` notes of the disparity that it made the depth from; it places the back plate."""
    if "disparity_range" not in names:
        return None
    with NpzFrames(path, ("disparity_range",)) as span:
        if span.shape != (2,):
            raise EX4DError(f"The disparity_range in '{path}' has shape {span.shape}; expected (2,).")
        low, high = span.whole().astype(np.float64)
        return float(low), float(high)


@contextmanager
def _open_folder(path: Path, kind: Kind) -> Iterator[DepthSource]:
    pictures = list_images(path, PICTURE_SUFFIXES)
    first = _read_picture(pictures[0])

    def maps() -> Iterator[np.ndarray]:
        for picture in pictures:
            values = _read_picture(picture)
            if values.shape != first.shape:
                raise EX4DError(
                    f"'{picture}' has {values.shape[1]}x{values.shape[0]} pixels, the first map {first.shape[1]}x"
                    f"{first.shape[0]}. All maps of a clip must have one size."
                )
            yield values

    yield DepthSource(kind, len(pictures), first.shape[1], first.shape[0], maps, None, str(path))


def _read_picture(path: Path) -> np.ndarray:
    if path.suffix.lower() == ".exr":
        from .exr import read_exr

        return read_exr(path)
    return _luma(read_picture(path), str(path))


@contextmanager
def _open_video(path: Path, kind: Kind) -> Iterator[DepthSource]:
    from fractions import Fraction

    with open_video_file(path) as (info, timed_frames):

        def maps() -> Iterator[np.ndarray]:
            for frame in timed_frames(Fraction(0)):
                yield _luma(frame.picture, str(path))

        yield DepthSource(kind, info.frames, info.width, info.height, maps, None, str(path))


def _luma(frame: Any, path: str) -> np.ndarray:
    """The first plane's numbers; 8 bits are refused, since their 256 steps become visible terraces."""
    import sys

    component = frame.format.components[0]
    if component.bits < 10:
        raise EX4DError(
            f"'{path}' has only {component.bits} bits per pixel, too coarse for depth. Save it with 16 bits."
        )
    plane = frame.planes[0]
    name = frame.format.name
    dtype = np.dtype(np.float32 if "f32" in name else np.uint16)
    big = name.endswith("be") and sys.byteorder == "little"
    row = np.frombuffer(plane, dtype.newbyteorder(">") if big else dtype)
    row = row.reshape(plane.height, plane.line_size // dtype.itemsize)
    channels = 1 if len(frame.planes) > 1 else len(frame.format.components)
    return row[:, : frame.width * channels : channels].astype(np.float32)
