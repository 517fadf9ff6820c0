"""What the nodes show: small playing videos, coloured depth, marked occlusions, and a line of numbers.

Previews are small and encoded fast; the data on the sockets is never touched by them.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from fractions import Fraction

import folder_paths
import numpy as np
import torch
from torch import Tensor

from ..ex4d_core.machine import opencv
from ..ex4d_core.machine.cores import cores
from ..ex4d_core.preview.scene_file import PREVIEW_PIXELS, jpeg, reduction, sample_nearest

LONGEST_PREVIEW = 25
"""Frames shown at most, so that looking costs little; longer clips are thinned evenly and play at their own speed."""
THREADS = max(1, min(4, cores() - 1))
"""That make a preview's frames; the encoder has a core of its own."""

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
GAP = 4
"""Pixels between clips side by side."""
PLANE_STEPS = (1, 2, 2)
"""Pixels for one level of luma and chroma in yuv420p, either way."""
NO_COLOUR = 128
GAP_LEVELS = (50, NO_COLOUR, NO_COLOUR)
"""The gap's luma and chroma: a dark grey."""


def depth_palette() -> np.ndarray:
    """(256, 3) uint8, from far to near."""
    at = np.linspace(0, len(DEPTH_STOPS) - 1, 256)
    channels = [np.interp(at, np.arange(len(DEPTH_STOPS)), DEPTH_STOPS[:, channel]) for channel in range(3)]
    return np.round(np.stack(channels, axis=1) * 255).astype(np.uint8)


def shown_frames(count: int, most: int = LONGEST_PREVIEW) -> np.ndarray:
    """Indices of the frames that a preview of ``count`` frames shows."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def preview_size(height: int, width: int, pixels: int = PREVIEW_PIXELS) -> tuple[int, int]:
    """(height, width) of a preview: of about ``pixels`` at most, and even, as H.264 wants."""
    scale = reduction(width, height, pixels)
    return max(2, round(height * scale / 2) * 2), max(2, round(width * scale / 2) * 2)


class Pictures:
    """The frames of a preview; made on other threads while the ones before are being used.

    Args:
        make: the pictures side by side in the frame of that number, each (h, w, 3) or grey (h, w) uint8; called on
            several threads.
        numbers: of the frames that are shown.
    """

    def __init__(self, make: Callable[[int], list[np.ndarray]], numbers: Sequence[int] | np.ndarray) -> None:
        self.make, self.numbers = make, numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[list[np.ndarray]]:
        with ThreadPoolExecutor(THREADS) as pool:
            yield from pool.map(self.make, self.numbers)


def small(frame: np.ndarray, height: int, width: int) -> np.ndarray:
    """One frame (H, W) or (H, W, C) at another size."""
    cv2 = opencv.load()
    # Averaging whole pixels first and interpolating the rest is six times faster than averaging fractions of pixels.
    step = max(1, min(frame.shape[0] // height, frame.shape[1] // width))
    if step > 1:
        rows, columns = frame.shape[0] // step, frame.shape[1] // step
        frame = cv2.resize(frame[: rows * step, : columns * step], (columns, rows), interpolation=cv2.INTER_AREA)
    if frame.shape[:2] == (height, width):
        return frame
    return cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR)


def small_frames(images: Tensor, most: int = LONGEST_PREVIEW) -> Pictures:
    """A clip (T, H, W, 3) or (T, H, W), float 0..1 or uint8, for a preview."""
    cv2 = opencv.load()
    height, width = preview_size(*images.shape[1:3])
    images = images.detach()

    def shown(index: int) -> list[np.ndarray]:
        frame = images[index].cpu()
        # Scaled bytes are four times less to read than scaled floats.
        levels = frame.numpy() if frame.dtype == torch.uint8 else cv2.convertScaleAbs(frame.float().numpy(), alpha=255)
        return [small(levels, height, width)]

    return Pictures(shown, shown_frames(images.shape[0], most))


def colored_depth(depth: Tensor) -> Pictures:
    """Depth (T, H, W) in colours: near warm, far cold, one scale for the clip; 0 (a hole) is black."""
    cv2 = opencv.load()
    height, width = preview_size(*depth.shape[1:3])
    numbers = shown_frames(len(depth))
    clip = [sample_nearest(depth[i].detach().cpu().float().numpy(), width, height) for i in numbers]
    sample = np.stack([frame[::4, ::4] for frame in clip])
    sample = sample[sample > 0]
    # Inverse depth falls as depth grows, so the nearest hundredth of the depths is the highest of the inverse.
    low, high = 1 / np.percentile(sample, [99, 1]) if sample.size else (0.0, 1.0)
    scale = 255 / max(high - low, 1e-12)
    palette = depth_palette().reshape(256, 1, 3)

    def shown(index: int) -> list[np.ndarray]:
        seen = clip[index] > 0
        inverse = np.divide(1, clip[index], out=np.zeros_like(clip[index]), where=seen)
        # convertScaleAbs folds negative values up, so what lies beyond the farthest hundredth is brought to it.
        levels = cv2.convertScaleAbs(np.maximum(inverse, np.float32(low)), alpha=scale, beta=-low * scale)
        colours = cv2.applyColorMap(levels, palette)
        return [colours if seen.all() else colours * seen[..., None]]

    return Pictures(shown, range(len(clip)))


def occlusion_overlay(rgb: Tensor, face_valid: Tensor) -> np.ndarray:
    """One source frame with its occluded surfaces painted over: (h, w, 3) uint8.

    Args:
        rgb: (H, W, 3) uint8.
        face_valid: (H-1, W-1, 2) bool, as DWMesh.quad_face_valid gives it.
    """
    height, width = preview_size(*rgb.shape[:2], 4 * PREVIEW_PIXELS)
    frame = small(rgb.cpu().numpy(), height, width).copy()
    share = small((~face_valid.all(-1)).cpu().numpy().astype(np.float32), height, width) * np.float32(0.85)
    painted = share > 0
    share = share[painted][:, None]
    frame[painted] = np.round(frame[painted] * (1 - share) + OCCLUDED * share).astype(np.uint8)
    return frame


def side_by_side(*clips: Pictures) -> Pictures:
    """Clips of one length and size next to each other."""
    return Pictures(
        lambda index: [picture for clip in clips for picture in clip.make(clip.numbers[index])], range(len(clips[0]))
    )


def film(frames: Pictures, fps: float, *, total: int | None = None) -> Future[dict]:
    """Start encoding a playing preview beside what the node has left to do; `playing` shows it.

    Args:
        fps: frames a second of the clip itself.
        total: frames of the clip, where ``frames`` is a thinned choice of them.
    """
    fps = max(1.0, fps * len(frames) / (total or len(frames)))
    studio = ThreadPoolExecutor(1)
    try:
        return studio.submit(temp_video, frames, fps)
    finally:
        studio.shutdown(wait=False)


def playing(video: Future[dict], *lines: str) -> dict:
    """The ui of a node that shows a film and lines of text."""
    return {"images": [video.result()], "animated": (True,), "text": ("\n".join(lines),)}


def play(frames: Pictures, fps: float, *lines: str, total: int | None = None) -> dict:
    """The ui of a node that shows a playing video and lines of text; `film` and `playing` in one."""
    return playing(film(frames, fps, total=total), *lines)


def still(picture: np.ndarray, *lines: str) -> dict:
    """The ui of a node that shows a picture (h, w, 3) uint8 and lines of text."""
    return {"images": [temp_picture(picture)], "text": ("\n".join(lines),)}


def temp_video(frames: Pictures, fps: float) -> dict:
    """Encode an H.264 file into ComfyUI's temp folder; returns how the frontend finds it."""
    reference, path = temp_file("mp4")
    try:
        encode(path, frames, fps)
    except BaseException:
        with contextlib.suppress(OSError):
            os.remove(path)
        raise
    return reference


