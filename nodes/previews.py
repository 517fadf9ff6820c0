"""What the nodes show: playing films, pictures, the editor's scene, and lines of numbers.

Pictures and films are made by ex4d_core/preview; here they become files in ComfyUI's temp folder, and the dictionaries
by which the frontend finds them.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

import folder_paths
import numpy as np
from comfy.model_management import InterruptProcessingException

from ..ex4d_core.errors import Cancelled, EX4DError
from ..ex4d_core.preview.film import FilmFrames, encode_film
from ..ex4d_core.preview.memory_file import save_memory
from ..ex4d_core.preview.pictures import jpeg
from ..ex4d_core.preview.scene_file import save_preview
from ..ex4d_core.storage.staging import staged_file, write_errors

if TYPE_CHECKING:
    from ..ex4d_core.mesh import DWMesh
    from ..ex4d_core.scene_memory import Strictness

log = logging.getLogger(__name__)

EDITOR_FOLDER = "ex4d_preview"
"""Folder of the editor's scene files, below ComfyUI's temp folder."""


class ViewFile(TypedDict):
    """A file as the frontend asks for it from ``/view``."""

    filename: str
    subfolder: str
    type: str


@dataclass(frozen=True)
class NoPreview:
    """In place of a preview that could not be made; ``reason`` says why."""

    reason: str

    @property
    def line(self) -> str:
        """For the node, which goes on without."""
        return f"no preview: {self.reason}"


Shown: TypeAlias = ViewFile | NoPreview
"""What a node has to show: a preview that fails never fails its node, and leaves no file."""


def attempt(make: Callable[[], ViewFile]) -> Shown:
    """A preview's file; where it cannot be made, for whatever reason, that is said on the console. Cancelling passes."""
    try:
        return make()
    except (Cancelled, InterruptProcessingException):
        raise
    except Exception as error:  # the node's result is worth more than any preview of it
        reason = str(error) or type(error).__name__
        log.warning("EX-4D: a preview could not be made: %s", reason, exc_info=not isinstance(error, EX4DError))
        return NoPreview(reason)


def ui_video(video: Shown, *lines: str) -> dict[str, Any]:
    """The ui of a node that shows a playing video and lines of text."""
    return ui_image(video, *lines) | ({} if isinstance(video, NoPreview) else {"animated": (True,)})


def ui_image(picture: Shown, *lines: str) -> dict[str, Any]:
    """The ui of a node that shows a picture and lines of text."""
    if isinstance(picture, NoPreview):
        return ui_text(*lines, picture.line)
    return {"images": [picture], **ui_text(*lines)}


def ui_text(*lines: str) -> dict[str, Any]:
    """The ui of a node that shows lines of text."""
    return {"text": ("\n".join(lines),)}


def save_video(
    frames: Callable[[], FilmFrames],
    fps: float,
    *,
    total: int | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Shown:
    """Encode a film into ComfyUI's temp folder.

    Args:
        frames: makes what is shown.
        fps: frames a second of the clip itself.
        total: frames of the clip, where ``frames`` is a thinned choice of them; the film then lasts as long as the clip.
        cancel: polled before each frame.
    """

    def write() -> ViewFile:
        shown, file = frames(), _new_file("mp4")
        with staged_file(_path(file)) as part:
            encode_film(part, shown, max(1.0, fps * len(shown) / (total or len(shown))), cancel=cancel)
        return file

    return attempt(write)


@contextmanager
def background_video(
    frames: Callable[[], FilmFrames], fps: float, *, total: int | None = None
) -> Iterator[Future[Shown]]:
    """Encode a film on a thread of its own while the node goes on; the block ends with asking for its ``result()``.

    Leaving the block by an error ends the encoding and removes the file. Arguments as in `save_video`.
    """
    given_up = threading.Event()
    with ThreadPoolExecutor(1) as encoder:
        video = encoder.submit(save_video, frames, fps, total=total, cancel=given_up.is_set)
        try:
            yield video
        except BaseException:
            given_up.set()
            with suppress(Exception):  # the node's own error is the one to tell
                file = video.result()
                if not isinstance(file, NoPreview):
                    _path(file).unlink(missing_ok=True)
            raise


def save_picture(picture: Callable[[], np.ndarray]) -> Shown:
    """Write one picture, as ``picture`` makes it, (h, w, 3) uint8, as JPEG into ComfyUI's temp folder."""

    def write() -> ViewFile:
        data, file = jpeg(picture(), quality=95), _new_file("jpg")
        with staged_file(_path(file)) as part:
            part.write_bytes(data)
        return file

    return attempt(write)


def save_editor_scene(
    mesh: DWMesh, *, progress: Callable[[int, int], None] | None = None, cancel: Callable[[], bool] | None = None
) -> Shown:
    """Write what the camera editor shows of a mesh into ComfyUI's temp folder, once per mesh.

    Args:
        mesh: the mesh that the camera node received.
        progress: called with (pictures and depths done, all of them).
        cancel: polled as often.
    """

    def write() -> ViewFile:
        return _editor_file(save_preview(mesh, _editor_folder(), progress=progress, cancel=cancel))

    return attempt(write)


def save_editor_memory(
    mesh: DWMesh,
    frames: int,
    strictness: Strictness,
    *,
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Shown:
    """Write what the camera editor fills holes of a mesh with, once per mesh and choice.

    Args:
        mesh: the mesh that is rendered.
        frames: of its memory.
        strictness: of its memory.
        progress: called with (steps done, all of them).
        cancel: polled as often.
    """

    def write() -> ViewFile:
        made = save_memory(
            mesh, _editor_folder(), frames=frames, strictness=strictness, progress=progress, cancel=cancel
        )
        return _editor_file(made)

    return attempt(write)


def _editor_folder() -> Path:
    return Path(folder_paths.get_temp_directory()) / EDITOR_FOLDER


def _editor_file(name: str) -> ViewFile:
    return {"filename": name, "subfolder": EDITOR_FOLDER, "type": "temp"}


def _new_file(suffix: str) -> ViewFile:
    """A file that is to be written. Its name is new each time: Windows cannot replace one that a browser is reading."""
    folder = Path(folder_paths.get_temp_directory())
    with write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return {"filename": f"ex4d_{uuid.uuid4().hex[:12]}.{suffix}", "subfolder": "", "type": "temp"}


def _path(file: ViewFile) -> Path:
    return Path(folder_paths.get_temp_directory()) / file["subfolder"] / file["filename"]
