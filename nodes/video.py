"""Video in: a clip of the length, rate and size that EX-4D works on; and a demo clip that needs no file."""

from __future__ import annotations

import io as streams
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import folder_paths
import torch
from comfy_api.latest import InputImpl, Types, io

from ..ex4d_core.demo_scene import CAMERA_MOVES, CameraMove
from ..ex4d_core.errors import EX4DError
from ..ex4d_core.preview.film import FilmFrames, small_frames
from ..ex4d_core.video.fit import FITS
from . import files, previews, types
from .progress import Job, run_on_thread
from .schema import NOT_CONNECTED, choice_problem, range_problem, schema
from .settings import preview_pixels

if TYPE_CHECKING:
    from comfy_api.latest import Input

    from ..ex4d_core.video import VideoClip
    from ..ex4d_core.video.fit import Fit
    from ..ex4d_core.video.source import FileSource, VideoSource

VIDEO_SUFFIXES = (
    *(".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".gif", ".mpg", ".mpeg", ".ts"),
    *(".m2ts", ".mts", ".flv", ".wmv", ".3gp", ".mxf", ".ogv", ".apng"),
)
PICTURE_OR_FILM = ".webp"
"""Of files that end so, only animations are films."""


class EX4DLoadVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="EX4DLoadVideo",
            display_name="Load Video (EX-4D)",
            description="Loads a clip at the length, frame rate and size that EX-4D needs: 49 frames of 512x512 unless "
            "you say otherwise. Only the frames you ask for are held in memory.",
            search_aliases=["load video", "import clip", "upload video", "frames", "trim video"],
            has_intermediate_output=True,
            inputs=[
                io.Combo.Input(
                    "file",
                    options=film_files() or [""],
                    upload=io.UploadType.video,
                    tooltip="The clip to re-shoot, from ComfyUI's input folder. Drop a file on the node to upload it. "
                    "Not used while a video is connected.",
                ),
                io.Int.Input(
                    "start", default=0, min=0, max=1_000_000, tooltip="First frame, counted at the frame rate below."
                ),
                io.Int.Input(
                    "frames",
                    default=49,
                    min=0,
                    max=10_000,
                    tooltip="How many frames. Wan works on 4n+1 frames (49, 81, ...). 0 takes everything that follows.",
                ),
                io.Float.Input(
                    "fps",
                    default=0.0,
                    min=0.0,
                    max=240.0,
                    step=0.01,
                    tooltip="Frame rate of the result: frames are picked by their time, never blended. "
                    "0 keeps the clip's own rate; EX-4D renders at 15.",
                ),
                io.Int.Input(
                    "width",
                    default=512,
                    min=0,
                    max=4096,
                    step=16,
                    tooltip="Width in pixels, a multiple of 16 for Wan. 0 keeps the clip's size.",
                ),
                io.Int.Input(
                    "height",
                    default=512,
                    min=0,
                    max=4096,
                    step=16,
                    tooltip="Height in pixels, a multiple of 16 for Wan. 0 keeps the clip's size.",
                ),
                io.Combo.Input(
                    "fit",
                    options=list(FITS),
                    default="crop",
                    tooltip="Where the shape differs: crop cuts the sides off, pad adds black bars, stretch distorts.",
                ),
                io.Video.Input("video", optional=True, tooltip="A video from another node, used in place of the file."),
            ],
            outputs=[
                io.Image.Output(display_name="images", tooltip="The frames."),
                io.Float.Output(display_name="fps", tooltip="Frames per second of the result."),
                io.Video.Output(display_name="trimmed", tooltip="The same frames as a video, with the clip's sound."),
            ],
        )

    @classmethod
    def validate_inputs(
        cls,
        file: str | None = None,
        width: int | None = None,
        height: int | None = None,
        video: object = NOT_CONNECTED,
        fit: str | None = None,
    ) -> str | bool:
        if problem := range_problem(cls, width=width, height=height) or choice_problem(cls, fit=fit):
            return problem
        if (width == 0) != (height == 0) and None not in (width, height):
            return "Give both width and height, or 0 for both to keep the clip's size."
        # An empty file name is refused only when the node runs: before the first upload every new node has one.
        return files.problem(file, "video") if file and video is NOT_CONNECTED else True

    @classmethod
    def fingerprint_inputs(cls, file: str | None = None, **_others: object) -> str:
        # The host passes every input here, and a call that fails counts as "always changed".
        return files.fingerprint(file)

    @classmethod
    async def execute(
        cls,
        start: int,
        frames: int,
        fps: float,
        width: int,
        height: int,
        fit: Fit,
        file: str = "",
        video: Input.Video | None = None,
    ) -> io.NodeOutput:
        if (width == 0) != (height == 0):
            raise EX4DError("Give both width and height, or 0 for both to keep the clip's size.")
        # Decoding leaves cores free, so a second clip or the loading of models may run at the same time.
        size = (width, height) if width else None
        return await run_on_thread(lambda job: cls.load(job, start, frames, fps, size, fit, file, video))

    @classmethod
    def load(
        cls,
        job: Job,
        start: int,
        frames: int,
        fps: float,
        size: tuple[int, int] | None,
        fit: Fit,
        file: str,
        video: Input.Video | None,
    ) -> io.NodeOutput:
        from ..ex4d_core.video import PicturesInMemory, load_video

        if video is None:
            source, sound = str(files.resolve(file, "video")), None
        else:
            source, sound = video_source(with_host_edits(video))
        clip = load_video(
            source,
            start=start,
            count=frames or None,
            fps=fps or None,
            size=size,
            fit=fit,
            with_images=True,
            progress=job.progress,
            cancel=job.cancel,
        )

        def film() -> FilmFrames:
            return small_frames(clip.frames, pixels=preview_pixels())

        with previews.background_video(film, clip.fps, total=len(clip)) as preview:
            images = clip.images()
            rate = Fraction(clip.fps).limit_denominator(1001)
            if clip.has_audio and not isinstance(source, PicturesInMemory):
                sound = file_sound(source, clip, job.cancel)
            else:
                sound = cut_sound(sound, clip)
            trimmed = InputImpl.VideoFromComponents(ClipComponents(clip, sound, rate))
            ui = previews.ui_video(preview.result(), clip_text(images, clip.fps, sound is not None))
            return io.NodeOutput(images, clip.fps, trimmed, ui=ui)