def temp_file(suffix: str) -> tuple[dict, str]:
    """A new file of ComfyUI's temp folder: how the frontend finds it, and its path."""
    folder = folder_paths.get_temp_directory()
    os.makedirs(folder, exist_ok=True)
    # A new name each time: Windows cannot replace a file that a browser is reading.
    name = f"ex4d_{uuid.uuid4().hex[:12]}.{suffix}"
    return {"filename": name, "subfolder": "", "type": "temp"}, os.path.join(folder, name)


def encode(path: str, frames: Pictures, fps: float) -> None:
    """Write frames as an H.264 file."""
    import av

    with av.open(path, mode="w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000))
        stream.pix_fmt = "yuv420p"
        # A fixed quantiser needs no look at a frame before coding it. One thread: the frames are made on the others.
        stream.options = {"preset": "ultrafast", "qp": "22"}
        stream.codec_context.thread_count = 1
        for number, pictures in enumerate(frames):
            if number == 0:
                stream.height = pictures[0].shape[0]
                stream.width = sum(picture.shape[1] + GAP for picture in pictures) - GAP
            frame = av.VideoFrame(stream.width, stream.height, "yuv420p")
            lay_out(frame, pictures)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def lay_out(frame, pictures: list[np.ndarray]) -> None:
    """Put pictures, of even size, side by side into a yuv420p frame with a thin gap."""
    planes = [np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size) for plane in frame.planes]
    left = 0
    for picture in pictures:
        right = left + picture.shape[1]
        for plane, step, levels, gap in zip(planes, PLANE_STEPS, yuv420(picture), GAP_LEVELS, strict=True):
            plane[:, left // step : right // step] = levels
            if left:
                plane[:, (left - GAP) // step : left // step] = gap
        left = right + GAP


def yuv420(picture: np.ndarray) -> list[np.ndarray | int]:
    """Luma and both chromas (BT.601, limited range) of a picture (h, w, 3) or grey (h, w) uint8, of even size."""
    cv2 = opencv.load()
    if picture.ndim == 2:
        return [cv2.convertScaleAbs(picture, alpha=219 / 255, beta=16), NO_COLOUR, NO_COLOUR]
    height, width = picture.shape[:2]
    # OpenCV puts the chromas behind the luma, without any padding.
    coded = cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420).reshape(-1)
    luma, *chromas = np.split(coded, [height * width, height * width * 5 // 4])
    return [luma.reshape(height, width), *(chroma.reshape(height // 2, width // 2) for chroma in chromas)]


def temp_picture(picture: np.ndarray) -> dict:
    """Write one (h, w, 3) uint8 picture as JPEG into ComfyUI's temp folder; returns how the frontend finds it."""
    data = jpeg(picture, quality=95)
    reference, path = temp_file("jpg")
    with open(path, "wb") as file:
        file.write(data)
    return reference
