"""What the nodes show: small playing videos, coloured depth, marked occlusions, and a line of numbers.

Previews are small and encoded fast; the data on the sockets is never touched by them.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import folder_paths
import numpy as np
import torch
from torch import Tensor

LONGEST_SIDE = 320
LONGEST_PREVIEW = 25
"""Frames shown at most, so that looking costs little; longer clips are thinned evenly and play at their own speed."""
THREADS = min(4, os.cpu_count() or 1)

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


def depth_palette() -> np.ndarray:
    """(256, 3) uint8, from far to near."""
    at = np.linspace(0, len(DEPTH_STOPS) - 1, 256)
    channels = [np.interp(at, np.arange(len(DEPTH_STOPS)), DEPTH_STOPS[:, channel]) for channel in range(3)]
    return np.round(np.stack(channels, axis=1) * 255).astype(np.uint8)


def shown_frames(count: int, most: int = LONGEST_PREVIEW) -> np.ndarray:
    """Indices of the frames that a preview of ``count`` frames shows."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def preview_size(height: int, width: int, longest: int = LONGEST_SIDE) -> tuple[int, int]:
    """(height, width) of a preview: not above ``longest``, even, as H.264 wants."""
    scale = min(1.0, longest / max(height, width))
    return max(2, round(height * scale / 2) * 2), max(2, round(width * scale / 2) * 2)


def small(frame: np.ndarray, height: int, width: int, *, nearest: bool = False) -> np.ndarray:
    """One frame (H, W) or (H, W, C) at another size."""
    import cv2

    mode = cv2.INTER_NEAREST if nearest else cv2.INTER_AREA
    return cv2.resize(frame, (width, height), interpolation=mode)


def small_frames(images: Tensor, longest: int = LONGEST_SIDE, most: int = LONGEST_PREVIEW) -> np.ndarray:
    """A clip (T, H, W, 3) or (T, H, W), float 0..1 or uint8, as (t, h, w, 3) uint8 for a preview."""
    height, width = preview_size(*images.shape[1:3], longest)
    images = images.detach()

    def shown(index: int) -> np.ndarray:
        frame = images[index].cpu()
        if frame.dtype == torch.uint8:
            return small(frame.numpy(), height, width)
        scaled = small(frame.float().numpy(), height, width)
        scaled *= 255
        scaled += 0.5
        return np.clip(scaled, 0, 255, out=scaled).astype(np.uint8)

    with ThreadPoolExecutor(THREADS) as pool:
        clip = np.stack(list(pool.map(shown, shown_frames(images.shape[0], most))))
    return clip if clip.ndim == 4 else np.repeat(clip[..., None], 3, axis=-1)


def colored_depth(depth: Tensor, longest: int = LONGEST_SIDE) -> np.ndarray:
    """Depth (T, H, W) as (t, h, w, 3) uint8: near warm, far cold, one scale for the clip; 0 (a hole) is black."""
    height, width = preview_size(*depth.shape[1:3], longest)
    frames = [
        small(depth[i].detach().cpu().float().numpy(), height, width, nearest=True) for i in shown_frames(len(depth))
    ]
    clip = np.stack(frames)
    seen = clip > 0
    inverse = np.divide(1, clip, out=np.zeros_like(clip), where=seen)
    sample, shown = inverse[:, ::4, ::4], seen[:, ::4, ::4]
    low, high = np.percentile(sample[shown], [1, 99]) if shown.any() else (0.0, 1.0)
    level = np.clip((inverse - np.float32(low)) * np.float32(255 / max(high - low, 1e-12)), 0, 255).astype(np.uint8)
    colours = depth_palette()[level]
    colours[~seen] = 0
    return colours


