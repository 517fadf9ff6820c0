"""Small, fast films of clips for the eye: thinned frames, coloured depth, marked occlusions, written as H.264.

The data itself is never touched by them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
from torch import Tensor

from ..errors import Cancelled
from ..machine.cores import cores
from ..mesh import reduced_size, sample_nearest
from ..pixels import to_uint8
from .pictures import shrink
from .scene_file import PREVIEW_PIXELS

LONGEST_FILM = 25
"""Frames shown at most, so that looking costs little; longer clips are thinned evenly and play at their own speed."""
THREADS = max(1, min(4, cores() - 1))
"""That make a film's frames; the encoder has a core of its own."""

# Near is warm, far is cold: our own stops, dark at both ends so that neighbouring depths stay apart.
DEPTH_STOPS = np.array(
    [
        [0.08, 0.06, 0.22],
        [0.15, 0.22, 0.55],
        [0.13, 0.47, 0.71],
        [0.20, 0.68, 0.62],
        [0.62, 0.80, 0.42],
        [0.97, 0.78, 0.32],
        [0.95, 0.47, 0.22],
        [0.66, 0.13, 0.17],
    ]
)
OCCLUDED = np.array([255, 0, 110])
GAP, GAP_LEVEL = 4, 40
"""Pixels between clips side by side, and their level: a dark grey."""


def depth_palette() -> np.ndarray:
    """(256, 3) uint8, from far to near."""
    at = np.linspace(0, len(DEPTH_STOPS) - 1, 256)
    channels = [np.interp(at, np.arange(len(DEPTH_STOPS)), DEPTH_STOPS[:, channel]) for channel in range(3)]
    return np.round(np.stack(channels, axis=1) * 255).astype(np.uint8)


def film_size(width: int, height: int, pixels: int = PREVIEW_PIXELS) -> tuple[int, int]:
    """(width, height) of a film of a clip: about ``pixels`` at most, and even sides, as H.264 wants."""
    return reduced_size(width, height, pixels, step=2, least=2)


