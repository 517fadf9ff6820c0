"""The camera path that travels from the trajectory step to the renderer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..camera import DEFAULT_FPS, Intrinsics, UnknownLens, check_poses, is_finite, same_aspect
from ..camera_io import Cameras, Hints, format_to_write
from ..errors import EX4DError
from .bake import document_from_lenses, document_from_poses, scale_document
from .document import FPS_RANGE, FrameOfReference, PathDocument, Vector
from .evaluate import evaluate_document
from .files import blaming, placed, read_cameras, write_cameras
from .parse import parse_document, preset_document
from .time import source_frames


@dataclass(frozen=True, eq=False)
class Trajectory:
    """One camera a frame. Where a source camera moves, its own path is one too: poses in the world of its first frame.

    Attributes:
        world_to_camera: (T, 4, 4) float32, OpenCV frame; the identity is the source camera (see ``frame_of_reference``).
        intrinsics: T lenses, or None = the mesh's (then :meth:`for_scene` fills in what the path asks for).
        fps: frames a second.
        path: the document it was evaluated from; None for paths that came as matrices.
        radius: scale of the scene that the path was made for, in its units; None = not known.
        pivot: (x, y, z) in the world that the path turns around; None = not known.
        frame_of_reference: "source": the poses count from where the source camera is at each frame, as published;
            "world": from where it began. One and the same where it does not move.
        shown: (T,) whole frames of the clip that a path without a document shows; None = frame n shows frame n. A
            document's keys tell it themselves (:meth:`shown_frames`).

    Raises:
        EX4DError: poses that are not finite and rigid, or a wrong number of lenses.
    """

    world_to_camera: np.ndarray
    intrinsics: tuple[Intrinsics, ...] | None = None
    fps: float = DEFAULT_FPS
    path: PathDocument | None = field(default=None, repr=False)
    radius: float | None = None
    pivot: Vector | None = None
    frame_of_reference: FrameOfReference = "source"
    shown: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        poses = np.ascontiguousarray(check_poses(self.world_to_camera), dtype=np.float32)
        poses.setflags(write=False)
        object.__setattr__(self, "world_to_camera", poses)
        if self.intrinsics is not None:
            object.__setattr__(self, "intrinsics", tuple(self.intrinsics))
            if len(self.intrinsics) != len(poses):
                raise EX4DError(f"A path of {len(poses)} frames needs as many lenses, got {len(self.intrinsics)}.")
        if self.shown is not None and len(self.shown) != len(poses):
            raise EX4DError(f"A path of {len(poses)} frames shows as many of the clip, got {len(self.shown)}.")
        for t, frame in enumerate(self.shown or ()):
            if not is_finite(frame) or frame < 0 or frame != int(frame):
                raise EX4DError(f"Frame {t} of a path shows a whole frame of the clip, counted from 0; got {frame}.")
        if not FPS_RANGE[0] <= self.fps <= FPS_RANGE[1]:
            raise EX4DError(f"A camera path's fps must lie between {FPS_RANGE[0]} and {FPS_RANGE[1]}, got {self.fps}.")
        if self.path is not None:
            object.__setattr__(self, "radius", self.path.radius)
            object.__setattr__(self, "pivot", self.path.pivot)
            object.__setattr__(self, "frame_of_reference", self.path.frame_of_reference)

    def __len__(self) -> int:
        return len(self.world_to_camera)

    @classmethod
    def preset(
        cls,
        name: str,
        *,
        frames: int = 49,
        radius: float | None = None,
        pivot: Iterable[float] | None = None,
        intrinsics: Intrinsics | None = None,
        fps: float = DEFAULT_FPS,
        frame_of_reference: FrameOfReference = "source",
        loop: bool = False,
        **params: Any,
    ) -> Trajectory:
        """A named path.

        Args:
            name: one of :data:`ex4d_core.trajectory.PRESETS`.
            frames: length of the path; the stated angle is swept whatever it is.
            radius: scale of the path, in scene units; None = the nearest EX-4D depth.
            pivot: what orbits circle, (x, y, z); None = (0, 0, radius).
            intrinsics: the scene's lens; None leaves it to the mesh.
            fps: frames a second.
            frame_of_reference: "source" rides on a source camera that moves, "world" stands where it began.
            loop: close the path; a preset that does not end where it began goes there and back.
            params: the preset's own parameters, and ``ease`` of the way as a whole.

        Raises:
            EX4DError: an unknown preset or parameter, or a value out of range.

        Example:
            >>> path = Trajectory.preset("orbit", frames=5, radius=2.0, angle=-90)
            >>> path.world_to_camera.shape, bool((path.world_to_camera[0] == np.eye(4)).all())
            ((5, 4, 4), True)
        """
        document = preset_document(
            name,
            frames=frames,
            radius=radius,
            pivot=pivot,
            fps=fps,
            frame_of_reference=frame_of_reference,
            loop=loop,
            **params,
        )
        return cls.from_document(document, intrinsics=intrinsics)

    @classmethod
    def from_json(cls, text_or_dict: str | Mapping[str, Any], *, intrinsics: Intrinsics | None = None) -> Trajectory:
        """Reads, checks and evaluates a trajectory document.

        Args:
            text_or_dict: JSON text, or the dict it stands for.
            intrinsics: the scene's lens, which fields of view that are null inherit.

        Raises:
            EX4DError: an invalid document; names the keyframe and field.
        """
        return cls.from_document(parse_document(text_or_dict), intrinsics=intrinsics)

    @classmethod
    def from_document(cls, document: PathDocument, *, intrinsics: Intrinsics | None = None) -> Trajectory:
        """Evaluates a trajectory document that was checked when it was read.

        Args:
            document: what the path says.
            intrinsics: the scene's lens, which the path inherits where it leaves the lens open.

        Raises:
            EX4DError: a frame where the camera stands on its target; names it.
        """
        evaluated = evaluate_document(document, intrinsics=intrinsics)
        return cls(evaluated.world_to_camera, evaluated.intrinsics, document.fps, document)

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        intrinsics: Intrinsics | None = None,
        size: tuple[int, int] | None = None,
        fps: float | None = None,
        rebase: bool = True,
        scale: float = 1.0,
        radius: float | None = None,
    ) -> Trajectory:
        """Reads a camera file of any known format; the arguments are those of :func:`load_camera`."""
        return load_camera(path, intrinsics=intrinsics, size=size, fps=fps, rebase=rebase, scale=scale, radius=radius)

    def save(self, path: str | Path, format: str | None = None) -> Path:
        """Writes a camera file, its format told by the name's ending; see :func:`save_camera`."""
        return save_camera(self, path, format=format)

    def cameras(self, *, with_document: bool = False) -> Cameras:
        """What camera files hold of this path.

        Args:
            with_document: add the JSON of :meth:`document`, for the format that holds it.
        """
        told = None if self.path is None or self.intrinsics is not None else evaluate_document(self.path)
        return Cameras(
            self.world_to_camera.astype(np.float64),
            self.intrinsics,
            None if told is None else told.fov,
            None if told is None else told.lens_shift,
            self.fps,
            self.to_json() if with_document else None,
        )

    def document(self, radius: float | None = None) -> PathDocument:
        """What the path says of itself: the document it came from, or else one keyframe a frame.

        Args:
            radius: the scene's, for a path that came as matrices; None = the path's own, or guessed from its extent.

        Raises:
            EX4DError: lenses that a document cannot hold.
        """
        if self.path is not None:
            return self.path
        radius = self.radius if radius is None else radius
        document = document_from_poses(
            self.world_to_camera, self.intrinsics, fps=self.fps, radius=radius, pivot=self.pivot
        )
        if self.shown is not None:
            timed = (replace(key, time=float(time)) for key, time in zip(document.keyframes, self.shown, strict=True))
            document = replace(document, keyframes=tuple(timed))
        return replace(document, frame_of_reference=self.frame_of_reference)

    def to_json(self, radius: float | None = None) -> str:
        """:meth:`document` as JSON text: what a .json file holds."""
        return self.document(radius).to_json()

    def to_compact_json(self, radius: float | None = None) -> str:
        """:meth:`document` in few characters, its numbers rounded: what the editor and a saved graph hold."""
        return self.document(radius).to_compact_json()

    @property
    def takes_the_scenes_lens(self) -> bool:
        """Whether the path leaves the lens to the scene, at every frame."""
        return self.intrinsics is None if self.path is None else not self.path.sets_the_lens

    def for_scene(self, intrinsics: Intrinsics, source_camera: Trajectory | None = None) -> Trajectory:
        """The path with a lens for every frame.

        Where the path has none, those of its document are worked out with the scene's lens for what it leaves open;
        a path without a document takes the scene's lens throughout. A path that has lenses is returned as it is. A path
        that rides on a source camera that zooms, and leaves the lens to the scene, zooms with it.

        Args:
            intrinsics: the scene's lens, at its first frame.
            source_camera: the source camera where it moves, a frame for each of the path's.
        """
        rides = self.frame_of_reference == "source" and self.takes_the_scenes_lens
        if source_camera is not None and source_camera.intrinsics is not None and rides:
            if len(source_camera) != len(self):
                raise EX4DError(
                    f"The camera path has {len(self)} frames and the source camera that it rides on "
                    f"{len(source_camera)}. Make them equal."
                )
            return replace(self, intrinsics=source_camera.intrinsics)
        if self.intrinsics is not None:
            return self
        if self.path is None:
            return replace(self, intrinsics=(intrinsics,) * len(self))
        return Trajectory.from_document(self.path, intrinsics=intrinsics)

    @property
    def bends_time(self) -> bool:
        """Whether the path says which frames of the clip it shows."""
        return self.shown is not None if self.path is None else self.path.sets_the_time

    def shown_frames(self, clip_frames: int) -> list[int]:
        """The frame of the clip that each frame of the path shows.

        Args:
            clip_frames: length of the clip; of one frame it is shown throughout.

        Raises:
            EX4DError: a time beyond the clip, or another number of frames where the path says nothing of time.
        """
        if clip_frames == 1:
            return [0] * len(self)
        shown = self.shown if self.path is None else source_frames(self.path, clip_frames)
        if shown is None:
            if clip_frames != len(self):
                raise EX4DError(
                    f"The mesh has {clip_frames} frames, the camera path {len(self)}. Make them equal "
                    "(a mesh of one frame serves a path of any length)."
                )
            return list(range(clip_frames))
        frames = [int(frame) for frame in shown]
        if not 0 <= min(frames) <= max(frames) < clip_frames:
            raise EX4DError(
                f"The camera path shows frames {min(frames)} to {max(frames)} of a clip of {clip_frames}. Move its times into "
                "the clip."
            )
        return frames

    def resized(self, width: int, height: int) -> Trajectory:
        """The same views on another pixel grid; a path without lenses is returned as it is.

        Args:
            width: in pixels.
            height: in pixels.

        Raises:
            EX4DError: another aspect ratio, on which the lenses would be stretched.
        """
        if self.intrinsics is None or all((k.width, k.height) == (width, height) for k in self.intrinsics):
            return self
        lens = next((k for k in self.intrinsics if not same_aspect(k.width, k.height, width, height)), None)
        if lens is not None:
            raise EX4DError(
                f"The camera's lens is for {lens.width}x{lens.height} pixels and the picture has {width}x{height}: another "
                "shape. Give the lens of the frames as they are."
            )
        return replace(self, intrinsics=tuple(lens.resized(width, height) for lens in self.intrinsics))

    def part(self, frames: slice | Sequence[int]) -> Trajectory:
        """Some of the frames, in the same scene: radius and pivot stay, as does the rate. A document's times do not: who
        takes parts knows by :meth:`shown_frames` what they show.

        Args:
            frames: a slice, or frame numbers.

        Raises:
            UnknownLens: the path asks for lenses that only :meth:`for_scene` can work out, so its poses alone would
                show another picture.
            EX4DError: no frame, or one that is not there.
        """
        numbers = range(len(self))[frames] if isinstance(frames, slice) else list(frames)
        if not numbers or not 0 <= min(numbers) <= max(numbers) < len(self):
            raise EX4DError(f"The camera path has frames 0 to {len(self) - 1}; asked for were {frames}.")
        if self.intrinsics is None and self.path is not None and self.path.sets_the_lens:
            raise UnknownLens("This camera path sets the lens, which is worked out with the scene's. Give that first.")
        lenses = None if self.intrinsics is None else tuple(self.intrinsics[number] for number in numbers)
        poses = self.world_to_camera[list(numbers)]
        return Trajectory(
            poses,
            lenses,
            self.fps,
            radius=self.radius,
            pivot=self.pivot,
            frame_of_reference=self.frame_of_reference,
            shown=None if self.shown is None else tuple(self.shown[number] for number in numbers),
        )