def occlusion_overlay(rgb: Tensor, face_valid: Tensor, longest: int = 2 * LONGEST_SIDE) -> np.ndarray:
    """One source frame with its occluded surfaces painted over: (h, w, 3) uint8.

    Args:
        rgb: (H, W, 3) uint8.
        face_valid: (H-1, W-1, 2) bool, as DWMesh.quad_face_valid gives it.
    """
    height, width = preview_size(*rgb.shape[:2], longest)
    frame = small(rgb.cpu().numpy(), height, width).copy()
    share = small((~face_valid.all(-1)).cpu().numpy().astype(np.float32), height, width) * np.float32(0.85)
    painted = share > 0
    share = share[painted][:, None]
    frame[painted] = np.round(frame[painted] * (1 - share) + OCCLUDED * share).astype(np.uint8)
    return frame


def side_by_side(*clips: np.ndarray) -> np.ndarray:
    """Clips of one size next to each other, with a thin gap."""
    gap = np.full((*clips[0].shape[:2], 4, 3), 40, np.uint8)
    parts = [clips[0]]
    for clip in clips[1:]:
        parts += [gap, clip]
    return np.concatenate(parts, axis=2)


def play(frames: np.ndarray, fps: float, *lines: str, total: int | None = None) -> dict:
    """The ui of a node that shows a playing video (t, h, w, 3) uint8 and lines of text.

    Args:
        fps: frames a second of the clip itself.
        total: frames of the clip, where ``frames`` is a thinned choice of them.
    """
    fps = max(1.0, fps * len(frames) / (total or len(frames)))
    show_text("\n".join(lines))
    return {"images": [temp_video(frames, fps)], "animated": (True,), "text": ("\n".join(lines),)}


def still(picture: np.ndarray, *lines: str) -> dict:
    """The ui of a node that shows a picture (h, w, 3) uint8 and lines of text."""
    show_text("\n".join(lines))
    return {"images": [temp_picture(picture)], "text": ("\n".join(lines),)}


def temp_video(frames: np.ndarray, fps: float) -> dict:
    """Encode an H.264 file into ComfyUI's temp folder; returns how the frontend finds it."""
    folder = folder_paths.get_temp_directory()
    os.makedirs(folder, exist_ok=True)
    # A new name each time: Windows cannot replace a file that a browser is reading.
    name = f"ex4d_{uuid.uuid4().hex[:12]}.mp4"
    path = os.path.join(folder, name)
    try:
        encode(path, frames, fps)
    except BaseException:
        with contextlib.suppress(OSError):
            os.remove(path)
        raise
    return {"filename": name, "subfolder": "", "type": "temp"}


def encode(path: str, frames: np.ndarray, fps: float) -> None:
    """Write frames (t, h, w, 3) uint8 as an H.264 file."""
    import av

    with av.open(path, mode="w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.options = {"preset": "ultrafast", "crf": "20"}
        # Colours are converted ahead of the encoder, on another core.
        with ThreadPoolExecutor(1) as pool:
            for picture in pool.map(encodable, frames):
                container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def encodable(frame: np.ndarray):
    """One (h, w, 3) uint8 frame as the H.264 encoder takes it."""
    import av

    return av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24").reformat(format="yuv420p")


def temp_picture(picture: np.ndarray) -> dict:
    """Write one (h, w, 3) uint8 picture as PNG into ComfyUI's temp folder; returns how the frontend finds it."""
    from PIL import Image

    folder = folder_paths.get_temp_directory()
    os.makedirs(folder, exist_ok=True)
    name = f"ex4d_{uuid.uuid4().hex[:12]}.png"
    Image.fromarray(picture).save(os.path.join(folder, name), compress_level=1)
    return {"filename": name, "subfolder": "", "type": "temp"}


def show_text(text: str) -> None:
    """Put text under the node that is running, the way the host's own nodes do."""
    from comfy_execution.utils import get_executing_context
    from server import PromptServer

    context = get_executing_context()
    server = getattr(PromptServer, "instance", None)
    if context is not None and server is not None and hasattr(server, "send_progress_text"):
        server.send_progress_text(text, context.node_id)
