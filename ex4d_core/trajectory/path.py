"""The camera path that travels from the trajectory step to the renderer."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..camera import Intrinsics, check_poses
from ..errors import EX4DError
from .bake import document_from_poses, resample_document
from .document import FPS_RANGE, parse_document, preset_document
from .evaluate import evaluate_document


@dataclass(frozen=True, eq=False)
class Trajectory:
    """One camera a frame.

    Attributes:
        world_to_camera: (T, 4, 4) float32, OpenCV frame; the source camera is the identity.
        intrinsics: T lenses, or None = the mesh's (then :meth:`for_scene` fills in what the path asks for).
        fps: frames a second.
        path: the JSON document it was evaluated from; None for paths that came as matrices.

    Raises:
        EX4DError: poses that are not finite and rigid, or a wrong number of lenses.
    """

    world_to_camera: np.ndarray
    intrinsics: tuple[Intrinsics, ...] | None = None
    fps: float = 15.0
    path: dict[str, Any] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        poses = np.ascontiguousarray(check_poses(self.world_to_camera), dtype=np.float32)
        poses.setflags(write=False)
        object.__setattr__(self, "world_to_camera", poses)
        if self.intrinsics is not None:
            object.__setattr__(self, "intrinsics", tuple(self.intrinsics))
            if len(self.intrinsics) != len(poses):
                raise EX4DError(f"A path of {len(poses)} frames needs as many lenses, got {len(self.intrinsics)}.")
        if not FPS_RANGE[0] <= self.fps <= FPS_RANGE[1]:
            raise EX4DError(f"A camera path's fps must lie between {FPS_RANGE[0]} and {FPS_RANGE[1]}, got {self.fps}.")

    def __len__(self) -> int:
        return len(self.world_to_camera)

    @classmethod
    def preset(
        cls,
        name: str,
        *,
        frames: int = 49,
        radius: float | None = None,
        pivot: Any = None,
        intrinsics: Intrinsics | None = None,
        fps: float = 15.0,
        **params: Any,
    ) -> Trajectory:
        """A named path; see :func:`ex4d_core.trajectory.preset_document` for the arguments.

        Args:
            intrinsics: the scene's lens; None leaves it to the mesh.
        """
        document = preset_document(name, frames=frames, radius=radius, pivot=pivot, fps=fps, **params)
        return cls.from_json(document, intrinsics=intrinsics)

    @classmethod
    def from_json(cls, text_or_dict: str | dict[str, Any], *, intrinsics: Intrinsics | None = None) -> Trajectory:
        """Evaluates a trajectory document.

        Args:
            intrinsics: the scene's lens, which fields of view that are null inherit.

        Raises:
            EX4DError: an invalid document; names the keyframe and field.
        """
        document = parse_document(text_or_dict)
        evaluated = evaluate_document(document, intrinsics=intrinsics)
        return cls(evaluated.world_to_camera, evaluated.intrinsics, document["fps"], document)

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
        """Reads a camera file of any known format; see :func:`ex4d_core.camera_io.load_camera`."""
        from ..camera_io import load_camera

        return load_camera(path, intrinsics=intrinsics, size=size, fps=fps, rebase=rebase, scale=scale, radius=radius)

    def save(self, path: str | Path, format: str | None = None) -> Path:
        """Writes a camera file, its format told by the name's ending; see :func:`ex4d_core.camera_io.save_camera`."""
        from ..camera_io import save_camera

        return save_camera(self, path, format=format)

    def document(self, radius: float | None = None) -> dict[str, Any]:
        """The JSON document, the caller's own: that of this path, or one keyframe a frame with the scene's ``radius``."""
        if self.path is not None:
            return copy.deepcopy(self.path)
        return document_from_poses(self.world_to_camera, self.intrinsics, fps=self.fps, radius=radius)

    def to_json(self) -> str:
        """The document as JSON text."""
        return json.dumps(self.document(), allow_nan=False)

    def for_scene(self, intrinsics: Intrinsics) -> Trajectory:
        """The path with a lens for every frame.

        Where the path has none, those of its document are worked out with the scene's lens for what it leaves open;
        a path without a document takes the scene's lens throughout. A path that has lenses is returned as it is.
        """
        if self.intrinsics is not None:
            return self
        if self.path is None:
            return Trajectory(self.world_to_camera, (intrinsics,) * len(self), self.fps)
        return Trajectory.from_json(self.path, intrinsics=intrinsics)

    def resampled(self, frames: int, *, intrinsics: Intrinsics | None = None) -> Trajectory:
        """The same way over another number of frames."""
        if frames == len(self):
            return self
        if intrinsics is None and self.intrinsics is not None:
            intrinsics = self.intrinsics[0]
        return Trajectory.from_json(resample_document(self.document(), frames, intrinsics), intrinsics=intrinsics)