def thinned(count: int, most: int = LONGEST_FILM) -> np.ndarray:
    """Numbers of the frames, ``most`` of them and evenly spread, that a film of ``count`` frames shows."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


class FilmFrames:
    """The frames of a film; made on other threads while the ones before are being encoded.

    Args:
        make: the pictures that lie side by side in the frame of that number, each (h, w, 3) or grey (h, w) uint8 with
            even sides; called on several threads.
        numbers: of the frames that are shown.
    """

    def __init__(self, make: Callable[[int], list[np.ndarray]], numbers: Sequence[int] | np.ndarray) -> None:
        self.make, self.numbers = make, numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[list[np.ndarray]]:
        with ThreadPoolExecutor(THREADS) as pool:
            yield from pool.map(self.make, self.numbers)


def small_frames(images: Tensor, most: int = LONGEST_FILM, pixels: int = PREVIEW_PIXELS) -> FilmFrames:
    """A clip (T, H, W, 3) or (T, H, W), float 0..1 or uint8, as a film of at most ``most`` frames of so many ``pixels``."""
    count, rows, columns = images.shape[:3]
    width, height = film_size(columns, rows, pixels)
    images = images.detach()

    def shown(number: int) -> list[np.ndarray]:
        # Bytes are scaled, which are four times less to read than floats.
        return [shrink(_levels(images[number].cpu()), width, height)]

    return FilmFrames(shown, thinned(count, most))


def _levels(frame: Tensor) -> np.ndarray:
    """What `to_uint8` gives, in half its time on one core: the others are at work."""
    if not frame.is_floating_point():
        return to_uint8(frame).numpy()
    scaled = frame.float().numpy() * np.float32(255)
    scaled += np.float32(0.5)
    with np.errstate(invalid="ignore"):  # what is no number may look like anything in a preview
        return np.clip(scaled, 0, 255, out=scaled).astype(np.uint8)


def colored_depth(depth: Tensor, pixels: int = PREVIEW_PIXELS) -> FilmFrames:
    """Depth (T, H, W) in colours: near warm, far cold, one scale for the clip; 0 (a hole) is black. At most ``pixels``."""
    count, rows, columns = depth.shape
    width, height = film_size(columns, rows, pixels)
    clip = [sample_nearest(depth[t].detach(), width, height).cpu().float().numpy() for t in thinned(count)]
    sample = np.stack([frame[::4, ::4] for frame in clip])
    sample = sample[sample > 0]
    # Inverse depth falls as depth grows, so the nearest hundredth of the depths is the highest of the inverse.
    low, high = 1 / np.percentile(sample, [99, 1]) if sample.size else (0.0, 1.0)
    low, scale = np.float32(low), np.float32(255 / max(high - low, 1e-12))
    palette = depth_palette()

    def shown(index: int) -> list[np.ndarray]:
        seen = clip[index] > 0
        inverse = np.divide(1, clip[index], out=np.zeros_like(clip[index]), where=seen)
        levels = np.clip((inverse - low) * scale + np.float32(0.5), 0, 255).astype(np.uint8)
        colours = palette.take(levels, axis=0)
        return [colours if seen.all() else colours * seen[..., None]]

    return FilmFrames(shown, range(len(clip)))


def colored_points(points: Tensor, valid: Tensor, pixels: int = PREVIEW_PIXELS) -> FilmFrames:
    """Points (T, H, W, 3) as colours: x red, y green, z blue, each axis over its range in the clip; black where there is none."""
    count, rows, columns = valid.shape
    width, height = film_size(columns, rows, pixels)
    across, down = (((np.arange(n) + 0.5) * size / n).astype(int) for n, size in ((width, columns), (height, rows)))
    numbers = thinned(count)
    shown = [points[t][down][:, across].cpu().numpy() for t in numbers]
    known = [valid[t][down][:, across].cpu().numpy() for t in numbers]
    sample = np.concatenate([frame[seen] for frame, seen in zip(shown, known, strict=True)])
    low, high = np.percentile(sample, [10, 90], axis=0)  # a far sky would leave one colour for everything else

    def picture(index: int) -> list[np.ndarray]:
        share = np.clip((shown[index] - low) / np.maximum(high - low, 1e-12), 0, 1) * known[index][..., None]
        return [np.round(share * 255).astype(np.uint8)]

    return FilmFrames(picture, range(len(shown)))


def standing(picture: np.ndarray, count: int) -> FilmFrames:
    """One picture (h, w, 3) uint8 of even sides throughout, to lie beside clips."""
    return FilmFrames(lambda _: [picture], range(count))


def side_by_side(*clips: FilmFrames) -> FilmFrames:
    """Clips of one length and size next to each other."""
    return FilmFrames(
        lambda index: [picture for clip in clips for picture in clip.make(clip.numbers[index])], range(len(clips[0]))
    )


def occlusion_overlay(rgb: Tensor, face_valid: Tensor) -> np.ndarray:
    """One source frame with its occluded surfaces painted over: (h, w, 3) uint8.

    Args:
        rgb: (H, W, 3) uint8.
        face_valid: (H-1, W-1, 2) bool, as DWMesh.quad_face_valid gives it.
    """
    width, height = film_size(rgb.shape[1], rgb.shape[0], 4 * PREVIEW_PIXELS)
    frame = shrink(rgb.cpu().numpy(), width, height).copy()
    share = shrink((~face_valid.all(-1)).cpu().numpy().astype(np.float32), width, height) * np.float32(0.85)
    painted = share > 0
    share = share[painted][:, None]
    frame[painted] = np.round(frame[painted] * (1 - share) + OCCLUDED * share).astype(np.uint8)
    return frame


def encode_film(path: str | Path, frames: FilmFrames, fps: float, *, cancel: Callable[[], bool] | None = None) -> None:
    """Write frames as an H.264 file in an MP4 container.

    Args:
        path: the file, under any name.
        frames: at least one.
        fps: frames a second.
        cancel: polled before each frame; what is written by then is no whole file.

    Raises:
        Cancelled: ``cancel`` returned True.
    """
    import av
    from av.video.reformatter import VideoReformatter

    with av.open(str(path), mode="w", format="mp4", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000))
        stream.pix_fmt = "yuv420p"
        # A fixed quantiser needs no look at a frame before coding it. One thread: the frames are made on the others.
        stream.options = {"preset": "ultrafast", "qp": "22"}
        stream.codec_context.thread_count = 1
        reformatter = VideoReformatter()
        for number, pictures in enumerate(frames):
            if cancel is not None and cancel():
                raise Cancelled
            picture = lay_out(pictures)
            if number == 0:
                stream.height, stream.width = picture.shape[:2]
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            container.mux(stream.encode(reformatter.reformat(frame, format="yuv420p")))
        container.mux(stream.encode(None))


def lay_out(pictures: list[np.ndarray]) -> np.ndarray:
    """Pictures of one height, (h, w, 3) or grey (h, w), side by side with a thin gap: (h, W, 3) uint8."""
    height, width = pictures[0].shape[0], sum(picture.shape[1] + GAP for picture in pictures) - GAP
    row = np.full((height, width, 3), GAP_LEVEL, np.uint8)
    left = 0
    for picture in pictures:
        place = row[:, left : left + picture.shape[1]]
        if picture.ndim == 3:
            place[:] = picture
        else:
            for channel in range(3):  # four times faster than spreading the last axis
                place[..., channel] = picture
        left += picture.shape[1] + GAP
    return row