def load_camera(
    path: str | Path,
    *,
    intrinsics: Intrinsics | None = None,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    rebase: bool = True,
    scale: float = 1.0,
    radius: float | None = None,
) -> Trajectory:
    """Reads a camera path from a file; its name's ending and content tell the format.

    Args:
        path: of any format of :data:`ex4d_core.camera_io.FORMATS` that can be read.
        intrinsics: the scene's lens, which a path of ours inherits where it leaves the lens open.
        size: (width, height) in pixels for formats that hold the lens without an image size (.chan, glTF, .txt);
            None = the scene's. Where that is not known either, the path keeps its fields of view and gets its
            lenses from :meth:`Trajectory.for_scene`.
        fps: frames a second where the file has none; for glTF also the rate at which curves are sampled.
        rebase: make the first frame the source view (identity). Paths of our own JSON are already relative to it
            and stay where they are.
        scale: scene units per unit of the file.
        radius: the scene's radius, noted in the path's document for the editor; None = guessed from the path's
            extent.

    Raises:
        EX4DError: a missing, foreign or corrupt file; says what was found.

    Example:
        >>> saved = Trajectory.preset("30", frames=9, fps=24).save("shot.json")
        >>> again = load_camera(saved)
        >>> len(again), again.fps
        (9, 24.0)
    """
    file = Path(path)
    if not is_finite(scale) or scale <= 0:
        raise EX4DError(f"The scale of an imported camera path must be positive, got {scale}.")
    if fps is not None and not (is_finite(fps) and FPS_RANGE[0] <= fps <= FPS_RANGE[1]):
        raise EX4DError(f"A camera path's fps must lie between {FPS_RANGE[0]} and {FPS_RANGE[1]}, got {fps}.")
    hints = Hints(file.name, file if file.is_dir() else file.parent, intrinsics, size, fps)
    cameras = read_cameras(file, hints)
    with blaming(file):
        if cameras.document is not None:
            document = scale_document(parse_document(cameras.document), scale)
            return Trajectory.from_document(document, intrinsics=intrinsics)
        poses, rate = placed(cameras, rebase=rebase, scale=scale), cameras.fps or fps or DEFAULT_FPS
        if cameras.fov is None:
            return Trajectory(poses, cameras.intrinsics, rate)
        width, height = size or (None, None)
        document = document_from_lenses(
            poses, cameras.fov, cameras.lens_shift, fps=rate, width=width, height=height, radius=radius
        )
        return Trajectory.from_document(document, intrinsics=intrinsics)


def save_camera(trajectory: Trajectory, path: str | Path, *, format: str | None = None) -> Path:
    """Writes a camera file; beside the name first, then renamed, so that no half file is left.

    Args:
        trajectory: the path.
        path: where to; replaced if it exists.
        format: a name of :data:`ex4d_core.camera_io.FORMATS`; None = by the name's ending (.json is a path of ours).

    Returns:
        The path written.

    Raises:
        UnknownLens: the format holds the lens, and this path leaves it to the scene.
        EX4DError: an unknown format, a lens that the format cannot hold, or an unwritable folder.
    """
    file = Path(path)
    entry = format_to_write(file, format)
    write_cameras(trajectory.cameras(with_document=entry.holds_document), file, entry)
    return file