class ClipComponents(Types.VideoComponents):
    """A clip as the host's VIDEO. Its pictures are made when they are asked for, and own: were they those of the node's other
    output, a node that writes into one of them would change both; and as bytes they take a fourth of the memory."""

    def __init__(self, clip: VideoClip, sound: dict | None, rate: Fraction) -> None:
        self.clip, self.audio, self.frame_rate = clip, sound, rate

    @property
    def images(self) -> torch.Tensor:
        """The frames, float32 0..1, (T, H, W, 3)."""
        return self.clip.images()


def film_files() -> list[str]:
    """Films in ComfyUI's input folder, animations among them."""
    from ..ex4d_core.video.animation import is_animated_webp

    base = Path(folder_paths.get_input_directory())
    return [
        name
        for name in files.listing((*VIDEO_SUFFIXES, PICTURE_OR_FILM))
        if not name.lower().endswith(PICTURE_OR_FILM) or is_animated_webp(base / name)
    ]


def clip_text(images: torch.Tensor, fps: float, sound: bool) -> str:
    """The numbers that matter about a clip, with a hint where Wan would not take it."""
    count, height, width = images.shape[:3]
    text = f"{count} frames, {width}x{height}, {fps:g} fps, {count / fps:.2f} s" + (", sound" if sound else "")
    hints = []
    if count % 4 != 1:
        hints.append(f"{max(1, count // 4 * 4 + 1 if count % 4 else count - 3)} frames (4n+1)")
    if width % 16 or height % 16:
        hints.append("sides that are multiples of 16")
    return text + (f"\nWan needs {' and '.join(hints)}." if hints else "")


def with_host_edits(video: Input.Video) -> Input.Video:
    """A VIDEO whose file is what it shows: one that newer hosts trim or crop on reading is read by the host."""
    if not isinstance(video, InputImpl.VideoFromFile):
        return video
    window = getattr(video, "get_active_trim_window", None)
    if not (window is not None and any(window())) and not is_cropped(video):
        return video
    return InputImpl.VideoFromComponents(video.get_components())


def is_cropped(video: Input.Video) -> bool:
    """Whether a VIDEO states another size than its file has, a turn by 90 degrees aside."""
    from av.error import FFmpegError

    from ..ex4d_core.video.video_file import open_container

    try:
        with open_container(stream_source(video)) as container:
            stream = container.streams.video[0]
            return sorted(video.get_dimensions()) != sorted((stream.width, stream.height))
    except (EX4DError, FFmpegError, IndexError, ValueError):
        return False  # load_video says what is wrong with the file


def video_source(video: Input.Video) -> tuple[VideoSource, dict | None]:
    """What load_video reads for a VIDEO socket: the file behind it, or frames in memory; and the sound of the latter."""
    from ..ex4d_core.video import PicturesInMemory

    if isinstance(video, InputImpl.VideoFromFile):
        return stream_source(video), None
    components = video.get_components()
    if components.images.shape[0] == 0:
        raise EX4DError("The connected video has no frames.")
    rate = Fraction(components.frame_rate).limit_denominator(1001)
    return PicturesInMemory(components.images, rate, "connected video"), components.audio


def stream_source(video: Input.Video) -> FileSource:
    """The file behind a VIDEO; of one in memory a view, since the next node may be reading it now."""
    source = video.get_stream_source()
    return streams.BytesIO(source.getvalue()) if isinstance(source, streams.BytesIO) else source


def file_sound(source: FileSource, clip: VideoClip, cancel: Callable[[], bool]) -> dict | None:
    """The part of a file's sound that belongs to the clip, as ComfyUI's AUDIO; None where there is none."""
    from ..ex4d_core.video import clip_sound

    found = clip_sound(source, clip.start_seconds, len(clip) / clip.fps, cancel)
    return found and {"waveform": torch.from_numpy(found[0])[None], "sample_rate": found[1]}


def cut_sound(sound: dict | None, clip: VideoClip) -> dict | None:
    """The part of an AUDIO that belongs to the clip; None where there is none."""
    if not sound:
        return None
    rate = int(sound["sample_rate"])
    first = round(clip.start_seconds * rate)
    waveform = sound["waveform"][..., first : first + round(len(clip) / clip.fps * rate)]
    return {"waveform": waveform, "sample_rate": rate} if waveform.shape[-1] else None


class EX4DDemoClip(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="EX4DDemoClip",
            display_name="Demo Clip (EX-4D)",
            description="A small moving scene of EX-4D's own with exact depth, to try everything without a video, a "
            "model or a download.",
            search_aliases=["example clip", "test video", "sample video", "procedural scene"],
            has_intermediate_output=True,
            inputs=[
                io.Int.Input("frames", default=49, min=1, max=1000, tooltip="How many frames; Wan works on 4n+1."),
                io.Int.Input("width", default=512, min=16, max=2048, step=16, tooltip="Width in pixels."),
                io.Int.Input("height", default=512, min=16, max=2048, step=16, tooltip="Height in pixels."),
                io.Combo.Input(
                    "camera",
                    options=list(CAMERA_MOVES),
                    default=CAMERA_MOVES[0],
                    optional=True,
                    tooltip="How the clip is filmed: from a stand, by hand, gliding forward, or zooming. The depth does not "
                    "tell; try Source Camera on it.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="images", tooltip="The frames."),
                types.Depth.Output(display_name="depth", tooltip="Their exact depth."),
                io.Image.Output(
                    display_name="depth_images",
                    tooltip="The same depth as pictures, bright = near, as depth estimators put it out.",
                ),
                io.Float.Output(display_name="fps", tooltip="15 frames per second."),
            ],
        )

    @classmethod
    def validate_inputs(cls, camera: str | None = None) -> str | bool:
        return choice_problem(cls, camera=camera) or True

    @classmethod
    def execute(cls, frames: int, width: int, height: int, camera: CameraMove = "locked-off") -> io.NodeOutput:
        from ..ex4d_core.demo_scene import DemoScene
        from ..ex4d_core.depth import DepthClip

        if problem := choice_problem(cls, camera=camera):
            raise EX4DError(problem)
        scene = DemoScene(width, height, frames, samples=2, camera=camera)
        with Job() as job:
            rgb, depth = scene.clip(progress=job.progress, cancel=job.cancel)
        inverse = depth.reciprocal()
        pictures = ((inverse - inverse.min()) / (inverse.max() - inverse.min()))[..., None].repeat(1, 1, 1, 3)
        images = rgb.float().div_(255)
        preview = previews.save_video(lambda: small_frames(rgb, pixels=preview_pixels()), 15, total=frames)
        ui = previews.ui_video(preview, clip_text(images, 15.0, False))
        return io.NodeOutput(images, DepthClip(depth, scene.intrinsics), pictures, 15.0, ui=ui)


NODES = [EX4DLoadVideo, EX4DDemoClip]
